// SPDX-License-Identifier: GPL-2.0-only
/*
 * eagain_test - hypercalls of a guest that would rather be asked to come again
 */
#include <sys/time.h>
#include "mock_util.h"

#define SERVICE	PORTAL_HC_SERVICE(0)

FIXTURE(eagain)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(eagain)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
}

FIXTURE_TEARDOWN(eagain)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

static int hook(FIXTURE_DATA(eagain) *self, __u32 flags)
{
	return hook_add(self->vm, (struct portal_hook_add)
			HOOK(self->q.id, SERVICE, SERVICE, .flags = flags,
			     .timeout_ns = 2 * NSEC_PER_SEC));
}

static __s64 hello(FIXTURE_DATA(eagain) *self, __u32 features)
{
	struct portal_mock_access a = mock_hc(PORTAL_HC_HELLO, 1, PORTAL_HELLO_MAGIC0);

	a.data[1] = PORTAL_HELLO_MAGIC1;
	a.data[2] = PORTAL_GUEST_VERSION;
	a.data[3] = features;
	return mock_run(self->vm, &a) ?: (__s64)a.out_value;
}

TEST_F(eagain, is_answered_after_a_bounded_wait_and_the_call_goes_on)
{
	struct portal_mock_access a = mock_hc(SERVICE, 77, 5);
	struct portal_request req;
	__u64 start;
	int i;

	ASSERT_LT(0, hook(self, 0));
	EXPECT_NE(0, hello(self, PORTAL_GUEST_F_EAGAIN) & PORTAL_GUEST_F_EAGAIN);
	for (i = 0; i < 5; i++) {
		start = now_ns();
		a.vcpu = i % 2;		/* the task may move in between */
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
		EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a.out_value);
		EXPECT_LE(10 * NSEC_PER_MSEC, now_ns() - start);
		EXPECT_GT(NSEC_PER_SEC, now_ns() - start);
	}
	ASSERT_EQ(0, queue_answer(&self->q, &req, 0x1234));
	EXPECT_EQ(77, req.call_id);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0x1234, a.out_value);
	/* asked once, answered once; the same id again is a new call */
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a.out_value);
	EXPECT_EQ(2, portal_vm_info(self->vm).out_calls);
}

TEST_F(eagain, rate_limit_holds_and_is_not_told_as_too_many)
{
	struct portal_rate_set rate = { .size = sizeof(rate), .rate = 10, .burst = 1 };
	struct portal_mock_access a = mock_hc(SERVICE, 1, 5);
	__u64 start;

	ASSERT_LT(0, hook(self, 0));
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_RATE_SET, &rate));
	start = now_ns();
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a.out_value);
	/* held until it is let in; only then it is a call, and waits for an answer */
	a = mock_hc(SERVICE, 2, 5);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a.out_value);
	EXPECT_LE(100 * NSEC_PER_MSEC - EARLY_NS, now_ns() - start);
	EXPECT_EQ(2, portal_vm_info(self->vm).out_calls);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_held);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_limited);
	/* who has a call already is not held again */
	rate.rate = 1;
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_RATE_SET, &rate));
	start = now_ns();
	ASSERT_EQ(0, mock_run(self->vm, &a));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_GT(NSEC_PER_SEC / 2, now_ns() - start);
	EXPECT_EQ(2, queue_ready(&self->q));
}

TEST_F(eagain, answer_in_time_is_given_at_once)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	ASSERT_LT(0, hook(self, 0));
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	for (i = 0; i < 20; i++) {
		struct portal_mock_access a = mock_hc(SERVICE, 100 + i, 0);

		ASSERT_EQ(0, vcpu_start(&v, self->vm, a));
		ASSERT_EQ(0, queue_answer(&self->q, &req, i));
		ASSERT_EQ(0, vcpu_join(&v));
		/* on a busy machine it may have been too late */
		while ((__s64)v.a.out_value == -PORTAL_EAGAIN)
			ASSERT_EQ(0, mock_run(self->vm, &v.a));
		EXPECT_EQ(i, v.a.out_value);
	}
	EXPECT_EQ(20, portal_vm_info(self->vm).out_calls);
}

