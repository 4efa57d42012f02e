// SPDX-License-Identifier: GPL-2.0-only
/*
 * block.c - the block layer: checks requests and runs them, piece by piece
 *
 * block_run() starts the next piece, block_piece_end() is its end. An async
 * plugin ends pieces mostly in the event thread; anything that ends in another
 * thread is put on a list and the event thread is woken by an eventfd that the
 * worker's ring reads.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block_int.h"

struct io_uring_sqe *block_sqe(struct block *blk)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(blk->opts.uring);

	if (!sqe && io_uring_submit(blk->opts.uring) >= 0)
		sqe = io_uring_get_sqe(blk->opts.uring);
	return sqe;
}

static void wake(struct block *blk)
{
	uint64_t one = 1;
	ssize_t n;

	do {
		n = write(blk->wake_fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

/* What front ends tell apart; how it was called below is in the statistics. */
static int map_error(const struct block_req *req, int err)
{
	switch (err) {
	case 0:
	case -ENOSPC:
	case -EROFS:
	case -EOPNOTSUPP:
	case -ERANGE:
	case -EINVAL:
	case -ENOMEM:
	case -ETIMEDOUT:
		return err;
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	case -ECANCELED:
		if (!req->cancelled)
			return -EIO;
		return req->late ? -ETIMEDOUT : -ECANCELED;
	default:
		return -EIO;
	}
}

static void age_add(struct block *blk, struct block_req *req)
{
	req->newer = NULL;
	req->older = blk->newest;
	if (blk->newest)
		blk->newest->newer = req;
	else
		blk->oldest = req;
	blk->newest = req;
}

static void age_remove(struct block *blk, struct block_req *req)
{
	if (req->older)
		req->older->newer = req->newer;
	else
		blk->oldest = req->newer;
	if (req->newer)
		req->newer->older = req->older;
	else
		blk->newest = req->older;
}

void block_finish(struct block_req *req, int err)
{
	struct block *blk = req->blk;

	req->err = err;
	if (req->cancelled && (err == -ECANCELED || err == -ETIMEDOUT))
		blk->stats.cancelled++;
	block_stats_end(blk, req);
	block_late_end(blk, req);
	age_remove(blk, req);
	blk->inflight--;
	if (req->state != BLOCK_WAITING)
		blk->active--;
	block_limit_kick(blk);
	req->done(req, map_error(req, req->err));
}

/* A loop and no recursion: a plugin may end every piece inside submit(). */
void block_run(struct block_req *req)
{
	struct block *blk = req->blk;
	int err, more;

	while ((more = block_next_piece(req)) == PIECE_READY) {
		if (!blk->info->async) {
			block_pool_add(req);
			return;
		}
		req->state = BLOCK_RUNNING;
		req->ended = false;
		req->starting = true;
		err = backend_start(blk->be, &req->bio);
		req->starting = false;
		if (!err && !req->ended)
			return;
		req->err = block_piece_done(req, err ? err : req->err);
	}
	if (more == PIECE_NONE)
		block_finish(req, req->err);
}

