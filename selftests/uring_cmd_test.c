// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring_cmd_test - the fast way to serve a queue: FETCH, COMMIT_AND_FETCH
 */
#include <liburing.h>
#include "mock_util.h"

FIXTURE(uring)
{
	struct mock m;
	struct queue q;
	int vm;
	bool can_cancel;
	struct io_uring ring;
};

FIXTURE_SETUP(uring)
{
	__u64 features;

	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	features = portal_features(self->m.dev);
	if (!(features & PORTAL_FEAT_URING))
		SKIP(_exit(HARNESS_SKIP), "this kernel cannot do it");
	self->can_cancel = features & PORTAL_FEAT_URING_CANCEL;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(16)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0)));
	ASSERT_EQ(0, io_uring_queue_init(8, &self->ring, 0));
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->ring);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

static int submit_flags(struct io_uring *ring, const struct queue *q, __u32 op,
			const struct portal_reply *replies, __u32 nr, __u64 tag, __u32 flags)
{
	struct portal_uring_cmd cmd = { .replies_uptr = (uintptr_t)replies, .nr_replies = nr,
					.seen = q->seen };
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, q->fd, NULL, 0, 0);
	sqe->cmd_op = op;
	sqe->flags = flags;
	sqe->user_data = tag;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	return io_uring_submit(ring);
}

static int submit(struct io_uring *ring, const struct queue *q, __u32 op,
		  const struct portal_reply *replies, __u32 nr, __u64 tag)
{
	return submit_flags(ring, q, op, replies, nr, tag, 0);
}

/* The result of the command that ends next, its tag in *@tag; or -ETIMEDOUT. */
static int result(struct io_uring *ring, __u64 *tag)
{
	struct __kernel_timespec ts = { .tv_sec = 5 };
	struct io_uring_cqe *cqe;
	int ret;

	ret = io_uring_wait_cqe_timeout(ring, &cqe, &ts);
	if (ret)	/* -ETIME would look like a result */
		return ret == -ETIME ? -ETIMEDOUT : ret;
	if (tag)
		*tag = cqe->user_data;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static bool nothing_ended(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	return io_uring_peek_cqe(ring, &cqe) == -EAGAIN;
}

TEST_F(uring, fetch_says_at_once_what_is_there)
{
	struct portal_request req;

	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 2));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 1));
	EXPECT_EQ(2, result(&self->ring, NULL));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 1));
	EXPECT_EQ(1, result(&self->ring, NULL));
}

TEST_F(uring, fetch_parks_until_a_request_comes)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	__u64 tag;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 7));
	EXPECT_TRUE(nothing_ended(&self->ring));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 1, 0)));
	EXPECT_EQ(1, result(&self->ring, &tag));
	EXPECT_EQ(7, tag);
	ASSERT_EQ(0, queue_answer(&self->q, &req, 9));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(9, v.a.out_value);
	EXPECT_EQ(1, queue_info(&self->q).out_wakeups);
}

TEST_F(uring, commit_and_fetch_serves_a_stream)
{
	struct portal_reply reply = { .action = PORTAL_ACTION_VALUE };
	struct portal_request req;
	struct vcpu v = { 0 };
	int i;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, i + 1, i)));
		ASSERT_EQ(1, result(&self->ring, NULL));
		ASSERT_TRUE(queue_next(&self->q, &req));
		EXPECT_EQ(i, req.data[0]);
		reply.id = req.id;
		reply.value = 1000 + i;
		__atomic_store_n(&self->q.ring->head, self->q.seen, __ATOMIC_RELEASE);
		ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH,
				    &reply, 1, i));
		ASSERT_EQ(0, vcpu_join(&v));
		EXPECT_EQ(1000 + i, v.a.out_value);
	}
	EXPECT_EQ(50, queue_info(&self->q).out_replies);
	EXPECT_EQ(0, queue_info(&self->q).out_pending);
}

TEST_F(uring, one_command_may_be_parked)
{
	__u64 tag;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 1));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 2));
	EXPECT_EQ(-EBUSY, result(&self->ring, &tag));
	EXPECT_EQ(2, tag);
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(1, result(&self->ring, &tag));
	EXPECT_EQ(1, tag);
}

TEST_F(uring, bad_commands_are_refused)
{
	struct portal_reply bad = { .action = 99 };

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH + 9, NULL, 0, 0));
	EXPECT_EQ(-ENOTTY, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_QUEUE_INFO, NULL, 0, 0));
	EXPECT_EQ(-ENOTTY, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH, &bad, 1, 0));
	EXPECT_EQ(-EOPNOTSUPP, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH, &bad, 257, 0));
	EXPECT_EQ(-EINVAL, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH, (void *)8, 1, 0));
	EXPECT_EQ(-EFAULT, result(&self->ring, NULL));
	/* seen lies in the future, or too far back */
	self->q.seen = 1;
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(-EINVAL, result(&self->ring, NULL));
	self->q.seen = -17;
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(-EINVAL, result(&self->ring, NULL));
	self->q.seen = 0;
}

