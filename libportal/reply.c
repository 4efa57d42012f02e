/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * reply.c - answers to calls, collected and sent in batches
 */
#include "internal.h"
#include "transport.h"

/* How many replies the kernel took, or -errno. */
static int commit(struct portal_queue *q, const struct portal_reply *reply, uint32_t nr)
{
	struct portal_uring_cmd arg = {
		.replies_uptr = nr ? ptr_to_u64(reply) : 0,
		.nr_replies = nr,
	};
	int ret;

	do {
		ret = portal_ioctl(q->fd, PORTAL_QUEUE_COMMIT, &arg);
	} while (ret == -EINTR);
	return ret;
}

/*
 * A refused reply must not take those behind it along: the kernel stops before
 * it, so the next commit begins with it, fails, and goes on behind it.
 */
int queue_commit(struct portal_queue *q, struct replies *replies)
{
	uint32_t sent = 0, left = replies->nr;
	int ret, refused = 0;

	do {
		ret = commit(q, &replies->reply[sent], left);
		if (ret == -ENODEV)
			ret = (int)left;	/* nobody to answer; the ring says so when drained */
		if (ret >= 0) {
			q->need_commit = false;
		} else if (left && (ret == -EINVAL || ret == -EOPNOTSUPP)) {
			refused = ret;
			ret = 1;
		} else {
			break;
		}
		sent += (uint32_t)ret < left ? (uint32_t)ret : left;
		left = replies->nr - sent;
	} while (left && ret);

	replies->nr = left;
	memmove(replies->reply, replies->reply + sent, left * sizeof(replies->reply[0]));
	return refused ? refused : ret < 0 ? ret : 0;
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
