/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_mmio.h - the registers of a virtio-mmio device (virtio 1.2, 4.2)
 */
#ifndef PORTALD_VIRTIO_MMIO_H
#define PORTALD_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>
#include "frontend.h"
#include "virtqueue.h"

#define VIRTIO_MMIO_REGION_LEN	0x200
/* In the shadow page, out of the guest's reach: notifications not yet taken. */
#define VIRTIO_MMIO_AUX_NOTIFY	0x200
#define VIRTIO_MMIO_QUEUES_MAX	4

#define VIRTIO_MMIO_NR_RANGES	6
extern const struct portal_region_range virtio_mmio_ranges[VIRTIO_MMIO_NR_RANGES];

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
 * @bad_features: the driver asked for features above bit 63
 * @driver_features: what the driver wants; negotiated once FEATURES_OK is set
 * @resets: how often the driver reset it
 * @vq: the queues
 */
struct virtio_mmio_state {
	uint64_t magic;
#define VIRTIO_MMIO_STATE_MAGIC		0x6f696d6d74726976ULL
	uint32_t version;
#define VIRTIO_MMIO_STATE_VERSION	1
	uint32_t size;
	uint32_t status;
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	uint32_t config_generation;
	uint32_t bad_features;
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
 * @arg: argument of both
 */
struct virtio_mmio_device {
	uint32_t device_id;
	uint32_t nr_queues;
	uint64_t features;
	const void *config;
	uint32_t config_len;
	void (*notify)(void *arg, unsigned int q);
	void (*quiesce)(void *arg);
	void *arg;
};

/**
 * struct virtio_mmio - the registers of one device
 * @env: the worker's
 * @dev: what is behind
 * @st: what survives, in env->state
 * @quiescing: queues, as bits, whose requests end without the driver seeing it
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
bool virtio_mmio_running(const struct virtio_mmio *vm, unsigned int q);
bool virtio_mmio_has(const struct virtio_mmio *vm, unsigned int feature);
void virtio_mmio_signal(struct virtio_mmio *vm, unsigned int q);
void virtio_mmio_config_changed(struct virtio_mmio *vm);
void virtio_mmio_needs_reset(struct virtio_mmio *vm, const char *why);

#endif /* PORTALD_VIRTIO_MMIO_H */
