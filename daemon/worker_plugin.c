// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker_plugin.c - plugins and front end, from the instance's section
 *
 * Each key is offered to the front end, then to the plugin. A front end with
 * many storages has further plugins: those of the keys sidN.KEY.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

#define MAIN_STORAGE	UINT64_MAX	/* no sid */

static const char *get_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : NULL;
}

static int get_int(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int(val) : 0;
}

/* "sid7.path": 7, and *rest is "path"; else MAIN_STORAGE. */
static uint64_t storage_of(const struct portal_instance *pi, const char *key, const char **rest)
{
	unsigned long long sid;
	char *end;

	*rest = key;
	if (!pi->ops || !pi->ops->many_storages || strncmp(key, "sid", 3) ||
	    key[3] < '0' || key[3] > '9')
		return MAIN_STORAGE;
	errno = 0;
	sid = strtoull(key + 3, &end, 10);
	if (errno || sid >= UINT32_MAX || *end != '.' || !end[1])
		return MAIN_STORAGE;
	*rest = end + 1;
	return sid;
}

static int bad_key(struct json_object *k, const char *plugin, int ret, const char *why,
		   struct err *err)
{
	const char *file = get_str(k, "file"), *key = get_str(k, "key");
	int line = get_int(k, "line");

	if (ret == -ENOENT && !*why)
		return err_set(err, ret,
			       "%s:%d: unknown key '%s': neither portald nor plugin %s knows it; see portald --dump-plugin %s",
			       file, line, key, plugin, plugin);
	return err_set(err, ret, "%s:%d: %s: %s", file, line, key, *why ? why : strerror(-ret));
}

/* The keys of storage @sid go to @st's plugin. */
static int configure(struct portal_instance *pi, struct portal_instance *st, uint64_t sid,
		     struct json_object *keys, struct err *err)
{
	const struct portald_plugin *ops = &st->plugin.ops;
	const char *why;
	int ret;

	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		struct json_object *k = json_object_array_get_idx(keys, i);
		const char *value = get_str(k, "value"), *key;
		struct err fe_err = { "" };

		if (storage_of(pi, get_str(k, "key"), &key) != sid)
			continue;
		ret = -ENOENT;
		if (sid != MAIN_STORAGE && !strcmp(key, "plugin"))
			ret = 0;
		else if (sid == MAIN_STORAGE && pi->ops && pi->ops->config)
			ret = pi->ops->config(&pi->env, key, value, &fe_err);
		if (ret < 0 && ret != -ENOENT)
			return bad_key(k, ops->name, ret, fe_err.msg, err);
		if (ret == -ENOENT && ops->config)
			ret = ops->config(key, value);
		why = api_take_error();
		if (ret < 0)
			return bad_key(k, ops->name, ret, why, err);
	}
	if (!ops->config_complete)
		return 0;
	ret = ops->config_complete();
	why = api_take_error();
	if (ret < 0)
		return err_set(err, ret, "%s", *why ? why : strerror(-ret));
	return 0;
}

static int open_handle(struct portal_instance *pi, struct portal_instance *st, struct err *err)
{
	const char *why;
	int ret;

	st->handle = st->plugin.ops.open ? st->plugin.ops.open(st) : st;
	why = api_take_error();
	if (!st->handle)
		return err_set(err, -EIO, "%s",
			       *why ? why : "the plugin's open() failed and does not say why");
	if (!pi->ops)
		return 0;
	ret = backend_create(&st->plugin.ops, st->handle, &st->backend);
	why = api_take_error();
	if (ret)
		return err_set(err, ret, "%s", *why ? why : strerror(-ret));
	return 0;
}

static int check_kind(const struct portal_instance *pi, const struct plugin *plugin,
		      struct err *err)
{
	if (!pi->ops || plugin_is_block(plugin))
		return 0;
	return err_set(err, -EINVAL,
		       "plugin %s is no block backend; remove 'frontend' or use another plugin",
		       plugin->ops.name);
}

