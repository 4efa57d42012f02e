// SPDX-License-Identifier: GPL-2.0-only
/*
 * queue.c - queues and their owners
 *
 * A queue belongs to a client; who holds its newest queue fd owns it. An owner
 * that dies leaves an orphan: enum portal_orphan says what becomes of its
 * requests, and for how long they wait for PORTAL_QUEUE_OPEN.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "portal.h"
#include "trace.h"

static void orphan_work(struct work_struct *work);

static void queue_free_work(struct work_struct *work)
{
	struct portal_queue *queue = container_of(work, struct portal_queue, free_work);

	cancel_delayed_work_sync(&queue->orphan_work);
	cancel_delayed_work_sync(&queue->cmd_work);
	portal_pages_put(queue->pages);
	kvfree(queue->slots);
	kfree(queue->life);
	portal_client_put(queue->client);
	kfree_rcu(queue, rcu);
}

static void queue_free(struct kref *ref)
{
	struct portal_queue *queue = container_of(ref, struct portal_queue, ref);

	queue_work(portal_wq, &queue->free_work);
}

/**
 * portal_queue_put - drop a reference
 * @queue: the queue
 *
 * Context: any.
 */
void portal_queue_put(struct portal_queue *queue)
{
	kref_put(&queue->ref, queue_free);
}

struct portal_queue *portal_queue_find(struct portal_client *client, u32 id)
{
	lockdep_assert_held(&client->lock);
	return xa_load(&client->queues, id);
}

static struct portal_queue *queue_alloc(struct portal_client *client,
					const struct portal_queue_create *arg)
{
	struct portal_queue *queue;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return NULL;
	queue->entries = arg->entries;
	queue->ring_size = portal_ring_bytes(arg->entries);
	queue->slots = kvcalloc(queue->entries, sizeof(*queue->slots), GFP_KERNEL_ACCOUNT);
	queue->pages = portal_pages_alloc(queue);
	if (!queue->slots || !queue->pages)
		goto out_pages;
	if (arg->flags & PORTAL_QUEUE_F_LIFECYCLE && portal_life_alloc(queue))
		goto out_pages;
	queue->ring = queue->pages->ring;
	kref_init(&queue->ref);
	kref_get(&client->ref);
	queue->client = client;
	queue->flags = arg->flags;
	queue->orphan = arg->orphan;
	queue->hold_ns = arg->hold_ns ?: PORTAL_HOLD_NS;
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->calls);
	INIT_LIST_HEAD(&queue->bells);
	INIT_LIST_HEAD(&queue->fences);
	INIT_LIST_HEAD(&queue->merges);
	INIT_DELAYED_WORK(&queue->orphan_work, orphan_work);
	INIT_DELAYED_WORK(&queue->cmd_work, portal_uring_work);
	INIT_WORK(&queue->free_work, queue_free_work);
	init_waitqueue_head(&queue->wait);
	init_waitqueue_head(&queue->space);
	mutex_init(&queue->read_mutex);
	return queue;

out_pages:
	if (queue->pages)
		portal_pages_put(queue->pages);
	kvfree(queue->slots);
	kfree(queue);
	return NULL;
}

/*
 * The pages of a new owner. An owner that is gone has no mapping any more; one
 * that lives must not see what comes.
 */
static struct portal_pages *pages_get(struct portal_queue *queue)
{
	lockdep_assert_held(&queue->client->lock);
	/* only this, under the lock, takes references to them */
	if (refcount_read(&queue->pages->ref) > 1)
		return portal_pages_alloc(queue);
	refcount_inc(&queue->pages->ref);
	return queue->pages;
}

/* A new owner's file, not yet installed; *@fd is reserved. */
static struct file *queue_file(struct portal_queue *queue, int *fd)
{
	struct portal_queue_file *qf;
	struct file *file;
	int ret = -ENOMEM;

