// SPDX-License-Identifier: GPL-2.0-only
/*
 * orphan_test - the owner of a queue dies: what becomes of its requests
 *
 * The owner is a child process that is killed for real. The parent keeps the
 * VM fd and plays the guest and the next owner.
 */
#include "mock_util.h"

FIXTURE(orphan)
{
	struct mock m;
	int vm;
	__u32 id;		/* of the queue */
	int owner;		/* pid */
	int pipe[2];		/* from the owner: ids of requests it took */
	struct vcpu v[3];
};

FIXTURE_SETUP(orphan)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
}

FIXTURE_TEARDOWN(orphan)
{
	if (self->owner)
		kill(self->owner, SIGKILL);
	mock_teardown(&self->m);
}

/*
 * A queue with a hook, owned by a child that takes @take requests by read(),
 * tells their ids, and waits to be killed.
 */
static int start_owner(FIXTURE_DATA(orphan) *self, __u32 orphan, __u64 hold_ns, int take)
{
	struct portal_request req;
	struct queue q;
	int i, ret;

	ret = queue_create(self->vm, &q, (struct portal_queue_create)
			   QUEUE(16, .orphan = orphan, .hold_ns = hold_ns));
	if (ret)
		return ret;
	self->id = q.id;
	ret = hook_add(self->vm, (struct portal_hook_add)
		       HOOK(q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,
			    .timeout_ns = 30 * NSEC_PER_SEC));
	if (ret < 0)
		return ret;
	self->owner = fork();
	if (self->owner < 0)
		return -errno;
	if (!self->owner) {
		for (i = 0; i < take; i++)
			if (read(q.fd, &req, sizeof(req)) != sizeof(req) ||
			    write(self->pipe[1], &req.id, sizeof(req.id)) != sizeof(req.id))
				_exit(1);
		pause();
		_exit(1);
	}
	queue_close(&q);
	return 0;
}

static int kill_owner(FIXTURE_DATA(orphan) *self)
{
	int status, pid = self->owner;

	self->owner = 0;
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? 0 : -ECHILD;
}

/* The id of the next request the owner took. */
static __u64 taken(FIXTURE_DATA(orphan) *self)
{
	__u64 id;

	return read(self->pipe[0], &id, sizeof(id)) == sizeof(id) ? id : 0;
}

static int call(FIXTURE_DATA(orphan) *self, int n)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 100 + n, n);

	a.vcpu = n;
	return vcpu_start(&self->v[n], self->vm, a);
}

/* The call has entered the queue. */
static bool asked(FIXTURE_DATA(orphan) *self, __u64 nr)
{
	return WAIT_UNTIL(portal_vm_info(self->vm).out_calls >= nr);
}

TEST_F(orphan, hold_fails_what_was_taken_and_keeps_the_rest)
{
	struct portal_request req;
	struct queue q;

	ASSERT_EQ(0, start_owner(self, PORTAL_ORPHAN_HOLD, 0, 1));
	ASSERT_EQ(0, call(self, 0));
	ASSERT_NE(0, taken(self));
	ASSERT_EQ(0, call(self, 1));
	ASSERT_TRUE(asked(self, 2));
	ASSERT_EQ(0, kill_owner(self));
	/* what the dead one had in hand may be done or not: an error */
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(-PORTAL_EIO, (__s64)self->v[0].a.out_value);
	EXPECT_FALSE(vcpu_done(&self->v[1]));
	/* a new one comes while nobody owns it */
	ASSERT_EQ(0, call(self, 2));
	ASSERT_TRUE(asked(self, 3));
	ASSERT_EQ(0, queue_open(self->vm, &q, self->id));
	EXPECT_EQ(0, q.redelivered);
	/* the first entry is still in the ring, but its call is over */
	ASSERT_TRUE(queue_next(&q, &req));
	if (req.call_id == 100) {
		EXPECT_EQ(0, queue_reply(&q, req.id, 0));
		EXPECT_EQ(1, queue_info(&q).out_stale);
		ASSERT_TRUE(queue_next(&q, &req));
	}
	EXPECT_EQ(101, req.call_id);
	EXPECT_EQ(0, queue_reply(&q, req.id, 11));
	ASSERT_EQ(0, queue_answer(&q, &req, 12));
	EXPECT_EQ(102, req.call_id);
	ASSERT_EQ(0, vcpu_join(&self->v[1]));
	ASSERT_EQ(0, vcpu_join(&self->v[2]));
	EXPECT_EQ(11, self->v[1].a.out_value);
	EXPECT_EQ(12, self->v[2].a.out_value);
	queue_close(&q);
}

