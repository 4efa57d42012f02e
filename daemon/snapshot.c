// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot.c - what the next portald has to know of a VM, as text in a memfd
 *
 * Written before the kernel is told something and after, so that at any moment
 * it says what can be there. There are two texts; the header says which one
 * counts, so a kill -9 in the middle of a write leaves the other one.
 *
 * JSON: a newer portald finds what it knows, and has defaults for the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"

#define MAGIC		0x31747270	/* "prt1" */
#define HALF(which)	(4096 + ((off_t)(which) << 30))
#define TEXT_MAX	(64U << 20)

struct header {
	uint32_t magic;
	uint32_t which;
	uint32_t len;
	uint32_t reserved;
};

void json_put_u64(struct json_object *obj, const char *key, uint64_t val)
{
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

void json_put_str(struct json_object *obj, const char *key, const char *val)
{
	json_object_object_add(obj, key, json_object_new_string(val));
}

uint64_t json_u64(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_uint64(val) : 0;
}

int json_int(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int(val) : 0;
}

const char *json_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : NULL;
}

struct json_object *json_list(struct json_object *obj, const char *key)
{
	struct json_object *val;

	if (!json_object_object_get_ex(obj, key, &val) ||
	    !json_object_is_type(val, json_type_array))
		return NULL;
	return val;
}

/* ---- to text -------------------------------------------------------------- */

static struct json_object *desc_json(const struct chan_describe *d)
{
	struct json_object *obj = json_object_new_object(), *list = json_object_new_array();

	json_put_u64(obj, "slot_type", d->slot_type);
	json_put_u64(obj, "region_len", d->region_len);
	json_put_u64(obj, "fns", d->fns);
	json_put_u64(obj, "services", d->services);
	json_put_u64(obj, "state_len", d->state_len);
	json_put_u64(obj, "fixed", d->fixed);
	json_put_u64(obj, "bus", d->bus);
	json_put_u64(obj, "gpa", d->gpa);
	json_put_u64(obj, "gsi", d->gsi);
	for (uint32_t i = 0; i < d->nr_ranges; i++) {
		const struct portal_region_range *r = &d->ranges[i];
		struct json_object *range = json_object_new_object();

		json_put_u64(range, "offset", r->offset);
		json_put_u64(range, "len", r->len);
		json_put_u64(range, "attr", r->attr);
		json_put_u64(range, "flags", r->flags);
		json_put_u64(range, "aux", r->aux);
		json_put_u64(range, "width", r->width);
		json_object_object_add(range, "eventfd", json_object_new_int(r->eventfd));
		json_put_u64(range, "datamatch", r->datamatch);
		json_object_array_add(list, range);
	}
	json_object_object_add(obj, "ranges", list);
	return obj;
}

static struct json_object *bus_json(const struct bus_slot *s)
{
	struct json_object *obj = json_object_new_object();

	json_put_u64(obj, "serial", s->serial);
	json_put_u64(obj, "offered", s->offered);
	json_put_u64(obj, "leaving", s->leaving);
	json_put_u64(obj, "mapped", s->mapped);
	json_put_u64(obj, "enabled", s->enabled);
	json_put_u64(obj, "served", s->served);
	json_put_u64(obj, "op", s->op);
	json_put_u64(obj, "gpa", s->gpa);
	json_put_u64(obj, "gsi", s->gsi);
	if (s->region) {
		json_put_u64(obj, "region", portal_region_id(s->region));
		json_put_u64(obj, "shadow_off", portal_region_shadow_off(s->region));
		json_put_u64(obj, "shadow_size", portal_region_shadow_size(s->region));
	}
	return obj;
}

static struct json_object *instance_json(const struct instance *inst)
{
	struct json_object *obj = json_object_new_object();