TEST_F(eagain, ends_by_the_time_out_too)
{
	struct portal_mock_access a = mock_hc(SERVICE, 1, 0);
	__u64 start = now_ns();

	ASSERT_LT(0, hook(self, 0));
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	do {
		ASSERT_EQ(0, mock_run(self->vm, &a));
		ASSERT_GT(PATIENCE_NS, now_ns() - start);
	} while ((__s64)a.out_value == -PORTAL_EAGAIN);
	EXPECT_EQ(-PORTAL_ETIME, (__s64)a.out_value);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_timeouts);
}

/* More than the table holds: the rest comes again, and none is asked twice. */
TEST_F(eagain, too_many_at_once_are_put_off)
{
	struct portal_mock_access a[65];
	struct portal_request req;
	__u32 max = 64;
	int i;

	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, SERVICE, SERVICE,
				   .timeout_ns = 600 * NSEC_PER_SEC)));
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	for (i = 0; i <= max; i++) {
		a[i] = mock_hc(SERVICE, 1 + i, i);
		ASSERT_EQ(0, mock_run(self->vm, &a[i]));
		EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a[i].out_value);
	}
	EXPECT_EQ(max, queue_ready(&self->q));
	EXPECT_EQ(max, portal_vm_info(self->vm).out_calls);
	/* also answers that nobody took yet are kept */
	for (i = 0; i < max; i++)
		ASSERT_EQ(0, queue_answer(&self->q, &req, 1000 + i));
	ASSERT_EQ(0, mock_run(self->vm, &a[max]));
	EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a[max].out_value);
	for (i = 0; i < max; i++) {
		ASSERT_EQ(0, mock_run(self->vm, &a[i]));
		EXPECT_EQ(1000 + i, a[i].out_value);
	}
	ASSERT_EQ(0, mock_run(self->vm, &a[max]));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 7));
	EXPECT_EQ(1 + max, req.call_id);
	ASSERT_EQ(0, mock_run(self->vm, &a[max]));
	EXPECT_EQ(7, a[max].out_value);
	EXPECT_EQ(1 + max, portal_vm_info(self->vm).out_calls);
}

static void nothing(int sig)
{
}

/* Each signal restarts the instruction, as a timer tick in the guest does. */
TEST_F(eagain, restarts_do_not_put_it_off)
{
	struct itimerval it = { { 0, 3000 }, { 0, 3000 } };
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_mock_access a = mock_hc(SERVICE, 1, 0);
	__u64 start;

	ASSERT_LT(0, hook(self, 0));
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	sigaction(SIGALRM, &sa, NULL);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
	start = now_ns();
	ASSERT_EQ(0, mock_run(self->vm, &a));
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
	EXPECT_EQ(-PORTAL_EAGAIN, (__s64)a.out_value);
	EXPECT_GT(NSEC_PER_SEC, now_ns() - start);
	EXPECT_LT(0, portal_vm_info(self->vm).out_restarts);
}

/* Two that must be held to the end: who did not announce it, and RAW hooks. */
TEST_F(eagain, is_not_for_those_who_do_not_know_it)
{
	static const struct {
		__u32 flags, features;
	} cases[] = { { 0, PORTAL_GUEST_F_64BIT },
		      { PORTAL_HOOK_F_RAW, PORTAL_GUEST_F_EAGAIN } };
	struct portal_request req;
	struct vcpu v = { 0 };
	int id, i;
	__u64 start;

	/* a later HELLO is what counts */
	ASSERT_LT(0, hello(self, PORTAL_GUEST_F_EAGAIN));
	for (i = 0; i < 2; i++) {
		id = hook(self, cases[i].flags);
		ASSERT_LT(0, id);
		ASSERT_LT(0, hello(self, cases[i].features));
		ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(SERVICE, 10 + i, 0)));
		ASSERT_TRUE(queue_next(&self->q, &req));
		for (start = now_ns(); now_ns() - start < 100 * NSEC_PER_MSEC;)
			sched_yield();
		EXPECT_FALSE(vcpu_done(&v));
		ASSERT_EQ(0, queue_consume(&self->q));
		ASSERT_EQ(0, queue_reply(&self->q, req.id, 5));
		ASSERT_EQ(0, vcpu_join(&v));
		EXPECT_EQ(5, v.a.out_value);
		ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	}
}

TEST_HARNESS_MAIN
