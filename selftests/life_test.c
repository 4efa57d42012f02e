// SPDX-License-Identifier: GPL-2.0-only
/*
 * life_test - what becomes of a VM is told, each event apart, and none is lost
 */
#include "mock_util.h"

FIXTURE(life)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(life)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)
				  QUEUE(4, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
}

FIXTURE_TEARDOWN(life)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* The next event is @event, with this data; it is consumed. */
static bool is_next(struct queue *q, __u64 event, __u64 d0, __u64 d1, __u64 d2)
{
	struct portal_request req;

	if (!queue_next(q, &req) || queue_consume(q) == -EINVAL)
		return false;
	if (req.kind == PORTAL_KIND_LIFECYCLE && req.addr == event && req.data[0] == d0 &&
	    req.data[1] == d1 && req.data[2] == d2 && !req.hook_id && !req.data[3])
		return true;
	fprintf(stderr, "# kind %u event %llu data %llu %llu %llu\n", req.kind, req.addr,
		req.data[0], req.data[1], req.data[2]);
	return false;
}

TEST_F(life, each_event_is_told_apart_and_once)
{
	struct queue late;

	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_ATTACHED, MOCK_VCPUS, 0, 0));
	/* mock_hello() is on the last vCPU, and that is its first request */
	ASSERT_LT(0, mock_hello(self->vm));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, MOCK_VCPUS - 1, 0, 0));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_HELLO, PORTAL_GUEST_VERSION, 0, 1));
	/* the guest was reset */
	ASSERT_LT(0, mock_hello(self->vm));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_HELLO, PORTAL_GUEST_VERSION, 0, 2));
	/* vCPUs are added, and never make a request */
	ASSERT_EQ(0, mock_set(self->vm, 0, MOCK_VCPUS + 2));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, MOCK_VCPUS, 0, 0));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, MOCK_VCPUS + 1, 0, 0));
	ASSERT_EQ(0, queue_create(self->vm, &late, (struct portal_queue_create)
				  QUEUE(4, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
	EXPECT_TRUE(is_next(&late, PORTAL_LIFE_ATTACHED, MOCK_VCPUS + 2, 2, 0));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_STALE));

	/* the VMM closes the VM and lives on: it is us */
	ASSERT_EQ(0, mock_set(self->vm, PORTAL_MOCK_SET_F_CLOSE, 0));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VM_GONE, PORTAL_GONE_CLOSED, 0, 0));
	EXPECT_TRUE(is_next(&late, PORTAL_LIFE_VM_GONE, PORTAL_GONE_CLOSED, 0, 0));
	EXPECT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_STALE)));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(PORTAL_VM_GONE, portal_vm_info(self->vm).out_state);
	queue_close(&late);
}

TEST_F(life, a_queue_that_did_not_ask_is_told_nothing)
{
	struct queue q;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(4)));
	ASSERT_LT(0, mock_hello(self->vm));
	EXPECT_EQ(0, queue_ready(&q));
	queue_close(&q);
}

TEST_F(life, full_ring_loses_no_event)
{
	struct portal_mock_access a;
	struct portal_request req;
	int i;

	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0,
				       .policy = PORTAL_POLICY_DROP)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED,
				   .policy = PORTAL_POLICY_DROP)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_LIFE_ATTACHED, req.addr);
	/* vCPU 0's own event, and two writes: full */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	EXPECT_EQ(3, queue_ready(&self->q));
	for (i = 1; i < MOCK_VCPUS; i++) {
		a = mock_hc(MOCK_HC, 1, 0);
		a.vcpu = i;
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_EQ(-PORTAL_EBUSY, (__s64)a.out_value);
	}
	for (i = 0; i < 3; i++)
		ASSERT_LT(0, mock_hello(self->vm));
	EXPECT_EQ(3, queue_ready(&self->q));
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));

	EXPECT_EQ(3, queue_info(&self->q).out_dropped);	/* the hypercalls, nothing else */
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, 0, 0, 0));
	/* one entry is free, and a write comes: the events were before it */
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 9));
	EXPECT_EQ(4, queue_info(&self->q).out_dropped);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(PORTAL_KIND_MMIO, req.kind);
		ASSERT_EQ(0, queue_consume(&self->q));
	}
	for (i = 1; i < MOCK_VCPUS; i++)
		EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, i, 0, 0));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_LIFE_HELLO, req.addr);
	EXPECT_EQ(PORTAL_REQ_F_MERGED, req.flags);
	EXPECT_EQ(3, req.count);
	EXPECT_EQ(3, req.data[2]);
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
}

