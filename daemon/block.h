/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block.h - the block layer between front ends and backends
 *
 * A front end gives it requests as a guest wrote them; a backend gets only
 * requests that it can serve. All functions, and all done() callbacks, belong
 * to the worker's event thread.
 */
#ifndef PORTALD_BLOCK_H
#define PORTALD_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "backend.h"

/* Longer reads and writes reach the backend in pieces of this size. */
#define BLOCK_IO_BYTES	(32U << 20)
/* Most iovecs of a request; UIO_MAXIOV, what one readv() takes. */
#define BLOCK_IO_IOVS	1024U

struct block;
struct block_bounce;
struct io_uring;

/**
 * struct block_req - one request of a front end, its memory
 * @op: PORTAL_IO_*
 * @flags: PORTAL_IO_F_*
 * @offset: bytes
 * @len: bytes; of READ and WRITE: the sum of @iov
 * @iov: block.c changes it while it works, and leaves it as it was
 * @iovcnt: length of @iov, at most BLOCK_IO_IOVS
 * @done: 0 or one of -EIO, -ENOSPC, -EROFS, -EOPNOTSUPP, -ERANGE, -EINVAL,
 *	-ENOMEM, -ETIMEDOUT, -ECANCELED; may run before block_submit() returns
 */
struct block_req {
	uint32_t op;
	uint32_t flags;
	uint64_t offset;
	uint64_t len;
	struct iovec *iov;
	uint32_t iovcnt;
	void (*done)(struct block_req *req, int err);

	/* private: the block layer's */
	struct backend_io bio;
	struct block *blk;
	struct block_req *next;		/* in a list of requests that wait */
	struct block_req *older;	/* all that have not ended */
	struct block_req *newer;
	struct block_bounce *bounce;	/* of the piece in flight */
	uint64_t start;			/* CLOCK_MONOTONIC, ns */
	uint64_t pos;			/* bytes before the next piece */
	struct iovec first, last;	/* of the piece, as they were */
	uint32_t iov_pos;		/* where the next piece begins: */
	size_t iov_off;			/* in this iovec, after so many bytes */
	uint32_t piece_iov;		/* where the piece in flight began */
	size_t piece_off;
	uint8_t state;			/* enum block_state */
	bool starting;			/* inside the plugin's submit() */
	bool ended;			/* ... which has ended the piece already */
	bool flush;			/* FUA by hand: a flush comes last */
	bool emulate;			/* zeroes are written, one by one */
	bool cancelled;			/* the backend was asked to end it early */
	bool late;			/* over its deadline, and counted */
	int err;
};

/* ---- numbers (block_stats.c) ---------------------------------------------- */

#define BLOCK_NR_OPS		5	/* PORTAL_IO_READ to PORTAL_IO_ZERO */
#define BLOCK_LATENCIES		28	/* up to 2^27 us, two minutes, and more */
#define BLOCK_ERRNOS		16

/**
 * struct block_stats - counters
 * @reads, @writes, @flushes, @others: requests ended
 * @read_bytes, @write_bytes: of those that were right
 * @errors: requests ended by an error
 * @count: requests ended, by operation
 * @bytes: of those that were right, by operation
 * @latency: [op][n]: requests that took less than 2^n us, and not less than half
 * @errnos: errors by what the backend said: errno and how often; errno 0 at the
 *	end of the list; the last entry is for all that found no room (errno -1)
 * @inflight_max: most requests at a time
 * @throttled: requests that waited because of a limit
 * @bounced: pieces copied because of their alignment or their memory
 * @split: requests that took more than one piece
 * @timeouts: requests that went over their deadline
 * @cancelled: ended before the backend saw them, or because it was asked to
 * @ignored: discards that the backend can't do
 * @emulated: zeroes that were written, FUA that was made of a flush
 */
struct block_stats {
	uint64_t reads;
	uint64_t writes;
	uint64_t flushes;
	uint64_t others;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t errors;
	uint64_t count[BLOCK_NR_OPS];
	uint64_t bytes[BLOCK_NR_OPS];
	uint64_t latency[BLOCK_NR_OPS][BLOCK_LATENCIES];
	struct {
		int err;
		uint64_t count;
	} errnos[BLOCK_ERRNOS];
	uint64_t inflight_max;
	uint64_t throttled;
	uint64_t bounced;
	uint64_t split;
	uint64_t timeouts;
	uint64_t cancelled;
	uint64_t ignored;
	uint64_t emulated;
};

const struct block_stats *block_stats(const struct block *blk);
/* All of it, as a front end's stat() does: zeroes of rare things are left out. */
void block_report(const struct block *blk,
		  void (*emit)(void *arg, const char *key, uint64_t val), void *arg);

/* ---- limits (block_limit.c) ----------------------------------------------- */

enum block_limit_kind {
	BLOCK_IOPS,		/* requests a second, of all kinds but flushes */
	BLOCK_IOPS_READ,
	BLOCK_IOPS_WRITE,	/* writes, discards and zeroes */
	BLOCK_BPS,		/* bytes a second, read and written */
	BLOCK_BPS_READ,
	BLOCK_BPS_WRITE,
	BLOCK_NR_LIMITS,
};

/**
 * struct block_limits - how much of a device its guest may have
 * @rate: a second; 0: as much as it likes
 * @burst: what may be saved up and used at once; 0: a tenth of a second's
 * @depth: requests in the backend at a time; 0: no limit but the backend's
 */
struct block_limits {
	struct {
		uint64_t rate;
		uint64_t burst;
	} kind[BLOCK_NR_LIMITS];
	uint32_t depth;
};

/*
 * "iops=1000,bps-write=10M,bps-write-burst=1G,depth=32" over what is in @limits
 * already; "off" clears all of it. -EINVAL: *@why says what is wrong.
 */
int block_limits_parse(struct block_limits *limits, const char *text, const char **why);
/* At any time. What waits is looked at again. -EINVAL: beyond 2^48. */
int block_set_limits(struct block *blk, const struct block_limits *limits);
const struct block_limits *block_limits(const struct block *blk);

/* ---- the layer (block.c) -------------------------------------------------- */

/**
 * struct block_opts - what the block layer works with
 * @uring: the worker's ring
 * @wait: waits for something on it; as struct frontend_env's
 * @resized: the medium has a new size, or NULL; in the event thread
 * @arg: argument of both
 * @now: CLOCK_MONOTONIC in ns; NULL: the kernel's
 */
struct block_opts {
	struct io_uring *uring;
	int (*wait)(void *arg);
	void (*resized)(void *arg);
	void *arg;
	uint64_t (*now)(void);
};

int block_create(struct backend *be, const struct block_opts *opts, struct block **blk);
int block_start(struct block *blk);
void block_submit(struct block *blk, struct block_req *req);
unsigned int block_inflight(const struct block *blk);
int block_drain(struct block *blk);
void block_cancel(struct block *blk);
void block_cancel_one(struct block_req *req);
void block_set_timeout(struct block *blk, unsigned int ms);
int block_swap(struct block *blk, struct backend *be);
int block_update_size(struct block *blk);
const struct backend_info *block_info(const struct block *blk);
void block_destroy(struct block *blk);

#endif /* PORTALD_BLOCK_H */
