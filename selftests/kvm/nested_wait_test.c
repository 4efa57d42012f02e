// SPDX-License-Identifier: GPL-2.0-only
/*
 * nested_wait_test - what happens to a guest while its access waits: interrupts
 * whose handlers wait too, single-stepping, memslot updates
 */
#include "portal_kvm.h"

#define PORT_BASE	0x5000
#define SHADOW	0x00
#define FENCED	0x10
#define SYNC	0x20
#define SYNC_2	0x30
#define CALL	0x40
#define LEN	0x1000
#define GSI	5
#define OUTER	1000
#define INNER	2000

/* What the program does, and what the handler does when it interrupts that. */
enum what { SYNC_STORE, SAME_STORE, OTHER_STORE, CALL_READ, FENCED_READ, NR_WHAT };

static __u32 on_port;
static __u32 outer, inner;	/* enum what */
static __u32 in_handler, irqs_taken, outer_done;
static __u32 inner_value;
static __u64 step_rip, nr_steps;

/* Always inline: two instructions at two places. */
static __always_inline void out(__u32 offset, __u32 value)
{
	if (on_port)
		asm volatile("outl %0, %w1" : : "a"(value), "d"(PORT_BASE + offset) : "memory");
	else
		guest_writel(MMIO_GPA + offset, value);
}

static __always_inline __u32 in(__u32 offset)
{
	__u32 value;

	if (!on_port)
		return guest_readl(MMIO_GPA + offset);
	asm volatile("inl %w1, %0" : "=a"(value) : "d"(PORT_BASE + offset) : "memory");
	return value;
}

static __always_inline __u32 touch(__u32 what, __u32 value)
{
	switch (what) {
	case SYNC_STORE:
		out(SYNC, value);
		break;
	case SAME_STORE:
		out(SYNC, OUTER);
		break;
	case OTHER_STORE:
		out(SYNC_2, value);
		break;
	case CALL_READ:
		return in(CALL);
	case FENCED_READ:
		out(SHADOW, value);
		return in(FENCED);
	}
	return 0;
}

static void on_irq(struct ex_regs *regs)
{
	__atomic_store_n(&in_handler, 1, __ATOMIC_SEQ_CST);
	inner_value = touch(inner, INNER);
	__atomic_store_n(&in_handler, 0, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&irqs_taken, 1, __ATOMIC_SEQ_CST);
	guest_eoi();
}

static void guest_nested(void)
{
	__u32 value;

	guest_irq_on(GSI, false);
	value = touch(outer, OUTER);
	__atomic_store_n(&outer_done, 1, __ATOMIC_SEQ_CST);
	guest_report(value);
	GUEST_DONE();
}

static void on_step(struct ex_regs *regs)
{
	nr_steps++;
	step_rip = regs->rip;
	regs->rflags &= ~(1UL << 8);
}

/* One store that is single-stepped. */
static void guest_stepped(void)
{
	__u64 after;

	if (on_port)
		asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
			     "outl %1, %w2\n"
			     "1: lea 1b(%%rip), %0"
			     : "=r"(after) : "a"(7), "d"(PORT_BASE + SYNC) : "memory", "cc");
	else
		asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
			     "movl %1, (%2)\n"
			     "1: lea 1b(%%rip), %0"
			     : "=&r"(after) : "r"(7), "r"(MMIO_GPA + SYNC) : "memory", "cc");
	guest_report(nr_steps);
	guest_report(step_rip - after);
	GUEST_DONE();
}

FIXTURE(nested)
{
	struct guest g;
	struct region r;
	struct portal_irq_bind bind;
};

FIXTURE_VARIANT(nested)
{
	__u32 bus;
};

FIXTURE_VARIANT_ADD(nested, mmio) { .bus = PORTAL_BUS_MMIO };
FIXTURE_VARIANT_ADD(nested, pio) { .bus = PORTAL_BUS_PIO };

FIXTURE_SETUP(nested)
{
}

