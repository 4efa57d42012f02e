// SPDX-License-Identifier: GPL-2.0-only
/*
 * flush.c - makes data stable, then the table that speaks of it
 *
 * One flush at a time; those that come meanwhile share the next one, for what
 * they cover may be newer than what this one has begun with.
 */
#include <errno.h>
#include <string.h>
#include "overlay.h"

static void begin(struct overlay *ov);
static void flush_done(struct portal_uring_op *uop, int res);

static uint64_t nr_chunks(const struct overlay *ov)
{
	return ov->header.table_len / OVERLAY_CHUNK;
}

static void end(struct overlay *ov, int err)
{
	struct overlay_op *op = ov->flushing, *next;

	/* What was to be stable may not be: the next flush does it again. */
	for (uint64_t i = 0; i < nr_chunks(ov); i++) {
		ov->dirty[i] |= err ? ov->fresh[i] : 0;
		ov->fresh[i] = 0;
	}
	ov->phase = FLUSH_IDLE;
	ov->flushing = NULL;
	if (ov->flushes)
		begin(ov);
	for (; op; op = next) {
		next = op->next;
		overlay_op_end(op, err);
	}
}

static int queue_sync(struct overlay *ov)
{
	struct io_uring_sqe *sqe = overlay_sqe(ov);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fsync(sqe, ov->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, &ov->flush_op);
	return 0;
}

/* The next chunk of the table, or the sync after the last one. */
static int queue_chunk(struct overlay *ov)
{
	struct io_uring_sqe *sqe;

	while (ov->chunk < nr_chunks(ov) && !ov->fresh[ov->chunk])
		ov->chunk++;
	if (ov->chunk == nr_chunks(ov)) {
		ov->phase = FLUSH_END;
		return queue_sync(ov);
	}
	sqe = overlay_sqe(ov);
	if (!sqe)
		return -EAGAIN;
	io_uring_prep_write(sqe, ov->fd, ov->staged + ov->chunk * OVERLAY_CHUNK, OVERLAY_CHUNK,
			    ov->header.table_off + ov->chunk * OVERLAY_CHUNK);
	io_uring_sqe_set_data(sqe, &ov->flush_op);
	ov->chunk++;
	return 0;
}

static void flush_done(struct portal_uring_op *uop, int res)
{
	struct overlay *ov = (void *)((char *)uop - offsetof(struct overlay, flush_op));
	bool any = false;
	int err = res < 0 ? res : 0;

	switch (ov->phase) {
	case FLUSH_DATA:
		for (uint64_t i = 0; i < nr_chunks(ov); i++)
			any |= ov->fresh[i];
		if (err || !any)
			break;
		ov->phase = FLUSH_TABLE;
		ov->chunk = 0;
		err = queue_chunk(ov);
		if (!err)
			return;
		break;
	case FLUSH_TABLE:
		if (!err && res != (int)OVERLAY_CHUNK)
			err = -EIO;
		if (!err)
			err = queue_chunk(ov);
		if (!err)
			return;
		break;
	default:
		break;
	}
	end(ov, err);
}

/* What the table will say: what is true now. Data written later is not in it. */
static void begin(struct overlay *ov)
{
	int err;

	ov->flushing = ov->flushes;
	ov->flushes = NULL;
	for (uint64_t i = 0; i < nr_chunks(ov); i++) {
		if (!ov->dirty[i])
			continue;
		memcpy(ov->staged + i * OVERLAY_CHUNK, ov->work + i * OVERLAY_CHUNK,
		       OVERLAY_CHUNK);
		ov->fresh[i] = 1;
		ov->dirty[i] = 0;
	}
	ov->flush_op.done = flush_done;
	ov->phase = FLUSH_DATA;
	err = queue_sync(ov);
	if (err)
		end(ov, err);
}

void overlay_flush(struct overlay_op *op)
{
	struct overlay *ov = op->ov;

	op->next = ov->flushes;
	ov->flushes = op;
	if (ov->phase == FLUSH_IDLE)
		begin(ov);
}
