// SPDX-License-Identifier: GPL-2.0-only
/*
 * string_test - rep string instructions on registers of each attribute
 */
#include "clerk.h"

#define COUNT	4
#define NR_REGS	6
#define OFFSET(reg)	((reg) * 0x40)	/* 32 bytes each */
#define AUX	LEN
#define ANSWER	0x99aabbccddeeff11ULL

static const __u32 attrs[NR_REGS] = {
	PORTAL_ATTR_SHADOW, PORTAL_ATTR_FENCED, PORTAL_ATTR_ACK, PORTAL_ATTR_DOORBELL,
	PORTAL_ATTR_SYNC, PORTAL_ATTR_CALL,
};

FIXTURE(string)
{
	struct clerk c;
};

FIXTURE_VARIANT(string)
{
	bool pio;
};

FIXTURE_VARIANT_ADD(string, mmio) { .pio = false };
FIXTURE_VARIANT_ADD(string, pio) { .pio = true };

FIXTURE_SETUP(string)
{
	struct portal_region_range ranges[NR_REGS];
	int i;

	for (i = 0; i < NR_REGS; i++)
		ranges[i] = (struct portal_region_range){
			.offset = OFFSET(i), .len = 0x20, .attr = attrs[i], .eventfd = -1,
			.flags = attrs[i] == PORTAL_ATTR_ACK ? PORTAL_RANGE_F_POST : 0,
			.aux = attrs[i] == PORTAL_ATTR_ACK ? AUX : 0,
		};
	ASSERT_EQ(0, clerk_start(_metadata, &self->c, variant->pio, ranges, NR_REGS));
	ASSERT_EQ(0, guest_signals(&self->c.g, 3));
}

FIXTURE_TEARDOWN(string)
{
	guest_end(&self->c.g);
}

/* must_wait: does a store to, or a load from a register wait? */
static bool must_wait(__u32 attr, bool store)
{
	return attr == PORTAL_ATTR_CALL || (attr == PORTAL_ATTR_SYNC && store);
}

static struct op make(bool pio, __u32 insn, __u32 width, int reg)
{
	return (struct op) {
		.insn = insn, .width = width, .port = pio, .count = COUNT,
		.addr = (pio ? PORT_BASE : MMIO_GPA) + OFFSET(reg),
		.value = 0x5152535455565758,
	};
}

static __u64 value_of(const void *p, __u32 width)
{
	__u64 value = 0;

	memcpy(&value, p, width);
	return value;
}

/* One string store; each element is to come once, in order. */
static void check_store(struct __test_metadata *_metadata, struct clerk *c, struct op op, int reg)
{
	__u32 offset = OFFSET(reg), step = op.port ? 0 : op.width, i;
	__u64 value;

	for (i = 0; i < sizeof(desk.buf); i++)
		clerk_desk(c)->buf[i] = 0xa0 + i;
	c->waits = must_wait(attrs[reg], true) ? COUNT : 0;
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(op.width * COUNT, op.result);
	ASSERT_EQ(COUNT, c->nr_got) {
		TH_LOG("insn %u width %u attribute %u", op.insn, op.width, attrs[reg]);
	}
	EXPECT_EQ(c->waits, c->waited);
	for (i = 0; i < COUNT; i++) {
		value = op.insn == OP_REP_STOS ?
			value_of(&op.value, op.width) :
			value_of((void *)&clerk_desk(c)->buf[i * op.width], op.width);
		EXPECT_EQ(PORTAL_REQ_F_WRITE, c->got[i].flags);
		EXPECT_EQ(offset + i * step, c->got[i].addr);
		EXPECT_EQ(op.width, c->got[i].len);
		EXPECT_EQ(value, c->got[i].data[0]);
	}
	/* nothing is left of it that swallows the same store again */
	op.insn = OP_WRITE;
	c->waits = !!c->waits;
	op.value = c->got[0].data[0];
	ASSERT_EQ(0, clerk_do(c, &op));
	ASSERT_EQ(1, c->nr_got) {
		TH_LOG("after it: width %u attribute %u", op.width, attrs[reg]);
	}
	EXPECT_EQ(offset, c->got[0].addr);
	EXPECT_EQ(op.value, c->got[0].data[0]);
}

TEST_F(string, store_is_posted_once_for_each_element)
{
	bool pio = variant->pio;
	struct clerk *c = &self->c;
	int reg, width, nr = 0;

	for (reg = 0; reg < NR_REGS; reg++)
		for (width = 1; width <= (pio ? 4 : 8); width *= 2) {
			check_store(_metadata, c, make(pio, OP_REP_STORE, width, reg), reg);
			nr++;
			if (pio)
				continue;
			check_store(_metadata, c, make(pio, OP_REP_STOS, width, reg), reg);
			nr++;
		}
	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
	EXPECT_EQ(nr * (COUNT + 1), queue_info(&c->g.q).out_requests);
	EXPECT_EQ(0, portal_vm_info(c->g.fd).out_timeouts);
	EXPECT_EQ(0, c->g.vmm_mmio + c->g.vmm_pio);
}

