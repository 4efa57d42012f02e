// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypercall_test - hypercalls of a real guest, answered by a daemon
 */
#include "portal_kvm.h"

#define KVM_ENOSYS	1000
#define NR_CALLS	20
#define NR_IRQS		10
#define GSI		5

static __u32 irqs_taken;

static void on_irq(struct ex_regs *regs)
{
	__atomic_add_fetch(&irqs_taken, 1, __ATOMIC_SEQ_CST);
	guest_eoi();
}

static void guest_two_calls(void)
{
	guest_report(guest_hello());
	guest_report(guest_hc(SERVICE, 1, 0x1122334455667788, 2, 3, -1ULL));
	guest_report(guest_hc(SERVICE + 7, 2, 0, 0, 0, 0));
	GUEST_DONE();
}

static void guest_foreign_calls(void)
{
	guest_report(guest_hc(SERVICE, 1, 0, 0, 0, 0));		/* before HELLO */
	guest_report(guest_hello());
	guest_report(guest_hc(12345, 0, 0, 0, 0, 0));
	guest_report(guest_hc(PORTAL_HC_SERVICE(1), 1, 0, 0, 0, 0));
	GUEST_DONE();
}

static void guest_many_calls(void)
{
	int i;

	guest_hello();
	for (i = 0; i < NR_CALLS; i++)
		guest_report(guest_hc(SERVICE, 100 + i, i, 0, 0, 0));
	GUEST_DONE();
}

static void guest_call_with_irqs(void)
{
	guest_irq_on(GSI, false);
	guest_hello();
	guest_report(guest_hc(SERVICE, 1, 0, 0, 0, 0));
	guest_report(irqs_taken);
	GUEST_DONE();
}

static void guest_one_call(void)
{
	guest_hello();
	guest_report(guest_hc(SERVICE, 1, 0, 0, 0, 0));
	GUEST_DONE();
}

FIXTURE(hypercall)
{
	struct guest g;
};

FIXTURE_SETUP(hypercall)
{
}

FIXTURE_TEARDOWN(hypercall)
{
	guest_end(&self->g);
}

#define START(code) do {					\
	guest_init(_metadata, &self->g, code);			\
	ASSERT_LT(0, guest_hook(&self->g, 0));			\
	ASSERT_EQ(0, guest_start(&self->g));			\
} while (0)

TEST_F(hypercall, is_answered_by_the_daemon)
{
	struct guest *g = &self->g;
	struct portal_reply reply = { .action = PORTAL_ACTION_ERROR, .error = PORTAL_ENOENT };
	struct portal_request req;

	START(guest_two_calls);
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
	EXPECT_EQ(0, req.vcpu);
	EXPECT_EQ(SERVICE, req.addr);
	EXPECT_EQ(1, req.call_id);
	EXPECT_EQ(0x1122334455667788, req.data[0]);
	EXPECT_EQ(2, req.data[1]);
	EXPECT_EQ(3, req.data[2]);
	EXPECT_EQ(-1ULL, req.data[3]);
	EXPECT_FALSE(guest_ended(g));
	ASSERT_EQ(0, queue_reply(&g->q, req.id, 0x123456789abcdef0));
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(SERVICE + 7, req.addr);
	EXPECT_EQ(2, req.call_id);
	reply.id = req.id;
	ASSERT_EQ(0, queue_commit(&g->q, &reply, 1));
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(3, g->nr);
	EXPECT_EQ(PORTAL_GUEST_VERSION, PORTAL_HELLO_VERSION(g->value[0]));
	EXPECT_NE(0, g->value[0] & PORTAL_GUEST_F_64BIT);
	EXPECT_EQ(0x123456789abcdef0, g->value[1]);
	EXPECT_EQ(-PORTAL_ENOENT, (__s64)g->value[2]);
	EXPECT_EQ(1, portal_vm_info(g->fd).out_hellos);
	EXPECT_EQ(2, portal_vm_info(g->fd).out_calls);
}

TEST_F(hypercall, of_others_is_answered_by_kvm)
{
	struct guest *g = &self->g;

	START(guest_foreign_calls);
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(4, g->nr);
	EXPECT_EQ(-KVM_ENOSYS, (__s64)g->value[0]);
	EXPECT_LT(0, (__s64)g->value[1]);
	EXPECT_EQ(-KVM_ENOSYS, (__s64)g->value[2]);
	EXPECT_EQ(-KVM_ENOSYS, (__s64)g->value[3]);
	EXPECT_EQ(0, queue_ready(&g->q));
}

TEST_F(hypercall, is_posted_without_waiting)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	guest_init(_metadata, g, guest_many_calls);
	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_POSTED));
	ASSERT_EQ(0, guest_start(g));
	/* nobody answers, and it comes to its end */
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(NR_CALLS, queue_ready(&g->q));
	for (i = 0; i < NR_CALLS; i++) {
		EXPECT_EQ(0, g->value[i]);
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
	}
}

