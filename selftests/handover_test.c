// SPDX-License-Identifier: GPL-2.0-only
/*
 * handover_test - a queue goes from one living owner to the next
 */
#include "mock_util.h"

#define CALLS	100		/* of each vCPU, and as many writes */
#define TENURE	12		/* requests until the other one has the queue */
#define ANSWER	0x5a5a0000ULL

FIXTURE(handover)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(handover)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)
				  QUEUE(16, .hold_ns = 600 * NSEC_PER_SEC)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,
				   .timeout_ns = 600 * NSEC_PER_SEC)));
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0,
				       .timeout_ns = 600 * NSEC_PER_SEC)));
}

FIXTURE_TEARDOWN(handover)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

TEST_F(handover, earlier_owner_sees_nothing_of_what_comes)
{
	struct portal_ring *again;
	struct portal_request req;
	struct queue next;
	char *before;

	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 0x11));
	before = malloc(self->q.size);
	memcpy(before, self->q.ring, self->q.size);
	ASSERT_EQ(0, queue_open(self->vm, &next, self->q.id));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 0x22));
	ASSERT_EQ(2, queue_ready(&next));
	ASSERT_TRUE(queue_next(&next, &req));
	EXPECT_EQ(0x11, req.data[0]);
	ASSERT_TRUE(queue_next(&next, &req));
	EXPECT_EQ(0x22, req.data[0]);
	ASSERT_EQ(0, queue_consume(&next));

	/* nothing moved there, but for the epoch */
	EXPECT_EQ(next.epoch, self->q.ring->epoch);
	((struct portal_ring *)before)->epoch = next.epoch;
	EXPECT_EQ(0, memcmp(before, self->q.ring, self->q.size));
	/* nor through a new mapping */
	again = mmap(NULL, self->q.size, PROT_READ | PROT_WRITE, MAP_SHARED, self->q.fd, 0);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_EQ(0, memcmp(before, again, self->q.size));
	munmap(again, self->q.size);
	/* and what it writes there reaches nobody */
	memset(self->q.ring, 0xff, self->q.size);
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 0x33));
	ASSERT_TRUE(queue_next(&next, &req));
	EXPECT_EQ(0x33, req.data[0]);
	EXPECT_EQ(1, queue_info(&next).out_pending);
	free(before);
	queue_close(&next);
}

TEST_F(handover, what_was_taken_is_handed_out_again_whatever_the_policy)
{
	struct portal_reply reply = { .action = PORTAL_ACTION_VALUE, .value = 1 };
	struct portal_mock_access a = mock_hc(MOCK_HC, 2, 0);
	struct portal_request req;
	struct vcpu v[2] = { { 0 } };
	struct queue next, last;

	/* HOLD: without the flag, what the old one took fails */
	ASSERT_EQ(0, vcpu_start(&v[0], self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_EQ(sizeof(req), read(self->q.fd, &req, sizeof(req)));
	reply.id = req.id;
	a.vcpu = 1;
	ASSERT_EQ(0, vcpu_start(&v[1], self->vm, a));
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(self->vm).out_calls == 2));
	ASSERT_EQ(0, queue_open_flags(self->vm, &next, self->q.id, PORTAL_QUEUE_OPEN_F_HANDOVER));
	EXPECT_EQ(1, next.redelivered);
	EXPECT_EQ(-1, write(self->q.fd, &reply, sizeof(reply)));
	EXPECT_EQ(ESTALE, errno);
	EXPECT_FALSE(vcpu_done(&v[0]));
	ASSERT_EQ(sizeof(req), read(next.fd, &req, sizeof(req)));
	EXPECT_EQ(1, req.call_id);
	EXPECT_EQ(PORTAL_REQ_F_CALL | PORTAL_REQ_F_REDELIVERED, req.flags);
	EXPECT_EQ(0, queue_reply(&next, req.id, 11));
	ASSERT_EQ(sizeof(req), read(next.fd, &req, sizeof(req)));
	EXPECT_EQ(2, req.call_id);
	EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
	ASSERT_EQ(0, vcpu_join(&v[0]));
	EXPECT_EQ(11, v[0].a.out_value);
	ASSERT_EQ(0, queue_open(self->vm, &last, self->q.id));
	EXPECT_EQ(0, last.redelivered);
	ASSERT_EQ(0, vcpu_join(&v[1]));
	EXPECT_EQ(-PORTAL_EIO, (__s64)v[1].a.out_value);
	queue_close(&next);
	queue_close(&last);
}

