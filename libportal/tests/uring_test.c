/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* uring_test.c - FETCH and COMMIT_AND_FETCH, in an own ring and a caller's */
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include "fake.h"

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static bool parked(void)
{
	return __atomic_load_n(&fake.parked, __ATOMIC_ACQUIRE);
}

static void inject(int a, int b)
{
	fake.fetch_res[0] = a;
	fake.fetch_res[1] = b;
	fake.nr_fetch_res = b ? 2 : 1;
}

static void test_no_call_when_there(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);

	(void)state;
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(fake.fetches + fake.commits, 0);
	assert_int_equal(portal_queue_next(q)->id, 1);
	fake_push();
	portal_reply_value(q, 1, 1);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(fake.fetches, 0);	/* the ioctl is cheaper here */
	assert_int_equal(fake.commits, 1);
	assert_int_equal(fake.nr_got, 1);
	portal_queue_close(q);
}

static void test_replies_go_with_fetch(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);

	(void)state;
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	portal_queue_next(q);
	portal_reply_value(q, 1, 1);
	assert_int_equal(portal_queue_wait(q, 10), 0);
	assert_int_equal(fake.fetches_replies, 1);
	assert_int_equal(fake.commits, 0);
	assert_int_equal(fake.seen, 1);
	assert_int_equal(fake.ring->head, 1);
	assert_true(parked());
	/* while it is parked, others go by ioctl, and it stays */
	portal_reply_value(q, 2, 2);
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.commits, 1);
	assert_int_equal(fake.fetches, 1);
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(portal_queue_next(q)->id, 2);
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_int_equal(fake.fetches, 2);
	assert_int_equal(fake.seen, 2);
	assert_int_equal(fake.nr_got, 2);
	portal_queue_close(q);
}

static void *push_when_parked(void *arg)
{
	while (!parked())
		nap();
	fake_push();
	return arg;
}

static void test_wakes_up(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);
	int i, timeout[] = { -1, 10000 };
	pthread_t guest;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_ok(pthread_create(&guest, NULL, push_when_parked, NULL));
		assert_int_equal(portal_queue_wait(q, timeout[i]), 1);
		assert_int_equal(portal_queue_next(q)->id, i + 1);
		pthread_join(guest, NULL);
	}
	portal_queue_close(q);
}

static volatile bool woken;

static void on_signal(int sig)
{
	(void)sig;
}

static void *signal_until_woken(void *arg)
{
	while (!parked())
		nap();
	while (!woken) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		nap();
	}
	return arg;
}

static void test_signal(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);
	struct sigaction sa = { .sa_handler = on_signal };
	int i, timeout[] = { -1, 100000 };
	pthread_t self = pthread_self(), killer;

	(void)state;
	sigaction(SIGUSR1, &sa, NULL);
	for (i = 0; i < 2; i++) {
		woken = false;
		assert_ok(pthread_create(&killer, NULL, signal_until_woken, &self));
		assert_err(portal_queue_wait(q, timeout[i]), EINTR);
		woken = true;
		pthread_join(killer, NULL);
	}
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	portal_queue_close(q);
}

static void test_etime_is_resubmitted(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);

	(void)state;
	inject(-ETIME, -ETIME);
	portal_reply_value(q, 1, 1);
	assert_int_equal(portal_queue_wait(q, 50), 0);
	assert_int_equal(fake.fetches, 3);
	assert_int_equal(fake.fetches_replies, 1);	/* ETIME had taken them */
	assert_int_equal(fake.nr_got, 1);
	portal_queue_close(q);
}

static void test_failed_fetch_loses_no_reply(void **state)
{
	static const int errs[] = { -EBUSY, -EAGAIN, -EINTR, -ECANCELED };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);
		unsigned int before = fake.nr_got;

		inject(errs[i], 0);
		portal_reply_value(q, 1, 1);
		assert_int_equal(portal_queue_wait(q, 50), 0);
		assert_int_equal(fake.nr_got, before + 1);
		portal_queue_close(q);
		fake_teardown(state);
		fake_setup(state);
	}
}

static void test_refused_reply(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);
	unsigned int i, seen = 0;

	(void)state;
	fake.refused_id = 2;
	for (i = 1; i <= 3; i++)
		portal_reply_value(q, i, i);
	assert_err(portal_queue_wait(q, 50), EOPNOTSUPP);
	for (i = 0; i < fake.nr_got; i++)
		seen |= 1U << fake.got[i].id;
	assert_int_equal(seen, 1 << 1 | 1 << 3);
	assert_int_equal(portal_queue_wait(q, 10), 0);	/* goes on */
	portal_queue_close(q);
}

static void test_no_uring_cmd(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);

	(void)state;
	inject(-EOPNOTSUPP, 0);
	assert_err(portal_queue_wait(q, -1), EOPNOTSUPP);
	portal_queue_close(q);
}

