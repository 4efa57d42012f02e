// SPDX-License-Identifier: GPL-2.0-only
/*
 * node_file.c - what processes do with a file that a plugin serves
 *
 * Each read, write and ioctl becomes an event, and waits for its answer:
 * interruptibly, and no longer than the file's time-out.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "agent.h"
#include "node.h"

/* more in one call than this is cut, as read(2) and write(2) may */
#define MAX_IO		(64U << 10)
#define MAX_WAITING	64

static int start(struct agent_node *an, struct node_request *req, const u64 *args)
{
	u64 event[6] = { an->last_request + 1, args[0], args[1], args[2] };
	int ret;

	if (an->gone)
		return -EIO;
	if (an->nr_waiting >= MAX_WAITING)
		return -EBUSY;
	/* The answer may come at once: it finds us when the lock is free. */
	ret = agent_event_node(an->chan, an->id, an->cookie, req->op, event);
	if (ret)
		return ret;
	req->id = ++an->last_request;
	list_add_tail(&req->node, &an->waiting);
	an->nr_waiting++;
	return 0;
}

/* The plugin's result, or -EIO, -EBUSY, -ETIMEDOUT, -ERESTARTSYS. */
static s64 ask(struct agent_node *an, struct node_request *req, const u64 *args)
{
	long left;
	int ret;

	init_completion(&req->over);
	mutex_lock(&an->lock);
	ret = start(an, req, args);
	mutex_unlock(&an->lock);
	if (ret)
		return ret;

	left = wait_for_completion_interruptible_timeout(&req->over, an->timeout);

	mutex_lock(&an->lock);
	if (!req->done) {
		list_del(&req->node);
		an->nr_waiting--;
		req->result = left < 0 ? -ERESTARTSYS : -ETIMEDOUT;
	}
	mutex_unlock(&an->lock);
	return req->result;
}

/* Until the plugin said that there is @what. */
static int wait_ready(struct agent_node *an, struct file *file, __poll_t what)
{
	if (READ_ONCE(an->gone))
		return -EIO;
	if (READ_ONCE(an->ready) & what)
		return 0;
	if (file->f_flags & O_NONBLOCK)
		return -EAGAIN;
	return wait_event_interruptible(an->wait, READ_ONCE(an->gone) ||
					READ_ONCE(an->ready) & what);
}

static ssize_t node_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct agent_node *an = file->private_data;
	struct node_request req = { .op = PORTAL_NODE_READ };
	u64 args[3] = { *pos, 0, file->f_flags };
	s64 n;

	n = wait_ready(an, file, EPOLLIN);
	if (n || !count)
		return n;
	req.len = args[1] = min_t(size_t, count, MAX_IO);
	req.data = kvmalloc(req.len, GFP_KERNEL_ACCOUNT);
	if (!req.data)
		return -ENOMEM;
	n = ask(an, &req, args);
	if (n > 0 && copy_to_user(buf, req.data, n))
		n = -EFAULT;
	kvfree(req.data);
	if (n > 0)
		*pos += n;
	return n;
}

static ssize_t node_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct agent_node *an = file->private_data;
	struct node_request req = { .op = PORTAL_NODE_WRITE };
	u64 args[3] = { *pos, 0, file->f_flags };
	s64 n;

	n = wait_ready(an, file, EPOLLOUT);
	if (n || !count)
		return n;
	req.len = args[1] = min_t(size_t, count, MAX_IO);
	req.data = kvmalloc(req.len, GFP_KERNEL_ACCOUNT);
	if (!req.data)
		return -ENOMEM;
	n = copy_from_user(req.data, buf, req.len) ? -EFAULT : ask(an, &req, args);
	kvfree(req.data);
	if (n > 0)
		*pos += n;
	/* The plugin may have seen it: it must not be done twice. */
	return n == -ERESTARTSYS ? -EINTR : n;
}

static long node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct agent_node *an = file->private_data;
	struct node_request req = { .op = PORTAL_NODE_IOCTL };
	u64 args[3] = { cmd, arg, file->f_flags };
	s64 n = ask(an, &req, args);

	return n == -ERESTARTSYS ? -EINTR : n;
}

static __poll_t node_poll(struct file *file, struct poll_table_struct *wait)
{
	struct agent_node *an = file->private_data;
	__poll_t ready;

	poll_wait(file, &an->wait, wait);
	if (READ_ONCE(an->gone))
		return EPOLLERR | EPOLLHUP;
	ready = READ_ONCE(an->ready);
	if (ready & EPOLLIN)
		ready |= EPOLLRDNORM;
	if (ready & EPOLLOUT)
		ready |= EPOLLWRNORM;
	return ready;
}

static int node_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct agent_node *an = file->private_data;

	if (!an->mem)
		return -ENODEV;
	/* -EINVAL when it is more than there is */
	return remap_vmalloc_range(vma, an->mem, vma->vm_pgoff);
}

static int node_release(struct inode *inode, struct file *file)
{
	agent_node_put(file->private_data);
	return 0;
}

static int node_proc_open(struct inode *inode, struct file *file)
{
	struct agent_node *an = pde_data(inode);

	refcount_inc(&an->users);
	file->private_data = an;
	return 0;
}

/* Under misc_mtx, as misc_deregister() is: the file is there. */
static int node_dev_open(struct inode *inode, struct file *file)
{
	struct agent_node *an = container_of(file->private_data, struct agent_node, misc);

	refcount_inc(&an->users);
	file->private_data = an;
	return 0;
}

const struct proc_ops node_proc_ops = {
	.proc_open = node_proc_open,
	.proc_release = node_release,
	.proc_read = node_read,
	.proc_write = node_write,
	.proc_lseek = default_llseek,
	/* no poll: the end of a file of /proc does not wait for who polls it */
	.proc_mmap = node_mmap,
	.proc_ioctl = node_ioctl,
};

const struct file_operations node_dev_fops = {
	.owner = THIS_MODULE,
	.open = node_dev_open,
	.release = node_release,
	.read = node_read,
	.write = node_write,
	.llseek = default_llseek,
	.poll = node_poll,
	.mmap = node_mmap,
	.unlocked_ioctl = node_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
