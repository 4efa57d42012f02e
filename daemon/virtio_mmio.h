/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_mmio.h - the registers of a virtio-mmio device (virtio 1.2, 4.2)
 */
#ifndef PORTALD_VIRTIO_MMIO_H
#define PORTALD_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include "frontend.h"
#include "virtqueue.h"

#define VIRTIO_MMIO_REGION_LEN	0x200
#define VIRTIO_MMIO_QUEUES_MAX	4
/* In the shadow page, out of the guest's reach: notifications not yet taken. */
#define VIRTIO_MMIO_AUX_NOTIFY(q)	(0x200 + 4 * (q))

#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET	0x0c0	/* virtio 1.2, 4.2.2 */
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET	40
#endif

/*
 * Doorbells that share QueueNotify: the kernel keeps those of each queue apart
 * by the value written. First in the list, so a range's index is its queue.
 */
#define VIRTIO_MMIO_DOORBELL(q)							\
	{ .offset = VIRTIO_MMIO_QUEUE_NOTIFY, .len = 4, .attr = PORTAL_ATTR_DOORBELL,	\
	  .flags = PORTAL_RANGE_F_COUNT | PORTAL_RANGE_F_DATAMATCH,		\
	  .aux = VIRTIO_MMIO_AUX_NOTIFY(q), .datamatch = (q), .eventfd = -1 }
#define VIRTIO_MMIO_RANGE(off, bytes, how)					\
	{ .offset = (off), .len = (bytes), .attr = PORTAL_ATTR_##how, .eventfd = -1 }

/*
 * All else is SHADOW: reads from the page, writes posted. Registers that depend
 * on a selector are FENCED. A reset, of all or of one queue, must be over
 * before the guest's next instruction.
 */
#define VIRTIO_MMIO_NR_RANGES	10
#define VIRTIO_MMIO_RANGES							\
	VIRTIO_MMIO_DOORBELL(0), VIRTIO_MMIO_DOORBELL(1),			\
	VIRTIO_MMIO_DOORBELL(2), VIRTIO_MMIO_DOORBELL(3),			\
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_DEVICE_FEATURES, 4, FENCED),		\
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_QUEUE_NUM_MAX, 4, FENCED),		\
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_QUEUE_READY, 4, SYNC),			\
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_QUEUE_RESET, 4, SYNC),			\
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_STATUS, 4, SYNC),				\
	{ .offset = VIRTIO_MMIO_INTERRUPT_ACK, .len = 4, .attr = PORTAL_ATTR_ACK,	\
	  .aux = VIRTIO_MMIO_INTERRUPT_STATUS, .eventfd = -1 }

/**
 * struct virtio_mmio_state - what must survive the worker: all of a device
 * @magic: VIRTIO_MMIO_STATE_MAGIC, 0 if it was never used
 * @version: of the layout; raise it with every change
 * @size: of this struct
 * @status: the device status
 * @device_features_sel: selector
 * @driver_features_sel: selector
 * @queue_sel: selector
 * @config_generation: of the configuration space
 * @known_generation: that of the last reset: since then the driver may have read
 * @bad_features: the driver asked for features above bit 63
 * @__pad: 0
 * @driver_features: what the driver wants; negotiated once FEATURES_OK is set
 * @resets: how often the driver reset it
 * @vq: the queues
 */
struct virtio_mmio_state {
	uint64_t magic;
#define VIRTIO_MMIO_STATE_MAGIC		0x6f696d6d74726976ULL
	uint32_t version;
#define VIRTIO_MMIO_STATE_VERSION	2
	uint32_t size;
	uint32_t status;
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	uint32_t config_generation;
	uint32_t known_generation;
	uint32_t bad_features;
	uint32_t __pad;
	uint64_t driver_features;
	uint64_t resets;
	struct virtqueue_state vq[VIRTIO_MMIO_QUEUES_MAX];
};

/**
 * struct virtio_mmio_device - the device behind the registers
 * @device_id: VIRTIO_ID_*
 * @nr_queues: at most VIRTIO_MMIO_QUEUES_MAX
 * @features: offered
 * @config: the configuration space, copied at each change
 * @config_len: its bytes
 * @notify: the driver put something into queue @q, or may have
 * @quiesce: returns when nothing is in flight
 * @configure: features were negotiated, or a reset forgot them: @config may
 *	have to change; or NULL
 * @config_write: the driver wrote into the configuration space, or NULL
 * @arg: argument of all
 */
struct virtio_mmio_device {
	uint32_t device_id;
	uint32_t nr_queues;
	uint64_t features;
	const void *config;
	uint32_t config_len;
	void (*notify)(void *arg, unsigned int q);
	void (*quiesce)(void *arg);
	void (*configure)(void *arg);
	void (*config_write)(void *arg, uint32_t offset, uint32_t len, uint64_t value);
	void *arg;
};

/**
 * struct virtio_mmio - the registers of one device
 * @env: the worker's
 * @dev: what is behind
 * @st: what survives, in env->state
 * @quiescing: queues, as bits, whose requests end without the driver seeing it
 * @pushed: queues, as bits, whose driver may want an interrupt
 * @last_log: second of the last message about the driver
 * @interrupts: written to the irqfd
 * @notifications: taken
 * @vq: the queues
 */
struct virtio_mmio {
	struct frontend_env *env;
	struct virtio_mmio_device dev;
	struct virtio_mmio_state *st;
	uint32_t quiescing;
	uint32_t pushed;
	int64_t last_log;
	uint64_t interrupts;
	uint64_t notifications;
	struct virtqueue vq[VIRTIO_MMIO_QUEUES_MAX];
};

int virtio_mmio_init(struct virtio_mmio *vm, struct frontend_env *env,
		     const struct virtio_mmio_device *dev);
int virtio_mmio_enable(struct virtio_mmio *vm, bool resume);
void virtio_mmio_disable(struct virtio_mmio *vm);
void virtio_mmio_write(struct virtio_mmio *vm, uint32_t offset, uint32_t len, uint64_t value);
void virtio_mmio_doorbell(struct virtio_mmio *vm, unsigned int q, uint32_t count);
void virtio_mmio_end_round(struct virtio_mmio *vm);
bool virtio_mmio_running(const struct virtio_mmio *vm, unsigned int q);
bool virtio_mmio_has(const struct virtio_mmio *vm, unsigned int feature);
void virtio_mmio_signal(struct virtio_mmio *vm, unsigned int q);
void virtio_mmio_config_changed(struct virtio_mmio *vm);
void virtio_mmio_needs_reset(struct virtio_mmio *vm, const char *why);

/* virtio_mmio_page.c: what the guest reads */
void virtio_mmio_interrupt(struct virtio_mmio *vm, uint32_t bit, bool force);
void virtio_mmio_show(struct virtio_mmio *vm, uint32_t off, uint32_t val);
void virtio_mmio_show_device_features(struct virtio_mmio *vm);
void virtio_mmio_show_queue(struct virtio_mmio *vm);
void virtio_mmio_show_config(struct virtio_mmio *vm);
void virtio_mmio_show_all(struct virtio_mmio *vm);
bool virtio_mmio_config_differs(const struct virtio_mmio *vm);

#endif /* PORTALD_VIRTIO_MMIO_H */
