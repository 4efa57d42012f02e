/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* reply_test.c - replies: contents, batches, errors; on each transport */
#include "fake.h"

static uint32_t transport_of(void **state)
{
	return (uint32_t)(uintptr_t)*state;
}

static void test_contents(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));

	assert_ok(portal_reply_value(q, 1, 42));
	assert_ok(portal_reply_error(q, 2, 5));
	assert_ok(portal_reply_pass(q, 3));
	assert_int_equal(fake.nr_got, 0);
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.nr_got, 3);
	assert_int_equal(fake.got[0].id, 1);
	assert_int_equal(fake.got[0].action, PORTAL_ACTION_VALUE);
	assert_int_equal(fake.got[0].value, 42);
	assert_int_equal(fake.got[1].action, PORTAL_ACTION_ERROR);
	assert_int_equal(fake.got[1].error, 5);
	assert_int_equal(fake.got[2].action, PORTAL_ACTION_PASS);
	assert_ok(portal_queue_flush(q));	/* nothing to send: no call */
	assert_true(fake.commits <= 1);
	assert_int_equal(fake.nr_got, 3);
	portal_queue_close(q);
}

static void test_more_than_256(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));
	unsigned int i;

	for (i = 0; i < 700; i++)
		assert_ok(portal_reply_value(q, i + 1, i));
	assert_int_equal(fake.nr_got, 512);
	assert_int_equal(fake.ring->head, 0);
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.nr_got, 700);
	for (i = 0; i < 700; i++)
		assert_int_equal(fake.got[i].id, i + 1);
	portal_queue_close(q);
}

/* A full buffer in mid request must not consume that request. */
static void test_full_keeps_head(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));
	unsigned int i;

	fake_push();
	assert_int_equal(portal_queue_wait(q, 0), 1);
	assert_non_null(portal_queue_next(q));
	for (i = 0; i < 257; i++)
		assert_ok(portal_reply_value(q, i + 1, i));
	assert_int_equal(fake.nr_got, 256);
	assert_int_equal(fake.ring->head, 0);
	portal_queue_close(q);
}

static void test_refused_one_of_many(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));
	unsigned int i, seen = 0;

	fake.refused_id = 3;
	for (i = 1; i <= 5; i++)
		portal_reply_value(q, i, i);
	assert_err(portal_queue_flush(q), EOPNOTSUPP);
	for (i = 0; i < fake.nr_got; i++)
		seen |= 1U << fake.got[i].id;
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5);
	assert_ok(portal_queue_flush(q));
	portal_queue_close(q);
}

static void test_error_keeps_replies(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));

	portal_reply_value(q, 1, 1);
	fake.commit_err = ENOMEM;
	assert_err(portal_queue_flush(q), ENOMEM);
	assert_int_equal(fake.nr_got, 0);
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.nr_got, 1);
	portal_queue_close(q);
}

static void test_error_when_full(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));
	unsigned int i;

	for (i = 1; i <= 256; i++)
		assert_ok(portal_reply_value(q, i, i));
	fake.commit_err = ENOMEM;
	assert_err(portal_reply_value(q, 257, 257), ENOMEM);
	assert_ok(portal_reply_value(q, 257, 257));
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.nr_got, 257);
	assert_int_equal(fake.got[256].id, 257);
	portal_queue_close(q);
}

static void test_signal_is_no_error(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));

	portal_reply_value(q, 1, 1);
	fake.commit_err = EINTR;
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.nr_got, 1);
	portal_queue_close(q);
}

static void test_vm_gone(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));

	portal_reply_value(q, 1, 1);
	fake.commit_err = ENODEV;
	assert_ok(portal_queue_flush(q));
	fake_flag(PORTAL_RING_F_STALE);
	assert_err(portal_queue_wait(q, -1), ENODEV);
	portal_queue_close(q);
}

static void test_close_sends(void **state)
{
	struct portal_queue *q = fake_queue(transport_of(state));

	portal_reply_value(q, 1, 1);
	portal_queue_close(q);
	assert_int_equal(fake.nr_got, 1);
}

/* cmocka hands initial_state to the set-up; keep it there for the test */
#define ON(f, t) { #f " (" #t ")", f, fake_setup, fake_teardown, \
		   (void *)(uintptr_t)PORTAL_TRANSPORT_##t }
#define T(f) ON(f, URING), ON(f, READ), ON(f, POLL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_contents), T(test_more_than_256), T(test_full_keeps_head),
		T(test_refused_one_of_many), T(test_error_keeps_replies),
		T(test_error_when_full), T(test_signal_is_no_error), T(test_vm_gone),
		T(test_close_sends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
