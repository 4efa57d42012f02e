// SPDX-License-Identifier: GPL-2.0-only
/*
 * block.c - the block layer: bounds, pieces, FUA, threads for simple plugins
 *
 * A request runs piece by piece: run() starts the next piece, piece_end() is
 * its end. An async plugin ends pieces mostly in the event thread; anything
 * that ends in another thread is put on a list and the event thread is woken
 * by an eventfd that the worker's ring reads. A plugin without submit() is
 * called from a few threads of ours.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block.h"

#define POOL_THREADS	4

struct block {
	struct backend *be;
	const struct backend_info *info;
	struct block_opts opts;
	struct block_stats stats;
	unsigned int inflight;
	pthread_t owner;		/* the event thread */

	struct block_req *ended;	/* atomic: by other threads, last first */
	unsigned int wakers;		/* atomic: other threads inside piece_end() */
	bool resized;			/* atomic */
	int wake_fd;
	uint64_t wake_count;
	struct portal_uring_op wake_op;
	bool wake_armed;
	bool stopping;

	pthread_mutex_t lock;		/* the four below */
	pthread_cond_t cond;
	struct block_req *todo;
	struct block_req **todo_tail;
	bool stop;
	unsigned int nr_threads;
	pthread_t threads[POOL_THREADS];
};

static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && io_uring_submit(ring) >= 0)
		sqe = io_uring_get_sqe(ring);
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

static void finish(struct block_req *req)
{
	struct block *blk = req->blk;
	struct block_stats *st = &blk->stats;

	blk->inflight--;
	if (req->err)
		st->errors++;
	switch (req->op) {
	case PORTAL_IO_READ:
		st->reads++;
		st->read_bytes += req->err ? 0 : req->len;
		break;
	case PORTAL_IO_WRITE:
		st->writes++;
		st->write_bytes += req->err ? 0 : req->len;
		break;
	case PORTAL_IO_FLUSH:
		st->flushes++;
		break;
	default:
		st->others++;
	}
	req->done(req, req->err);
}

/* Takes iovecs for the next piece, and cuts the last one if it is too long. */
static void take_iov(struct block_req *req, struct portal_io *io)
{
	uint64_t len = 0;
	uint32_t i;

	if (req->rest.iov_len) {
		req->iov[req->iov_pos] = req->rest;
		req->rest.iov_len = 0;
	}
	io->iov = &req->iov[req->iov_pos];
	for (i = req->iov_pos; i < req->iovcnt && len < BLOCK_IO_BYTES; i++) {
		struct iovec *v = &req->iov[i];
		uint64_t room = BLOCK_IO_BYTES - len;

		if (v->iov_len > room) {
			req->rest.iov_base = (char *)v->iov_base + room;
			req->rest.iov_len = v->iov_len - room;
			v->iov_len = room;
		}
		len += v->iov_len;
	}
	io->iovcnt = i - req->iov_pos;
	io->len = len;
	req->iov_pos = req->rest.iov_len ? i - 1 : i;
}

/* False: there is nothing left to do. */
static bool next_piece(struct block_req *req)
{
	struct portal_io *io = &req->bio.io;

	if (req->err)
		return false;
	memset(io, 0, sizeof(*io));
	if (req->pos < req->len) {
		io->op = req->op;
		io->flags = req->flags;
		io->offset = req->offset + req->pos;
		io->len = req->len - req->pos;
		if (req->iovcnt)
			take_iov(req, io);
		req->pos += io->len;
		return true;
	}
	if (req->flush) {
		req->flush = false;
		io->op = PORTAL_IO_FLUSH;
		return true;
	}
	return false;
}

static void pool_add(struct block *blk, struct block_req *req)
{
	req->next = NULL;
	pthread_mutex_lock(&blk->lock);
	*blk->todo_tail = req;
	blk->todo_tail = &req->next;
	pthread_mutex_unlock(&blk->lock);
	pthread_cond_signal(&blk->cond);
}

/* A loop and no recursion: a plugin may end every piece inside submit(). */
static void run(struct block_req *req)
{
	struct block *blk = req->blk;
	int err;

	while (next_piece(req)) {
		if (!blk->info->async) {
			pool_add(blk, req);
			return;
		}
		req->ended = false;
		req->starting = true;
		err = backend_start(blk->be, &req->bio);
		req->starting = false;
		if (err)
			req->err = err;
		else if (!req->ended)
			return;
	}
	finish(req);
}

static void piece_end(struct backend_io *bio, int err)
{
	struct block_req *req = (void *)((char *)bio - offsetof(struct block_req, bio));
	struct block *blk = req->blk;
	struct block_req *old;

	req->err = err;
	if (pthread_equal(pthread_self(), blk->owner)) {
		if (req->starting)
			req->ended = true;
		else
			run(req);
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
	/* Acquire: pairs with piece_end(). */
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
	struct io_uring_sqe *sqe = get_sqe(blk->opts.uring);

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

		run(req);
		req = next;
	}
	if (__atomic_exchange_n(&blk->resized, false, __ATOMIC_ACQ_REL) &&
	    !backend_update_size(blk->be) && blk->opts.resized)
		blk->opts.resized(blk->opts.arg);
}

