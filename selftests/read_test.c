// SPDX-License-Identifier: GPL-2.0-only
/*
 * read_test - the simple way to serve a queue: read, write, poll
 */
#include "mock_util.h"

FIXTURE(read)
{
	struct mock m;
	struct queue q;
	int vm;
};

FIXTURE_SETUP(read)
{
	struct portal_region_range sync = {
		.offset = 32, .len = 4, .attr = PORTAL_ATTR_SYNC, .eventfd = -1,
	};

	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(8)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_LT(0, region_add(self->vm, (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, &sync, 1)));
}

FIXTURE_TEARDOWN(read)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* noipa: the compiler shall not see that some buffers are wrong on purpose */
static __attribute__((noipa)) ssize_t do_read(const struct queue *q, void *buf, size_t len)
{
	ssize_t ret = read(q->fd, buf, len);

	return ret < 0 ? -errno : ret;
}

static __attribute__((noipa)) ssize_t do_write(const struct queue *q, const void *buf, size_t len)
{
	ssize_t ret = write(q->fd, buf, len);

	return ret < 0 ? -errno : ret;
}

static int do_poll(const struct queue *q, int timeout_ms)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLIN | POLLOUT };

	return poll(&pfd, 1, timeout_ms) < 0 ? -errno : pfd.revents;
}

TEST_F(read, a_call_from_read_to_write)
{
	struct portal_request req;
	struct portal_reply reply = { .action = PORTAL_ACTION_VALUE, .value = 0x5eed };
	struct vcpu v = { 0 };

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 9)));
	/* sleeps until it is there */
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	EXPECT_EQ(9, req.data[0]);
	reply.id = req.id;
	ASSERT_EQ(sizeof(reply), do_write(&self->q, &reply, sizeof(reply)));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(0x5eed, v.a.out_value);
	EXPECT_EQ(1, queue_info(&self->q).out_replies);
}

TEST_F(read, whole_requests_in_order_as_many_as_fit)
{
	struct portal_request reqs[5];
	int i;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_EQ(2 * sizeof(reqs[0]), do_read(&self->q, reqs, 3 * sizeof(reqs[0]) - 1));
	EXPECT_EQ(0, reqs[0].data[0]);
	EXPECT_EQ(1, reqs[1].data[0]);
	ASSERT_EQ(3 * sizeof(reqs[0]), do_read(&self->q, reqs, sizeof(reqs)));
	EXPECT_EQ(2, reqs[0].data[0]);
	EXPECT_EQ(4, reqs[2].data[0]);
}

TEST_F(read, short_buffer_is_einval_and_takes_nothing)
{
	struct portal_request req;

	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(-EINVAL, do_read(&self->q, &req, sizeof(req) - 1));
	EXPECT_EQ(-EINVAL, do_read(&self->q, &req, 0));
	EXPECT_EQ(-EFAULT, do_read(&self->q, (void *)8, sizeof(req)));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	EXPECT_EQ(1, req.data[0]);
}

TEST_F(read, nonblocking_is_eagain)
{
	struct portal_request req;

	ASSERT_EQ(0, fcntl(self->q.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, do_read(&self->q, &req, sizeof(req)));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	EXPECT_EQ(-EAGAIN, do_read(&self->q, &req, sizeof(req)));
}

static void nothing(int sig)
{
	(void)sig;
}

static void *reader(void *arg)
{
	static struct portal_request req;
	static ssize_t ret;

	ret = do_read(arg, &req, sizeof(req));
	return &ret;
}

TEST_F(read, signal_is_eintr)
{
	struct sigaction sa = { .sa_handler = nothing };
	pthread_t thread;
	void *ret;
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader, &self->q));
	/* it may not sleep yet: again until it has gone */
	for (i = 0; i < 1000 && pthread_tryjoin_np(thread, &ret); i++) {
		pthread_kill(thread, SIGUSR1);
		poll(NULL, 0, 1);
	}
	ASSERT_GT(1000, i);
	EXPECT_EQ(-EINTR, *(ssize_t *)ret);
}

TEST_F(read, consumed_when_the_reader_comes_again)
{
	struct portal_request req;
	struct vcpu v = { 0 };

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_write(MOCK_MMIO + 32, 4, 1)));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	ASSERT_TRUE(WAIT_UNTIL(queue_flag(&self->q, PORTAL_RING_F_NEED_COMMIT)));
	EXPECT_FALSE(vcpu_done(&v));
	ASSERT_EQ(0, fcntl(self->q.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, do_read(&self->q, &req, sizeof(req)));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(0, queue_info(&self->q).out_pending);
}

