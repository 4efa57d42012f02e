/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* queue_test.c - a queue's life, and its options */
#include <fcntl.h>
#include <unistd.h>
#include "fake.h"

static void test_create_defaults(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_queue_info info;
	struct portal_queue *q;

	(void)state;
	assert_ok(portal_queue_create(vm, NULL, &q));
	assert_int_equal(fake.create.size, sizeof(fake.create));
	assert_int_equal(fake.create.entries, 256);
	assert_int_equal(fake.create.flags, 0);
	assert_int_equal(portal_queue_id(q), FAKE_QUEUE_ID);
	assert_true(portal_queue_fd(q) >= 0);
	assert_ok(portal_queue_get_info(q, &info));
	assert_int_equal(info.size, sizeof(info));
	assert_int_equal(info.out_entries, 8);
	portal_queue_close(q);
	portal_queue_close(NULL);
	assert_ok(portal_queue_del(vm, FAKE_QUEUE_ID));
	portal_vm_close(vm);
}

static void test_create_options(void **state)
{
	struct portal_queue_opts opts = {
		.sz = sizeof(opts), .flags = PORTAL_QUEUE_F_LIFECYCLE, .entries = 8,
		.orphan = PORTAL_ORPHAN_REQUEUE, .hold_ns = 123,
		.transport = PORTAL_TRANSPORT_READ,
	};
	struct portal_vm *vm = fake_vm();
	struct portal_queue *q;

	(void)state;
	assert_ok(portal_queue_create(vm, &opts, &q));
	assert_int_equal(fake.create.flags, PORTAL_QUEUE_F_LIFECYCLE);
	assert_int_equal(fake.create.entries, 8);
	assert_int_equal(fake.create.orphan, PORTAL_ORPHAN_REQUEUE);
	assert_int_equal(fake.create.hold_ns, 123);
	portal_queue_close(q);
	portal_vm_close(vm);
}

static void test_hand_over(void **state)
{
	struct portal_queue_opts opts = {
		.sz = sizeof(opts), .transport = PORTAL_TRANSPORT_READ,
		.open_flags = PORTAL_QUEUE_OPEN_F_HANDOVER,
	};
	struct portal_vm *vm = fake_vm();
	struct portal_queue *q;

	(void)state;
	assert_ok(portal_queue_open(vm, FAKE_QUEUE_ID, &opts, &q));
	assert_int_equal(fake.open.flags, PORTAL_QUEUE_OPEN_F_HANDOVER);
	assert_ok(portal_queue_cancel(q));
	assert_int_equal(fake.cancels, 1);
	portal_queue_close(q);
	opts.open_flags = 1ULL << 32;
	assert_err(portal_queue_open(vm, FAKE_QUEUE_ID, &opts, &q), EOPNOTSUPP);
	portal_vm_close(vm);
}

struct later_opts {
	struct portal_queue_opts now;
	uint64_t later[4];
};

static void test_opts_sizes(void **state)
{
	struct later_opts opts = { .now = { .transport = PORTAL_TRANSPORT_POLL } };
	struct portal_vm *vm = fake_vm();
	struct portal_queue *q;

	(void)state;
	assert_err(portal_queue_create(vm, &opts.now, &q), EINVAL);	/* sz 0 */
	opts.now.sz = sizeof(size_t) - 1;
	assert_err(portal_queue_create(vm, &opts.now, &q), EINVAL);

	opts.now.sz = sizeof(opts);
	opts.later[3] = 1;
	assert_err(portal_queue_create(vm, &opts.now, &q), E2BIG);
	assert_err(portal_queue_open(vm, FAKE_QUEUE_ID, &opts.now, &q), E2BIG);
	assert_err(portal_queue_from_fd(fake.queue_fd, &opts.now, &q), E2BIG);
	opts.later[3] = 0;
	assert_ok(portal_queue_create(vm, &opts.now, &q));
	portal_queue_close(q);

	/* an older caller's struct: what lies behind it is not ours */
	opts.now.sz = offsetof(struct portal_queue_opts, entries);
	opts.now.entries = 4;
	assert_ok(portal_queue_create(vm, &opts.now, &q));
	assert_int_equal(fake.create.entries, 256);
	portal_queue_close(q);

	opts.now.sz = sizeof(opts.now);
	opts.now.transport = 3;
	assert_err(portal_queue_create(vm, &opts.now, &q), EOPNOTSUPP);
	portal_vm_close(vm);
}

static void test_create_undone(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_queue *q;
	int fd = dup(0);

	(void)state;
	close(fd);
	fake.ring->magic = 0;
	assert_err(portal_queue_create(vm, NULL, &q), EPROTO);
	assert_int_equal(fake.queue_dels, 1);
	assert_int_equal(dup(0), fd);	/* no fd is left */
	close(fd);
	portal_vm_close(vm);
}

static void test_from_fd_errors(void **state)
{
	struct portal_queue *q;

	(void)state;
	assert_err(portal_queue_from_fd(fake.vm_fd, NULL, &q), ENXIO);
	fake.next_err = ESTALE;
	assert_err(portal_queue_from_fd(fake.queue_fd, NULL, &q), ESTALE);
	assert_true(fcntl(fake.queue_fd, F_GETFD) >= 0);	/* stays the caller's */
}

static void test_take_over(void **state)
{
	struct portal_queue_opts opts = { .sz = sizeof(opts), .transport = PORTAL_TRANSPORT_POLL };
	struct portal_queue *old = fake_queue(PORTAL_TRANSPORT_POLL), *new;
	struct portal_vm *vm = fake_vm();
	int fd;

	(void)state;
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(old, -1), 1);
	assert_int_equal(portal_queue_next(old)->id, 1);
	assert_ok(portal_queue_flush(old));
	assert_ok(portal_queue_open(vm, FAKE_QUEUE_ID, &opts, &new));
	assert_err(portal_queue_wait(old, -1), ESTALE);
	portal_queue_close(old);
	assert_int_equal(portal_queue_wait(new, -1), 1);
	assert_int_equal(portal_queue_next(new)->id, 2);
	portal_queue_close(new);
	fd = portal_queue_open_fd(vm, FAKE_QUEUE_ID);
	assert_true(fd >= 0);
	close(fd);
	portal_vm_close(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_create_defaults), T(test_create_options), T(test_hand_over), T(test_opts_sizes),
		T(test_create_undone), T(test_from_fd_errors), T(test_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
