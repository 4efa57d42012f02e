/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_blk.h - a virtio block device (virtio 1.2, 5.2)
 *
 *	virtio_blk.c		the device: queues, life cycle, counters
 *	virtio_blk_config.c	configuration space and features
 *	virtio_blk_req.c	requests: read, write, flush, serial number
 *	virtio_blk_range.c	requests without data: discard, write zeroes
 */
#ifndef PORTALD_VIRTIO_BLK_H
#define PORTALD_VIRTIO_BLK_H

#include <linux/virtio_blk.h>
#include "block.h"
#include "virtio_mmio.h"

#define SECTOR_SHIFT	9
#define SECTOR_SIZE	512U
#define HDR_SIZE	sizeof(struct virtio_blk_outhdr)

/* Data buffers of a request; two requests fit a queue without indirect ones. */
#define VIRTIO_BLK_SEG_MAX	126
/* Ranges of one discard or write zeroes request. */
#define VIRTIO_BLK_RANGES_MAX	32
/* Sectors of such a range: 2 GiB. */
#define VIRTIO_BLK_RANGE_MAX	(1U << 22)
/* If zeroes have to be written, 16 MiB: a reset waits for it. */
#define VIRTIO_BLK_ZERO_MAX	(1U << 15)
/* Any chain, with a few buffers that cross windows. */
#define REQ_IOVS		(VIRTQUEUE_NUM_MAX + 16)

struct virtio_blk;

/**
 * struct blk_req - a request in flight; there is one for each head descriptor
 * @req: for the block layer
 * @dev: the device
 * @queue: where it came from
 * @head: its head descriptor
 * @written: bytes of data in guest memory if it succeeds
 * @status: guest address of the status byte
 * @next_range: of @ranges, to be done next
 * @nr_ranges: length of @ranges
 * @flush: a flush comes after the last range
 * @iov: the data
 * @ranges: instead of data, checked and in the order of this CPU
 */
struct blk_req {
	struct block_req req;
	struct virtio_blk *dev;
	uint16_t queue;
	uint16_t head;
	uint32_t written;
	uint64_t status;
	uint16_t next_range;
	uint16_t nr_ranges;
	bool flush;
	union {
		struct iovec iov[REQ_IOVS];
		struct virtio_blk_discard_write_zeroes ranges[VIRTIO_BLK_RANGES_MAX];
	};
};

/**
 * struct virtio_blk_state - what must survive the worker
 * @mmio: registers and queues
 * @wce: the write cache is on, as the driver chose it
 * @__pad: 0
 */
struct virtio_blk_state {
	struct virtio_mmio_state mmio;
	uint8_t wce;
	uint8_t __pad[7];
};

/**
 * struct virtio_blk - the device
 * @vm: its registers
 * @env: the worker's
 * @blk: the medium
 * @config: the configuration space
 * @requests: taken from the queues
 * @bad_requests: only a broken driver sends such ones
 * @cache_flush: when the driver turns the cache off
 * @cache_err: of that
 * @again: a nop on the ring: go on where a budget was used up
 * @again_armed: it is there
 * @serving: requests are being taken
 * @due: queues, as bits, to be looked at when that is over
 * @over_budget: queues, as bits, to be looked at by @again
 * @chain: the request being looked at
 * @reqs: by queue and head descriptor
 */
struct virtio_blk {
	struct virtio_mmio vm;
	struct frontend_env *env;
	struct block *blk;
	struct virtio_blk_config config;
	uint64_t requests;
	uint64_t bad_requests;
	struct block_req cache_flush;
	int cache_err;
	struct portal_uring_op again;
	bool again_armed;
	bool serving;
	uint32_t due;
	uint32_t over_budget;
	struct virtqueue_chain chain;
	struct blk_req reqs[VIRTIO_MMIO_QUEUES_MAX][VIRTQUEUE_NUM_MAX];
};

/* virtio_blk.c */
/* What was written till now is on the medium when it returns 0. */
int virtio_blk_flush_cache(struct virtio_blk *dev);
/* The VMM may have changed the guest's memory. True: look again. */
bool virtio_blk_refresh(struct virtio_blk *dev);

/* virtio_blk_config.c */
#define VIRTIO_BLK_NR_RANGES	(VIRTIO_MMIO_NR_RANGES + 1)
extern const struct portal_region_range virtio_blk_ranges[VIRTIO_BLK_NR_RANGES];
uint64_t virtio_blk_set_config(struct virtio_blk *dev);
void virtio_blk_set_capacity(struct virtio_blk *dev);
void virtio_blk_configure(void *arg);
void virtio_blk_restore_config(struct virtio_blk *dev);
void virtio_blk_config_write(void *arg, uint32_t offset, uint32_t len, uint64_t value);
/* Must a write be on the medium when it ends? */
bool virtio_blk_write_through(const struct virtio_blk *dev);

/* virtio_blk_req.c */
void virtio_blk_handle(struct virtio_blk *dev, unsigned int q);
int virtio_blk_get_out(struct virtio_blk *dev, uint64_t skip, void *buf, size_t len);
void virtio_blk_end(struct blk_req *r, uint8_t status, uint32_t written);
void virtio_blk_bad(struct blk_req *r);
void virtio_blk_done(struct block_req *req, int err);

/* virtio_blk_range.c */
void virtio_blk_range(struct blk_req *r, uint32_t op);

#endif /* PORTALD_VIRTIO_BLK_H */
