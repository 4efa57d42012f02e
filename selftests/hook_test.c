// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_test - hypercalls: who gets them, how they are answered
 */
#include "mock_util.h"

#define SERVICE	PORTAL_HC_SERVICE(0)

FIXTURE(hook)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(hook)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
}

FIXTURE_TEARDOWN(hook)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* A RAW hook of MOCK_HC with @... set. */
#define ADD(...) hook_add(self->vm, (struct portal_hook_add)			\
			  HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW, \
			       ##__VA_ARGS__))

TEST_F(hook, unclaimed_numbers_pass)
{
	ASSERT_LT(0, ADD());
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC - 1, 1, 0)));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC + 1, 1, 0)));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(PORTAL_HC_SERVICE(1), 1, 0)));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_hypercalls);
}

TEST_F(hook, call_carries_all_and_returns_the_answer)
{
	int id = ADD(.cookie = 0xfeedfacecafe);
	struct portal_mock_access a = mock_hc(MOCK_HC, 77, 0x1122334455667788);
	struct portal_request req;
	struct vcpu v = { 0 };
	__u64 before = now_ns();

	ASSERT_LT(0, id);
	a.vcpu = 2;
	ASSERT_EQ(0, vcpu_start(&v, self->vm, a));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_FALSE(vcpu_done(&v));
	EXPECT_NE(0, req.id);
	EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
	EXPECT_EQ(2, req.vcpu);
	EXPECT_EQ(id, req.hook_id);
	EXPECT_EQ(self->q.epoch, req.epoch);
	EXPECT_EQ(0xfeedfacecafe, req.cookie);
	EXPECT_EQ(MOCK_HC, req.addr);
	EXPECT_EQ(77, req.call_id);
	EXPECT_LE(before, req.time_ns);
	EXPECT_GE(now_ns(), req.time_ns);
	EXPECT_EQ(0x1122334455667788, req.data[0]);
	EXPECT_EQ(0x112233445566778b, req.data[3]);
	EXPECT_EQ(0, req.state_off | req.state_len);
	EXPECT_EQ(0, queue_reply(&self->q, req.id, 0x8877665544332211));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(PORTAL_MOCK_DONE, v.a.out_result);
	EXPECT_EQ(0x8877665544332211, v.a.out_value);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
}

TEST_F(hook, reply_can_be_an_error_or_pass)
{
	struct portal_reply reply = { .action = PORTAL_ACTION_ERROR, .error = PORTAL_ENOENT };
	struct portal_request req;
	struct vcpu v = { 0 };

	ASSERT_LT(0, ADD());
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	reply.id = req.id;
	EXPECT_EQ(0, queue_commit(&self->q, &reply, 1));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(-PORTAL_ENOENT, (__s64)v.a.out_value);

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 2, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	reply = (struct portal_reply){ .id = req.id, .action = PORTAL_ACTION_ERROR };
	EXPECT_EQ(0, queue_commit(&self->q, &reply, 1));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(-PORTAL_EIO, (__s64)v.a.out_value);

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	reply = (struct portal_reply){ .id = req.id, .action = PORTAL_ACTION_PASS };
	EXPECT_EQ(0, queue_commit(&self->q, &reply, 1));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(PORTAL_MOCK_PASSED, v.a.out_result);
}

TEST_F(hook, posted_is_answered_at_once)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 5, 42);
	struct portal_request req;

	ASSERT_LT(0, ADD(.flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED));
	a.out_value = 99;
	/* nobody else is there to answer */
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
	EXPECT_EQ(0, a.out_value);
	EXPECT_EQ(0, a.out_restarts);
	ASSERT_EQ(1, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0, req.flags);
	EXPECT_EQ(42, req.data[0]);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_posted);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_calls);
	/* it is no call: a reply finds nothing */
	EXPECT_EQ(0, queue_reply(&self->q, req.id, 0));
	EXPECT_EQ(1, queue_info(&self->q).out_stale);
}