/* A reply that takes 20 ms: as long as several signals. */
static void work_20_ms(void)
{
	__u64 start = now_ns();

	while (now_ns() - start < 20 * NSEC_PER_MSEC)
		sched_yield();
}

TEST_F(hypercall, is_answered_exactly_once_under_signals)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_many_calls);
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 0; i < NR_CALLS; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
		EXPECT_EQ(100 + i, req.call_id);
		work_20_ms();
		ASSERT_EQ(0, queue_reply(&g->q, req.id, 0xabc0000 + i));
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	ASSERT_EQ(NR_CALLS, g->nr);
	for (i = 0; i < NR_CALLS; i++)
		EXPECT_EQ(0xabc0000 + i, g->value[i]);
	EXPECT_EQ(0, queue_ready(&g->q));
	EXPECT_EQ(NR_CALLS, portal_vm_info(g->fd).out_calls);
	EXPECT_EQ(0, queue_info(&g->q).out_stale);
	/* the signals did get through */
	EXPECT_LE(NR_CALLS, g->eintr);
	TH_LOG("%d EINTR, %llu restarts in %d calls", g->eintr,
	       portal_vm_info(g->fd).out_restarts, NR_CALLS);
}

TEST_F(hypercall, does_not_stall_memslot_updates)
{
	struct guest *g = &self->g;
	struct portal_request req;
	__u64 took;

	START(guest_two_calls);
	ASSERT_TRUE(queue_next(&g->q, &req));
	/* the call lasts until after the updates, so they cannot wait for its end */
	took = guest_memslot_ns(g);
	EXPECT_GT(100 * NSEC_PER_MSEC, took);
	TH_LOG("add and delete took %llu us", took / 1000);
	EXPECT_FALSE(guest_ended(g));
	ASSERT_EQ(0, queue_reply(&g->q, req.id, 1));
	ASSERT_EQ(0, queue_answer(&g->q, &req, 2));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(1, g->value[1]);
}

TEST_F(hypercall, lets_guest_interrupts_in)
{
	struct guest *g = &self->g;
	struct portal_irq_bind bind = { .size = sizeof(bind), .gsi = GSI, .resamplefd = -1 };
	struct portal_request req;
	int i;

	guest_init(_metadata, g, guest_call_with_irqs);
	ASSERT_LT(0, guest_hook(g, 0));
	vm_install_exception_handler(g->vm, IRQ_VECTOR, on_irq);
	bind.eventfd = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &bind));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	for (i = 1; i <= NR_IRQS; i++) {
		ASSERT_EQ(0, eventfd_write(bind.eventfd, 1));
		/* taken although nobody has answered the call */
		ASSERT_TRUE(WAIT_UNTIL(SHARED(g, irqs_taken) == i));
	}
	EXPECT_EQ(0, queue_ready(&g->q));
	EXPECT_FALSE(guest_ended(g));
	ASSERT_EQ(0, queue_reply(&g->q, req.id, 0x77));
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(2, g->nr);
	EXPECT_EQ(0x77, g->value[0]);
	EXPECT_EQ(NR_IRQS, g->value[1]);
	EXPECT_EQ(1, portal_vm_info(g->fd).out_calls);
	close(bind.eventfd);
}

TEST_F(hypercall, nobody_answers_ends_by_its_timeout)
{
	struct guest *g = &self->g;
	struct portal_hook_add h = HOOK(0, SERVICE, SERVICE,
					.timeout_ns = 100 * NSEC_PER_MSEC);

	guest_init(_metadata, g, guest_one_call);
	h.queue_id = g->q.id;
	ASSERT_LT(0, hook_add(g->fd, h));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(-PORTAL_ETIME, (__s64)g->value[0]);
	EXPECT_EQ(1, portal_vm_info(g->fd).out_timeouts);
}

TEST_F(hypercall, ends_when_its_hook_goes)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int id;

	guest_init(_metadata, g, guest_one_call);
	id = guest_hook(g, 0);
	ASSERT_LT(0, id);
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	ASSERT_EQ(0, portal_id(g->fd, PORTAL_HOOK_DEL, id));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(-PORTAL_ENODEV, (__s64)g->value[0]);
}

TEST_F(hypercall, answer_pass_is_kvms_answer)
{
	struct guest *g = &self->g;
	struct portal_reply reply = { .action = PORTAL_ACTION_PASS };
	struct portal_request req;

	START(guest_one_call);
	ASSERT_TRUE(queue_next(&g->q, &req));
	reply.id = req.id;
	ASSERT_EQ(0, queue_commit(&g->q, &reply, 1));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(-KVM_ENOSYS, (__s64)g->value[0]);
}

TEST_HARNESS_MAIN
