// SPDX-License-Identifier: GPL-2.0-only
/*
 * filter_test - events that the kernel deals with itself, and what is counted
 */
#include "mock_util.h"

#define LEN	0x100
#define CALL	0x40
#define ACK	0x50

FIXTURE(filter)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(filter)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(64)));
}

FIXTURE_TEARDOWN(filter)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* A RAW hook of MOCK_HC with these filters. */
#define ADD(_filters, _nr, ...) hook_add(self->vm, (struct portal_hook_add)	\
	HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,		\
	     .filters_uptr = (uintptr_t)(_filters), .nr_filters = (_nr), ##__VA_ARGS__))

static struct portal_target_info info(int vm, unsigned long cmd, __u32 id, __u64 *hits, __u32 nr)
{
	struct portal_target_info i = { .size = sizeof(i), .id = id, .nr_filters = nr,
					.hits_uptr = (uintptr_t)hits };

	if (portal_ioctl(vm, cmd, &i))
		i.id = 0;
	return i;
}

TEST_F(filter, of_calls_by_argument_masks)
{
	const struct portal_filter filters[] = {
		{ .action = PORTAL_FILTER_DELIVER, .mask = { [3] = ~0ULL }, .match = { [3] = 13 } },
		{ .action = PORTAL_FILTER_VALUE, .value = 0xabcd, .mask = { 0xf0 },
		  .match = { 0x10 } },
		{ .action = PORTAL_FILTER_PASS, .mask = { [1] = 1 }, .match = { [1] = 1 } },
	};
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0x15);
	struct portal_target_info i;
	int id = ADD(filters, 3);
	struct portal_request req;
	struct vcpu v = { 0 };
	__u64 hits[4] = { 0, 0, 0, 99 };

	ASSERT_LT(0, id);
	/* data[1] is odd when data[0] is even: only the second filter, then only the third */
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
	EXPECT_EQ(0xabcd, a.out_value);
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC, 2, 0x20)));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC, 3, 0x22)));
	/* none */
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 4, 0x21)));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 1));
	EXPECT_EQ(0x21, req.data[0]);
	ASSERT_EQ(0, vcpu_join(&v));
	/* data[0] is 10: the third would match, the first comes first */
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 5, 10)));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 2));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(2, v.a.out_value);

	i = info(self->vm, PORTAL_HOOK_INFO, id, hits, 4);
	EXPECT_EQ(id, i.id);
	EXPECT_EQ(3, i.nr_filters);
	EXPECT_EQ(1, hits[0]);
	EXPECT_EQ(1, hits[1]);
	EXPECT_EQ(2, hits[2]);
	EXPECT_EQ(99, hits[3]);
	EXPECT_EQ(5, i.out_hits);
	EXPECT_EQ(3, i.out_filtered);
	EXPECT_EQ(2, i.out_passed);
	EXPECT_EQ(0, i.out_ignored);
	EXPECT_EQ(2, i.out_calls);
	EXPECT_EQ(3, portal_vm_info(self->vm).out_filtered);
	EXPECT_EQ(2, queue_info(&self->q).out_requests);
}

TEST_F(filter, of_posted_hypercalls_wakes_nobody)
{
	const struct portal_filter ignore = {
		.action = PORTAL_FILTER_IGNORE, .mask = { 1 }, .match = { 1 },
	};
	struct pollfd pfd = { .fd = self->q.fd, .events = POLLIN };
	struct portal_mock_access a;
	struct portal_target_info i;
	struct portal_request req;
	int id = ADD(&ignore, 1, .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED);
	__u64 n;

	ASSERT_LT(0, id);
	for (n = 0; n < 10; n++) {
		a = mock_hc(MOCK_HC, 1, n);
		a.out_value = 77;
		ASSERT_EQ(0, mock_run(self->vm, &a));
		EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
		EXPECT_EQ(0, a.out_value);
		if (!n)	/* told of the first one only */
			EXPECT_EQ(1, poll(&pfd, 1, 0));
	}
	ASSERT_EQ(5, queue_ready(&self->q));
	for (n = 0; n < 10; n += 2) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(n, req.data[0]);
	}
	i = info(self->vm, PORTAL_HOOK_INFO, id, NULL, 0);
	EXPECT_EQ(10, i.out_hits);
	EXPECT_EQ(5, i.out_filtered);
	EXPECT_EQ(5, i.out_ignored);
	EXPECT_EQ(5, i.out_posted);
	EXPECT_EQ(1, i.nr_filters);
}

/* An owner asleep in read(), so that what wakes him is counted. */
static int sleeper_tid;

static void *sleeper(void *arg)
{
	static struct portal_request req;

	__atomic_store_n(&sleeper_tid, gettid(), __ATOMIC_RELEASE);
	return read(*(int *)arg, &req, sizeof(req)) == sizeof(req) ? &req : NULL;
}