TEST_F(hook, ranges_may_touch_but_not_overlap)
{
	struct portal_hook_add h = HOOK(self->q.id, 2000, 2009, .flags = PORTAL_HOOK_F_RAW);
	int other, id = hook_add(self->vm, h);

#define HOOK_AT(_first, _last) ({ h.first = _first; h.last = _last; hook_add(self->vm, h); })
	ASSERT_LT(0, id);
	EXPECT_ERRNO(EEXIST, HOOK_AT(2000, 2009));
	EXPECT_ERRNO(EEXIST, HOOK_AT(2009, 2020));
	EXPECT_ERRNO(EEXIST, HOOK_AT(1990, 2000));
	EXPECT_ERRNO(EEXIST, HOOK_AT(2003, 2004));
	EXPECT_ERRNO(EEXIST, HOOK_AT(1999, 2010));
	other = HOOK_AT(2010, 2010);
	EXPECT_LT(0, other);
	EXPECT_LT(0, HOOK_AT(1999, 1999));
	EXPECT_EQ(3, portal_vm_info(self->vm).out_hooks);
	EXPECT_NE(id, other);
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	EXPECT_LT(0, HOOK_AT(2003, 2004));
#undef HOOK_AT
}

TEST_F(hook, nothing_is_served_before_hello)
{
	struct portal_mock_access bad = mock_hc(PORTAL_HC_HELLO, 1, PORTAL_HELLO_MAGIC0);
	struct portal_hook_add h = HOOK(self->q.id, SERVICE, SERVICE,
					.flags = PORTAL_HOOK_F_POSTED);
	__s64 hello;

	ASSERT_LT(0, hook_add(self->vm, h));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(SERVICE, 1, 0)));
	/* the second magic is wrong */
	EXPECT_TRUE(mock_passed(self->vm, bad));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(SERVICE, 1, 0)));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_hellos);

	hello = mock_hello(self->vm);
	ASSERT_LT(0, hello);
	EXPECT_EQ(PORTAL_GUEST_VERSION, PORTAL_HELLO_VERSION(hello));
	EXPECT_NE(0, PORTAL_HELLO_FEATURES(hello) & PORTAL_GUEST_F_64BIT);
	EXPECT_EQ(0, PORTAL_HELLO_FEATURES(hello) & PORTAL_GUEST_F_BUS);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_hellos);
	EXPECT_FALSE(mock_passed(self->vm, mock_hc(SERVICE, 1, 0)));
	EXPECT_EQ(1, queue_ready(&self->q));
}

TEST_F(hook, hello_tells_that_somebody_serves_the_bus)
{
	struct portal_hook_add h = HOOK(self->q.id, PORTAL_HC_BUS, PORTAL_HC_BUS_LAST);

	ASSERT_LT(0, hook_add(self->vm, h));
	EXPECT_NE(0, PORTAL_HELLO_FEATURES(mock_hello(self->vm)) & PORTAL_GUEST_F_BUS);
}

TEST_F(hook, hello_comes_as_lifecycle_event)
{
	struct portal_request req;
	struct queue life;

	ASSERT_EQ(0, queue_create(self->vm, &life, (struct portal_queue_create)
				  QUEUE(8, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
	ASSERT_LT(0, mock_hello(self->vm));
	do {
		ASSERT_TRUE(queue_next(&life, &req));
		EXPECT_EQ(PORTAL_KIND_LIFECYCLE, req.kind);
	} while (req.addr == PORTAL_LIFE_VCPU || req.addr == PORTAL_LIFE_ATTACHED);
	EXPECT_EQ(PORTAL_LIFE_HELLO, req.addr);
	EXPECT_EQ(PORTAL_GUEST_VERSION, req.data[0]);
	EXPECT_EQ(1, req.data[2]);
	EXPECT_EQ(0, queue_ready(&self->q));
	queue_close(&life);
}

TEST_F(hook, hello_ends_open_calls)
{
	struct portal_request req;
	struct vcpu v = { .once = true };

	ASSERT_LT(0, ADD());
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_LT(0, mock_hello(self->vm));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(-PORTAL_ECANCELED, (__s64)v.a.out_value);
	EXPECT_EQ(0, queue_reply(&self->q, req.id, 1));
	EXPECT_EQ(1, queue_info(&self->q).out_stale);
}

TEST_F(hook, user_mode_is_refused_unless_asked_for)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	struct portal_request req;
	int id = ADD(.flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED);

	ASSERT_LT(0, id);
	a.cpl = 3;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
	EXPECT_EQ(-PORTAL_EPERM, (__s64)a.out_value);
	EXPECT_EQ(0, queue_ready(&self->q));

	ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	ASSERT_LT(0, ADD(.flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED |
			 PORTAL_HOOK_F_USER));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0, a.out_value);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_REQ_F_USER, req.flags);

	/* the handshake is the kernel's */
	a = mock_hc(PORTAL_HC_HELLO, 1, PORTAL_HELLO_MAGIC0);
	a.data[1] = PORTAL_HELLO_MAGIC1;
	a.data[2] = PORTAL_GUEST_VERSION;
	a.cpl = 3;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EPERM, (__s64)a.out_value);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_hellos);
}