static const char *plugin_of(const struct portal_instance *pi, uint64_t sid,
			     struct json_object *setup, struct json_object *keys)
{
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		struct json_object *k = json_object_array_get_idx(keys, i);
		const char *rest;

		if (storage_of(pi, get_str(k, "key"), &rest) == sid && !strcmp(rest, "plugin"))
			return get_str(k, "value");
	}
	return get_str(setup, "plugin");
}

/* Storage @sid, the next in env->storages. */
static int add_storage(struct portal_instance *pi, uint32_t sid, struct json_object *setup,
		       struct json_object *keys, struct err *err)
{
	struct portal_instance *st;
	int ret;

	if (sid == pi->env.storages[0].sid)
		return err_set(err, -EEXIST, "sid %u is the instance's own; give that another 'sid'",
			       sid);
	if (pi->nr_more == FRONTEND_STORAGES - 1)
		return err_set(err, -ENOSPC, "more than %d storages", FRONTEND_STORAGES);
	st = calloc(1, sizeof(*st));
	if (!st)
		return err_set(err, -ENOMEM, "out of memory");
	st->main = pi;
	pi->more[pi->nr_more++] = st;
	ret = plugin_load_copy(&st->plugin, get_str(setup, "plugin_dir"),
			       plugin_of(pi, sid, setup, keys), &plugin_api, err);
	if (!ret)
		ret = check_kind(pi, &st->plugin, err);
	if (!ret)
		ret = configure(pi, st, sid, keys, err);
	if (!ret)
		ret = open_handle(pi, st, err);
	pi->env.storages[pi->nr_more].sid = sid;
	pi->env.storages[pi->nr_more].backend = st->backend;
	return ret;
}

static bool has_storage(const struct portal_instance *pi, uint64_t sid)
{
	for (unsigned int i = 1; i <= pi->nr_more; i++)
		if (pi->env.storages[i].sid == sid)
			return true;
	return false;
}

static int add_storages(struct portal_instance *pi, struct json_object *setup,
			struct json_object *keys, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < json_object_array_length(keys); i++) {
		struct json_object *k = json_object_array_get_idx(keys, i);
		const char *rest;
		uint64_t sid = storage_of(pi, get_str(k, "key"), &rest);

		if (sid != MAIN_STORAGE && !has_storage(pi, sid))
			ret = add_storage(pi, (uint32_t)sid, setup, keys, err);
	}
	return ret;
}

int worker_open_plugin(struct portal_instance *pi, struct json_object *setup, struct err *err)
{
	struct json_object *keys;
	int ret;

	ret = plugin_load(&pi->plugin, get_str(setup, "plugin_dir"), get_str(setup, "plugin"),
			  &plugin_api, err);
	if (!ret)
		ret = check_kind(pi, &pi->plugin, err);
	if (ret)
		return ret;
	if (!json_object_object_get_ex(setup, "keys", &keys))
		return err_set(err, -EBADMSG, "no keys");
	ret = configure(pi, pi, MAIN_STORAGE, keys, err);
	if (!ret && pi->ops && pi->ops->config_complete)
		ret = pi->ops->config_complete(&pi->env, err);
	if (!ret)
		ret = open_handle(pi, pi, err);
	return ret ? ret : add_storages(pi, setup, keys, err);
}

static void close_one(struct portal_instance *st)
{
	backend_destroy(st->backend);
	st->backend = NULL;
	if (st->handle && st->plugin.ops.close)
		st->plugin.ops.close(st->handle);
	st->handle = NULL;
	plugin_unload(&st->plugin);
}

void worker_close_plugin(struct portal_instance *pi)
{
	while (pi->nr_more) {
		struct portal_instance *st = pi->more[--pi->nr_more];

		close_one(st);
		free(st);
	}
	close_one(pi);
}
