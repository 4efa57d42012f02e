// SPDX-License-Identifier: GPL-2.0-only
/*
 * restore.c - the VMs of an earlier portald, which was killed or went for a
 * newer one
 *
 * The kernel has kept hooks, regions, queues and interrupts; the shared pages
 * and the front ends' state are in memfds. Workers start as after a worker's
 * death. What was half done is undone: the guest's call for it was not
 * answered, so the kernel hands it out again.
 *
 * All of it happens before the event loop runs, and only once no earlier worker
 * runs any more: it could still write guest memory.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon.h"

#define DEATH_MS	10000	/* of an earlier worker */
#define MAX_REGIONS	1024	/* ids are the lowest free ones */

/* ---- earlier workers ------------------------------------------------------ */

/* The number may be somebody else's by now: the time of its start tells. */
static int worker_pidfd(struct json_object *slot)
{
	pid_t pid = json_u64(slot, "worker");
	int fd;

	if (pid <= 0)
		return -1;
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 && process_started(pid) != json_u64(slot, "worker_start"))
		fd_close(&fd);
	return fd;
}

static bool workers_ended(struct json_object *slots)
{
	size_t nr = json_object_array_length(slots);
	bool all = true;

	for (int kill_first = 1; kill_first >= 0; kill_first--) {
		for (size_t i = 0; i < nr; i++) {
			int fd = worker_pidfd(json_object_array_get_idx(slots, i));
			struct pollfd p = { .fd = fd, .events = POLLIN };

			if (fd < 0)
				continue;
			if (kill_first)
				syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
			else if (poll(&p, 1, DEATH_MS) <= 0)
				all = false;
			close(fd);
		}
	}
	return all;
}

/* ---- slots ---------------------------------------------------------------- */

static void get_desc(struct json_object *obj, struct chan_describe *d)
{
	struct json_object *list = json_list(obj, "ranges");

	d->slot_type = json_u64(obj, "slot_type");
	d->region_len = json_u64(obj, "region_len");
	d->fns = json_u64(obj, "fns");
	d->services = json_u64(obj, "services");
	d->state_len = json_u64(obj, "state_len");
	d->fixed = json_u64(obj, "fixed");
	d->bus = json_u64(obj, "bus");
	d->gpa = json_u64(obj, "gpa");
	d->gsi = json_u64(obj, "gsi");
	d->nr_ranges = list ? json_object_array_length(list) : 0;
	if (d->nr_ranges > CHAN_MAX_RANGES)
		d->nr_ranges = CHAN_MAX_RANGES;
	for (uint32_t i = 0; i < d->nr_ranges; i++) {
		struct json_object *r = json_object_array_get_idx(list, i);

		d->ranges[i] = (struct portal_region_range) {
			.offset = json_u64(r, "offset"),
			.len = json_u64(r, "len"),
			.attr = json_u64(r, "attr"),
			.flags = json_u64(r, "flags"),
			.aux = json_u64(r, "aux"),
			.width = json_u64(r, "width"),
			.eventfd = json_int(r, "eventfd"),
			.datamatch = json_u64(r, "datamatch"),
		};
	}
}

/* An operation that had begun is as if it had not, or as if it were done. */
static int get_bus(struct instance *inst, struct json_object *obj)
{
	struct bus_slot *s = &inst->bus;
	uint32_t region = json_u64(obj, "region");
	int ret;

	s->serial = json_u64(obj, "serial");
	s->offered = json_u64(obj, "offered");
	s->leaving = json_u64(obj, "leaving");
	s->gsi = json_u64(obj, "gsi");
	if (json_u64(obj, "op") != BUS_OP_NONE || !json_u64(obj, "mapped")) {
		if (s->gsi)	/* bound or not */
			portal_irq_unbind(inst->vm->pvm, s->gsi, inst->irq_fd);
		s->gsi = 0;
		return 0;	/* its region goes with those that nobody knows */
	}
	s->gpa = json_u64(obj, "gpa");
	s->enabled = json_u64(obj, "enabled");
	s->served = json_u64(obj, "served");
	s->mapped = true;
	if (!region)
		return 0;
	ret = portal_region_map(inst->vm->pvm, region, json_u64(obj, "shadow_off"),
				json_u64(obj, "shadow_size"), &s->region);
	return ret;
}

static int take(struct vm *vm, unsigned int slot, const char *what)
{
	char name[KEEP_NAME_MAX + 1];

	snprintf(name, sizeof(name), "v%u.%u.%s", vm->id, slot, what);
	return keep_take(vm->sv->keep, name);
}

