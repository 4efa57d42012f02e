// SPDX-License-Identifier: GPL-2.0-only
/*
 * io.c - reads from where the data is, writes here
 *
 * A request goes from one stretch of clusters of the same state to the next. The
 * first write into a cluster writes all of it: what the guest did not give is
 * taken from the lower layer, or is zero. Meanwhile, and while its state changes,
 * the cluster is busy: others that would change it wait. The state is set when
 * the data is in the file, so a worker that dies leaves old or new, not a mixture.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "overlay.h"

static void step(struct overlay_op *op);

struct io_uring_sqe *overlay_sqe(struct overlay *ov)
{
	struct io_uring *ring = overlay_api->uring(ov->pi);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && io_uring_submit(ring) >= 0)
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

static struct overlay_op *op_get(struct overlay *ov)
{
	struct overlay_op *op = ov->free;

	if (op)
		ov->free = op->next;
	else
		op = calloc(1, sizeof(*op));
	return op;
}

void overlay_op_end(struct overlay_op *op, int err)
{
	struct overlay *ov = op->ov;
	struct portal_io *io = op->io;

	op->next = ov->free;
	ov->free = op;
	overlay_api->io_done(io, err);
}

/* ---- clusters --------------------------------------------------------------- */

static bool take_clusters(struct overlay_op *op, uint64_t first, uint64_t last)
{
	struct overlay *ov = op->ov;
	struct overlay_op *other;

	for (other = ov->busy; other; other = other->busy_next) {
		if (first > other->last || last < other->first)
			continue;
		op->next = ov->waiting;
		ov->waiting = op;
		return false;
	}
	op->first = first;
	op->last = last;
	op->busy = true;
	op->busy_next = ov->busy;
	ov->busy = op;
	return true;
}

/* Those that waited for any cluster look again. */
static void put_clusters(struct overlay_op *op)
{
	struct overlay *ov = op->ov;
	struct overlay_op **p = &ov->busy, *list, *next;

	if (!op->busy)
		return;
	while (*p != op)
		p = &(*p)->busy_next;
	*p = op->busy_next;
	op->busy = false;
	list = ov->waiting;
	ov->waiting = NULL;
	for (; list; list = next) {
		next = list->next;
		step(list);
	}
}

static void set_state(struct overlay_op *op, enum overlay_state state)
{
	struct overlay *ov = op->ov;
	uint64_t c;

	for (c = op->first; c <= op->last; c++) {
		if (overlay_get(ov->work, c) == state)
			continue;
		overlay_put(ov->work, c, state);
		ov->dirty[c / OVERLAY_PER_BYTE / OVERLAY_CHUNK] = 1;
	}
}

/* ---- parts of a request's memory ---------------------------------------------- */

/* Iovecs of @len bytes from op->pos; how many. */
static uint32_t slice(struct overlay_op *op, uint64_t len)
{
	const struct portal_io *io = op->io;
	uint64_t skip = op->pos;
	uint32_t i = 0, n = 0;

	while (skip >= io->iov[i].iov_len)
		skip -= io->iov[i++].iov_len;
	for (; len; i++, skip = 0) {
		uint64_t part = io->iov[i].iov_len - skip;

		if (part > len)
			part = len;
		op->iov[n].iov_base = (char *)io->iov[i].iov_base + skip;
		op->iov[n++].iov_len = part;
		len -= part;
	}
	return n;
}

static void fail_or_go_on(struct overlay_op *op, int err)
{
	put_clusters(op);
	if (err) {
		overlay_op_end(op, err);
		return;
	}
	op->pos += op->len;
	step(op);
}

