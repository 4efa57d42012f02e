// SPDX-License-Identifier: GPL-2.0-only
/*
 * command_disk.c - portalctl disk: add, remove, resize, swap, set-limit
 *
 *	{"cmd":"disk_add","vm":"web1","instance":"d1","keys":{"path":"/d1.img"}}
 *	{"ok":true,"vm":"web1","instance":"d1","slot":3}
 *
 * Keys are those of an [instance] in portald.conf. Only root may give them: they
 * name files that portald opens. So with sizes and limits, which are the host's; the
 * VM's own user may add and remove what the configuration offers.
 */
#include <errno.h>
#include <string.h>

#include "command.h"

#define MAX_KEYS		64
#define REMOVE_TIMEOUT_MS	10000
#define REMOVE_TIMEOUT_MAX	3600000
#define DEFAULT_PLUGIN		"file"
#define DEFAULT_FRONTEND	"virtio-blk"

struct keys {
	const char *key[MAX_KEYS + 2];
	const char *value[MAX_KEYS + 2];
	unsigned int nr;
};

static int get_keys(struct request *req, struct keys *k)
{
	struct json_object *obj;

	k->nr = 0;
	if (!json_object_object_get_ex(req->obj, "keys", &obj))
		return 0;
	if (!json_object_is_type(obj, json_type_object))
		return err_set(&req->err, -EINVAL, "'keys' is not an object");
	if (json_object_object_length(obj) > MAX_KEYS)
		return err_set(&req->err, -EINVAL, "more than %d keys", MAX_KEYS);
	json_object_object_foreach(obj, key, val) {
		if (!json_object_is_type(val, json_type_string))
			return err_set(&req->err, -EINVAL, "key '%s' is not a string", key);
		k->key[k->nr] = key;
		k->value[k->nr++] = json_object_get_string(val);
	}
	return 0;
}

static struct json_object *only_root(const char *what)
{
	return control_error("only root may %s", what);
}

static bool has(const struct keys *k, const char *key)
{
	for (unsigned int i = 0; i < k->nr; i++)
		if (!strcmp(k->key[i], key))
			return true;
	return false;
}

static void add_default(struct keys *k, const char *key, const char *value)
{
	if (has(k, key))
		return;
	k->key[k->nr] = key;
	k->value[k->nr++] = value;
}

/* Without keys: the [instance] of the configuration. */
struct json_object *cmd_disk_add(struct request *req)
{
	const char *name = request_string(req, "instance");
	struct vm *vm = request_vm(req);
	const struct config_instance *known;
	struct config_instance ci;
	struct keys k;
	int ret;

	if (!vm || get_keys(req, &k))
		return request_failed(req);
	if (!name)
		return control_error("which disk? give its name");
	known = config_find(req->sv->cfg, name);
	if (k.nr && req->peer)
		return only_root("give keys; others may add an [instance] of the configuration");
	if (known && k.nr)
		return control_error("there is an [instance %s] in the configuration: give no keys, or another name",
				     name);
	if (known) {
		ret = admin_add(vm, known, req->conn, &req->err);
		return ret ? request_failed(req) : NULL;
	}
	if (!k.nr)
		return control_error("no [instance %s] in the configuration: give its keys, such as path=IMAGE",
				     name);
	add_default(&k, "plugin", DEFAULT_PLUGIN);
	add_default(&k, "frontend", DEFAULT_FRONTEND);
	if (config_make_instance(name, k.key, k.value, k.nr, &ci, &req->err))
		return request_failed(req);
	ret = admin_add(vm, &ci, req->conn, &req->err);
	config_instance_free(&ci);
	return ret ? request_failed(req) : NULL;
}

struct json_object *cmd_disk_remove(struct request *req)
{
	int64_t ms = request_int(req, "timeout_ms", REMOVE_TIMEOUT_MS);
	struct instance *inst = request_instance(req);

	if (!inst)
		return request_failed(req);
	if (ms < 0 || ms > REMOVE_TIMEOUT_MAX)
		return control_error("timeout is not between 0 and 3600 seconds");
	if (request_bool(req, "force"))
		ms = 0;
	else if (!ms)
		ms = 1;		/* asked, and given no time */
	if (admin_remove(inst, ms, req->conn, &req->err))
		return request_failed(req);
	return NULL;
}

struct json_object *cmd_disk_resize(struct request *req)
{
	int64_t size = request_int(req, "size", 0), sid = request_int(req, "sid", 0);
	struct instance *inst = request_instance(req);

	if (!inst)
		return request_failed(req);
	if (size && req->peer)
		return only_root("change the size of a medium");
	if (size < 0 || sid < 0 || sid > UINT32_MAX)
		return control_error("size or sid is not a number that can be");
	if (admin_resize(inst, (uint32_t)sid, size, req->conn, &req->err))
		return request_failed(req);
	return NULL;
}

struct json_object *cmd_disk_set_limit(struct request *req)
{
	const char *limits = request_string(req, "limits");
	struct instance *inst = request_instance(req);

	if (!inst)
		return request_failed(req);
	if (req->peer)
		return only_root("set limits");
	if (!limits || !*limits)
		return control_error("which limits? such as iops=1000,bps=10M or off");
	if (admin_limit(inst, limits, req->conn, &req->err))
		return request_failed(req);
	return NULL;
}

/* What is the front end's, or portald's, stays as it is. */
struct json_object *cmd_disk_swap(struct request *req)
{
	static const char *const fixed[] = {
		"frontend", "serial", "queues", "limits", "restart", "sandbox", "worker_timeout",
	};
	struct instance *inst = request_instance(req);
	struct config_instance ci;
	struct keys k;
	int ret;

	if (!inst || get_keys(req, &k))
		return request_failed(req);
	if (req->peer)
		return only_root("swap a medium");
	if (!k.nr)
		return control_error("which medium? give its keys, such as path=IMAGE");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (has(&k, fixed[i]))
			return control_error("'%s' is not the medium's; only its plugin and the plugin's keys can change",
					     fixed[i]);
	add_default(&k, "plugin", inst->plugin);
	if (config_make_instance(inst->name, k.key, k.value, k.nr, &ci, &req->err))
		return request_failed(req);
	ret = admin_swap(inst, &ci, req->conn, &req->err);
	config_instance_free(&ci);
	return ret ? request_failed(req) : NULL;
}
