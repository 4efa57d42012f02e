/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clerk.h - a guest that does one access after another, as the test says
 *
 * The test puts a struct op on the guest's desk; the guest executes it by the
 * very instruction and says what came of it. Meanwhile the test is the owner of
 * the queue: it keeps each request for a while, works and answers.
 */
#ifndef CLERK_H
#define CLERK_H

#include "portal_kvm.h"

#define PORT_BASE	0x5000
#define LEN		0x1000		/* of the region, on either bus */
#define MAX_GOT		64
#define HOLD_NS		(7 * NSEC_PER_MSEC)	/* as long as two signals */

enum insn {
	OP_READ, OP_WRITE, OP_OR, OP_INC, OP_XCHG, OP_CMPXCHG, OP_CMPXCHG_MISS,
	OP_REP_STOS, OP_REP_LOAD, OP_REP_STORE,	/* the latter two from and to buf */
	OP_NR
};

/**
 * struct op - one instruction
 * @insn: enum insn; ports know OP_READ, OP_WRITE, OP_REP_LOAD, OP_REP_STORE
 * @port: @addr is a port
 * @width: bytes
 * @count: repetitions of string instructions
 * @addr: address or port
 * @value: what it stores, adds
 * @expect: what OP_CMPXCHG compares with
 * @result: what its register holds afterwards
 */
struct op {
	__u32 insn, port, width, count;
	__u64 addr, value, expect, result;
};

static struct {
	__u32 go, done;		/* number of the op, ~0 for no more */
	struct op op;
	__u8 buf[256];		/* of string instructions */
} desk;

/* ---- in the guest ------------------------------------------------------- */

#define CLERK_MEMORY(bits, s)							\
static void do_memory##bits(struct op *o)					\
{										\
	__u##bits v = o->value, a = o->expect, *p = (void *)o->addr;		\
	void *buf = desk.buf;							\
	__u64 n = o->count;							\
										\
	switch (o->insn) {							\
	case OP_READ:								\
		asm volatile("mov" s " (%1), %0" : "=r"(v) : "r"(p) : "memory");	\
		break;								\
	case OP_WRITE:								\
		asm volatile("mov" s " %0, (%1)" : : "r"(v), "r"(p) : "memory");	\
		break;								\
	case OP_OR:								\
		asm volatile("or" s " %0, (%1)" : : "r"(v), "r"(p) : "memory", "cc");	\
		break;								\
	case OP_INC:								\
		asm volatile("inc" s " (%0)" : : "r"(p) : "memory", "cc");	\
		break;								\
	case OP_XCHG:								\
		asm volatile("xchg" s " %0, (%1)" : "+r"(v) : "r"(p) : "memory");	\
		break;								\
	case OP_CMPXCHG:							\
	case OP_CMPXCHG_MISS:							\
		asm volatile("lock cmpxchg" s " %1, (%2)"			\
			     : "+a"(a) : "r"(v), "r"(p) : "memory", "cc");	\
		v = a;								\
		break;								\
	case OP_REP_STOS:							\
		asm volatile("rep stos" s : "+D"(p), "+c"(n) : "a"(v) : "memory");	\
		break;								\
	case OP_REP_LOAD:							\
		asm volatile("rep movs" s : "+S"(p), "+D"(buf), "+c"(n) : : "memory");	\
		break;								\
	case OP_REP_STORE:							\
		asm volatile("rep movs" s : "+D"(p), "+S"(buf), "+c"(n) : : "memory");	\
		break;								\
	}									\
	o->result = o->insn >= OP_REP_STOS ? (__u64)p - o->addr : v;		\
}

#define CLERK_PORT(bits, s)							\
static void do_port##bits(struct op *o)						\
{										\
	__u##bits v = o->value;							\
	void *buf = desk.buf;							\
	__u64 n = o->count;							\
										\
	switch (o->insn) {							\
	case OP_READ:								\
		asm volatile("in" s " %w1, %0" : "=a"(v) : "d"(o->addr));	\
		break;								\
	case OP_WRITE:								\
		asm volatile("out" s " %0, %w1" : : "a"(v), "d"(o->addr));	\
		break;								\
	case OP_REP_LOAD:							\
		asm volatile("rep ins" s : "+D"(buf), "+c"(n) : "d"(o->addr) : "memory");	\
		break;								\
	case OP_REP_STORE:							\
		asm volatile("rep outs" s : "+S"(buf), "+c"(n) : "d"(o->addr) : "memory");	\
		break;								\
	}									\
	o->result = o->insn >= OP_REP_STOS ? (__u8 *)buf - desk.buf : v;	\
}

CLERK_MEMORY(8, "b")
CLERK_MEMORY(16, "w")
CLERK_MEMORY(32, "l")
CLERK_MEMORY(64, "q")
CLERK_PORT(8, "b")
CLERK_PORT(16, "w")
CLERK_PORT(32, "l")

