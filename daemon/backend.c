// SPDX-License-Identifier: GPL-2.0-only
/*
 * backend.c - a plugin's handle as a medium of blocks
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/uio.h>
#include "backend.h"

#define BLOCK_SIZE_MIN	512U
#define BLOCK_SIZE_MAX	65536U

struct backend {
	const struct portald_plugin *plugin;
	void *handle;
	struct backend_info info;
	pthread_mutex_t lock;	/* one callback at a time, unless info.parallel */
	void (*size_changed)(void *arg);
	void *size_changed_arg;
};

static bool is_block_size(uint32_t n)
{
	return n >= BLOCK_SIZE_MIN && n <= BLOCK_SIZE_MAX && !(n & (n - 1));
}

/* A predicate of the plugin's: its answer, or @dflt if it has none. */
static int ask(const struct backend *be, int (*can)(void *handle), bool dflt, bool *val)
{
	int ret = can ? can(be->handle) : dflt;

	if (ret < 0)
		return ret;
	*val = ret > 0;
	return 0;
}

static int ask_size(struct backend *be)
{
	int64_t size;

	backend_lock(be);
	size = be->plugin->get_size(be->handle);
	backend_unlock(be);
	if (size < 0)
		return (int)size;
	/* A tail shorter than a block cannot be addressed. */
	be->info.size = (uint64_t)size & ~((uint64_t)be->info.logical - 1);
	return 0;
}

static int ask_limits(struct backend *be)
{
	struct portal_io_limits *l = &be->info.limits;
	uint32_t logical = be->info.logical;
	int err;

	l->struct_size = sizeof(*l);
	if (!be->plugin->io_limits)
		return 0;
	err = be->plugin->io_limits(be->handle, l);
	if (err < 0)
		return err;
	/* Beyond a page nothing that we allocate is aligned. */
	if (l->mem_align & (l->mem_align - 1) || l->mem_align > 4096 ||
	    (l->max_transfer && l->max_transfer < logical) ||
	    (l->max_discard && l->max_discard < logical))
		return -EINVAL;
	l->max_transfer &= ~((uint64_t)logical - 1);
	l->max_discard &= ~((uint64_t)logical - 1);
	return 0;
}

static int ask_info(struct backend *be)
{
	const struct portald_plugin *p = be->plugin;
	struct backend_info *info = &be->info;
	int err;

	info->async = p->submit;
	info->parallel = p->thread_model == PORTALD_THREAD_PARALLEL;
	info->logical = BLOCK_SIZE_MIN;
	info->physical = BLOCK_SIZE_MIN;
	if (p->block_size) {
		err = p->block_size(be->handle, &info->logical, &info->physical);
		if (err < 0)
			return err;
		if (!is_block_size(info->logical))
			return -EINVAL;
		if (info->physical < info->logical || (info->physical & (info->physical - 1)))
			info->physical = info->logical;
	}

	err = ask_limits(be);
	if (!err)
		err = ask(be, p->can_write, false, &info->writable);
	if (!err)
		err = ask(be, p->can_flush, p->flush, &info->flush);
	if (!err)
		err = ask(be, p->can_fua, false, &info->fua);
	if (!err)
		err = ask(be, p->can_discard, false, &info->discard);
	if (!err)
		err = ask(be, p->can_zero, false, &info->zero);
	if (err)
		return err;

	/* A promise without the function to keep it. */
	if (!info->async) {
		info->writable = info->writable && p->pwrite;
		info->flush = info->flush && p->flush;
		info->discard = info->discard && p->discard;
		info->zero = info->zero && p->zero;
	}
	return ask_size(be);
}

/**
 * backend_create() - ask a plugin's handle what it can do
 * @plugin: every member valid: a shorter struct of an older plugin must have
 *	been copied into a zeroed one. Must outlive the backend.
 * @handle: from its open(); stays the caller's
 * @be: (out) the backend
 *
 * Return: 0, -EINVAL if the plugin is no block backend or answers nonsense, or
 * the plugin's own -errno.
 */
int backend_create(const struct portald_plugin *plugin, void *handle, struct backend **be)
{
	struct backend *b;
	int err;

	if (!plugin->get_size || (!plugin->pread && !plugin->submit))
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->plugin = plugin;
	b->handle = handle;
	pthread_mutex_init(&b->lock, NULL);
	err = ask_info(b);
	if (err) {
		backend_destroy(b);
		return err;
	}
	*be = b;
	return 0;
}

