// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk.c - a virtio block device (virtio 1.2, 5.2)
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
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <linux/portal_guest.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include "block.h"
#include "log.h"
#include "virtio_blk.h"

#define SECTOR_SHIFT	9
#define SECTOR_SIZE	512U
#define HDR_SIZE	sizeof(struct virtio_blk_outhdr)
/* Any chain, with a few buffers that cross windows. */
#define REQ_IOVS	(VIRTQUEUE_NUM_MAX + 16)
/* Requests in one go; the worker has other things to do. */
#define BUDGET		1024

struct virtio_blk;

/**
 * struct blk_req - a request in flight; there is one for each head descriptor
 * @req: for the block layer
 * @dev: the device
 * @queue: where it came from
 * @head: its head descriptor
 * @written: bytes of data in guest memory if it succeeds
 * @status: guest address of the status byte
 * @iov: the data
 */
struct blk_req {
	struct block_req req;
	struct virtio_blk *dev;
	uint16_t queue;
	uint16_t head;
	uint32_t written;
	uint64_t status;
	struct iovec iov[REQ_IOVS];
};

struct virtio_blk {
	struct virtio_mmio vm;
	struct frontend_env *env;
	struct block *blk;
	struct virtio_blk_config config;
	uint64_t bad_requests;
	struct portal_uring_op again;	/* a nop on the ring: budget was used up */
	bool again_armed;
	struct virtqueue_chain chain;	/* the request being looked at */
	struct blk_req reqs[VIRTIO_BLK_QUEUES][VIRTQUEUE_NUM_MAX];
};

/*
 * The VMM may have changed the guest's memory. New windows replace old ones,
 * so nothing in flight may use them. True: look again.
 */
static bool refresh(struct virtio_blk *dev)
{
	if (block_drain(dev->blk))
		abort();	/* see quiesce() */
	return portal_mem_refresh(dev->env->mem) > 0;
}

static int get_iov(struct virtio_blk *dev, const struct virtqueue_seg *segs, uint32_t nr,
		   uint64_t skip, uint64_t len, struct iovec *iov, uint32_t max)
{
	int n = virtqueue_iov(dev->env->mem, segs, nr, skip, len, iov, max);

	if (n == -EFAULT && refresh(dev))
		n = virtqueue_iov(dev->env->mem, segs, nr, skip, len, iov, max);
	return n;
}

/* The readable part, from its start. */
static int get_out(struct virtio_blk *dev, void *buf, size_t len)
{
	struct iovec iov[2 * sizeof(struct virtio_blk_outhdr)];
	const struct virtqueue_chain *c = &dev->chain;
	char *p = buf;
	int i, n;

	n = get_iov(dev, c->seg, c->nr_out, 0, len, iov, sizeof(iov) / sizeof(iov[0]));
	for (i = 0; i < n; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	/* The only fetch: what follows uses the copy and not guest memory. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return n < 0 ? n : 0;
}

static void req_end(struct blk_req *r, uint8_t status, uint32_t written)
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
static void req_bad(struct blk_req *r)
{
	r->dev->bad_requests++;
	req_end(r, VIRTIO_BLK_S_IOERR, 0);
}

static void io_done(struct block_req *req, int err)
{
	struct blk_req *r = (void *)((char *)req - offsetof(struct blk_req, req));

	/* Of a failed read nobody knows how much is there: 0 is always true. */
	if (!err)
		req_end(r, VIRTIO_BLK_S_OK, r->written + 1);
	else
		req_end(r, err == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR, 0);
}

static void submit(struct blk_req *r)
{
	/* A request before it may have stopped the device while get_iov() waited. */
	if (!virtio_mmio_running(&r->dev->vm, r->queue))
		return;
	r->req.done = io_done;
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
		req_bad(r);
		return;
	}
	if (in)
		n = get_iov(dev, c->seg + c->nr_out, c->nr_in, 0, len, r->iov, REQ_IOVS);
	else
		n = get_iov(dev, c->seg, c->nr_out, HDR_SIZE, len, r->iov, REQ_IOVS);
	if (n < 0) {
		req_bad(r);
		return;
	}
	r->written = in ? (uint32_t)len : 0;
	r->req.op = op;
	/* A driver that can't flush gets a write-through cache. */
	r->req.flags = !in && !virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_FLUSH) ?
		PORTAL_IO_F_FUA : 0;
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
		req_bad(r);
		return;
	}
	for (i = 0; i < n; i++) {
		memcpy(r->iov[i].iov_base, p, r->iov[i].iov_len);
		p += r->iov[i].iov_len;
	}
	/* The status is written too, but only next to the id does it count. */
	req_end(r, VIRTIO_BLK_S_OK, len == room ? len + 1 : len);
}

static void handle(struct virtio_blk *dev, unsigned int q)
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
	if (c->bad_order || c->out_len < HDR_SIZE || get_out(dev, &hdr, HDR_SIZE)) {
		req_bad(r);
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
	default:
		req_end(r, VIRTIO_BLK_S_UNSUPP, 0);
	}
}

/* False: the ring is full, go on at once. */
static bool later(struct virtio_blk *dev)
{
	struct io_uring_sqe *sqe;

	if (dev->again_armed)
		return true;
	sqe = io_uring_get_sqe(dev->env->uring);
	if (!sqe)
		return false;
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, &dev->again);
	dev->again_armed = true;
	return true;
}

