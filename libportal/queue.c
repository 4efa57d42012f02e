/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * queue.c - a queue, and the one loop its users write
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"
#include "transport.h"

#define ENTRIES_DEFAULT	256
#define NSEC_PER_MSEC	1000000ULL

static const struct transport_ops *const transports[] = {
	[PORTAL_TRANSPORT_URING] = &transport_uring,
	[PORTAL_TRANSPORT_READ] = &transport_read,
	[PORTAL_TRANSPORT_POLL] = &transport_poll,
};

/* ---- life -------------------------------------------------------------- */

static int opts_get(struct portal_queue_opts *o, const struct portal_queue_opts *opts)
{
	int err = portal_opts_copy(o, sizeof(*o), opts);

	if (err)
		return err;
	if (o->transport >= sizeof(transports) / sizeof(transports[0]))
		return -EOPNOTSUPP;
	return 0;
}

static int queue_wrap(int fd, const struct portal_queue_opts *o, struct portal_queue **queue)
{
	struct portal_queue_info info = PORTAL_ARG(portal_queue_info);
	struct portal_queue *q;
	int err;

	err = portal_ioctl(fd, PORTAL_QUEUE_INFO, &info);
	if (err < 0)
		return err == -ENOTTY ? -ENXIO : err;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->fd = fd;
	q->id = info.out_queue_id;
	q->entries = info.out_entries;
	q->replies = &q->buf[0];
	q->ops = transports[o->transport];
	if (!q->entries)
		err = -EPROTO;
	else if (!q->ops->unmapped)
		err = ring_open(&q->ring, fd, &info);
	if (err >= 0 && q->ops->open)
		err = q->ops->open(q, o);
	if (err < 0) {
		ring_close(&q->ring);
		free(q);
		return err;
	}
	*queue = q;
	return 0;
}

int portal_queue_create(struct portal_vm *vm, const struct portal_queue_opts *opts,
			struct portal_queue **queue)
{
	struct portal_queue_create arg;
	struct portal_queue_opts o;
	int err;

	err = opts_get(&o, opts);
	if (err)
		return err;
	arg = PORTAL_ARG(portal_queue_create,
			 .flags = o.flags,
			 .entries = o.entries ? o.entries : ENTRIES_DEFAULT,
			 .orphan = o.orphan,
			 .hold_ns = o.hold_ns);
	err = portal_ioctl(vm->fd, PORTAL_QUEUE_CREATE, &arg);
	if (err < 0)
		return err;
	err = queue_wrap(arg.out_fd, &o, queue);
	if (err) {
		portal_queue_del(vm, arg.out_queue_id);
		close(arg.out_fd);
	}
	return err;
}

static int open_fd(struct portal_vm *vm, uint32_t queue_id, uint64_t flags)
{
	struct portal_queue_open arg = PORTAL_ARG(portal_queue_open, .queue_id = queue_id,
						  .flags = (uint32_t)flags);
	int err;

	if (flags > UINT32_MAX)
		return -EOPNOTSUPP;
	err = portal_ioctl(vm->fd, PORTAL_QUEUE_OPEN, &arg);
	return err < 0 ? err : arg.out_fd;
}

int portal_queue_open_fd(struct portal_vm *vm, uint32_t queue_id)
{
	return open_fd(vm, queue_id, 0);
}

int portal_queue_open(struct portal_vm *vm, uint32_t queue_id,
		      const struct portal_queue_opts *opts, struct portal_queue **queue)
{
	struct portal_queue_opts o;
	int fd, err;

	err = opts_get(&o, opts);
	if (err)
		return err;
	fd = open_fd(vm, queue_id, o.open_flags);
	if (fd < 0)
		return fd;
	err = queue_wrap(fd, &o, queue);
	if (err)
		close(fd);
	return err;
}

int portal_queue_from_fd(int fd, const struct portal_queue_opts *opts,
			 struct portal_queue **queue)
{
	struct portal_queue_opts o;
	int err;

	err = opts_get(&o, opts);
	return err ? err : queue_wrap(fd, &o, queue);
}

int portal_queue_del(struct portal_vm *vm, uint32_t queue_id)
{
	return portal_id_ioctl(vm->fd, PORTAL_QUEUE_DEL, queue_id);
}

uint32_t portal_queue_id(const struct portal_queue *queue)
{
	return queue->id;
}

int portal_queue_fd(const struct portal_queue *queue)
{
	return queue->fd;
}

int portal_queue_get_info(struct portal_queue *queue, struct portal_queue_info *info)
{
	*info = PORTAL_ARG(portal_queue_info);
	return portal_ioctl(queue->fd, PORTAL_QUEUE_INFO, info);
}

int portal_queue_cancel(struct portal_queue *queue)
{
	struct portal_queue_cancel arg = PORTAL_ARG(portal_queue_cancel);

	return portal_ioctl(queue->fd, PORTAL_QUEUE_CANCEL, &arg);
}

void portal_queue_close(struct portal_queue *queue)
{
	if (!queue)
		return;
	/* Answers that were given go out; what was not done stays in the ring. */
	if (queue->replies->nr)
		queue->ops->send(queue);
	if (queue->ops->close)
		queue->ops->close(queue);
	ring_close(&queue->ring);
	close(queue->fd);
	free(queue);
}

/* ---- the loop ---------------------------------------------------------- */

int queue_release(struct portal_queue *q)
{
	int ret;

	if (q->ops->unmapped)
		return 0;
	ret = ring_release(&q->ring);
	if (ret > 0)
		q->need_commit = true;
	return ret < 0 ? ret : 0;
}

int queue_send(struct portal_queue *q)
{
	return queue_commit(q, q->replies);
}

const struct portal_request *queue_next(struct portal_queue *q)
{
	return ring_next(&q->ring);
}

int portal_queue_wait(struct portal_queue *queue, int timeout_ms)
{
	int err = queue_release(queue);

	return err ? err : queue->ops->wait(queue, timeout_ms);
}

const struct portal_request *portal_queue_next(struct portal_queue *queue)
{
	return queue->ops->next(queue);
}

int portal_queue_hold(struct portal_queue *queue, const struct portal_request *req)
{
	return queue->ops->unmapped ? -EOPNOTSUPP : ring_hold(&queue->ring, req);
}

int portal_queue_done(struct portal_queue *queue, uint64_t id)
{
	return queue->ops->unmapped ? -EOPNOTSUPP : ring_done(&queue->ring, id);
}

int portal_queue_flush(struct portal_queue *queue)
{
	int err = queue_release(queue);

	if (err || (!queue->replies->nr && !queue->need_commit))
		return err;
	return queue->ops->send(queue);
}

/* ---- time -------------------------------------------------------------- */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NSEC_PER_MSEC + (uint64_t)ts.tv_nsec;
}

uint64_t deadline_ns(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : now_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
}

int remaining_ms(uint64_t deadline)
{
	uint64_t now, ms;

	if (deadline == UINT64_MAX)
		return -1;
	now = now_ns();
	if (now >= deadline)
		return 0;
	ms = (deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}
