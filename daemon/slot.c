// SPDX-License-Identifier: GPL-2.0-only
/*
 * slot.c - what happens to a slot of the guest's bus
 *
 * Enabling and disabling need the worker: the guest's call is remembered
 * (op_req) and answered by the worker's ACK. A slot has one operation at a
 * time. If the worker dies in the middle, ENABLE goes on with the next worker,
 * whose START carries it, and DISABLE is done: nothing is in flight in a dead
 * process.
 */
#include <errno.h>
#include <unistd.h>

#include "daemon.h"
#include "errmap.h"

void bus_signal(struct vm *vm)
{
	uint64_t one = 1;

	if (write(vm->bus_fd, &one, sizeof(one)) < 0)
		log_debug("%s: bus event: %m", vm->name);
}

void bus_answer(struct vm *vm, uint64_t id, int err, uint64_t value)
{
	if (!id)
		return;
	if (err < 0)
		portal_reply_error(vm->queue, id, guest_errno(err));
	else
		portal_reply_value(vm->queue, id, value);
}

enum portal_slot_state bus_slot_state(const struct instance *inst)
{
	const struct bus_slot *s = &inst->bus;

	if (!s->offered)
		return PORTAL_SLOT_EMPTY;
	if (s->leaving)
		return s->mapped ? PORTAL_SLOT_LEAVING : PORTAL_SLOT_EMPTY;
	return s->enabled ? PORTAL_SLOT_ENABLED : PORTAL_SLOT_OFFERED;
}

void bus_changed(struct vm *vm)
{
	vm->generation++;
	snapshot_write(vm);
	bus_signal(vm);
}

void bus_offer(struct instance *inst)
{
	inst->bus.offered = true;
	inst->bus.serial = ++inst->vm->sv->next_serial;
	bus_changed(inst->vm);
}

/* ---- region and interrupt ------------------------------------------------- */

/* Who is killed in here has written that it wanted to: see restore.c. */
static int map_slot(struct instance *inst, uint64_t gpa, uint32_t gsi)
{
	struct portal_region_opts opts = {
		.sz = sizeof(opts), .bus = inst->desc.bus, .cookie = inst->slot,
	};
	struct bus_slot *s = &inst->bus;
	int err = 0;

	/* On the bus's own GSI a channel is signalled as the bus is. */
	if (inst->desc.slot_type == PORTAL_SLOT_CHANNEL && gsi == inst->vm->event_gsi)
		gsi = 0;
	s->gpa = gpa;
	s->gsi = gsi;
	snapshot_write(inst->vm);
	if (inst->desc.region_len)
		err = portal_region_add(inst->vm->pvm, inst->queue_id, gpa, inst->desc.region_len,
					inst->desc.ranges, inst->desc.nr_ranges, &opts,
					&s->region);
	if (err >= 0 && gsi)
		err = portal_irq_bind(inst->vm->pvm, gsi, inst->irq_fd, -1);
	if (err < 0) {
		if (s->region)
			portal_region_del(s->region);
		s->region = NULL;
		s->gpa = 0;
		s->gsi = 0;
		return err;
	}
	s->mapped = true;
	return 0;
}

static void unmap_slot(struct instance *inst)
{
	struct bus_slot *s = &inst->bus;

	if (!s->mapped)
		return;
	if (s->region)
		portal_region_del(s->region);
	if (s->gsi)
		portal_irq_unbind(inst->vm->pvm, s->gsi, inst->irq_fd);
	s->region = NULL;
	s->gsi = 0;
	s->gpa = 0;
	s->mapped = false;
	s->enabled = false;
	s->served = false;
}

/* ---- operations ----------------------------------------------------------- */

/* Answers call @req, which changed something, 0 none. */
static void op_end(struct instance *inst, uint64_t req, int err)
{
	vm_done(inst->vm, req, err);
	snapshot_write(inst->vm);
	bus_answer(inst->vm, req, err, 0);
}

static void op_begin(struct instance *inst, enum bus_op op, uint64_t req)
{
	struct bus_slot *s = &inst->bus;

	s->op = op;
	s->op_req = req;
	s->op_undo = false;
	s->op_seq = ++inst->next_seq;
}

void slot_enable(struct instance *inst, uint64_t req, uint64_t gpa, uint32_t gsi)
{
	int err;

	op_begin(inst, BUS_OP_ENABLE, req);
	err = map_slot(inst, gpa, gsi);
	if (err < 0) {
		inst->bus.op = BUS_OP_NONE;
		op_end(inst, req, err);
		return;
	}
	/* -ENOTCONN: START will tell the next worker, its READY is the ACK */
	instance_enable(inst, inst->bus.op_seq);
}

/* To where the configuration says: nobody waits for it, so errors are returned. */
int slot_place(struct instance *inst)
{
	int err;

	op_begin(inst, BUS_OP_ENABLE, 0);
	err = map_slot(inst, inst->desc.gpa, inst->desc.gsi);
	if (err < 0) {
		inst->bus.op = BUS_OP_NONE;
		snapshot_write(inst->vm);
		return err;
	}
	instance_enable(inst, inst->bus.op_seq);
	return 0;
}

static void disable_done(struct instance *inst)
{
	struct bus_slot *s = &inst->bus;
	uint64_t wait = s->wait_req;

	unmap_slot(inst);
	s->op = BUS_OP_NONE;
	s->wait_req = 0;
	op_end(inst, s->op_req, 0);
	if (wait && s->leaving)
		bus_answer(inst->vm, wait, -ENODEV, 0);
	else if (wait)
		slot_enable(inst, wait, s->wait_gpa, s->wait_gsi);
	if (s->leaving) {
		bus_changed(inst->vm);
		admin_released(inst);
		vm_slot_released(inst->vm);
	}
}

