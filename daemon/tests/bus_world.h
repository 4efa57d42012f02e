/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bus_world.h - a bus whose kernel, worker and VM are faked
 */
#ifndef TESTS_BUS_WORLD_H
#define TESTS_BUS_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

/* ---- the kernel, the worker and the VM, faked ----------------------------- */

static struct {
	uint64_t id;
	bool error;
	uint64_t value;
	unsigned int nr;
	bool written;		/* before: that it is answered */
} last;				/* the last reply to the guest */

static bool is_written(uint64_t id);

static struct {
	unsigned int regions, bound, enables, disables, released, kills, readies,
		admin_released;
	uint32_t bus;
	uint64_t gpa;
	uint32_t gsi;
	int region_err, irq_err;
	bool worker;		/* it runs */
	unsigned int written, written_done;	/* the snapshot */
	enum bus_op written_op;
	uint64_t written_gpa;
	uint32_t seq;
} fake;

struct portal_region {
	int unused;
};

static struct portal_region the_region;

int portal_reply_value(struct portal_queue *q, uint64_t id, uint64_t value)
{
	(void)q;
	last.id = id;
	last.error = false;
	last.value = value;
	last.written = is_written(id);
	last.nr++;
	return 0;
}

int portal_reply_error(struct portal_queue *q, uint64_t id, uint32_t error)
{
	portal_reply_value(q, id, error);
	last.error = true;
	return 0;
}

int portal_region_add(struct portal_vm *vm, uint32_t queue_id, uint64_t gpa, uint64_t len,
		      const struct portal_region_range *ranges, uint32_t nr,
		      const struct portal_region_opts *opts, struct portal_region **region)
{
	(void)vm; (void)queue_id; (void)len; (void)ranges; (void)nr;
	fake.bus = opts->bus;
	if (fake.region_err)
		return fake.region_err;
	/* a portald that is killed here leaves a region: the next one must know */
	assert_int_equal(fake.written_op, BUS_OP_ENABLE);
	assert_int_equal(fake.written_gpa, gpa);
	fake.regions++;
	fake.gpa = gpa;
	*region = &the_region;
	return 0;
}

int portal_region_del(struct portal_region *region)
{
	assert_ptr_equal(region, &the_region);
	assert_true(fake.regions > 0);
	assert_int_not_equal(fake.written_op, BUS_OP_NONE);
	fake.regions--;
	return 0;
}

int portal_irq_bind(struct portal_vm *vm, uint32_t gsi, int eventfd, int resamplefd)
{
	(void)vm; (void)eventfd; (void)resamplefd;
	if (fake.irq_err)
		return fake.irq_err;
	fake.bound++;
	fake.gsi = gsi;
	return 0;
}

int portal_irq_unbind(struct portal_vm *vm, uint32_t gsi, int eventfd)
{
	(void)vm; (void)eventfd; (void)gsi;
	assert_true(fake.bound > 0);
	fake.bound--;
	return 0;
}

int instance_enable(struct instance *inst, uint32_t seq)
{
	(void)inst;
	fake.enables++;
	fake.seq = seq;
	return fake.worker ? 0 : -ENOTCONN;
}

int instance_disable(struct instance *inst, uint32_t seq)
{
	(void)inst;
	fake.disables++;
	fake.seq = seq;
	return fake.worker ? 0 : -ENOTCONN;
}

void instance_kill(struct instance *inst, const char *why)
{
	(void)inst; (void)why;
	fake.kills++;
}

void vm_instance_ready(struct vm *vm)
{
	(void)vm;
	fake.readies++;
}

void admin_offered(struct instance *inst) { (void)inst; }

void admin_released(struct instance *inst)
{
	assert_false(inst->bus.mapped);
	fake.admin_released++;
}

bool instance_pending(const struct instance *inst)
{
	return inst->page->queued != inst->page->taken;
}

void snapshot_write(struct vm *v)
{
	fake.written++;
	fake.written_op = v->slots[0]->bus.op;
	fake.written_gpa = v->slots[0]->bus.gpa;
	fake.written_done = v->next_done;
}

void vm_flush(struct vm *vm)
{
	(void)vm;
}

void vm_slot_released(struct vm *vm)
{
	(void)vm;
	fake.released++;
}

/* ---- helpers -------------------------------------------------------------- */

static struct supervisor sv;
static struct vm vm;

static bool is_written(uint64_t id)
{
	for (unsigned int i = 0; i < fake.written_done && i < VM_DONE; i++)
		if (vm.done[i].id == id)
			return true;
	return false;
}

static struct instance disk, service;
static struct chan_page pages[2];
static uint64_t next_id;

static int setup(void **state)
{
	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(&disk, 0, sizeof(disk));
	memset(&service, 0, sizeof(service));
	memset(pages, 0, sizeof(pages));
	memset(&last, 0, sizeof(last));
	memset(&fake, 0, sizeof(fake));
	fake.worker = true;
	vm.sv = &sv;
	vm.bus_fd = eventfd(0, EFD_NONBLOCK);
	vm.generation = 1;
	vm.slots[0] = &disk;
	vm.slots[1] = &service;
	vm.nr_slots = 2;
	disk.vm = service.vm = &vm;
	disk.page = &pages[0];
	service.page = &pages[1];
	strcpy(disk.name, "disk0");
	strcpy(service.name, "a-name-of-thirty-one-characters");
	disk.desc.slot_type = PORTAL_SLOT_VIRTIO_MMIO;
	disk.desc.region_len = 0x200;
	service.slot = 1;
	service.desc.slot_type = PORTAL_SLOT_SERVICE;
	service.desc.fns = 2;
	bus_offer(&disk);
	bus_offer(&service);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(vm.bus_fd);
	return 0;
}

static inline uint64_t events(void)
{
	uint64_t n = 0;

	if (read(vm.bus_fd, &n, 8) != 8)
		return 0;
	return n;
}

/* Returns the call's id; the reply, if there is one, is in last. */
static uint64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct portal_request req = {
		.id = ++next_id, .kind = PORTAL_KIND_HYPERCALL, .flags = PORTAL_REQ_F_CALL,
		.addr = nr, .data = { a, b, c, d },
	};

	bus_request(&vm, &req);
	return req.id;
}

static void is_value(uint64_t id, uint64_t value)
{
	assert_int_equal(last.id, id);
	assert_false(last.error);
	assert_int_equal(last.value, value);
}

static void is_error(uint64_t id, uint32_t error)
{
	assert_int_equal(last.id, id);
	assert_true(last.error);
	assert_int_equal(last.value, error);
}

#define QUERY(slot, field) call(PORTAL_HC_BUS_QUERY, slot, field, 0, 0)
#define ENABLE(slot, gpa, gsi) \
	call(PORTAL_HC_BUS_ENABLE, slot, (gpa) & 0xffffffff, (uint64_t)(gpa) >> 32, gsi)
#define DISABLE(slot) call(PORTAL_HC_BUS_DISABLE, slot, 0, 0, 0)
#define GPA 0xfe0000000ULL

static void enable_disk(void)
{
	uint64_t id = ENABLE(0, GPA, 11);

	assert_int_not_equal(last.id, id);	/* not before the worker */
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
}

#endif /* TESTS_BUS_WORLD_H */
