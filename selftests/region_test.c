// SPDX-License-Identifier: GPL-2.0-only
/*
 * region_test - registers: what an access of each attribute does
 */
#include "mock_util.h"

#define LEN	0x100

FIXTURE(region)
{
	struct mock m;
	struct queue q;
	int vm;
	int id;
	struct portal_region_add arg;
	char *shadow;
};

FIXTURE_SETUP(region)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
}

FIXTURE_TEARDOWN(region)
{
	if (self->shadow)
		munmap(self->shadow, self->arg.out_shadow_size);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* add: a region of LEN bytes at MOCK_MMIO with @nr ranges, its shadow mapped. */
static int add(FIXTURE_DATA(region) *self, struct portal_region_range *ranges, __u32 nr)
{
	int ret;

	if (!self->arg.size)
		self->arg = (struct portal_region_add)REGION(self->q.id, MOCK_MMIO, LEN, NULL, 0,
							     .cookie = 0xc00c1e);
	self->arg.ranges_uptr = (uintptr_t)ranges;
	self->arg.nr_ranges = nr;
	ret = portal_ioctl(self->vm, PORTAL_REGION_ADD, &self->arg);
	if (ret)
		return ret;
	self->id = self->arg.out_region_id;
	self->shadow = mmap(NULL, self->arg.out_shadow_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->vm, self->arg.out_shadow_off);
	if (self->shadow == MAP_FAILED) {
		self->shadow = NULL;
		return -errno;
	}
	return 0;
}

static __u32 *reg(FIXTURE_DATA(region) *self, __u32 offset)
{
	return (__u32 *)(self->shadow + offset);
}

#define RANGE(_offset, _len, _attr, ...) (struct portal_region_range) {		\
	.offset = (_offset), .len = (_len), .attr = PORTAL_ATTR_##_attr,	\
	.eventfd = -1, ##__VA_ARGS__ }

TEST_F(region, shadow_answers_reads_without_anybody)
{
	static const __u32 widths[] = { 1, 2, 4, 8 };
	__u64 value, pattern = 0x1122334455667788;
	unsigned int i;

	ASSERT_EQ(0, add(self, NULL, 0));
	EXPECT_EQ(0, self->arg.out_shadow_size % sysconf(_SC_PAGESIZE));
	ASSERT_LE(LEN, self->arg.out_shadow_size);
	memcpy(self->shadow + 8, &pattern, 8);
	memcpy(self->shadow + LEN - 8, &pattern, 8);
	for (i = 0; i < 4; i++) {
		__u64 mask = widths[i] == 8 ? ~0ULL : (1ULL << widths[i] * 8) - 1;

		ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + 8, widths[i], &value));
		EXPECT_EQ(pattern & mask, value);
		/* the last one that fits */
		ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + LEN - widths[i], widths[i],
					   &value));
		EXPECT_EQ(pattern >> (64 - widths[i] * 8), value);
	}
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO, 4, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(9, portal_vm_info(self->vm).out_shadow_reads);
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_wakeups);
}

TEST_F(region, shadow_answers_misaligned_reads_inside)
{
	__u64 value, pattern = 0x1122334455667788;

	ASSERT_EQ(0, add(self, NULL, 0));
	memcpy(self->shadow, &pattern, 8);
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + 1, 4, &value));
	EXPECT_EQ(0x44556677, value);
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + 3, 2, &value));
	EXPECT_EQ(0x4455, value);
}

TEST_F(region, what_crosses_the_end_is_the_vmms)
{
	ASSERT_EQ(0, add(self, NULL, 0));
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO - 1, 1)));
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO - 2, 4)));
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO + LEN, 1)));
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO + LEN - 2, 4)));
	EXPECT_TRUE(mock_passed(self->vm, mock_write(MOCK_MMIO + LEN - 4, 8, 1)));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_FALSE(mock_passed(self->vm, mock_read(MOCK_MMIO + LEN - 4, 4)));
}

