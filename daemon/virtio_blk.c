// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk.c - a virtio block device (virtio 1.2, 5.2): queues, life cycle
 */
#include <endian.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <linux/portal_guest.h>
#include <linux/virtio_ids.h>
#include "log.h"
#include "virtio_blk.h"

/* Requests in one go; the worker has other things to do. */
#define BUDGET		1024

static void serve(struct virtio_blk *dev, uint32_t queues);

/* Nothing is in flight when it returns, and nothing new was taken meanwhile. */
static void wait_idle(struct virtio_blk *dev)
{
	bool outer = dev->serving;

	dev->serving = true;
	/*
	 * The guest reuses its memory once we return. If we cannot wait for
	 * the I/O on it, only our death can stop it; another worker resets.
	 */
	if (block_drain(dev->blk)) {
		log_err("cannot wait for requests in flight");
		abort();
	}
	dev->serving = outer;
}

/* New windows replace old ones, so nothing in flight may use them. */
bool virtio_blk_refresh(struct virtio_blk *dev)
{
	wait_idle(dev);
	return portal_mem_refresh(dev->env->mem) > 0;
}

static void cache_flushed(struct block_req *req, int err)
{
	struct virtio_blk *dev = (void *)((char *)req - offsetof(struct virtio_blk, cache_flush));

	dev->cache_err = err;
}

int virtio_blk_flush_cache(struct virtio_blk *dev)
{
	wait_idle(dev);
	dev->cache_flush.op = PORTAL_IO_FLUSH;
	dev->cache_flush.done = cache_flushed;
	block_submit(dev->blk, &dev->cache_flush);
	wait_idle(dev);
	serve(dev, 0);
	return dev->cache_err;
}

/* False: the ring is full, go on at once. */
static bool later(struct virtio_blk *dev, unsigned int q)
{
	struct io_uring_sqe *sqe;

	if (!dev->again_armed) {
		sqe = io_uring_get_sqe(dev->env->uring);
		if (!sqe)
			return false;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, &dev->again);
		dev->again_armed = true;
	}
	dev->over_budget |= 1U << q;
	return true;
}

static void serve_queue(struct virtio_blk *dev, unsigned int q)
{
	struct virtqueue *vq = &dev->vm.vq[q];
	const char *why = "a ring or a descriptor table is not in RAM";
	bool refreshed = false;
	unsigned int n = 0;
	int ret;

	while (virtio_mmio_running(&dev->vm, q)) {
		if (++n > BUDGET && later(dev, q))
			return;
		ret = virtqueue_pop(vq, &dev->chain, &why);
		if (ret == VIRTQUEUE_CHAIN) {
			dev->requests++;
			virtio_blk_handle(dev, q);
		} else if (ret == VIRTQUEUE_EMPTY) {
			if (!virtqueue_arm(vq))
				return;
		} else if (ret == -EFAULT && !refreshed) {
			refreshed = true;
			virtio_blk_refresh(dev);
		} else {
			virtio_mmio_needs_reset(&dev->vm, why);
		}
	}
}

/*
 * A request may have to wait for others, and while it does again() may run: it
 * must not take another one into dev->chain.
 */
static void serve(struct virtio_blk *dev, uint32_t queues)
{
	unsigned int q;

	dev->due |= queues;
	if (dev->serving)
		return;
	dev->serving = true;
	while (dev->due) {
		q = (unsigned int)__builtin_ctz(dev->due);
		dev->due &= dev->due - 1;
		serve_queue(dev, q);
	}
	dev->serving = false;
}

static void notify(void *arg, unsigned int q)
{
	serve(arg, 1U << q);
}

static void again(struct portal_uring_op *op, int res)
{
	struct virtio_blk *dev = (void *)((char *)op - offsetof(struct virtio_blk, again));
	uint32_t queues = dev->over_budget;

	(void)res;
	dev->again_armed = false;
	dev->over_budget = 0;
	serve(dev, queues);
}

static void quiesce(void *arg)
{
	struct virtio_blk *dev = arg;

	/* A reset: nobody wants the results. Of what else waits somebody does. */
	if (dev->vm.quiescing == ~0U)
		block_cancel(dev->blk);
	wait_idle(dev);
}

static int wait_uring(void *arg)
{
	struct virtio_blk *dev = arg;

	return dev->env->wait(dev->env);
}

static void resized(void *arg)
{
	struct virtio_blk *dev = arg;

	virtio_blk_set_capacity(dev);
	virtio_mmio_config_changed(&dev->vm);
}

static int create(struct frontend_env *env, void **fe)
{
	struct virtio_mmio_device desc = {
		.device_id = VIRTIO_ID_BLOCK,
		.config_len = sizeof(struct virtio_blk_config),
		.notify = notify,
		.quiesce = quiesce,
		.configure = virtio_blk_configure,
		.config_write = virtio_blk_config_write,
	};
	struct block_opts opts = {
		.uring = env->uring,
		.wait = wait_uring,
		.resized = resized,
	};
	struct virtio_blk *dev;
	int err;

	if (!env->wait || env->state_len < sizeof(struct virtio_blk_state))
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
	desc.features = virtio_blk_set_config(dev);
	desc.nr_queues = le16toh(dev->config.num_queues);
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

	if (err)
		return err;
	if (resume)
		virtio_blk_restore_config(dev);
	return virtio_mmio_enable(&dev->vm, resume);
}

static void reg_write(void *fe, uint32_t offset, uint32_t len, uint64_t value)
{
	struct virtio_blk *dev = fe;

	virtio_mmio_write(&dev->vm, offset, len, value);
}

static void doorbell(void *fe, uint32_t range, uint32_t count)
{
	struct virtio_blk *dev = fe;

	virtio_mmio_doorbell(&dev->vm, range, count);
}

static void end_round(void *fe)
{
	struct virtio_blk *dev = fe;

	virtio_mmio_end_round(&dev->vm);
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

/* Requests since the queue was started. */
static const char *const queue_keys[VIRTIO_MMIO_QUEUES_MAX] = {
	"queue0", "queue1", "queue2", "queue3",
};

static void report(void *fe, void (*emit)(void *arg, const char *key, uint64_t val),
		   void *arg)
{
	struct virtio_blk *dev = fe;
	unsigned int q;

	block_report(dev->blk, emit, arg);
	emit(arg, "requests", dev->requests);
	emit(arg, "bad_requests", dev->bad_requests);
	for (q = 0; q < VIRTIO_MMIO_QUEUES_MAX; q++) {
		if (dev->vm.st->vq[q].ready)
			emit(arg, queue_keys[q], dev->vm.st->vq[q].counter);
	}
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
	.state_len = sizeof(struct virtio_blk_state),
	.ranges = virtio_blk_ranges,
	.nr_ranges = VIRTIO_BLK_NR_RANGES,
	.create = create,
	.enable = enable,
	.write = reg_write,
	.doorbell = doorbell,
	.end_round = end_round,
	.disable = disable,
	.inflight = inflight,
	.block = block_of,
	.stat = report,
	.destroy = destroy,
};
