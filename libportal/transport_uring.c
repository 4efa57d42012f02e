/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * transport_uring.c - one uring_cmd that waits, and takes the replies along
 *
 * At most one command is under way per queue. It owns uring->sent, the replies
 * it carries, until its completion: with the caller's ring it may be submitted
 * long after arm(), and a command that fails early leaves them to be sent
 * again (the kernel skips those it knows). Others are collected in the other
 * buffer meanwhile; if they must go while the command is parked, they go by
 * PORTAL_QUEUE_COMMIT.
 */
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include "internal.h"
#include "transport.h"

#define RETRY_MS	20	/* when another command is parked on the queue */

struct uring {
	struct io_uring own;
	struct io_uring *caller;	/* NULL: own */
	struct replies *sent;
	bool armed;			/* in the ring, not completed */
};

static int uring_open(struct portal_queue *q, const struct portal_queue_opts *opts)
{
	struct uring *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->caller = opts->uring;
	u->sent = &q->buf[1];
	if (!u->caller) {
		err = io_uring_queue_init(4, &u->own, 0);
		if (err) {
			free(u);
			return err;
		}
		io_uring_ring_dontfork(&u->own);
	}
	q->uring = u;
	return 0;
}

static void uring_close(struct portal_queue *q)
{
	if (!q->uring)
		return;
	if (!q->uring->caller)
		io_uring_queue_exit(&q->uring->own);
	free(q->uring);
	q->uring = NULL;
}

/* Puts the command into @ring, with the replies. */
static int uring_prep(struct portal_queue *q, struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct replies *out = q->replies;
	struct portal_uring_cmd cmd = {
		.replies_uptr = out->nr ? ptr_to_u64(out->reply) : 0,
		.nr_replies = out->nr,
		.seen = q->ring.seen,
	};

	if (!sqe)
		return -EBUSY;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, q->fd, NULL, 0, 0);
	sqe->cmd_op = out->nr ? PORTAL_URING_COMMIT_AND_FETCH : PORTAL_URING_FETCH;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	sqe->user_data = portal_queue_user_data(q);

	q->replies = q->uring->sent;
	q->uring->sent = out;
	q->uring->armed = true;
	q->need_commit = false;
	return 0;
}

/* The command is over: 0 go on, -EBUSY try again in a while, -errno. */
static int uring_complete(struct portal_queue *q, int res)
{
	struct uring *u = q->uring;
	uint32_t nr = u->sent->nr;
	int err;

	u->armed = false;
	if (res >= 0 || res == -ETIME) {
		u->sent->nr = 0;
		return 0;
	}
	if (res != -ENODEV && res != -ESTALE) {
		/* Perhaps not done: head was not told, replies not taken. */
		err = queue_commit(q, u->sent);
		u->sent->nr = 0;
		if (err)
			return err;
	}
	u->sent->nr = 0;
	switch (res) {
	case -EINTR:
	case -ECANCELED:
		return 0;
	case -EAGAIN:
	case -EBUSY:
		return -EBUSY;
	case -EINVAL:
	case -EOPNOTSUPP:
		/* of a reply, dealt with; without replies the command itself */
		return nr ? 0 : res;
	default:
		return res;
	}
}

/* Takes the completion if it is there. */
static int uring_reap(struct portal_queue *q)
{
	struct io_uring_cqe *cqe;
	int res;

	if (!q->uring->armed || io_uring_peek_cqe(&q->uring->own, &cqe))
		return 0;
	res = cqe->res;
	io_uring_cqe_seen(&q->uring->own, cqe);
	return uring_complete(q, res);
}

/* Until the command completes: 0, -ETIME, -EINTR, -errno. */
static int uring_sleep(struct portal_queue *q, uint64_t deadline)
{
	struct io_uring *ring = &q->uring->own;
	int ms = remaining_ms(deadline), ret;
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000LL };
	struct io_uring_cqe *cqe;

	if (ms < 0) {
		ret = io_uring_submit_and_wait(ring, 1);
		if (ret < 0)
			return ret;
		/* submitting hides the signal that ended the wait */
		return io_uring_cq_ready(ring) ? 0 : -EINTR;
	}
	ret = io_uring_submit(ring);
	if (ret < 0)
		return ret;
	if (io_uring_cq_ready(ring))
		return 0;
	return ms ? io_uring_wait_cqe_timeout(ring, &cqe, &ts) : -ETIME;
}

static int uring_wait_own(struct portal_queue *q, int timeout_ms)
{
	uint64_t deadline = deadline_ns(timeout_ms);
	int look, err;

	for (;;) {
		err = uring_reap(q);
		if (err && err != -EBUSY && err != -ENODEV)
			return err;
		look = ring_look(&q->ring);
		/* A parked command can't take them; a new one need not. */
		if ((look || q->uring->armed || err) && (q->replies->nr || q->need_commit)) {
			int ret = queue_send(q);

			if (ret)
				return ret;
		}
		if (look)
			return look;
		if (err == -ENODEV)
			return err;
		if (err == -EBUSY) {
			struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
			int ms = remaining_ms(deadline);

			if (!ms)
				return 0;
			if (poll(&pfd, 1, ms < 0 || ms > RETRY_MS ? RETRY_MS : ms) < 0)
				return -errno;
			continue;
		}
		if (!q->uring->armed) {
			err = uring_prep(q, &q->uring->own);
			if (err)
				return err;
		}
		err = uring_sleep(q, deadline);
		if (err == -ETIME)
			return ring_look(&q->ring);
		if (err < 0)
			return err;
	}
}

static int uring_wait(struct portal_queue *q, int timeout_ms)
{
	int err;

	if (!q->uring->caller)
		return uring_wait_own(q, timeout_ms);
	/* The completions are the caller's: no sleeping here. */
	if (timeout_ms)
		return -EINVAL;
	if (q->replies->nr || q->need_commit) {
		err = queue_send(q);
		if (err)
			return err;
	}
	return ring_look(&q->ring);
}

const struct transport_ops transport_uring = {
	.open = uring_open,
	.close = uring_close,
	.wait = uring_wait,
	.send = queue_send,
	.next = queue_next,
};

/* ---- the caller's ring ------------------------------------------------- */

uint64_t portal_queue_user_data(const struct portal_queue *queue)
{
	return ptr_to_u64(queue);
}

int portal_queue_arm(struct portal_queue *queue)
{
	int err;

	if (!queue->uring || !queue->uring->caller)
		return -EINVAL;
	err = queue_release(queue);
	if (err)
		return err;
	if (!queue->uring->armed)
		return uring_prep(queue, queue->uring->caller);
	if (queue->replies->nr || queue->need_commit)
		return queue_send(queue);
	return 0;
}

int portal_queue_cqe(struct portal_queue *queue, const struct io_uring_cqe *cqe)
{
	int err, look;

	if (!queue->uring || !queue->uring->caller)
		return -EINVAL;
	err = uring_complete(queue, cqe->res);
	if (err && err != -ENODEV)
		return err;
	look = ring_look(&queue->ring);
	return look ? look : err;
}
