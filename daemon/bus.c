// SPDX-License-Identifier: GPL-2.0-only
/*
 * bus.c - the hypercalls PORTAL_HC_BUS of portal_guest.h
 *
 * Whatever comes here was written by a guest. What a call does to a slot is in
 * slot.c.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"

#define GPA_ALIGN	4096

/* ---- requests that were answered ------------------------------------------ */

void vm_done(struct vm *vm, uint64_t id, int err)
{
	if (!id)
		return;
	vm->done[vm->next_done % VM_DONE].id = id;
	vm->done[vm->next_done++ % VM_DONE].err = err;
}

bool vm_was_done(const struct vm *vm, const struct portal_request *req, int *err)
{
	if (!(req->flags & PORTAL_REQ_F_REDELIVERED))
		return false;
	for (unsigned int i = 0; i < VM_DONE; i++) {
		if (vm->done[i].id == req->id) {
			*err = vm->done[i].err;
			return true;
		}
	}
	return false;
}

/* ---- calls ---------------------------------------------------------------- */

static struct instance *slot_of(struct vm *vm, uint64_t slot, int *err)
{
	struct instance *inst;

	if (slot >= PORTAL_BUS_SLOTS) {
		*err = -EINVAL;
		return NULL;
	}
	inst = vm->slots[slot];
	/* what the host has placed is for guests that have no bus */
	if (!inst || inst->desc.fixed || bus_slot_state(inst) == PORTAL_SLOT_EMPTY) {
		*err = -ENOENT;
		return NULL;
	}
	return inst;
}

static int bus_info(struct vm *vm, uint64_t field, uint64_t *value)
{
	switch (field) {
	case PORTAL_BUS_GENERATION:
		*value = vm->generation & 0x7fffffff;	/* never looks like an error */
		return 0;
	case PORTAL_BUS_NR_SLOTS:
		*value = vm->nr_slots;
		return 0;
	default:
		return -EINVAL;
	}
}

static uint32_t name_word(const struct instance *inst, unsigned int word)
{
	uint8_t name[PORTAL_NAME_LEN] = { 0 }, *name_at;

	memcpy(name, inst->name, strnlen(inst->name, sizeof(name) - 1));
	name_at = name + word * 4;
	return name_at[0] | name_at[1] << 8 | name_at[2] << 16 | (uint32_t)name_at[3] << 24;
}

static int bus_query(struct vm *vm, uint64_t slot, uint64_t field, uint64_t *value)
{
	struct instance *inst;
	int err = 0;

	inst = slot_of(vm, slot, &err);
	if (err == -ENOENT && field == PORTAL_SLOT_STATE) {
		*value = PORTAL_SLOT_EMPTY;
		return 0;
	}
	if (!inst)
		return err;
	switch (field) {
	case PORTAL_SLOT_STATE:
		*value = bus_slot_state(inst);
		return 0;
	case PORTAL_SLOT_TYPE:
		*value = inst->desc.slot_type;
		return 0;
	case PORTAL_SLOT_REGION:
		*value = inst->desc.region_len;
		return 0;
	case PORTAL_SLOT_FNS:
		*value = inst->desc.fns;
		return 0;
	case PORTAL_SLOT_SERIAL:
		*value = inst->bus.serial;
		return 0;
	}
	if (field < PORTAL_SLOT_NAME || field >= PORTAL_SLOT_NAME + PORTAL_NAME_LEN / 4)
		return -EINVAL;
	*value = name_word(inst, field - PORTAL_SLOT_NAME);
	return 0;
}

/* 1: answered later */
static int bus_enable(struct vm *vm, const struct portal_request *req)
{
	uint64_t gpa = req->data[1] | req->data[2] << 32;
	struct instance *inst;
	struct bus_slot *s;
	int err = 0;

	if (req->data[1] >> 32 || req->data[2] >> 32 || req->data[3] >> 32)
		return -EINVAL;
	inst = slot_of(vm, req->data[0], &err);
	if (!inst)
		return err;
	s = &inst->bus;
	if (gpa % GPA_ALIGN || (inst->desc.region_len && !gpa) ||
	    gpa + inst->desc.region_len < gpa)
		return -EINVAL;
	if (s->leaving)
		return -ENODEV;
	/* the last kernel's device is still being put to rest */
	if (s->op == BUS_OP_DISABLE || s->op_undo) {
		if (s->op_req || s->wait_req)
			return -EBUSY;
		s->wait_req = req->id;
		s->wait_gpa = gpa;
		s->wait_gsi = req->data[3];
		return 1;
	}
	if (s->mapped)
		return -EBUSY;
	slot_enable(inst, req->id, gpa, req->data[3]);
	return 1;
}

static int bus_disable(struct vm *vm, const struct portal_request *req)
{
	struct instance *inst;
	int err = 0;

	inst = slot_of(vm, req->data[0], &err);
	if (!inst)
		return err;
	if (inst->bus.op != BUS_OP_NONE)
		return -EBUSY;
	if (!inst->bus.mapped)
		return 0;
	slot_disable(inst, req->id);
	return 1;
}

static uint64_t bus_pending(const struct vm *vm, unsigned int first)
{
	uint64_t bits = 0;

	for (unsigned int i = first; i < first + 32 && i < vm->nr_slots; i++)
		if (vm->slots[i] && bus_slot_state(vm->slots[i]) != PORTAL_SLOT_EMPTY &&
		    instance_pending(vm->slots[i]))
			bits |= 1ULL << (i - first);
	return bits;
}

static int bus_event(struct vm *vm, uint64_t gsi)
{
	int err;

	if (gsi >> 32)
		return -EINVAL;
	if (gsi == vm->event_gsi)
		return 0;
	if (vm->event_gsi)
		portal_irq_unbind(vm->pvm, vm->event_gsi, vm->bus_fd);
	vm->event_gsi = gsi;
	snapshot_write(vm);
	if (!gsi)
		return 0;
	err = portal_irq_bind(vm->pvm, gsi, vm->bus_fd, -1);
	if (err < 0) {
		vm->event_gsi = 0;
		snapshot_write(vm);
		return err;
	}
	if (bus_pending(vm, 0) || bus_pending(vm, 32))
		bus_signal(vm);
	return 0;
}

void bus_request(struct vm *vm, const struct portal_request *req)
{
	uint64_t value = 0;
	int ret;

	if (vm_was_done(vm, req, &ret)) {
		bus_answer(vm, req->id, ret, 0);
		return;
	}
	switch (req->addr) {
	case PORTAL_HC_BUS_INFO:
		ret = bus_info(vm, req->data[0], &value);
		break;
	case PORTAL_HC_BUS_QUERY:
		ret = bus_query(vm, req->data[0], req->data[1], &value);
		break;
	case PORTAL_HC_BUS_ENABLE:
		ret = bus_enable(vm, req);
		break;
	case PORTAL_HC_BUS_DISABLE:
		ret = bus_disable(vm, req);
		break;
	case PORTAL_HC_BUS_EVENT:
		ret = bus_event(vm, req->data[0]);	/* twice is as once */
		break;
	case PORTAL_HC_BUS_PENDING:
		ret = req->data[0] > 1 ? -EINVAL : 0;
		value = ret ? 0 : bus_pending(vm, req->data[0] * 32);
		break;
	default:
		ret = -ENOSYS;
	}
	if (ret <= 0)
		bus_answer(vm, req->id, ret, value);
}
