// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring_cmd.c - FETCH, COMMIT_AND_FETCH and CANCEL
 *
 * One command may be parked per queue; a request, the death of the queue, a
 * new owner or a cancellation takes it out of queue->cmd under queue->lock,
 * and who takes it completes it. Before 6.7 io_uring cannot cancel a parked
 * command, and one of a dead, closed or exec'ing task would pin the file for
 * ever: there every command ends after a second, whatever happens.
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "portal.h"
#include "trace.h"

/* In the owner's task: what it was told of is now in its hands. */
static void cmd_done(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct portal_queue_file *qf = cmd->file->private_data;
	struct portal_queue *queue = qf->queue;

	if (*(int *)cmd->pdu > 0) {
		spin_lock(&queue->lock);
		if (queue->epoch == qf->epoch)
			portal_ring_taken(queue, queue->tail, ktime_get_ns());
		spin_unlock(&queue->lock);
	}
	io_uring_cmd_done(cmd, *(int *)cmd->pdu, 0, issue_flags);
}

/**
 * portal_uring_complete - end the parked command
 * @queue: its lock held, queue->cmd set
 * @res: result
 *
 * Context: atomic; the rest happens in the owner's task.
 */
void portal_uring_complete(struct portal_queue *queue, int res)
{
	struct io_uring_cmd *cmd = queue->cmd;

	lockdep_assert_held(&queue->lock);
	queue->cmd = NULL;
	*(int *)cmd->pdu = res;
	trace_portal_fetch(queue->id, res);
	io_uring_cmd_complete_in_task(cmd, cmd_done);
}

/**
 * portal_uring_work - a parked command is a second old
 * @work: queue->cmd_work
 */
void portal_uring_work(struct work_struct *work)
{
	struct portal_queue *queue = container_of(to_delayed_work(work), struct portal_queue,
						  cmd_work);

	spin_lock(&queue->lock);
	if (queue->cmd)
		portal_uring_complete(queue, -ETIME);
	spin_unlock(&queue->lock);
}

/* Parks @cmd, or says at once what there is. */
static int fetch(struct portal_queue_file *qf, struct io_uring_cmd *cmd, u32 seen,
		 unsigned int issue_flags)
{
	struct portal_queue *queue = qf->queue;
	bool bounded;
	u32 behind;
	int ret;

	spin_lock(&queue->lock);
	ret = -ESTALE;
	if (queue->epoch != qf->epoch)
		goto out_unlock;
	portal_ring_head(queue);
	behind = (u32)queue->tail - seen;
	ret = -EINVAL;
	if (behind > queue->entries)
		goto out_unlock;
	/* an SQE may be older than head; and @seen may be made up */
	behind = min_t(u64, behind, queue->tail - queue->head);
	if (queue->seen < queue->tail - behind)
		queue->seen = queue->tail - behind;
	ret = behind;
	if (behind) {
		portal_ring_taken(queue, queue->tail, ktime_get_ns());
		goto out_unlock;
	}
	ret = -ENODEV;
	if (queue->dead && !portal_life_pending(queue))
		goto out_unlock;	/* else the owner has to consume something first */
	ret = -EBUSY;
	if (queue->cmd)
		goto out_unlock;
	queue->cmd = cmd;
	queue->cmd_tgid = task_tgid_nr(current);
	queue->cmd_seen = queue->tail;
	bounded = true;
#ifdef HAVE_URING_CANCEL
	/*
	 * In a worker of io_uring, marking would sleep, and race with the
	 * completion in the submitter's task: such a command is bounded too.
	 */
	if (!(issue_flags & IO_URING_F_UNLOCKED)) {
		io_uring_cmd_mark_cancelable(cmd, issue_flags);
		bounded = false;
	}
#endif
	if (bounded)
		mod_delayed_work(portal_wq, &queue->cmd_work, HZ);
	ret = -EIOCBQUEUED;
out_unlock:
	spin_unlock(&queue->lock);
	if (ret > 0)
		trace_portal_fetch(queue->id, ret);
	return ret;
}

