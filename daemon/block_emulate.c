// SPDX-License-Identifier: GPL-2.0-only
/*
 * block_emulate.c - what a request becomes for a backend that can't take it
 *
 * Too long, too many or misaligned iovecs: pieces, one after the other, and
 * bounce buffers. No zeroes: writes of zeroes. No FUA: a flush at the end. No
 * discard: nothing, which is all that a discard promises.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block_int.h"

/* Discards and zeroes in one piece; a multiple of every block size. */
#define DISCARD_BYTES	(1ULL << 30)

static _Alignas(4096) uint8_t zeroes[ZERO_BYTES];

static bool has_data(const struct block_req *req)
{
	return req->op == PORTAL_IO_READ || req->op == PORTAL_IO_WRITE;
}

static uint64_t at_most(uint64_t len, uint64_t max)
{
	return max && len > max ? max : len;
}

/* ---- bounce buffers --------------------------------------------------------- */

static struct block_bounce *bounce_get(struct block *blk)
{
	struct block_bounce *b = blk->bounces;

	if (b) {
		blk->bounces = b->next;
		return b;
	}
	if (blk->nr_bounces == BOUNCE_MAX)
		return NULL;
	b = malloc(sizeof(*b));
	if (b && posix_memalign((void **)&b->buf, 4096, BOUNCE_BYTES)) {
		free(b);
		b = NULL;
	}
	if (b)
		blk->nr_bounces++;
	return b;
}

static void bounce_put(struct block *blk, struct block_bounce *b)
{
	struct block_req *req = block_list_take(&blk->unbuffered);

	b->next = blk->bounces;
	blk->bounces = b;
	if (req) {
		req->state = BLOCK_RUNNING;
		block_run(req);
	}
}

bool block_bounce_forget(struct block_req *req)
{
	return block_list_remove(&req->blk->unbuffered, req);
}

static void bounce_copy(const struct iovec *iov, uint32_t cnt, char *buf, bool out)
{
	for (; cnt--; iov++) {
		if (out)
			memcpy(buf, iov->iov_base, iov->iov_len);
		else
			memcpy(iov->iov_base, buf, iov->iov_len);
		buf += iov->iov_len;
	}
}

/* ---- pieces of reads and writes --------------------------------------------- */

/* How far the next piece goes. */
struct cut {
	uint64_t len;
	uint32_t cnt;
	size_t tail;		/* bytes taken of its last iovec */
	bool aligned;
};

static void measure(const struct block_req *req, uint64_t max, uint32_t max_iovs,
		    uint32_t align, struct cut *c)
{
	size_t skip = req->iov_off;
	uint32_t i;

	memset(c, 0, sizeof(*c));
	c->aligned = true;
	for (i = req->iov_pos; i < req->iovcnt && c->len < max && c->cnt < max_iovs; i++) {
		size_t n = req->iov[i].iov_len - skip;

		if (n > max - c->len)
			n = max - c->len;
		if (align && (((uintptr_t)req->iov[i].iov_base + skip) | n) & (align - 1))
			c->aligned = false;
		c->len += n;
		c->cnt++;
		c->tail = skip + n;
		skip = 0;
	}
}

/* A piece ends with a block. */
static void trim(const struct block_req *req, struct cut *c)
{
	size_t over = c->len & (req->blk->info->logical - 1);

	c->len -= over;
	while (over) {
		uint32_t i = req->iov_pos + c->cnt - 1;
		size_t skip = c->cnt == 1 ? req->iov_off : 0;

		if (over < c->tail - skip) {
			c->tail -= over;
			return;
		}
		over -= c->tail - skip;
		if (!--c->cnt)
			return;
		c->tail = req->iov[i - 1].iov_len;
	}
}

/* Changes the first and the last iovec; put_back() undoes it. */
static void take(struct block_req *req, const struct cut *c)
{
	uint32_t a = req->iov_pos, b = a + c->cnt - 1;

	req->piece_iov = a;
	req->piece_off = req->iov_off;
	req->first = req->iov[a];
	req->last = req->iov[b];
	req->iov[b].iov_len = c->tail;
	req->iov[a].iov_base = (char *)req->iov[a].iov_base + req->iov_off;
	req->iov[a].iov_len -= req->iov_off;
	req->iov_pos = c->tail == req->last.iov_len ? b + 1 : b;
	req->iov_off = c->tail == req->last.iov_len ? 0 : c->tail;
}

static uint32_t piece_iovs(const struct block_req *req)
{
	return req->iov_pos - req->piece_iov + (req->iov_off ? 1 : 0);
}

static void put_back(struct block_req *req)
{
	req->iov[req->piece_iov + piece_iovs(req) - 1] = req->last;
	req->iov[req->piece_iov] = req->first;
}

static int take_bounce(struct block_req *req, struct portal_io *io)
{
	struct block *blk = req->blk;
	struct cut c;

	req->bounce = bounce_get(blk);
	if (!req->bounce && !blk->nr_bounces) {
		req->err = -ENOMEM;
		return PIECE_NONE;
	}
	if (!req->bounce) {
		req->state = BLOCK_UNBUFFERED;
		block_list_add(&blk->unbuffered, req);
		return PIECE_WAIT;
	}
	measure(req, at_most(BOUNCE_BYTES, blk->info->limits.max_transfer), UINT32_MAX, 0, &c);
	take(req, &c);
	if (req->op == PORTAL_IO_WRITE)
		bounce_copy(&req->iov[req->piece_iov], c.cnt, req->bounce->buf, true);
	req->bounce->iov.iov_base = req->bounce->buf;
	req->bounce->iov.iov_len = c.len;
	io->iov = &req->bounce->iov;
	io->iovcnt = 1;
	io->len = c.len;
	blk->stats.bounced++;
	return PIECE_READY;
}

