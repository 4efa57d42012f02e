/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * frontend.h - what a worker and the device it shows to a guest know of each
 * other
 *
 * A front end is a register set with behaviour (virtio-blk over virtio-mmio,
 * bio), or a service (blk). It lives in a worker process, in the worker's one event
 * thread. What must survive the worker is in env->state, memory shared with
 * the supervisor, and in the shadow page.
 */
#ifndef PORTALD_FRONTEND_H
#define PORTALD_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <kvmportal/portal.h>

struct backend;
struct block;
struct err;
struct io_uring;

/* Calls that a front end answers later by env->reply(). */
#define FRONTEND_LATER		1
#define FRONTEND_STORAGES	16

/**
 * struct frontend_place - where the host puts the registers, if it does
 * @fixed: yes; else the guest chooses
 * @bus: enum portal_bus
 * @gpa: address, or port
 * @gsi: of the interrupt, 0 none
 */
struct frontend_place {
	bool fixed;
	uint32_t bus;
	uint64_t gpa;
	uint32_t gsi;
};

/**
 * struct frontend_storage - one medium of a front end that has several
 * @sid: its number, as the guest knows it
 * @backend: the medium
 */
struct frontend_storage {
	uint32_t sid;
	struct backend *backend;
};

/**
 * struct frontend_env - what a front end works with, the worker's
 * @mem: windows on the guest's RAM
 * @region: the registers, NULL while the guest has not enabled the device
 * @irqfd: eventfd bound to the device's interrupt, -1 while not enabled
 * @uring: the worker's ring; user_data is a struct portal_uring_op *
 * @backend: the medium
 * @serial: the disk's serial number, at most 20 characters
 * @queues: how many request queues the administrator wants, 0: up to the
 *	front end
 * @state: zeroed at the first start, kept over restarts of the worker
 * @state_len: the front end's state_len
 * @storages: front ends with many_storages: all of them, the first is @backend
 * @nr_storages: length of @storages
 * @place: filled by .config
 * @config: the front end's own, made by its .config, read by .create
 * @req_id: of the request that .write, .read or .call is about
 * @req_time: when the guest made it, CLOCK_MONOTONIC in ns
 * @redelivered: an earlier worker may have had that request
 * @reply: ends a call that .call left open: @value, or @err -errno
 * @wait: submits what is in @uring, waits for at least one completion and runs
 *	the done() of each portal_uring_op that is there; completions of the
 *	worker's own commands are kept for later. Front ends need it to wait for
 *	their I/O inside .write(), .disable() and .destroy(). 0 or -errno.
 */
struct frontend_env {
	struct portal_mem *mem;
	struct portal_region *region;
	int irqfd;
	struct io_uring *uring;
	struct backend *backend;
	const char *serial;
	uint32_t queues;
	void *state;
	size_t state_len;
	struct frontend_storage storages[FRONTEND_STORAGES];
	unsigned int nr_storages;
	struct frontend_place place;
	void *config;
	uint64_t req_id;
	uint64_t req_time;
	bool redelivered;
	void (*reply)(struct frontend_env *env, uint64_t id, int err, uint64_t value);
	int (*wait)(struct frontend_env *env);
};

/**
 * struct frontend_ops - one kind of front end
 * @name: as in portald.conf
 * @slot_type: enum portal_slot_type
 * @region_len: bytes of registers
 * @state_len: bytes to keep over restarts
 * @ranges: attributes of the registers
 * @nr_ranges: length of @ranges
 * @fns: hypercall functions, 0 none
 * @many_storages: keys sidN.KEY of portald.conf make further storages
 * @config: one key of the instance's section; -ENOENT: not this front end's.
 *	NULL: it has none
 * @config_complete: all keys came; NULL: nothing to check
 * @create: device, not yet visible; *@fe is given to all below
 * @enable: the guest chose an address, env->region and env->irqfd are set.
 *	@resume: an earlier worker served it already: go on from env->state
 * @write: a posted or SYNC register write. Returns when its effect is there.
 * @doorbell: a counted doorbell rang: @range is its index in @ranges, @count
 *	how often it rang, taken already; NULL: .write gets the count as its value
 * @read: a CALL register is read: 0 or -errno (the guest reads all ones)
 * @call: a hypercall: 0, -errno or FRONTEND_LATER; may come before .enable
 * @end_round: a batch of requests or completions is over: now is the time to
 *	interrupt the guest for what was done in it
 * @disable: the guest takes it off its address; returns when nothing of it
 *	is in flight
 * @inflight: requests not completed
 * @block: the block layer of storage @sid, of the only one with 0; or NULL
 * @stat: counters for portalctl: calls @emit for each
 * @destroy: end of the worker
 */
struct frontend_ops {
	const char *name;
	uint32_t slot_type;
	uint32_t region_len;
	size_t state_len;
	const struct portal_region_range *ranges;
	uint32_t nr_ranges;
	uint32_t fns;
	bool many_storages;

	int (*config)(struct frontend_env *env, const char *key, const char *value,
		      struct err *err);
	int (*config_complete)(struct frontend_env *env, struct err *err);
	int (*create)(struct frontend_env *env, void **fe);
	int (*enable)(void *fe, bool resume);
	void (*write)(void *fe, uint32_t offset, uint32_t len, uint64_t value);
	int (*read)(void *fe, uint32_t offset, uint32_t len, uint64_t *value);
	int (*call)(void *fe, uint32_t fn, const uint64_t args[4], uint64_t *value);
	void (*doorbell)(void *fe, uint32_t range, uint32_t count);
	void (*end_round)(void *fe);
	void (*disable)(void *fe);
	unsigned int (*inflight)(void *fe);
	struct block *(*block)(void *fe, uint32_t sid);
	void (*stat)(void *fe, void (*emit)(void *arg, const char *key, uint64_t val), void *arg);
	void (*destroy)(void *fe);
};

extern const struct frontend_ops virtio_blk_frontend;
extern const struct frontend_ops bio_frontend;
extern const struct frontend_ops blk_frontend;

/* By the name in portald.conf, or NULL. (frontend.c) */
const struct frontend_ops *frontend_find(const char *name);

#endif /* PORTALD_FRONTEND_H */
