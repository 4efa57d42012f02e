// SPDX-License-Identifier: GPL-2.0-only
/*
 * stats.c - the numbers behind portalctl list and stat
 *
 * What the kernel counts and what is in the shared page is read at once; a
 * front end's own counters are the worker's, who is asked and given a second.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "kstats.h"

#define PATIENCE	1000000ULL

/* One portalctl that waits for workers. */
struct collect {
	struct collect *next;
	struct supervisor *sv;
	uint64_t conn;
	char vm[64];		/* "" all */
	uint32_t seq;
	unsigned int missing;
	sd_event_source *timer;
};

static struct collect *collects;
static uint32_t last_seq;

static void add_u64(struct json_object *obj, const char *key, uint64_t val)
{
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

static void add_str(struct json_object *obj, const char *key, const char *val)
{
	json_object_object_add(obj, key, json_object_new_string(val));
}

static const char *slot_state_name(enum portal_slot_state state)
{
	static const char *const names[] = { "absent", "offered", "enabled", "leaving" };

	return names[state];
}

static const char *slot_type_name(uint32_t type)
{
	static const char *const names[] = { "-", "service", "registers", "virtio-mmio" };

	return names[type < 4 ? type : 0];
}

static struct json_object *instance_brief(const struct instance *inst)
{
	struct json_object *obj = json_object_new_object();

	add_str(obj, "name", inst->name);
	add_str(obj, "plugin", inst->plugin);
	add_u64(obj, "slot", inst->slot);
	add_str(obj, "type", slot_type_name(inst->desc.slot_type));
	add_str(obj, "worker", instance_state_name(inst->state));
	add_str(obj, "guest", slot_state_name(bus_slot_state(inst)));
	return obj;
}

static struct json_object *instance_full(const struct instance *inst)
{
	struct json_object *obj = instance_brief(inst);
	const struct chan_page *page = inst->page;

	add_u64(obj, "pid", inst->pid);
	add_u64(obj, "deaths", inst->deaths.nr);
	add_u64(obj, "queue", inst->queue_id);
	add_u64(obj, "hook", inst->hook_id);
	add_u64(obj, "region", inst->bus.region ? portal_region_id(inst->bus.region) : 0);
	if (inst->error.msg[0])
		add_str(obj, "error", inst->error.msg);
	if (inst->bus.mapped && inst->desc.region_len) {
		add_u64(obj, "gpa", inst->bus.gpa);
		add_u64(obj, "gsi", inst->bus.gsi);
	}
	add_u64(obj, "requests", page->requests);
	add_u64(obj, "calls", page->calls);
	add_u64(obj, "reads", page->reads);
	add_u64(obj, "writes", page->writes);
	add_u64(obj, "doorbells", page->doorbells);
	add_u64(obj, "errors", page->errors);
	add_u64(obj, "dropped", page->dropped);
	add_u64(obj, "batches", page->batches);
	add_u64(obj, "interrupts_queued", page->queued);
	add_u64(obj, "interrupts_served", page->served);
	if (inst->stats)
		json_object_object_add(obj, "device", json_object_get(inst->stats));
	return obj;
}

static void add_kernel(struct json_object *obj, struct vm *vm)
{
	struct json_object *k = json_object_new_object();
	struct portal_vm_info info = { .size = sizeof(info) };

	if (portal_vm_get_info(vm->pvm, &info)) {
		json_object_put(k);
		return;
	}
	add_u64(k, "vcpus", info.out_vcpus);
	add_u64(k, "hooks", info.out_hooks);
	add_u64(k, "regions", info.out_regions);
	add_u64(k, "queues", info.out_queues);
	add_u64(k, "windows", info.out_windows);
	add_u64(k, "hellos", info.out_hellos);
	add_u64(k, "hypercalls", info.out_hypercalls);
	add_u64(k, "calls", info.out_calls);
	add_u64(k, "posted", info.out_posted);
	add_u64(k, "restarts", info.out_restarts);
	add_u64(k, "timeouts", info.out_timeouts);
	add_u64(k, "dropped", info.out_dropped);
	add_u64(k, "shadow_reads", info.out_shadow_reads);
	add_u64(k, "wakeups", info.out_wakeups);
	/* an older module does not say where: 0 */
	if (info.out_vm_id)
		kstats_add(k, KSTATS_ROOT, info.out_vm_id, info.out_client_id);
	json_object_object_add(obj, "kernel", k);
}

static struct json_object *vm_json(struct vm *vm, bool full)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *list = json_object_new_array();

	add_str(obj, "name", vm->name);
	json_object_object_add(obj, "pid", json_object_new_int(vm->pid));
	json_object_object_add(obj, "uid", json_object_new_int64(vm->uid));
	add_str(obj, "state", vm_state_name(vm->state));
	json_object_object_add(obj, "guest_driver", json_object_new_boolean(vm->hellos > 0));
	if (full) {
		add_u64(obj, "queue", portal_queue_id(vm->queue));
		add_u64(obj, "hook", vm->hook_id);
		add_kernel(obj, vm);
	}
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			json_object_array_add(list, full ? instance_full(vm->slots[i]) :
						   instance_brief(vm->slots[i]));
	json_object_object_add(obj, "instances", list);
	return obj;
}

static struct json_object *vms_json(struct supervisor *sv, const char *name, bool full)
{
	struct json_object *list = json_object_new_array();

	for (struct vm *vm = sv->vms; vm; vm = vm->next)
		if (vm->state != VM_DEAD && (!*name || !strcmp(vm->name, name)))
			json_object_array_add(list, vm_json(vm, full));
	return list;
}

struct json_object *stats_list(struct supervisor *sv)
{
	return vms_json(sv, "", false);
}

static void finish(struct collect *c)
{
	struct json_object *obj = control_ok();
	struct collect **p = &collects;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	watch_off(&c->timer);
	add_u64(obj, "portald_pid", getpid());
	json_object_object_add(obj, "vms", vms_json(c->sv, c->vm, true));
	control_reply(c->sv, c->conn, obj);
	free(c);
}

static int on_patience_over(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	finish(arg);
	return 0;
}

void stats_collect(struct supervisor *sv, struct vm *only, uint64_t conn)
{
	struct collect *c = calloc(1, sizeof(*c));

	if (!c) {
		control_reply(sv, conn, control_error("out of memory"));
		return;
	}
	c->sv = sv;
	c->conn = conn;
	c->seq = ++last_seq;
	if (only)
		memcpy(c->vm, only->name, sizeof(c->vm));
	c->next = collects;
	collects = c;
	for (struct vm *vm = sv->vms; vm; vm = vm->next) {
		if (only && vm != only)
			continue;
		for (unsigned int i = 0; i < vm->nr_slots; i++)
			if (vm->slots[i] && !instance_stat(vm->slots[i], c->seq))
				c->missing++;
	}
	/* not from here: the connection is still inside its command */
	if (watch_timer(sv, &c->timer, c->missing ? PATIENCE : 0, on_patience_over, c) < 0)
		finish(c);
}

void stats_arrived(struct instance *inst, uint32_t seq, const char *json)
{
	struct json_object *obj = json ? json_tokener_parse(json) : NULL;
	struct collect *c = collects;

	if (obj && json_object_is_type(obj, json_type_object) && json_object_object_length(obj)) {
		json_object_put(inst->stats);
		inst->stats = json_object_get(obj);
	}
	json_object_put(obj);
	/* each worker counts once per question */
	if (inst->stat_seq >= seq)
		return;
	inst->stat_seq = seq;
	while (c && c->seq != seq)
		c = c->next;
	if (c && c->missing && !--c->missing)
		finish(c);
}