/* The part under way has ended on the overlay's own file. */
static void own_done(struct portal_uring_op *uop, int res)
{
	struct overlay_op *op = (void *)uop;
	uint32_t what = op->io->op;
	uint64_t want = op->cow ? op->ov->cluster : op->len;
	int err = res < 0 ? res : 0;

	if (what == PORTAL_IO_READ || what == PORTAL_IO_WRITE || op->cow) {
		/* Short: the disk is full, or the file was cut off. */
		if (!err && (uint64_t)res != want)
			err = what == PORTAL_IO_READ ? -EIO : -ENOSPC;
		if (!err && op->busy)
			set_state(op, OVERLAY_HERE);
	} else if (op->busy || what == PORTAL_IO_DISCARD) {
		if (err == -EOPNOTSUPP)
			err = 0;	/* the room is kept; it counts for nothing */
		if (!err && op->busy)
			set_state(op, OVERLAY_ZERO);
	}
	fail_or_go_on(op, err);
}

static int own_data(struct overlay_op *op, uint64_t offset, uint32_t iovs)
{
	struct io_uring_sqe *sqe = overlay_sqe(op->ov);
	uint64_t at = op->ov->header.data_off + offset;

	if (!sqe)
		return -EAGAIN;
	if (op->io->op == PORTAL_IO_READ)
		io_uring_prep_readv(sqe, op->ov->fd, op->iov, iovs, at);
	else
		io_uring_prep_writev(sqe, op->ov->fd, op->iov, iovs, at);
	op->uop.done = own_done;
	io_uring_sqe_set_data(sqe, &op->uop);
	return 0;
}

static int own_punch(struct overlay_op *op, uint64_t offset, uint64_t len)
{
	struct io_uring_sqe *sqe = overlay_sqe(op->ov);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fallocate(sqe, op->ov->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(op->ov->header.data_off + offset), (off_t)len);
	op->uop.done = own_done;
	io_uring_sqe_set_data(sqe, &op->uop);
	return 0;
}

/* ---- the first write into a cluster --------------------------------------------- */

static void write_cluster(struct overlay_op *op)
{
	uint64_t start = op->first * op->ov->cluster;
	char *to = op->buf + (op->io->offset + op->pos - start);
	int err;

	if (op->io->op == PORTAL_IO_WRITE) {
		uint32_t i, n = slice(op, op->len);

		for (i = 0; i < n; i++) {
			memcpy(to, op->iov[i].iov_base, op->iov[i].iov_len);
			to += op->iov[i].iov_len;
		}
	} else {
		memset(to, 0, op->len);
	}
	op->iov[0].iov_base = op->buf;
	op->iov[0].iov_len = op->ov->cluster;
	err = own_data(op, start, 1);
	if (err)
		fail_or_go_on(op, err);
}

static void lower_cluster_read(struct portal_io *sub, int err)
{
	struct overlay_op *op = (void *)((char *)sub - offsetof(struct overlay_op, sub));

	if (err)
		fail_or_go_on(op, err);
	else
		write_cluster(op);
}

static int lower_read(struct overlay_op *op, uint64_t offset, uint64_t len, uint32_t iovs,
		      void (*done)(struct portal_io *io, int err))
{
	memset(&op->sub, 0, sizeof(op->sub));
	op->sub.op = PORTAL_IO_READ;
	op->sub.offset = offset;
	op->sub.len = len;
	op->sub.iov = op->iov;
	op->sub.iovcnt = iovs;
	return overlay_api->lower_submit(op->ov->lower, &op->sub, done);
}

static int copy_on_write(struct overlay_op *op, enum overlay_state state)
{
	struct overlay *ov = op->ov;
	uint64_t start = op->first * ov->cluster;
	uint64_t len = ov->size - start < ov->cluster ? ov->size - start : ov->cluster;

	if (!op->buf && posix_memalign((void **)&op->buf, 4096, ov->cluster)) {
		op->buf = NULL;
		return -ENOMEM;
	}
	op->cow = true;
	memset(op->buf, 0, ov->cluster);
	if (state == OVERLAY_ZERO) {
		write_cluster(op);
		return 0;
	}
	op->iov[0].iov_base = op->buf;
	op->iov[0].iov_len = len;
	return lower_read(op, start, len, 1, lower_cluster_read);
}

/* ---- one part after the other ----------------------------------------------------- */