/* ---- under load --------------------------------------------------------- */

/* What both owners and the guest see. */
struct shared {
	int done;			/* the guest has had all its answers */
	int tenures;
	int repeated;			/* done twice */
	int unmarked;			/* of these, those that did not say so */
	int marked;			/* said to be redelivered */
	int disorder;			/* writes of a vCPU out of order */
	int errors;
	__u64 last[MOCK_VCPUS];
	int calls[MOCK_VCPUS][CALLS];
	int writes[MOCK_VCPUS][CALLS];
};

struct owner {
	struct shared *s;
	int vm;
	__u32 id;
	int get, give;			/* the queue is whose token this is */
	bool abrupt;
};

static void work(struct shared *s, const struct portal_request *req)
{
	int *nr = req->kind == PORTAL_KIND_HYPERCALL ? s->calls[req->vcpu] : s->writes[req->vcpu];
	__u32 i = req->data[0];
	bool again = req->flags & PORTAL_REQ_F_REDELIVERED;

	if (again)
		__atomic_add_fetch(&s->marked, 1, __ATOMIC_SEQ_CST);
	if (__atomic_fetch_add(&nr[i], 1, __ATOMIC_SEQ_CST)) {
		__atomic_add_fetch(&s->repeated, 1, __ATOMIC_SEQ_CST);
		if (!again)
			__atomic_add_fetch(&s->unmarked, 1, __ATOMIC_SEQ_CST);
	}
	if (req->kind == PORTAL_KIND_HYPERCALL || again)
		return;
	if (i && i <= __atomic_exchange_n(&s->last[req->vcpu], i, __ATOMIC_SEQ_CST))
		__atomic_add_fetch(&s->disorder, 1, __ATOMIC_SEQ_CST);
}

/*
 * The next requests. Who leaves in the middle of his work must take them by
 * read(), so that the kernel knows what he has; it also tells what he consumed.
 */
static int take(struct owner *o, struct queue *q, struct portal_request *req, int nr)
{
	int i = 0;

	if (o->abrupt)
		return read(q->fd, req, nr * sizeof(*req)) / (int)sizeof(*req);
	while (i < nr && queue_ready(q) && queue_next(q, &req[i]))
		i++;
	return i;
}

static void answer(struct owner *o, struct queue *q, const struct portal_request *req, bool gave)
{
	struct portal_reply reply = {
		.id = req->id, .action = PORTAL_ACTION_VALUE,
		.value = ANSWER + (req->vcpu << 8) + req->data[0],
	};

	if (write(q->fd, &reply, sizeof(reply)) != sizeof(reply) && !(gave && errno == ESTALE))
		__atomic_add_fetch(&o->s->errors, 1, __ATOMIC_SEQ_CST);
}

/* One time of being the owner: true if there will be another. */
static bool tenure(struct owner *o)
{
	struct portal_request req[4];
	struct pollfd pfd;
	int taken = 0, nr, i;
	struct queue q;
	bool gave = false;

	if (__atomic_load_n(&o->s->done, __ATOMIC_ACQUIRE))
		return false;
	if (queue_open_flags(o->vm, &q, o->id, PORTAL_QUEUE_OPEN_F_HANDOVER))
		_exit(2);
	__atomic_add_fetch(&o->s->tenures, 1, __ATOMIC_SEQ_CST);
	pfd = (struct pollfd){ .fd = q.fd, .events = POLLIN };
	fcntl(q.fd, F_SETFL, O_RDWR | O_NONBLOCK);
	while (taken < TENURE && !__atomic_load_n(&o->s->done, __ATOMIC_ACQUIRE)) {
		nr = take(o, &q, req, 4);
		if (nr <= 0) {
			poll(&pfd, 1, 20);
			continue;
		}
		taken += nr;
		for (i = 0; i < nr; i++)
			work(o->s, &req[i]);
		/* in the middle of its work; or else with all of it done, below */
		if (o->abrupt && taken >= TENURE)
			gave = write(o->give, "x", 1) == 1;
		for (i = 0; i < nr; i++)
			if (req[i].flags & PORTAL_REQ_F_CALL)
				answer(o, &q, &req[i], gave);
		if (!o->abrupt && queue_consume(&q))
			__atomic_add_fetch(&o->s->errors, 1, __ATOMIC_SEQ_CST);
	}
	if (!gave && write(o->give, "x", 1) != 1)
		_exit(3);
	queue_close(&q);
	return true;
}

