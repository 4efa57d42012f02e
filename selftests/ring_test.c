// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring_test - the memory of a queue: layout, order, full rings, hostile owners
 */
#include "mock_util.h"

#define ENTRIES	8

FIXTURE(ring)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(ring)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q,
				  (struct portal_queue_create)QUEUE(ENTRIES)));
}

FIXTURE_TEARDOWN(ring)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* A region whose plain writes fill the ring; gives up after @timeout_ns. */
static int add_region(FIXTURE_DATA(ring) *self, __u32 policy, __u64 timeout_ns)
{
	return region_add(self->vm, (struct portal_region_add)
			  REGION(self->q.id, MOCK_MMIO, 64, NULL, 0, .policy = policy,
				 .timeout_ns = timeout_ns));
}

static int fill(FIXTURE_DATA(ring) *self, int nr)
{
	int i, ret = 0;

	for (i = 0; i < nr && !ret; i++)
		ret = mock_run_write(self->vm, MOCK_MMIO, 4, i);
	return ret;
}

TEST_F(ring, layout_is_as_written)
{
	struct portal_ring *r = self->q.ring;

	EXPECT_EQ(PORTAL_RING_MAGIC, r->magic);
	EXPECT_EQ(PORTAL_RING_VERSION, r->version);
	EXPECT_EQ(ENTRIES, r->entries);
	EXPECT_LE(sizeof(struct portal_request), r->entry_size);
	EXPECT_LE(sizeof(*r), r->entries_off);
	EXPECT_LE(r->entries_off + (size_t)r->entries * r->entry_size, self->q.size);
	EXPECT_EQ(0, self->q.size % sysconf(_SC_PAGESIZE));
	EXPECT_EQ(self->q.id, r->queue_id);
	EXPECT_EQ(0, r->tail);
	EXPECT_EQ(0, r->head);
	EXPECT_EQ(0, r->flags);
	EXPECT_NE(0, r->epoch);
}

TEST_F(ring, mapping_is_bounded)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *p;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->q.size + page, PROT_READ, MAP_SHARED, self->q.fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ, MAP_SHARED, self->q.fd, self->q.size));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ, MAP_SHARED, self->q.fd, 1ULL << 44));
	p = mmap(NULL, page, PROT_READ, MAP_SHARED, self->q.fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp(p, self->q.ring, sizeof(struct portal_ring)));
	munmap(p, page);
}

TEST_F(ring, info_agrees_with_the_mapping)
{
	struct portal_request req;
	struct portal_queue_info info;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	ASSERT_EQ(0, fill(self, 3));
	info = queue_info(&self->q);
	EXPECT_EQ(self->q.id, info.out_queue_id);
	EXPECT_EQ(self->q.ring->epoch, info.out_epoch);
	EXPECT_EQ(ENTRIES, info.out_entries);
	EXPECT_EQ(3, info.out_pending);
	EXPECT_EQ(3, info.out_requests);
	EXPECT_EQ(self->q.size, info.out_mmap_size);
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(3, queue_info(&self->q).out_pending);	/* looked at is not consumed */
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(2, queue_info(&self->q).out_pending);
}

TEST_F(ring, wraps_around)
{
	struct portal_request req;
	int i;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	for (i = 0; i < 5 * ENTRIES; i++) {
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
		/* in steps, so that it is sometimes nearly full */
		if (i % 5 != 4)
			continue;
		while (queue_ready(&self->q)) {
			ASSERT_TRUE(queue_next(&self->q, &req));
			EXPECT_EQ(self->q.seen - 1, req.data[0]);
		}
		ASSERT_EQ(0, queue_consume(&self->q));
	}
	EXPECT_EQ(5 * ENTRIES, self->q.seen);
	EXPECT_EQ(5 * ENTRIES, self->q.ring->tail);
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
}

TEST_F(ring, full_drops_and_counts)
{
	struct portal_request req;
	int i;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	ASSERT_EQ(0, fill(self, ENTRIES + 3));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	EXPECT_EQ(3, queue_info(&self->q).out_dropped);
	EXPECT_EQ(3, self->q.ring->dropped);
	EXPECT_EQ(3, portal_vm_info(self->vm).out_dropped);
	EXPECT_EQ(ENTRIES, portal_vm_info(self->vm).out_posted);
	/* the newest ones went, the oldest are intact */
	for (i = 0; i < ENTRIES; i++) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(i, req.data[0]);
	}
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, fill(self, 1));
	EXPECT_EQ(1, queue_ready(&self->q));
}

TEST_F(ring, posted_hypercalls_drop_the_same_way)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	int i;

	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .policy = PORTAL_POLICY_DROP,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	for (i = 0; i < ENTRIES + 2; i++)
		ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	EXPECT_EQ(2, queue_info(&self->q).out_dropped);
	EXPECT_EQ(2, portal_vm_info(self->vm).out_dropped);
}

