// SPDX-License-Identifier: GPL-2.0-only
/*
 * policy_test - too many requests: merged, held, refused; and sets of queues
 */
#include "mock_util.h"

#define LEN	0x100
#define ENTRIES	8

FIXTURE(policy)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(policy)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q,
				  (struct portal_queue_create)QUEUE(ENTRIES)));
}

FIXTURE_TEARDOWN(policy)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

static int merging_region(FIXTURE_DATA(policy) *self)
{
	return region_add(self->vm, (struct portal_region_add)
			  REGION(self->q.id, MOCK_MMIO, LEN, NULL, 0,
				 .policy = PORTAL_POLICY_COALESCE));
}

static int put(FIXTURE_DATA(policy) *self, __u32 offset, __u64 value)
{
	return mock_run_write(self->vm, MOCK_MMIO + offset, 4, value);
}

static struct portal_target_info info(int vm, unsigned long cmd, __u32 id)
{
	struct portal_target_info i = { .size = sizeof(i), .id = id };

	if (portal_ioctl(vm, cmd, &i))
		i.id = 0;
	return i;
}

/* ---- COALESCE ----------------------------------------------------------- */

TEST_F(policy, equal_ones_are_told_as_one_with_their_number)
{
	struct portal_target_info i;
	struct portal_request req;
	int id = merging_region(self), n;

	ASSERT_LT(0, id);
	for (n = 0; n < 10; n++)
		ASSERT_EQ(0, put(self, 0x10, n));
	/* the first may be read at any moment, so the others are kept */
	ASSERT_EQ(1, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0, req.data[0]);
	EXPECT_EQ(0, req.flags & PORTAL_REQ_F_MERGED);
	EXPECT_EQ(0, req.count);
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(1, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(9, req.data[0]);
	EXPECT_EQ(0x10, req.addr);
	EXPECT_EQ(id, req.hook_id);
	EXPECT_EQ(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_MERGED, req.flags);
	EXPECT_EQ(9, req.count);
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
	/* and from the beginning */
	ASSERT_EQ(0, put(self, 0x10, 10));
	EXPECT_EQ(1, queue_ready(&self->q));
	i = info(self->vm, PORTAL_REGION_INFO, id);
	EXPECT_EQ(11, i.out_hits);
	EXPECT_EQ(11, i.out_posted);
	EXPECT_EQ(8, i.out_merged);
	EXPECT_EQ(0, i.out_dropped);
	EXPECT_EQ(8, portal_vm_info(self->vm).out_merged);
}

TEST_F(policy, different_ones_are_not_merged)
{
	struct portal_request req;
	int n;

	ASSERT_LT(0, merging_region(self));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC + 1, .policy = PORTAL_POLICY_COALESCE,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	for (n = 0; n < 2; n++) {
		struct portal_mock_access a = mock_hc(MOCK_HC + n, 1, n), b = a;

		ASSERT_EQ(0, put(self, 0x10 + 4 * n, n));
		ASSERT_EQ(0, mock_run(self->vm, &a));
		ASSERT_EQ(0, mock_run(self->vm, &b));
		EXPECT_EQ(0, b.out_value);
	}
	ASSERT_EQ(4, queue_ready(&self->q));
	for (n = 0; n < 4; n++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	/* one more of each number, in their order */
	ASSERT_EQ(2, queue_ready(&self->q));
	for (n = 0; n < 2; n++) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
		EXPECT_EQ(MOCK_HC + n, req.addr);
		EXPECT_EQ(0, req.count);
	}
}

TEST_F(policy, full_ring_loses_nothing_that_can_be_merged)
{
	struct portal_request req;
	__u64 sum = 0, last[16] = { 0 };
	int n, round;

	ASSERT_LT(0, merging_region(self));
	/* twice as many registers as entries, each written five times */
	for (round = 1; round <= 5; round++)
		for (n = 0; n < 2 * ENTRIES; n++)
			ASSERT_EQ(0, put(self, 4 * n, round));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	while (queue_ready(&self->q)) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		sum += req.flags & PORTAL_REQ_F_MERGED ? req.count : 1;
		last[req.addr / 4] = req.data[0];
		ASSERT_EQ(0, queue_consume(&self->q));
	}
	EXPECT_EQ(5 * 2 * ENTRIES, sum);
	for (n = 0; n < 2 * ENTRIES; n++)
		EXPECT_EQ(5, last[n]);
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
}

