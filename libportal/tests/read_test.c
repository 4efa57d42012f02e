/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* read_test.c - the transport by read(), write() and poll() */
#include <unistd.h>
#include "fake.h"

static void push_one(void)
{
	fake.on_poll = NULL;
	fake_push();
}

static void test_waits_in_poll(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);

	(void)state;
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.polls, 1);
	fake.on_poll = push_one;
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(portal_queue_next(q)->id, 1);
	assert_null(portal_queue_next(q));
	portal_queue_close(q);
}

static uint32_t head_at_poll;

static void note_head(void)
{
	fake.on_poll = NULL;
	head_at_poll = fake.ring->head;
	fake_push();
}

/* A guest waits for the head: it must move before poll() sleeps. */
static void test_acknowledges_before_sleep(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);

	(void)state;
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	portal_queue_next(q);
	portal_queue_next(q);
	assert_int_equal(fake.ring->head, 0);
	fake.on_poll = note_head;
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(head_at_poll, 2);
	portal_queue_close(q);
}

static void test_rest_of_batch(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);
	unsigned int i;

	(void)state;
	while (fake_push())
		;
	for (i = 1; i <= 8; i++) {
		assert_int_equal(portal_queue_wait(q, -1), 1);
		assert_int_equal(portal_queue_next(q)->id, i);
		assert_int_equal(fake.ring->head, 0);
	}
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.ring->head, 8);
	portal_queue_close(q);
}

static void test_replies_first(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);

	(void)state;
	portal_reply_value(q, 1, 1);
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.nr_got, 1);
	assert_int_equal(fake.commits, 0);
	portal_queue_close(q);
}

static void test_no_hold(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);

	(void)state;
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_err(portal_queue_hold(q, portal_queue_next(q)), EOPNOTSUPP);
	assert_err(portal_queue_done(q, 1), EOPNOTSUPP);
	assert_err(portal_queue_arm(q), EINVAL);
	portal_queue_close(q);
}

static void test_drains_then_gone(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_READ);

	(void)state;
	fake_push();
	fake_flag(PORTAL_RING_F_STALE);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(portal_queue_next(q)->id, 1);
	assert_err(portal_queue_wait(q, -1), ENODEV);
	portal_queue_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_waits_in_poll), T(test_acknowledges_before_sleep),
		T(test_rest_of_batch), T(test_replies_first), T(test_no_hold),
		T(test_drains_then_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
