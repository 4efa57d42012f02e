/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtqueue.h - the device's side of a split virtqueue (virtio 1.2, 2.7)
 *
 * Everything in guest memory is hostile: it is copied once, checked, and not
 * looked at again. What the device must remember is in struct
 * virtqueue_state, which outlives the worker.
 */
#ifndef PORTALD_VIRTQUEUE_H
#define PORTALD_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_ring.h>
#include <sys/uio.h>
#include <kvmportal/portal.h>

#define VIRTQUEUE_NUM_MAX	256U

/**
 * struct virtqueue_desc_state - one head descriptor, in flight or not
 * @inflight: taken from the available ring, not yet in the used ring
 * @next: the head that was used before this one
 * @counter: order in which it was taken
 *
 * With struct virtqueue_state the "inflight region" of vhost-user for split
 * rings; virtqueue.c describes the algorithm.
 */
struct virtqueue_desc_state {
	uint8_t inflight;
	uint8_t __pad[5];
	uint16_t next;
	uint64_t counter;
};

/**
 * struct virtqueue_state - what must survive the worker
 * @num: size, as the driver set it
 * @ready: QueueReady
 * @broken: the driver's mistake stopped it; until reset
 * @desc: guest address of the descriptor table
 * @driver: of the available ring
 * @device: of the used ring
 * @counter: of the next descriptor taken
 * @used_idx: the used ring's index, up to which @desc_state is right
 * @last_batch_head: the head used last
 * @__pad: 0
 * @desc_state: by index of the head descriptor
 *
 * The next entry of the available ring is not here: it is @used_idx plus the
 * number of descriptors in flight, at any moment, so it can't be wrong.
 */
struct virtqueue_state {
	uint32_t num;
	uint32_t ready;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	uint64_t counter;
	uint16_t used_idx;
	uint16_t last_batch_head;
	uint16_t broken;
	uint16_t __pad;
	struct virtqueue_desc_state desc_state[VIRTQUEUE_NUM_MAX];
};

/**
 * struct virtqueue - a queue of a device
 * @mem: the guest's RAM
 * @st: what survives
 * @last_avail: next entry of the available ring
 * @signalled: used index at the last interrupt
 * @event_idx: VIRTIO_RING_F_EVENT_IDX was negotiated
 * @indirect: VIRTIO_RING_F_INDIRECT_DESC was negotiated
 * @nr_resume: length of @resume
 * @resume_pos: next of them
 * @resume: heads that an earlier worker left in flight, in their order
 */
struct virtqueue {
	const struct portal_mem *mem;
	struct virtqueue_state *st;
	uint16_t last_avail;
	uint16_t signalled;
	bool event_idx;
	bool indirect;
	uint16_t nr_resume;
	uint16_t resume_pos;
	uint16_t resume[VIRTQUEUE_NUM_MAX];
};

/* One buffer of a chain. */
struct virtqueue_seg {
	uint64_t gpa;
	uint32_t len;
};

/**
 * struct virtqueue_chain - a request of the driver, copied
 * @head: for virtqueue_push()
 * @nr_out: buffers the device reads: the first in @seg
 * @nr_in: buffers the device writes: they follow
 * @bad_order: a buffer to read comes after one to write
 * @out_len: bytes of the former
 * @in_len: bytes of the latter
 * @seg: the buffers; addresses and lengths are not checked yet
 */
struct virtqueue_chain {
	uint16_t head;
	uint16_t nr_out;
	uint16_t nr_in;
	bool bad_order;
	uint64_t out_len;
	uint64_t in_len;
	struct virtqueue_seg seg[VIRTQUEUE_NUM_MAX];
};

/* What virtqueue_pop() found, unless it is an error. */
#define VIRTQUEUE_EMPTY		0
#define VIRTQUEUE_CHAIN		1

void virtqueue_init(struct virtqueue *vq, const struct portal_mem *mem,
		    struct virtqueue_state *st);
void virtqueue_reset(struct virtqueue *vq);
const char *virtqueue_start(struct virtqueue *vq, uint64_t features);
const char *virtqueue_resume(struct virtqueue *vq, uint64_t features);
int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain, const char **why);
bool virtqueue_arm(struct virtqueue *vq);
int virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);
bool virtqueue_signal(struct virtqueue *vq);
int virtqueue_iov(const struct portal_mem *mem, const struct virtqueue_seg *segs,
		  uint32_t nr, uint64_t skip, uint64_t len, struct iovec *iov,
		  uint32_t max);

#endif /* PORTALD_VIRTQUEUE_H */
