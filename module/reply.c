// SPDX-License-Identifier: GPL-2.0-only
/*
 * reply.c - answers come down from the owner of a queue
 */
#include <linux/fs.h>
#include <linux/uaccess.h>
#include "portal.h"

static int reply_check(const struct portal_reply *reply)
{
	if (reply->__reserved || reply->error > 4095)
		return -EINVAL;
	if (reply->flags || reply->state_mask || reply->action > PORTAL_ACTION_PASS)
		return -EOPNOTSUPP;
	return 0;
}

/**
 * portal_replies - do an array of replies
 * @qf: the owner's file
 * @ureplies: user memory, each copied once
 * @nr: how many
 *
 * Context: process.
 * Return: how many were done, or the error of the first.
 */
int portal_replies(struct portal_queue_file *qf, const struct portal_reply __user *ureplies, u32 nr)
{
	struct portal_queue *queue = qf->queue;
	struct portal_reply reply;
	int ret = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		ret = -EFAULT;
		if (copy_from_user(&reply, &ureplies[i], sizeof(reply)))
			break;
		ret = reply_check(&reply);
		if (ret)
			break;
		ret = portal_call_reply(qf, &reply);
		if (ret == -ESTALE)
			break;
		spin_lock(&queue->lock);
		if (ret)
			queue->nr_stale++;	/* it timed out or was cancelled: no error */
		else
			queue->nr_replies++;
		spin_unlock(&queue->lock);
		ret = 0;
	}
	return ret == -ESTALE ? ret : i ?: ret;
}

int portal_queue_ioctl_commit(struct portal_queue_file *qf, struct portal_uring_cmd *arg)
{
	int ret;

	if (arg->nr_replies > PORTAL_MAX_REPLIES)
		return -EINVAL;
	ret = portal_queue_check(qf);
	if (ret == -ENODEV)
		portal_queue_consumed(qf->queue);	/* a last event may wait for room */
	if (ret)
		return ret;
	ret = portal_replies(qf, u64_to_user_ptr(arg->replies_uptr), arg->nr_replies);
	portal_queue_consumed(qf->queue);
	return ret;
}