static int map_page(struct instance *inst)
{
	struct stat st;

	if (fstat(inst->page_fd, &st) || st.st_size < CHAN_PAGE_SIZE)
		return -EBADMSG;
	inst->page = mmap(NULL, CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  inst->page_fd, 0);
	if (inst->page != MAP_FAILED)
		return 0;
	inst->page = NULL;
	return -errno;
}

static int restore_slot(struct vm *vm, unsigned int slot, struct json_object *obj)
{
	struct instance *inst = calloc(1, sizeof(*inst));
	struct json_object *part;
	const char *setup = json_str(obj, "setup"), *name = json_str(obj, "name");
	const char *plugin = json_str(obj, "plugin"), *error = json_str(obj, "error");

	if (!inst)
		return -ENOMEM;
	inst->vm = vm;
	inst->slot = slot;
	inst->kept = true;
	inst->chan = -1;
	inst->page_fd = take(vm, slot, "page");
	inst->irq_fd = take(vm, slot, "irq");
	inst->state_fd = take(vm, slot, "state");
	vm->slots[vm->nr_slots++] = inst;	/* vm_free() frees it */
	if (inst->page_fd < 0 || inst->irq_fd < 0 || inst->state_fd < 0 || !setup || !name ||
	    !plugin)
		return -EBADMSG;
	snprintf(inst->name, sizeof(inst->name), "%s", name);
	snprintf(inst->plugin, sizeof(inst->plugin), "%s", plugin);
	snprintf(inst->error.msg, sizeof(inst->error.msg), "%s", error ? : "");
	inst->setup = strdup(setup);
	if (!inst->setup)
		return -ENOMEM;
	inst->admin.op = json_u64(obj, "removing") ? ADMIN_REMOVE : ADMIN_NONE;
	inst->block = json_u64(obj, "block");
	inst->restart = json_u64(obj, "restart");
	inst->timeout = json_u64(obj, "timeout");
	inst->queue_id = json_u64(obj, "queue");
	inst->hook_id = json_u64(obj, "hook");
	inst->state = json_u64(obj, "failed") ? INST_FAILED : INST_WAITING;
	if (!json_object_object_get_ex(obj, "desc", &part))
		return -EBADMSG;
	get_desc(part, &inst->desc);
	inst->described = true;
	if (map_page(inst) || !json_object_object_get_ex(obj, "bus", &part))
		return -EBADMSG;
	return get_bus(inst, part);
}

static bool region_is_known(const struct vm *vm, uint32_t id)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i] && vm->slots[i]->bus.region &&
		    portal_region_id(vm->slots[i]->bus.region) == id)
			return true;
	return false;
}

/* The earlier portald was killed between the kernel's part and its own. */
static void delete_unknown_regions(struct vm *vm)
{
	struct portal_vm_info info = { .size = sizeof(info) };
	unsigned int known = 0;

	for (unsigned int i = 0; i < vm->nr_slots; i++)
		known += vm->slots[i] && vm->slots[i]->bus.region;
	if (portal_vm_get_info(vm->pvm, &info) || info.out_regions <= known)
		return;
	for (uint32_t id = 1; id <= MAX_REGIONS; id++) {
		struct portal_id arg = { .size = sizeof(arg), .id = id };

		if (!region_is_known(vm, id) &&
		    !ioctl(portal_vm_fd(vm->pvm), PORTAL_REGION_DEL, &arg))
			log_debug("%s: region %u was half made", vm->name, id);
	}
}

/* ---- VMs ------------------------------------------------------------------ */

static void get_done(struct vm *vm, struct json_object *list)
{
	size_t nr = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < nr && i < VM_DONE; i++) {
		struct json_object *d = json_object_array_get_idx(list, i);

		vm->done[i].id = json_u64(d, "id");
		vm->done[i].err = json_int(d, "err");
	}
	vm->next_done = nr;
}

static int restore_slots(struct vm *vm, struct json_object *slots)
{
	size_t nr = json_object_array_length(slots);
	int ret = 0;

	if (nr > PORTAL_BUS_SLOTS)
		return -EBADMSG;
	for (size_t i = 0; !ret && i < nr; i++) {
		struct json_object *slot = json_object_array_get_idx(slots, i);

		if (slot)
			ret = restore_slot(vm, i, slot);
		else
			vm->nr_slots++;	/* empty: one that was removed, or being added */
	}
	return ret;
}

/* An fd of VM @id that does not belong to a slot. */
static int take_part(struct supervisor *sv, unsigned int id, const char *what)
{
	char name[KEEP_NAME_MAX + 1];

	snprintf(name, sizeof(name), "v%u.%s", id, what);
	return keep_take(sv->keep, name);
}