TEST_F(region, regions_may_touch_but_not_overlap)
{
	struct portal_region_add r;

	ASSERT_EQ(0, add(self, NULL, 0));
#define AT(_gpa, _len) ({							\
	r = (struct portal_region_add)REGION(self->q.id, _gpa, _len, NULL, 0);	\
	region_add(self->vm, r); })
	EXPECT_ERRNO(EEXIST, AT(MOCK_MMIO, LEN));
	EXPECT_ERRNO(EEXIST, AT(MOCK_MMIO + LEN - 1, 4));
	EXPECT_ERRNO(EEXIST, AT(MOCK_MMIO - 3, 4));
	EXPECT_ERRNO(EEXIST, AT(MOCK_MMIO + 8, 4));
	EXPECT_ERRNO(EEXIST, AT(MOCK_MMIO - 4, LEN + 8));
	EXPECT_LT(0, AT(MOCK_MMIO + LEN, 4));
	EXPECT_LT(0, AT(MOCK_MMIO - 4, 4));
	EXPECT_ERRNO(EEXIST, AT(MOCK_RAM_SIZE - 1, 16));
	EXPECT_LT(0, AT(MOCK_RAM_SIZE, 16));
	/* ports are another world */
	r = (struct portal_region_add)REGION(self->q.id, MOCK_PORT, 8, NULL, 0,
					     .bus = PORTAL_BUS_PIO);
	EXPECT_LT(0, region_add(self->vm, r));
	EXPECT_ERRNO(EEXIST, region_add(self->vm, r));
	r.bus = PORTAL_BUS_MMIO;
	r.gpa = MOCK_MMIO + 0x10000 + MOCK_PORT;
	EXPECT_LT(0, region_add(self->vm, r));
#undef AT
}

TEST_F(region, writes_are_posted_with_payload_in_order)
{
	static const __u32 widths[] = { 1, 2, 4, 8 };
	struct portal_request req;
	__u64 value, last_id = 0;
	unsigned int i;

	ASSERT_EQ(0, add(self, NULL, 0));
	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 8 * i, widths[i % 4],
					    0x8182838485868788 + i));
	for (i = 0; i < 16; i++) {
		__u32 width = widths[i % 4];

		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(PORTAL_KIND_MMIO, req.kind);
		EXPECT_EQ(PORTAL_REQ_F_WRITE, req.flags);
		EXPECT_EQ(self->id, req.hook_id);
		EXPECT_EQ(0xc00c1e, req.cookie);
		EXPECT_EQ(8 * i, req.addr);
		EXPECT_EQ(width, req.len);
		EXPECT_EQ((0x8182838485868788 + i) & (~0ULL >> (64 - width * 8)), req.data[0]);
		EXPECT_LT(last_id, req.id);
		last_id = req.id;
	}
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(16, portal_vm_info(self->vm).out_posted);
	/* the page is the plugin's: a write does not change it */
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO, 8, &value));
	EXPECT_EQ(0, value);
}

TEST_F(region, ports_work_like_memory)
{
	struct portal_mock_access a = mock_write(MOCK_PORT + 4, 2, 0xbeef);
	struct portal_request req;

	self->arg = (struct portal_region_add)REGION(self->q.id, MOCK_PORT, 8, NULL, 0,
						     .bus = PORTAL_BUS_PIO);
	ASSERT_EQ(0, add(self, NULL, 0));
	EXPECT_TRUE(mock_passed(self->vm, a));
	a.kind = PORTAL_KIND_PIO;
	EXPECT_FALSE(mock_passed(self->vm, a));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_KIND_PIO, req.kind);
	EXPECT_EQ(4, req.addr);
	EXPECT_EQ(0xbeef, req.data[0]);
	self->shadow[4] = 0x5a;
	a = mock_read(MOCK_PORT + 4, 1);
	a.kind = PORTAL_KIND_PIO;
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0x5a, a.out_value);
}

TEST_F(region, ack_clears_the_written_bits)
{
	struct portal_region_range ranges[] = {
		RANGE(0, 4, ACK, .aux = 0x40),
		RANGE(4, 4, ACK, .aux = LEN, .flags = PORTAL_RANGE_F_POST), /* out of reach */
	};
	struct portal_request req;
	__u64 value;

	ASSERT_EQ(0, add(self, ranges, 2));
	*reg(self, 0) = 0x77;
	*reg(self, 0x40) = 0xff;
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 0x0f));
	EXPECT_EQ(0xf0, *reg(self, 0x40));
	EXPECT_EQ(0x77, *reg(self, 0));
	EXPECT_EQ(0, queue_ready(&self->q));
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO, 4, &value));
	EXPECT_EQ(0x77, value);

	*reg(self, LEN) = 3;
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 4, 4, 1));
	EXPECT_EQ(2, *reg(self, LEN));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(4, req.addr);
	EXPECT_EQ(1, req.data[0]);
}

TEST_F(region, doorbell_is_posted)
{
	struct portal_region_range range = RANGE(0x50, 4, DOORBELL);
	struct portal_request req;

	ASSERT_EQ(0, add(self, &range, 1));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, 3));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 2, 4));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_REQ_F_WRITE, req.flags);
	EXPECT_EQ(3, req.data[0]);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(4, req.data[0]);
}

