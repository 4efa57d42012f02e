// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmio_test - registers, touched by the instructions of a real guest
 */
#include "portal_kvm.h"

#define LEN	0x1000
#define PLAIN	0x00
#define FENCED	0x10
#define SYNC	0x20	/* 32 bytes */
#define CALL	0x40
#define ACK	0x50
#define BELL	0x60
#define STATUS	0x80	/* what the owner makes of the writes */
#define PORT	0x5000
#define PORT_CALL 0x5004
#define NR	20
#define VMM_ANSWER (VMM_VALUE * 0x01010101U)

static void guest_plain(void)
{
	volatile __u64 *q = (void *)(MMIO_GPA + 8);
	volatile __u16 *w = (void *)(MMIO_GPA + 8);
	volatile __u8 *b = (void *)(MMIO_GPA + 8);

	guest_report(*q);
	guest_report(guest_readl(MMIO_GPA + 8));
	guest_report(*w);
	guest_report(*b);
	*q = 0xa1a2a3a4a5a6a7a8;
	guest_writel(MMIO_GPA + 8, 0xb1b2b3b4);
	*w = 0xc1c2;
	*b = 0xd1;
	GUEST_DONE();
}

static void guest_rmw(void)
{
	asm volatile("addl $5, (%0)" : : "r"(MMIO_GPA + PLAIN) : "memory");
	asm volatile("addl $7, (%0)" : : "r"(MMIO_GPA + SYNC) : "memory");
	asm volatile("orb $1, (%0)" : : "r"(MMIO_GPA + SYNC) : "memory");
	GUEST_DONE();
}

static void guest_sync(void)
{
	int i;

	for (i = 1; i <= NR; i++) {
		guest_writel(MMIO_GPA + SYNC, i);
		guest_report(guest_readl(MMIO_GPA + STATUS));
	}
	GUEST_DONE();
}

static void guest_rep_stos(void)
{
	__u64 di = MMIO_GPA + SYNC, cx = 8;

	asm volatile("rep stosl" : "+D"(di), "+c"(cx) : "a"(0x51515151) : "memory");
	guest_report(di - MMIO_GPA);
	guest_writel(MMIO_GPA + SYNC, 1);
	guest_report(guest_readl(MMIO_GPA + STATUS));
	GUEST_DONE();
}

static void guest_call(void)
{
	int i;

	for (i = 0; i < NR; i++)
		guest_report(guest_readl(MMIO_GPA + CALL));
	GUEST_DONE();
}

static void guest_call_until_gone(void)
{
	__u32 value = guest_readl(MMIO_GPA + CALL);

	guest_report(value);
	while (value == 0xffffffff)
		value = guest_readl(MMIO_GPA + CALL);
	guest_report(value);
	GUEST_DONE();
}

static void guest_fenced(void)
{
	int i;

	for (i = 1; i <= NR; i++) {
		guest_writel(MMIO_GPA + PLAIN, i);
		guest_report(guest_readl(MMIO_GPA + FENCED));
	}
	GUEST_DONE();
}

static void guest_ack_and_bell(void)
{
	guest_writel(MMIO_GPA + ACK, 0x0f);
	guest_report(guest_readl(MMIO_GPA + STATUS));
	guest_writel(MMIO_GPA + BELL, 1);
	guest_writel(MMIO_GPA + BELL, 1);
	guest_writel(MMIO_GPA + BELL, 2);
	GUEST_DONE();
}

static void guest_outside(void)
{
	guest_report(guest_readl(MMIO_GPA + LEN));
	guest_report(guest_readl(MMIO_GPA + LEN - 2));
	guest_report(guest_readl(MMIO_GPA + LEN - 4));
	guest_writel(MMIO_GPA + LEN, 1);
	GUEST_DONE();
}

static void guest_ports(void)
{
	static const __u32 data[4] = { 11, 12, 13, 14 };
	const __u32 *si = data;
	__u64 cx = 4;
	__u32 value;

	asm volatile("outl %0, %w1" : : "a"(0x12345678), "d"(PORT));
	asm volatile("inl %w1, %0" : "=a"(value) : "d"(PORT));
	guest_report(value);
	asm volatile("inl %w1, %0" : "=a"(value) : "d"(PORT_CALL));
	guest_report(value);
	asm volatile("rep outsl" : "+S"(si), "+c"(cx) : "d"(PORT) : "memory");
	asm volatile("inb %w1, %b0" : "=a"(value) : "d"(PORT + 0x100));
	guest_report(value & 0xff);
	GUEST_DONE();
}

FIXTURE(mmio)
{
	struct guest g;
	struct region r;
	int ev;
};

