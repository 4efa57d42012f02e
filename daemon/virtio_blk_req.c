// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk_req.c - requests of a virtio block device
 *
 * A request is a chain of buffers: 16 bytes of header, data, one byte of
 * status. How they are cut into descriptors is the driver's business, so only
 * offsets in the readable and the writable part are used here.
 *
 * A bad request ends with IOERR; one that has no place for a status stops the
 * device.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "virtio_blk.h"

static int get_iov(struct virtio_blk *dev, const struct virtqueue_seg *segs, uint32_t nr,
		   uint64_t skip, uint64_t len, struct iovec *iov, uint32_t max)
{
	int n = virtqueue_iov(dev->env->mem, segs, nr, skip, len, iov, max);

	if (n == -EFAULT && virtio_blk_refresh(dev))
		n = virtqueue_iov(dev->env->mem, segs, nr, skip, len, iov, max);
	return n;
}

/**
 * virtio_blk_get_out() - copy of what the driver wrote for the device
 * @dev: the device; the request is in its chain
 * @skip: bytes of the readable part before it
 * @buf: (out) the copy
 * @len: bytes
 *
 * Return: 0, -EFAULT if it is not in RAM, -E2BIG.
 */
int virtio_blk_get_out(struct virtio_blk *dev, uint64_t skip, void *buf, size_t len)
{
	const struct virtqueue_chain *c = &dev->chain;
	struct iovec iov[REQ_IOVS];
	char *p = buf;
	int i, n;

	n = get_iov(dev, c->seg, c->nr_out, skip, len, iov, REQ_IOVS);
	for (i = 0; i < n; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	/* The only fetch: what follows uses the copy and not guest memory. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return n < 0 ? n : 0;
}

/**
 * virtio_blk_end() - give a request back to the driver
 * @r: the request
 * @status: VIRTIO_BLK_S_*
 * @written: bytes at the start of its writable part that were written
 */
void virtio_blk_end(struct blk_req *r, uint8_t status, uint32_t written)
{
	struct virtio_blk *dev = r->dev;
	struct virtio_mmio *vm = &dev->vm;
	uint8_t *p;

	/* Reset or stopped meanwhile: nothing of guest memory is ours any more. */
	if (!virtio_mmio_running(vm, r->queue))
		return;
	p = portal_mem_at(dev->env->mem, r->status, 1);
	if (!p) {
		virtio_mmio_needs_reset(vm, "a request's status byte is not in RAM");
		return;
	}
	*p = status;
	if (virtqueue_push(&vm->vq[r->queue], r->head, written))
		virtio_mmio_needs_reset(vm, "the used ring is not in RAM");
	else
		virtio_mmio_signal(vm, r->queue);
}

/* Wrong in a way that only a broken driver does it. */
void virtio_blk_bad(struct blk_req *r)
{
	r->dev->bad_requests++;
	virtio_blk_end(r, VIRTIO_BLK_S_IOERR, 0);
}

/* The block layer's done(). */
void virtio_blk_done(struct block_req *req, int err)
{
	struct blk_req *r = (void *)((char *)req - offsetof(struct blk_req, req));

	/* Of a failed read nobody knows how much is there: 0 is always true. */
	if (!err)
		virtio_blk_end(r, VIRTIO_BLK_S_OK, r->written + 1);
	else
		virtio_blk_end(r, err == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR,
			       0);
}

static void submit(struct blk_req *r)
{
	/* A request before it may have stopped the device while get_iov() waited. */
	if (!virtio_mmio_running(&r->dev->vm, r->queue))
		return;
	r->req.done = virtio_blk_done;
	block_submit(r->dev->blk, &r->req);
}

static void read_write(struct blk_req *r, uint32_t op, uint64_t sector)
{
	struct virtio_blk *dev = r->dev;
	const struct virtqueue_chain *c = &dev->chain;
	bool in = op == PORTAL_IO_READ;
	uint64_t len = in ? c->in_len - 1 : c->out_len - HDR_SIZE;
	const struct backend_info *info = block_info(dev->blk);
	int n;

	/* Data in the wrong direction, half sectors, beyond 2^64 or the end. */
	if ((in ? c->out_len != HDR_SIZE : c->in_len != 1) || len % SECTOR_SIZE ||
	    sector > UINT64_MAX >> SECTOR_SHIFT ||
	    sector << SECTOR_SHIFT > info->size ||
	    len > info->size - (sector << SECTOR_SHIFT) || len > UINT32_MAX - 1) {
		virtio_blk_bad(r);
		return;
	}
	if (in)
		n = get_iov(dev, c->seg + c->nr_out, c->nr_in, 0, len, r->iov, REQ_IOVS);
	else
		n = get_iov(dev, c->seg, c->nr_out, HDR_SIZE, len, r->iov, REQ_IOVS);
	if (n < 0) {
		virtio_blk_bad(r);
		return;
	}
	r->written = in ? (uint32_t)len : 0;
	r->req.op = op;
	r->req.flags = !in && virtio_blk_write_through(dev) ? PORTAL_IO_F_FUA : 0;
	r->req.offset = sector << SECTOR_SHIFT;
	r->req.len = len;
	r->req.iov = r->iov;
	r->req.iovcnt = (uint32_t)n;
	submit(r);
}

static void flush(struct blk_req *r)
{
	r->written = 0;
	memset(&r->req, 0, sizeof(r->req));
	r->req.op = PORTAL_IO_FLUSH;
	submit(r);
}

static void get_id(struct blk_req *r)
{
	struct virtio_blk *dev = r->dev;
	const struct virtqueue_chain *c = &dev->chain;
	uint64_t room = c->in_len - 1;
	uint32_t len = room < VIRTIO_BLK_ID_BYTES ? (uint32_t)room : VIRTIO_BLK_ID_BYTES;
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	const char *p = id;
	int i, n;

	/* All 20 bytes may be used; only a shorter one ends with a NUL. */
	if (dev->env->serial)
		memcpy(id, dev->env->serial, strnlen(dev->env->serial, sizeof(id)));
	n = get_iov(dev, c->seg + c->nr_out, c->nr_in, 0, len, r->iov, REQ_IOVS);
	if (n < 0) {
		virtio_blk_bad(r);
		return;
	}
	for (i = 0; i < n; i++) {
		memcpy(r->iov[i].iov_base, p, r->iov[i].iov_len);
		p += r->iov[i].iov_len;
	}
	/* The status is written too, but only next to the id does it count. */
	virtio_blk_end(r, VIRTIO_BLK_S_OK, len == room ? len + 1 : len);
}

/**
 * virtio_blk_handle() - start a request
 * @dev: the device; the request is in its chain
 * @q: queue it came from
 */
void virtio_blk_handle(struct virtio_blk *dev, unsigned int q)
{
	const struct virtqueue_chain *c = &dev->chain;
	struct blk_req *r = &dev->reqs[q][c->head];
	const struct virtqueue_seg *last;
	struct virtio_blk_outhdr hdr;
	struct iovec iov;

	if (!c->in_len) {
		virtio_mmio_needs_reset(&dev->vm, "a request without a status byte");
		return;
	}
	last = &c->seg[c->nr_out + c->nr_in - 1];
	r->dev = dev;
	r->queue = (uint16_t)q;
	r->head = c->head;
	r->status = last->gpa + last->len - 1;
	/* Before the request has an effect that could not be told. */
	if (get_iov(dev, last, 1, last->len - 1, 1, &iov, 1) < 0) {
		virtio_mmio_needs_reset(&dev->vm, "a request's status byte is not in RAM");
		return;
	}
	if (c->bad_order || c->out_len < HDR_SIZE ||
	    virtio_blk_get_out(dev, 0, &hdr, HDR_SIZE)) {
		virtio_blk_bad(r);
		return;
	}
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		read_write(r, PORTAL_IO_READ, le64toh(hdr.sector));
		break;
	case VIRTIO_BLK_T_OUT:
		read_write(r, PORTAL_IO_WRITE, le64toh(hdr.sector));
		break;
	case VIRTIO_BLK_T_FLUSH:
		flush(r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		virtio_blk_range(r, PORTAL_IO_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		virtio_blk_range(r, PORTAL_IO_ZERO);
		break;
	default:
		virtio_blk_end(r, VIRTIO_BLK_S_UNSUPP, 0);
	}
}
