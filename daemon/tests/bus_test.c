// SPDX-License-Identifier: GPL-2.0-only
/* bus_test.c - the guest's bus calls against workers that ack, fail and die */
/* LINK: bus.o slot.o errmap.o log.o */
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

static uint64_t events(void)
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

/* ---- tests ---------------------------------------------------------------- */

static void describes_slots(void **state)
{
	(void)state;
	is_value(call(PORTAL_HC_BUS_INFO, PORTAL_BUS_NR_SLOTS, 0, 0, 0), 2);
	is_value(call(PORTAL_HC_BUS_INFO, PORTAL_BUS_GENERATION, 0, 0, 0), 3);
	is_error(call(PORTAL_HC_BUS_INFO, 2, 0, 0, 0), PORTAL_EINVAL);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
	is_value(QUERY(0, PORTAL_SLOT_TYPE), PORTAL_SLOT_VIRTIO_MMIO);
	is_value(QUERY(0, PORTAL_SLOT_REGION), 0x200);
	is_value(QUERY(1, PORTAL_SLOT_FNS), 2);
	is_value(QUERY(1, PORTAL_SLOT_SERIAL), service.bus.serial);
	assert_int_not_equal(disk.bus.serial, service.bus.serial);
	is_value(QUERY(0, PORTAL_SLOT_NAME), 0x6b736964);	/* "disk" */
	is_value(QUERY(0, PORTAL_SLOT_NAME + 1), '0');
	is_value(QUERY(1, PORTAL_SLOT_NAME + 7), 's' << 16 | 'r' << 8 | 'e');
	is_error(QUERY(1, PORTAL_SLOT_NAME + 8), PORTAL_EINVAL);
	is_error(QUERY(1, 5), PORTAL_EINVAL);
	is_value(QUERY(2, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
	is_error(QUERY(2, PORTAL_SLOT_TYPE), PORTAL_ENOENT);
	is_error(QUERY(64, PORTAL_SLOT_STATE), PORTAL_EINVAL);
	is_error(QUERY(1ULL << 32, PORTAL_SLOT_STATE), PORTAL_EINVAL);
	is_error(call(PORTAL_HC_BUS_LAST, 0, 0, 0, 0), PORTAL_ENOSYS);
}

static void enables_once_the_worker_is_ready(void **state)
{
	(void)state;
	enable_disk();
	assert_int_equal(fake.gpa, GPA);
	assert_int_equal(fake.gsi, 11);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_ENABLED);
	is_error(ENABLE(0, GPA, 11), PORTAL_EBUSY);
	assert_int_equal(fake.regions, 1);
}

static void disables_once_nothing_is_in_flight(void **state)
{
	uint64_t id;

	(void)state;
	enable_disk();
	id = DISABLE(0);
	assert_int_not_equal(last.id, id);
	assert_int_equal(fake.regions, 1);	/* still there for the worker */
	is_error(DISABLE(0), PORTAL_EBUSY);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	assert_int_equal(fake.regions, 0);
	assert_int_equal(fake.bound, 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
	is_value(DISABLE(0), 0);		/* again: nothing to do */
	enable_disk();
}

static void again(uint64_t id, uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct portal_request req = {
		.id = id, .kind = PORTAL_KIND_HYPERCALL,
		.flags = PORTAL_REQ_F_CALL | PORTAL_REQ_F_REDELIVERED,
		.addr = nr, .data = { a, b, c, d },
	};

	bus_request(&vm, &req);
}

/* portald was killed after it had written the answer, before it was sent. */
static void does_nothing_twice(void **state)
{
	uint64_t id, first;

	(void)state;
	enable_disk();
	first = last.id;
	assert_true(last.written);
	last.nr = 0;
	again(first, PORTAL_HC_BUS_ENABLE, 0, GPA & 0xffffffff, GPA >> 32, 11);
	assert_int_equal(last.nr, 1);
	is_value(first, 0);
	assert_int_equal(fake.enables, 1);

	id = DISABLE(0);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	assert_true(last.written);
	enable_disk();
	again(id, PORTAL_HC_BUS_DISABLE, 0, 0, 0, 0);
	is_value(id, 0);
	assert_int_equal(fake.disables, 1);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_ENABLED);

	/* its answer was an error, and still is */
	id = DISABLE(0);
	bus_ack(&disk, fake.seq, 0);
	fake.irq_err = -EBUSY;
	id = ENABLE(0, GPA, 12);
	is_error(id, PORTAL_EBUSY);
	assert_true(last.written);
	fake.irq_err = 0;
	again(id, PORTAL_HC_BUS_ENABLE, 0, GPA & 0xffffffff, GPA >> 32, 12);
	is_error(id, PORTAL_EBUSY);
	assert_int_equal(fake.regions, 0);
}

/* What changes nothing costs no write, however often a guest asks. */
static void writes_changes_only(void **state)
{
	unsigned int written;

	(void)state;
	is_value(call(PORTAL_HC_BUS_EVENT, 9, 0, 0, 0), 0);
	written = fake.written;
	assert_true(written > 0);
	is_value(call(PORTAL_HC_BUS_EVENT, 9, 0, 0, 0), 0);
	is_error(call(PORTAL_HC_BUS_EVENT, 1ULL << 40, 0, 0, 0), PORTAL_EINVAL);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
	is_value(DISABLE(0), 0);
	is_error(ENABLE(0, GPA + 1, 11), PORTAL_EINVAL);
	assert_int_equal(fake.written, written);
}

/* It was killed before it did anything about the call. */
static void does_what_an_earlier_portald_did_not(void **state)
{
	uint64_t id = 4711;

	(void)state;
	again(id, PORTAL_HC_BUS_ENABLE, 0, GPA & 0xffffffff, GPA >> 32, 11);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_ENABLED);
}

