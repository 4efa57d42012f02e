// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - one attached VM: from attach to detach
 *
 *	ATTACHING -- all workers ready --> RUNNING
 *	    \-- one failed --> STOPPING
 *	RUNNING -- portalctl detach --> LEAVING -- guest let go, or time-out --> STOPPING
 *	   \-- VM gone, SIGTERM --------------------------------------------/
 *	STOPPING -- all workers gone --> DEAD -- freed by the loop
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "daemon.h"

#define BUS_TIMEOUT_NS	20000000000ULL	/* a worker may restart in the middle */
#define QUEUE_HOLD_NS	60000000000ULL	/* and portald too */

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = {
		"attaching", "running", "leaving", "stopping", "dead",
	};

	return names[state];
}

/* ---- control queue -------------------------------------------------------- */

void vm_flush(struct vm *vm)
{
	if (vm->queue && vm->state != VM_DEAD)
		portal_queue_flush(vm->queue);
}

static void gone(struct vm *vm)
{
	if (vm->state >= VM_STOPPING)
		return;
	log_info("%s: the VM is gone; detached", vm->name);
	err_set(&vm->failure, 0, "the VM is gone");
	vm_stop(vm);
}

static void on_lifecycle(struct vm *vm, const struct portal_request *req)
{
	int err;

	switch (req->addr) {
	case PORTAL_LIFE_HELLO:
		if (vm_was_done(vm, req, &err))
			break;
		vm->hellos++;
		log_info("%s: guest says hello (version %llu, features 0x%llx)", vm->name,
			 (unsigned long long)req->data[0], (unsigned long long)req->data[1]);
		bus_hello(vm);
		vm_done(vm, req->id, 0);
		snapshot_write(vm);
		break;
	case PORTAL_LIFE_VM_GONE:
		gone(vm);
		break;
	}
}

static int on_queue(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	const struct portal_request *req;
	struct vm *vm = arg;
	int ret;

	(void)src;
	(void)fd;
	(void)revents;
	/* wait() also sends the replies of the round before */
	while ((ret = portal_queue_wait(vm->queue, 0)) > 0) {
		while ((req = portal_queue_next(vm->queue))) {
			struct portal_request copy = *req;

			if (copy.kind == PORTAL_KIND_LIFECYCLE)
				on_lifecycle(vm, &copy);
			else if (copy.kind == PORTAL_KIND_HYPERCALL)
				bus_request(vm, &copy);
		}
	}
	if (ret == -ENODEV || (!ret && revents & (EPOLLERR | EPOLLHUP)))
		gone(vm);
	else if (ret < 0 && ret != -EINTR && ret != -EAGAIN)
		log_err("%s: control queue: %s", vm->name, portal_strerror(ret));
	if (vm->state >= VM_STOPPING)
		watch_off(&vm->queue_src);
	return 0;
}

static int watch_queue(struct vm *vm)
{
	return sd_event_add_io(vm->sv->event, &vm->queue_src, portal_queue_fd(vm->queue), EPOLLIN,
			       on_queue, vm);
}

/* If we are killed, the next portald has it again, and open calls too. */
static int open_queue(struct vm *vm, struct err *err)
{
	struct portal_queue_opts qopts = {
		.sz = sizeof(qopts), .flags = PORTAL_QUEUE_F_LIFECYCLE,
		.orphan = PORTAL_ORPHAN_REQUEUE, .hold_ns = QUEUE_HOLD_NS,
		.transport = PORTAL_TRANSPORT_READ,
	};
	struct portal_hook_opts hopts = { .sz = sizeof(hopts), .timeout_ns = BUS_TIMEOUT_NS };
	int ret;

	ret = portal_queue_create(vm->pvm, &qopts, &vm->queue);
	if (ret) {
		vm->queue = NULL;
		return err_set(err, ret, "cannot create a queue: %s", portal_strerror(ret));
	}
	ret = portal_hook_hypercall(vm->pvm, portal_queue_id(vm->queue), PORTAL_HC_BUS,
				    PORTAL_HC_BUS_LAST, &hopts);
	if (ret < 0)
		return err_set(err, ret, "cannot hook the bus hypercalls: %s",
			       portal_strerror(ret));
	vm->hook_id = ret;
	ret = watch_queue(vm);
	if (ret < 0)
		return err_set(err, ret, "event loop: %s", strerror(-ret));
	return 0;
}

