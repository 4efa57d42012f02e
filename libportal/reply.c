/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * reply.c - answers to calls, collected and sent in batches
 */
#include "internal.h"
#include "transport.h"

static int commit(struct portal_queue *q, const struct portal_reply *reply, uint32_t nr)
{
	struct portal_uring_cmd arg = {
		.replies_uptr = nr ? ptr_to_u64(reply) : 0,
		.nr_replies = nr,
	};
	int err;

	do {
		err = portal_ioctl(q->fd, PORTAL_QUEUE_COMMIT, &arg);
	} while (err == -EINTR);
	return err < 0 ? err : 0;
}

int queue_commit(struct portal_queue *q, struct replies *replies)
{
	uint32_t i, nr = replies->nr;
	int err, first = 0;

	err = commit(q, replies->reply, nr);
	if (err == -ENODEV)
		err = 0;	/* nobody is left to answer; the ring says so when drained */
	if (!err)
		q->need_commit = false;
	else if (err != -EINVAL && err != -EOPNOTSUPP)
		return err;
	replies->nr = 0;
	if (!err || nr < 2)
		return err;
	/*
	 * One that the kernel refuses must not take those behind it along. The
	 * ones before it are done: they count as stale and are skipped.
	 */
	for (i = 0; i < nr; i++) {
		err = commit(q, &replies->reply[i], 1);
		if (err && !first)
			first = err;
	}
	return first;
}

static int reply_add(struct portal_queue *q, const struct portal_reply *reply)
{
	int err = 0;

	if (q->replies->nr == REPLIES_MAX)
		err = q->ops->send(q);
	if (q->replies->nr == REPLIES_MAX)
		return err ? err : -EAGAIN;
	q->replies->reply[q->replies->nr++] = *reply;
	return err;
}

int portal_reply_value(struct portal_queue *queue, uint64_t id, uint64_t value)
{
	struct portal_reply reply = {
		.id = id, .action = PORTAL_ACTION_VALUE, .value = value,
	};

	return reply_add(queue, &reply);
}

int portal_reply_error(struct portal_queue *queue, uint64_t id, uint32_t error)
{
	struct portal_reply reply = {
		.id = id, .action = PORTAL_ACTION_ERROR, .error = error,
	};

	return reply_add(queue, &reply);
}

int portal_reply_pass(struct portal_queue *queue, uint64_t id)
{
	struct portal_reply reply = { .id = id, .action = PORTAL_ACTION_PASS };

	return reply_add(queue, &reply);
}