FIXTURE_SETUP(mmio)
{
	self->ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

FIXTURE_TEARDOWN(mmio)
{
	guest_end(&self->g);
}

/* add: a region with a range of each attribute. */
static int add(FIXTURE_DATA(mmio) *self)
{
	struct portal_region_range ranges[] = {
		RANGE(FENCED, 4, FENCED), RANGE(SYNC, 32, SYNC), RANGE(CALL, 4, CALL),
		RANGE(ACK, 4, ACK, .aux = STATUS),
		RANGE(BELL, 4, DOORBELL, .datamatch = 1, .eventfd = self->ev,
		      .flags = PORTAL_RANGE_F_DATAMATCH | PORTAL_RANGE_F_EVENTFD),
	};

	return region_map(self->g.fd, &self->r, (struct portal_region_add)
			  REGION(self->g.q.id, MMIO_GPA, LEN, ranges, 5));
}

static volatile __u32 *reg(FIXTURE_DATA(mmio) *self, __u32 offset)
{
	return region_reg(&self->r, offset);
}

#define START(code) do {				\
	guest_init(_metadata, &self->g, code);		\
	ASSERT_EQ(0, add(self));			\
	ASSERT_EQ(0, guest_start(&self->g));		\
} while (0)

/* parked: the vCPU waits for the owner to consume. */
static bool parked(struct guest *g)
{
	return WAIT_UNTIL(queue_flag(&g->q, PORTAL_RING_F_NEED_COMMIT));
}

static void work_10_ms(void)
{
	__u64 start = now_ns();

	while (now_ns() - start < 10 * NSEC_PER_MSEC)
		sched_yield();
}

TEST_F(mmio, plain_accesses_of_every_width)
{
	static const __u64 written[] = { 0xa1a2a3a4a5a6a7a8, 0xb1b2b3b4, 0xc1c2, 0xd1 };
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	guest_init(_metadata, g, guest_plain);
	ASSERT_EQ(0, add(self));
	*(__u64 *)(self->r.shadow + 8) = 0x1122334455667788;
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(0x1122334455667788, g->value[0]);
	EXPECT_EQ(0x55667788, g->value[1]);
	EXPECT_EQ(0x7788, g->value[2]);
	EXPECT_EQ(0x88, g->value[3]);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(8, req.addr);
		EXPECT_EQ(8 >> i, req.len);
		EXPECT_EQ(written[i], req.data[0]);
	}
	EXPECT_EQ(0, queue_ready(&g->q));
	EXPECT_EQ(0, g->vmm_mmio);
	EXPECT_EQ(4, portal_vm_info(g->fd).out_shadow_reads);
}

TEST_F(mmio, read_modify_write)
{
	static const struct {
		__u32 offset, len, value;
	} want[] = { { PLAIN, 4, 105 }, { SYNC, 4, 1007 }, { SYNC, 1, 0xd1 } };
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	guest_init(_metadata, g, guest_rmw);
	ASSERT_EQ(0, add(self));
	*reg(self, PLAIN) = 100;
	*reg(self, SYNC) = 200;
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(want[i].offset, req.addr);
		EXPECT_EQ(want[i].len, req.len);
		EXPECT_EQ(want[i].value, req.data[0]);
		work_10_ms();
		/* done again, the instruction would read what came of it */
		*reg(self, SYNC) = 1000 * (i + 1);
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	EXPECT_EQ(3, queue_info(&g->q).out_requests);
}

TEST_F(mmio, sync_write_has_its_effect_at_the_next_instruction)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_sync);
	for (i = 1; i <= NR; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
		ASSERT_TRUE(parked(g));
		*reg(self, STATUS) = 1000 + i;
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	for (i = 1; i <= NR; i++)
		EXPECT_EQ(1000 + i, g->value[i - 1]);
	EXPECT_EQ(NR, queue_info(&g->q).out_requests);
}

TEST_F(mmio, sync_write_is_posted_exactly_once_under_signals)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_sync);
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 1; i <= NR; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
		work_10_ms();
		*reg(self, STATUS) = 1000 + i;
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	for (i = 1; i <= NR; i++)
		EXPECT_EQ(1000 + i, g->value[i - 1]);
	EXPECT_EQ(NR, queue_info(&g->q).out_requests);
	EXPECT_LE(NR, g->eintr);
	TH_LOG("%d EINTR in %d writes", g->eintr, NR);
}

TEST_F(mmio, string_store_on_a_sync_register)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_rep_stos);
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 0; i < 9; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(SYNC + (i < 8 ? 4 * i : 0), req.addr);
		EXPECT_EQ(4, req.len);
		EXPECT_EQ(i < 8 ? 0x51515151 : 1, req.data[0]);
		work_10_ms();
		*reg(self, STATUS) = 100 + i;
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	EXPECT_EQ(SYNC + 32, g->value[0]);
	EXPECT_EQ(108, g->value[1]);
	EXPECT_EQ(9, queue_info(&g->q).out_requests);
}

TEST_F(mmio, call_read_is_answered_exactly_once_under_signals)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_call);
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 0; i < NR; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
		EXPECT_EQ(PORTAL_KIND_MMIO, req.kind);
		EXPECT_EQ(CALL, req.addr);
		EXPECT_EQ(4, req.len);
		work_10_ms();
		ASSERT_EQ(0, queue_consume(&g->q));
		ASSERT_EQ(0, queue_reply(&g->q, req.id, 0xdead0000 + i));
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0xdead0000 + i, g->value[i]);
	EXPECT_EQ(NR, portal_vm_info(g->fd).out_calls);
	EXPECT_EQ(0, queue_info(&g->q).out_stale);
	EXPECT_LE(NR, g->eintr);
}

