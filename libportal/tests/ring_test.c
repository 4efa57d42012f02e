/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* ring_test.c - the consumer's side of the ring, driven by polling */
#include "fake.h"

static uint64_t next_id(struct portal_queue *q)
{
	const struct portal_request *req = portal_queue_next(q);

	return req ? req->id : 0;
}

static void test_order_and_head(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	assert_int_equal(portal_queue_wait(q, 0), 0);
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	fake_push();	/* after wait(): belongs to the next one */
	assert_int_equal(next_id(q), 1);
	assert_int_equal(next_id(q), 2);
	assert_null(portal_queue_next(q));
	assert_int_equal(fake.ring->head, 0);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(fake.ring->head, 2);
	assert_int_equal(next_id(q), 3);
	assert_int_equal(fake.commits, 0);
	portal_queue_close(q);
	assert_int_equal(fake.ring->head, 2);	/* close consumes nothing */
}

static void test_not_taken_stays(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(next_id(q), 1);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(fake.ring->head, 1);
	assert_int_equal(next_id(q), 2);
	portal_queue_close(q);
}

static void test_wrap_2_32(void **state)
{
	struct portal_queue *q;
	unsigned int i;

	(void)state;
	fake_ring(4, sizeof(struct portal_request), 0xfffffffe);
	q = fake_queue(PORTAL_TRANSPORT_POLL);
	while (fake_push())
		;
	assert_int_equal(fake.ring->tail, 2);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	for (i = 1; i <= 4; i++) {
		const struct portal_request *req = portal_queue_next(q);

		assert_int_equal(req->id, i);
		if (i == 2 || i == 3)
			assert_ok(portal_queue_hold(q, req));
	}
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.ring->head, 0xffffffff);
	assert_ok(portal_queue_done(q, 3));
	assert_ok(portal_queue_done(q, 2));
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.ring->head, 2);
	portal_queue_close(q);
}

static void test_hold_out_of_order(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);
	const struct portal_request *req[8];
	unsigned int i;

	(void)state;
	while (fake_push())
		;
	assert_int_equal(portal_queue_wait(q, -1), 1);
	for (i = 0; i < 8; i++) {
		req[i] = portal_queue_next(q);
		if (i != 2)
			assert_ok(portal_queue_hold(q, req[i]));
	}
	assert_err(portal_queue_hold(q, req[0]), EINVAL);	/* twice */
	portal_queue_done(q, 2);
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.ring->head, 0);		/* 1 is held */
	assert_err(portal_queue_done(q, 2), ENOENT);	/* twice */
	assert_err(portal_queue_done(q, 3), ENOENT);	/* never held */
	assert_err(portal_queue_done(q, 99), ENOENT);
	assert_ok(portal_queue_done(q, 1));
	assert_int_equal(fake.ring->head, 0);		/* moves with wait() */
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.ring->head, 3);		/* 3 was not held */
	assert_int_equal(req[3]->id, 4);
	for (i = 8; i > 3; i--)
		assert_ok(portal_queue_done(q, i));
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.ring->head, 8);
	assert_err(portal_queue_hold(q, req[7]), EINVAL);	/* consumed */
	portal_queue_close(q);
}

static void test_hold_foreign(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);
	const struct portal_request *req;
	struct portal_request copy;

	(void)state;
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	req = portal_queue_next(q);
	copy = *req;
	assert_err(portal_queue_hold(q, &copy), EINVAL);
	assert_err(portal_queue_hold(q, (const void *)((const char *)req + 8)), EINVAL);
	assert_err(portal_queue_hold(q, req + 1), EINVAL);	/* not given out */
	assert_err(portal_queue_hold(q, req + 8), EINVAL);	/* behind the ring */
	portal_queue_close(q);
}

