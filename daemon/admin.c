// SPDX-License-Identifier: GPL-2.0-only
/*
 * admin.c - disks that come, change and go while the VM runs
 *
 *	add	a worker starts -> offered to the guest -> kept for the next portald
 *	remove	the guest is asked -> lets go (else it stays) -> the worker stops ->
 *		queue, hook and slot go
 *	swap	the worker ends what it has begun and stops -> one with the new medium
 *		goes on; if that cannot be opened, one with the old
 *	resize, set-limit	a message to the worker and its answer
 *
 * An instance has one of these at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#define ANSWER_TIMEOUT	10000000ULL	/* us: of the worker */

/* ---- begin and end -------------------------------------------------------------- */

static int begin(struct instance *inst, enum admin_op op, uint64_t conn, struct err *err)
{
	if (inst->vm->state != VM_RUNNING)
		return err_set(err, -EBUSY, "VM %s is %s", inst->vm->name,
			       vm_state_name(inst->vm->state));
	if (!inst->block)
		return err_set(err, -EINVAL, "instance %s is no disk", inst->name);
	if (inst->admin.op != ADMIN_NONE || inst->restart_conn || inst->asked)
		return err_set(err, -EBUSY, "disk %s is just being changed; try again", inst->name);
	if (op != ADMIN_REMOVE && inst->state != INST_RUNNING)
		return err_set(err, -EAGAIN, "the worker of disk %s is %s; see portalctl stat",
			       inst->name, instance_state_name(inst->state));
	inst->admin.op = op;
	inst->admin.conn = conn;
	return 0;
}

static void end(struct instance *inst, struct json_object *reply)
{
	uint64_t conn = inst->admin.conn;

	watch_off(&inst->admin.timer);
	inst->admin.op = ADMIN_NONE;
	inst->admin.conn = 0;
	control_reply(inst->vm->sv, conn, reply);
}

static struct json_object *success(const struct instance *inst)
{
	struct json_object *obj = control_ok();

	json_put_str(obj, "vm", inst->vm->name);
	json_put_str(obj, "instance", inst->name);
	json_put_u64(obj, "slot", inst->slot);
	return obj;
}

/* ---- remove, and the end of an instance ------------------------------------------ */

/* From the loop: nobody above us uses it any more. */
static int on_gone(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;
	struct vm *vm = inst->vm;
	uint64_t conn = inst->admin.conn;
	struct json_object *reply = success(inst);

	(void)src;
	(void)usec;
	watch_off(&inst->admin.timer);
	bus_take_slot(inst);
	if (inst->hook_id)
		portal_hook_del(vm->pvm, inst->hook_id);
	if (inst->queue_id)
		portal_queue_del(vm->pvm, inst->queue_id);
	snapshot_forget_slot(inst);
	vm->slots[inst->slot] = NULL;
	log_notice("%s/%s: removed", vm->name, inst->name);
	instance_destroy(inst);
	supervisor_status(vm->sv);
	control_reply(vm->sv, conn, reply);
	return 0;
}

static void gone(struct instance *inst)
{
	if (watch_timer(inst->vm->sv, &inst->admin.timer, 0, on_gone, inst) < 0)
		abort();	/* no memory for 100 bytes */
}

void admin_stopped(struct instance *inst)
{
	if (inst->admin.op == ADMIN_REMOVE && inst->vm->state == VM_RUNNING)
		gone(inst);
	else if (inst->admin.op != ADMIN_NONE)
		end(inst, control_error("VM %s is being detached", inst->vm->name));
}

void admin_released(struct instance *inst)
{
	if (inst->admin.op != ADMIN_REMOVE || inst->bus.mapped || inst->bus.op != BUS_OP_NONE)
		return;
	watch_off(&inst->admin.timer);
	instance_stop(inst);
}

static int on_remove_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;

	(void)src;
	(void)usec;
	log_notice("%s/%s: the guest does not let go of it; it stays", inst->vm->name, inst->name);
	end(inst, control_error("disk %s: the guest does not let go of it, so it stays; --force takes it away",
				inst->name));
	bus_return(inst);
	return 0;
}

int admin_remove(struct instance *inst, uint64_t timeout_ms, uint64_t conn, struct err *err)
{
	int ret = begin(inst, ADMIN_REMOVE, conn, err);

	if (ret)
		return ret;
	snapshot_write(inst->vm);
	if (!timeout_ms) {
		instance_stop(inst);
		return 0;
	}
	if (watch_timer(inst->vm->sv, &inst->admin.timer, timeout_ms * 1000, on_remove_timer,
			inst) < 0) {
		inst->admin.op = ADMIN_NONE;
		return err_set(err, -ENOMEM, "out of memory");
	}
	bus_leave_slot(inst);
	admin_released(inst);
	return 0;
}

