// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk_range.c - discard and write zeroes (virtio 1.2, 5.2.6)
 *
 * The request's data are ranges of the disk. All of them are checked before the
 * first has an effect; then they are done one after the other.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "virtio_blk.h"

#define RANGE_SIZE	sizeof(struct virtio_blk_discard_write_zeroes)

/* A status, or VIRTIO_BLK_S_OK. */
static uint8_t check(const struct blk_req *r, uint32_t op)
{
	const struct backend_info *info = block_info(r->dev->blk);
	const struct virtio_blk_config *c = &r->dev->config;
	bool zero = op == PORTAL_IO_ZERO;
	uint32_t known = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint32_t max = le32toh(zero ? c->max_write_zeroes_sectors : c->max_discard_sectors);
	uint8_t status = VIRTIO_BLK_S_OK;
	unsigned int i;

	for (i = 0; i < r->nr_ranges; i++) {
		const struct virtio_blk_discard_write_zeroes *g = &r->ranges[i];
		uint64_t len = (uint64_t)g->num_sectors << SECTOR_SHIFT;

		/* First of all: a driver that asks for more than we know. */
		if (g->flags & ~known)
			return VIRTIO_BLK_S_UNSUPP;
		if (g->num_sectors > max ||
		    g->sector > info->size >> SECTOR_SHIFT ||
		    len > info->size - (g->sector << SECTOR_SHIFT) ||
		    (g->sector << SECTOR_SHIFT | len) & (info->logical - 1))
			status = VIRTIO_BLK_S_IOERR;
	}
	return status;
}

static void next_range(struct blk_req *r);

static void range_done(struct block_req *req, int err)
{
	struct blk_req *r = (void *)((char *)req - offsetof(struct blk_req, req));

	if (err)
		virtio_blk_done(req, err);
	else
		next_range(r);
}

/* The ranges are few, so a backend that ends them at once does no harm. */
static void next_range(struct blk_req *r)
{
	struct block_req *req = &r->req;
	const struct virtio_blk_discard_write_zeroes *g;

	/* Reset meanwhile: nobody waits for the others. */
	if (!virtio_mmio_running(&r->dev->vm, r->queue))
		return;
	if (r->next_range < r->nr_ranges) {
		g = &r->ranges[r->next_range++];
		req->offset = g->sector << SECTOR_SHIFT;
		req->len = (uint64_t)g->num_sectors << SECTOR_SHIFT;
		req->flags = g->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ?
			PORTAL_IO_F_UNMAP : 0;
	} else if (r->flush) {
		r->flush = false;
		req->op = PORTAL_IO_FLUSH;
		req->flags = 0;
		req->offset = 0;
		req->len = 0;
	} else {
		virtio_blk_end(r, VIRTIO_BLK_S_OK, 1);
		return;
	}
	req->done = range_done;
	block_submit(r->dev->blk, req);
}

/**
 * virtio_blk_range() - start a request of this kind
 * @r: the request; it is in its device's chain
 * @op: PORTAL_IO_DISCARD or PORTAL_IO_ZERO
 */
void virtio_blk_range(struct blk_req *r, uint32_t op)
{
	bool zero = op == PORTAL_IO_ZERO;
	struct virtio_blk *dev = r->dev;
	const struct virtqueue_chain *c = &dev->chain;
	uint64_t len = c->out_len - HDR_SIZE;
	unsigned int i;
	uint8_t status;

	if (!virtio_mmio_has(&dev->vm, zero ? VIRTIO_BLK_F_WRITE_ZEROES :
					      VIRTIO_BLK_F_DISCARD)) {
		virtio_blk_end(r, VIRTIO_BLK_S_UNSUPP, 0);
		return;
	}
	if (c->in_len != 1 || !len || len % RANGE_SIZE ||
	    len / RANGE_SIZE > VIRTIO_BLK_RANGES_MAX ||
	    virtio_blk_get_out(dev, HDR_SIZE, r->ranges, len)) {
		virtio_blk_bad(r);
		return;
	}
	r->nr_ranges = (uint16_t)(len / RANGE_SIZE);
	for (i = 0; i < r->nr_ranges; i++) {
		r->ranges[i].sector = le64toh(r->ranges[i].sector);
		r->ranges[i].num_sectors = le32toh(r->ranges[i].num_sectors);
		r->ranges[i].flags = le32toh(r->ranges[i].flags);
	}
	status = check(r, op);
	if (status == VIRTIO_BLK_S_IOERR) {
		virtio_blk_bad(r);
		return;
	}
	if (status != VIRTIO_BLK_S_OK) {
		virtio_blk_end(r, status, 0);
		return;
	}
	r->next_range = 0;
	r->flush = zero && virtio_blk_write_through(dev);
	memset(&r->req, 0, sizeof(r->req));
	r->req.op = op;
	next_range(r);
}