	json_put_str(obj, "name", inst->name);
	json_put_str(obj, "plugin", inst->plugin);
	/* until the new medium is known to be good, the old one goes on */
	json_put_str(obj, "setup", inst->admin.old_setup ? : inst->setup);
	json_put_u64(obj, "removing", inst->admin.op == ADMIN_REMOVE);
	json_put_u64(obj, "block", inst->block);
	json_put_u64(obj, "restart", inst->restart);
	json_put_u64(obj, "timeout", inst->timeout);
	json_put_u64(obj, "failed", inst->state == INST_FAILED);
	json_put_str(obj, "error", inst->error.msg);
	json_put_u64(obj, "worker", inst->pid > 0 ? inst->pid : 0);
	json_put_u64(obj, "worker_start", inst->pid > 0 ? inst->started : 0);
	json_put_u64(obj, "queue", inst->queue_id);
	json_put_u64(obj, "hook", inst->hook_id);
	json_object_object_add(obj, "desc", desc_json(&inst->desc));
	json_object_object_add(obj, "bus", bus_json(&inst->bus));
	return obj;
}

static struct json_object *vm_json(const struct vm *vm)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *slots = json_object_new_array(), *done = json_object_new_array();

	json_put_str(obj, "name", vm->name);
	json_put_u64(obj, "pid", vm->pid);
	json_put_u64(obj, "uid", vm->uid);
	json_put_str(obj, "state", vm_state_name(vm->left ? VM_RUNNING : vm->state));
	json_put_u64(obj, "queue", portal_queue_id(vm->queue));
	json_put_u64(obj, "hook", vm->hook_id);
	json_put_u64(obj, "event_gsi", vm->event_gsi);
	json_put_u64(obj, "generation", vm->generation);
	json_put_u64(obj, "hellos", vm->hellos);
	json_put_u64(obj, "next_serial", vm->sv->next_serial);
	for (unsigned int i = 0; i < VM_DONE; i++) {
		struct json_object *d;

		if (!vm->done[i].id)
			continue;
		d = json_object_new_object();
		json_put_u64(d, "id", vm->done[i].id);
		json_object_object_add(d, "err", json_object_new_int(vm->done[i].err));
		json_object_array_add(done, d);
	}
	json_object_object_add(obj, "done", done);
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		json_object_array_add(slots, vm->slots[i] && vm->slots[i]->kept ?
				      instance_json(vm->slots[i]) : NULL);
	json_object_object_add(obj, "slots", slots);
	return obj;
}

static int write_all(int fd, const void *buf, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, at);

		if (n < 0)
			return -errno;
		buf = (const char *)buf + n;
		len -= n;
		at += n;
	}
	return 0;
}

int snapshot_put(int fd, const char *text)
{
	struct header h = { 0 };
	int ret;

	if (pread(fd, &h, sizeof(h), 0) < 0)
		return -errno;
	h.magic = MAGIC;
	h.which = !h.which;
	h.len = strlen(text);
	if (h.len > TEXT_MAX)
		return -E2BIG;
	ret = write_all(fd, text, h.len, HALF(h.which));
	return ret ? ret : write_all(fd, &h, sizeof(h), 0);
}

struct json_object *snapshot_get(int fd)
{
	struct json_object *obj = NULL;
	struct header h;
	char *text;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.magic != MAGIC || h.which > 1 ||
	    h.len > TEXT_MAX)
		return NULL;
	text = malloc(h.len + 1);
	if (text && pread(fd, text, h.len, HALF(h.which)) == (ssize_t)h.len) {
		text[h.len] = '\0';
		obj = json_tokener_parse(text);
	}
	free(text);
	return obj;
}

/* ---- fds ------------------------------------------------------------------ */

static int add(struct vm *vm, const char *what, int fd)
{
	char name[KEEP_NAME_MAX + 1];

	snprintf(name, sizeof(name), "v%u.%s", vm->id, what);
	return keep_add(vm->sv->keep, name, fd);
}