/* ---- add -------------------------------------------------------------------------- */

static int free_slot(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (!vm->slots[i])
			return (int)i;
	return vm->nr_slots < PORTAL_BUS_SLOTS ? (int)vm->nr_slots : -ENOSPC;
}

static int check_name(struct vm *vm, const char *name, struct err *err)
{
	struct instance *holder = instance_holder(vm->sv, name);

	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i] && !strcmp(vm->slots[i]->name, name))
			return err_set(err, -EEXIST, "VM %s has an instance %s already", vm->name,
				       name);
	if (holder)
		return err_set(err, -EBUSY, "disk %s is in use by VM %s", name, holder->vm->name);
	return 0;
}

int admin_add(struct vm *vm, const struct config_instance *ci, uint64_t conn, struct err *err)
{
	struct instance *inst;
	int slot, ret;

	if (vm->state != VM_RUNNING)
		return err_set(err, -EBUSY, "VM %s is %s", vm->name, vm_state_name(vm->state));
	if (!ci->frontend)
		return err_set(err, -EINVAL, "%s is no disk: it has no frontend", ci->name);
	ret = check_name(vm, ci->name, err);
	if (ret)
		return ret;
	slot = free_slot(vm);
	if (slot < 0)
		return err_set(err, slot, "all %d slots of VM %s are in use", PORTAL_BUS_SLOTS,
			       vm->name);
	ret = instance_create(vm, slot, ci, &inst, err);
	if (ret)
		return ret;
	vm->slots[slot] = inst;
	if ((unsigned int)slot == vm->nr_slots)
		vm->nr_slots++;
	inst->admin.op = ADMIN_ADD;
	inst->admin.conn = conn;
	return 0;
}

void admin_offered(struct instance *inst)
{
	if (inst->admin.op != ADMIN_ADD || (inst->desc.fixed && !inst->bus.enabled))
		return;
	snapshot_keep_slot(inst);
	log_notice("%s/%s: added", inst->vm->name, inst->name);
	end(inst, success(inst));
}

/* ---- swap -------------------------------------------------------------------------- */

static struct json_object *new_key(const char *key, const char *value)
{
	struct json_object *k = json_object_new_object();

	json_put_str(k, "key", key);
	json_put_str(k, "value", value);
	json_put_str(k, "file", "portalctl");
	json_put_u64(k, "line", 1);
	return k;
}

static bool is_given(const struct config_instance *ci, const char *key)
{
	for (unsigned int i = 0; i < ci->nr_keys; i++)
		if (!strcmp(ci->keys[i].key, key))
			return true;
	return false;
}

/* The old keys, unless it is another plugin, under the new ones. */
static char *swapped_setup(const struct instance *inst, const struct config_instance *ci)
{
	struct json_object *setup = json_tokener_parse(inst->setup);
	struct json_object *keys = json_object_new_array(), *old = json_list(setup, "keys");
	bool same = !strcmp(ci->plugin, inst->plugin);
	char *text;

	for (size_t i = 0; same && old && i < json_object_array_length(old); i++) {
		struct json_object *k = json_object_array_get_idx(old, i);

		if (!is_given(ci, json_str(k, "key")))
			json_object_array_add(keys, json_object_get(k));
	}
	for (unsigned int i = 0; i < ci->nr_keys; i++)
		json_object_array_add(keys, new_key(ci->keys[i].key, ci->keys[i].value));
	json_object_object_add(setup, "keys", keys);
	json_put_str(setup, "plugin", ci->plugin);
	text = strdup(json_object_to_json_string_ext(setup, JSON_C_TO_STRING_PLAIN));
	json_object_put(setup);
	return text;
}

static void take_setup(struct instance *inst, char *setup)
{
	struct json_object *obj = json_tokener_parse(setup);

	free(inst->setup);
	inst->setup = setup;
	snprintf(inst->plugin, sizeof(inst->plugin), "%s", json_str(obj, "plugin"));
	json_object_put(obj);
}

/* Of the new worker: its medium has to look like the old one. */
int admin_swap(struct instance *inst, const struct config_instance *ci, uint64_t conn,
	       struct err *err)
{
	char *setup;
	int ret;

	ret = begin(inst, ADMIN_SWAP, conn, err);
	if (ret)
		return ret;
	setup = swapped_setup(inst, ci);
	ret = setup ? instance_replace(inst, err) : err_set(err, -ENOMEM, "out of memory");
	if (ret) {
		free(setup);
		inst->admin.op = ADMIN_NONE;
		return ret;
	}
	inst->admin.old_setup = inst->setup;
	inst->setup = NULL;
	take_setup(inst, setup);
	return 0;
}