/**
 * backend_destroy() - forget it; nothing may be in flight
 * @be: may be NULL
 */
void backend_destroy(struct backend *be)
{
	if (!be)
		return;
	pthread_mutex_destroy(&be->lock);
	free(be);
}

const struct backend_info *backend_info(const struct backend *be)
{
	return &be->info;
}

/**
 * backend_update_size() - ask for the size again
 * @be: the backend
 *
 * Return: 0 or -errno, and then the size is as it was.
 */
int backend_update_size(struct backend *be)
{
	return ask_size(be);
}

int backend_resize(struct backend *be, uint64_t size)
{
	int err;

	if (!be->plugin->resize)
		return -EOPNOTSUPP;
	backend_lock(be);
	err = be->plugin->resize(be->handle, size);
	backend_unlock(be);
	return err < 0 ? err : 0;
}

/**
 * backend_on_size_changed() - who wants to know of a new size
 * @be: the backend
 * @fn: called in any thread, perhaps inside a callback of the plugin
 * @arg: its argument
 */
void backend_on_size_changed(struct backend *be, void (*fn)(void *arg), void *arg)
{
	be->size_changed = fn;
	be->size_changed_arg = arg;
}

/**
 * backend_size_changed() - struct portald_api's size_changed
 * @be: the instance's backend
 */
void backend_size_changed(struct backend *be)
{
	if (be->size_changed)
		be->size_changed(be->size_changed_arg);
}

/**
 * backend_lock() - keep the plugin's thread model
 * @be: the backend
 *
 * Taken here around the synchronous block functions, which run in threads. The
 * worker takes it around the plugin's other callbacks (call, reg_read, ...).
 * Nothing is locked for a parallel plugin.
 */
void backend_lock(struct backend *be)
{
	if (!be->info.parallel)
		pthread_mutex_lock(&be->lock);
}

void backend_unlock(struct backend *be)
{
	if (!be->info.parallel)
		pthread_mutex_unlock(&be->lock);
}

static int do_vec(struct backend *be, const struct portal_io *io)
{
	const struct portald_plugin *p = be->plugin;
	uint64_t offset = io->offset;
	uint32_t i;
	int err = 0;

	for (i = 0; i < io->iovcnt && err >= 0; i++) {
		void *buf = io->iov[i].iov_base;
		uint64_t len = io->iov[i].iov_len;

		if (io->op == PORTAL_IO_READ)
			err = p->pread(be->handle, buf, len, offset);
		else
			err = p->pwrite(be->handle, buf, len, offset, io->flags);
		offset += len;
	}
	return err;
}

/**
 * backend_do() - run one request in the calling thread
 * @be: the backend, not an async one
 * @io: checked by block.c
 *
 * Return: 0 or -errno.
 */
int backend_do(struct backend *be, const struct portal_io *io)
{
	const struct portald_plugin *p = be->plugin;
	int err;

	backend_lock(be);
	switch (io->op) {
	case PORTAL_IO_READ:
	case PORTAL_IO_WRITE:
		err = do_vec(be, io);
		break;
	case PORTAL_IO_FLUSH:
		err = p->flush(be->handle);
		break;
	case PORTAL_IO_DISCARD:
		err = p->discard(be->handle, io->len, io->offset);
		break;
	case PORTAL_IO_ZERO:
		err = p->zero(be->handle, io->len, io->offset, io->flags);
		break;
	default:
		err = -EOPNOTSUPP;
	}
	backend_unlock(be);
	return err < 0 ? err : 0;
}

/**
 * backend_start() - give one request to an async plugin
 * @be: an async backend
 * @bio: its @end comes later or before this returns
 *
 * Return: 0, or -errno: not started, @end is not called.
 */
int backend_start(struct backend *be, struct backend_io *bio)
{
	int err = be->plugin->submit(be->handle, &bio->io);

	return err < 0 ? err : 0;
}

/**
 * backend_cancel() - ask an async plugin to end a request early
 * @be: the backend
 * @bio: given to backend_start(); its @end is still to come
 */
void backend_cancel(struct backend *be, struct backend_io *bio)
{
	if (be->info.async && be->plugin->cancel)
		be->plugin->cancel(be->handle, &bio->io);
}

/**
 * backend_io_done() - struct portald_api's io_done
 * @io: given to submit() before
 * @err: 0 or -errno
 */
void backend_io_done(struct portal_io *io, int err)
{
	struct backend_io *bio = (void *)((char *)io - offsetof(struct backend_io, io));

	bio->end(bio, err < 0 ? err : 0);
}
