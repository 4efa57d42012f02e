// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev.c - /dev/portal, and the simple way to serve a queue: read, write,
 * poll, mmap
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "portal.h"
#include "trace.h"

/* ---- queue fd ----------------------------------------------------------- */

static int queue_release(struct inode *inode, struct file *file)
{
	struct portal_queue_file *qf = file->private_data;

	portal_queue_orphan(qf->queue, qf->epoch);
	portal_pages_put(qf->pages);
	portal_queue_put(qf->queue);
	kfree(qf);
	return 0;
}

static bool queue_readable(struct portal_queue *queue)
{
	bool readable;

	spin_lock(&queue->lock);
	portal_ring_head(queue);
	readable = queue->tail != queue->seen;
	spin_unlock(&queue->lock);
	return readable;
}

/* What an earlier read() gave out is consumed when the reader comes again. */
static void consume_seen(struct portal_queue_file *qf)
{
	struct portal_queue *queue = qf->queue;

	spin_lock(&queue->lock);
	if (queue->epoch == qf->epoch && queue->seen != queue->head)
		WRITE_ONCE(queue->ring->head, (u32)queue->seen);
	spin_unlock(&queue->lock);
	portal_queue_consumed(queue);
}

static ssize_t queue_read(struct file *file, char __user *buf, size_t len, loff_t *off)
{
	struct portal_queue_file *qf = file->private_data;
	struct portal_queue *queue = qf->queue;
	size_t max = len / sizeof(struct portal_request), nr = 0;
	ssize_t ret;
	u64 pos, tail;

	if (!max)
		return -EINVAL;
	if (file->f_flags & O_NONBLOCK) {
		if (!mutex_trylock(&queue->read_mutex))
			return -EAGAIN;		/* another reader sleeps in it */
	} else if (mutex_lock_interruptible(&queue->read_mutex)) {
		return -EINTR;
	}
	ret = portal_queue_check(qf);
	if (ret && ret != -ENODEV)
		goto out_unlock;
	consume_seen(qf);
	while (!queue_readable(queue)) {
		ret = portal_queue_check(qf);
		if (!ret && file->f_flags & O_NONBLOCK)
			ret = -EAGAIN;
		if (ret)
			goto out_unlock;
		if (wait_event_interruptible(queue->wait, queue_readable(queue) ||
					     portal_queue_check(qf))) {
			ret = -EINTR;
			goto out_unlock;
		}
	}
	spin_lock(&queue->lock);
	pos = queue->seen;
	tail = queue->tail;
	spin_unlock(&queue->lock);
	/*
	 * nobody writes between head and tail, and seen is not before head; if
	 * somebody opens the queue now, these are the pages of before
	 */
	ret = 0;
	for (; pos + nr < tail && nr < max; nr++)
		if (copy_to_user(buf + nr * sizeof(struct portal_request),
				 portal_ring_entry(queue, qf->pages->ring, pos + nr),
				 sizeof(struct portal_request))) {
			ret = -EFAULT;
			break;
		}
	spin_lock(&queue->lock);
	if (queue->epoch != qf->epoch)
		ret = -ESTALE;
	else if (queue->seen < pos + nr)
		queue->seen = pos + nr;
	if (ret != -ESTALE)
		portal_ring_taken(queue, pos + nr, ktime_get_ns());
	spin_unlock(&queue->lock);
	trace_portal_fetch(queue->id, nr);
out_unlock:
	mutex_unlock(&queue->read_mutex);
	return nr && ret != -ESTALE ? nr * sizeof(struct portal_request) : ret;
}

static ssize_t queue_write(struct file *file, const char __user *buf, size_t len, loff_t *off)
{
	struct portal_queue_file *qf = file->private_data;
	size_t nr = len / sizeof(struct portal_reply);
	ssize_t ret;

	if (!nr || len % sizeof(struct portal_reply))
		return -EINVAL;
	ret = portal_queue_check(qf);
	if (ret == -ENODEV)
		portal_queue_consumed(qf->queue);
	if (ret)
		return ret;
	ret = portal_replies(qf, (const struct portal_reply __user *)buf,
			     min_t(size_t, nr, PORTAL_MAX_REPLIES));
	portal_queue_consumed(qf->queue);
	return ret < 0 ? ret : ret * sizeof(struct portal_reply);
}

static __poll_t queue_poll(struct file *file, poll_table *wait)
{
	struct portal_queue_file *qf = file->private_data;
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;
	int ret;

	poll_wait(file, &qf->queue->wait, wait);
	ret = portal_queue_check(qf);
	if (ret == -ESTALE)
		return EPOLLERR;
	if (queue_readable(qf->queue))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (ret)
		mask |= EPOLLHUP;
	return mask;
}

static int queue_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct portal_queue_file *qf = file->private_data;
	int ret;

	if (((u64)vma->vm_pgoff << PAGE_SHIFT) >> PORTAL_MMAP_KIND_SHIFT == PORTAL_MMAP_SHADOW) {
		ret = portal_queue_check(qf);
		return ret ?: portal_shadow_mmap(qf->queue->client, vma, 0, qf->queue);
	}
	return portal_shared_mmap(vma, qf->pages->ring, qf->queue->ring_size, vma->vm_pgoff);
}

const struct file_operations portal_queue_fops = {
	.owner = THIS_MODULE,
	.release = queue_release,
	.read = queue_read,
	.write = queue_write,
	.poll = queue_poll,
	.mmap = queue_mmap,
	.flush = portal_uring_flush,
	.uring_cmd = portal_uring_cmd,
	.unlocked_ioctl = portal_ioctl_queue,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* ---- /dev/portal -------------------------------------------------------- */


static const struct file_operations portal_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = portal_ioctl_dev,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice portal_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "portal",
	.fops = &portal_dev_fops,
	.mode = 0660,
};

int portal_chardev_init(void)
{
	return misc_register(&portal_misc);
}

void portal_chardev_exit(void)
{
	misc_deregister(&portal_misc);
}