TEST_F(policy, more_registers_than_slots_drop_and_count)
{
	struct portal_target_info i;
	int id = merging_region(self), n;

	ASSERT_LT(0, id);
	/* 8 in the ring, and of those and 24 more one each can wait */
	for (n = 0; n < 64; n++)
		ASSERT_EQ(0, put(self, 4 * n, n));
	i = info(self->vm, PORTAL_REGION_INFO, id);
	EXPECT_EQ(32, i.out_posted);
	EXPECT_EQ(32, i.out_dropped);
	EXPECT_EQ(32, queue_info(&self->q).out_dropped);
	/* what waits when its region goes is counted too */
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, id));
	EXPECT_EQ(56, queue_info(&self->q).out_dropped);
	EXPECT_EQ(0, queue_commit(&self->q, NULL, 0));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
}

TEST_F(policy, registers_that_wait_are_not_merged)
{
	struct portal_region_range range = RANGE(0, 4, FENCED);

	EXPECT_ERRNO(EINVAL, region_add(self->vm, (struct portal_region_add)
					REGION(self->q.id, MOCK_MMIO, LEN, &range, 1,
					       .policy = PORTAL_POLICY_COALESCE)));
}

TEST_F(policy, doorbells_are_merged_too_but_not_counted_ones)
{
	struct portal_region_range ranges[] = {
		RANGE(0, 4, DOORBELL),
		RANGE(8, 4, DOORBELL, .aux = LEN, .flags = PORTAL_RANGE_F_COUNT),
	};
	struct portal_request req;
	int n, id = region_add(self->vm, (struct portal_region_add)
			       REGION(self->q.id, MOCK_MMIO, LEN, ranges, 2,
				      .policy = PORTAL_POLICY_COALESCE));

	ASSERT_LT(0, id);
	for (n = 0; n < 6; n++)
		ASSERT_EQ(0, put(self, 0, n));
	for (n = 0; n < 6; n++)
		ASSERT_EQ(0, put(self, 8, n));
	ASSERT_EQ(2, queue_ready(&self->q));
	for (n = 0; n < 2; n++) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(8 * n, req.addr);
		EXPECT_EQ(n ? PORTAL_REQ_F_COUNTED : 0,
			  req.flags & (PORTAL_REQ_F_COUNTED | PORTAL_REQ_F_MERGED));
	}
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(1, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(5, req.count);
	EXPECT_EQ(5, req.data[0]);
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(4, info(self->vm, PORTAL_REGION_INFO, id).out_merged);
	EXPECT_EQ(7, info(self->vm, PORTAL_REGION_INFO, id).out_posted);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_dropped);
}

/* ---- rates -------------------------------------------------------------- */

static int rate(int vm, __u32 flags, __u64 rate, __u32 burst)
{
	struct portal_rate_set r = { .size = sizeof(r), .flags = flags, .rate = rate,
				     .burst = burst };

	return portal_ioctl(vm, PORTAL_RATE_SET, &r);
}

TEST_F(policy, rate_drops_and_counts)
{
	struct portal_target_info i;
	int n, id = region_add(self->vm, (struct portal_region_add)
			       REGION(self->q.id, MOCK_MMIO, LEN, NULL, 0,
				      .policy = PORTAL_POLICY_DROP));

	ASSERT_LT(0, id);
	/* one a second, five at once */
	ASSERT_EQ(0, rate(self->vm, 0, 1, 5));
	for (n = 0; n < 3; n++)
		ASSERT_EQ(0, put(self, 0, n));
	EXPECT_EQ(3, queue_ready(&self->q));
	for (n = 0; n < 20; n++)
		ASSERT_EQ(0, put(self, 0, n));
	i = info(self->vm, PORTAL_REGION_INFO, id);
	EXPECT_EQ(23, i.out_hits);
	EXPECT_LE(5, i.out_posted);
	EXPECT_LE(1, i.out_limited);
	EXPECT_EQ(23, i.out_posted + i.out_dropped);
	EXPECT_EQ(i.out_limited, i.out_dropped);
	EXPECT_EQ(i.out_limited, portal_vm_info(self->vm).out_limited);
	EXPECT_EQ(0, i.out_held);
	/* without a limit again */
	ASSERT_EQ(0, rate(self->vm, 0, 0, 0));
	ASSERT_EQ(0, put(self, 0, n));
	EXPECT_EQ(i.out_posted + 1, info(self->vm, PORTAL_REGION_INFO, id).out_posted);
}