static void test_need_commit(void **state)
{
	static const uint32_t flags[] = { PORTAL_RING_F_NEED_COMMIT, PORTAL_RING_F_OVERFLOW };
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fake_push();
		fake_push();
		assert_int_equal(portal_queue_wait(q, -1), 1);
		assert_non_null(portal_queue_next(q));
		fake_flag(flags[i]);
		assert_int_equal(portal_queue_wait(q, -1), 1);
		assert_int_equal(fake.commits, i + 1);
		assert_non_null(portal_queue_next(q));
		assert_int_equal(portal_queue_wait(q, 0), 0);
		assert_int_equal(fake.commits, i + 1);
	}
	portal_queue_close(q);
}

static void test_overflow_while_idle(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	fake_flag(PORTAL_RING_F_OVERFLOW);
	assert_int_equal(portal_queue_wait(q, 20), 0);
	assert_int_equal(fake.commits, 1);
	portal_queue_close(q);
}

static void test_stale_drains_first(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	fake_push();
	fake_flag(PORTAL_RING_F_STALE);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_ok(portal_reply_value(q, next_id(q), 0));
	fake.commit_err = ENODEV;
	assert_err(portal_queue_wait(q, -1), ENODEV);
	assert_err(portal_queue_wait(q, -1), ENODEV);
	portal_queue_close(q);
}

static void test_other_owner(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	next_id(q);
	fake.ring->epoch++;
	assert_err(portal_queue_wait(q, -1), ESTALE);
	assert_int_equal(fake.ring->head, 0);	/* it is the other one's now */
	assert_err(portal_queue_flush(q), ESTALE);
	portal_queue_close(q);
}

static void test_tail_out_of_bounds(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_POLL);

	(void)state;
	fake.ring->tail = 9;
	assert_err(portal_queue_wait(q, -1), EPROTO);
	assert_null(portal_queue_next(q));
	fake.ring->tail = 2;
	assert_int_equal(portal_queue_wait(q, -1), 1);
	portal_queue_next(q);
	portal_queue_next(q);
	fake.ring->tail = 1;
	assert_err(portal_queue_wait(q, -1), EPROTO);
	portal_queue_close(q);
}

static void test_longer_entries(void **state)
{
	struct portal_queue *q;

	(void)state;
	fake_ring(8, sizeof(struct portal_request) + 64, 0);
	q = fake_queue(PORTAL_TRANSPORT_POLL);
	fake_push();
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(next_id(q), 1);
	assert_ok(portal_queue_hold(q, portal_queue_next(q)));
	assert_ok(portal_queue_done(q, 2));
	portal_queue_close(q);
}

static void test_bad_header(void **state)
{
	struct portal_queue_opts opts = { .sz = sizeof(opts), .transport = PORTAL_TRANSPORT_POLL };
	struct { uint32_t *at, val; } bad[] = {
		{ &fake.ring->magic, 1 },
		{ &fake.ring->version, 2 },
		{ &fake.ring->entries, 16 },
		{ &fake.ring->entry_size, 64 },
		{ &fake.ring->entry_size, sizeof(struct portal_request) + 4 },
		{ &fake.ring->entry_size, 1U << 31 },
		{ &fake.ring->entries_off, 8 },
		{ &fake.ring->entries_off, 4096 + 128 },
		{ &fake.ring->entries_off, 0xfffffff8 },
		{ &fake.ring->head, 1 },
		{ &fake.ring->tail, 9 },
	};
	struct portal_queue *q = NULL;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t good = *bad[i].at;

		*bad[i].at = bad[i].val;
		assert_err(portal_queue_from_fd(fake.queue_fd, &opts, &q), EPROTO);
		*bad[i].at = good;
	}
	assert_null(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_order_and_head), T(test_not_taken_stays), T(test_wrap_2_32),
		T(test_hold_out_of_order), T(test_hold_foreign), T(test_need_commit),
		T(test_overflow_while_idle), T(test_stale_drains_first), T(test_other_owner),
		T(test_tail_out_of_bounds), T(test_longer_entries), T(test_bad_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