TEST_F(life, who_waits_for_room_enters_in_one_order)
{
	struct portal_region_range ranges[] = { RANGE(0, 4, DOORBELL), RANGE(4, 4, FENCED) };
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0), read = mock_read(MOCK_MMIO + 4, 4);
	struct portal_request req;
	struct vcpu v[2] = { };
	int i;

	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, ranges, 2)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED,
				   .policy = PORTAL_POLICY_COALESCE)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC + 1, MOCK_HC + 1,
				   .flags = PORTAL_HOOK_F_RAW)));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_ATTACHED, MOCK_VCPUS, 0, 0));
	/* vCPU 0's own event, and three doorbells: full */
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_EQ(4, queue_ready(&self->q));
	/* what is merged, two events, a call, a doorbell: in just the wrong order */
	ASSERT_EQ(0, mock_run(self->vm, &a));
	ASSERT_LT(0, mock_hello(self->vm));
	ASSERT_EQ(0, vcpu_start(&v[0], self->vm, mock_hc(MOCK_HC + 1, 7, 0)));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(self->vm).out_calls == 1));
	a = mock_write(MOCK_MMIO, 4, 100);
	a.vcpu = MOCK_VCPUS - 1;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	/* knows where the last doorbell will be, and waits for no more */
	read.vcpu = MOCK_VCPUS - 1;
	ASSERT_EQ(0, vcpu_start(&v[1], self->vm, read));
	ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&v[1].started, __ATOMIC_ACQUIRE) &&
			       task_sleeps(v[1].started)));

	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, 0, 0, 0));
	for (i = 0; i < 4; i++) {
		EXPECT_FALSE(vcpu_done(&v[1]));
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(PORTAL_KIND_MMIO, req.kind);
		EXPECT_EQ(i < 3 ? i : 100, req.data[0]);
		ASSERT_EQ(0, queue_consume(&self->q));
	}
	EXPECT_EQ(0, vcpu_join(&v[1]));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, MOCK_VCPUS - 1, 0, 0));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_HELLO, PORTAL_GUEST_VERSION, 0, 1));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 5));
	EXPECT_EQ(MOCK_HC + 1, req.addr);
	EXPECT_EQ(0, vcpu_join(&v[0]));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(MOCK_HC, req.addr);
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
}

TEST_F(life, doorbells_that_go_leave_their_room_to_events)
{
	struct portal_region_range range = RANGE(0, 4, DOORBELL);
	int i, id = region_add(self->vm, (struct portal_region_add)
			       REGION(self->q.id, MOCK_MMIO, 64, &range, 1));
	struct portal_request req;

	ASSERT_LT(0, id);
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_ATTACHED, MOCK_VCPUS, 0, 0));
	for (i = 0; i < 5; i++)		/* two of them wait */
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_LT(0, mock_hello(self->vm));
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, id));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VCPU, MOCK_VCPUS - 1, 0, 0));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_HELLO, PORTAL_GUEST_VERSION, 0, 1));
	EXPECT_EQ(0, queue_ready(&self->q));
}

TEST_F(life, end_is_told_through_a_full_ring_too)
{
	struct pollfd pfd = { .fd = self->q.fd, .events = POLLIN };
	struct portal_request req;
	int i;

	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0,
				       .policy = PORTAL_POLICY_DROP)));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_EQ(0, mock_set(self->vm, PORTAL_MOCK_SET_F_CLOSE, 0));
	EXPECT_TRUE(WAIT_UNTIL(poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP));
	/* STALE says "take what is there, and end": not yet */
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_STALE));
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(-ENODEV, queue_consume(&self->q));
	EXPECT_TRUE(is_next(&self->q, PORTAL_LIFE_VM_GONE, PORTAL_GONE_CLOSED, 0, 0));
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_STALE));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
}

TEST_F(life, a_reader_gets_all_of_it)
{
	struct portal_request req;
	__u64 seen = 0;
	int i;

	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0,
				       .policy = PORTAL_POLICY_DROP)));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_LT(0, mock_hello(self->vm));
	ASSERT_EQ(0, mock_set(self->vm, PORTAL_MOCK_SET_F_CLOSE, 0));
	while (read(self->q.fd, &req, sizeof(req)) == sizeof(req))
		if (req.kind == PORTAL_KIND_LIFECYCLE)
			seen |= 1ULL << req.addr;
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(1ULL << PORTAL_LIFE_ATTACHED | 1ULL << PORTAL_LIFE_VCPU |
		  1ULL << PORTAL_LIFE_HELLO | 1ULL << PORTAL_LIFE_VM_GONE, seen);
}

TEST_HARNESS_MAIN