TEST_F(hook, timeout_does_what_its_action_says)
{
	static const struct {
		__u32 action;
		__u32 result;
		__s64 value;
	} cases[] = {
		{ PORTAL_ACTION_ERROR, PORTAL_MOCK_DONE, -PORTAL_ETIME },
		{ PORTAL_ACTION_VALUE, PORTAL_MOCK_DONE, 0x1234 },
		{ PORTAL_ACTION_PASS, PORTAL_MOCK_PASSED, 0 },
	};
	struct portal_request req;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct portal_mock_access a = mock_hc(MOCK_HC, i + 1, 0);
		__u64 start;
		int id = ADD(.timeout_ns = 50 * NSEC_PER_MSEC, .timeout_value = 0x1234,
			     .on_timeout = cases[i].action);

		ASSERT_LT(0, id);
		start = now_ns();
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_LE(start + 50 * NSEC_PER_MSEC - EARLY_NS, now_ns());
		EXPECT_GT(start + 2000 * NSEC_PER_MSEC, now_ns());
		EXPECT_EQ(cases[i].result, a.out_result);
		if (a.out_result == PORTAL_MOCK_DONE)
			EXPECT_EQ(cases[i].value, (__s64)a.out_value);
		EXPECT_EQ(i + 1, portal_vm_info(self->vm).out_timeouts);
		/* too late */
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(0, queue_reply(&self->q, req.id, 1));
		EXPECT_EQ(i + 1, queue_info(&self->q).out_stale);
		ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	}
	EXPECT_EQ(0, queue_info(&self->q).out_replies);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(hook, restarted_call_is_asked_once)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_LT(0, ADD());
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 9, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	/* again and again: one that comes between two ioctls is lost */
	for (i = 1; i <= 5; i++)
		ASSERT_TRUE(WAIT_UNTIL(!pthread_kill(v.thread, SIGUSR1) &&
				       __atomic_load_n(&v.eintr, __ATOMIC_ACQUIRE) >= i));
	EXPECT_FALSE(vcpu_done(&v));
	EXPECT_EQ(0, queue_ready(&self->q));
	ASSERT_EQ(0, queue_reply(&self->q, req.id, 6));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(6, v.a.out_value);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
	EXPECT_LE(5, portal_vm_info(self->vm).out_restarts);
}

TEST_F(hook, answer_waits_for_its_instruction_on_another_vcpu)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_mock_access a = mock_hc(MOCK_HC, 11, 5);
	struct vcpu v = { .once = true };
	struct portal_request req;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_LT(0, ADD());
	ASSERT_EQ(0, vcpu_start(&v, self->vm, a));
	ASSERT_TRUE(queue_next(&self->q, &req));
	pthread_kill(v.thread, SIGUSR1);
	ASSERT_EQ(-EINTR, vcpu_join(&v));
	/* answered while nobody waits; the guest's thread has moved to vCPU 3 */
	ASSERT_EQ(0, queue_reply(&self->q, req.id, 0xabc));
	a.vcpu = 3;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0xabc, a.out_value);
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
}