static void notify(void *arg, unsigned int q)
{
	struct virtio_blk *dev = arg;
	struct virtqueue *vq = &dev->vm.vq[q];
	const char *why = "a ring or a descriptor table is not in RAM";
	bool refreshed = false;
	unsigned int n = 0;
	int ret;

	while (virtio_mmio_running(&dev->vm, q)) {
		if (++n > BUDGET && later(dev))
			return;
		ret = virtqueue_pop(vq, &dev->chain, &why);
		if (ret == VIRTQUEUE_CHAIN) {
			handle(dev, q);
		} else if (ret == VIRTQUEUE_EMPTY) {
			if (!virtqueue_arm(vq))
				return;
		} else if (ret == -EFAULT && !refreshed) {
			refreshed = true;
			refresh(dev);
		} else {
			virtio_mmio_needs_reset(&dev->vm, why);
		}
	}
}

static void again(struct portal_uring_op *op, int res)
{
	struct virtio_blk *dev = (void *)((char *)op - offsetof(struct virtio_blk, again));
	unsigned int q;

	(void)res;
	dev->again_armed = false;
	for (q = 0; q < VIRTIO_BLK_QUEUES; q++)
		notify(dev, q);
}

static void quiesce(void *arg)
{
	struct virtio_blk *dev = arg;

	/*
	 * The guest reuses its memory once we return. If we cannot wait for
	 * the I/O on it, only our death can stop it; another worker resets.
	 */
	block_cancel(dev->blk);
	if (block_drain(dev->blk)) {
		log_err("cannot wait for requests in flight");
		abort();
	}
}

static int wait_uring(void *arg)
{
	struct virtio_blk *dev = arg;

	return dev->env->wait(dev->env);
}

static void set_capacity(struct virtio_blk *dev)
{
	dev->config.capacity = htole64(block_info(dev->blk)->size >> SECTOR_SHIFT);
}

static void resized(void *arg)
{
	struct virtio_blk *dev = arg;

	set_capacity(dev);
	virtio_mmio_config_changed(&dev->vm);
}

static uint64_t set_config(struct virtio_blk *dev)
{
	const struct backend_info *info = block_info(dev->blk);
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_SEG_MAX |
			    1ULL << VIRTIO_BLK_F_BLK_SIZE |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			    1ULL << VIRTIO_RING_F_EVENT_IDX;

	set_capacity(dev);
	dev->config.seg_max = htole32(VIRTIO_BLK_SEG_MAX);
	dev->config.blk_size = htole32(info->logical);
	if (info->flush)
		features |= 1ULL << VIRTIO_BLK_F_FLUSH;
	if (!info->writable)
		features |= 1ULL << VIRTIO_BLK_F_RO;
	return features;
}

static int create(struct frontend_env *env, void **fe)
{
	struct virtio_mmio_device desc = {
		.device_id = VIRTIO_ID_BLOCK,
		.nr_queues = VIRTIO_BLK_QUEUES,
		.config_len = sizeof(struct virtio_blk_config),
		.notify = notify,
		.quiesce = quiesce,
	};
	struct block_opts opts = {
		.uring = env->uring,
		.wait = wait_uring,
		.resized = resized,
	};
	struct virtio_blk *dev;
	int err;

	if (!env->wait)
		return -EINVAL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->env = env;
	dev->again.done = again;
	opts.arg = dev;
	err = block_create(env->backend, &opts, &dev->blk);
	if (err)
		goto free_dev;
	desc.features = set_config(dev);
	desc.config = &dev->config;
	desc.arg = dev;
	err = virtio_mmio_init(&dev->vm, env, &desc);
	if (err)
		goto destroy_blk;
	*fe = dev;
	return 0;

destroy_blk:
	block_destroy(dev->blk);
free_dev:
	free(dev);
	return err;
}

static int enable(void *fe, bool resume)
{
	struct virtio_blk *dev = fe;
	int err = block_start(dev->blk);

	return err ? err : virtio_mmio_enable(&dev->vm, resume);
}

static void reg_write(void *fe, uint32_t offset, uint32_t len, uint64_t value)
{
	struct virtio_blk *dev = fe;

	virtio_mmio_write(&dev->vm, offset, len, value);
}

static void disable(void *fe)
{
	struct virtio_blk *dev = fe;

	virtio_mmio_disable(&dev->vm);
}

static unsigned int inflight(void *fe)
{
	struct virtio_blk *dev = fe;

	return block_inflight(dev->blk);
}

static struct block *block_of(void *fe, uint32_t sid)
{
	struct virtio_blk *dev = fe;

	return sid ? NULL : dev->blk;
}

static void report(void *fe, void (*emit)(void *arg, const char *key, uint64_t val),
		   void *arg)
{
	struct virtio_blk *dev = fe;

	block_report(dev->blk, emit, arg);
	emit(arg, "bad_requests", dev->bad_requests);
	emit(arg, "notifications", dev->vm.notifications);
	emit(arg, "interrupts", dev->vm.interrupts);
	emit(arg, "resets", dev->vm.st->resets);
	emit(arg, "status", dev->vm.st->status);
}

static void destroy(void *fe)
{
	struct virtio_blk *dev = fe;

	dev->vm.quiescing = ~0U;	/* the guest's memory is not ours any more */
	while (dev->again_armed) {
		int err = dev->env->wait(dev->env);

		if (err < 0 && err != -EINTR)
			abort();	/* the ring would call freed memory */
	}
	block_destroy(dev->blk);
	free(dev);
}

const struct frontend_ops virtio_blk_frontend = {
	.name = "virtio-blk",
	.slot_type = PORTAL_SLOT_VIRTIO_MMIO,
	.region_len = VIRTIO_MMIO_REGION_LEN,
	.state_len = sizeof(struct virtio_mmio_state),
	.ranges = virtio_mmio_ranges,
	.nr_ranges = VIRTIO_MMIO_NR_RANGES,
	.create = create,
	.enable = enable,
	.write = reg_write,
	.disable = disable,
	.inflight = inflight,
	.block = block_of,
	.stat = report,
	.destroy = destroy,
};