TEST_F(orphan, requeue_hands_out_again_what_was_taken)
{
	struct portal_request req;
	struct queue q;
	__u64 id;

	ASSERT_EQ(0, start_owner(self, PORTAL_ORPHAN_REQUEUE, 0, 1));
	ASSERT_EQ(0, call(self, 0));
	id = taken(self);
	ASSERT_NE(0, id);
	ASSERT_EQ(0, call(self, 1));
	ASSERT_TRUE(asked(self, 2));
	ASSERT_EQ(0, kill_owner(self));
	ASSERT_EQ(0, queue_open(self->vm, &q, self->id));
	EXPECT_EQ(1, q.redelivered);
	EXPECT_FALSE(vcpu_done(&self->v[0]));
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(id, req.id);
	EXPECT_EQ(100, req.call_id);
	EXPECT_EQ(PORTAL_REQ_F_CALL | PORTAL_REQ_F_REDELIVERED, req.flags);
	EXPECT_EQ(0, queue_reply(&q, req.id, 10));
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(101, req.call_id);
	EXPECT_EQ(PORTAL_REQ_F_CALL, req.flags);
	EXPECT_EQ(0, queue_reply(&q, req.id, 11));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	ASSERT_EQ(0, vcpu_join(&self->v[1]));
	EXPECT_EQ(10, self->v[0].a.out_value);
	EXPECT_EQ(11, self->v[1].a.out_value);
	queue_close(&q);
}

TEST_F(orphan, requeue_also_what_was_consumed_but_not_answered)
{
	struct portal_request req;
	struct queue q, next;

	/* an owner that first consumes and answers later, and dies in between */
	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)
				  QUEUE(16, .orphan = PORTAL_ORPHAN_REQUEUE)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	self->id = q.id;
	ASSERT_EQ(0, call(self, 0));
	ASSERT_TRUE(queue_next(&q, &req));
	ASSERT_EQ(0, queue_consume(&q));
	ASSERT_EQ(0, queue_commit(&q, NULL, 0));
	queue_close(&q);
	ASSERT_EQ(0, queue_open(self->vm, &next, self->id));
	EXPECT_EQ(1, next.redelivered);
	ASSERT_EQ(0, queue_answer(&next, &req, 10));
	EXPECT_EQ(PORTAL_REQ_F_CALL | PORTAL_REQ_F_REDELIVERED, req.flags);
	EXPECT_EQ(next.epoch, req.epoch);
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(10, self->v[0].a.out_value);
	queue_close(&next);
}

TEST_F(orphan, fail_ends_all_at_once_and_new_ones_too)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 7, 7);
	__u64 start;

	ASSERT_EQ(0, start_owner(self, PORTAL_ORPHAN_FAIL, 0, 1));
	ASSERT_EQ(0, call(self, 0));
	ASSERT_NE(0, taken(self));
	ASSERT_EQ(0, call(self, 1));
	ASSERT_TRUE(asked(self, 2));
	start = now_ns();
	ASSERT_EQ(0, kill_owner(self));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	ASSERT_EQ(0, vcpu_join(&self->v[1]));
	EXPECT_EQ(-PORTAL_EIO, (__s64)self->v[0].a.out_value);
	EXPECT_EQ(-PORTAL_EIO, (__s64)self->v[1].a.out_value);
	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(PORTAL_MOCK_DONE, a.out_result);
	EXPECT_GT(0, (__s64)a.out_value);
	EXPECT_GT(start + 3 * NSEC_PER_SEC, now_ns());
}

TEST_F(orphan, fail_serves_again_once_it_is_owned)
{
	struct portal_request req;
	struct queue q;

	ASSERT_EQ(0, start_owner(self, PORTAL_ORPHAN_FAIL, 0, 0));
	ASSERT_EQ(0, kill_owner(self));
	ASSERT_EQ(0, queue_open(self->vm, &q, self->id));
	ASSERT_EQ(0, call(self, 0));
	ASSERT_EQ(0, queue_answer(&q, &req, 3));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(3, self->v[0].a.out_value);
	queue_close(&q);
}

TEST_F(orphan, hold_ends_when_nobody_comes)
{
	__u64 start;

	ASSERT_EQ(0, start_owner(self, PORTAL_ORPHAN_HOLD, 200 * NSEC_PER_MSEC, 0));
	ASSERT_EQ(0, call(self, 0));
	ASSERT_TRUE(asked(self, 1));
	start = now_ns();
	ASSERT_EQ(0, kill_owner(self));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(-PORTAL_EIO, (__s64)self->v[0].a.out_value);
	EXPECT_LE(start + 200 * NSEC_PER_MSEC - EARLY_NS, now_ns());
	EXPECT_GT(start + 5 * NSEC_PER_SEC, now_ns());
}