static void guest_clerk(void)
{
	struct op *o = &desk.op;
	__u32 n, go;

	for (n = 1;; n++) {
		while ((go = __atomic_load_n(&desk.go, __ATOMIC_ACQUIRE)) < n)
			asm volatile("pause");
		if (go == ~0U)
			break;
		if (o->width == 1)
			o->port ? do_port8(o) : do_memory8(o);
		else if (o->width == 2)
			o->port ? do_port16(o) : do_memory16(o);
		else if (o->width == 4)
			o->port ? do_port32(o) : do_memory32(o);
		else
			do_memory64(o);
		__atomic_store_n(&desk.done, n, __ATOMIC_RELEASE);
	}
	GUEST_DONE();
}

/* ---- on the host -------------------------------------------------------- */

/**
 * struct clerk - the guest, its region, and what an op made
 * @n: number of the op
 * @work: called for each request before it is consumed; may be NULL
 * @answer: to the next CALL read, @step more to each that follows
 * @waits: how many requests the guest is to wait for, the first ones; they are
 *	kept for HOLD_NS, the others until it is done
 * @waited: for how many requests it did wait
 * @got: the requests of this op
 */
struct clerk {
	struct guest g;
	struct region r;
	__u32 n;
	void (*work)(struct clerk *c, const struct portal_request *req);
	__u64 answer, step;
	int waits, waited;
	int nr_got;
	struct portal_request got[MAX_GOT];
};

static inline volatile typeof(desk) *clerk_desk(struct clerk *c)
{
	return &SHARED(&c->g, desk);
}

static inline bool clerk_done(struct clerk *c)
{
	return __atomic_load_n(&clerk_desk(c)->done, __ATOMIC_ACQUIRE) == c->n;
}

/* clerk_put: the guest begins with @op. */
static inline void clerk_put(struct clerk *c, const struct op *op)
{
	memcpy((void *)&clerk_desk(c)->op, op, sizeof(*op));
	c->nr_got = c->waited = 0;
	__atomic_store_n(&clerk_desk(c)->go, ++c->n, __ATOMIC_RELEASE);
}

static inline int clerk_serve(struct clerk *c)
{
	struct portal_request *req = &c->got[c->nr_got];
	__u64 start = now_ns();

	if (c->nr_got == MAX_GOT || !queue_next(&c->g.q, req))
		return -EOVERFLOW;
	c->nr_got++;
	while (now_ns() - start < (c->nr_got <= c->waits ? HOLD_NS : NSEC_PER_SEC) &&
	       !clerk_done(c))
		sched_yield();
	c->waited += !clerk_done(c);
	if (c->work)
		c->work(c, req);
	if (queue_consume(&c->g.q))
		return -EIO;
	if (!(req->flags & PORTAL_REQ_F_CALL))
		return 0;
	c->answer += c->step;
	return queue_reply(&c->g.q, req->id, c->answer - c->step);
}

/* clerk_finish: serves until the guest is done with its op, and what is left. */
static inline int clerk_finish(struct clerk *c, struct op *op)
{
	__u64 start = now_ns();
	int ret = 0;

	while (!ret && (!clerk_done(c) || queue_ready(&c->g.q))) {
		if (queue_ready(&c->g.q))
			ret = clerk_serve(c);
		else if (now_ns() - start > PATIENCE_NS || guest_ended(&c->g))
			ret = -ETIMEDOUT;
		else
			sched_yield();
	}
	memcpy(op, (void *)&clerk_desk(c)->op, sizeof(*op));
	return ret;
}

static inline int clerk_do(struct clerk *c, struct op *op)
{
	clerk_put(c, op);
	return clerk_finish(c, op);
}

/* clerk_post: an op that must not wait, whose requests stay in the ring. */
static inline int clerk_post(struct clerk *c, const struct op *op)
{
	clerk_put(c, op);
	return WAIT_UNTIL(clerk_done(c)) ? 0 : -ETIMEDOUT;
}

/* clerk_start: a region of @ranges on @bus, and the guest at its desk. */
static inline int clerk_start(struct __test_metadata *_metadata, struct clerk *c, __u32 bus,
			      struct portal_region_range *ranges, __u32 nr)
{
	*c = (struct clerk){ 0 };
	guest_init(_metadata, &c->g, guest_clerk);
	return region_map(c->g.fd, &c->r, (struct portal_region_add)
			  REGION(c->g.q.id, bus == PORTAL_BUS_PIO ? PORT_BASE : MMIO_GPA, LEN,
				 ranges, nr, .bus = bus)) ?: guest_start(&c->g);
}

/* clerk_end: 0 if the guest went home in order. */
static inline int clerk_end(struct clerk *c)
{
	__atomic_store_n(&clerk_desk(c)->go, ~0U, __ATOMIC_RELEASE);
	return guest_join(&c->g);
}

#endif /* CLERK_H */