TEST_F(region, counted_doorbell_posts_only_the_first)
{
	struct portal_region_range range = RANGE(0x50, 4, DOORBELL, .aux = LEN,
						 .flags = PORTAL_RANGE_F_COUNT);
	struct portal_request req;
	int i;

	ASSERT_EQ(0, add(self, &range, 1));
	for (i = 0; i < 100; i++)	/* more than the ring has entries */
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, i));
	EXPECT_EQ(1, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, req.flags);
	EXPECT_EQ(0, req.data[0]);
	EXPECT_EQ(100, __atomic_exchange_n(reg(self, LEN), 0, __ATOMIC_ACQ_REL));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, 7));
	EXPECT_EQ(1, queue_ready(&self->q));
	EXPECT_EQ(1, *reg(self, LEN));
}

TEST_F(region, datamatch_and_width_choose_the_doorbell)
{
	int ev[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	__u32 flags = PORTAL_RANGE_F_DATAMATCH | PORTAL_RANGE_F_EVENTFD;
	struct portal_region_range ranges[] = {
		RANGE(0x50, 4, DOORBELL, .flags = flags, .datamatch = 0, .eventfd = ev[0]),
		RANGE(0x50, 4, DOORBELL, .flags = flags, .datamatch = 1, .eventfd = ev[1],
		      .width = 4),
	};
	struct portal_request req;
	eventfd_t n;

	ASSERT_EQ(0, add(self, ranges, 2));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, 1));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, 1));
	EXPECT_EQ(-1, eventfd_read(ev[0], &n));
	EXPECT_EQ(0, eventfd_read(ev[1], &n));
	EXPECT_EQ(2, n);
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 2, 0));
	EXPECT_EQ(0, eventfd_read(ev[0], &n));
	EXPECT_EQ(1, n);
	EXPECT_EQ(0, queue_ready(&self->q));
	/* no such value, and not that width: an ordinary write */
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 4, 2));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x50, 2, 1));
	EXPECT_EQ(-1, eventfd_read(ev[1], &n));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(2, req.data[0]);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(1, req.data[0]);
	EXPECT_EQ(2, req.len);
}

TEST_F(region, deleting_it_hands_the_addresses_back)
{
	struct portal_region_range range = RANGE(0, 8, CALL);
	struct portal_request req;
	struct vcpu v = { 0 };

	ASSERT_EQ(0, add(self, &range, 1));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_read(MOCK_MMIO, 4)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, self->id));
	/* all ones as on any bus where nobody answers, or the VMM's */
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_TRUE(v.a.out_result == PORTAL_MOCK_PASSED || v.a.out_value == 0xffffffff);
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO, 4)));
	EXPECT_TRUE(mock_passed(self->vm, mock_write(MOCK_MMIO, 4, 1)));
	/* the mapping outlives it; a new one cannot be made */
	self->shadow[0] = 1;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->arg.out_shadow_size, PROT_READ, MAP_SHARED,
				   self->vm, self->arg.out_shadow_off));
}

/* ---- attributes that wait: before the emulator, and in place ----------- */

FIXTURE(waits)
{
	struct mock m;
	struct queue q;
	int vm;
	FIXTURE_DATA(region) r;
	int mark;
	struct vcpu v;
};

FIXTURE_VARIANT(waits)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(waits, gate) { };
FIXTURE_VARIANT_ADD(waits, inplace) { .flags = PORTAL_MOCK_F_NOGATE };

#define FENCED	0x10
#define SYNC	0x20
#define CALL	0x30
#define PLAIN	0x40

FIXTURE_SETUP(waits)
{
	struct portal_region_range ranges[] = {
		RANGE(FENCED, 8, FENCED), RANGE(SYNC, 8, SYNC), RANGE(CALL, 8, CALL),
	};

	mock_setup(_metadata, &self->m);
	self->r.m = self->m;
	self->r.vm = self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
	self->r.q = self->q;
	self->v.mark = &self->mark;
	ASSERT_EQ(0, add(&self->r, ranges, 3));
}

FIXTURE_TEARDOWN(waits)
{
	munmap(self->r.shadow, self->r.arg.out_shadow_size);
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

	*reg(&self->r, FENCED) = 5;
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
	*reg(&self->r, FENCED) = 0x600d;
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
		EXPECT_LE(start_ns + 50 * NSEC_PER_MSEC, now_ns());
		EXPECT_GT(start_ns + 3000 * NSEC_PER_MSEC, now_ns());
		EXPECT_EQ(i + 1, portal_vm_info(self->vm).out_timeouts);
	}
	EXPECT_EQ(0xffffffff, a.out_value);	/* PORTAL_ACTION_ERROR of the CALL */
}

TEST_HARNESS_MAIN
