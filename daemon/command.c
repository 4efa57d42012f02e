// SPDX-License-Identifier: GPL-2.0-only
/*
 * command.c - what portalctl can ask for
 *
 * To add a command: a function, and a row in commands[].
 */
#include <errno.h>
#include <string.h>

#include "command.h"

#define DETACH_TIMEOUT_MS	10000
#define DETACH_TIMEOUT_MAX	3600000

const char *request_string(struct request *req, const char *key)
{
	struct json_object *val;

	if (!json_object_object_get_ex(req->obj, key, &val) ||
	    !json_object_is_type(val, json_type_string))
		return NULL;
	return json_object_get_string(val);
}

int64_t request_int(struct request *req, const char *key, int64_t dflt)
{
	struct json_object *val;

	if (!json_object_object_get_ex(req->obj, key, &val) ||
	    !json_object_is_type(val, json_type_int))
		return dflt;
	return json_object_get_int64(val);
}

bool request_bool(struct request *req, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(req->obj, key, &val) && json_object_get_boolean(val);
}

/* "vm": name, or "pid": number */
static struct vm *get_vm(struct request *req)
{
	const char *name = request_string(req, "vm");
	int64_t pid = request_int(req, "pid", 0);
	struct vm *vm;

	if (!name && pid <= 0) {
		err_set(&req->err, 0, "which VM? give its name or pid");
		return NULL;
	}
	vm = vm_find(req->sv, name, pid);
	if (!vm && name)
		err_set(&req->err, 0, "no VM named %s is attached; see portalctl list", name);
	else if (!vm)
		err_set(&req->err, 0, "process %lld is not attached; see portalctl list",
			(long long)pid);
	return vm;
}

struct vm *request_vm(struct request *req)
{
	struct vm *vm = get_vm(req);

	if (vm && !attach_allowed(req->peer, vm->uid)) {
		err_set(&req->err, 0,
			"uid %u may not manage VM %s of uid %u; only root and its own user may",
			req->peer, vm->name, vm->uid);
		return NULL;
	}
	return vm;
}

struct instance *request_instance(struct request *req)
{
	const char *name = request_string(req, "instance");
	struct vm *vm = request_vm(req);

	if (!vm)
		return NULL;
	for (unsigned int i = 0; name && i < vm->nr_slots; i++)
		if (vm->slots[i] && !strcmp(vm->slots[i]->name, name))
			return vm->slots[i];
	if (name)
		err_set(&req->err, 0, "VM %s has no instance %s; see portalctl stat %s", vm->name,
			name, vm->name);
	else
		err_set(&req->err, 0, "which instance? give its name");
	return NULL;
}

struct json_object *request_failed(struct request *req)
{
	return control_error("%s", req->err.msg);
}

static struct json_object *cmd_attach(struct request *req)
{
	const char *names[256];
	struct attach_args args = {
		.pid = request_int(req, "pid", 0),
		.vm_fd = request_int(req, "vm_fd", -1),
		.vm_name = request_string(req, "vm_name"),
		.domain = request_string(req, "domain"),
		.name = request_string(req, "name"),
		.instances = names,
		.peer = req->peer,
	};
	struct json_object *list;

	if (json_object_object_get_ex(req->obj, "instances", &list)) {
		if (!json_object_is_type(list, json_type_array))
			return control_error("'instances' is not an array of names");
		args.nr_instances = json_object_array_length(list);
		if (args.nr_instances > 256)
			return control_error("more than 256 instances");
		for (unsigned int i = 0; i < args.nr_instances; i++) {
			struct json_object *n = json_object_array_get_idx(list, i);

			if (!json_object_is_type(n, json_type_string))
				return control_error("'instances' is not an array of names");
			names[i] = json_object_get_string(n);
		}
	}
	if (attach(req->sv, &args, req->conn, &req->err))
		return request_failed(req);
	return NULL;
}

static struct json_object *cmd_detach(struct request *req)
{
	int64_t ms = request_int(req, "timeout_ms", DETACH_TIMEOUT_MS);
	struct vm *vm = request_vm(req);