TEST_F(uring, parked_command_ends_by_itself_where_nothing_can_cancel_it)
{
	__u64 start = now_ns();

	if (self->can_cancel)
		SKIP(return, "this kernel can cancel");
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(-ETIME, result(&self->ring, NULL));
	EXPECT_LE(start + 700 * NSEC_PER_MSEC, now_ns());
	EXPECT_GT(start + 1500 * NSEC_PER_MSEC, now_ns());
	/* and can be given again */
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(1, result(&self->ring, NULL));
}

TEST_F(uring, parked_command_can_be_cancelled)
{
	struct io_uring_sqe *sqe;
	__u64 tag;
	int ret;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 5));
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_cancel64(sqe, 5, 0);
	sqe->user_data = 6;
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	/* io_uring has no single cancel for these commands: it says so */
	ret = result(&self->ring, &tag);
	if (tag == 6) {
		EXPECT_TRUE(ret == 0 || ret == -ENOENT || ret == -EALREADY);
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
		ret = result(&self->ring, &tag);
	}
	EXPECT_EQ(5, tag);
	EXPECT_TRUE(ret == 1 || ret == -ECANCELED || ret == -ETIME);
}

TEST_F(uring, cancel_ends_the_parked_command)
{
	struct portal_queue_cancel c = { .size = sizeof(c), .flags = 1 };
	struct io_uring other;
	struct queue next;
	__u64 tag;

	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, &c));
	c.flags = 0;
	EXPECT_ERRNO(ENOENT, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, &c));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 1));
	EXPECT_EQ(0, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, &c));
	EXPECT_EQ(-ECANCELED, result(&self->ring, &tag));
	EXPECT_EQ(1, tag);
	EXPECT_ERRNO(ENOENT, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, &c));

	/* from another ring, as a command itself */
	ASSERT_EQ(0, io_uring_queue_init(4, &other, 0));
	ASSERT_EQ(1, submit(&other, &self->q, PORTAL_URING_CANCEL, NULL, 0, 8));
	EXPECT_EQ(-ENOENT, result(&other, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 2));
	ASSERT_EQ(1, submit(&other, &self->q, PORTAL_URING_CANCEL, NULL, 1, 8));
	EXPECT_EQ(-EINVAL, result(&other, NULL));
	EXPECT_TRUE(nothing_ended(&self->ring));
	ASSERT_EQ(1, submit(&other, &self->q, PORTAL_URING_CANCEL, NULL, 0, 9));
	EXPECT_EQ(0, result(&other, &tag));
	EXPECT_EQ(9, tag);
	EXPECT_EQ(-ECANCELED, result(&self->ring, &tag));
	EXPECT_EQ(2, tag);
	io_uring_queue_exit(&other);

	/* nothing was lost: the next command gets what comes */
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 3));
	EXPECT_EQ(1, result(&self->ring, NULL));
	/* only the owner may */
	ASSERT_EQ(0, queue_open(self->vm, &next, self->q.id));
	EXPECT_ERRNO(ESTALE, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, &c));
	queue_close(&next);
}

TEST_F(uring, a_batch_is_fetched_and_committed_at_once)
{
	static struct portal_reply replies[257];
	struct portal_mock_access a;
	struct portal_request req;
	struct vcpu v[4];
	int i;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	for (i = 0; i < 4; i++) {
		v[i] = (struct vcpu){ 0 };
		a = mock_hc(MOCK_HC, 1 + i, i);
		a.vcpu = i;
		ASSERT_EQ(0, vcpu_start(&v[i], self->vm, a));
	}
	EXPECT_EQ(1, result(&self->ring, NULL));
	ASSERT_TRUE(WAIT_UNTIL(queue_ready(&self->q) == 4));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(queue_next(&self->q, &req));
		replies[i] = (struct portal_reply){ .id = req.id, .value = 100 + req.data[0],
						    .action = PORTAL_ACTION_VALUE };
	}
	/* four answers in one command, none of which wakes more than its own */
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH, replies, 4, 0));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, vcpu_join(&v[i]));
		EXPECT_EQ(100 + i, v[i].a.out_value);
	}
	EXPECT_TRUE(nothing_ended(&self->ring));
	__atomic_store_n(&self->q.ring->head, self->q.seen, __ATOMIC_RELEASE);
	/* as many as the ring holds, in one result */
	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	EXPECT_EQ(1, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(16, result(&self->ring, NULL));
	self->q.seen += 16;
	/* the most that one command takes; these are stale, which is no error */
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_COMMIT_AND_FETCH, replies, 256, 0));
	EXPECT_TRUE(nothing_ended(&self->ring));
	EXPECT_EQ(256, queue_info(&self->q).out_stale);
	EXPECT_EQ(4, queue_info(&self->q).out_replies);
	EXPECT_ERRNO(EINVAL, queue_commit(&self->q, replies, 257));
	EXPECT_EQ(256, queue_info(&self->q).out_stale);
}

