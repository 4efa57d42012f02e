// SPDX-License-Identifier: GPL-2.0-only
/*
 * cross_test - misaligned accesses, and such that are only partly the region's
 */
#include "clerk.h"

#define HEAD	0x000		/* first and last range of the page, 32 bytes each */
#define TAIL	0xfe0
#define MIDDLE	0x800		/* SYNC, with SHADOW around it */
#define SMALL	(MMIO_GPA + 0x2000)	/* a region that ends within its page */
#define SMALL_LEN 0x12
#define ANSWER	0x99aabbccddeeff11ULL
#define VMM_HALF (VMM_VALUE * 0x0101U)

/* Virtual pages: RAM, the region, the region, RAM; the VMM's is behind it elsewhere. */
#define ALIAS	0xe0000000ULL
#define RAM_OURS (ALIAS + 0x1000 - 2)
#define OURS_OURS (ALIAS + 0x2000 - 2)
#define OURS_RAM (ALIAS + 0x3000 - 2)
#define OURS_VMM (MMIO_GPA + 0x1000 - 2)

FIXTURE(cross)
{
	struct clerk c;
	struct region small;
	vm_paddr_t ram;
};

FIXTURE_SETUP(cross)
{
}

FIXTURE_TEARDOWN(cross)
{
	guest_end(&self->c.g);
}

static int add(FIXTURE_DATA(cross) *self, __u32 bus, __u32 head, __u32 tail)
{
	struct portal_region_range ranges[] = {
		{ .offset = HEAD, .len = 32, .attr = head, .eventfd = -1 },
		{ .offset = TAIL, .len = 32, .attr = tail, .eventfd = -1 },
		RANGE(MIDDLE, 32, SYNC),
	};
	struct clerk *c = &self->c;

	return region_map(c->g.fd, &c->r, (struct portal_region_add)
			  REGION(c->g.q.id, bus == PORTAL_BUS_PIO ? PORT_BASE : MMIO_GPA, LEN,
				 ranges, 3, .bus = bus));
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(cross) *self)
{
	struct clerk *c = &self->c;
	struct kvm_vm *vm;

	*c = (struct clerk){ .answer = ANSWER };
	guest_init(_metadata, &c->g, guest_clerk);
	vm = c->g.vm;
	self->ram = vm_phy_pages_alloc(vm, 2, KVM_GUEST_PAGE_TABLE_MIN_PADDR, 0);
	virt_map(vm, ALIAS, self->ram, 1);
	virt_map(vm, ALIAS + 0x1000, MMIO_GPA, 1);
	virt_map(vm, ALIAS + 0x2000, MMIO_GPA, 1);
	virt_map(vm, ALIAS + 0x3000, self->ram + 0x1000, 1);
	ASSERT_EQ(0, guest_start(&c->g));
	ASSERT_EQ(0, guest_signals(&c->g, 3));
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(cross) *self)
{
	struct clerk *c = &self->c;

	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
	EXPECT_EQ(0, portal_vm_info(c->g.fd).out_timeouts);
	EXPECT_EQ(0, queue_info(&c->g.q).out_stale);
}

/* One write; true if it came as one request of @offset, @width and @value. */
static bool one_write(FIXTURE_DATA(cross) *self, __u64 addr, __u32 width, __u32 offset,
		      bool waits)
{
	struct op op = { .insn = OP_WRITE, .addr = addr, .width = width,
			 .value = 0xd1d2d3d4d5d6d7d8 };
	const struct portal_request *req = self->c.got;

	self->c.waits = waits;
	return !clerk_do(&self->c, &op) && self->c.nr_got == 1 && self->c.waited == waits &&
	       req->flags == PORTAL_REQ_F_WRITE && req->addr == offset && req->len == width &&
	       req->data[0] == op.value << (64 - 8 * width) >> (64 - 8 * width);
}

static __u64 one_read(FIXTURE_DATA(cross) *self, __u64 addr, __u32 width)
{
	struct op op = { .insn = OP_READ, .addr = addr, .width = width };

	return clerk_do(&self->c, &op) ? -1ULL : op.result;
}