/* Bytes from @offset on whose clusters have this state, at most @len. */
static uint64_t stretch(const struct overlay *ov, uint64_t offset, uint64_t len,
			enum overlay_state state)
{
	uint64_t c = offset / ov->cluster, end = offset + len;

	while (c * ov->cluster < end && overlay_get(ov->work, c) == state)
		c++;
	return c * ov->cluster < end ? c * ov->cluster - offset : len;
}

static void lower_part_read(struct portal_io *sub, int err)
{
	fail_or_go_on((void *)((char *)sub - offsetof(struct overlay_op, sub)), err);
}

/* 1: there was nothing to wait for. */
static int read_part(struct overlay_op *op, uint64_t offset, uint64_t left)
{
	enum overlay_state state = overlay_get(op->ov->work, offset / op->ov->cluster);
	uint32_t i, n;

	op->len = stretch(op->ov, offset, left, state);
	n = slice(op, op->len);
	if (state == OVERLAY_HERE)
		return own_data(op, offset, n);
	if (state == OVERLAY_LOWER)
		return lower_read(op, offset, op->len, n, lower_part_read);
	for (i = 0; i < n; i++)
		memset(op->iov[i].iov_base, 0, op->iov[i].iov_len);
	op->pos += op->len;
	return 1;
}

/* Whole clusters from @offset on; the disk's last may be shorter than others. */
static uint64_t whole(const struct overlay *ov, uint64_t offset, uint64_t len)
{
	if (offset % ov->cluster)
		return 0;
	return offset + len == ov->size ? len : len & ~(ov->cluster - 1);
}

static int change_part(struct overlay_op *op, uint64_t offset, uint64_t left)
{
	struct overlay *ov = op->ov;
	enum overlay_state state = overlay_get(ov->work, offset / ov->cluster);
	bool data = op->io->op == PORTAL_IO_WRITE;
	uint64_t rest = ov->cluster - offset % ov->cluster;
	uint64_t len = whole(ov, offset, left);

	if (data && state == OVERLAY_HERE) {
		op->len = stretch(ov, offset, left, state);
		return own_data(op, offset, slice(op, op->len));
	}
	if (data && len)
		len = stretch(ov, offset, len, state);
	if (len) {
		op->len = len;
		if (!take_clusters(op, offset / ov->cluster, (offset + len - 1) / ov->cluster))
			return 0;
		return data ? own_data(op, offset, slice(op, len)) : own_punch(op, offset, len);
	}
	/* A part of one cluster. */
	op->len = rest < left ? rest : left;
	if (!data && (state == OVERLAY_ZERO ||
		      (state == OVERLAY_LOWER && op->io->op == PORTAL_IO_DISCARD))) {
		op->pos += op->len;
		return 1;
	}
	if (!data && state == OVERLAY_HERE)
		return own_punch(op, offset, op->len);
	if (!take_clusters(op, offset / ov->cluster, offset / ov->cluster))
		return 0;
	return copy_on_write(op, state);
}

static void step(struct overlay_op *op)
{
	struct portal_io *io = op->io;
	int ret = 1;

	while (ret == 1 && op->pos < io->len) {
		op->cow = false;
		if (io->op == PORTAL_IO_READ)
			ret = read_part(op, io->offset + op->pos, io->len - op->pos);
		else
			ret = change_part(op, io->offset + op->pos, io->len - op->pos);
	}
	if (ret < 0) {
		put_clusters(op);
		overlay_op_end(op, ret);
	} else if (ret == 1) {
		overlay_op_end(op, 0);
	}
}

int overlay_submit(void *handle, struct portal_io *io)
{
	struct overlay *ov = handle;
	struct overlay_op *op;

	if (io->op > PORTAL_IO_ZERO)
		return -EOPNOTSUPP;
	op = op_get(ov);
	if (!op)
		return -ENOMEM;
	op->ov = ov;
	op->io = io;
	op->pos = 0;
	op->busy = false;
	if (io->op == PORTAL_IO_FLUSH)
		overlay_flush(op);
	else
		step(op);
	return 0;
}