	qf = kzalloc(sizeof(*qf), GFP_KERNEL_ACCOUNT);
	if (!qf)
		return ERR_PTR(-ENOMEM);
	qf->pages = pages_get(queue);
	if (!qf->pages)
		goto out_free;
	*fd = get_unused_fd_flags(O_CLOEXEC);
	if (*fd < 0) {
		ret = *fd;
		goto out_pages;
	}
	qf->queue = queue;
	file = anon_inode_getfile("[portal-queue]", &portal_queue_fops, qf, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(*fd);
		ret = PTR_ERR(file);
		goto out_pages;
	}
	kref_get(&queue->ref);
	return file;

out_pages:
	portal_pages_put(qf->pages);
out_free:
	kfree(qf);
	return ERR_PTR(ret);
}

/* Under vm->lock and queue->lock: the next owner's epoch begins. */
static void epoch_begin(struct portal_queue *queue, struct portal_queue_file *qf)
{
	struct portal_ring *old = queue->ring;
	struct portal_request *req;
	u64 pos;

	if (queue->cmd)
		portal_uring_complete(queue, -ESTALE);
	queue->epoch++;
	queue->owned = true;
	queue->failed = false;
	portal_ring_head(queue);
	if (qf->pages != queue->pages) {
		refcount_inc(&qf->pages->ref);
		portal_ring_move(queue, qf->pages);
	}
	/* the new owner starts at head, also where the old one had looked */
	for (pos = queue->head; pos < queue->seen; pos++) {
		req = portal_ring_entry(queue, queue->ring, pos);
		WRITE_ONCE(req->flags, req->flags | PORTAL_REQ_F_REDELIVERED);
	}
	portal_ring_header(queue);
	WRITE_ONCE(old->epoch, queue->epoch);
	qf->epoch = queue->epoch;
}

/* Makes @file the owner; returns how many calls are handed out again. */
static u32 queue_own(struct portal_queue *queue, struct file *file, bool handover)
{
	struct portal_queue_file *qf = file->private_data;
	struct portal_pages *old = queue->pages;
	struct portal_vm *vm = queue->client->vm;
	struct portal_call *call, *tmp;
	bool first = !queue->epoch;
	u32 again = 0;

	cancel_delayed_work_sync(&queue->orphan_work);
	spin_lock(&vm->lock);
	spin_lock(&queue->lock);
	epoch_begin(queue, qf);
	spin_unlock(&queue->lock);

	list_for_each_entry_safe(call, tmp, &queue->calls, queue_node) {
		if (first || call->state != PORTAL_CALL_QUEUED || call->pos >= queue->seen)
			continue;
		if (queue->orphan != PORTAL_ORPHAN_REQUEUE && !handover) {
			portal_call_finish(call, PORTAL_ACTION_ERROR, 0, PORTAL_EIO);
			continue;
		}
		again++;
		if (call->pos >= queue->head)
			continue;	/* still in the ring */
		call->req.flags |= PORTAL_REQ_F_REDELIVERED;
		call->state = PORTAL_CALL_NEW;
		spin_lock(&queue->lock);
		queue->backlog++;
		spin_unlock(&queue->lock);
	}
	spin_lock(&queue->lock);
	queue->seen = queue->head;
	queue->taken = queue->head;	/* handed out anew */
	spin_unlock(&queue->lock);
	spin_unlock(&vm->lock);
	wake_up_interruptible_all(&queue->wait);	/* earlier owners: ESTALE */
	portal_queue_consumed(queue);
	if (queue->pages != old)
		portal_pages_put(old);
	return again;
}

/* Who may hook anything may serve; a holder of memory rights only may not. */
static bool may_serve(const struct portal_vm_file *vf)
{
	return vf->rights & (PORTAL_RIGHT_HYPERCALL | PORTAL_RIGHT_MMIO | PORTAL_RIGHT_PIO);
}