#ifdef HAVE_URING_CANCEL
static int cancel(struct portal_queue *queue, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	bool mine;

	spin_lock(&queue->lock);
	mine = queue->cmd == cmd;
	if (mine)
		queue->cmd = NULL;
	spin_unlock(&queue->lock);
	if (mine)
		io_uring_cmd_done(cmd, -ECANCELED, 0, issue_flags);
	return 0;
}
#endif

/**
 * portal_queue_ioctl_cancel - end the parked command of this queue
 * @qf: the owner's file
 * @arg: the argument
 *
 * Return: 0, -ENOENT (none), -ESTALE, -ENODEV.
 */
int portal_queue_ioctl_cancel(struct portal_queue_file *qf, struct portal_queue_cancel *arg)
{
	struct portal_queue *queue = qf->queue;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	ret = portal_queue_check(qf);
	if (ret)
		return ret;
	spin_lock(&queue->lock);
	if (queue->epoch != qf->epoch)
		ret = -ESTALE;
	else if (!queue->cmd)
		ret = -ENOENT;
	else
		portal_uring_complete(queue, -ECANCELED);
	spin_unlock(&queue->lock);
	return ret;
}

int portal_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct portal_queue_file *qf = cmd->file->private_data;
	const struct portal_uring_cmd *ucmd;
	struct portal_uring_cmd arg;
	int ret;

#ifdef HAVE_URING_CANCEL
	if (issue_flags & IO_URING_F_CANCEL)
		return cancel(qf->queue, cmd, issue_flags);
#endif
	/* the SQE is the owner's memory: each field is read once */
	ucmd = portal_uring_sqe_cmd(cmd);
	arg.replies_uptr = READ_ONCE(ucmd->replies_uptr);
	arg.nr_replies = READ_ONCE(ucmd->nr_replies);
	arg.seen = READ_ONCE(ucmd->seen);

	switch (cmd->cmd_op) {
	case PORTAL_URING_FETCH:
		if (arg.replies_uptr || arg.nr_replies)
			return -EINVAL;
		break;
	case PORTAL_URING_COMMIT_AND_FETCH:
		ret = portal_queue_ioctl_commit(qf, &arg);
		if (ret < 0 && ret != -ENODEV)
			return ret;
		/* short: the one behind those is refused */
		if (ret >= 0 && ret < arg.nr_replies)
			return -EINVAL;
		break;
	case PORTAL_URING_CANCEL:
		if (arg.replies_uptr || arg.nr_replies || arg.seen)
			return -EINVAL;
		return portal_queue_ioctl_cancel(qf, &(struct portal_queue_cancel){ });
	default:
		return -ENOTTY;
	}
	if (cmd->cmd_op == PORTAL_URING_FETCH)
		portal_queue_consumed(qf->queue);
	ret = fetch(qf, cmd, arg.seen, issue_flags);
	/* a positive result of an io-wq worker would be lost on 6.1, and the request leak */
	if (ret > 0) {
		io_uring_cmd_done(cmd, ret, 0, issue_flags);
		ret = -EIOCBQUEUED;
	}
	return ret;
}

/**
 * portal_uring_flush - an fd of the queue closes
 * @file: of the queue
 * @id: not used
 *
 * Where nothing cancels, an owner that exits should not wait out the second.
 * A forked child's exit comes here too: only the submitter's counts.
 */
int portal_uring_flush(struct file *file, fl_owner_t id)
{
	struct portal_queue_file *qf = file->private_data;
	struct portal_queue *queue = qf->queue;

	spin_lock(&queue->lock);
	if (queue->cmd && queue->epoch == qf->epoch && current->flags & PF_EXITING &&
	    queue->cmd_tgid == task_tgid_nr(current))
		portal_uring_complete(queue, -ECANCELED);
	spin_unlock(&queue->lock);
	return 0;
}