	if (!vm)
		return request_failed(req);
	if (vm->detach_conn)
		return control_error("VM %s is being detached already", vm->name);
	if (ms < 0 || ms > DETACH_TIMEOUT_MAX)
		return control_error("timeout is not between 0 and 3600 seconds");
	vm_detach(vm, request_bool(req, "force") ? 0 : ms, req->conn);
	return NULL;
}

static struct json_object *cmd_list(struct request *req)
{
	struct json_object *obj = control_ok();

	json_object_object_add(obj, "vms", stats_list(req->sv));
	return obj;
}

static struct json_object *cmd_stat(struct request *req)
{
	struct vm *vm = NULL;

	if (request_string(req, "vm") || request_int(req, "pid", 0)) {
		vm = get_vm(req);
		if (!vm)
			return request_failed(req);
	}
	stats_collect(req->sv, vm, req->conn);
	return NULL;
}

static struct json_object *cmd_interrupt(struct request *req)
{
	struct instance *inst = request_instance(req);
	struct json_object *obj;

	if (!inst)
		return request_failed(req);
	if (!inst->desc.services)
		return control_error("instance %s of VM %s takes no interrupts", inst->name,
				     inst->vm->name);
	instance_interrupt(inst);
	obj = control_ok();
	json_object_object_add(obj, "queued", json_object_new_uint64(inst->page->queued));
	return obj;
}

static struct json_object *cmd_restart(struct request *req)
{
	struct instance *inst = request_instance(req);

	if (!inst || instance_restart(inst, req->conn, &req->err))
		return request_failed(req);
	return NULL;
}

static struct json_object *cmd_version(struct request *req)
{
	struct json_object *obj = control_ok();
	struct portal_dev *dev;
	struct portal_info info;

	(void)req;
	json_object_object_add(obj, "portald", json_object_new_string(PORTALD_VERSION));
	json_object_object_add(obj, "libkvmportal", json_object_new_string(portal_version()));
	if (portal_dev_open(NULL, &dev))
		return obj;
	if (!portal_dev_info(dev, &info)) {
		json_object_object_add(obj, "api_version",
				       json_object_new_int(info.out_api_version));
		json_object_object_add(obj, "features",
				       json_object_new_uint64(info.out_features));
	}
	portal_dev_close(dev);
	return obj;
}

static const struct {
	const char *name;
	struct json_object *(*run)(struct request *req);
} commands[] = {
	{ "attach", cmd_attach },
	{ "detach", cmd_detach },
	{ "disk_add", cmd_disk_add },
	{ "disk_remove", cmd_disk_remove },
	{ "disk_resize", cmd_disk_resize },
	{ "disk_set_limit", cmd_disk_set_limit },
	{ "disk_swap", cmd_disk_swap },
	{ "interrupt", cmd_interrupt },
	{ "list", cmd_list },
	{ "restart", cmd_restart },
	{ "stat", cmd_stat },
	{ "version", cmd_version },
};

struct json_object *control_command(struct supervisor *sv, const char *line, uid_t peer,
				    uint64_t conn)
{
	struct request req = { .sv = sv, .peer = peer, .conn = conn };
	struct json_object *reply = NULL;
	const char *cmd;
	size_t i, nr = sizeof(commands) / sizeof(commands[0]);

	req.obj = json_tokener_parse(line);
	if (!req.obj || !json_object_is_type(req.obj, json_type_object)) {
		json_object_put(req.obj);
		return control_error("not a JSON object; each line is one");
	}
	cmd = request_string(&req, "cmd");
	for (i = 0; cmd && i < nr; i++)
		if (!strcmp(cmd, commands[i].name))
			break;
	if (!cmd)
		reply = control_error("no 'cmd'");
	else if (i == nr)
		reply = control_error("unknown command '%s'", cmd);
	else
		reply = commands[i].run(&req);
	json_object_put(req.obj);
	return reply;
}
