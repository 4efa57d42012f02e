// SPDX-License-Identifier: GPL-2.0-only
/*
 * lower.c - opens a plugin and the layers below it
 *
 * Each lower layer is a whole block layer: a filter may send it any request, and
 * gets the end of it in the event thread. Requests are kept for the next ones,
 * so that nothing is allocated once as many as ever were have been in flight.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lower.h"

#define PREFIX		"lower"
#define DEPTH_MAX	8

struct lower_req {
	struct block_req req;
	struct portal_lower *lower;
	struct lower_req *next;		/* free, or in flight */
	struct lower_req *prev;		/* in flight */
	struct portal_io *io;
	void (*done)(struct portal_io *io, int err);
	struct iovec *iov;		/* our copy: the block layer cuts it */
	uint32_t room;
};

struct portal_lower {
	struct plugin plugin;
	void *handle;
	struct portal_lower *lower;	/* if it is a filter itself */
	struct backend *be;
	struct block *blk;
	bool started;
	struct portal_lower_info info;
	struct lower_req *reqs;		/* free */
	struct lower_req *inflight;
};

/* The key as the layer at @depth sees it, or NULL: it is another layer's. */
static const char *key_of(const struct layer_key *k, unsigned int depth, bool filter)
{
	static const size_t len = sizeof(PREFIX) - 1;
	const char *key = k->key;

	for (; depth; depth--) {
		if (strncmp(key, PREFIX ".", len + 1))
			return NULL;
		key += len + 1;
	}
	if (filter && !strncmp(key, PREFIX, len) && (!key[len] || key[len] == '.'))
		return NULL;
	return key;
}

static int configure(const struct layer_env *env, const struct portald_plugin *ops,
		     unsigned int depth, struct err *err)
{
	const char *why;
	int ret;

	for (unsigned int i = 0; i < env->nr_keys; i++) {
		const struct layer_key *k = &env->keys[i];
		const char *key = key_of(k, depth, ops->open_filter);

		if (!key)
			continue;
		ret = ops->config ? ops->config(key, k->value) : -ENOENT;
		why = api_take_error();
		if (ret >= 0)
			continue;
		if (ret == -ENOENT && !*why)
			return err_set(err, ret,
				       "%s:%d: unknown key '%s': neither portald nor plugin %s knows it; see portald --dump-plugin %s",
				       k->file, k->line, k->name, ops->name, ops->name);
		return err_set(err, ret, "%s:%d: %s: %s", k->file, k->line, k->name,
			       *why ? why : strerror(-ret));
	}
	if (!ops->config_complete)
		return 0;
	ret = ops->config_complete();
	why = api_take_error();
	if (ret < 0)
		return err_set(err, ret, "%s", *why ? why : strerror(-ret));
	return 0;
}

/* "lower = NAME" of the filter at @depth. */
static const char *lower_name(const struct layer_env *env, unsigned int depth)
{
	for (unsigned int i = 0; i < env->nr_keys; i++) {
		const char *key = key_of(&env->keys[i], depth, false);

		if (key && !strcmp(key, PREFIX))
			return env->keys[i].value;
	}
	return NULL;
}

static int open_backend(const struct layer_env *env, struct portal_lower *lower, struct err *err)
{
	const char *why;
	int ret;

	ret = backend_create(&lower->plugin.ops, lower->handle, &lower->be);
	why = api_take_error();
	if (!ret) {
		struct block_opts opts = env->opts;

		opts.resized = NULL;	/* the top layer is told, and asks down */
		ret = block_create(lower->be, &opts, &lower->blk);
	}
	if (ret)
		err_set(err, ret, "%s", *why ? why : strerror(-ret));
	return ret;
}

static int lower_open(const struct layer_env *env, unsigned int depth, const char *filter,
		      struct portal_lower **out, struct err *err)
{
	const char *name = lower_name(env, depth);
	struct portal_lower *lower;
	int ret;

	if (!name)
		return err_set(err, -EINVAL,
			       "plugin %s is a filter: lower= is missing, the plugin below it",
			       filter);
	if (depth == DEPTH_MAX)
		return err_set(err, -EINVAL, "more than %d layers", DEPTH_MAX);
	lower = calloc(1, sizeof(*lower));
	if (!lower)
		return err_set(err, -ENOMEM, "out of memory");
	ret = plugin_load(&lower->plugin, env->dir, name, env->api, err);
	if (ret) {
		free(lower);
		return ret;
	}
	if (!plugin_is_block(&lower->plugin))
		ret = err_set(err, -EINVAL, "lower: plugin %s is no block backend", name);
	if (!ret)
		ret = layer_open(env, &lower->plugin, depth + 1, &lower->lower, &lower->handle,
				 err);
	if (!ret)
		ret = open_backend(env, lower, err);
	if (ret) {
		lower_close(lower);
		return ret;
	}
	*out = lower;
	return 0;
}