TEST_F(policy, rate_holds_by_the_clock)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	struct portal_request req;
	struct queue q;
	int n, region;
	__u64 start;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(64)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(q.id, MOCK_HC, MOCK_HC,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	region = region_add(self->vm, (struct portal_region_add)
			    REGION(q.id, MOCK_MMIO, LEN, NULL, 0));
	ASSERT_LT(0, region);
	ASSERT_EQ(0, rate(self->vm, 0, 50, 2));
	start = now_ns();
	for (n = 0; n < 6; n++) {
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_EQ(0, a.out_value);
		ASSERT_EQ(0, put(self, 0, n));
	}
	/* 12, of which 2 at once, 20 ms each */
	EXPECT_LE(start + 200 * NSEC_PER_MSEC - EARLY_NS, now_ns());
	EXPECT_GT(start + 3000 * NSEC_PER_MSEC, now_ns());
	EXPECT_EQ(12, queue_ready(&q));
	for (n = 0; n < 12; n++) {
		ASSERT_TRUE(queue_next(&q, &req));
		EXPECT_EQ(n & 1 ? PORTAL_KIND_MMIO : PORTAL_KIND_HYPERCALL, req.kind);
	}
	EXPECT_LE(8, portal_vm_info(self->vm).out_held);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_limited);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_dropped);
	EXPECT_LE(4, info(self->vm, PORTAL_REGION_INFO, region).out_held);
	queue_close(&q);
}

TEST_F(policy, rate_holds_doorbells_but_not_with_drop)
{
	struct portal_region_range range = RANGE(0, 4, DOORBELL);
	struct portal_region_add arg = REGION(self->q.id, MOCK_MMIO, LEN, &range, 1);
	int id = region_add(self->vm, arg), n;
	struct portal_target_info i;
	__u64 start;

	ASSERT_LT(0, id);
	ASSERT_EQ(0, rate(self->vm, 0, 20, 1));
	start = now_ns();
	for (n = 0; n < 3; n++)
		ASSERT_EQ(0, put(self, 0, n));
	EXPECT_LE(start + 100 * NSEC_PER_MSEC - EARLY_NS, now_ns());
	EXPECT_EQ(3, queue_ready(&self->q));
	i = info(self->vm, PORTAL_REGION_INFO, id);
	EXPECT_LE(1, i.out_held);
	EXPECT_EQ(0, i.out_limited + i.out_dropped);
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, id));

	arg.policy = PORTAL_POLICY_DROP;
	id = region_add(self->vm, arg);
	ASSERT_LT(0, id);
	ASSERT_EQ(0, rate(self->vm, 0, 1, 1));
	for (n = 0; n < 10; n++)
		ASSERT_EQ(0, put(self, 0, n));
	i = info(self->vm, PORTAL_REGION_INFO, id);
	EXPECT_EQ(0, i.out_held);
	EXPECT_LE(1, i.out_limited);
	EXPECT_EQ(i.out_limited, i.out_dropped);
	EXPECT_EQ(10, i.out_posted + i.out_dropped);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(policy, signals_reach_a_call_that_is_held)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,
				   .timeout_ns = 600 * NSEC_PER_SEC)));
	ASSERT_EQ(0, rate(self->vm, 0, 1, 1));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 1));
	ASSERT_EQ(0, vcpu_join(&v));
	ASSERT_EQ(0, rate(self->vm, 0, 1, 1));	/* one more at once */
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 2, 0)));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 1));
	ASSERT_EQ(0, vcpu_join(&v));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 0)));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(self->vm).out_held));
	for (i = 1; i <= 3; i++) {
		pthread_kill(v.thread, SIGUSR1);
		ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&v.eintr, __ATOMIC_ACQUIRE) >= i ||
				       queue_ready(&self->q)));
	}
	ASSERT_EQ(0, queue_answer(&self->q, &req, 33));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(33, v.a.out_value);
	EXPECT_EQ(3, portal_vm_info(self->vm).out_calls);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_held);
	EXPECT_LT(0, v.eintr);
}

TEST_F(policy, who_is_held_too_long_gets_the_time_outs_action)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	struct portal_target_info i;
	int hook = hook_add(self->vm, (struct portal_hook_add)
			    HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,
				 .timeout_ns = 50 * NSEC_PER_MSEC,
				 .on_timeout = PORTAL_ACTION_VALUE, .timeout_value = 0x77));
	int region = region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, LEN, NULL, 0,
				       .timeout_ns = 50 * NSEC_PER_MSEC));
	__u64 start;

	ASSERT_LT(0, hook);
	ASSERT_LT(0, region);
	/* the only token of this second */
	ASSERT_EQ(0, rate(self->vm, 0, 1, 1));
	ASSERT_EQ(0, put(self, 0, 1));
	start = now_ns();
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0x77, a.out_value);
	EXPECT_LE(start + 50 * NSEC_PER_MSEC - EARLY_NS, now_ns());
	ASSERT_EQ(0, put(self, 0, 2));
	EXPECT_EQ(1, queue_ready(&self->q));
	i = info(self->vm, PORTAL_HOOK_INFO, hook);
	EXPECT_EQ(1, i.out_held);
	EXPECT_EQ(1, i.out_limited);
	EXPECT_EQ(1, i.out_timeouts);
	EXPECT_EQ(0, i.out_calls);
	i = info(self->vm, PORTAL_REGION_INFO, region);
	EXPECT_EQ(1, i.out_held);
	EXPECT_EQ(1, i.out_limited);
	EXPECT_EQ(1, i.out_dropped);
	EXPECT_EQ(1, i.out_posted);
}

