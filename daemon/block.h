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
#include <stdint.h>
#include <sys/uio.h>
#include "backend.h"

/* Longer reads and writes reach the backend in pieces of this size. */
#define BLOCK_IO_BYTES	(32U << 20)
/* Most iovecs of a request; UIO_MAXIOV, what one readv() takes. */
#define BLOCK_IO_IOVS	1024U

struct block;
struct io_uring;

/**
 * struct block_req - one request of a front end, its memory
 * @op: PORTAL_IO_*
 * @flags: PORTAL_IO_F_*
 * @offset: bytes
 * @len: bytes; of READ and WRITE: the sum of @iov
 * @iov: block.c changes it while it works
 * @iovcnt: length of @iov, at most BLOCK_IO_IOVS
 * @done: 0 or -errno; may run before block_submit() returns
 */
struct block_req {
	uint32_t op;
	uint32_t flags;
	uint64_t offset;
	uint64_t len;
	struct iovec *iov;
	uint32_t iovcnt;
	void (*done)(struct block_req *req, int err);

	/* private: block.c's */
	struct backend_io bio;
	struct block *blk;
	struct block_req *next;
	struct iovec rest;	/* what was cut off the piece's last iovec */
	uint64_t pos;		/* bytes before the next piece */
	uint32_t iov_pos;	/* first iovec of the next piece */
	int err;
	bool starting;		/* inside the plugin's submit() */
	bool ended;		/* ... which has ended the piece already */
	bool flush;		/* FUA by hand: a flush comes last */
};

/**
 * struct block_stats - counters
 * @reads, @writes, @flushes, @others: requests ended
 * @read_bytes, @write_bytes: of those that were right
 * @errors: requests ended by an error
 */
struct block_stats {
	uint64_t reads;
	uint64_t writes;
	uint64_t flushes;
	uint64_t others;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t errors;
};

/**
 * struct block_opts - what the block layer works with
 * @uring: the worker's ring
 * @wait: waits for something on it; as struct frontend_env's
 * @resized: the medium has a new size, or NULL; in the event thread
 * @arg: argument of both
 */
struct block_opts {
	struct io_uring *uring;
	int (*wait)(void *arg);
	void (*resized)(void *arg);
	void *arg;
};

int block_create(struct backend *be, const struct block_opts *opts, struct block **blk);
int block_start(struct block *blk);
void block_submit(struct block *blk, struct block_req *req);
unsigned int block_inflight(const struct block *blk);
int block_drain(struct block *blk);
const struct backend_info *block_info(const struct block *blk);
const struct block_stats *block_stats(const struct block *blk);
void block_destroy(struct block *blk);

#endif /* PORTALD_BLOCK_H */