TEST_F(hook, another_id_is_another_call)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_request first, second;
	struct vcpu v = { .once = true };

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_LT(0, ADD());
	/* an interrupt handler calls while the interrupted code has a call open */
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 5)));
	ASSERT_TRUE(queue_next(&self->q, &first));
	pthread_kill(v.thread, SIGUSR1);
	ASSERT_EQ(-EINTR, vcpu_join(&v));
	v.once = false;
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 2, 5)));
	ASSERT_EQ(0, queue_answer(&self->q, &second, 22));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(22, v.a.out_value);
	EXPECT_LT(first.id, second.id);
	ASSERT_EQ(0, queue_reply(&self->q, first.id, 11));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 5)));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(11, v.a.out_value);
}

/* asleep: the thread of @v is in its wait. */
static bool asleep(const struct vcpu *v)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		 __atomic_load_n(&v->started, __ATOMIC_ACQUIRE));
	file = fopen(path, "r");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == 'S';
}

TEST_F(hook, one_id_on_two_vcpus_wakes_both)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 5, 1);
	struct portal_request req;
	struct vcpu v[2] = { };
	int i;

	ASSERT_LT(0, ADD(.timeout_ns = 600 * NSEC_PER_SEC));
	for (i = 0; i < 2; i++) {
		a.vcpu = i;
		ASSERT_EQ(0, vcpu_start(&v[i], self->vm, a));
		ASSERT_TRUE(WAIT_UNTIL(v[i].started && asleep(&v[i])));
	}
	/* both take the answer, or one is late and makes its call anew */
	ASSERT_EQ(0, queue_answer(&self->q, &req, 7));
	ASSERT_TRUE(WAIT_UNTIL((vcpu_done(&v[0]) && vcpu_done(&v[1])) || queue_ready(&self->q)));
	if (queue_ready(&self->q))
		ASSERT_EQ(0, queue_answer(&self->q, &req, 7));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vcpu_join(&v[i]));
		EXPECT_EQ(7, v[i].a.out_value);
	}
}

TEST_F(hook, forgotten_calls_are_bounded)
{
	struct portal_info info = { .size = sizeof(info) };
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_mock_access a;
	struct portal_request req;
	__u64 ids[2] = { 0 };
	unsigned int i;
	struct vcpu v;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
	ASSERT_EQ(64, info.out_max_calls);
	ASSERT_LT(0, ADD(.timeout_ns = 600 * NSEC_PER_SEC));
	/* a guest that gives up each call after a moment, one more than allowed */
	for (i = 0; i <= info.out_max_calls; i++) {
		v = (struct vcpu){ .once = true };
		ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 100 + i, 0)));
		ASSERT_TRUE(queue_next(&self->q, &req));
		ASSERT_EQ(0, queue_consume(&self->q));
		if (i < 2)
			ids[i] = req.id;
		pthread_kill(v.thread, SIGUSR1);
		ASSERT_EQ(-EINTR, vcpu_join(&v));
	}
	/* the oldest is gone, the next one is still there */
	EXPECT_EQ(0, queue_reply(&self->q, ids[0], 1));
	EXPECT_EQ(1, queue_info(&self->q).out_stale);
	EXPECT_EQ(0, queue_reply(&self->q, ids[1], 7));
	EXPECT_EQ(1, queue_info(&self->q).out_stale);
	a = mock_hc(MOCK_HC, 101, 0);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(7, a.out_value);
}

TEST_F(hook, deleting_a_hook_ends_its_calls)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	int id = ADD();

	ASSERT_LT(0, id);
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	/* a queue does not go before what it serves */
	EXPECT_ERRNO(EBUSY, portal_id(self->vm, PORTAL_QUEUE_DEL, self->q.id));
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(PORTAL_MOCK_DONE, v.a.out_result);
	EXPECT_EQ(-PORTAL_ENODEV, (__s64)v.a.out_value);
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC, 2, 0)));
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_QUEUE_DEL, self->q.id));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_queues);
}

TEST_HARNESS_MAIN
