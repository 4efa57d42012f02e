// SPDX-License-Identifier: GPL-2.0-only
/*
 * block_pool.c - threads that call plugins without submit()
 *
 * One, or a few if the plugin says that its functions may run at the same time.
 */
#include <errno.h>
#include <signal.h>
#include "block_int.h"

void block_pool_init(struct block *blk)
{
	pthread_mutex_init(&blk->lock, NULL);
	pthread_cond_init(&blk->cond, NULL);
	block_list_init(&blk->todo);
}

void block_pool_add(struct block_req *req)
{
	struct block *blk = req->blk;

	pthread_mutex_lock(&blk->lock);
	req->state = BLOCK_POOLED;
	block_list_add(&blk->todo, req);
	pthread_mutex_unlock(&blk->lock);
	pthread_cond_signal(&blk->cond);
}

/* False: a thread has it. */
bool block_pool_forget(struct block_req *req)
{
	struct block *blk = req->blk;
	bool there;

	pthread_mutex_lock(&blk->lock);
	there = block_list_remove(&blk->todo, req);
	pthread_mutex_unlock(&blk->lock);
	return there;
}

static void *pool_thread(void *arg)
{
	struct block *blk = arg;
	struct block_req *req;

	pthread_mutex_lock(&blk->lock);
	for (;;) {
		while (!blk->todo.head && !blk->stop)
			pthread_cond_wait(&blk->cond, &blk->lock);
		req = block_list_take(&blk->todo);
		if (!req)
			break;
		pthread_mutex_unlock(&blk->lock);
		block_piece_end(&req->bio, backend_do(blk->be, &req->bio.io));
		pthread_mutex_lock(&blk->lock);
	}
	pthread_mutex_unlock(&blk->lock);
	return NULL;
}

/* Fewer threads than wanted will do. */
int block_pool_start(struct block *blk)
{
	unsigned int nr = blk->info->parallel ? POOL_THREADS : 1;
	sigset_t all, old;
	int err = 0;

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

/* There is nothing to do for them any more. */
void block_pool_stop(struct block *blk)
{
	unsigned int i;

	pthread_mutex_lock(&blk->lock);
	blk->stop = true;
	pthread_mutex_unlock(&blk->lock);
	pthread_cond_broadcast(&blk->cond);
	for (i = 0; i < blk->nr_threads; i++)
		pthread_join(blk->threads[i], NULL);
	blk->nr_threads = 0;
	blk->stop = false;
}

void block_pool_free(struct block *blk)
{
	pthread_cond_destroy(&blk->cond);
	pthread_mutex_destroy(&blk->lock);
}
