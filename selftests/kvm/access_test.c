// SPDX-License-Identifier: GPL-2.0-only
/*
 * access_test - every attribute by every width and instruction, on both buses,
 * against a model of what must come of it
 */
#include "clerk.h"

/* Ranges of 8 bytes; their aux words follow the region. */
enum reg {
	SHADOW, FENCED, ACK, ACK_POST, SYNC, BELL, BELL_MATCH, BELL_WIDTH, BELL_COUNT, CALL, NR_REGS
};

#define OFFSET(reg)	((reg) * 0x10)
#define AUX(reg)	(LEN + (reg) * 4)
#define MATCH		0x5aU
#define WIDTH		2
#define AUX_BITS	0xf0f0f0f0U
#define ANSWER		0x99aabbccddeeff11ULL
#define EFFECT		0x2122232425262728ULL	/* what a FENCED read must see */
#define OLD		0x1112131415161718ULL

FIXTURE(access)
{
	struct clerk c;
	int match, width;	/* eventfds */
};

FIXTURE_VARIANT(access)
{
	__u32 bus;
	bool signals;
};

FIXTURE_VARIANT_ADD(access, mmio) { .bus = PORTAL_BUS_MMIO };
FIXTURE_VARIANT_ADD(access, mmio_signals) { .bus = PORTAL_BUS_MMIO, .signals = true };
FIXTURE_VARIANT_ADD(access, pio) { .bus = PORTAL_BUS_PIO };
FIXTURE_VARIANT_ADD(access, pio_signals) { .bus = PORTAL_BUS_PIO, .signals = true };

FIXTURE_SETUP(access)
{
	self->match = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->width = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

FIXTURE_TEARDOWN(access)
{
	guest_end(&self->c.g);
}

static __u64 mask(__u32 width)
{
	return ~0ULL >> (64 - 8 * width);
}

static void shadow_set(struct clerk *c, enum reg reg, __u64 value)
{
	memcpy(c->r.shadow + OFFSET(reg), &value, 8);
}

/* The plugin: whatever is written, FENCED and SYNC show EFFECT when it is consumed. */
static void work(struct clerk *c, const struct portal_request *req)
{
	if (!(req->flags & PORTAL_REQ_F_WRITE))
		return;
	shadow_set(c, FENCED, EFFECT);
	shadow_set(c, SYNC, EFFECT);
}

static int start(struct __test_metadata *_metadata, FIXTURE_DATA(access) *self,
		 const FIXTURE_VARIANT(access) *variant)
{
	struct portal_region_range ranges[] = {
		RANGE(OFFSET(FENCED), 8, FENCED),
		RANGE(OFFSET(ACK), 8, ACK, .aux = AUX(ACK)),
		RANGE(OFFSET(ACK_POST), 8, ACK, .aux = AUX(ACK_POST),
		      .flags = PORTAL_RANGE_F_POST),
		RANGE(OFFSET(SYNC), 8, SYNC),
		RANGE(OFFSET(BELL), 8, DOORBELL),
		RANGE(OFFSET(BELL_MATCH), 8, DOORBELL, .datamatch = MATCH, .eventfd = self->match,
		      .flags = PORTAL_RANGE_F_DATAMATCH | PORTAL_RANGE_F_EVENTFD),
		RANGE(OFFSET(BELL_WIDTH), 8, DOORBELL, .width = WIDTH, .eventfd = self->width,
		      .flags = PORTAL_RANGE_F_EVENTFD),
		RANGE(OFFSET(BELL_COUNT), 8, DOORBELL, .aux = AUX(BELL_COUNT),
		      .flags = PORTAL_RANGE_F_COUNT),
		RANGE(OFFSET(CALL), 8, CALL),
	};
	int ret = clerk_start(_metadata, &self->c, variant->bus, ranges, 9);

	self->c.answer = ANSWER;
	self->c.work = work;
	if (!ret && variant->signals)
		ret = guest_signals(&self->c.g, 3);
	return ret;
}

static bool reads(__u32 insn)
{
	return insn != OP_WRITE;
}

static bool writes(__u32 insn)
{
	return insn != OP_READ;
}

/* What @op stores if it reads @old, and leaves in its register. */
static __u64 stored(const struct op *op, __u64 old, __u64 *result)
{
	__u64 m = mask(op->width), v = op->value & m;

	*result = v;
	switch (op->insn) {
	case OP_READ:
	case OP_CMPXCHG_MISS:
		*result = old;
		return old;
	case OP_OR:
		return old | v;
	case OP_INC:
		return (old + 1) & m;
	case OP_XCHG:
	case OP_CMPXCHG:
		*result = old;
		return v;
	}
	return v;
}

static eventfd_t rung(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) ? 0 : n;
}