TEST_F(uring, async_submission_parks_too)
{
	struct portal_request req;

	/* from io-wq, where a driver may sleep but holds no uring_lock */
	ASSERT_EQ(1, submit_flags(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 1,
				  IOSQE_ASYNC));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(1, result(&self->ring, NULL));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_EQ(1, submit_flags(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 2,
				  IOSQE_ASYNC));
}

TEST_F(uring, new_owner_sends_the_old_one_home)
{
	struct queue next;

	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	ASSERT_EQ(0, queue_open(self->vm, &next, self->q.id));
	EXPECT_EQ(-ESTALE, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &self->q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(-ESTALE, result(&self->ring, NULL));
	queue_close(&next);
}

TEST_F(uring, end_of_the_queue_ends_the_command)
{
	struct queue q;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(4)));
	ASSERT_EQ(1, submit(&self->ring, &q, PORTAL_URING_FETCH, NULL, 0, 0));
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_QUEUE_DEL, q.id));
	EXPECT_EQ(-ENODEV, result(&self->ring, NULL));
	ASSERT_EQ(1, submit(&self->ring, &q, PORTAL_URING_FETCH, NULL, 0, 0));
	EXPECT_EQ(-ENODEV, result(&self->ring, NULL));
	queue_close(&q);
}

/* ---- owners who leave with a command parked ---------------------------- */

enum leave { BY_KILL, BY_EXIT, BY_EXEC, BY_RING_EXIT, BY_CLOSE };

FIXTURE(leave)
{
	struct mock m;
};

FIXTURE_VARIANT(leave)
{
	enum leave how;
};

FIXTURE_VARIANT_ADD(leave, by_kill) { .how = BY_KILL };
FIXTURE_VARIANT_ADD(leave, by_exit) { .how = BY_EXIT };
FIXTURE_VARIANT_ADD(leave, by_exec) { .how = BY_EXEC };
FIXTURE_VARIANT_ADD(leave, by_ring_exit) { .how = BY_RING_EXIT };
FIXTURE_VARIANT_ADD(leave, by_close) { .how = BY_CLOSE };

FIXTURE_SETUP(leave)
{
	mock_setup(_metadata, &self->m);
	if (!(portal_features(self->m.dev) & PORTAL_FEAT_URING))
		SKIP(_exit(HARNESS_SKIP), "this kernel cannot do it");
}

FIXTURE_TEARDOWN(leave)
{
	mock_teardown(&self->m);
}

static void leave(struct queue *q, enum leave how, int tell)
{
	struct io_uring ring;

	if (io_uring_queue_init(8, &ring, 0) ||
	    submit(&ring, q, PORTAL_URING_FETCH, NULL, 0, 0) != 1)
		_exit(1);
	if (write(tell, "x", 1) != 1)
		_exit(1);
	switch (how) {
	case BY_KILL:
		pause();
		break;
	case BY_EXIT:
		_exit(0);
	case BY_EXEC:
		execl("/bin/sleep", "sleep", "60", NULL);
		_exit(1);
	case BY_RING_EXIT:
		queue_close(q);
		io_uring_queue_exit(&ring);
		pause();
		break;
	case BY_CLOSE:
		queue_close(q);
		pause();
	}
}

TEST_F(leave, and_nothing_is_left)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
	struct portal_request req;
	struct vcpu v = { 0 };
	struct queue q, next;
	int pid, pipes[2];
	__u64 start;
	__u32 id;
	char c;

	ASSERT_EQ(0, queue_create(self->m.vm, &q, (struct portal_queue_create)
				  QUEUE(16, .orphan = PORTAL_ORPHAN_FAIL)));
	id = q.id;
	ASSERT_LT(0, hook_add(self->m.vm, (struct portal_hook_add)
			      HOOK(id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		leave(&q, variant->how, pipes[1]);
	queue_close(&q);
	ASSERT_EQ(1, read(pipes[0], &c, 1));
	start = now_ns();
	if (variant->how == BY_KILL)
		kill(pid, SIGKILL);
	/* the file is released: its queue is an orphan and fails calls */
	EXPECT_TRUE(WAIT_UNTIL(!mock_run(self->m.vm, &a) && a.out_result == PORTAL_MOCK_DONE &&
			       (__s64)a.out_value == -PORTAL_EIO && ++a.call_id));
	EXPECT_GT(start + 2500 * NSEC_PER_MSEC, now_ns());
	/* and somebody else can have it */
	ASSERT_EQ(0, queue_open(self->m.vm, &next, id));
	ASSERT_EQ(0, vcpu_start(&v, self->m.vm, mock_hc(MOCK_HC, 12345, 0)));
	do {
		ASSERT_TRUE(queue_next(&next, &req));
	} while (req.call_id != 12345);
	ASSERT_EQ(0, queue_reply(&next, req.id, 4));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(4, v.a.out_value);
	queue_close(&next);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_HARNESS_MAIN