void admin_swapped(struct instance *inst)
{
	if (!inst->admin.old_setup)
		return;
	free(inst->admin.old_setup);
	inst->admin.old_setup = NULL;
	snapshot_write(inst->vm);
}

void admin_ready(struct instance *inst)
{
	if (inst->admin.op == ADMIN_SWAP && !inst->admin.old_setup) {
		log_notice("%s/%s: goes on with another medium", inst->vm->name, inst->name);
		end(inst, success(inst));
	}
	admin_released(inst);	/* an earlier portald was removing it */
}

static void unswap(struct instance *inst)
{
	char *old = inst->admin.old_setup;

	inst->admin.old_setup = NULL;
	take_setup(inst, old);
	end(inst, control_error("disk %s: %s; it goes on with the old medium", inst->name,
				inst->error.msg));
	instance_start(inst);
}

/* ---- what the worker does ------------------------------------------------------------ */

static int on_answer_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;

	(void)src;
	(void)usec;
	end(inst, control_error("disk %s: no answer of its worker within 10 s", inst->name));
	return 0;
}

static int ask(struct instance *inst, struct json_object *question, struct err *err)
{
	int ret;

	inst->admin.seq = ++inst->next_seq;
	ret = instance_admin(inst, inst->admin.seq,
			     json_object_to_json_string_ext(question, JSON_C_TO_STRING_PLAIN));
	json_object_put(question);
	if (!ret)
		ret = watch_timer(inst->vm->sv, &inst->admin.timer, ANSWER_TIMEOUT,
				  on_answer_timer, inst);
	if (ret >= 0)
		return 0;
	inst->admin.op = ADMIN_NONE;
	return err_set(err, ret, "disk %s: its worker cannot be asked: %s", inst->name,
		       strerror(-ret));
}

int admin_resize(struct instance *inst, uint32_t sid, uint64_t size, uint64_t conn,
		 struct err *err)
{
	struct json_object *q;
	int ret = begin(inst, ADMIN_RESIZE, conn, err);

	if (ret)
		return ret;
	q = json_object_new_object();
	json_put_str(q, "op", "resize");
	json_put_u64(q, "sid", sid);
	json_put_u64(q, "size", size);
	return ask(inst, q, err);
}

int admin_limit(struct instance *inst, const char *limits, uint64_t conn, struct err *err)
{
	struct json_object *q;
	int ret = 0;

	if (strlen(limits) >= sizeof(inst->admin.limits))
		return err_set(err, -EINVAL, "limits of more than %zu characters",
			       sizeof(inst->admin.limits) - 1);
	ret = begin(inst, ADMIN_LIMIT, conn, err);
	if (ret)
		return ret;
	strcpy(inst->admin.limits, limits);
	q = json_object_new_object();
	json_put_str(q, "op", "limits");
	json_put_str(q, "limits", limits);
	return ask(inst, q, err);
}

/* Later workers of it get them by SETUP. */
static void keep_limits(struct instance *inst)
{
	struct json_object *setup = json_tokener_parse(inst->setup);
	char *text;

	json_put_str(setup, "limits", inst->admin.limits);
	text = strdup(json_object_to_json_string_ext(setup, JSON_C_TO_STRING_PLAIN));
	json_object_put(setup);
	if (!text)
		return;
	take_setup(inst, text);
	snapshot_write(inst->vm);
}

void admin_done(struct instance *inst, uint32_t seq, int err, const char *text)
{
	struct json_object *reply;

	if ((inst->admin.op != ADMIN_RESIZE && inst->admin.op != ADMIN_LIMIT) ||
	    inst->admin.seq != seq)
		return;		/* too late, or made up */
	if (err) {
		end(inst, control_error("disk %s: %s", inst->name, text ? : "failed"));
		return;
	}
	reply = success(inst);
	if (inst->admin.op == ADMIN_RESIZE)
		json_put_u64(reply, "size", text ? strtoull(text, NULL, 10) : 0);
	else
		keep_limits(inst);
	end(inst, reply);
}

bool admin_died(struct instance *inst)
{
	switch (inst->admin.op) {
	case ADMIN_ADD:
		end(inst, control_error("disk %s: %s", inst->name, inst->error.msg));
		inst->state = INST_STOPPED;
		inst->admin.op = ADMIN_REMOVE;
		gone(inst);
		return true;
	case ADMIN_SWAP:
		if (inst->admin.old_setup) {
			unswap(inst);
			return true;
		}
		end(inst, control_error("disk %s: %s", inst->name, inst->error.msg));
		return false;
	case ADMIN_RESIZE:
	case ADMIN_LIMIT:
		end(inst, control_error("disk %s: %s", inst->name, inst->error.msg));
		return false;
	case ADMIN_NONE:
	case ADMIN_REMOVE:
		break;
	}
	return false;
}