/* One op on one register; true if all is as the model says. */
static bool check(struct __test_metadata *_metadata, FIXTURE_DATA(access) *self, enum reg reg,
		  struct op op, bool behind_a_write)
{
	struct clerk *c = &self->c;
	__u64 old, new, result, m = mask(op.width);
	struct portal_request *req = c->got;
	bool posted = writes(op.insn), bell = false;
	__u32 aux = AUX_BITS, count;
	int calls, posts, waits, failed = 0, i;

#define SAME(expected, seen) do {						\
	__u64 _e = (expected), _s = (seen);					\
										\
	if (_e != _s) {								\
		TH_LOG("insn %u width %u register %u: " #seen " is %#llx, not %#llx",	\
		       op.insn, op.width, reg, _s, _e);				\
		failed++;							\
	}									\
} while (0)

	for (i = 0; i < NR_REGS; i++)
		shadow_set(c, i, OLD);
	*region_reg(&c->r, AUX(ACK)) = AUX_BITS;
	*region_reg(&c->r, AUX(ACK_POST)) = AUX_BITS;
	count = *region_reg(&c->r, AUX(BELL_COUNT)) = op.value & 1 ? 3 : 0;

	old = reg == CALL ? ANSWER : OLD;
	if (behind_a_write && (reg == FENCED || reg == SYNC) && reads(op.insn))
		old = EFFECT;
	old &= m;
	op.expect = op.insn == OP_CMPXCHG_MISS ? old ^ 1 : old;
	new = stored(&op, old, &result);

	calls = reg == CALL && reads(op.insn);
	waits = calls + (posted && (reg == SYNC || reg == CALL));
	if (behind_a_write)
		waits += reg == SYNC || reg == CALL || (reg == FENCED && reads(op.insn));
	c->waits = waits;
	if (behind_a_write) {
		struct op before = op;

		before.addr -= OFFSET(reg) - OFFSET(SHADOW);
		before.insn = OP_WRITE;
		before.value = 0x77;
		ASSERT_EQ(0, clerk_post(c, &before)) {
			TH_LOG("write before insn %u width %u register %u: %s", op.insn, op.width,
			       reg, c->g.failure);
		}
	}
	ASSERT_EQ(0, clerk_do(c, &op)) {
		TH_LOG("insn %u width %u register %u: %s", op.insn, op.width, reg, c->g.failure);
	}

	switch (reg) {
	case ACK:
	case ACK_POST:
		if (posted)
			aux &= ~(__u32)new;
		SAME(aux, *region_reg(&c->r, AUX(reg)));
		posted = posted && reg == ACK_POST;
		break;
	case BELL_MATCH:
		bell = posted && new == MATCH;
		break;
	case BELL_WIDTH:
		bell = posted && op.width == WIDTH;
		break;
	case BELL_COUNT:
		SAME(posted ? count + 1 : count, *region_reg(&c->r, AUX(reg)));
		posted = posted && !count;
		break;
	default:
		break;
	}
	posts = posted && !bell;
	SAME(reg == BELL_MATCH && bell, rung(self->match));
	SAME(reg == BELL_WIDTH && bell, rung(self->width));
	SAME(result, op.result & m);
	SAME(behind_a_write + calls + posts, c->nr_got);
	if (failed)
		return false;

	if (behind_a_write) {
		SAME(0x77, req->data[0]);
		req++;
	}
	if (calls) {
		SAME(PORTAL_REQ_F_CALL, req->flags);
		SAME(OFFSET(reg), req->addr);
		SAME(8, req->len);
		req++;
	}
	if (posts) {
		SAME(PORTAL_REQ_F_WRITE | (reg == BELL_COUNT ? PORTAL_REQ_F_COUNTED : 0),
		     req->flags);
		SAME(op.port ? PORTAL_KIND_PIO : PORTAL_KIND_MMIO, req->kind);
		SAME(OFFSET(reg), req->addr);
		SAME(op.width, req->len);
		SAME(new, req->data[0]);
		SAME(reg == BELL_COUNT ? AUX(reg) : 0, req->data[1]);
	}
	/* it waited for what it must wait for, and for nothing else */
	SAME(waits, c->waited);
#undef SAME
	return !failed;
}

TEST_F(access, does_what_its_attribute_says)
{
	bool pio = variant->bus == PORTAL_BUS_PIO;
	struct clerk *c = &self->c;
	int reg, insn, width, nr = 0, requests = 0;

	ASSERT_EQ(0, start(_metadata, self, variant));
	for (reg = 0; reg < NR_REGS; reg++)
		for (width = 1; width <= (pio ? 4 : 8); width *= 2)
			for (insn = 0; insn <= (pio ? OP_WRITE : OP_CMPXCHG_MISS); insn++) {
				struct op op = {
					.insn = insn, .port = pio, .width = width,
					.addr = (pio ? PORT_BASE : MMIO_GPA) + OFFSET(reg),
					.value = 0x8182838485868788 + nr++ % 7,
				};

				EXPECT_TRUE(check(_metadata, self, reg, op, false));
				requests += c->nr_got;
				op.value = MATCH;
				EXPECT_TRUE(check(_metadata, self, reg, op, true));
				requests += c->nr_got;
			}
	ASSERT_EQ(0, guest_signals(&c->g, 0));
	ASSERT_EQ(0, clerk_end(c));
	EXPECT_EQ(requests, queue_info(&c->g.q).out_requests);
	EXPECT_EQ(0, queue_info(&c->g.q).out_stale);
	EXPECT_EQ(0, portal_vm_info(c->g.fd).out_timeouts);
	EXPECT_EQ(0, c->g.vmm_mmio + c->g.vmm_pio);
	if (variant->signals)
		EXPECT_LT(nr / 10, portal_vm_info(c->g.fd).out_restarts);
	TH_LOG("%d accesses, %d requests, %d EINTR, %llu restarts", 2 * nr, requests, c->g.eintr,
	       portal_vm_info(c->g.fd).out_restarts);
}

TEST_HARNESS_MAIN