TEST_F(filter, costs_no_wakeup)
{
	const struct portal_filter ignore = { .action = PORTAL_FILTER_IGNORE, .mask = { 1 },
					      .match = { 1 } };
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 1);
	struct portal_request *req = NULL;
	pthread_t thread;
	int i;

	ASSERT_LT(0, ADD(&ignore, 1, .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sleeper, &self->q.fd));
	ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&sleeper_tid, __ATOMIC_ACQUIRE) &&
			       task_sleeps(sleeper_tid)));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0, queue_info(&self->q).out_wakeups);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_wakeups);
	a = mock_hc(MOCK_HC, 1, 2);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	ASSERT_EQ(0, pthread_join(thread, (void **)&req));
	ASSERT_NE(NULL, req);
	EXPECT_EQ(2, req->data[0]);
	EXPECT_EQ(1, queue_info(&self->q).out_wakeups);
}

/* ---- regions ------------------------------------------------------------ */

static int add_region(FIXTURE_DATA(filter) *self, struct region *r,
		      const struct portal_filter *filters, __u32 nr)
{
	struct portal_region_range ranges[] = {
		RANGE(CALL, 8, CALL), RANGE(ACK, 4, ACK, .aux = 0x80),
	};

	return region_map(self->vm, r, (struct portal_region_add)
			  REGION(self->q.id, MOCK_MMIO, LEN, ranges, 2,
				 .filters_uptr = (uintptr_t)filters, .nr_filters = nr));
}

TEST_F(filter, of_registers_by_place_size_and_value)
{
	const struct portal_filter filters[] = {
		/* writes of one byte, anywhere */
		{ .action = PORTAL_FILTER_IGNORE, .flags = PORTAL_FILTER_F_WRITE, .sizes = 1 },
		/* a value, in some registers */
		{ .action = PORTAL_FILTER_PASS, .flags = PORTAL_FILTER_F_WRITE, .offset = 0x10,
		  .len = 0x10, .mask = { 0xff00 }, .match = { 0x1200 } },
		{ .action = PORTAL_FILTER_VALUE, .flags = PORTAL_FILTER_F_READ, .offset = 0x20,
		  .len = 4, .value = 0x1122334455667788 },
		{ .action = PORTAL_FILTER_PASS, .offset = 0x30, .len = 8 },
	};
	struct portal_target_info i;
	struct portal_request req;
	struct region r;
	__u64 value, hits[4];

	ASSERT_EQ(0, add_region(self, &r, filters, 4));
	*region_reg(&r, 0x20) = 1;
	*region_reg(&r, 0x24) = 2;
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 1, 5));
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x10, 1, 0x12));
	EXPECT_EQ(0, queue_ready(&self->q));
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 2, 0x1234));
	EXPECT_EQ(-ENXIO, mock_run_write(self->vm, MOCK_MMIO + 0x10, 2, 0x1234));
	EXPECT_EQ(-ENXIO, mock_run_write(self->vm, MOCK_MMIO + 0x1c, 4, 0x771234));
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x1c, 4, 0x1134));
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 0x20, 4, 0x1234));
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + 0x20, 2, &value));
	EXPECT_EQ(0x7788, value);
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + 0x24, 4, &value));
	EXPECT_EQ(2, value);
	EXPECT_EQ(-ENXIO, mock_run_read(self->vm, MOCK_MMIO + 0x30, 8, &value));
	EXPECT_EQ(-ENXIO, mock_run_write(self->vm, MOCK_MMIO + 0x34, 4, 1));

	ASSERT_EQ(3, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0x1234, req.data[0]);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0x1134, req.data[0]);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0x20, req.addr);
	i = info(self->vm, PORTAL_REGION_INFO, r.arg.out_region_id, hits, 4);
	EXPECT_EQ(11, i.out_hits);
	EXPECT_EQ(7, i.out_filtered);
	EXPECT_EQ(4, i.out_passed);
	EXPECT_EQ(2, i.out_ignored);
	EXPECT_EQ(3, i.out_posted);
	EXPECT_EQ(2, hits[0]);
	EXPECT_EQ(2, hits[1]);
	EXPECT_EQ(1, hits[2]);
	EXPECT_EQ(2, hits[3]);
	region_unmap(&r);
}

TEST_F(filter, register_kept_back_does_nothing_else)
{
	const struct portal_filter filter = {
		.action = PORTAL_FILTER_IGNORE, .flags = PORTAL_FILTER_F_WRITE,
		.offset = ACK, .len = 4, .mask = { 0x80000000 }, .match = { 0x80000000 },
	};
	struct region r;

	ASSERT_EQ(0, add_region(self, &r, &filter, 1));
	*region_reg(&r, 0x80) = 0xff;
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + ACK, 4, 0x8000000f));
	EXPECT_EQ(0xff, *region_reg(&r, 0x80));
	EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + ACK, 4, 0x0000000f));
	EXPECT_EQ(0xf0, *region_reg(&r, 0x80));
	region_unmap(&r);
}

