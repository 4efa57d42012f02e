// SPDX-License-Identifier: GPL-2.0-only
/*
 * wait_test - registers whose access waits: FENCED, SYNC, CALL
 *
 * Each once as from the gate before the emulator, where the instruction can be
 * restarted, and once as from a place where it cannot.
 */
#include "mock_util.h"

#define FENCED	0x10
#define SYNC	0x20
#define CALL	0x30
#define PLAIN	0x40
#define LEN	0x100

FIXTURE(waits)
{
	struct mock m;
	struct queue q;
	int vm;
	struct region r;
	int mark;
	struct vcpu v;
};

FIXTURE_VARIANT(waits)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(waits, gate) { };
FIXTURE_VARIANT_ADD(waits, inplace) { .flags = PORTAL_MOCK_F_NOGATE };

FIXTURE_SETUP(waits)
{
	struct portal_region_range ranges[] = {
		RANGE(FENCED, 8, FENCED), RANGE(SYNC, 8, SYNC), RANGE(CALL, 8, CALL),
	};

	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
	ASSERT_EQ(0, region_map(self->vm, &self->r, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, LEN, ranges, 3)));
	self->v.mark = &self->mark;
}

FIXTURE_TEARDOWN(waits)
{
	region_unmap(&self->r);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

static int start(FIXTURE_DATA(waits) *self, const FIXTURE_VARIANT(waits) *variant,
		 struct portal_mock_access a)
{
	a.flags |= variant->flags;
	return vcpu_start(&self->v, self->vm, a);
}

/* parked: the vCPU waits for head to move. */
static bool parked(FIXTURE_DATA(waits) *self)
{
	return WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)) &&
	       !vcpu_done(&self->v);
}

TEST_F(waits, fenced_read_does_not_wait_for_nothing)
{
	struct portal_mock_access a = mock_read(MOCK_MMIO + FENCED, 4);

	*region_reg(&self->r, FENCED) = 5;
	a.flags = variant->flags;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(5, a.out_value);
	EXPECT_EQ(0, a.out_restarts);
}

TEST_F(waits, fenced_read_sees_the_effect_of_earlier_writes)
{
	struct portal_mock_access a = mock_read(MOCK_MMIO + PLAIN, 4);
	struct portal_request req;

	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + PLAIN, 4, 1));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + FENCED, 4, 2));
	ASSERT_EQ(0, start(self, variant, mock_read(MOCK_MMIO + FENCED, 4)));
	ASSERT_TRUE(parked(self));
	/* a shadow read does not wait, even now */
	a.vcpu = 1;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(1, req.data[0]);
	ASSERT_EQ(0, queue_consume(&self->q));
	/* one of two is not enough */
	ASSERT_TRUE(parked(self));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(2, req.data[0]);
	*region_reg(&self->r, FENCED) = 0x600d;
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&self->v));
	EXPECT_EQ(0x600d, self->v.a.out_value);
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT));
}

TEST_F(waits, fenced_read_waits_only_for_its_own_region)
{
	struct portal_region_add other = REGION(self->q.id, MOCK_MMIO + 0x1000, 16, NULL, 0);
	struct portal_mock_access a = mock_read(MOCK_MMIO + FENCED, 4);

	ASSERT_LT(0, region_add(self->vm, other));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x1000, 4, 1));
	a.flags = variant->flags;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_timeouts);
}

TEST_F(waits, sync_write_retires_when_it_is_consumed)
{
	struct portal_request req;

	ASSERT_EQ(0, start(self, variant, mock_write(MOCK_MMIO + SYNC, 4, 0xbad)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_REQ_F_WRITE, req.flags);
	EXPECT_EQ(SYNC, req.addr);
	EXPECT_EQ(0xbad, req.data[0]);
	ASSERT_TRUE(parked(self));
	__atomic_store_n(&self->mark, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&self->v));
	EXPECT_EQ(PORTAL_MOCK_DONE, self->v.a.out_result);
	EXPECT_EQ(1, self->v.marked);
	EXPECT_EQ(0, queue_ready(&self->q));
}

TEST_F(waits, same_sync_write_again_is_a_second_one)
{
	struct portal_request req;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, start(self, variant, mock_write(MOCK_MMIO + SYNC, 4, 0)));
		ASSERT_TRUE(queue_next(&self->q, &req));
		ASSERT_EQ(0, queue_consume(&self->q));
		ASSERT_EQ(0, vcpu_join(&self->v));
		EXPECT_EQ(0, queue_ready(&self->q));
	}
	EXPECT_EQ(3, queue_info(&self->q).out_requests);
}