void slot_disable(struct instance *inst, uint64_t req)
{
	op_begin(inst, BUS_OP_DISABLE, req);
	snapshot_write(inst->vm);
	if (instance_disable(inst, inst->bus.op_seq) == -ENOTCONN)
		disable_done(inst);
}

static void enable_done(struct instance *inst, int err)
{
	struct bus_slot *s = &inst->bus;
	uint64_t req = s->op_req;

	s->op = BUS_OP_NONE;
	if (err < 0) {
		unmap_slot(inst);
		op_end(inst, req, err);
		if (s->leaving) {
			admin_released(inst);
			vm_slot_released(inst->vm);
		} else if (inst->desc.fixed) {
			instance_kill(inst, "it cannot serve its registers");
		}
		return;
	}
	s->enabled = true;
	s->served = true;
	if (s->op_undo)
		slot_disable(inst, 0);
	else
		op_end(inst, req, 0);
	if (inst->desc.fixed) {
		vm_instance_ready(inst->vm);
		admin_offered(inst);
	}
}

void bus_ack(struct instance *inst, uint32_t seq, int err)
{
	struct bus_slot *s = &inst->bus;

	if (s->op == BUS_OP_NONE || s->op_seq != seq)
		return;		/* the worker makes things up */
	if (s->op == BUS_OP_ENABLE)
		enable_done(inst, err);
	else
		disable_done(inst);
	vm_flush(inst->vm);
}

void bus_worker_ready(struct instance *inst)
{
	struct bus_slot *s = &inst->bus;

	if (inst->start_enabled && s->op == BUS_OP_ENABLE)
		enable_done(inst, 0);
	else if (inst->start_enabled)
		s->served = true;
	/* portald was killed in the middle of placing it */
	if (inst->desc.fixed && !s->mapped && !s->leaving && s->op == BUS_OP_NONE &&
	    slot_place(inst) < 0)
		instance_kill(inst, "its registers cannot be put to their address");
	snapshot_write(inst->vm);
	/* what was queued while there was no worker, or died with the last one */
	if (instance_pending(inst))
		bus_signal(inst->vm);
	vm_flush(inst->vm);
}

void bus_worker_gone(struct instance *inst)
{
	if (inst->bus.op == BUS_OP_DISABLE)
		disable_done(inst);
	vm_flush(inst->vm);
}

/* No worker will ever serve it again. */
void bus_fail(struct instance *inst)
{
	struct bus_slot *s = &inst->bus;

	if (s->op == BUS_OP_DISABLE)
		disable_done(inst);
	if (s->op == BUS_OP_ENABLE)
		enable_done(inst, -EIO);
	bus_leave_slot(inst);
	vm_flush(inst->vm);
}

void bus_leave_slot(struct instance *inst)
{
	if (!inst->bus.offered || inst->bus.leaving)
		return;
	inst->bus.leaving = true;
	bus_changed(inst->vm);
	if (!inst->desc.fixed)
		return;
	/* the guest does not know the bus, so it can't be asked */
	if (inst->bus.op == BUS_OP_ENABLE)
		inst->bus.op_undo = true;
	else if (inst->bus.op == BUS_OP_NONE && inst->bus.mapped)
		slot_disable(inst, 0);
}

void bus_take_slot(struct instance *inst)
{
	struct bus_slot *s = &inst->bus;

	/* calls of the guest that wait for it: there is no worker to end them */
	bus_answer(inst->vm, s->op_req, -ENODEV, 0);
	bus_answer(inst->vm, s->wait_req, -ENODEV, 0);
	s->op = BUS_OP_DISABLE;
	s->op_req = s->wait_req = 0;
	s->leaving = true;
	snapshot_write(inst->vm);
	unmap_slot(inst);
	s->op = BUS_OP_NONE;
	bus_changed(inst->vm);
	vm_flush(inst->vm);
}

/* It was leaving, but is served again. */
void bus_return(struct instance *inst)
{
	inst->bus.leaving = false;
	bus_changed(inst->vm);
}

void bus_leave(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			bus_leave_slot(vm->slots[i]);
}

void bus_close(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			unmap_slot(vm->slots[i]);
	if (vm->event_gsi)
		portal_irq_unbind(vm->pvm, vm->event_gsi, vm->bus_fd);
	vm->event_gsi = 0;
}

/*
 * The guest started anew: nothing of the old kernel's is of use. The kernel
 * ended its calls. Devices go off their addresses as if it had disabled them.
 */
void bus_hello(struct vm *vm)
{
	if (vm->event_gsi)
		portal_irq_unbind(vm->pvm, vm->event_gsi, vm->bus_fd);
	vm->event_gsi = 0;
	for (unsigned int i = 0; i < vm->nr_slots; i++) {
		struct instance *inst = vm->slots[i];
		struct bus_slot *s;

		if (!inst || inst->desc.fixed)
			continue;
		s = &inst->bus;
		s->wait_req = 0;
		s->op_req = 0;
		if (s->op == BUS_OP_ENABLE) {
			s->op_undo = true;
		} else if (s->op == BUS_OP_NONE && s->mapped) {
			s->enabled = false;
			slot_disable(inst, 0);
		}
	}
}