static void size_changed(void *arg)
{
	struct block *blk = arg;

	__atomic_store_n(&blk->resized, true, __ATOMIC_RELEASE);
	wake(blk);
}

static void *pool_thread(void *arg)
{
	struct block *blk = arg;
	struct block_req *req;

	pthread_mutex_lock(&blk->lock);
	for (;;) {
		while (!blk->todo && !blk->stop)
			pthread_cond_wait(&blk->cond, &blk->lock);
		req = blk->todo;
		if (!req)
			break;
		blk->todo = req->next;
		if (!blk->todo)
			blk->todo_tail = &blk->todo;
		pthread_mutex_unlock(&blk->lock);
		piece_end(&req->bio, backend_do(blk->be, &req->bio.io));
		pthread_mutex_lock(&blk->lock);
	}
	pthread_mutex_unlock(&blk->lock);
	return NULL;
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
	b->be = be;
	b->info = backend_info(be);
	b->opts = *opts;
	b->owner = pthread_self();
	b->todo_tail = &b->todo;
	b->wake_op.done = woken;
	b->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (b->wake_fd < 0) {
		int err = -errno;

		free(b);
		return err;
	}
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->cond, NULL);
	backend_on_size_changed(be, size_changed, b);
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
	unsigned int nr = blk->info->parallel ? POOL_THREADS : 1;
	sigset_t all, old;
	int err = 0;

	blk->owner = pthread_self();
	if (!blk->wake_armed) {
		err = arm_wake(blk);
		if (err)
			return err;
	}
	if (blk->info->async)
		return 0;
	/* Signals are the event thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (blk->nr_threads < nr && !err) {
		err = -pthread_create(&blk->threads[blk->nr_threads], NULL, pool_thread, blk);
		if (!err)
			blk->nr_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return blk->nr_threads ? 0 : err;
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
	if ((req->op == PORTAL_IO_DISCARD && !info->discard) ||
	    (req->op == PORTAL_IO_ZERO && !info->zero))
		return -EOPNOTSUPP;
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
 *	end, -EINVAL: not in whole blocks, -EROFS, -EOPNOTSUPP, or the plugin's.
 */
void block_submit(struct block *blk, struct block_req *req)
{
	const struct backend_info *info = blk->info;

	blk->inflight++;
	req->blk = blk;
	req->bio.end = piece_end;
	req->rest.iov_len = 0;
	req->pos = 0;
	req->iov_pos = 0;
	req->starting = false;
	req->flush = false;
	req->err = check(info, req);

	if (req->op == PORTAL_IO_FLUSH) {
		req->len = 0;
		req->flush = info->flush;
	} else if (req->flags & PORTAL_IO_F_FUA && !info->fua) {
		req->flags &= ~PORTAL_IO_F_FUA;
		req->flush = info->flush && req->op != PORTAL_IO_READ;
	}
	run(req);
}

unsigned int block_inflight(const struct block *blk)
{
	return blk->inflight;
}

/**
 * block_drain() - wait until every request has ended
 * @blk: the block layer
 *
 * Return: 0, or -errno if the ring cannot be waited on: then the backend may
 * still write to the requests' memory.
 */
int block_drain(struct block *blk)
{
	int err;

	while (blk->inflight) {
		err = blk->opts.wait(blk->opts.arg);
		if (err < 0 && err != -EINTR)
			return err;
	}
	return 0;
}

const struct backend_info *block_info(const struct block *blk)
{
	return blk->info;
}

const struct block_stats *block_stats(const struct block *blk)
{
	return &blk->stats;
}

/**
 * block_destroy() - wait for all requests and end the threads
 * @blk: may be NULL
 */
void block_destroy(struct block *blk)
{
	unsigned int i;

	if (!blk)
		return;
	if (block_drain(blk))
		abort();
	backend_on_size_changed(blk->be, NULL, NULL);
	pthread_mutex_lock(&blk->lock);
	blk->stop = true;
	pthread_mutex_unlock(&blk->lock);
	pthread_cond_broadcast(&blk->cond);
	for (i = 0; i < blk->nr_threads; i++)
		pthread_join(blk->threads[i], NULL);
	blk->stopping = true;
	wake(blk);
	while (blk->wake_armed) {
		int err = blk->opts.wait(blk->opts.arg);

		if (err < 0 && err != -EINTR)
			abort();	/* the ring would write into freed memory */
	}
	while (__atomic_load_n(&blk->wakers, __ATOMIC_ACQUIRE))
		sched_yield();
	close(blk->wake_fd);
	pthread_cond_destroy(&blk->cond);
	pthread_mutex_destroy(&blk->lock);
	free(blk);
}