TEST_F(ring, full_holds_the_vcpu_until_there_is_room)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_BLOCK, 0));
	ASSERT_EQ(0, fill(self, ENTRIES));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_write(MOCK_MMIO, 4, 0x77)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	EXPECT_FALSE(vcpu_done(&v));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&v));
	for (i = 1; i < ENTRIES; i++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0x77, req.data[0]);
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
}

TEST_F(ring, full_holds_the_vcpu_only_so_long)
{
	__u64 start;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_BLOCK, 50 * NSEC_PER_MSEC));
	ASSERT_EQ(0, fill(self, ENTRIES));
	start = now_ns();
	ASSERT_EQ(0, fill(self, 1));
	EXPECT_LE(start + 50 * NSEC_PER_MSEC - EARLY_NS, now_ns());
	EXPECT_GT(start + 3000 * NSEC_PER_MSEC, now_ns());
	EXPECT_EQ(1, queue_info(&self->q).out_dropped);
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(ring, who_is_held_can_be_killed)
{
	int pid, status;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_BLOCK, 600 * NSEC_PER_SEC));
	ASSERT_EQ(0, fill(self, ENTRIES));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fill(self, 1);
		_exit(0);
	}
	EXPECT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	kill(pid, SIGKILL);
	EXPECT_TRUE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(ring, calls_wait_in_line_when_it_is_full)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_EQ(0, fill(self, ENTRIES));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW)));
	EXPECT_EQ(ENTRIES, queue_ready(&self->q));
	for (i = 0; i < ENTRIES; i++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, queue_answer(&self->q, &req, 5));
	EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(5, v.a.out_value);
	EXPECT_FALSE(queue_flag(&self->q, PORTAL_RING_F_OVERFLOW));
	EXPECT_EQ(0, queue_info(&self->q).out_dropped);
}

TEST_F(ring, impossible_heads_are_not_believed)
{
	struct portal_ring *r = self->q.ring;
	struct portal_request req;
	unsigned int i;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	ASSERT_EQ(0, fill(self, 5));
	for (i = 0; i < 3; i++)
		ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	EXPECT_EQ(2, queue_info(&self->q).out_pending);
	for (i = 0; i < 6; i++) {
		/* past tail; before what was consumed; far away */
		static const __u32 heads[] = { 6, 2, 0, 1U << 31, ~0U, 0x80000003 };

		__atomic_store_n(&r->head, heads[i], __ATOMIC_RELEASE);
		EXPECT_EQ(0, queue_commit(&self->q, NULL, 0));
		EXPECT_EQ(2, queue_info(&self->q).out_pending) {
			TH_LOG("head %#x was believed", heads[i]);
		}
	}
	/* six fit, whatever head says */
	ASSERT_EQ(0, fill(self, ENTRIES));
	EXPECT_EQ(2, queue_info(&self->q).out_dropped);
	__atomic_store_n(&r->head, 5, __ATOMIC_RELEASE);
	EXPECT_EQ(6, queue_info(&self->q).out_pending);
}

TEST_F(ring, an_owner_who_scribbles_hurts_only_himself)
{
	struct portal_ring *r = self->q.ring;
	__u32 off = r->entries_off;

	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	memset(self->q.ring, 0xff, self->q.size);
	ASSERT_EQ(0, fill(self, 2 * ENTRIES));
	memset(self->q.ring, 0, self->q.size);
	ASSERT_EQ(0, fill(self, 1));
	/* the kernel goes by its own numbers: nothing was consumed */
	EXPECT_EQ(ENTRIES, queue_info(&self->q).out_pending);
	EXPECT_EQ(ENTRIES, queue_info(&self->q).out_entries);
	EXPECT_EQ(ENTRIES + 1, queue_info(&self->q).out_dropped);
	__atomic_store_n(&r->head, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, fill(self, 1));
	EXPECT_EQ(ENTRIES + 1, r->tail);
	EXPECT_EQ(0, ((struct portal_request *)((char *)r + off))->data[0]);
	EXPECT_EQ(PORTAL_KIND_MMIO, ((struct portal_request *)((char *)r + off))->kind);
}

TEST_F(ring, signals_reach_a_held_hypercall)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct portal_request req;
	struct vcpu v = { 0 };

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	ASSERT_LT(0, add_region(self, PORTAL_POLICY_DROP, 0));
	ASSERT_EQ(0, fill(self, ENTRIES));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0x55)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	pthread_kill(v.thread, SIGUSR1);
	EXPECT_TRUE(WAIT_UNTIL(__atomic_load_n(&v.eintr, __ATOMIC_ACQUIRE)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	EXPECT_FALSE(vcpu_done(&v));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(0, v.a.out_value);
	EXPECT_EQ(ENTRIES + 1, queue_info(&self->q).out_requests);
}

TEST_HARNESS_MAIN
