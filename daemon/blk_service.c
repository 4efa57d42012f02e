// SPDX-License-Identifier: GPL-2.0-only
/*
 * blk_service.c - a disk by hypercalls (portal_guest.h, "Block service")
 *
 * A call is answered when its I/O has ended, so others go on meanwhile. Data go
 * through a buffer of ours: the kernel ends a call that takes too long, and
 * then nothing may land in the guest any more. A call that an earlier worker
 * had comes again and runs again: the guest has not got its answer, so it must
 * not have touched the buffer.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/portal_guest.h>

#include "block.h"
#include "frontend.h"
#include "guest_ram.h"

#define MAX_CALLS	64
#define MAX_BYTES	(256U << 10)
/* Less than the 5 s of the call in the kernel. */
#define LIMIT_NS	4000000000ULL

struct blk;

/**
 * struct blk_call - a call under way
 * @blk: the service
 * @req: for the block layer
 * @id: of the call
 * @gpa: the guest's buffer
 * @start: when the guest made it: the kernel counts from there, too
 * @active: it is not answered yet
 * @buf: MAX_BYTES, made when it is needed for the first time
 */
struct blk_call {
	struct blk *blk;
	struct block_req req;
	struct iovec iov;
	uint64_t id;
	uint64_t gpa;
	uint64_t start;
	bool active;
	void *buf;
};