/* That of an earlier portald: its unanswered calls come again. */
int vm_open_queue(struct vm *vm, uint32_t queue_id)
{
	struct portal_queue_opts opts = {
		.sz = sizeof(opts), .transport = PORTAL_TRANSPORT_READ,
	};
	int ret = portal_queue_open(vm->pvm, queue_id, &opts, &vm->queue);

	if (ret) {
		vm->queue = NULL;
		return ret;
	}
	ret = watch_queue(vm);
	return ret < 0 ? ret : 0;
}

/* ---- life ----------------------------------------------------------------- */

static void unlink_vm(struct vm *vm)
{
	struct vm **p = &vm->sv->vms;

	while (*p != vm)
		p = &(*p)->next;
	*p = vm->next;
}

static void vm_free(struct vm *vm)
{
	watch_off(&vm->queue_src);
	watch_off(&vm->timer);
	watch_off(&vm->reaper);
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		instance_destroy(vm->slots[i]);
	if (vm->queue)
		portal_queue_close(vm->queue);
	if (!vm->left)
		snapshot_forget(vm);
	portal_vm_close(vm->pvm);	/* the last fd: the kernel detaches */
	fd_close(&vm->bus_fd);
	fd_close(&vm->text_fd);
	free(vm);
}

struct vm *vm_alloc(struct supervisor *sv, struct portal_vm *pvm, const char *name, pid_t pid,
		    uid_t uid)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->sv = sv;
	vm->pid = pid;
	vm->uid = uid;
	vm->pvm = pvm;
	vm->generation = 1;
	vm->bus_fd = vm->text_fd = -1;
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	vm->next = sv->vms;
	sv->vms = vm;
	return vm;
}

/* Takes over @pvm if it succeeds. */
int vm_create(struct supervisor *sv, struct portal_vm *pvm, const char *name, pid_t pid,
	      uid_t uid, struct vm **out, struct err *err)
{
	struct vm *vm = vm_alloc(sv, pvm, name, pid, uid);
	int ret;

	if (!vm)
		return err_set(err, -ENOMEM, "out of memory");
	vm->id = ++sv->last_vm_id;
	vm->bus_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->bus_fd < 0)
		ret = err_set(err, -errno, "eventfd: %m");
	else
		ret = open_queue(vm, err);
	if (ret) {
		watch_off(&vm->queue_src);
		if (vm->queue)
			portal_queue_close(vm->queue);
		fd_close(&vm->bus_fd);
		unlink_vm(vm);
		free(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

void vm_discard(struct vm *vm)
{
	unlink_vm(vm);
	vm_free(vm);
}

struct vm *vm_find(struct supervisor *sv, const char *name, pid_t pid)
{
	for (struct vm *vm = sv->vms; vm; vm = vm->next) {
		if (vm->state == VM_DEAD)
			continue;
		if (name ? !strcmp(vm->name, name) : vm->pid == pid)
			return vm;
	}
	return NULL;
}

static struct json_object *detach_reply(const struct vm *vm)
{
	struct json_object *obj = control_ok();

	json_object_object_add(obj, "vm", json_object_new_string(vm->name));
	if (vm->unreleased[0])
		json_object_object_add(obj, "unreleased",
				       json_object_new_string(vm->unreleased));
	return obj;
}

/* Later, by the loop: the caller is somewhere inside this VM. */
static int reap(sd_event_source *src, void *arg)
{
	struct vm *vm = arg;
	struct supervisor *sv = vm->sv;
	uint64_t attach_conn = vm->attach_conn, detach_conn = vm->detach_conn;
	struct json_object *failed = NULL, *detached = NULL;

	(void)src;
	if (attach_conn)
		failed = control_error("attach failed: %s", vm->failure.msg);
	if (detach_conn)
		detached = detach_reply(vm);
	vm_discard(vm);
	/* first free, then say so: who asks again at once finds it gone */
	if (failed)
		control_reply(sv, attach_conn, failed);
	if (detached)
		control_reply(sv, detach_conn, detached);
	supervisor_vm_freed(sv);
	return 0;
}

static bool all_in(const struct vm *vm, enum instance_state state)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i] && vm->slots[i]->state != state)
			return false;
	return true;
}