TEST_F(cross, misaligned_inside_the_region)
{
	struct clerk *c = &self->c;
	int i;

	start(_metadata, self);
	ASSERT_EQ(0, add(self, PORTAL_BUS_MMIO, PORTAL_ATTR_CALL, PORTAL_ATTR_SYNC));
	for (i = 0; i < 16; i++)
		c->r.shadow[MIDDLE - 16 + i] = 0x10 + i;
	EXPECT_EQ(0x16151413, one_read(self, MMIO_GPA + MIDDLE - 13, 4));
	EXPECT_EQ(0x1817161514131211, one_read(self, MMIO_GPA + MIDDLE - 15, 8));
	EXPECT_TRUE(one_write(self, MMIO_GPA + MIDDLE - 13, 2, MIDDLE - 13, false));
	EXPECT_TRUE(one_write(self, MMIO_GPA + MIDDLE - 13, 8, MIDDLE - 13, false));
	/* the attribute of the first byte decides */
	EXPECT_TRUE(one_write(self, MMIO_GPA + MIDDLE - 2, 4, MIDDLE - 2, false));
	EXPECT_TRUE(one_write(self, MMIO_GPA + MIDDLE + 30, 4, MIDDLE + 30, true));
	for (i = 1; i < 8; i++)
		EXPECT_TRUE(one_write(self, MMIO_GPA + MIDDLE + i, 8, MIDDLE + i, true));
	/* all that is asked for is answered, however it lies */
	for (i = 1; i < 8; i++) {
		EXPECT_EQ(ANSWER, one_read(self, MMIO_GPA + HEAD + i, 8));
		ASSERT_EQ(1, c->nr_got);
		EXPECT_EQ(HEAD + i, c->got[0].addr);
		EXPECT_EQ(i % 4 ? 2 - i % 2 : 4, c->got[0].len);
	}
	EXPECT_EQ(0, c->g.vmm_mmio);
	end(_metadata, self);
}

TEST_F(cross, end_of_a_region_inside_a_page_is_the_vmms)
{
	struct clerk *c = &self->c;
	struct op op = { .insn = OP_WRITE, .width = 4, .addr = SMALL + SMALL_LEN - 2,
			 .value = 0x61626364 };
	struct portal_region_range range = RANGE(0, SMALL_LEN, SYNC);

	start(_metadata, self);
	ASSERT_EQ(0, region_map(c->g.fd, &self->small, (struct portal_region_add)
				REGION(c->g.q.id, SMALL, SMALL_LEN, &range, 1)));
	*region_reg(&self->small, SMALL_LEN - 2) = 0x71727374;
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(0, c->nr_got);
	EXPECT_EQ(1, c->g.vmm_mmio);
	EXPECT_EQ(op.addr, c->g.vmm_addr);
	EXPECT_EQ(4, c->g.vmm_len);
	EXPECT_EQ(op.value, c->g.vmm_data & 0xffffffff);
	EXPECT_EQ(VMM_HALF << 16 | VMM_HALF, one_read(self, op.addr, 4));
	EXPECT_EQ(2, c->g.vmm_mmio);
	/* the last that fits is ours */
	EXPECT_EQ(0x7374, one_read(self, op.addr, 2));
	EXPECT_TRUE(one_write(self, op.addr, 2, SMALL_LEN - 2, true));
	EXPECT_EQ(2, c->g.vmm_mmio);
	end(_metadata, self);
}

TEST_F(cross, ports_past_the_end_are_the_vmms)
{
	struct op op = { .insn = OP_WRITE, .width = 4, .port = 1, .value = 0x61626364,
			 .addr = PORT_BASE + LEN - 2 };
	struct clerk *c = &self->c;

	start(_metadata, self);
	ASSERT_EQ(0, add(self, PORTAL_BUS_PIO, PORTAL_ATTR_CALL, PORTAL_ATTR_SYNC));
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(0, c->nr_got);
	EXPECT_EQ(1, c->g.vmm_pio);
	EXPECT_EQ(op.addr, c->g.vmm_addr);
	EXPECT_EQ(4, c->g.vmm_len);
	EXPECT_EQ(op.value, c->g.vmm_data);
	op.insn = OP_READ;
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(VMM_HALF << 16 | VMM_HALF, op.result);
	/* misaligned, but ours */
	op.insn = OP_WRITE;
	op.addr = PORT_BASE + LEN - 5;
	c->waits = 1;
	ASSERT_EQ(0, clerk_do(c, &op));
	EXPECT_EQ(1, c->nr_got);
	EXPECT_EQ(1, c->waited);
	EXPECT_EQ(2, c->g.vmm_pio);
	end(_metadata, self);
}

/* ---- over the end of a page --------------------------------------------- */

enum other { OURS, RAM, VMM };

static bool reads(__u32 insn)
{
	return insn != OP_WRITE;
}

static bool writes(__u32 insn)
{
	return insn != OP_READ;
}

/* How many requests to a register of @attr an access waits for. */
static int waits_of(__u32 insn, __u32 attr)
{
	return (attr == PORTAL_ATTR_CALL && reads(insn)) +
	       ((attr == PORTAL_ATTR_CALL || attr == PORTAL_ATTR_SYNC) && writes(insn));
}

/* Two bytes at the end of a page, two at the beginning of the next. */
struct half {
	enum other who;
	__u32 offset, attr;	/* of OURS */
	__u16 *mem;		/* where the two bytes are, but for the VMM's */
};

static __u16 half_value(const struct half *h)
{
	if (h->who == VMM)
		return VMM_HALF;
	if (h->who == OURS && h->attr == PORTAL_ATTR_CALL)
		return (__u16)ANSWER;
	return *h->mem;
}

