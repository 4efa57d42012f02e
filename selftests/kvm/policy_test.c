// SPDX-License-Identifier: GPL-2.0-only
/*
 * policy_test - filters and rate limits, as a real guest meets them
 */
#include "portal_kvm.h"

#define KVM_ENOSYS	1000
#define NR_CALLS	6

static void guest_filtered(void)
{
	guest_hello();
	guest_report(guest_hc(SERVICE, 1, 1, 0, 0, 0));
	guest_report(guest_hc(SERVICE, 2, 2, 0, 0, 0));
	guest_report(guest_hc(SERVICE, 3, 4, 0, 0, 0));
	guest_writel(MMIO_GPA + 8, 1);
	/* FENCED, and that write has not been consumed */
	guest_report(guest_readl(MMIO_GPA));
	guest_writel(MMIO_GPA + 0x10, 0x77);
	guest_writel(MMIO_GPA + 0x10, 0x78);
	GUEST_DONE();
}

static void guest_calls(void)
{
	int i;

	guest_hello();
	for (i = 0; i < NR_CALLS; i++)
		guest_report(guest_hc(SERVICE, 100 + i, i, 0, 0, 0));
	GUEST_DONE();
}

FIXTURE(policy)
{
	struct guest g;
};

FIXTURE_SETUP(policy)
{
}

FIXTURE_TEARDOWN(policy)
{
	guest_end(&self->g);
}

TEST_F(policy, filtered_is_kvms_the_vmms_or_nobodys)
{
	struct guest *g = &self->g;
	const struct portal_filter calls[] = {
		{ .action = PORTAL_FILTER_PASS, .mask = { 1 }, .match = { 1 } },
		{ .action = PORTAL_FILTER_VALUE, .mask = { 2 }, .match = { 2 }, .value = 0x55 },
	};
	const struct portal_filter registers[] = {
		{ .action = PORTAL_FILTER_PASS, .flags = PORTAL_FILTER_F_READ, .len = 4,
		  .sizes = 4 },
		{ .action = PORTAL_FILTER_IGNORE, .flags = PORTAL_FILTER_F_WRITE,
		  .mask = { 0xff }, .match = { 0x77 } },
	};
	struct portal_region_range fenced = RANGE(0, 8, FENCED);
	struct portal_target_info info = { .size = sizeof(info) };
	struct portal_request req;
	int hook, region;

	guest_init(_metadata, g, guest_filtered);
	hook = hook_add(g->fd, (struct portal_hook_add)
			HOOK(g->q.id, SERVICE, SERVICE, .filters_uptr = (uintptr_t)calls,
			     .nr_filters = 2));
	ASSERT_LT(0, hook);
	region = region_add(g->fd, (struct portal_region_add)
			    REGION(g->q.id, MMIO_GPA, 0x100, &fenced, 1,
				   .filters_uptr = (uintptr_t)registers, .nr_filters = 2));
	ASSERT_LT(0, region);
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, queue_answer(&g->q, &req, 0x66));
	EXPECT_EQ(4, req.data[0]);
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(4, g->nr);
	EXPECT_EQ(-KVM_ENOSYS, (__s64)g->value[0]);
	EXPECT_EQ(0x55, g->value[1]);
	EXPECT_EQ(0x66, g->value[2]);
	EXPECT_EQ(0x01010101U * VMM_VALUE, g->value[3]);
	EXPECT_EQ(1, g->vmm_mmio);
	ASSERT_EQ(2, queue_ready(&g->q));
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(8, req.addr);
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(0x78, req.data[0]);
	info.id = hook;
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_HOOK_INFO, &info));
	EXPECT_EQ(3, info.out_hits);
	EXPECT_EQ(2, info.out_filtered);
	EXPECT_EQ(1, info.out_calls);
	info.id = region;
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_REGION_INFO, &info));
	EXPECT_EQ(4, info.out_hits);
	EXPECT_EQ(1, info.out_passed);
	EXPECT_EQ(1, info.out_ignored);
	EXPECT_EQ(0, info.out_timeouts);
}

static int rate(int vm, __u64 rate, __u32 burst)
{
	struct portal_rate_set r = { .size = sizeof(r), .rate = rate, .burst = burst };

	return portal_ioctl(vm, PORTAL_RATE_SET, &r);
}

TEST_F(policy, held_call_is_made_once_under_signals)
{
	struct guest *g = &self->g;
	struct portal_request req;
	__u64 start;
	int i;

	guest_init(_metadata, g, guest_calls);
	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_POSTED));
	ASSERT_EQ(0, rate(g->fd, 10, 1));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_signals(g, 3));
	start = now_ns();
	ASSERT_EQ(0, guest_join(g));
	/* a tenth of a second each, but the first */
	EXPECT_LE(start + 400 * NSEC_PER_MSEC, now_ns());
	ASSERT_EQ(NR_CALLS, queue_ready(&g->q));
	for (i = 0; i < NR_CALLS; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
		EXPECT_EQ(0, g->value[i]);
	}
	EXPECT_LT(20, g->eintr);
	EXPECT_LE(NR_CALLS - 2, portal_vm_info(g->fd).out_held);
	EXPECT_EQ(0, portal_vm_info(g->fd).out_limited);
}

TEST_F(policy, held_call_does_not_stall_memslot_updates)
{
	struct guest *g = &self->g;
	struct portal_request req;
	__u64 best;

	guest_init(_metadata, g, guest_calls);
	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_POSTED));
	ASSERT_EQ(0, rate(g->fd, 1, 1));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(g->fd).out_held == 1));
	best = guest_memslot_ns(g);
	EXPECT_GT(50 * NSEC_PER_MSEC, best);
	EXPECT_GE(2, queue_ready(&g->q));
	/* without a limit it goes on at once */
	ASSERT_EQ(0, rate(g->fd, 0, 0));
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(NR_CALLS, queue_ready(&g->q));
	ASSERT_TRUE(queue_next(&g->q, &req));
}

TEST_HARNESS_MAIN
