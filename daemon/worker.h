/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * worker.h - the process that runs one instance's plugin for one VM
 */
#ifndef PORTALD_WORKER_H
#define PORTALD_WORKER_H

#include <json-c/json.h>
#include <liburing.h>
#include <kvmportal/portal.h>

#include "backend.h"
#include "channel.h"
#include "config.h"
#include "frontend.h"
#include "lower.h"
#include "plugin.h"

/**
 * struct portal_instance - the worker; what plugins hold as opaque handle
 * @name: of the instance
 * @plugin: loaded, configured, opened
 * @handle: of its open()
 * @lower: what is below it, if it is a filter
 * @backend: block plugins: what the front end works on
 * @main: of a further storage: the instance that has it; else NULL
 * @more: further storages: only plugin, handle and backend are used of each
 * @nr_more: length of @more
 * @ops: of the front end, NULL for a service
 * @fe: the front end, between START and the end
 * @env: what the front end sees
 * @desc: slot type, functions and register ranges
 * @page: shared with the supervisor
 * @limits: as block_limits_parse() takes them, NULL none
 * @swapped: by SETUP: the medium takes the place of another one
 * @bus_fd: eventfd: an interrupt is queued for the guest
 * @irq_fd: eventfd of the device's own interrupt
 * @vm: guest memory only
 * @queue: NULL before START
 * @epoch: of @queue, as its owner: requests of others are an earlier worker's
 * @replied: the front end answered a call, which is to be sent
 * @region: while the guest has enabled the device
 * @enabled: it has; a service without registers has no @region
 * @ring: requests, the plugin's I/O and the channel's poll
 * @queue_cqe: kept by worker_wait() for the loop
 * @have_queue_cqe: it is valid
 * @chan_ready: the supervisor said something
 * @chan_op: poll of the channel
 * @retry: the queue was busy with its last owner: arm it again now
 * @retry_op: the timer for it
 * @stopping: leave the loop
 */
struct portal_instance {
	char name[CONFIG_NAME_MAX + 1];
	struct plugin plugin;
	void *handle;
	struct portal_lower *lower;
	struct backend *backend;
	struct portal_instance *main;
	struct portal_instance *more[FRONTEND_STORAGES - 1];
	unsigned int nr_more;
	const struct frontend_ops *ops;
	void *fe;
	struct frontend_env env;
	struct chan_describe desc;
	struct chan_page *page;
	char *limits;
	bool swapped;
	int bus_fd;
	int irq_fd;
	struct portal_vm *vm;
	struct portal_queue *queue;
	uint32_t epoch;
	bool replied;
	int queue_fd;
	struct portal_region *region;
	bool enabled;
	struct io_uring ring;
	struct io_uring_cqe queue_cqe;
	bool have_queue_cqe;
	bool chan_ready;
	struct portal_uring_op chan_op;
	bool retry;
	struct portal_uring_op retry_op;
	bool stopping;
};

/* worker.c: `portald --worker`; returns the exit status */
int worker_main(void);

/* worker_setup.c: SETUP and START */
int worker_setup(struct portal_instance *pi, const char *json, const int *fds,
		 unsigned int nr_fds, struct err *err);
int worker_start(struct portal_instance *pi, const struct chan_enable *en, const int *fds,
		 unsigned int nr_fds, struct err *err);
int worker_enable(struct portal_instance *pi, const struct chan_enable *en, struct err *err);
void worker_disable(struct portal_instance *pi);
void worker_teardown(struct portal_instance *pi);

/* worker_plugin.c: plugins and front end, from the instance's section */
int worker_open_plugin(struct portal_instance *pi, struct json_object *setup, struct err *err);
void worker_close_plugin(struct portal_instance *pi);

/* worker_admin.c: limits of SETUP, then what portalctl wants of a running disk */
int worker_set_limits(struct portal_instance *pi, struct err *err);
/* @err: on success, what there is to say */
int worker_admin(struct portal_instance *pi, const char *text, struct err *err);
/* May its medium take the place of the one that an earlier worker had? */
int worker_check_swap(struct portal_instance *pi, struct err *err);

/* worker.c: struct frontend_env's wait() and reply() */
int worker_wait(struct frontend_env *env);
void worker_reply(struct frontend_env *env, uint64_t id, int err, uint64_t value);

/* dispatch.c */
void dispatch(struct portal_instance *pi, const struct portal_request *req);

/* sandbox.c */
int sandbox_ring(struct io_uring *ring, unsigned int entries, enum sandbox_mode mode,
		 struct err *err);
int sandbox_enter(enum sandbox_mode mode, struct err *err);

#endif /* PORTALD_WORKER_H */