static void check(struct __test_metadata *_metadata, FIXTURE_DATA(cross) *self, __u32 insn,
		  __u64 addr, const struct half *h)
{
	struct op op = { .insn = insn, .width = 4, .addr = addr, .value = 0x41424344 };
	struct clerk *c = &self->c;
	struct portal_request *req = c->got;
	int i, want = 0, vmm = c->g.vmm_mmio;
	__u32 old, new;

	for (i = 0; i < 2; i++)
		if (h[i].mem)
			*h[i].mem = 0x3132 + 0x1010 * i;
	old = half_value(&h[0]) | (__u32)half_value(&h[1]) << 16;
	new = insn == OP_OR ? old | op.value : op.value;
	for (c->waits = i = 0; i < 2; i++)
		if (h[i].who == OURS && waits_of(insn, h[i].attr))
			c->waits = 4;	/* also what comes before it */
	ASSERT_EQ(0, clerk_do(c, &op));
	if (insn == OP_READ || insn == OP_XCHG)
		EXPECT_EQ(old, (__u32)op.result);
	for (i = 0; i < 2; i++) {
		want += h[i].who == OURS && h[i].attr == PORTAL_ATTR_CALL && reads(insn);
		want += h[i].who == OURS && writes(insn);
		if (h[i].who == VMM)
			EXPECT_EQ(vmm + reads(insn) + writes(insn), c->g.vmm_mmio);
		if (h[i].who == RAM && writes(insn))
			EXPECT_EQ((__u16)(new >> 16 * i), *h[i].mem);
	}
	EXPECT_EQ(want, c->nr_got) {
		TH_LOG("insn %u at %#llx, attributes %u and %u", insn, addr, h[0].attr, h[1].attr);
	}
	for (i = 0; i < 2 && want == c->nr_got; i++) {
		if (h[i].who != OURS || h[i].attr != PORTAL_ATTR_CALL || !reads(insn))
			continue;
		EXPECT_EQ(PORTAL_REQ_F_CALL, req->flags);
		EXPECT_EQ(h[i].offset, req->addr);
		req++;
	}
	for (i = 0; i < 2 && want == c->nr_got; i++) {
		if (h[i].who != OURS || !writes(insn))
			continue;
		EXPECT_EQ(PORTAL_REQ_F_WRITE, req->flags);
		EXPECT_EQ(h[i].offset, req->addr);
		EXPECT_EQ(2, req->len);
		EXPECT_EQ((__u16)(new >> 16 * i), req->data[0]);
		req++;
	}
	/* nothing is left that swallows or repeats the next store */
	for (i = 0; i < 2; i++)
		if (h[i].who == OURS && writes(insn)) {
			op = (struct op){ .insn = OP_WRITE, .width = 2,
					  .addr = MMIO_GPA + h[i].offset,
					  .value = (__u16)(new >> 16 * i) };
			c->waits = waits_of(OP_WRITE, h[i].attr);
			ASSERT_EQ(0, clerk_do(c, &op));
			EXPECT_EQ(1, c->nr_got);
			EXPECT_EQ(c->waits, c->waited);
		}
}

TEST_F(cross, each_half_is_done_once)
{
	static const __u32 attrs[] = { PORTAL_ATTR_SHADOW, PORTAL_ATTR_FENCED, PORTAL_ATTR_SYNC,
				       PORTAL_ATTR_CALL };
	static const __u32 insns[] = { OP_READ, OP_WRITE, OP_OR, OP_XCHG };
	struct clerk *c = &self->c;
	__u16 *ram;
	int i, k;

	start(_metadata, self);
	ram = addr_gpa2hva(c->g.vm, self->ram);
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, add(self, PORTAL_BUS_MMIO, attrs[i / 4], attrs[i % 4]));
		for (k = 0; k < 4; k++) {
			struct half head = { OURS, 0, attrs[i / 4], (__u16 *)c->r.shadow };
			struct half tail = { OURS, LEN - 2, attrs[i % 4],
					     (__u16 *)(c->r.shadow + LEN - 2) };

			check(_metadata, self, insns[k], OURS_OURS,
			      (struct half[]){ tail, head });
			if (i % 4 == 0)
				check(_metadata, self, insns[k], RAM_OURS,
				      (struct half[]){ { RAM, .mem = ram + 0x7ff }, head });
			if (i / 4)
				continue;
			check(_metadata, self, insns[k], OURS_RAM,
			      (struct half[]){ tail, { RAM, .mem = ram + 0x800 } });
			check(_metadata, self, insns[k], OURS_VMM,
			      (struct half[]){ tail, { VMM } });
		}
		ASSERT_EQ(0, portal_id(c->g.fd, PORTAL_REGION_DEL, c->r.arg.out_region_id));
		region_unmap(&c->r);
	}
	end(_metadata, self);
}

TEST_HARNESS_MAIN