FIXTURE_TEARDOWN(nested)
{
	guest_end(&self->g);
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(nested) *self, __u32 bus,
		  void *code, __u64 timeout_ns)
{
	struct portal_region_range ranges[] = {
		RANGE(FENCED, 4, FENCED), RANGE(SYNC, 4, SYNC), RANGE(SYNC_2, 4, SYNC),
		RANGE(CALL, 4, CALL),
	};
	struct guest *g = &self->g;

	guest_init(_metadata, g, code);
	ASSERT_EQ(0, region_map(g->fd, &self->r, (struct portal_region_add)
				REGION(g->q.id, bus == PORTAL_BUS_PIO ? PORT_BASE : MMIO_GPA, LEN,
				       ranges, 4, .bus = bus, .timeout_ns = timeout_ns)));
	SHARED(g, on_port) = bus == PORTAL_BUS_PIO;
	vm_install_exception_handler(g->vm, IRQ_VECTOR, on_irq);
	vm_install_exception_handler(g->vm, DB_VECTOR, on_step);
	self->bind = (struct portal_irq_bind){
		.size = sizeof(self->bind), .gsi = GSI, .resamplefd = -1,
		.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
}

static bool waits_for_head(struct guest *g)
{
	return WAIT_UNTIL(queue_flag(&g->q, PORTAL_RING_F_NEED_COMMIT));
}

/* One interrupt while @o waits, whose handler does @i. */
static void nest(struct __test_metadata *_metadata, FIXTURE_DATA(nested) *self, __u32 bus,
		 enum what o, enum what i)
{
	struct guest *g = &self->g;
	struct portal_request req[2];
	int nr = 0;
	__u64 begun;

	start(_metadata, self, bus, guest_nested, 0);
	SHARED(g, outer) = o;
	SHARED(g, inner) = i;
	*region_reg(&self->r, FENCED) = 0;
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req[nr++]));
	if (o != CALL_READ)
		ASSERT_TRUE(waits_for_head(g));
	ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
	ASSERT_TRUE(WAIT_UNTIL(SHARED(g, in_handler)));
	ASSERT_EQ(0, guest_signals(g, 3));
	/* it does wait, and what it interrupted is not over */
	for (begun = now_ns(); now_ns() - begun < 10 * NSEC_PER_MSEC;)
		sched_yield();
	EXPECT_EQ(1, SHARED(g, in_handler));
	EXPECT_EQ(0, SHARED(g, outer_done));
	*region_reg(&self->r, FENCED) = 5;
	/* the handler's first, where it can go first */
	if (queue_ready(&g->q))
		ASSERT_TRUE(queue_next(&g->q, &req[nr++]));
	ASSERT_EQ(0, queue_consume(&g->q));
	if (nr == 2 && req[1].flags & PORTAL_REQ_F_CALL)
		ASSERT_EQ(0, queue_reply(&g->q, req[1].id, 102));
	if (req[0].flags & PORTAL_REQ_F_CALL)
		ASSERT_EQ(0, queue_reply(&g->q, req[0].id, 101));
	if (nr == 1) {
		ASSERT_TRUE(queue_next(&g->q, &req[nr++]));
		ASSERT_EQ(0, queue_consume(&g->q));
		EXPECT_EQ(0, req[1].flags & PORTAL_REQ_F_CALL);
	}
	ASSERT_EQ(0, guest_join(g)) {
		TH_LOG("outer %u, inner %u", o, i);
	}
	ASSERT_EQ(0, guest_signals(g, 0));
	EXPECT_EQ(1, SHARED(g, irqs_taken));
	EXPECT_EQ(o == CALL_READ ? 101 : o == FENCED_READ ? 5 : 0, g->value[0]) {
		TH_LOG("outer %u, inner %u", o, i);
	}
	EXPECT_EQ(i == CALL_READ ? 102 : i == FENCED_READ ? 5 : 0, SHARED(g, inner_value)) {
		TH_LOG("outer %u, inner %u", o, i);
	}
	if (i != CALL_READ)
		EXPECT_EQ(i == SAME_STORE ? OUTER : INNER, req[1].data[0]);
	EXPECT_EQ(2, queue_info(&g->q).out_requests);
	EXPECT_EQ(0, queue_info(&g->q).out_stale);
	EXPECT_EQ(0, portal_vm_info(g->fd).out_timeouts);
	region_unmap(&self->r);
	close(self->bind.eventfd);
}

