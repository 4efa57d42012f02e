// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - open files of /dev/portal-guest and the events they wait for
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kfifo.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "guest.h"

#define FILE_EVENTS	256

/**
 * struct portal_file - an open file
 * @node: in files, protected by files_lock
 * @read_lock: serialises readers, who take from @events
 * @wait: readers and pollers
 * @lost: events dropped since the last one that fitted, protected by
 *	files_lock
 * @events: unread events; added to under files_lock, taken from under
 *	@read_lock, which a kfifo allows at the same time
 */
struct portal_file {
	struct list_head node;
	struct mutex read_lock;
	wait_queue_head_t wait;
	u32 lost;
	DECLARE_KFIFO(events, struct portal_guest_event, FILE_EVENTS);
};

static LIST_HEAD(files);
static DEFINE_MUTEX(files_lock);

/**
 * portal_file_publish() - give every open file an event
 * @slot: service whose interrupt handler ran
 * @value: what it returned
 *
 * Context: Process context, may sleep.
 */
void portal_file_publish(u32 slot, u64 value)
{
	struct portal_guest_event event = { .slot = slot, .value = value };
	struct portal_file *pf;

	mutex_lock(&files_lock);
	list_for_each_entry(pf, &files, node) {
		event.lost = pf->lost;
		if (kfifo_put(&pf->events, event))
			pf->lost = 0;
		else if (pf->lost < U32_MAX)
			pf->lost++;
		wake_up_interruptible(&pf->wait);
	}
	mutex_unlock(&files_lock);
}

/**
 * portal_file_open() - open(2)
 * @inode: of the device
 * @file: being opened
 *
 * Return: 0 or a negative errno.
 */
int portal_file_open(struct inode *inode, struct file *file)
{
	struct portal_file *pf = kzalloc(sizeof(*pf), GFP_KERNEL_ACCOUNT);

	if (!pf)
		return -ENOMEM;
	mutex_init(&pf->read_lock);
	init_waitqueue_head(&pf->wait);
	INIT_KFIFO(pf->events);
	file->private_data = pf;

	mutex_lock(&files_lock);
	list_add_tail(&pf->node, &files);
	mutex_unlock(&files_lock);
	return nonseekable_open(inode, file);
}

/**
 * portal_file_release() - last close(2)
 * @inode: of the device
 * @file: being closed
 *
 * Return: 0.
 */
int portal_file_release(struct inode *inode, struct file *file)
{
	struct portal_file *pf = file->private_data;

	mutex_lock(&files_lock);
	list_del(&pf->node);
	mutex_unlock(&files_lock);
	kfree(pf);
	return 0;
}

/* Takes as many events as fit; one that cannot be copied stays. */
static ssize_t take_events(struct portal_file *pf, char __user *buf,
			   size_t count)
{
	struct portal_guest_event event;
	size_t done = 0;

	lockdep_assert_held(&pf->read_lock);

	while (count - done >= sizeof(event) &&
	       kfifo_peek(&pf->events, &event)) {
		if (copy_to_user(buf + done, &event, sizeof(event)))
			return done ?: -EFAULT;
		kfifo_skip(&pf->events);
		done += sizeof(event);
	}
	return done;
}

/**
 * portal_file_read() - read(2): one or more struct portal_guest_event
 * @file: the open file
 * @buf: for the events
 * @count: its size
 * @pos: ignored
 *
 * Return: bytes read; -EINVAL if @count has no room for one; -EAGAIN;
 *	-EFAULT; -ERESTARTSYS.
 */
ssize_t portal_file_read(struct file *file, char __user *buf, size_t count,
			 loff_t *pos)
{
	struct portal_file *pf = file->private_data;
	ssize_t ret;

	if (count < sizeof(struct portal_guest_event))
		return -EINVAL;

	for (;;) {
		if (mutex_lock_interruptible(&pf->read_lock))
			return -ERESTARTSYS;
		ret = take_events(pf, buf, count);
		mutex_unlock(&pf->read_lock);
		if (ret)
			return ret;

		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(pf->wait,
					     !kfifo_is_empty(&pf->events)))
			return -ERESTARTSYS;
	}
}

/**
 * portal_file_poll() - poll(2)
 * @file: the open file
 * @wait: poll table
 *
 * Return: EPOLLIN | EPOLLRDNORM if there is an event to read.
 */
__poll_t portal_file_poll(struct file *file, struct poll_table_struct *wait)
{
	struct portal_file *pf = file->private_data;

	poll_wait(file, &pf->wait, wait);
	return kfifo_is_empty(&pf->events) ? 0 : EPOLLIN | EPOLLRDNORM;
}