static int add_slot(struct instance *inst)
{
	char what[32];
	int ret;

	snprintf(what, sizeof(what), "%u.page", inst->slot);
	ret = add(inst->vm, what, inst->page_fd);
	snprintf(what, sizeof(what), "%u.irq", inst->slot);
	if (!ret)
		ret = add(inst->vm, what, inst->irq_fd);
	snprintf(what, sizeof(what), "%u.state", inst->slot);
	return ret ? ret : add(inst->vm, what, inst->state_fd);
}

/* The text last: without it the others are not taken for a VM. */
static int add_all(struct vm *vm)
{
	int ret = add(vm, "vm", portal_vm_fd(vm->pvm));

	if (!ret)
		ret = add(vm, "bus", vm->bus_fd);
	for (unsigned int i = 0; !ret && i < vm->nr_slots; i++)
		if (vm->slots[i])
			ret = add_slot(vm->slots[i]);
	if (!ret)
		ret = add(vm, "text", vm->text_fd);
	return ret;
}

void snapshot_keep(struct vm *vm)
{
	int ret = 0;

	if (keep_mode(vm->sv->keep) == KEEP_NO)
		return;
	if (vm->text_fd < 0) {
		vm->text_fd = memfd_create("portal-snapshot", MFD_CLOEXEC);
		ret = vm->text_fd < 0 ? -errno : 0;
	}
	/* nobody finds the text before it is kept too, which is last */
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			vm->slots[i]->kept = true;
	snapshot_write(vm);
	if (!ret)
		ret = add_all(vm);
	if (ret) {
		log_warn("%s: nobody keeps it if portald is killed: %s", vm->name, strerror(-ret));
		snapshot_forget(vm);
		fd_close(&vm->text_fd);
		return;
	}
	keep_sync(vm->sv->keep);
	supervisor_watch_keeper(vm->sv);
}

static void remove_slot(const struct vm *vm, unsigned int slot)
{
	static const char *const parts[] = { "page", "irq", "state" };
	char name[KEEP_NAME_MAX + 1];

	for (unsigned int p = 0; p < 3; p++) {
		snprintf(name, sizeof(name), "v%u.%u.%s", vm->id, slot, parts[p]);
		keep_remove(vm->sv->keep, name);
	}
}

void snapshot_keep_slot(struct instance *inst)
{
	struct vm *vm = inst->vm;
	int ret;

	if (vm->text_fd < 0)
		return;
	ret = add_slot(inst);
	if (ret) {
		log_warn("%s/%s: nobody keeps it if portald is killed: %s", vm->name, inst->name,
			 strerror(-ret));
		remove_slot(vm, inst->slot);
		return;
	}
	keep_sync(vm->sv->keep);
	inst->kept = true;
	snapshot_write(vm);
}

void snapshot_forget_slot(struct instance *inst)
{
	if (!inst->kept || inst->vm->text_fd < 0)
		return;
	inst->kept = false;
	snapshot_write(inst->vm);
	remove_slot(inst->vm, inst->slot);
	keep_sync(inst->vm->sv->keep);
}

void snapshot_forget(struct vm *vm)
{
	char name[KEEP_NAME_MAX + 1];

	if (vm->text_fd < 0)
		return;
	snprintf(name, sizeof(name), "v%u.text", vm->id);
	keep_remove(vm->sv->keep, name);
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		remove_slot(vm, i);
	snprintf(name, sizeof(name), "v%u.bus", vm->id);
	keep_remove(vm->sv->keep, name);
	snprintf(name, sizeof(name), "v%u.vm", vm->id);
	keep_remove(vm->sv->keep, name);
	/* then ours is the last, and who closes it is the one who waits for the end */
	keep_sync(vm->sv->keep);
}

void snapshot_write(struct vm *vm)
{
	struct json_object *obj;
	const char *text;
	int ret;

	if (vm->text_fd < 0)
		return;
	obj = vm_json(vm);
	text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
	ret = snapshot_put(vm->text_fd, text);
	if (ret)
		log_err("%s: cannot write its snapshot: %s", vm->name, strerror(-ret));
	json_object_put(obj);
}
