// SPDX-License-Identifier: GPL-2.0-only
/* bus_test.c - the guest's bus calls against workers that ack, fail and die */
/* LINK: bus.o slot.o errmap.o log.o */
#include "bus_world.h"

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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(describes_slots), T(enables_once_the_worker_is_ready), T(writes_changes_only),
		T(does_nothing_twice), T(does_what_an_earlier_portald_did_not),
		T(disables_once_nothing_is_in_flight), T(refuses_bad_addresses),
		T(refuses_taken_addresses), T(gives_the_workers_error_to_the_guest),
		T(ignores_acks_nobody_asked_for), T(enable_goes_on_with_the_next_worker),
		T(disable_is_done_when_the_worker_dies), T(a_worker_given_up_leaves),
		T(hello_takes_devices_off), T(hello_in_the_middle_of_enable_undoes_it),
		T(leaving_waits_for_the_guest), T(a_service_needs_no_address),
		T(events_follow_the_gsi), T(pending_interrupts_are_bits),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