static void refuses_bad_addresses(void **state)
{
	(void)state;
	is_error(ENABLE(0, GPA + 0x800, 11), PORTAL_EINVAL);
	is_error(ENABLE(0, 0, 11), PORTAL_EINVAL);
	disk.desc.region_len = 0x2000;
	is_error(ENABLE(0, ~0xfffULL, 11), PORTAL_EINVAL);	/* wraps around */
	fake.region_err = -EEXIST;
	is_error(ENABLE(2, GPA, 11), PORTAL_ENOENT);
	is_error(ENABLE(64, GPA, 11), PORTAL_EINVAL);
	is_error(call(PORTAL_HC_BUS_ENABLE, 0, 1ULL << 32, 0, 11), PORTAL_EINVAL);
	is_error(call(PORTAL_HC_BUS_ENABLE, 0, 0x1000, 0, 1ULL << 32), PORTAL_EINVAL);
}

static void refuses_taken_addresses(void **state)
{
	(void)state;
	fake.region_err = -EEXIST;
	is_error(ENABLE(0, GPA, 11), PORTAL_EEXIST);
	fake.region_err = 0;
	fake.irq_err = -EOPNOTSUPP;
	is_error(ENABLE(0, GPA, 11), PORTAL_ENOSYS);
	assert_int_equal(fake.regions, 0);
	fake.irq_err = 0;
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
	enable_disk();
}

static void gives_the_workers_error_to_the_guest(void **state)
{
	uint64_t id;

	(void)state;
	id = ENABLE(0, GPA, 11);
	bus_ack(&disk, fake.seq, -ENOMEM);
	is_error(id, PORTAL_ENOMEM);
	assert_int_equal(fake.regions, 0);
	assert_int_equal(fake.bound, 0);
}

static void ignores_acks_nobody_asked_for(void **state)
{
	uint64_t id;
	unsigned int nr;

	(void)state;
	bus_ack(&disk, 0, 0);
	id = ENABLE(0, GPA, 11);
	nr = last.nr;
	bus_ack(&disk, fake.seq + 1, 0);
	bus_ack(&disk, fake.seq - 1, 0);
	assert_int_equal(last.nr, nr);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	bus_ack(&disk, fake.seq, 0);
	assert_int_equal(last.nr, nr + 1);
}

static void enable_goes_on_with_the_next_worker(void **state)
{
	uint64_t id;

	(void)state;
	fake.worker = false;
	id = ENABLE(0, GPA, 11);
	assert_true(disk.bus.mapped);		/* so START will say "enabled" */
	assert_false(disk.bus.served);		/* and not "resume" */
	bus_worker_gone(&disk);
	disk.start_enabled = true;
	bus_worker_ready(&disk);
	is_value(id, 0);
	assert_true(disk.bus.served);
}

static void disable_is_done_when_the_worker_dies(void **state)
{
	uint64_t id;

	(void)state;
	enable_disk();
	id = DISABLE(0);
	bus_worker_gone(&disk);
	is_value(id, 0);
	assert_int_equal(fake.regions, 0);
	enable_disk();
	fake.worker = false;
	is_value(DISABLE(0), 0);
}

