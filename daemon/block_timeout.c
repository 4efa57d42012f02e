// SPDX-License-Identifier: GPL-2.0-only
/*
 * block_timeout.c - time: the clock, the timers on the ring, deadlines
 *
 * A request that is over its deadline is counted, the first of them is logged,
 * and it ends with -ETIMEDOUT as soon as that is safe: at once if the backend
 * has not seen it yet, else when the backend lets go of it. Until then it stays:
 * its memory is the guest's, who would reuse it, and a late write must not fall
 * on what the guest writes after it.
 */
#include <errno.h>
#include <time.h>
#include "block_int.h"
#include "log.h"

#define NSEC	1000000000ULL

uint64_t block_now(const struct block *blk)
{
	struct timespec ts;

	if (blk->opts.now)
		return blk->opts.now();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

/* The end of a change of a timer: the timer's own completion says it all. */
static void changed(struct portal_uring_op *op, int res)
{
	struct block *blk = (void *)((char *)op - offsetof(struct block, timer_op));

	(void)res;
	blk->timer_ops--;
}

void block_timer_arm(struct block *blk, struct block_timer *timer, uint64_t due)
{
	uint64_t now = block_now(blk), ns = due > now ? due - now : 1;
	struct io_uring_sqe *sqe;

	if (blk->stopping || (timer->armed && timer->due <= due))
		return;
	sqe = block_sqe(blk);
	if (!sqe)
		return;		/* the next request, or the next end, tries again */
	timer->due = due;
	timer->ts.tv_sec = (long long)(ns / NSEC);
	timer->ts.tv_nsec = (long long)(ns % NSEC);
	if (timer->armed) {
		/* If it fires meanwhile, that is as good. */
		io_uring_prep_timeout_update(sqe, &timer->ts, (uintptr_t)&timer->op, 0);
		io_uring_sqe_set_data(sqe, &blk->timer_op);
		blk->timer_ops++;
		return;
	}
	io_uring_prep_timeout(sqe, &timer->ts, 0, 0);
	io_uring_sqe_set_data(sqe, &timer->op);
	timer->armed = true;
}

void block_timer_stop(struct block *blk, struct block_timer *timer)
{
	struct io_uring_sqe *sqe;

	if (!timer->armed)
		return;
	sqe = block_sqe(blk);
	if (!sqe)
		return;		/* it is waited for */
	io_uring_prep_timeout_remove(sqe, (uintptr_t)&timer->op, 0);
	io_uring_sqe_set_data(sqe, &blk->timer_op);
	blk->timer_ops++;
}

bool block_timer_busy(const struct block *blk)
{
	return blk->limit_timer.armed || blk->late_timer.armed || blk->timer_ops;
}

static void limit_due(struct portal_uring_op *op, int res)
{
	struct block *blk = (void *)((char *)op - offsetof(struct block, limit_timer.op));

	(void)res;
	blk->limit_timer.armed = false;
	if (!blk->stopping)
		block_limit_kick(blk);
}

static void miss(struct block *blk, struct block_req *req)
{
	static const char *const names[] = { "read", "write", "flush", "discard", "zero" };

	req->late = true;
	blk->stats.timeouts++;
	if (!blk->nr_late++)
		log_warn("a %s of %llu bytes at %llu takes longer than %llu ms; %u requests in flight",
			 names[req->op], (unsigned long long)req->len,
			 (unsigned long long)req->offset,
			 (unsigned long long)(blk->timeout / 1000000), blk->inflight);
	block_abandon(req, -ETIMEDOUT);
}

static void late_due(struct portal_uring_op *op, int res)
{
	struct block *blk = (void *)((char *)op - offsetof(struct block, late_timer.op));
	uint64_t now = block_now(blk);
	struct block_req *req;

	(void)res;
	blk->late_timer.armed = false;
	if (blk->stopping || !blk->timeout)
		return;
	for (req = blk->oldest; req && now - req->start >= blk->timeout;) {
		if (req->late) {
			req = req->newer;
			continue;
		}
		miss(blk, req);
		req = blk->oldest;	/* others may have ended with it */
	}
	if (req)
		block_timer_arm(blk, &blk->late_timer, req->start + blk->timeout);
}

/* A request begins; while there is one, the timer is armed for the oldest. */
void block_late_begin(struct block *blk, const struct block_req *req)
{
	if (blk->timeout && !blk->late_timer.armed)
		block_timer_arm(blk, &blk->late_timer, req->start + blk->timeout);
}

void block_late_end(struct block *blk, const struct block_req *req)
{
	if (req->late && !--blk->nr_late)
		log_notice("nothing is late any more, %llu were so far",
			   (unsigned long long)blk->stats.timeouts);
}

void block_timer_init(struct block *blk)
{
	blk->limit_timer.op.done = limit_due;
	blk->late_timer.op.done = late_due;
	blk->timer_op.done = changed;
}

/**
 * block_set_timeout() - how long requests may take
 * @blk: the block layer
 * @ms: from block_submit() to the end, 0: as long as they like
 */
void block_set_timeout(struct block *blk, unsigned int ms)
{
	blk->timeout = (uint64_t)ms * 1000000;
	if (ms && blk->oldest)
		block_timer_arm(blk, &blk->late_timer, blk->oldest->start + blk->timeout);
}
