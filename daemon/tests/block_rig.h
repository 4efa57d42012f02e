/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block_rig.h - a ring, a block layer on something, and requests that are waited
 * for. Included once by a test, after cmocka.
 */
#ifndef BLOCK_RIG_H
#define BLOCK_RIG_H

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include "block.h"

struct rig {
	struct io_uring ring;
	struct backend *be;
	struct block *blk;
	unsigned int resized;
	uint64_t (*now)(void);
};

struct rig_req {
	struct block_req req;
	struct iovec iov[64];
	bool done;
	int err;
};

static int rig_wait(void *arg)
{
	struct rig *rig = arg;
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(&rig->ring, 1);

	if (ret < 0)
		return ret;
	while (!io_uring_peek_cqe(&rig->ring, &cqe)) {
		struct portal_uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&rig->ring, cqe);
		if (op)
			op->done(op, res);
	}
	return 0;
}

static void rig_resized(void *arg)
{
	((struct rig *)arg)->resized++;
}

/* A ring of another kind than just a ring. */
static int (*rig_make_ring)(struct io_uring *ring);

static void rig_ring(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	if (rig_make_ring)
		assert_int_equal(rig_make_ring(&rig->ring), 0);
	else
		assert_int_equal(io_uring_queue_init(64, &rig->ring, 0), 0);
}

/* On a backend of the plugin's handle; the ring is there. */
static void rig_open(struct rig *rig, const struct portald_plugin *plugin, void *handle)
{
	struct block_opts opts = {
		.uring = &rig->ring, .wait = rig_wait, .resized = rig_resized, .arg = rig,
		.now = rig->now,
	};

	assert_int_equal(backend_create(plugin, handle, &rig->be), 0);
	assert_int_equal(block_create(rig->be, &opts, &rig->blk), 0);
	assert_int_equal(block_start(rig->blk), 0);
}

static void rig_close(struct rig *rig)
{
	block_destroy(rig->blk);
	backend_destroy(rig->be);
	rig->blk = NULL;
	rig->be = NULL;
}

static __attribute__((unused)) void rig_exit(struct rig *rig)
{
	if (rig->blk)
		rig_close(rig);
	io_uring_queue_exit(&rig->ring);
}

static void rig_done(struct block_req *req, int err)
{
	struct rig_req *r = (void *)req;

	assert_false(r->done);
	r->done = true;
	r->err = err;
}

/* @buf in iovecs of @each bytes, 0: in one. */
static void rig_submit(struct rig *rig, struct rig_req *r, uint32_t op, uint32_t flags,
		       uint64_t offset, void *buf, uint64_t len, size_t each)
{
	uint64_t pos = 0;

	memset(r, 0, sizeof(*r));
	r->req.op = op;
	r->req.flags = flags;
	r->req.offset = offset;
	r->req.len = len;
	r->req.done = rig_done;
	r->req.iov = r->iov;
	while (buf && pos < len) {
		size_t n = each && each < len - pos ? each : len - pos;

		assert_true(r->req.iovcnt < 64);
		r->iov[r->req.iovcnt].iov_base = (char *)buf + pos;
		r->iov[r->req.iovcnt++].iov_len = n;
		pos += n;
	}
	block_submit(rig->blk, &r->req);
}

/* Waits for this one only: what else is in flight may stay there. */
static __attribute__((unused)) int rig_io(struct rig *rig, uint32_t op, uint32_t flags,
					   uint64_t offset, void *buf, uint64_t len, size_t each)
{
	struct rig_req r;

	rig_submit(rig, &r, op, flags, offset, buf, len, each);
	while (!r.done)
		assert_int_equal(rig_wait(rig), 0);
	return r.err;
}

static __attribute__((unused)) void rig_fill(void *buf, size_t len, unsigned int seed)
{
	uint32_t *p = buf, x = seed * 2654435761U + 1;

	for (size_t i = 0; i < len / 4; i++) {
		x = x * 1664525U + 1013904223U;
		p[i] = x;
	}
}

#endif /* BLOCK_RIG_H */