void vm_instance_stopped(struct vm *vm)
{
	if (vm->state != VM_STOPPING || !all_in(vm, INST_STOPPED))
		return;
	vm->state = VM_DEAD;
	watch_off(&vm->queue_src);
	if (!vm->left)
		bus_close(vm);
	if (sd_event_add_defer(vm->sv->event, &vm->reaper, reap, vm) < 0)
		abort();	/* no memory for 100 bytes */
}

/* Ends the workers, then the VM. Each worker quiesces, or is killed after 5 s. */
void vm_stop(struct vm *vm)
{
	if (vm->state >= VM_STOPPING)
		return;
	vm->left = vm->sv->handover && vm->text_fd >= 0 && vm->state == VM_RUNNING;
	vm->state = VM_STOPPING;
	snapshot_write(vm);
	watch_off(&vm->timer);
	if (vm->left)		/* what the guest asks now is the next portald's */
		watch_off(&vm->queue_src);
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			instance_stop(vm->slots[i]);
	vm_instance_stopped(vm);
}

static bool all_placed(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i] && vm->slots[i]->desc.fixed && !vm->slots[i]->bus.enabled)
			return false;
	return true;
}

void vm_instance_ready(struct vm *vm)
{
	struct json_object *obj;

	if (vm->state != VM_ATTACHING || !all_in(vm, INST_RUNNING) || !all_placed(vm))
		return;
	vm->state = VM_RUNNING;
	snapshot_keep(vm);
	supervisor_status(vm->sv);
	log_notice("%s: attached (pid %d, uid %u, %u instance%s)", vm->name, vm->pid, vm->uid,
		   vm->nr_slots, vm->nr_slots == 1 ? "" : "s");
	obj = control_ok();
	json_object_object_add(obj, "vm", json_object_new_string(vm->name));
	json_object_object_add(obj, "pid", json_object_new_int(vm->pid));
	json_object_object_add(obj, "instances", json_object_new_int(vm->nr_slots));
	control_reply(vm->sv, vm->attach_conn, obj);
	vm->attach_conn = 0;
}

/* It never became ready. */
void vm_instance_failed(struct instance *inst)
{
	struct vm *vm = inst->vm;

	if (vm->state == VM_ATTACHING) {
		err_set(&vm->failure, 0, "instance %s: %s", inst->name, inst->error.msg);
		log_err("%s: attach failed: %s", vm->name, vm->failure.msg);
	}
	vm_stop(vm);
	vm_instance_stopped(vm);
}

/* ---- detach --------------------------------------------------------------- */

static bool guest_uses(const struct instance *inst)
{
	return inst && (inst->bus.mapped || inst->bus.op != BUS_OP_NONE);
}

static int on_detach_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct vm *vm = arg;
	size_t len = 0;

	(void)src;
	(void)usec;
	watch_off(&vm->timer);
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (guest_uses(vm->slots[i]) && len < sizeof(vm->unreleased))
			len += snprintf(vm->unreleased + len, sizeof(vm->unreleased) - len,
					"%s%s", len ? ", " : "", vm->slots[i]->name);
	log_warn("%s: the guest did not let go of %s; taken away", vm->name, vm->unreleased);
	vm_stop(vm);
	return 0;
}

void vm_slot_released(struct vm *vm)
{
	if (vm->state != VM_LEAVING)
		return;
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (guest_uses(vm->slots[i]))
			return;
	log_info("%s: the guest let go of all devices", vm->name);
	vm_flush(vm);		/* the answer to its last DISABLE */
	vm_stop(vm);
}

void vm_detach(struct vm *vm, uint64_t timeout_ms, uint64_t conn)
{
	vm->detach_conn = conn;
	if (vm->state >= VM_STOPPING)
		return;
	if (vm->state == VM_ATTACHING)
		err_set(&vm->failure, 0, "detached meanwhile");
	if (!timeout_ms) {
		vm_stop(vm);
		return;
	}
	vm->state = VM_LEAVING;
	if (watch_timer(vm->sv, &vm->timer, timeout_ms * 1000, on_detach_timer, vm) < 0)
		vm_stop(vm);
	bus_leave(vm);
	vm_slot_released(vm);
}