TEST_F(nested, handler_may_wait_while_the_program_waits)
{
	static const enum what outers[] = { SYNC_STORE, CALL_READ, FENCED_READ };
	int o, i, nr = 0;

	for (o = 0; o < 3; o++)
		for (i = 0; i < NR_WHAT; i++) {
			if (nr++)
				guest_end(&self->g);
			nest(_metadata, self, variant->bus, outers[o], i);
		}
}

/* Handlers that wait until their time is over do not prolong the program's. */
TEST_F(nested, keeps_its_deadline)
{
	struct guest *g = &self->g;
	int irqs = 0;

	start(_metadata, self, variant->bus, guest_nested, 200 * NSEC_PER_MSEC);
	SHARED(g, outer) = SYNC_STORE;
	SHARED(g, inner) = OTHER_STORE;
	ASSERT_EQ(0, guest_start(g));
	while (!SHARED(g, outer_done) && irqs < 10) {
		/* the program, not the handler, waits at this moment */
		ASSERT_TRUE(waits_for_head(g));
		ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
		irqs++;
		ASSERT_TRUE(WAIT_UNTIL(SHARED(g, irqs_taken) == irqs));
		WAIT_UNTIL(SHARED(g, outer_done) ||
			   queue_flag(&g->q, PORTAL_RING_F_NEED_COMMIT));
	}
	EXPECT_GE(2, irqs);
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(1 + irqs, queue_info(&g->q).out_requests);
}

TEST_F(nested, store_is_single_stepped_once)
{
	struct guest *g = &self->g;
	struct portal_request req;
	__u64 begun;

	start(_metadata, self, variant->bus, guest_stepped, 0);
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_signals(g, 3));
	ASSERT_TRUE(queue_next(&g->q, &req));
	for (begun = now_ns(); now_ns() - begun < 20 * NSEC_PER_MSEC;)
		sched_yield();
	EXPECT_FALSE(guest_ended(g));
	ASSERT_EQ(0, queue_consume(&g->q));
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	EXPECT_EQ(1, g->value[0]);
	EXPECT_EQ(0, g->value[1]);
	EXPECT_EQ(1, queue_info(&g->q).out_requests);
}

static void guest_waits(void)
{
	guest_irq_on(GSI, false);
	guest_report(in(CALL));
	out(SYNC, 2);
	out(SHADOW, 3);
	guest_report(in(FENCED));
	GUEST_DONE();
}

static void count_irq(struct ex_regs *regs)
{
	__atomic_add_fetch(&irqs_taken, 1, __ATOMIC_SEQ_CST);
	guest_eoi();
}

TEST_F(nested, interrupts_and_memslots_do_not_wait_for_a_wait)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i, irqs = 0;
	__u64 took;

	start(_metadata, self, variant->bus, guest_waits, 0);
	vm_install_exception_handler(g->vm, IRQ_VECTOR, count_irq);
	ASSERT_EQ(0, guest_start(g));
	for (i = 0; i < 3; i++) {
		/* a CALL read, a SYNC write, a write with a FENCED read behind it */
		ASSERT_TRUE(queue_next(&g->q, &req));
		if (i)
			ASSERT_TRUE(waits_for_head(g));
		while (irqs < 10 * (i + 1)) {
			ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
			irqs++;
			ASSERT_TRUE(WAIT_UNTIL(SHARED(g, irqs_taken) == irqs)) {
				TH_LOG("interrupt %d in wait %d", irqs, i);
			}
		}
		took = guest_memslot_ns(g);
		EXPECT_GT(100 * NSEC_PER_MSEC, took);
		TH_LOG("wait %d: add and delete took %llu us", i, took / 1000);
		EXPECT_EQ(0, queue_ready(&g->q));
		*region_reg(&self->r, FENCED) = 77;
		ASSERT_EQ(0, queue_consume(&g->q));
		if (!i)
			ASSERT_EQ(0, queue_reply(&g->q, req.id, 66));
	}
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(66, g->value[0]);
	EXPECT_EQ(77, g->value[1]);
	EXPECT_EQ(3, queue_info(&g->q).out_requests);
}

TEST_HARNESS_MAIN