static int take_data(struct block_req *req, struct portal_io *io)
{
	const struct portal_io_limits *l = &req->blk->info->limits;
	struct cut c;

	if (req->blk->no_memory)
		return take_bounce(req, io);
	measure(req, at_most(BLOCK_IO_BYTES, l->max_transfer),
		l->max_iovs ? l->max_iovs : BLOCK_IO_IOVS, l->mem_align, &c);
	trim(req, &c);
	/* Of a block that is in more iovecs than possible nothing is left. */
	if (!c.aligned || !c.cnt)
		return take_bounce(req, io);
	take(req, &c);
	io->iov = &req->iov[req->piece_iov];
	io->iovcnt = c.cnt;
	io->len = c.len;
	return PIECE_READY;
}

/* ---- the rest ----------------------------------------------------------------- */

static void take_zeroes(struct block_req *req, struct portal_io *io)
{
	const struct portal_io_limits *l = &req->blk->info->limits;
	uint64_t len = at_most(req->len - req->pos, l->max_transfer);
	uint64_t cnt = at_most(len / ZERO_BYTES, at_most(ZERO_IOVS, l->max_iovs));

	io->op = PORTAL_IO_WRITE;
	io->flags = req->flags & PORTAL_IO_F_FUA;
	if (cnt) {
		io->iov = req->blk->zero_iov;
		io->iovcnt = (uint32_t)cnt;
		io->len = cnt * ZERO_BYTES;
		return;
	}
	req->first.iov_base = zeroes;
	req->first.iov_len = len;
	io->iov = &req->first;
	io->iovcnt = 1;
	io->len = len;
}

static int take_range(struct block_req *req, struct portal_io *io)
{
	struct block *blk = req->blk;

	if (req->op == PORTAL_IO_DISCARD && blk->no_discard) {
		blk->stats.ignored++;
		req->pos = req->len;
		return PIECE_NONE;
	}
	if (req->op == PORTAL_IO_ZERO && blk->no_zero && !req->emulate) {
		req->emulate = true;
		blk->stats.emulated++;
	}
	if (req->emulate)
		take_zeroes(req, io);
	else
		io->len = at_most(req->len - req->pos,
				  at_most(DISCARD_BYTES, blk->info->limits.max_discard));
	return PIECE_READY;
}

/*
 * PIECE_NONE: there is nothing left to do, or req->err. PIECE_WAIT: the request
 * is run again later.
 */
int block_next_piece(struct block_req *req)
{
	struct portal_io *io = &req->bio.io;
	int ret;

	if (req->cancelled && req->pos < req->len && !req->err)
		req->err = -ECANCELED;
	if (req->err)
		return PIECE_NONE;
	memset(io, 0, sizeof(*io));
	if (req->pos < req->len) {
		io->op = req->op;
		io->flags = req->flags;
		io->offset = req->offset + req->pos;
		ret = has_data(req) ? take_data(req, io) : take_range(req, io);
		if (ret == PIECE_READY) {
			if (!req->pos && io->len < req->len)
				req->blk->stats.split++;
			req->pos += io->len;
		}
		if (ret != PIECE_NONE || req->err)
			return ret;
	}
	if (req->flush) {
		req->flush = false;
		io->op = PORTAL_IO_FLUSH;
		io->flags = 0;
		io->offset = 0;
		return PIECE_READY;
	}
	return PIECE_NONE;
}

/* As if the piece had not been taken. */
static void rewind_piece(struct block_req *req)
{
	req->pos -= req->bio.io.len;
	if (has_data(req)) {
		req->iov_pos = req->piece_iov;
		req->iov_off = req->piece_off;
	}
}

int block_piece_done(struct block_req *req, int err)
{
	const struct portal_io *io = &req->bio.io;
	struct block_bounce *b = req->bounce;
	struct block *blk = req->blk;

	if (has_data(req) && io->op == req->op) {
		if (b && !err && req->op == PORTAL_IO_READ)
			bounce_copy(&req->iov[req->piece_iov], piece_iovs(req), b->buf, false);
		put_back(req);
		/* Guest memory without struct pages is no good for direct I/O. */
		if (err == -EFAULT && !b && blk->info->limits.mem_align > 1) {
			blk->no_memory = true;
			rewind_piece(req);
			err = 0;
		}
		if (b) {
			req->bounce = NULL;
			bounce_put(blk, b);
		}
		return err;
	}
	if (err != -EOPNOTSUPP)
		return err;
	if (io->op == PORTAL_IO_DISCARD) {
		blk->no_discard = true;
		blk->stats.ignored++;
		return 0;
	}
	if (io->op == PORTAL_IO_ZERO) {
		blk->no_zero = true;
		rewind_piece(req);
		return 0;
	}
	return err;
}

void block_emulate_init(struct block *blk)
{
	unsigned int i;

	block_list_init(&blk->unbuffered);
	for (i = 0; i < ZERO_IOVS; i++) {
		blk->zero_iov[i].iov_base = zeroes;
		blk->zero_iov[i].iov_len = ZERO_BYTES;
	}
}

void block_emulate_free(struct block *blk)
{
	struct block_bounce *b;

	while ((b = blk->bounces)) {
		blk->bounces = b->next;
		free(b->buf);
		free(b);
	}
}