int portal_queue_ioctl_create(struct portal_vm_file *vf, struct portal_queue_create *arg)
{
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	struct portal_queue *queue;
	struct file *file;
	int fd, ret;

	if (arg->entries < 4 || arg->entries > PORTAL_MAX_ENTRIES ||
	    !is_power_of_2(arg->entries) || arg->hold_ns > PORTAL_MAX_TIMEOUT_NS)
		return -EINVAL;
	if (arg->flags & ~PORTAL_QUEUE_F_LIFECYCLE || arg->orphan > PORTAL_ORPHAN_REQUEUE)
		return -EOPNOTSUPP;
	if (!may_serve(vf))
		return -EPERM;
	queue = queue_alloc(client, arg);
	if (!queue)
		return -ENOMEM;
	mutex_lock(&client->lock);
	file = queue_file(queue, &fd);
	if (IS_ERR(file)) {
		mutex_unlock(&client->lock);
		ret = PTR_ERR(file);
		goto out_put;
	}
	if (client->dead)
		ret = -ENODEV;
	else if (client->nr_queues >= PORTAL_MAX_QUEUES)
		ret = -ENOSPC;
	else
		ret = xa_alloc(&client->queues, &queue->id, queue, XA_LIMIT(1, 0xffff),
			       GFP_KERNEL_ACCOUNT);
	if (!ret) {
		client->nr_queues++;
		queue_own(queue, file, false);
		portal_life_queue(queue, PORTAL_LIFE_ATTACHED, vm->ops->nr_vcpus(vm),
				  atomic64_read(&vm->stats.hellos), 0);
		portal_debugfs_queue(queue);
	}
	mutex_unlock(&client->lock);
	if (ret)
		goto out_file;
	arg->out_queue_id = queue->id;
	arg->out_mmap_size = queue->ring_size;
	arg->out_fd = fd;
	fd_install(fd, file);
	return 0;		/* the first reference is the client's */

out_file:
	put_unused_fd(fd);
	fput(file);
out_put:
	portal_queue_put(queue);
	return ret;
}

int portal_queue_ioctl_open(struct portal_vm_file *vf, struct portal_queue_open *arg)
{
	struct portal_client *client = vf->client;
	struct portal_queue *queue;
	struct file *file;
	int fd, ret = 0;

	if (arg->flags & ~PORTAL_QUEUE_OPEN_F_HANDOVER)
		return -EOPNOTSUPP;
	if (!may_serve(vf))
		return -EPERM;
	mutex_lock(&client->lock);
	queue = portal_queue_find(client, arg->queue_id);
	if (!queue) {
		ret = client->dead ? -ENODEV : -ENOENT;
		goto out_unlock;
	}
	file = queue_file(queue, &fd);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto out_unlock;
	}
	arg->out_redelivered = queue_own(queue, file,
					 arg->flags & PORTAL_QUEUE_OPEN_F_HANDOVER);
	arg->out_epoch = queue->epoch;
	arg->out_mmap_size = queue->ring_size;
	arg->out_fd = fd;
	fd_install(fd, file);
out_unlock:
	mutex_unlock(&client->lock);
	return ret;
}

/**
 * portal_queue_kill - no requests any more; those who wait are told
 * @queue: out of its client's table
 *
 * Context: process, client->lock held.
 */
void portal_queue_kill(struct portal_queue *queue)
{
	struct portal_vm *vm = queue->client->vm;

	portal_debugfs_del(queue->client, "queue", queue->id);
	spin_lock(&queue->lock);
	queue->dead = true;
	spin_unlock(&queue->lock);
	portal_bells_drop(queue, NULL);	/* events do not wait for them */
	spin_lock(&queue->lock);
	portal_life_flush(queue);	/* and STALE, unless something waits */
	if (queue->cmd && (!portal_life_pending(queue) || queue->tail != queue->cmd_seen))
		portal_uring_complete(queue, queue->tail != queue->cmd_seen ?
					     queue->tail - queue->cmd_seen : -ENODEV);
	spin_unlock(&queue->lock);
	portal_calls_cancel(vm, NULL, queue, PORTAL_ENODEV);
	portal_queue_consumed(queue);
	wake_up_interruptible_all(&queue->wait);
}

static bool queue_in_use(struct portal_client *client, struct portal_queue *queue)
{
	struct portal_region *region;
	struct portal_hook *hook;
	unsigned long i;

	xa_for_each(&client->hooks, i, hook)
		if (portal_target_uses(&hook->t, queue))
			return true;
	xa_for_each(&client->regions, i, region)
		if (portal_target_uses(&region->t, queue))
			return true;
	return false;
}

