// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker_admin.c - what portalctl wants of a running disk
 *
 *	{"op":"resize","sid":0,"size":1048576}	size 0: look at the medium again
 *	{"op":"limits","limits":"iops=100"}	of all storages
 *
 * Another medium needs another worker: this one can open nothing any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "worker.h"

static const char *get_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : "";
}

static uint64_t get_u64(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_uint64(val) : 0;
}

static struct backend *backend_of(const struct portal_instance *pi, uint32_t sid)
{
	for (unsigned int i = 0; i < pi->env.nr_storages; i++)
		if (pi->env.storages[i].sid == sid)
			return pi->env.storages[i].backend;
	return NULL;
}

static int resize(struct portal_instance *pi, uint32_t sid, uint64_t size, struct err *err)
{
	struct backend *be = backend_of(pi, sid);
	struct block *blk = pi->ops->block(pi->fe, sid);
	const char *why;
	int ret;

	if (!be || !blk)
		return err_set(err, -ENOENT, "it has no storage %u", sid);
	if (size % block_info(blk)->logical)
		return err_set(err, -EINVAL, "%llu bytes are not a multiple of its sectors (%u)",
			       (unsigned long long)size, block_info(blk)->logical);
	if (size && size < block_info(blk)->size)
		return err_set(err, -EINVAL,
			       "%llu bytes would cut off data of its %llu; shrink the medium itself, then resize without --size",
			       (unsigned long long)size, (unsigned long long)block_info(blk)->size);
	ret = size ? backend_resize(be, size) : 0;
	why = api_take_error();
	if (ret == -EOPNOTSUPP && !*why)
		return err_set(err, ret, "plugin %s cannot change its size: change it there, then resize without --size",
			       pi->plugin.ops.name);
	if (ret)
		return err_set(err, ret, "%s", *why ? why : strerror(-ret));
	ret = block_update_size(blk);
	why = api_take_error();
	if (ret)
		return err_set(err, ret, "%s", *why ? why : strerror(-ret));
	err_set(err, 0, "%llu", (unsigned long long)block_info(blk)->size);
	return 0;
}

static int set_limits(struct portal_instance *pi, const char *text, struct err *err)
{
	struct block_limits limits;
	const char *why = "too large";
	int ret;

	for (unsigned int i = 0; i < pi->env.nr_storages; i++) {
		struct block *blk = pi->ops->block(pi->fe, pi->env.storages[i].sid);

		memset(&limits, 0, sizeof(limits));
		ret = block_limits_parse(&limits, text, &why);
		if (!ret)
			ret = block_set_limits(blk, &limits);
		if (ret)
			return err_set(err, ret, "limits '%s': %s", text, why);
	}
	return 0;
}

int worker_set_limits(struct portal_instance *pi, struct err *err)
{
	return pi->limits ? set_limits(pi, pi->limits, err) : 0;
}

int worker_check_swap(struct portal_instance *pi, struct err *err)
{
	struct chan_page *page = pi->page;
	const struct backend_info *info;

	if (!pi->backend)
		return 0;
	info = backend_info(pi->backend);
	if (pi->swapped && page->logical && info->logical != page->logical)
		return err_set(err, -EINVAL,
			       "the new medium has sectors of %u bytes, the old one of %u",
			       info->logical, page->logical);
	if (pi->swapped && page->writable && !info->writable)
		return err_set(err, -EROFS, "the new medium is read-only, the old one is not");
	page->logical = info->logical;
	page->writable = info->writable;
	return 0;
}

int worker_admin(struct portal_instance *pi, const char *text, struct err *err)
{
	struct json_object *obj = text ? json_tokener_parse(text) : NULL;
	const char *op = obj ? get_str(obj, "op") : "";
	int ret;

	if (!pi->fe || !pi->ops->block)
		ret = err_set(err, -EINVAL, "it is no disk");
	else if (!strcmp(op, "resize"))
		ret = resize(pi, (uint32_t)get_u64(obj, "sid"), get_u64(obj, "size"), err);
	else if (!strcmp(op, "limits"))
		ret = set_limits(pi, get_str(obj, "limits"), err);
	else
		ret = err_set(err, -ENOSYS, "this worker does not know '%s'", op);
	json_object_put(obj);
	return ret;
}