static void test_gone_and_stale(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);

	(void)state;
	inject(-ENODEV, -ESTALE);
	assert_err(portal_queue_wait(q, -1), ENODEV);
	assert_err(portal_queue_wait(q, -1), ESTALE);
	fake_push();
	fake_flag(PORTAL_RING_F_STALE);
	assert_int_equal(portal_queue_wait(q, -1), 1);
	assert_int_equal(portal_queue_next(q)->id, 1);
	assert_err(portal_queue_wait(q, -1), ENODEV);
	portal_queue_close(q);
}

static void test_need_commit_while_parked(void **state)
{
	struct portal_queue *q = fake_queue(PORTAL_TRANSPORT_URING);
	const struct portal_request *req;

	(void)state;
	fake_push();
	assert_int_equal(portal_queue_wait(q, -1), 1);
	req = portal_queue_next(q);
	assert_ok(portal_queue_hold(q, req));
	assert_int_equal(portal_queue_wait(q, 0), 0);
	assert_true(parked());
	fake_flag(PORTAL_RING_F_NEED_COMMIT);	/* a SYNC write waits for it */
	assert_ok(portal_queue_done(q, 1));
	assert_int_equal(fake.commits, 0);
	assert_ok(portal_queue_flush(q));
	assert_int_equal(fake.ring->head, 1);
	assert_int_equal(fake.commits, 1);
	portal_queue_close(q);
}

/* ---- the caller's ring ------------------------------------------------- */

static int take_cqe(struct io_uring *ring, struct portal_queue *q)
{
	struct io_uring_cqe cqe, *p;

	assert_ok(io_uring_peek_cqe(ring, &p));
	cqe = *p;
	io_uring_cqe_seen(ring, p);
	assert_int_equal(cqe.user_data, portal_queue_user_data(q));
	return portal_queue_cqe(q, &cqe);
}

static void test_caller_ring(void **state)
{
	struct io_uring ring;
	struct portal_queue_opts opts = { .sz = sizeof(opts), .uring = &ring };
	struct portal_vm *vm = fake_vm();
	struct portal_queue *q;
	struct io_uring_cqe *cqe;

	(void)state;
	assert_ok(io_uring_queue_init(4, &ring, 0));
	assert_ok(portal_queue_create(vm, &opts, &q));
	assert_err(portal_queue_wait(q, 1), EINVAL);	/* it is not ours to wait on */
	assert_ok(portal_queue_arm(q));
	assert_ok(portal_queue_arm(q));		/* once only */
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_true(parked());
	fake_push();
	assert_ok(io_uring_wait_cqe(&ring, &cqe));
	assert_int_equal(take_cqe(&ring, q), 1);
	assert_int_equal(portal_queue_next(q)->id, 1);

	/* the reply goes with the next arm(), though submitted late */
	portal_reply_value(q, 1, 11);
	assert_ok(portal_queue_arm(q));
	portal_reply_value(q, 2, 22);
	assert_int_equal(fake.nr_got, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(fake.nr_got, 1);
	assert_int_equal(fake.got[0].value, 11);
	assert_ok(portal_queue_arm(q));		/* parked: by ioctl */
	assert_int_equal(fake.nr_got, 2);
	assert_int_equal(fake.got[1].value, 22);
	assert_int_equal(fake.commits, 1);

	fake_flag(PORTAL_RING_F_STALE);
	assert_ok(io_uring_wait_cqe(&ring, &cqe));
	assert_err(take_cqe(&ring, q), ENODEV);
	portal_queue_close(q);
	io_uring_queue_exit(&ring);
	portal_vm_close(vm);
}

static void test_caller_ring_errors(void **state)
{
	struct portal_queue_opts opts = { .sz = sizeof(opts) };
	struct portal_queue *q;
	struct io_uring ring;

	(void)state;
	assert_ok(io_uring_queue_init(1, &ring, 0));
	opts.uring = &ring;
	assert_ok(portal_queue_from_fd(dup(fake.queue_fd), &opts, &q));
	io_uring_prep_nop(io_uring_get_sqe(&ring));
	assert_err(portal_queue_arm(q), EBUSY);
	io_uring_submit(&ring);
	io_uring_cq_advance(&ring, 1);

	inject(-ETIME, -EBUSY);
	assert_ok(portal_queue_arm(q));
	io_uring_submit(&ring);
	assert_int_equal(take_cqe(&ring, q), 0);
	portal_reply_value(q, 1, 1);
	assert_ok(portal_queue_arm(q));
	io_uring_submit(&ring);
	assert_err(take_cqe(&ring, q), EBUSY);
	assert_int_equal(fake.nr_got, 1);
	portal_queue_close(q);
	io_uring_queue_exit(&ring);

	q = fake_queue(PORTAL_TRANSPORT_POLL);
	assert_err(portal_queue_arm(q), EINVAL);
	portal_queue_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_no_call_when_there), T(test_replies_go_with_fetch), T(test_wakes_up),
		T(test_signal), T(test_etime_is_resubmitted),
		T(test_failed_fetch_loses_no_reply), T(test_refused_reply),
		T(test_no_uring_cmd), T(test_gone_and_stale),
		T(test_need_commit_while_parked), T(test_caller_ring),
		T(test_caller_ring_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