TEST_F(read, poll_tells_what_is_there)
{
	struct portal_request req;

	EXPECT_EQ(POLLOUT, do_poll(&self->q, 0));
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 1));
	EXPECT_EQ(POLLIN | POLLOUT, do_poll(&self->q, 0));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	EXPECT_EQ(POLLOUT, do_poll(&self->q, 0));
}

TEST_F(read, poll_wakes_up)
{
	struct pollfd pfd = { .fd = self->q.fd, .events = POLLIN };
	__u64 start = now_ns();
	struct vcpu v = { 0 };

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_write(MOCK_MMIO, 4, 1)));
	ASSERT_EQ(1, poll(&pfd, 1, 5000));
	EXPECT_GT(start + 2 * NSEC_PER_SEC, now_ns());
	ASSERT_EQ(0, vcpu_join(&v));
}

TEST_F(read, bad_replies_are_refused)
{
	struct portal_reply good = { .action = PORTAL_ACTION_VALUE, .value = 4 }, bad;
	struct portal_request req;
	struct vcpu v = { 0 };

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 9)));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	good.id = req.id;
#define BAD(err, ...) do {						\
	bad = good;							\
	__VA_ARGS__;							\
	EXPECT_EQ(-(err), do_write(&self->q, &bad, sizeof(bad)));	\
	EXPECT_ERRNO(err, queue_commit(&self->q, &bad, 1));		\
} while (0)
	BAD(EOPNOTSUPP, bad.action = 3);
	BAD(EOPNOTSUPP, bad.flags = 1);
	BAD(EOPNOTSUPP, bad.state_mask = 1);
	BAD(EINVAL, bad.__reserved = 1);
	BAD(EINVAL, bad.error = 4096);
#undef BAD
	EXPECT_EQ(-EINVAL, do_write(&self->q, &good, sizeof(good) - 1));
	EXPECT_EQ(-EINVAL, do_write(&self->q, &good, sizeof(good) + 1));
	EXPECT_EQ(-EINVAL, do_write(&self->q, &good, 0));
	EXPECT_EQ(-EFAULT, do_write(&self->q, (void *)8, sizeof(good)));
	EXPECT_ERRNO(EINVAL, queue_commit(&self->q, &good, 257));
	EXPECT_ERRNO(EFAULT, queue_commit(&self->q, (void *)8, 1));
	EXPECT_FALSE(vcpu_done(&v));
	EXPECT_EQ(0, queue_info(&self->q).out_replies);
	ASSERT_EQ(sizeof(good), do_write(&self->q, &good, sizeof(good)));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(4, v.a.out_value);
}

TEST_F(read, replies_before_a_bad_one_are_done)
{
	struct portal_reply replies[2] = {
		{ .action = PORTAL_ACTION_VALUE, .value = 1 }, { .action = 77 },
	};
	struct portal_request req;
	struct vcpu v = { 0 };
	ssize_t ret;

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 9)));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	replies[0].id = req.id;
	/* the rest is written again, and then the error is told */
	ret = do_write(&self->q, replies, sizeof(replies));
	EXPECT_EQ(sizeof(replies[0]), ret);
	EXPECT_EQ(-EOPNOTSUPP, do_write(&self->q, &replies[1], sizeof(replies[1])));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(1, v.a.out_value);
}

TEST_F(read, a_reply_answers_once)
{
	struct portal_reply replies[3] = {
		{ .action = PORTAL_ACTION_VALUE, .value = 1 },
		{ .action = PORTAL_ACTION_VALUE, .value = 2 },
		{ .id = 0xdeadbeef, .action = PORTAL_ACTION_VALUE },
	};
	struct portal_request req;
	struct vcpu v = { 0 };

	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 9)));
	ASSERT_EQ(sizeof(req), do_read(&self->q, &req, sizeof(req)));
	replies[0].id = replies[1].id = req.id;
	ASSERT_EQ(sizeof(replies), do_write(&self->q, replies, sizeof(replies)));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(1, v.a.out_value);
	EXPECT_EQ(1, queue_info(&self->q).out_replies);
	EXPECT_EQ(2, queue_info(&self->q).out_stale);
}

TEST_F(read, a_reply_is_good_only_on_its_own_queue)
{
	struct portal_request req;
	struct vcpu v = { 0 };
	struct queue other;

	ASSERT_EQ(0, queue_create(self->vm, &other, (struct portal_queue_create)QUEUE(8)));
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 3, 9)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(0, queue_reply(&other, req.id, 6));
	EXPECT_EQ(1, queue_info(&other).out_stale);
	EXPECT_FALSE(vcpu_done(&v));
	EXPECT_EQ(0, queue_reply(&self->q, req.id, 7));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(7, v.a.out_value);
	queue_close(&other);
}

TEST_HARNESS_MAIN