static void a_worker_given_up_leaves(void **state)
{
	uint64_t id;

	(void)state;
	id = ENABLE(0, GPA, 11);
	events();
	bus_fail(&disk);
	is_error(id, PORTAL_EIO);
	assert_int_equal(fake.regions, 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
	assert_int_equal(events(), 1);
}

static void hello_takes_devices_off(void **state)
{
	uint64_t id;

	(void)state;
	call(PORTAL_HC_BUS_EVENT, 5, 0, 0, 0);
	enable_disk();
	assert_int_equal(fake.bound, 2);
	bus_hello(&vm);
	assert_int_equal(vm.event_gsi, 0);
	assert_int_equal(fake.disables, 1);
	/* the new kernel comes before the old device is at rest: it waits */
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
	id = ENABLE(0, GPA + 0x1000, 12);
	assert_int_not_equal(last.id, id);
	assert_int_equal(fake.enables, 1);
	is_error(ENABLE(0, GPA, 11), PORTAL_EBUSY);	/* one waits already */
	bus_ack(&disk, fake.seq, 0);
	assert_int_equal(fake.enables, 2);
	assert_int_equal(fake.gpa, GPA + 0x1000);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	assert_int_equal(fake.regions, 1);
	assert_int_equal(fake.bound, 1);
}

static void hello_in_the_middle_of_enable_undoes_it(void **state)
{
	unsigned int nr;

	(void)state;
	ENABLE(0, GPA, 11);
	bus_hello(&vm);
	nr = last.nr;
	bus_ack(&disk, fake.seq, 0);		/* of ENABLE */
	assert_int_equal(fake.disables, 1);
	bus_ack(&disk, fake.seq, 0);		/* of DISABLE */
	assert_int_equal(last.nr, nr);		/* nobody waits for either */
	assert_int_equal(fake.regions, 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_OFFERED);
}

static void leaving_waits_for_the_guest(void **state)
{
	uint64_t id;

	(void)state;
	enable_disk();
	events();
	bus_leave(&vm);
	assert_int_not_equal(events(), 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_LEAVING);
	is_value(QUERY(1, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
	is_error(ENABLE(1, 0, 0), PORTAL_ENOENT);
	id = DISABLE(0);
	bus_ack(&disk, fake.seq, 0);
	is_value(id, 0);
	assert_int_equal(fake.released, 1);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
}

static void a_service_needs_no_address(void **state)
{
	uint64_t id;

	(void)state;
	id = ENABLE(1, 0, 0);
	bus_ack(&service, fake.seq, 0);
	is_value(id, 0);
	assert_int_equal(fake.regions, 0);
	assert_int_equal(fake.bound, 0);
	is_value(QUERY(1, PORTAL_SLOT_STATE), PORTAL_SLOT_ENABLED);
}

static void events_follow_the_gsi(void **state)
{
	(void)state;
	is_value(call(PORTAL_HC_BUS_EVENT, 5, 0, 0, 0), 0);
	is_value(call(PORTAL_HC_BUS_EVENT, 5, 0, 0, 0), 0);
	assert_int_equal(fake.bound, 1);
	is_value(call(PORTAL_HC_BUS_EVENT, 6, 0, 0, 0), 0);
	assert_int_equal(fake.bound, 1);
	assert_int_equal(fake.gsi, 6);
	is_value(call(PORTAL_HC_BUS_EVENT, 0, 0, 0, 0), 0);
	assert_int_equal(fake.bound, 0);
	fake.irq_err = -EOPNOTSUPP;
	is_error(call(PORTAL_HC_BUS_EVENT, 6, 0, 0, 0), PORTAL_ENOSYS);
	is_error(call(PORTAL_HC_BUS_EVENT, 1ULL << 32, 0, 0, 0), PORTAL_EINVAL);
}

static void pending_interrupts_are_bits(void **state)
{
	(void)state;
	is_value(call(PORTAL_HC_BUS_PENDING, 0, 0, 0, 0), 0);
	pages[1].queued = 3;
	is_value(call(PORTAL_HC_BUS_PENDING, 0, 0, 0, 0), 2);
	is_value(call(PORTAL_HC_BUS_PENDING, 1, 0, 0, 0), 0);
	is_error(call(PORTAL_HC_BUS_PENDING, 2, 0, 0, 0), PORTAL_EINVAL);
	/* who binds late is told at once */
	events();
	call(PORTAL_HC_BUS_EVENT, 5, 0, 0, 0);
	assert_int_equal(events(), 1);
	pages[1].taken = 3;
	is_value(call(PORTAL_HC_BUS_PENDING, 0, 0, 0, 0), 0);
	/* an interrupt handler died with its worker: the next one is asked again */
	pages[1].taken = 2;
	bus_worker_ready(&service);
	assert_int_equal(events(), 1);
}

/* ---- registers where the host says ---------------------------------------- */

static void place_disk(void)
{
	disk.desc.fixed = 1;
	disk.desc.bus = PORTAL_BUS_PIO;
	disk.desc.gpa = 0x8400;
	disk.desc.gsi = 2;
	assert_int_equal(slot_place(&disk), 0);
	assert_int_equal(fake.readies, 0);
	bus_ack(&disk, fake.seq, 0);
	assert_int_equal(fake.readies, 1);
}

static void places_what_the_host_decides(void **state)
{
	(void)state;
	place_disk();
	assert_int_equal(fake.gpa, 0x8400);
	assert_int_equal(fake.bus, PORTAL_BUS_PIO);
	assert_int_equal(fake.gsi, 2);
	assert_true(disk.bus.mapped && disk.bus.enabled && disk.bus.served);
	/* the guest neither sees it nor can move it */
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
	is_error(QUERY(0, PORTAL_SLOT_TYPE), PORTAL_ENOENT);
	is_error(ENABLE(0, GPA, 11), PORTAL_ENOENT);
	is_error(DISABLE(0), PORTAL_ENOENT);
	/* nor does its reboot */
	bus_hello(&vm);
	assert_true(disk.bus.mapped);
	assert_int_equal(fake.disables, 0);
}

static void a_taken_address_is_the_hosts_error(void **state)
{
	(void)state;
	fake.region_err = -EEXIST;
	disk.desc.fixed = 1;
	assert_int_equal(slot_place(&disk), -EEXIST);
	assert_int_equal(disk.bus.op, BUS_OP_NONE);
	assert_false(disk.bus.mapped);
	fake.region_err = 0;
	assert_int_equal(slot_place(&disk), 0);
	bus_ack(&disk, fake.seq, -EINVAL);
	assert_int_equal(fake.kills, 1);
	assert_int_equal(fake.regions, 0);
}

static void what_the_host_placed_leaves_by_itself(void **state)
{
	(void)state;
	place_disk();
	bus_leave(&vm);
	assert_int_equal(fake.disables, 1);
	assert_int_equal(fake.regions, 1);
	bus_ack(&disk, fake.seq, 0);
	assert_int_equal(fake.regions, 0);
	assert_int_equal(fake.bound, 0);
	assert_int_equal(fake.released, 1);
	assert_int_equal(fake.admin_released, 1);
}

static void a_slot_can_be_taken_from_the_guest(void **state)
{
	uint64_t id;

	(void)state;
	enable_disk();
	bus_take_slot(&disk);
	assert_int_equal(fake.regions, 0);
	assert_int_equal(fake.bound, 0);
	is_value(QUERY(0, PORTAL_SLOT_STATE), PORTAL_SLOT_EMPTY);
	/* in the middle of a call */
	disk.bus.leaving = false;
	id = ENABLE(0, GPA, 11);
	assert_int_not_equal(last.id, id);
	bus_take_slot(&disk);
	is_error(id, PORTAL_ENODEV);
	assert_int_equal(fake.regions, 0);
}

static void placing_goes_on_with_the_next_portald(void **state)
{
	(void)state;
	disk.desc.fixed = 1;
	bus_worker_ready(&disk);
	assert_int_equal(fake.regions, 1);
	assert_int_equal(disk.bus.op, BUS_OP_ENABLE);
	bus_ack(&disk, fake.seq, 0);
	assert_true(disk.bus.enabled);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(describes_slots), T(enables_once_the_worker_is_ready),
		T(writes_changes_only), T(does_nothing_twice),
		T(does_what_an_earlier_portald_did_not),
		T(disables_once_nothing_is_in_flight), T(refuses_bad_addresses),
		T(refuses_taken_addresses), T(gives_the_workers_error_to_the_guest),
		T(ignores_acks_nobody_asked_for), T(enable_goes_on_with_the_next_worker),
		T(disable_is_done_when_the_worker_dies), T(a_worker_given_up_leaves),
		T(hello_takes_devices_off), T(hello_in_the_middle_of_enable_undoes_it),
		T(leaving_waits_for_the_guest), T(a_service_needs_no_address),
		T(events_follow_the_gsi), T(pending_interrupts_are_bits),
		T(places_what_the_host_decides), T(a_taken_address_is_the_hosts_error),
		T(what_the_host_placed_leaves_by_itself),
		T(placing_goes_on_with_the_next_portald),
		T(a_slot_can_be_taken_from_the_guest),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