void block_piece_end(struct backend_io *bio, int err)
{
	struct block_req *req = (void *)((char *)bio - offsetof(struct block_req, bio));
	struct block *blk = req->blk;
	struct block_req *old;

	req->err = err;
	if (pthread_equal(pthread_self(), blk->owner)) {
		if (req->starting) {
			req->ended = true;
		} else {
			req->err = block_piece_done(req, err);
			block_run(req);
		}
		return;
	}
	/* Once on the list, @req and then @blk may go; see block_destroy(). */
	__atomic_add_fetch(&blk->wakers, 1, __ATOMIC_ACQUIRE);
	/* Release: the event thread reads what we wrote; see ended_list(). */
	old = __atomic_load_n(&blk->ended, __ATOMIC_RELAXED);
	do {
		req->next = old;
	} while (!__atomic_compare_exchange_n(&blk->ended, &old, req, true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	/* Whoever put the first one there wakes; the list is taken as a whole. */
	if (!old)
		wake(blk);
	__atomic_sub_fetch(&blk->wakers, 1, __ATOMIC_RELEASE);
}

/* Requests that ended in other threads, in the order of their end. */
static struct block_req *ended_list(struct block *blk)
{
	/* Acquire: pairs with block_piece_end(). */
	struct block_req *req = __atomic_exchange_n(&blk->ended, NULL, __ATOMIC_ACQUIRE);
	struct block_req *list = NULL;

	while (req) {
		struct block_req *next = req->next;

		req->next = list;
		list = req;
		req = next;
	}
	return list;
}

static int arm_wake(struct block *blk)
{
	struct io_uring_sqe *sqe = block_sqe(blk);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_read(sqe, blk->wake_fd, &blk->wake_count, sizeof(blk->wake_count), 0);
	io_uring_sqe_set_data(sqe, &blk->wake_op);
	blk->wake_armed = true;
	return 0;
}

static void woken(struct portal_uring_op *op, int res)
{
	struct block *blk = (void *)((char *)op - offsetof(struct block, wake_op));
	struct block_req *req;

	(void)res;
	blk->wake_armed = false;
	if (blk->stopping)
		return;
	/* Deaf, the worker would hang for ever; a new one goes on instead. */
	if (arm_wake(blk))
		abort();
	for (req = ended_list(blk); req;) {
		struct block_req *next = req->next;

		req->err = block_piece_done(req, req->err);
		block_run(req);
		req = next;
	}
	if (__atomic_exchange_n(&blk->resized, false, __ATOMIC_ACQ_REL))
		block_update_size(blk);
}

static void size_changed(void *arg)
{
	struct block *blk = arg;

	__atomic_store_n(&blk->resized, true, __ATOMIC_RELEASE);
	wake(blk);
}

static void use_backend(struct block *blk, struct backend *be)
{
	blk->be = be;
	blk->info = backend_info(be);
	blk->no_discard = !blk->info->discard;
	blk->no_zero = !blk->info->zero;
	blk->no_memory = false;
	backend_on_size_changed(be, size_changed, blk);
}

/**
 * block_create() - a block layer on a backend
 * @be: the backend
 * @opts: copied
 * @blk: (out) the block layer
 *
 * Return: 0 or -errno.
 */
int block_create(struct backend *be, const struct block_opts *opts, struct block **blk)
{
	struct block *b;

	if (!opts->uring || !opts->wait)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->opts = *opts;
	b->owner = pthread_self();
	b->wake_op.done = woken;
	b->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (b->wake_fd < 0) {
		int err = -errno;

		free(b);
		return err;
	}
	block_limit_init(b);
	block_timer_init(b);
	block_emulate_init(b);
	block_pool_init(b);
	use_backend(b, be);
	*blk = b;
	return 0;
}

/**
 * block_start() - get ready for requests
 * @blk: the block layer; may be started already
 *
 * Apart from block_create() so that threads start inside the worker's sandbox.
 *
 * Return: 0 or -errno.
 */
int block_start(struct block *blk)
{
	int err;

	blk->owner = pthread_self();
	if (!blk->wake_armed) {
		err = arm_wake(blk);
		if (err)
			return err;
	}
	blk->started = true;
	return blk->info->async ? 0 : block_pool_start(blk);
}

static int check(const struct backend_info *info, const struct block_req *req)
{
	switch (req->op) {
	case PORTAL_IO_READ:
		break;
	case PORTAL_IO_WRITE:
	case PORTAL_IO_DISCARD:
	case PORTAL_IO_ZERO:
		if (!info->writable)
			return -EROFS;
		break;
	case PORTAL_IO_FLUSH:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
	if (req->offset > info->size || req->len > info->size - req->offset)
		return -ERANGE;
	if ((req->offset | req->len) & (info->logical - 1) || req->iovcnt > BLOCK_IO_IOVS)
		return -EINVAL;
	return 0;
}

/**
 * block_submit() - start a request
 * @blk: the block layer
 * @req: ends by its done(), perhaps before this returns. -ERANGE: beyond the
 *	end, -EINVAL: not in whole blocks, -EROFS, or what became of the
 *	backend's error. A discard that the backend can't do is right and does
 *	nothing; zeroes that it can't do are written.
 */
void block_submit(struct block *blk, struct block_req *req)
{
	const struct backend_info *info = blk->info;

	req->blk = blk;
	req->bio.end = block_piece_end;
	req->bounce = NULL;
	req->start = block_now(blk);
	req->pos = 0;
	req->iov_pos = 0;
	req->iov_off = 0;
	req->state = BLOCK_WAITING;
	req->starting = false;
	req->flush = false;
	req->emulate = false;
	req->cancelled = false;
	req->late = false;
	req->err = check(info, req);

	if (++blk->inflight > blk->stats.inflight_max)
		blk->stats.inflight_max = blk->inflight;
	age_add(blk, req);
	if (req->op == PORTAL_IO_FLUSH) {
		req->len = 0;
		req->flush = info->flush;
	} else if (req->flags & PORTAL_IO_F_FUA && !info->fua) {
		req->flags &= ~PORTAL_IO_F_FUA;
		req->flush = info->flush && req->op != PORTAL_IO_READ;
		if (req->flush)
			blk->stats.emulated++;
	}
	if (req->err) {
		block_finish(req, req->err);
		return;
	}
	block_late_begin(blk, req);
	block_limit_admit(req);
}

void block_abandon(struct block_req *req, int err)
{
	bool forgotten = false;

	req->cancelled = true;
	switch (req->state) {
	case BLOCK_WAITING:
		forgotten = block_limit_forget(req);
		break;
	case BLOCK_UNBUFFERED:
		forgotten = block_bounce_forget(req);
		break;
	case BLOCK_POOLED:
		forgotten = block_pool_forget(req);
		if (forgotten)
			block_piece_done(req, err);	/* gives the bounce buffer back */
		break;
	default:
		break;
	}
	if (!forgotten) {
		backend_cancel(req->blk->be, &req->bio);
		return;
	}
	block_finish(req, err);
}

/**
 * block_cancel() - nobody wants the results of what is in flight
 * @blk: the block layer
 *
 * What the backend has not seen ends with -ECANCELED; of the rest it is asked
 * to end early, if it can. block_drain() then waits for that.
 */
void block_cancel(struct block *blk)
{
	uint64_t begin = block_now(blk);
	struct block_req *req = blk->oldest;

	while (req && req->start <= begin) {
		if (req->cancelled) {
			req = req->newer;
			continue;
		}
		block_abandon(req, -ECANCELED);
		req = blk->oldest;	/* its done() may have ended others, too */
	}
}

/**
 * block_cancel_one() - nobody wants the result of this one
 * @req: in flight; its done() may run before this returns
 */
void block_cancel_one(struct block_req *req)
{
	if (!req->cancelled)
		block_abandon(req, -ECANCELED);
}

unsigned int block_inflight(const struct block *blk)
{
	return blk->inflight;
}

/**
 * block_drain() - wait until every request has ended
 * @blk: the block layer
 *
 * Rate limits do not count meanwhile.
 *
 * Return: 0, or -errno if the ring cannot be waited on: then the backend may
 * still write to the requests' memory.
 */
int block_drain(struct block *blk)
{
	int err = 0;

	blk->draining++;
	block_limit_kick(blk);
	while (blk->inflight && !err) {
		err = blk->opts.wait(blk->opts.arg);
		if (err > 0 || err == -EINTR)
			err = 0;
	}
	blk->draining--;
	return err;
}

/**
 * block_swap() - go on with another backend
 * @blk: the block layer; what is in flight ends on the old one
 * @be: the guest must not notice more than a new size
 *
 * Return: 0: the old backend is the caller's again; -EINVAL: its blocks are
 * larger, -EROFS: it can't be written to and the old one can; or -errno, and
 * nothing has changed.
 */
int block_swap(struct block *blk, struct backend *be)
{
	const struct backend_info *old = blk->info, *new = backend_info(be);
	int err;

	if (new->logical > old->logical)
		return -EINVAL;
	if (old->writable && !new->writable)
		return -EROFS;
	err = block_drain(blk);
	if (err)
		return err;
	if (blk->started && !new->async) {
		/* As many threads as it needs: a serial one gets only one. */
		block_pool_stop(blk);
		backend_on_size_changed(blk->be, NULL, NULL);
		use_backend(blk, be);
		err = block_pool_start(blk);
		if (err)
			abort();	/* neither old nor new can run: begin again */
	} else {
		block_pool_stop(blk);
		backend_on_size_changed(blk->be, NULL, NULL);
		use_backend(blk, be);
	}
	if (blk->opts.resized && new->size != old->size)
		blk->opts.resized(blk->opts.arg);
	return 0;
}

/**
 * block_update_size() - the medium may have a new size
 * @blk: the block layer
 *
 * Return: 0 or the backend's -errno, and then the size is as it was.
 */
int block_update_size(struct block *blk)
{
	int err = backend_update_size(blk->be);

	if (!err && blk->opts.resized)
		blk->opts.resized(blk->opts.arg);
	return err;
}

const struct backend_info *block_info(const struct block *blk)
{
	return blk->info;
}

/**
 * block_destroy() - wait for all requests and end the threads
 * @blk: may be NULL
 */
void block_destroy(struct block *blk)
{
	if (!blk)
		return;
	if (block_drain(blk))
		abort();
	backend_on_size_changed(blk->be, NULL, NULL);
	block_pool_stop(blk);
	blk->stopping = true;
	wake(blk);
	block_timer_stop(blk, &blk->limit_timer);
	block_timer_stop(blk, &blk->late_timer);
	while (blk->wake_armed || block_timer_busy(blk)) {
		int err = blk->opts.wait(blk->opts.arg);

		if (err < 0 && err != -EINTR)
			abort();	/* the ring would write into freed memory */
	}
	while (__atomic_load_n(&blk->wakers, __ATOMIC_ACQUIRE))
		sched_yield();
	close(blk->wake_fd);
	block_pool_free(blk);
	block_emulate_free(blk);
	free(blk);
}