TEST_F(waits, call_read_returns_what_the_plugin_says)
{
	struct portal_region_range ranges[] = {
		RANGE(1, 1, CALL), RANGE(2, 2, CALL), RANGE(4, 4, CALL), RANGE(8, 8, CALL),
	};
	__u64 base = MOCK_MMIO + 0x1000;
	struct portal_region_add r = REGION(self->q.id, base, 16, ranges, 4);
	struct portal_request req;
	__u32 width;

	ASSERT_LT(0, region_add(self->vm, r));
	for (width = 1; width <= 8; width *= 2) {
		ASSERT_EQ(0, start(self, variant, mock_read(base + width, width)));
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
		EXPECT_EQ(width, req.addr);
		EXPECT_EQ(width, req.len);
		EXPECT_EQ(0, req.call_id);
		EXPECT_FALSE(vcpu_done(&self->v));
		ASSERT_EQ(0, queue_consume(&self->q));
		ASSERT_EQ(0, queue_reply(&self->q, req.id, 0xf1f2f3f4f5f6f7f8));
		ASSERT_EQ(0, vcpu_join(&self->v));
		EXPECT_EQ(0xf1f2f3f4f5f6f7f8 & (~0ULL >> (64 - width * 8)),
			  self->v.a.out_value);
	}
}

TEST_F(waits, call_read_that_fails_is_all_ones)
{
	struct portal_reply reply = { .action = PORTAL_ACTION_ERROR, .error = PORTAL_EIO };
	struct portal_request req;

	ASSERT_EQ(0, start(self, variant, mock_read(MOCK_MMIO + CALL, 4)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	reply.id = req.id;
	ASSERT_EQ(0, queue_commit(&self->q, &reply, 1));
	ASSERT_EQ(0, vcpu_join(&self->v));
	EXPECT_EQ(0xffffffff, self->v.a.out_value);
}

TEST_F(waits, call_write_is_sync)
{
	struct portal_request req;

	ASSERT_EQ(0, start(self, variant, mock_write(MOCK_MMIO + CALL, 8, 0xabcdef0123456789)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0xabcdef0123456789, req.data[0]);
	EXPECT_NE(0, req.flags & PORTAL_REQ_F_WRITE);
	ASSERT_TRUE(parked(self));
	__atomic_store_n(&self->mark, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&self->v));
	EXPECT_EQ(1, self->v.marked);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(waits, signals_do_not_repeat_a_sync_write)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_request req;
	int i;

	if (variant->flags & PORTAL_MOCK_F_NOGATE)
		SKIP(return, "an in-place wait only ends for a fatal signal");
	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, start(self, variant, mock_write(MOCK_MMIO + SYNC, 4, 0)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	for (i = 1; i <= 5; i++) {
		ASSERT_TRUE(parked(self));
		pthread_kill(self->v.thread, SIGUSR1);
		ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&self->v.eintr, __ATOMIC_ACQUIRE) >= i));
	}
	ASSERT_TRUE(parked(self));
	EXPECT_EQ(0, queue_ready(&self->q));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&self->v));
	EXPECT_EQ(1, queue_info(&self->q).out_requests);
}

TEST_F(waits, every_wait_ends_by_its_timeout)
{
	struct portal_region_range ranges[] = {
		RANGE(FENCED, 8, FENCED), RANGE(SYNC, 8, SYNC), RANGE(CALL, 8, CALL),
	};
	__u64 start_ns, base = MOCK_MMIO + 0x2000;
	struct portal_region_add r = REGION(self->q.id, base, LEN, ranges, 3,
					    .timeout_ns = 50 * NSEC_PER_MSEC);
	struct portal_mock_access a;
	unsigned int i;

	ASSERT_LT(0, region_add(self->vm, r));
	for (i = 0; i < 3; i++) {
		a = i == 0 ? mock_write(base + SYNC, 4, 1) :
		    i == 1 ? mock_read(base + FENCED, 4) : mock_read(base + CALL, 4);
		a.flags |= variant->flags;
		start_ns = now_ns();
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
		EXPECT_LE(start_ns + 50 * NSEC_PER_MSEC - EARLY_NS, now_ns());
		EXPECT_GT(start_ns + 3000 * NSEC_PER_MSEC, now_ns());
		EXPECT_EQ(i + 1, portal_vm_info(self->vm).out_timeouts);
	}
	EXPECT_EQ(0xffffffff, a.out_value);	/* PORTAL_ACTION_ERROR of the CALL */
}

TEST_HARNESS_MAIN
