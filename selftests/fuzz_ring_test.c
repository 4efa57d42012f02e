// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz_ring_test - an owner that writes anything into what it shares with the kernel
 *
 * Rounds: guests access registers and make hypercalls of every kind while the
 * owner of their queue rewrites ring and shadow at random and replies nonsense.
 * Then it goes, and one who knows how to behave takes over: all must work.
 */
#include "fuzz.h"

#define GUESTS		2
#define ROUND_NS	(300 * NSEC_PER_MSEC)
#define WAIT_NS		(20 * NSEC_PER_MSEC)
#define ENTRIES		8
#define PATIENT_HC	(MOCK_HC + 8)	/* its calls live for 5 s */
#define REGION_LEN	64

enum { REG_SHADOW = 0, REG_FENCED = 8, REG_SYNC = 16, REG_CALL = 24, REG_BELL = 32, REG_ACK = 40,
       AUX_BELL = 128, AUX_ACK = 132 };

FIXTURE(fuzz_ring)
{
	struct mock m;
	struct queue q;
	struct region r;
	int stop;
	__u64 accesses, scribbles;
	struct rnd rnd;
};

FIXTURE_SETUP(fuzz_ring)
{
	mock_setup(_metadata, &self->m);
	self->rnd.state = fuzz_seed;
}

FIXTURE_TEARDOWN(fuzz_ring)
{
	mock_teardown(&self->m);
}

struct guest {
	pthread_t thread;
	FIXTURE_DATA(fuzz_ring) *self;
	struct rnd rnd;
	__u32 vcpu;
};