TEST_F(policy, who_is_held_goes_when_the_limit_goes_or_the_hook)
{
	struct portal_request req;
	struct vcpu v[2] = { { 0 } };
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	int id = hook_add(self->vm, (struct portal_hook_add)
			  HOOK(self->q.id, MOCK_HC, MOCK_HC, .timeout_ns = 600 * NSEC_PER_SEC,
			       .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED));
	int region = region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, LEN, NULL, 0,
				       .timeout_ns = 600 * NSEC_PER_SEC));

	ASSERT_LT(0, id);
	ASSERT_EQ(0, rate(self->vm, PORTAL_RATE_F_VM, 1, 1));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	/* the next token comes in a second */
	ASSERT_EQ(0, vcpu_start(&v[0], self->vm, a));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(self->vm).out_held == 1));
	ASSERT_EQ(0, rate(self->vm, PORTAL_RATE_F_VM, 0, 0));
	ASSERT_EQ(0, vcpu_join(&v[0]));
	EXPECT_EQ(0, v[0].a.out_value);
	ASSERT_EQ(2, queue_ready(&self->q));

	ASSERT_EQ(0, rate(self->vm, PORTAL_RATE_F_VM, 1, 1));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	ASSERT_EQ(0, vcpu_start(&v[0], self->vm, a));
	a = mock_write(MOCK_MMIO, 4, 1);
	a.vcpu = 1;
	ASSERT_EQ(0, vcpu_start(&v[1], self->vm, a));
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, region));
	ASSERT_EQ(0, vcpu_join(&v[0]));
	ASSERT_EQ(0, vcpu_join(&v[1]));
	ASSERT_TRUE(queue_next(&self->q, &req));
}

TEST_F(policy, rate_of_a_client_is_its_own_and_of_the_vm_all)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	int less = portal_vm_dup(self->vm, PORTAL_RIGHT_ALL & ~PORTAL_RIGHT_PAUSE);
	int only = portal_vm_dup(self->vm, PORTAL_RIGHT_PAUSE);

	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .policy = PORTAL_POLICY_DROP,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	EXPECT_ERRNO(EPERM, rate(less, PORTAL_RATE_F_VM, 1, 1));
	EXPECT_ERRNO(EPERM, rate(only, 0, 1, 1));
	/* the VM's is the narrower one; then the client's */
	ASSERT_EQ(0, rate(only, PORTAL_RATE_F_VM, 1, 1));
	ASSERT_EQ(0, rate(less, 0, 1000000000, 1000));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0, a.out_value);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EBUSY, (__s64)a.out_value);
	ASSERT_EQ(0, rate(only, PORTAL_RATE_F_VM, 1000000000, 1000));
	ASSERT_EQ(0, rate(less, 0, 1, 1));
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0, a.out_value);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_EBUSY, (__s64)a.out_value);
	EXPECT_EQ(2, portal_vm_info(self->vm).out_limited);

	EXPECT_ERRNO(EINVAL, rate(self->vm, 0, 1, 0));
	EXPECT_ERRNO(EINVAL, rate(self->vm, 0, 0, 1));
	EXPECT_ERRNO(EINVAL, rate(self->vm, 0, 1000000001, 1));
	EXPECT_ERRNO(EINVAL, rate(self->vm, 0, 1, (1 << 20) + 1));
	EXPECT_ERRNO(EOPNOTSUPP, rate(self->vm, 2, 1, 1));
	close(less);
	close(only);
}

/* ---- sets of queues ----------------------------------------------------- */

