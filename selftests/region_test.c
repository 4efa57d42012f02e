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
	struct region r;
};

FIXTURE_SETUP(region)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
}

FIXTURE_TEARDOWN(region)
{
	region_unmap(&self->r);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* add: a region of LEN bytes at MOCK_MMIO with @nr ranges, its shadow mapped. */
static int add(FIXTURE_DATA(region) *self, struct portal_region_range *ranges, __u32 nr)
{
	return region_map(self->vm, &self->r, (struct portal_region_add)
			  REGION(self->q.id, MOCK_MMIO, LEN, ranges, nr, .cookie = 0xc00c1e));
}

static volatile __u32 *reg(FIXTURE_DATA(region) *self, __u32 offset)
{
	return region_reg(&self->r, offset);
}

TEST_F(region, shadow_answers_reads_without_anybody)
{
	static const __u32 widths[] = { 1, 2, 4, 8 };
	__u64 value, pattern = 0x1122334455667788;
	unsigned int i;

	ASSERT_EQ(0, add(self, NULL, 0));
	EXPECT_EQ(0, self->r.arg.out_shadow_size % sysconf(_SC_PAGESIZE));
	ASSERT_LE(LEN, self->r.arg.out_shadow_size);
	memcpy(self->r.shadow + 8, &pattern, 8);
	memcpy(self->r.shadow + LEN - 8, &pattern, 8);
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
	memcpy(self->r.shadow, &pattern, 8);
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
		EXPECT_EQ(self->r.arg.out_region_id, req.hook_id);
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

	ASSERT_EQ(0, region_map(self->vm, &self->r, (struct portal_region_add)
				REGION(self->q.id, MOCK_PORT, 8, NULL, 0,
				       .bus = PORTAL_BUS_PIO)));
	EXPECT_TRUE(mock_passed(self->vm, a));
	a.kind = PORTAL_KIND_PIO;
	EXPECT_FALSE(mock_passed(self->vm, a));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(PORTAL_KIND_PIO, req.kind);
	EXPECT_EQ(4, req.addr);
	EXPECT_EQ(0xbeef, req.data[0]);
	self->r.shadow[4] = 0x5a;
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
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, self->r.arg.out_region_id));
	/* all ones as on any bus where nobody answers, or the VMM's */
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_TRUE(v.a.out_result == PORTAL_MOCK_PASSED || v.a.out_value == 0xffffffff);
	EXPECT_TRUE(mock_passed(self->vm, mock_read(MOCK_MMIO, 4)));
	EXPECT_TRUE(mock_passed(self->vm, mock_write(MOCK_MMIO, 4, 1)));
	/* the mapping outlives it; a new one cannot be made */
	self->r.shadow[0] = 1;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->r.arg.out_shadow_size, PROT_READ, MAP_SHARED,
				   self->vm, self->r.arg.out_shadow_off));
}

TEST_HARNESS_MAIN