static int open_vm(struct supervisor *sv, unsigned int id, struct portal_vm **pvm)
{
	struct portal_vm_info info = { .size = sizeof(info) };
	int fd = take_part(sv, id, "vm"), ret;

	if (fd < 0)
		return -EBADMSG;
	ret = portal_vm_from_fd(fd, pvm);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = portal_vm_get_info(*pvm, &info);
	if (!ret && info.out_state == PORTAL_VM_GONE)
		ret = -ENODEV;
	if (ret)
		portal_vm_close(*pvm);
	return ret;
}

static void rebind_event(struct vm *vm)
{
	if (!vm->event_gsi)
		return;
	/* perhaps it was not bound yet */
	portal_irq_unbind(vm->pvm, vm->event_gsi, vm->bus_fd);
	if (portal_irq_bind(vm->pvm, vm->event_gsi, vm->bus_fd, -1) < 0)
		log_err("%s: its event interrupt cannot be bound again", vm->name);
}

static int fill(struct vm *vm, struct json_object *text, struct json_object *slots)
{
	int ret;

	vm->hook_id = json_u64(text, "hook");
	vm->event_gsi = json_u64(text, "event_gsi");
	vm->generation = json_u64(text, "generation");
	vm->hellos = json_u64(text, "hellos");
	if (vm->sv->next_serial < json_u64(text, "next_serial"))
		vm->sv->next_serial = json_u64(text, "next_serial");
	get_done(vm, json_list(text, "done"));
	ret = restore_slots(vm, slots);
	if (ret)
		return ret;
	delete_unknown_regions(vm);
	rebind_event(vm);
	ret = vm_open_queue(vm, json_u64(text, "queue"));
	if (ret)
		return ret;
	vm->state = VM_RUNNING;
	return 0;
}

static int restore_vm(struct supervisor *sv, unsigned int id, struct json_object *text,
		      int *text_fd, struct err *err)
{
	struct json_object *slots = json_list(text, "slots");
	const char *name = json_str(text, "name"), *state = json_str(text, "state");
	struct portal_vm *pvm;
	struct vm *vm;
	int ret;

	if (!slots || !name || !state)
		return err_set(err, -EBADMSG, "what was written about it cannot be read");
	if (strcmp(state, vm_state_name(VM_RUNNING)))
		return err_set(err, -ESHUTDOWN, "VM %s was being detached", name);
	if (!workers_ended(slots))
		return err_set(err, -EBUSY, "VM %s: a worker of the earlier portald does not end",
			       name);
	ret = open_vm(sv, id, &pvm);
	if (ret == -ENODEV)
		return err_set(err, ret, "VM %s is gone", name);
	if (ret)
		return err_set(err, ret, "VM %s: %s", name, portal_strerror(ret));
	vm = vm_alloc(sv, pvm, name, json_u64(text, "pid"), json_u64(text, "uid"));
	if (!vm) {
		portal_vm_close(pvm);
		return err_set(err, -ENOMEM, "out of memory");
	}
	vm->id = id;
	vm->text_fd = *text_fd;
	*text_fd = -1;
	vm->bus_fd = take_part(sv, id, "bus");
	ret = vm->bus_fd < 0 ? -EBADMSG : fill(vm, text, slots);
	if (ret) {
		vm_discard(vm);
		return err_set(err, ret, "VM %s: not all of it was kept: %s", name,
			       portal_strerror(ret));
	}
	snapshot_write(vm);
	log_notice("%s: goes on (pid %d, uid %u, %u instance%s) as an earlier portald left it",
		   vm->name, vm->pid, vm->uid, vm->nr_slots, vm->nr_slots == 1 ? "" : "s");
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i] && vm->slots[i]->state == INST_WAITING)
			instance_start(vm->slots[i]);
	/* it may have been busy with one of them when it was killed */
	bus_signal(vm);
	return 0;
}

void restore_all(struct supervisor *sv)
{
	char prefix[KEEP_NAME_MAX + 1];
	const char *name;

	while ((name = keep_search(sv->keep, ".text"))) {
		unsigned int id = strtoul(name + 1, NULL, 10);
		int fd = take_part(sv, id, "text");
		struct json_object *text = fd < 0 ? NULL : snapshot_get(fd);
		struct err err = { "what was kept cannot be read" };

		if (id > sv->last_vm_id)
			sv->last_vm_id = id;
		if (!text || restore_vm(sv, id, text, &fd, &err)) {
			log_warn("an earlier portald's VM does not go on: %s", err.msg);
			snprintf(prefix, sizeof(prefix), "v%u.", id);
			keep_discard(sv->keep, prefix);
		}
		json_object_put(text);
		fd_close(&fd);
	}
	/* what is left belongs to no VM: portald was killed in the middle of an attach */
	keep_discard_rest(sv->keep);
}
