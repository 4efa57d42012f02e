/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * fake_uring.c - uring commands of the fake kernel, on a real io_uring
 */
#include <liburing.h>
#include "fake.h"

static uint64_t wake_buf;

int __real_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr);

/* Turns our command into one any kernel has: NOP to end it, READ to park it. */
static bool issue(struct io_uring_sqe *sqe, int *res)
{
	struct portal_uring_cmd cmd;
	int err = 0;

	memcpy(&cmd, sqe->cmd, sizeof(cmd));
	fake.fetches++;
	fake.fetches_replies += cmd.nr_replies != 0;
	fake.seen = cmd.seen;
	assert_int_equal(sqe->cmd_op, cmd.nr_replies ? PORTAL_URING_COMMIT_AND_FETCH :
			 PORTAL_URING_FETCH);
	*res = 0;
	if (fake.nr_fetch_res) {
		*res = fake.fetch_res[0];
		memmove(fake.fetch_res, fake.fetch_res + 1, sizeof(fake.fetch_res) - sizeof(int));
		fake.nr_fetch_res--;
	}
	if (!*res || *res == -ETIME) {
		err = fake_commit(&cmd);
		if (err >= 0 && (uint32_t)err < cmd.nr_replies)
			err = -EINVAL;
	}
	if (err < 0)
		*res = err;
	if (!*res)
		*res = (int)(fake.ring->tail - cmd.seen);
	if (!*res && fake.ring->flags & PORTAL_RING_F_STALE)
		*res = -ENODEV;
	memset(sqe->cmd, 0, sizeof(cmd));
	sqe->off = 0;
	if (*res) {
		sqe->opcode = IORING_OP_NOP;
		sqe->fd = -1;
		return true;
	}
	sqe->opcode = IORING_OP_READ;
	sqe->fd = fake.wake_fd;
	sqe->addr = (uintptr_t)&wake_buf;
	sqe->len = sizeof(wake_buf);
	return false;
}

static int submit(struct io_uring *ring, unsigned int wait_nr)
{
	unsigned int i, head = *ring->sq.khead;
	uint64_t user_data = 0;
	bool ended = false, parks = false;
	int res = 0, ret;

	for (i = head; i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];

		if (sqe->opcode != IORING_OP_URING_CMD)
			continue;
		assert_true(fake_is_queue(sqe->fd));
		assert_false(fake.parked);	/* one at a time */
		user_data = sqe->user_data;
		ended = issue(sqe, &res);
		parks = !ended;
	}
	if (parks)
		__atomic_store_n(&fake.parked, true, __ATOMIC_RELEASE);
	ret = wait_nr ? __real_io_uring_submit_and_wait(ring, wait_nr) :
			__real_io_uring_submit(ring);
	for (i = *ring->cq.khead; ended && i != io_uring_smp_load_acquire(ring->cq.ktail); i++) {
		struct io_uring_cqe *cqe = &ring->cq.cqes[i & *ring->cq.kring_mask];

		if (cqe->user_data == user_data)
			cqe->res = res;
	}
	return ret;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	return submit(ring, 0);
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr)
{
	return submit(ring, nr);
}