TEST_F(orphan, a_dup_or_a_mapping_keeps_it_owned)
{
	struct portal_request req;
	struct queue q;
	int copy;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)
				  QUEUE(16, .orphan = PORTAL_ORPHAN_FAIL)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	copy = dup(q.fd);
	close(q.fd);
	q.fd = copy;
	ASSERT_EQ(0, call(self, 0));
	ASSERT_EQ(0, queue_answer(&q, &req, 8));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(8, self->v[0].a.out_value);
	queue_close(&q);
}

TEST_F(orphan, the_earlier_owner_is_stale)
{
	struct portal_request req;
	struct portal_reply reply = { .action = PORTAL_ACTION_VALUE, .value = 1 };
	struct pollfd pfd = { .events = POLLIN };
	struct queue old, new;

	ASSERT_EQ(0, queue_create(self->vm, &old, (struct portal_queue_create)
				  QUEUE(16, .orphan = PORTAL_ORPHAN_REQUEUE)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(old.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_EQ(0, call(self, 0));
	ASSERT_EQ(sizeof(req), read(old.fd, &req, sizeof(req)));
	reply.id = req.id;
	/* takes it away from a living owner */
	ASSERT_EQ(0, queue_open(self->vm, &new, old.id));
	EXPECT_LT(old.epoch, new.epoch);
	EXPECT_EQ(new.epoch, new.ring->epoch);
	EXPECT_EQ(1, new.redelivered);

	EXPECT_EQ(-1, write(old.fd, &reply, sizeof(reply)));
	EXPECT_EQ(ESTALE, errno);
	EXPECT_ERRNO(ESTALE, queue_commit(&old, &reply, 1));
	EXPECT_EQ(-1, read(old.fd, &req, sizeof(req)));
	EXPECT_EQ(ESTALE, errno);
	pfd.fd = old.fd;
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_NE(0, pfd.revents & POLLERR);
	EXPECT_FALSE(vcpu_done(&self->v[0]));

	/* its end does not orphan the queue */
	queue_close(&old);
	ASSERT_EQ(0, queue_answer(&new, &req, 2));
	EXPECT_EQ(new.epoch, new.ring->epoch);
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	EXPECT_EQ(2, self->v[0].a.out_value);
	/* and the answer of the dead one comes too late, also through the new fd */
	EXPECT_EQ(0, queue_commit(&new, &reply, 1));
	EXPECT_EQ(1, queue_info(&new).out_stale);
	queue_close(&new);
}

static void *sleeper(void *arg)
{
	static struct portal_request req;
	static int err;

	err = read(*(int *)arg, &req, sizeof(req)) < 0 ? errno : 0;
	return &err;
}

TEST_F(orphan, an_owner_asleep_learns_that_it_is_stale)
{
	struct timespec ts;
	struct queue old, new;
	pthread_t thread;
	void *err;

	ASSERT_EQ(0, queue_create(self->vm, &old, (struct portal_queue_create)QUEUE(16)));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sleeper, &old.fd));
	ASSERT_EQ(0, queue_open(self->vm, &new, old.id));
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 5;
	ASSERT_EQ(0, pthread_timedjoin_np(thread, &err, &ts));
	EXPECT_EQ(ESTALE, *(int *)err);
	queue_close(&old);
	queue_close(&new);
}

TEST_F(orphan, sync_write_survives_a_new_owner)
{
	struct portal_region_range sync = { .len = 4, .attr = PORTAL_ATTR_SYNC, .eventfd = -1 };
	struct portal_request req;
	struct queue q, next;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(16)));
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(q.id, MOCK_MMIO, 64, &sync, 1)));
	ASSERT_EQ(0, vcpu_start(&self->v[0], self->vm, mock_write(MOCK_MMIO, 4, 0xab)));
	ASSERT_EQ(sizeof(req), read(q.fd, &req, sizeof(req)));
	self->id = q.id;
	queue_close(&q);
	ASSERT_EQ(0, queue_open(self->vm, &next, self->id));
	ASSERT_TRUE(queue_next(&next, &req));
	EXPECT_EQ(0xab, req.data[0]);
	EXPECT_EQ(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_REDELIVERED, req.flags);
	EXPECT_FALSE(vcpu_done(&self->v[0]));
	ASSERT_EQ(0, queue_consume(&next));
	ASSERT_EQ(0, vcpu_join(&self->v[0]));
	queue_close(&next);
}

TEST_HARNESS_MAIN