static int owner_start(struct owner *o)
{
	int pid = fork();
	char c;

	if (pid)
		return pid;
	while (read(o->get, &c, 1) == 1)
		if (!tenure(o)) {
			if (write(o->give, "x", 1) != 1)
				_exit(4);
			break;
		}
	_exit(0);
}

struct load {
	pthread_t thread;
	int vm, vcpu, bad;
};

static void *load_main(void *arg)
{
	struct load *l = arg;
	struct portal_mock_access a;
	int i;

	for (i = 0; i < CALLS; i++) {
		a = mock_write(MOCK_MMIO, 4, i);
		a.vcpu = l->vcpu;
		l->bad += mock_run(l->vm, &a) || a.out_result != PORTAL_MOCK_DONE;
		a = mock_hc(MOCK_HC, l->vcpu << 16 | (i + 1), i);
		a.vcpu = l->vcpu;
		l->bad += mock_run(l->vm, &a) || a.out_result != PORTAL_MOCK_DONE ||
			  a.out_value != ANSWER + (l->vcpu << 8) + i;
	}
	return NULL;
}

static void under_load(struct __test_metadata *_metadata, FIXTURE_DATA(handover) *self,
		       struct shared *s, bool abrupt)
{
	struct load l[MOCK_VCPUS];
	int token[2][2], pid[2], i, j;
	struct owner o[2];

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pipe(token[i]));
	for (i = 0; i < 2; i++) {
		o[i] = (struct owner){ .s = s, .vm = self->vm, .id = self->q.id,
				       .get = token[i][0], .give = token[!i][1],
				       .abrupt = abrupt };
		pid[i] = owner_start(&o[i]);
		ASSERT_LT(0, pid[i]);
	}
	ASSERT_EQ(1, write(token[0][1], "x", 1));
	for (i = 0; i < MOCK_VCPUS; i++) {
		l[i] = (struct load){ .vm = self->vm, .vcpu = i };
		ASSERT_EQ(0, pthread_create(&l[i].thread, NULL, load_main, &l[i]));
	}
	for (i = 0; i < MOCK_VCPUS; i++) {
		ASSERT_EQ(0, pthread_join(l[i].thread, NULL));
		EXPECT_EQ(0, l[i].bad);		/* nothing failed, each answer was right */
	}
	/* the last writes may wait for whoever is the owner: each vCPU's came before a call */
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(WAIT_UNTIL(waitpid(pid[i], &j, WNOHANG) == pid[i]));
		EXPECT_EQ(0, j);
		close(token[i][0]);
		close(token[i][1]);
	}
	for (i = 0; i < MOCK_VCPUS; i++)
		for (j = 0; j < CALLS; j++) {
			EXPECT_LE(1, s->calls[i][j]);
			EXPECT_LE(1, s->writes[i][j]);
		}
	EXPECT_EQ(0, s->errors);
	EXPECT_EQ(0, s->disorder);
	EXPECT_EQ(0, s->unmarked);
	EXPECT_LE(2 * CALLS * MOCK_VCPUS / (TENURE + 4), s->tenures);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_timeouts);
	EXPECT_EQ(0, portal_vm_info(self->vm).out_dropped);
	fprintf(stderr, "# %s: %d requests, %d owners, %d handed out again, %d done twice\n",
	       abrupt ? "in the middle" : "planned", 2 * CALLS * MOCK_VCPUS, s->tenures,
	       s->marked, s->repeated);
}

static struct shared *shared(void)
{
	return mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

TEST_F(handover, planned_loses_repeats_and_fails_nothing)
{
	struct shared *s = shared();

	ASSERT_NE(MAP_FAILED, s);
	under_load(_metadata, self, s, false);
	EXPECT_EQ(0, s->repeated);
	EXPECT_EQ(0, s->marked);
	munmap(s, sizeof(*s));
}

TEST_F(handover, in_the_middle_of_work_loses_and_fails_nothing)
{
	struct shared *s = shared();

	ASSERT_NE(MAP_FAILED, s);
	under_load(_metadata, self, s, true);
	/* what is done again says so */
	EXPECT_LE(s->repeated, s->marked);
	munmap(s, sizeof(*s));
}

TEST_HARNESS_MAIN