/* One string load; what the registers were is to be in the buffer. */
static void check_load(struct __test_metadata *_metadata, struct clerk *c, struct op op, int reg)
{
	bool call = attrs[reg] == PORTAL_ATTR_CALL;
	__u32 offset = OFFSET(reg), step = op.port ? 0 : op.width, i;
	__u64 value;

	for (i = 0; i < 0x20; i++)
		c->r.shadow[offset + i] = 0xb0 + i;
	c->answer = ANSWER;
	c->step = 1;
	c->waits = call ? COUNT : 0;
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(op.width * COUNT, op.result);
	ASSERT_EQ(call ? COUNT : 0, c->nr_got);
	EXPECT_EQ(c->nr_got, c->waited);
	for (i = 0; i < COUNT; i++) {
		value = ANSWER + i;
		value = call ? value_of(&value, op.width) :
			value_of(c->r.shadow + offset + i * step, op.width);
		EXPECT_EQ(value, value_of((void *)&clerk_desk(c)->buf[i * op.width], op.width)) {
			TH_LOG("element %u width %u attribute %u", i, op.width, attrs[reg]);
		}
		if (!call)
			continue;
		EXPECT_EQ(PORTAL_REQ_F_CALL, c->got[i].flags);
		EXPECT_EQ(offset + i * step, c->got[i].addr);
	}
}

TEST_F(string, load_gets_each_element_once)
{
	bool pio = variant->pio;
	struct clerk *c = &self->c;
	int reg, width, calls = 0;

	for (reg = 0; reg < NR_REGS; reg++)
		for (width = 1; width <= (pio ? 4 : 8); width *= 2) {
			check_load(_metadata, c, make(pio, OP_REP_LOAD, width, reg), reg);
			calls += attrs[reg] == PORTAL_ATTR_CALL ? COUNT : 0;
		}
	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
	EXPECT_EQ(calls, portal_vm_info(c->g.fd).out_calls);
	EXPECT_EQ(calls, queue_info(&c->g.q).out_requests);
	EXPECT_EQ(0, queue_info(&c->g.q).out_stale);
	EXPECT_EQ(0, c->g.vmm_mmio + c->g.vmm_pio);
}

/* The elements after the first are fenced too. */
TEST_F(string, load_of_fenced_registers_sees_the_write_before_it)
{
	struct op write = make(variant->pio, OP_WRITE, 4, 0);
	struct op load = make(variant->pio, OP_REP_LOAD, 4, 1);
	struct clerk *c = &self->c;

	c->waits = 1;
	*region_reg(&c->r, OFFSET(1)) = 1;
	ASSERT_EQ(0, clerk_post(c, &write));
	clerk_put(c, &load);
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&c->g.q, PORTAL_RING_F_NEED_COMMIT)));
	*region_reg(&c->r, OFFSET(1)) = 2;
	*region_reg(&c->r, OFFSET(1) + 4) = variant->pio ? 1 : 2;
	ASSERT_EQ(0, clerk_finish(c, &load));
	EXPECT_EQ(2, value_of((void *)clerk_desk(c)->buf, 4));
	EXPECT_EQ(2, value_of((void *)clerk_desk(c)->buf + 4, 4));
	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
}

/* ---- they wait in place ------------------------------------------------- */

#define FAR	0x2000		/* a second region, of its own time-out */

static int add_far(struct clerk *c, bool pio, __u64 timeout_ns)
{
	struct portal_region_range range = RANGE(0, 0x20, SYNC);
	struct portal_region_add region = REGION(c->g.q.id, (pio ? PORT_BASE : MMIO_GPA) + FAR,
						 0x20, &range, 1, .bus = pio,
						 .timeout_ns = timeout_ns);

	return region_add(c->g.fd, region);
}

TEST_F(string, nobody_serves_ends_by_the_time_out)
{
	struct op op = make(variant->pio, OP_REP_STORE, 4, 0);
	struct clerk *c = &self->c;
	__u64 start = now_ns();

	ASSERT_LT(0, add_far(c, variant->pio, 100 * NSEC_PER_MSEC));
	op.addr += FAR;
	ASSERT_EQ(0, clerk_post(c, &op));
	EXPECT_LE(COUNT * 100 * NSEC_PER_MSEC, now_ns() - start);
	EXPECT_EQ(COUNT, queue_ready(&c->g.q));
	EXPECT_EQ(COUNT, portal_vm_info(c->g.fd).out_timeouts);
	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
}

/* vmm: a process whose vCPU waits in a string store; tells it by @ready */
static void vmm(struct __test_metadata *_metadata, bool pio, int ready)
{
	struct op op = make(pio, OP_REP_STORE, 4, 0);
	struct clerk c = { 0 };

	guest_init(_metadata, &c.g, guest_clerk);
	ASSERT_LT(0, add_far(&c, pio, 600 * NSEC_PER_SEC));
	ASSERT_EQ(0, guest_start(&c.g));
	op.addr += FAR;
	clerk_put(&c, &op);
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&c.g.q, PORTAL_RING_F_NEED_COMMIT)));
	ASSERT_EQ(1, write(ready, "x", 1));
	pause();
}

TEST_F(string, who_waits_in_one_can_be_killed)
{
	int ready[2], pid, status;
	char byte;

	ASSERT_EQ(0, guest_signals(&self->c.g, 0));
	ASSERT_EQ(0, clerk_end(&self->c));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		vmm(_metadata, variant->pio, ready[1]);
		_exit(1);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_TRUE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
}

TEST_HARNESS_MAIN