int portal_queue_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg)
{
	struct portal_client *client = vf->client;
	struct portal_queue *queue;
	int ret = 0;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!may_serve(vf))
		return -EPERM;
	mutex_lock(&client->lock);
	queue = portal_queue_find(client, arg->id);
	if (!queue)
		ret = -ENOENT;
	else if (queue_in_use(client, queue))
		ret = -EBUSY;	/* hooks and regions first */
	if (!ret) {
		xa_erase(&client->queues, arg->id);
		client->nr_queues--;
		portal_queue_kill(queue);
		portal_queue_put(queue);
	}
	mutex_unlock(&client->lock);
	return ret;
}

/* Nobody came in time. */
static void orphan_work(struct work_struct *work)
{
	struct portal_queue *queue = container_of(to_delayed_work(work), struct portal_queue,
						  orphan_work);
	struct portal_vm *vm = queue->client->vm;
	bool fail;

	spin_lock(&queue->lock);
	fail = !queue->owned;
	if (fail)
		queue->failed = true;
	spin_unlock(&queue->lock);
	if (!fail)
		return;
	portal_calls_cancel(vm, NULL, queue, PORTAL_EIO);
	portal_queue_consumed(queue);
}

/* Those the dead owner had taken: it may have done them, nobody knows. */
static void fail_taken(struct portal_queue *queue, u32 epoch)
{
	struct portal_vm *vm = queue->client->vm;
	struct portal_call *call, *tmp;

	spin_lock(&vm->lock);
	/* a new owner may have come, under the same lock */
	if (queue->epoch == epoch)
		list_for_each_entry_safe(call, tmp, &queue->calls, queue_node)
			if (call->state == PORTAL_CALL_QUEUED && call->pos < queue->seen)
				portal_call_finish(call, PORTAL_ACTION_ERROR, 0, PORTAL_EIO);
	spin_unlock(&vm->lock);
}

/**
 * portal_queue_orphan - an owner's last file closed
 * @queue: the queue
 * @epoch: of that owner; an earlier one changes nothing
 *
 * Context: process.
 */
void portal_queue_orphan(struct portal_queue *queue, u32 epoch)
{
	u64 hold = 0;

	spin_lock(&queue->lock);
	if (queue->epoch != epoch || queue->dead) {
		spin_unlock(&queue->lock);
		return;
	}
	queue->owned = false;
	portal_ring_head(queue);
	spin_unlock(&queue->lock);
	trace_portal_orphan(queue->id, epoch);

	switch (queue->orphan) {
	case PORTAL_ORPHAN_HOLD:
		fail_taken(queue, epoch);
		fallthrough;
	case PORTAL_ORPHAN_REQUEUE:
		hold = queue->hold_ns;
	}
	/* queue_free_work() cancels it */
	mod_delayed_work(portal_wq, &queue->orphan_work, hold ? nsecs_to_jiffies(hold) + 1 : 0);
}

/**
 * portal_queue_check - may this fd still do something?
 * @qf: the file
 *
 * Return: 0, -ESTALE, -ENODEV.
 */
int portal_queue_check(struct portal_queue_file *qf)
{
	if (READ_ONCE(qf->queue->epoch) != qf->epoch)
		return -ESTALE;
	return READ_ONCE(qf->queue->dead) ? -ENODEV : 0;
}

int portal_queue_ioctl_info(struct portal_queue_file *qf, struct portal_queue_info *arg)
{
	struct portal_queue *queue = qf->queue;

	if (arg->flags)
		return -EOPNOTSUPP;
	spin_lock(&queue->lock);
	portal_ring_head(queue);
	arg->out_queue_id = queue->id;
	arg->out_epoch = queue->epoch;
	arg->out_entries = queue->entries;
	arg->out_pending = queue->tail - queue->head;
	arg->out_mmap_size = queue->ring_size;
	arg->out_requests = queue->nr_requests;
	arg->out_dropped = queue->nr_dropped;
	arg->out_wakeups = queue->nr_wakeups;
	arg->out_replies = queue->nr_replies;
	arg->out_stale = queue->nr_stale;
	spin_unlock(&queue->lock);
	return 0;
}