/* Any access; what it gives does not matter, only that it ends. */
static void *guest_main(void *arg)
{
	struct guest *g = arg;
	struct portal_mock_access a;

	while (!__atomic_load_n(&g->self->stop, __ATOMIC_ACQUIRE)) {
		__u64 at = MOCK_MMIO + rnd(&g->rnd, REGION_LEN);

		switch (rnd(&g->rnd, 4)) {
		case 0:
			a = mock_hc(MOCK_HC + rnd(&g->rnd, 3), rnd(&g->rnd, 3), rnd(&g->rnd, 4));
			break;
		case 1:
			a = mock_read(at, 1U << rnd(&g->rnd, 4));
			break;
		default:
			a = mock_write(at, 1U << rnd(&g->rnd, 4), rnd_value(&g->rnd));
		}
		a.vcpu = g->vcpu;
		if (rnd_once(&g->rnd, 4))
			a.flags |= PORTAL_MOCK_F_NOGATE;
		mock_run(g->self->m.vm, &a);
		__atomic_add_fetch(&g->self->accesses, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* One misdeed of the owner. */
static void scribble(FIXTURE_DATA(fuzz_ring) *self)
{
	struct queue *q = &self->q;
	struct rnd *r = &self->rnd;
	const struct portal_request *entries = (void *)((char *)q->ring + 4096);
	__u32 *words = (__u32 *)q->ring, i, nr;
	struct portal_request reqs[4];
	struct portal_reply reply;

	switch (rnd(r, 10)) {
	case 0:		/* anywhere in the ring */
		words[rnd(r, q->size / 4)] = rnd_value(r);
		break;
	case 1:		/* its head */
		words[rnd(r, 48)] = rnd_value(r);
		break;
	case 2:
		__atomic_store_n(&q->ring->head, q->ring->tail + rnd(r, 5) - 2, __ATOMIC_RELEASE);
		break;
	case 3:
		__atomic_store_n(&q->ring->head, rnd64(r), __ATOMIC_RELEASE);
		break;
	case 4:
		nr = rnd(r, q->size);
		memset((char *)q->ring + nr, rnd(r, 256), rnd(r, q->size - nr));
		break;
	case 5:
		for (i = 0; i < 8; i++)
			words[rnd(r, q->size / 4)] ^= 1U << rnd(r, 32);
		break;
	case 6:		/* registers and counts */
		nr = rnd_once(r, 2) ? 64 : self->r.arg.out_shadow_size / 4;
		((__u32 *)self->r.shadow)[rnd(r, nr)] = rnd_value(r);
		break;
	case 7:		/* an answer to what may be a call */
		reply = (struct portal_reply){
			.id = entries[rnd(r, ENTRIES)].id,
			.action = rnd(r, 3), .value = rnd64(r),
		};
		if (write(q->fd, &reply, sizeof(reply)) < 0)
			break;
		break;
	case 8:
		fcntl(q->fd, F_SETFL, O_NONBLOCK);
		if (read(q->fd, reqs, sizeof(reqs)) < 0)
			break;
		break;
	default:
		q->seen = rnd_value(r);
		queue_commit(q, NULL, 0);
	}
	self->scribbles++;
}

/* What the kernel knows is its own. */
static bool unimpressed(FIXTURE_DATA(fuzz_ring) *self)
{
	struct portal_queue_info info = queue_info(&self->q);

	return info.out_queue_id == self->q.id && info.out_entries == ENTRIES &&
	       info.out_pending <= ENTRIES && info.out_mmap_size == self->q.size;
}

static void hostile_owner(struct __test_metadata *_metadata, FIXTURE_DATA(fuzz_ring) *self)
{
	struct guest guests[GUESTS] = { };
	__u64 end = now_ns() + ROUND_NS;
	struct timespec ts;
	int i;

	self->stop = 0;
	for (i = 0; i < GUESTS; i++) {
		guests[i].self = self;
		guests[i].vcpu = i;
		guests[i].rnd.state = rnd64(&self->rnd);
		ASSERT_EQ(0, pthread_create(&guests[i].thread, NULL, guest_main, &guests[i]));
	}
	while (now_ns() < end) {
		scribble(self);
		if (rnd_once(&self->rnd, 64))
			ASSERT_TRUE(unimpressed(self));
		if (rnd_once(&self->rnd, 16))
			sched_yield();
	}
	/* whatever was written, each access of the guests ends by its time-out */
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_NS / NSEC_PER_SEC;
	for (i = 0; i < GUESTS; i++)
		ASSERT_EQ(0, pthread_timedjoin_np(guests[i].thread, NULL, &ts))
			TH_LOG("guest %d hangs; seed %llu", i, fuzz_seed);
	EXPECT_TRUE(unimpressed(self));
}

/* A thread that serves as it should: answers each call with its argument and 1. */
static void *good_main(void *arg)
{
	FIXTURE_DATA(fuzz_ring) *self = arg;
	struct portal_request req;

	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		if (!queue_ready(&self->q)) {
			poll(&(struct pollfd){ .fd = self->q.fd, .events = POLLIN }, 1, 10);
			continue;
		}
		if (!queue_next(&self->q, &req))
			break;
		if (req.flags & PORTAL_REQ_F_CALL)
			queue_reply(&self->q, req.id, req.kind == PORTAL_KIND_HYPERCALL ?
						      req.data[0] + 1 : 0x77);
		queue_consume(&self->q);
	}
	return NULL;
}

static void good_owner(struct __test_metadata *_metadata, FIXTURE_DATA(fuzz_ring) *self)
{
	struct portal_ring *ring;
	pthread_t thread;
	__u64 value;
	int i;

	ASSERT_EQ(0, queue_open(self->m.vm, &self->q, self->q.id));
	ring = self->q.ring;
	/* the page it was given says nothing of what the other wrote */
	EXPECT_EQ(PORTAL_RING_MAGIC, ring->magic);
	EXPECT_EQ(PORTAL_RING_VERSION, ring->version);
	ASSERT_EQ(ENTRIES, ring->entries);
	ASSERT_EQ(sizeof(struct portal_request), ring->entry_size);
	ASSERT_EQ(4096, ring->entries_off);
	EXPECT_EQ(self->q.id, ring->queue_id);
	ASSERT_GE(ENTRIES, ring->tail - ring->head);
	*region_reg(&self->r, REG_SHADOW) = 0x1234;
	*region_reg(&self->r, AUX_BELL) = 0;
	*region_reg(&self->r, AUX_ACK) = 7;

	self->stop = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, good_main, self));
	for (i = 0; i < 8; i++) {
		struct portal_mock_access a = mock_hc(PATIENT_HC, i + 1, i);

		ASSERT_EQ(0, mock_run(self->m.vm, &a));
		EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
		ASSERT_EQ(i + 1, a.out_value)
			TH_LOG("seed %llu", fuzz_seed);
	}
	EXPECT_EQ(0, mock_run_read(self->m.vm, MOCK_MMIO + REG_SHADOW, 4, &value));
	EXPECT_EQ(0x1234, value);
	EXPECT_EQ(0, mock_run_write(self->m.vm, MOCK_MMIO + REG_ACK, 4, 5));
	EXPECT_EQ(2, *region_reg(&self->r, AUX_ACK));
	EXPECT_EQ(0, mock_run_write(self->m.vm, MOCK_MMIO + REG_BELL, 4, 5));
	EXPECT_EQ(1, *region_reg(&self->r, AUX_BELL));
	EXPECT_EQ(0, mock_run_write(self->m.vm, MOCK_MMIO + REG_SYNC, 4, 5));
	EXPECT_TRUE(WAIT_UNTIL(__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ring->tail));
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_F_TIMEOUT(fuzz_ring, next_owner_works_after_a_hostile_one, FUZZ_TIMEOUT)
{
	__u64 end = now_ns() + fuzz_seconds * NSEC_PER_SEC;
	struct portal_region_range ranges[] = {
		RANGE(REG_FENCED, 8, FENCED), RANGE(REG_SYNC, 8, SYNC), RANGE(REG_CALL, 8, CALL),
		RANGE(REG_BELL, 4, DOORBELL, .flags = PORTAL_RANGE_F_COUNT, .aux = AUX_BELL),
		RANGE(REG_ACK, 4, ACK, .flags = PORTAL_RANGE_F_POST, .aux = AUX_ACK),
	};
	__u32 rounds = 0, id;

	do {
		ASSERT_EQ(0, queue_create(self->m.vm, &self->q, (struct portal_queue_create)
					  QUEUE(ENTRIES, .orphan = rnd(&self->rnd, 3))));
		ASSERT_LT(0, hook_add(self->m.vm, (struct portal_hook_add)
				HOOK(self->q.id, MOCK_HC, MOCK_HC + 1, .flags = PORTAL_HOOK_F_RAW,
				     .timeout_ns = WAIT_NS)));
		ASSERT_LT(0, hook_add(self->m.vm, (struct portal_hook_add)
				HOOK(self->q.id, MOCK_HC + 2, MOCK_HC + 2, .timeout_ns = WAIT_NS,
				     .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
		ASSERT_LT(0, hook_add(self->m.vm, (struct portal_hook_add)
				HOOK(self->q.id, PATIENT_HC, PATIENT_HC,
				     .flags = PORTAL_HOOK_F_RAW)));
		ASSERT_EQ(0, region_map(self->m.vm, &self->r, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, REGION_LEN, ranges, 5,
				       .timeout_ns = WAIT_NS, .policy = rnd(&self->rnd, 2))));
		id = self->q.id;
		hostile_owner(_metadata, self);
		queue_close(&self->q);
		self->q.id = id;
		good_owner(_metadata, self);

		region_unmap(&self->r);
		queue_close(&self->q);
		/* all hooks, regions and queues go with the client */
		close(self->m.vm);
		self->m.vm = mock_try(self->m.dev, PORTAL_RIGHT_ALL, MOCK_VCPUS, self->m.ram,
				      MOCK_RAM_SIZE);
		ASSERT_LE(0, self->m.vm);
		rounds++;
	} while (now_ns() < end);
	printf("# %u rounds, %llu accesses, %llu scribbles\n", rounds, self->accesses,
	       self->scribbles);
	fflush(stdout);
	EXPECT_LT(0, self->accesses);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv);
}
