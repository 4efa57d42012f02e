/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block_int.h - between the files of the block layer
 *
 * The way of a request: block_submit() checks it; it waits for its turn
 * (block_limit.c); it is cut into pieces that the backend can take
 * (block_emulate.c), which run in the event thread or in threads of ours
 * (block_pool.c); it is counted (block_stats.c). All the while it has a
 * deadline (block_timeout.c).
 */
#ifndef PORTALD_BLOCK_INT_H
#define PORTALD_BLOCK_INT_H

#include <liburing.h>
#include <pthread.h>
#include "block.h"

#define POOL_THREADS	4

#define BOUNCE_BYTES	(256U << 10)
#define BOUNCE_MAX	16

#define ZERO_BYTES	(64U << 10)
#define ZERO_IOVS	16

enum block_state {
	BLOCK_WAITING,		/* for its turn */
	BLOCK_UNBUFFERED,	/* for a bounce buffer */
	BLOCK_POOLED,		/* for a thread */
	BLOCK_RUNNING,		/* in the backend, or between two pieces */
};

/* Memory that any backend can use, for a piece whose own it can't. */
struct block_bounce {
	struct block_bounce *next;
	struct iovec iov;
	char *buf;
};

struct block_list {
	struct block_req *head;
	struct block_req **tail;
};

/* A timer on the ring; due only ever moves to an earlier time while armed. */
struct block_timer {
	struct portal_uring_op op;
	struct __kernel_timespec ts;
	uint64_t due;
	bool armed;
};

/* What is left of a limit; may be negative, for a request may be large. */
struct block_bucket {
	double level;
	uint64_t filled;	/* when, ns */
};

enum { BLOCK_READS, BLOCK_WRITES, BLOCK_OTHERS, BLOCK_NR_QUEUES };

struct block {
	struct backend *be;
	const struct backend_info *info;
	struct block_opts opts;
	struct block_stats stats;
	unsigned int inflight;		/* submitted and not ended */
	unsigned int active;		/* of these: started */
	struct block_req *oldest;	/* all in flight, by age */
	struct block_req *newest;
	pthread_t owner;		/* the event thread */
	bool started;
	bool no_discard;		/* the backend can't after all */
	bool no_zero;
	bool no_memory;			/* only bounce buffers are good enough */

	/* block_limit.c */
	struct block_limits limits;
	struct block_bucket bucket[BLOCK_NR_LIMITS];
	struct block_list waiting[BLOCK_NR_QUEUES];
	unsigned int turn;		/* which queue is looked at first */
	bool kicking;
	unsigned int draining;		/* limits do not count */
	struct block_timer limit_timer;

	/* block_timeout.c */
	uint64_t timeout;		/* ns, 0: none */
	unsigned int nr_late;
	struct block_timer late_timer;
	unsigned int timer_ops;		/* of both: changes under way on the ring */
	struct portal_uring_op timer_op;

	/* block_emulate.c */
	struct iovec zero_iov[ZERO_IOVS];
	struct block_bounce *bounces;	/* free */
	unsigned int nr_bounces;
	struct block_list unbuffered;

	/* ends in other threads */
	struct block_req *ended;	/* atomic: by other threads, last first */
	unsigned int wakers;		/* atomic: other threads inside piece_end() */
	bool resized;			/* atomic */
	int wake_fd;
	uint64_t wake_count;
	struct portal_uring_op wake_op;
	bool wake_armed;
	bool stopping;

	/* block_pool.c */
	pthread_mutex_t lock;		/* the two below */
	pthread_cond_t cond;
	struct block_list todo;
	bool stop;
	unsigned int nr_threads;
	pthread_t threads[POOL_THREADS];
};

static inline void block_list_init(struct block_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static inline void block_list_add(struct block_list *list, struct block_req *req)
{
	req->next = NULL;
	*list->tail = req;
	list->tail = &req->next;
}

static inline struct block_req *block_list_take(struct block_list *list)
{
	struct block_req *req = list->head;

	if (req) {
		list->head = req->next;
		if (!list->head)
			list->tail = &list->head;
	}
	return req;
}

/* False: it is not there. */
static inline bool block_list_remove(struct block_list *list, struct block_req *req)
{
	struct block_req **p;

	for (p = &list->head; *p; p = &(*p)->next) {
		if (*p != req)
			continue;
		*p = req->next;
		if (!*p)
			list->tail = p;
		return true;
	}
	return false;
}

/* block.c */
struct io_uring_sqe *block_sqe(struct block *blk);
void block_run(struct block_req *req);
void block_finish(struct block_req *req, int err);
/* Ends what the backend has not seen, asks it to end the rest. */
void block_abandon(struct block_req *req, int err);
void block_piece_end(struct backend_io *bio, int err);

/* block_limit.c */
void block_limit_init(struct block *blk);
void block_limit_admit(struct block_req *req);
void block_limit_kick(struct block *blk);
bool block_limit_forget(struct block_req *req);

/* block_emulate.c */
enum { PIECE_NONE, PIECE_READY, PIECE_WAIT };
void block_emulate_init(struct block *blk);
int block_next_piece(struct block_req *req);
/* The piece is over: what became of it; 0: go on. */
int block_piece_done(struct block_req *req, int err);
bool block_bounce_forget(struct block_req *req);
void block_emulate_free(struct block *blk);

/* block_pool.c */
void block_pool_init(struct block *blk);
int block_pool_start(struct block *blk);
void block_pool_add(struct block_req *req);
bool block_pool_forget(struct block_req *req);
void block_pool_stop(struct block *blk);
void block_pool_free(struct block *blk);

/* block_stats.c */
void block_stats_end(struct block *blk, const struct block_req *req);

/* block_timeout.c */
uint64_t block_now(const struct block *blk);
void block_timer_init(struct block *blk);
void block_timer_arm(struct block *blk, struct block_timer *timer, uint64_t due);
void block_timer_stop(struct block *blk, struct block_timer *timer);
bool block_timer_busy(const struct block *blk);
void block_late_begin(struct block *blk, const struct block_req *req);
void block_late_end(struct block *blk, const struct block_req *req);
/* block.c: what the timers call */
void block_limit_due(struct block *blk);

#endif /* PORTALD_BLOCK_INT_H */