TEST_F(mmio, fenced_read_sees_the_effect_of_the_write_before_it)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	START(guest_fenced);
	for (i = 1; i <= NR; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(i, req.data[0]);
		ASSERT_TRUE(parked(g));
		*reg(self, FENCED) = 2000 + i;
		ASSERT_EQ(0, queue_consume(&g->q));
	}
	ASSERT_EQ(0, guest_join(g));
	for (i = 1; i <= NR; i++)
		EXPECT_EQ(2000 + i, g->value[i - 1]);
}

TEST_F(mmio, ack_and_doorbell)
{
	struct guest *g = &self->g;
	struct portal_request req;
	eventfd_t n = 0;

	guest_init(_metadata, g, guest_ack_and_bell);
	ASSERT_EQ(0, add(self));
	*reg(self, STATUS) = 0xff;
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(0xf0, g->value[0]);
	EXPECT_EQ(0xf0, *reg(self, STATUS));
	EXPECT_EQ(0, eventfd_read(self->ev, &n));
	EXPECT_EQ(2, n);
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(2, req.data[0]);
	EXPECT_EQ(0, queue_ready(&g->q));
}

TEST_F(mmio, what_is_not_ours_goes_to_the_vmm)
{
	struct guest *g = &self->g;

	START(guest_outside);
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(VMM_ANSWER, g->value[0]);
	/* the half in the region is the VMM's too or the shadow's, the other its */
	EXPECT_EQ(VMM_VALUE * 0x0101U, g->value[1] >> 16);
	EXPECT_EQ(0, g->value[2]);
	EXPECT_LE(3, g->vmm_mmio);
	EXPECT_EQ(MMIO_GPA + LEN, g->vmm_addr);
	EXPECT_EQ(0, queue_ready(&g->q));
}

TEST_F(mmio, ports)
{
	struct portal_region_range range = RANGE(4, 4, CALL);
	struct guest *g = &self->g;
	struct portal_request req;
	int i;

	guest_init(_metadata, g, guest_ports);
	ASSERT_EQ(0, region_map(g->fd, &self->r, (struct portal_region_add)
				REGION(g->q.id, PORT, 8, &range, 1, .bus = PORTAL_BUS_PIO)));
	*reg(self, 0) = 0xcafe;
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(PORTAL_KIND_PIO, req.kind);
	EXPECT_EQ(0, req.addr);
	EXPECT_EQ(4, req.len);
	EXPECT_EQ(0x12345678, req.data[0]);
	ASSERT_EQ(0, queue_answer(&g->q, &req, 0xbeef));
	EXPECT_EQ(4, req.addr);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(11 + i, req.data[0]);
	}
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(1, g->vmm_pio);
	EXPECT_EQ(VMM_VALUE, g->value[2]);
	EXPECT_EQ(0xcafe, g->value[0]);
	EXPECT_EQ(0xbeef, g->value[1]);
}

TEST_F(mmio, region_over_what_is_there_is_eexist)
{
	struct guest *g = &self->g;

	START(guest_plain);
#define AT(_gpa, _len) region_add(g->fd, (struct portal_region_add)		\
				  REGION(g->q.id, _gpa, _len, NULL, 0))
	EXPECT_ERRNO(EEXIST, AT(0, 16));
	EXPECT_ERRNO(EEXIST, AT(0x100000, 0x1000));
	EXPECT_ERRNO(EEXIST, AT(IOAPIC_GPA, 0x100));
	EXPECT_ERRNO(EEXIST, AT(IOAPIC_GPA - 8, 0x10));
	EXPECT_ERRNO(EEXIST, AT(MMIO_GPA + LEN - 4, 8));
	EXPECT_LT(0, AT(MMIO_GPA + LEN, 8));
	EXPECT_ERRNO(EEXIST, region_add(g->fd, (struct portal_region_add)
					REGION(g->q.id, 0x20, 2, NULL, 0, .bus = PORTAL_BUS_PIO)));
#undef AT
	ASSERT_EQ(0, guest_join(g));
}

TEST_F(mmio, region_can_go_while_the_guest_waits_in_it)
{
	struct guest *g = &self->g;
	struct portal_request req;

	START(guest_call_until_gone);
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(0, g->vmm_mmio);
	ASSERT_EQ(0, portal_id(g->fd, PORTAL_REGION_DEL, self->r.arg.out_region_id));
	ASSERT_EQ(0, guest_join(g));
	/* nobody answers while it goes, then the VMM does */
	EXPECT_TRUE(g->value[0] == 0xffffffff || g->value[0] == VMM_ANSWER);
	EXPECT_EQ(VMM_ANSWER, g->value[1]);
	EXPECT_EQ(0, queue_ready(&g->q));
}

TEST_HARNESS_MAIN