int layer_open(const struct layer_env *env, const struct plugin *plugin, unsigned int depth,
	       struct portal_lower **lower, void **handle, struct err *err)
{
	const struct portald_plugin *ops = &plugin->ops;
	const char *why;
	int ret;

	*lower = NULL;
	*handle = NULL;
	ret = configure(env, ops, depth, err);
	if (!ret && ops->open_filter)
		ret = lower_open(env, depth, ops->name, lower, err);
	if (ret)
		return ret;
	if (ops->open_filter)
		*handle = ops->open_filter(env->pi, *lower);
	else
		*handle = ops->open ? ops->open(env->pi) : env->pi;
	why = api_take_error();
	if (*handle)
		return 0;
	lower_close(*lower);
	*lower = NULL;
	return err_set(err, -EIO, "%s",
		       *why ? why : "the plugin's open() failed and does not say why");
}

void lower_close(struct portal_lower *lower)
{
	struct lower_req *r;

	if (!lower)
		return;
	block_destroy(lower->blk);
	backend_destroy(lower->be);
	if (lower->handle && lower->plugin.ops.close)
		lower->plugin.ops.close(lower->handle);
	lower_close(lower->lower);
	plugin_unload(&lower->plugin);
	while ((r = lower->reqs)) {
		lower->reqs = r->next;
		free(r->iov);
		free(r);
	}
	free(lower);
}

/* The size is asked for again: a filter does so in its own get_size(). */
const struct portal_lower_info *lower_info(struct portal_lower *lower)
{
	const struct backend_info *info = backend_info(lower->be);

	backend_update_size(lower->be);
	lower->info = (struct portal_lower_info) {
		.size = info->size, .logical = info->logical, .physical = info->physical,
		.writable = info->writable, .flush = info->flush, .fua = info->fua,
		.discard = info->discard, .zero = info->zero,
	};
	return &lower->info;
}

static void req_done(struct block_req *req, int err)
{
	struct lower_req *r = (void *)req;
	struct portal_io *io = r->io;
	void (*done)(struct portal_io *io, int err) = r->done;

	if (r->prev)
		r->prev->next = r->next;
	else
		r->lower->inflight = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->next = r->lower->reqs;
	r->lower->reqs = r;
	done(io, err);
}

static struct lower_req *req_get(struct portal_lower *lower, uint32_t iovs)
{
	struct lower_req *r = lower->reqs;
	struct iovec *iov;

	if (r)
		lower->reqs = r->next;
	else
		r = calloc(1, sizeof(*r));
	if (!r || r->room >= iovs)
		return r;
	iov = realloc(r->iov, iovs * sizeof(*iov));
	if (!iov) {
		r->next = lower->reqs;
		lower->reqs = r;
		return NULL;
	}
	r->iov = iov;
	r->room = iovs;
	return r;
}

int lower_submit(struct portal_lower *lower, struct portal_io *io,
		 void (*done)(struct portal_io *io, int err))
{
	struct lower_req *r;
	int ret;

	if (!lower->started) {
		/* Not when it was opened: threads belong inside the sandbox. */
		ret = block_start(lower->blk);
		if (ret)
			return ret;
		lower->started = true;
	}
	if (io->iovcnt > BLOCK_IO_IOVS)
		return -EINVAL;
	r = req_get(lower, io->iovcnt);
	if (!r)
		return -ENOMEM;
	if (io->iovcnt)
		memcpy(r->iov, io->iov, io->iovcnt * sizeof(*r->iov));
	memset(&r->req, 0, sizeof(r->req));
	r->lower = lower;
	r->io = io;
	r->done = done;
	r->req.op = io->op;
	r->req.flags = io->flags;
	r->req.offset = io->offset;
	r->req.len = io->len;
	r->req.iov = r->iov;
	r->req.iovcnt = io->iovcnt;
	r->req.done = req_done;
	r->prev = NULL;
	r->next = lower->inflight;
	if (r->next)
		r->next->prev = r;
	lower->inflight = r;
	block_submit(lower->blk, &r->req);
	return 0;
}

void lower_cancel(struct portal_lower *lower, struct portal_io *io)
{
	struct lower_req *r = lower->inflight;

	while (r && r->io != io)
		r = r->next;
	if (r)
		block_cancel_one(&r->req);
}

/* Who is above asks for the size afterwards, by lower_info(). */
int lower_resize(struct portal_lower *lower, uint64_t size)
{
	return backend_resize(lower->be, size);
}
