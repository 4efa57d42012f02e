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

static int wait_worker(void *arg)
{
	struct portal_instance *pi = arg;

	return worker_wait(&pi->env);
}

/*
 * The keys of storage @sid: the front end takes some of the instance's own; what
 * is left is for the plugins.
 */
static int sort_keys(struct portal_instance *pi, uint64_t sid, struct json_object *list,
		     struct layer_key *keys, unsigned int *nr, struct err *err)
{
	int ret;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *k = json_object_array_get_idx(list, i);
		const char *file = get_str(k, "file"), *value = get_str(k, "value"), *key;
		const char *name = get_str(k, "key");
		int line = get_int(k, "line");
		struct err fe_err = { "" };

		if (storage_of(pi, name, &key) != sid ||
		    (sid != MAIN_STORAGE && !strcmp(key, "plugin")))
			continue;
		ret = -ENOENT;
		if (sid == MAIN_STORAGE && pi->ops && pi->ops->config)
			ret = pi->ops->config(&pi->env, key, value, &fe_err);
		if (ret < 0 && ret != -ENOENT)
			return err_set(err, ret, "%s:%d: %s: %s", file, line, name,
				       fe_err.msg[0] ? fe_err.msg : strerror(-ret));
		if (ret == -ENOENT)
			keys[(*nr)++] = (struct layer_key){ key, name, value, file,
							    (unsigned int)line };
	}
	return 0;
}

/* Configures and opens the plugin of @st, and what is below it. */
static int open_storage(struct portal_instance *pi, struct portal_instance *st, uint64_t sid,
			struct json_object *setup, struct json_object *list, struct err *err)
{
	struct layer_key *keys = calloc(json_object_array_length(list) + 1, sizeof(*keys));
	struct layer_env env = {
		.dir = get_str(setup, "plugin_dir"), .api = &plugin_api, .pi = st,
		.opts = { .uring = &pi->ring, .wait = wait_worker, .arg = pi }, .keys = keys,
	};
	const char *why;
	int ret;

	if (!keys)
		return err_set(err, -ENOMEM, "out of memory");
	ret = sort_keys(pi, sid, list, keys, &env.nr_keys, err);
	if (!ret && sid == MAIN_STORAGE && pi->ops && pi->ops->config_complete)
		ret = pi->ops->config_complete(&pi->env, err);
	if (!ret)
		ret = layer_open(&env, &st->plugin, 0, &st->lower, &st->handle, err);
	free(keys);
	if (ret || !pi->ops)
		return ret;
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
		ret = open_storage(pi, st, sid, setup, keys, err);
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
	ret = open_storage(pi, pi, MAIN_STORAGE, setup, keys, err);
	return ret ? ret : add_storages(pi, setup, keys, err);
}

static void close_one(struct portal_instance *st)
{
	backend_destroy(st->backend);
	st->backend = NULL;
	if (st->handle && st->plugin.ops.close)
		st->plugin.ops.close(st->handle);
	st->handle = NULL;
	lower_close(st->lower);
	st->lower = NULL;
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
