// SPDX-License-Identifier: GPL-2.0-only
/*
 * doorbell_test - doorbells never make the guest wait, and few are lost
 */
#include "mock_util.h"

#define LEN	0x100
#define BELL	0x50	/* plain */
#define COUNTED	0x60
#define FENCED	0x70
#define CALL	0x80
#define ENTRIES	4
#define MAX_BELLS 64

FIXTURE(doorbell)
{
	struct mock m;
	struct queue q;
	int vm;
	struct region r;
};

FIXTURE_SETUP(doorbell)
{
	struct portal_region_range ranges[] = {
		RANGE(BELL, 4, DOORBELL), RANGE(FENCED, 4, FENCED), RANGE(CALL, 4, CALL),
		RANGE(COUNTED, 4, DOORBELL, .aux = LEN, .flags = PORTAL_RANGE_F_COUNT),
	};

	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q,
				  (struct portal_queue_create)QUEUE(ENTRIES)));
	ASSERT_EQ(0, region_map(self->vm, &self->r, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, LEN, ranges, 4)));
}

FIXTURE_TEARDOWN(doorbell)
{
	region_unmap(&self->r);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* ring: a doorbell, which must not take a time-out's time */
static int ring(FIXTURE_DATA(doorbell) *self, __u32 offset, __u64 value)
{
	__u64 start = now_ns();
	int ret = mock_run_write(self->vm, MOCK_MMIO + offset, 4, value);

	return ret ?: now_ns() - start > NSEC_PER_SEC ? -ETIME : 0;
}

static int fill(FIXTURE_DATA(doorbell) *self)
{
	int i, ret = 0;

	for (i = 0; i < ENTRIES && !ret; i++)
		ret = ring(self, BELL, i);
	return ret;
}

/* take: consumes the next request and says what was written */
static __s64 take(FIXTURE_DATA(doorbell) *self)
{
	struct portal_request req;

	if (!queue_next(&self->q, &req))
		return -ETIMEDOUT;
	return queue_consume(&self->q) ?: req.data[0];
}

TEST_F(doorbell, full_ring_does_not_hold_the_guest_and_loses_none)
{
	int i;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, ring(self, BELL, 100 + i));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	EXPECT_TRUE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(100 + i, take(self));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	EXPECT_EQ(ENTRIES + 10, queue_info(&self->q).out_requests);
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
}

TEST_F(doorbell, same_value_waits_once)
{
	int i;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, ring(self, BELL, 100 + i % 2));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	EXPECT_EQ(100, take(self));
	EXPECT_EQ(101, take(self));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
	/* and is posted again afterwards */
	ASSERT_EQ(0, ring(self, BELL, 100));
	EXPECT_EQ(100, take(self));
}

TEST_F(doorbell, counted_one_keeps_its_count)
{
	struct portal_request req;
	int i;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, ring(self, COUNTED, i));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, req.flags);
	EXPECT_EQ(1000, __atomic_exchange_n(region_reg(&self->r, LEN), 0, __ATOMIC_ACQ_REL));
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(0, queue_ready(&self->q));
}

TEST_F(doorbell, too_many_different_ones_are_dropped_and_counted)
{
	int i;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < MAX_BELLS + 7; i++)
		ASSERT_EQ(0, ring(self, BELL, 100 + i));
	EXPECT_EQ(7, queue_info(&self->q).out_dropped);
	EXPECT_EQ(7, self->q.ring->dropped);
	/* a counted one that is lost does not silence those after it */
	ASSERT_EQ(0, ring(self, COUNTED, 1));
	EXPECT_EQ(0, *region_reg(&self->r, LEN));
	EXPECT_EQ(8, self->q.ring->dropped);
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	for (i = 0; i < MAX_BELLS; i++)
		EXPECT_EQ(100 + i, take(self));
	EXPECT_EQ(0, queue_ready(&self->q));
}

TEST_F(doorbell, fenced_read_waits_for_one_outside_of_the_ring)
{
	struct vcpu v = { 0 };
	int i;

	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, ring(self, BELL, 100));
	ASSERT_EQ(0, ring(self, BELL, 101));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_read(MOCK_MMIO + FENCED, 4)));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	EXPECT_EQ(100, take(self));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	EXPECT_FALSE(vcpu_done(&v));
	*region_reg(&self->r, FENCED) = 0x600d;
	EXPECT_EQ(101, take(self));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(0x600d, v.a.out_value);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_timeouts);
}

TEST_F(doorbell, call_comes_after_the_doorbell_before_it)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, ring(self, BELL, 100));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_read(MOCK_MMIO + CALL, 4)));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(self->vm).out_calls == 1));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	EXPECT_EQ(100, take(self));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 77));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(77, v.a.out_value);
}

TEST_F(doorbell, goes_with_its_region)
{
	struct portal_region_range range = RANGE(BELL, 4, DOORBELL);
	struct region other;
	int i;

	ASSERT_EQ(0, region_map(self->vm, &other, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO + 0x1000, LEN, &range, 1)));
	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, ring(self, BELL, 100));
	ASSERT_EQ(0, ring(self, 0x1000 + BELL, 200));
	ASSERT_EQ(0, ring(self, BELL, 101));
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, self->r.arg.out_region_id));
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	EXPECT_EQ(200, take(self));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	region_unmap(&other);
}

TEST_F(doorbell, policy_drop_drops_it)
{
	struct portal_region_range range = RANGE(BELL, 4, DOORBELL);
	struct region other;

	ASSERT_EQ(0, region_map(self->vm, &other, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO + 0x1000, LEN, &range, 1,
				       .policy = PORTAL_POLICY_DROP)));
	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, ring(self, 0x1000 + BELL, 200));
	EXPECT_EQ(1, queue_info(&self->q).out_dropped);
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	region_unmap(&other);
}

TEST_F(doorbell, waits_for_the_next_owner_too)
{
	struct queue next;
	int i;

	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, ring(self, BELL, 100));
	ASSERT_EQ(0, queue_open(self->vm, &next, self->q.id));
	queue_close(&self->q);
	self->q = next;
	for (i = 0; i < ENTRIES; i++)
		EXPECT_EQ(i, take(self));
	EXPECT_EQ(100, take(self));
}

TEST_HARNESS_MAIN
