// SPDX-License-Identifier: GPL-2.0-only
/*
 * bio_io.c - bio's commands: pieces between the guest and a storage
 *
 * One command at a time, one piece of it at a time, through a buffer of ours.
 * So a reset needs to wait for nothing: what is under way ends in our buffer.
 * But the next command waits for it, or an aborted WRITE could overtake it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <portald/plugin.h>

#include "bio.h"
#include "guest_ram.h"

static enum bio_error from_errno(int err)
{
	switch (err) {
	case 0:
		return BIO_E_NONE;
	case -ERANGE:
	case -EINVAL:
		return BIO_E_RANGE;
	case -EROFS:
	case -EPERM:
	case -EACCES:
		return BIO_E_READONLY;
	case -ENOSPC:
	case -EDQUOT:
		return BIO_E_NOSPC;
	case -ETIME:
	case -ETIMEDOUT:
		return BIO_E_TIMEOUT;
	case -EFAULT:
		return BIO_E_ADDR;
	default:
		return BIO_E_IO;
	}
}

static int from_guest(struct bio *bio, uint64_t len)
{
	const struct bio_state *st = bio->st;

	if (st->op_dma)
		return guest_ram_read(bio->env->mem, st->op_addr + st->op_done, bio->bounce, len);
	memcpy(bio->bounce, st->buf + st->op_done, len);
	return 0;
}

static int to_guest(struct bio *bio, uint64_t len)
{
	struct bio_state *st = bio->st;

	if (st->op_dma)
		return guest_ram_write(bio->env->mem, st->op_addr + st->op_done, bio->bounce, len);
	memcpy(st->buf + st->op_done, bio->bounce, len);
	return 0;
}

void bio_io_end(struct bio *bio, enum bio_error error)
{
	struct bio_state *st = bio->st;

	st->op_error = error;
	if (st->op == PORTAL_IO_READ && !st->op_dma) {
		st->dir = error ? BIO_DIR_NONE : BIO_DIR_IN;
		st->len = error ? 0 : st->op_len;
		st->pos = 0;
	} else {
		st->dir = BIO_DIR_NONE;
		st->len = 0;
	}
	/* from here on another worker would only show it again */
	bio_set_phase(bio, st->begun >> 3, BIO_ENDING);
	bio_show_end(bio);
	bio_set_phase(bio, st->begun >> 3, BIO_IDLE);
}

static void piece_done(struct block_req *req, int err);

/* 1: a piece is under way or has ended, 0: nothing left, -errno */
static int next_piece(struct bio *bio)
{
	struct bio_state *st = bio->st;
	struct bio_storage *s = bio_find(bio, st->op_sid);
	uint32_t len = st->op_len - st->op_done;
	struct block_req *req = &bio->req;
	int err;

	if (!s)
		return -ENODEV;
	if (!len && st->op != PORTAL_IO_FLUSH)
		return 0;
	if (len > BIO_PIECE_BYTES)
		len = BIO_PIECE_BYTES;
	if (st->op == PORTAL_IO_WRITE) {
		err = from_guest(bio, len);
		if (err)
			return err;
	}
	bio->iov = (struct iovec){ bio->bounce, len };
	memset(req, 0, sizeof(*req));
	req->op = st->op;
	req->done = piece_done;
	if (st->op != PORTAL_IO_FLUSH) {
		req->offset = st->op_offset + st->op_done;
		req->len = len;
		req->iov = &bio->iov;
		req->iovcnt = 1;
	}
	/* ducky's drivers can't flush: what they wrote is stable */
	if (st->op == PORTAL_IO_WRITE && !(st->control & BIO_CTL_WRITEBACK))
		req->flags = PORTAL_IO_F_FUA;
	bio->running = true;
	block_submit(s->blk, req);
	return 1;
}

/* A loop, as a piece may end inside block_submit(). */
static void advance(struct bio *bio)
{
	int ret = 1;

	if (bio->inside)
		return;
	bio->inside = true;
	while (ret > 0 && !bio->running && !bio->held && bio_phase(bio) == BIO_RUNNING) {
		ret = next_piece(bio);
		if (ret <= 0)
			bio_io_end(bio, from_errno(ret));
	}
	bio->inside = false;
}

static void piece_done(struct block_req *req, int err)
{
	struct bio *bio = (void *)((char *)req - offsetof(struct bio, req));
	struct bio_state *st = bio->st;
	uint32_t len = (uint32_t)bio->iov.iov_len;

	bio->running = false;
	if (bio->aborted) {
		bio->aborted = false;
		if (!bio->waiting)
			return;
		bio->waiting = false;
		advance(bio);
		return;
	}
	if (!err && st->op == PORTAL_IO_READ)
		err = to_guest(bio, len);
	if (err || st->op == PORTAL_IO_FLUSH) {
		bio_io_end(bio, from_errno(err));
		return;
	}
	st->op_done += len;
	advance(bio);
}

/**
 * bio_io_start() - run the command in the state, from op_done on
 * @bio: the device; its phase is BIO_RUNNING
 */
void bio_io_start(struct bio *bio)
{
	bio->held = false;
	bio->waiting = bio->running;
	if (!bio->waiting)
		advance(bio);
}

void bio_io_abort(struct bio *bio)
{
	bio->aborted = bio->running;
	bio->waiting = false;
}

void bio_io_hold(struct bio *bio)
{
	bio->held = true;
	while (bio->running) {
		int err = bio->env->wait(bio->env);

		if (err < 0 && err != -EINTR)
			abort();	/* the ring would call freed memory */
	}
}