TEST_F(policy, set_of_queues_is_chosen_by_vcpu_and_keeps_its_order)
{
	struct portal_mock_access a;
	struct portal_request req;
	struct queue q[3];
	__u32 ids[3];
	int n, c;

	for (n = 0; n < 3; n++) {
		ASSERT_EQ(0, queue_create(self->vm, &q[n], (struct portal_queue_create)QUEUE(64)));
		ids[n] = q[n].id;
	}
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(0, MOCK_HC, MOCK_HC, .queues_uptr = (uintptr_t)ids,
				   .nr_queues = 3,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(0, MOCK_MMIO, LEN, NULL, 0, .nr_queues = 3,
				       .queues_uptr = (uintptr_t)ids)));
	for (n = 0; n < 10; n++)
		for (c = 0; c < MOCK_VCPUS; c++) {
			a = mock_hc(MOCK_HC, 1, n);
			a.vcpu = c;
			ASSERT_EQ(0, mock_run(self->vm, &a));
			a = mock_write(MOCK_MMIO, 4, n);
			a.vcpu = c;
			ASSERT_EQ(0, mock_run(self->vm, &a));
		}
	/* vCPUs 0 and 3 share the first */
	EXPECT_EQ(40, queue_ready(&q[0]));
	EXPECT_EQ(20, queue_ready(&q[1]));
	EXPECT_EQ(20, queue_ready(&q[2]));
	for (c = 0; c < 3; c++) {
		__u64 next[MOCK_VCPUS] = { 0 };

		while (queue_ready(&q[c])) {
			ASSERT_TRUE(queue_next(&q[c], &req));
			EXPECT_EQ(c, req.vcpu % 3);
			EXPECT_EQ(next[req.vcpu] & 1 ? PORTAL_KIND_MMIO : PORTAL_KIND_HYPERCALL,
				  req.kind);
			EXPECT_EQ(next[req.vcpu]++ / 2, req.data[0]);
		}
	}
	EXPECT_ERRNO(EBUSY, portal_id(self->vm, PORTAL_QUEUE_DEL, q[2].id));
	for (n = 0; n < 3; n++)
		queue_close(&q[n]);
}

TEST_F(policy, fenced_read_waits_for_each_queue_of_the_set)
{
	struct portal_region_range ranges[] = { RANGE(0, 4, FENCED), RANGE(4, 4, SYNC) };
	struct portal_mock_access a = mock_write(MOCK_MMIO + 8, 4, 1);
	struct portal_request req;
	struct vcpu v = { 0 };
	struct queue other;
	__u32 ids[2];

	ASSERT_EQ(0, queue_create(self->vm, &other, (struct portal_queue_create)QUEUE(8)));
	ids[0] = self->q.id;
	ids[1] = other.id;
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(0, MOCK_MMIO, LEN, ranges, 2, .nr_queues = 2,
				       .queues_uptr = (uintptr_t)ids)));
	a.vcpu = 1;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	a.vcpu = 2;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	/* vCPU 0 reads; vCPU 1 has written to the other queue */
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_read(MOCK_MMIO, 4)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&other, PORTAL_RING_F_NEED_COMMIT)));
	EXPECT_FALSE(vcpu_done(&v));
	ASSERT_TRUE(queue_next(&other, &req));
	ASSERT_EQ(0, queue_consume(&other));
	ASSERT_EQ(0, vcpu_join(&v));
	/* a SYNC write waits for its own */
	a = mock_write(MOCK_MMIO + 4, 4, 2);
	a.vcpu = 3;
	ASSERT_EQ(0, vcpu_start(&v, self->vm, a));
	ASSERT_TRUE(queue_next(&other, &req));
	EXPECT_FALSE(vcpu_done(&v));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&other, PORTAL_RING_F_NEED_COMMIT)));
	ASSERT_EQ(0, queue_consume(&other));
	ASSERT_EQ(0, vcpu_join(&v));
	queue_close(&other);
}

TEST_F(policy, bad_sets_are_refused)
{
	__u32 ids[65] = { self->q.id, 9999 };

#define SET(_queue, _ids, _nr) hook_add(self->vm, (struct portal_hook_add)	\
	HOOK(_queue, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,		\
	     .queues_uptr = (uintptr_t)(_ids), .nr_queues = (_nr)))
	EXPECT_ERRNO(ENOENT, SET(0, ids, 2));
	EXPECT_ERRNO(ENOSPC, SET(0, ids, 65));
	EXPECT_ERRNO(EINVAL, SET(self->q.id, ids, 1));
	EXPECT_ERRNO(EINVAL, SET(self->q.id, ids, 0));
	EXPECT_ERRNO(EFAULT, SET(0, (void *)8, 1));
	EXPECT_LT(0, SET(0, ids, 1));
#undef SET
}

TEST_HARNESS_MAIN
