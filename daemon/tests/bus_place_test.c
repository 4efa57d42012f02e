// SPDX-License-Identifier: GPL-2.0-only
/* bus_place_test.c - registers where the host says */
/* LINK: bus.o slot.o errmap.o log.o */
#include "bus_world.h"

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
		T(places_what_the_host_decides), T(a_taken_address_is_the_hosts_error),
		T(what_the_host_placed_leaves_by_itself),
		T(placing_goes_on_with_the_next_portald), T(a_slot_can_be_taken_from_the_guest),
	};

	return cmocka_run_group_tests_name("bus place", tests, NULL, NULL);
}