TEST_F(filter, of_call_reads_asks_nobody)
{
	const struct portal_filter filters[] = {
		{ .action = PORTAL_FILTER_VALUE, .flags = PORTAL_FILTER_F_READ, .offset = CALL,
		  .len = 4, .value = 0x55 },
		/* by size, which nobody knows before the access */
		{ .action = PORTAL_FILTER_PASS, .flags = PORTAL_FILTER_F_READ, .offset = CALL + 4,
		  .len = 4, .sizes = 2 },
	};
	struct portal_target_info i;
	struct portal_request req;
	struct vcpu v = { 0 };
	struct region r;
	__u64 value;

	ASSERT_EQ(0, add_region(self, &r, filters, 2));
	ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO + CALL, 4, &value));
	EXPECT_EQ(0x55, value);
	EXPECT_EQ(-ENXIO, mock_run_read(self->vm, MOCK_MMIO + CALL + 4, 2, &value));
	EXPECT_EQ(0, queue_info(&self->q).out_requests);
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_read(MOCK_MMIO + CALL + 4, 4)));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 0x66));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(0x66, v.a.out_value);
	i = info(self->vm, PORTAL_REGION_INFO, r.arg.out_region_id, NULL, 0);
	EXPECT_EQ(3, i.out_hits);
	EXPECT_EQ(2, i.out_filtered);
	EXPECT_EQ(1, i.out_calls);
	region_unmap(&r);
}

TEST_F(filter, info_counts_time_outs_and_drops)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	struct portal_target_info i;
	struct queue small;
	int hook = ADD(NULL, 0, .timeout_ns = 20 * NSEC_PER_MSEC), region, n;

	ASSERT_LT(0, hook);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(-PORTAL_ETIME, (__s64)a.out_value);
	i = info(self->vm, PORTAL_HOOK_INFO, hook, NULL, 0);
	EXPECT_EQ(1, i.out_timeouts);
	EXPECT_EQ(1, i.out_calls);
	EXPECT_EQ(0, i.out_dropped);

	ASSERT_EQ(0, queue_create(self->vm, &small, (struct portal_queue_create)QUEUE(4)));
	region = region_add(self->vm, (struct portal_region_add)
			    REGION(small.id, MOCK_MMIO, 64, NULL, 0,
				   .policy = PORTAL_POLICY_DROP));
	ASSERT_LT(0, region);
	for (n = 0; n < 7; n++)
		EXPECT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, n));
	i = info(self->vm, PORTAL_REGION_INFO, region, NULL, 0);
	EXPECT_EQ(7, i.out_hits);
	EXPECT_EQ(4, i.out_posted);
	EXPECT_EQ(3, i.out_dropped);
	/* of a hook's id a region knows nothing, and of one that is gone nobody */
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, region));
	EXPECT_EQ(0, info(self->vm, PORTAL_REGION_INFO, region, NULL, 0).id);
	queue_close(&small);
}

TEST_F(filter, nonsense_is_refused)
{
	const struct portal_filter good = { .mask = { 3 }, .match = { 1 } };
	struct portal_filter f[17] = { good };
	struct region r;
	int id;

#define WITH(err, posted, ...) do {					\
	f[0] = good;							\
	__VA_ARGS__;							\
	EXPECT_ERRNO(err, ADD(f, 1, .flags = PORTAL_HOOK_F_RAW |	\
			      ((posted) ? PORTAL_HOOK_F_POSTED : 0)));	\
} while (0)
	WITH(EINVAL, 0, f[0].__reserved = 1);
	WITH(EOPNOTSUPP, 0, f[0].action = 4);
	WITH(EOPNOTSUPP, 0, f[0].flags = 4);
	WITH(EINVAL, 0, f[0].match[1] = 1);		/* never matches */
	WITH(EINVAL, 0, f[0].value = 1);		/* of nothing */
	WITH(EINVAL, 0, f[0].flags = PORTAL_FILTER_F_WRITE);
	WITH(EINVAL, 0, f[0].len = 1);
	WITH(EINVAL, 0, f[0].action = PORTAL_FILTER_IGNORE);
	WITH(EINVAL, 1, f[0].action = PORTAL_FILTER_VALUE);
#undef WITH
	EXPECT_ERRNO(EFAULT, ADD((void *)8, 1));
	EXPECT_ERRNO(ENOSPC, ADD(f, 17));
#define WITH(err, ...) do {						\
	f[0] = (struct portal_filter){ .flags = PORTAL_FILTER_F_WRITE };	\
	__VA_ARGS__;							\
	EXPECT_ERRNO(err, add_region(self, &r, f, 1));			\
} while (0)
	WITH(EINVAL, f[0].sizes = 16);
	WITH(EINVAL, f[0].offset = 4);
	WITH(EOVERFLOW, f[0].offset = 4, f[0].len = -1U);
	WITH(EINVAL, f[0].mask[1] = 1);
	WITH(EINVAL, f[0].flags = 0, f[0].mask[0] = 1);
	WITH(EINVAL, f[0].flags = 0, f[0].action = PORTAL_FILTER_IGNORE);
	WITH(EINVAL, f[0].action = PORTAL_FILTER_VALUE);
#undef WITH
	/* sixteen are fine */
	memset(f, 0, sizeof(f));
	id = ADD(f, 16);
	EXPECT_LT(0, id);
	EXPECT_EQ(16, info(self->vm, PORTAL_HOOK_INFO, id, NULL, 0).nr_filters);
}

TEST_HARNESS_MAIN