struct blk {
	struct frontend_env *env;
	struct block *blk;
	struct blk_call calls[MAX_CALLS];
	uint64_t refused;
	uint64_t late;
	bool ending;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void call_done(struct block_req *req, int err)
{
	struct blk_call *c = (void *)((char *)req - offsetof(struct blk_call, req));
	struct blk *blk = c->blk;

	c->active = false;
	if (blk->ending)
		return;
	if (!err && now_ns() - c->start > LIMIT_NS) {
		blk->late++;
		err = -ETIME;
	}
	if (!err && req->op == PORTAL_IO_READ)
		err = guest_ram_write(blk->env->mem, c->gpa, c->buf, c->iov.iov_len);
	if (err == -EFAULT || err == -ERANGE)
		err = -EINVAL;
	blk->env->reply(blk->env, c->id, err, req->op == PORTAL_IO_FLUSH ? 0 : c->iov.iov_len);
}

static struct blk_call *new_call(struct blk *blk)
{
	for (unsigned int i = 0; i < MAX_CALLS; i++) {
		struct blk_call *c = &blk->calls[i];

		if (c->active)
			continue;
		if (!c->buf)
			c->buf = malloc(MAX_BYTES);
		if (!c->buf)
			return NULL;
		memset(&c->req, 0, sizeof(c->req));
		c->blk = blk;
		c->id = blk->env->req_id;
		c->start = blk->env->req_time;
		c->req.done = call_done;
		return c;
	}
	return NULL;
}

/* It may end, and be answered, before this returns. */
static int start(struct blk *blk, struct blk_call *c)
{
	c->active = true;
	block_submit(blk->blk, &c->req);
	return FRONTEND_LATER;
}

static int read_write(struct blk *blk, uint32_t op, const uint64_t args[4])
{
	const struct backend_info *info = block_info(blk->blk);
	uint64_t sectors = info->size / info->logical, sector = args[1], count = args[2];
	uint64_t len = count * info->logical;
	struct blk_call *c;

	if (sector > sectors || count > sectors - sector ||
	    count > MAX_BYTES / info->logical || !guest_ram_check(blk->env->mem, args[3], len))
		return -EINVAL;
	if (op == PORTAL_IO_WRITE && !info->writable)
		return -EROFS;
	c = new_call(blk);
	if (!c) {
		blk->refused++;
		return -EBUSY;
	}
	if (op == PORTAL_IO_WRITE && guest_ram_read(blk->env->mem, args[3], c->buf, len))
		return -EINVAL;
	c->gpa = args[3];
	c->iov = (struct iovec){ c->buf, len };
	c->req.op = op;
	c->req.offset = sector * info->logical;
	c->req.len = len;
	c->req.iov = &c->iov;
	c->req.iovcnt = 1;
	return start(blk, c);
}

static int flush(struct blk *blk)
{
	struct blk_call *c = new_call(blk);

	if (!c) {
		blk->refused++;
		return -EBUSY;
	}
	c->iov.iov_len = 0;
	c->req.op = PORTAL_IO_FLUSH;
	return start(blk, c);
}

static int info(const struct blk *blk, uint64_t field, uint64_t *value)
{
	const struct backend_info *i = block_info(blk->blk);

	switch (field) {
	case PORTAL_BLK_SECTORS:
		*value = i->size / i->logical;
		return 0;
	case PORTAL_BLK_SECTOR:
		*value = i->logical;
		return 0;
	case PORTAL_BLK_MAX:
		*value = MAX_BYTES / i->logical;
		return 0;
	case PORTAL_BLK_FLAGS:
		*value = (i->writable ? 0 : PORTAL_BLK_F_READONLY) |
			 (i->flush ? PORTAL_BLK_F_FLUSH : 0);
		return 0;
	}
	return -EINVAL;
}

static int call(void *fe, uint32_t fn, const uint64_t args[4], uint64_t *value)
{
	struct blk *blk = fe;

	if (args[0])
		return -EINVAL;
	switch (fn) {
	case PORTAL_BLK_INFO:
		return info(blk, args[1], value);
	case PORTAL_BLK_READ:
		return read_write(blk, PORTAL_IO_READ, args);
	case PORTAL_BLK_WRITE:
		return read_write(blk, PORTAL_IO_WRITE, args);
	case PORTAL_BLK_FLUSH:
		return flush(blk);
	}
	return -ENOSYS;
}

/* ---- life --------------------------------------------------------------------- */

static int wait_uring(void *arg)
{
	struct blk *blk = arg;

	return blk->env->wait(blk->env);
}

static void destroy(void *fe)
{
	struct blk *blk = fe;

	blk->ending = true;
	block_destroy(blk->blk);
	for (unsigned int i = 0; i < MAX_CALLS; i++)
		free(blk->calls[i].buf);
	free(blk);
}

/* A service is never enabled: it starts here. */
static int create(struct frontend_env *env, void **fe)
{
	struct block_opts opts = { .uring = env->uring, .wait = wait_uring };
	struct blk *blk;
	int err;

	if (!env->wait || !env->reply)
		return -EINVAL;
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return -ENOMEM;
	blk->env = env;
	opts.arg = blk;
	err = block_create(env->backend, &opts, &blk->blk);
	if (!err)
		err = block_start(blk->blk);
	if (!err && block_info(blk->blk)->logical > MAX_BYTES)
		err = -EINVAL;
	if (err) {
		destroy(blk);
		return err;
	}
	*fe = blk;
	return 0;
}

static int enable(void *fe, bool resume)
{
	(void)fe;
	(void)resume;
	return 0;
}

static void disable(void *fe)
{
	(void)fe;
}

static unsigned int inflight(void *fe)
{
	struct blk *blk = fe;

	return block_inflight(blk->blk);
}

static struct block *block_of(void *fe, uint32_t sid)
{
	struct blk *blk = fe;

	return sid ? NULL : blk->blk;
}

static void report(void *fe, void (*emit)(void *arg, const char *key, uint64_t val), void *arg)
{
	struct blk *blk = fe;
	const struct block_stats *st = block_stats(blk->blk);

	emit(arg, "reads", st->reads);
	emit(arg, "read_bytes", st->read_bytes);
	emit(arg, "writes", st->writes);
	emit(arg, "write_bytes", st->write_bytes);
	emit(arg, "flushes", st->flushes);
	emit(arg, "errors", st->errors);
	emit(arg, "refused", blk->refused);
	emit(arg, "late", blk->late);
}

const struct frontend_ops blk_frontend = {
	.name = "blk",
	.slot_type = PORTAL_SLOT_SERVICE,
	.fns = PORTAL_BLK_FNS,
	.create = create,
	.enable = enable,
	.call = call,
	.disable = disable,
	.inflight = inflight,
	.block = block_of,
	.stat = report,
	.destroy = destroy,
};
