// SPDX-License-Identifier: GPL-2.0-only
/*
 * irq.c - interrupts into the guest
 *
 * A GSI is bound to an eventfd by KVM itself, which needs a route; the routes
 * are the VMM's. A message needs none: KVM sends it when we say so, and an
 * eventfd is bound to one here, as KVM binds it to a GSI.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include "portal.h"

/**
 * struct portal_msi - an eventfd whose signals become a message
 * @node: in portal_client.msis, under portal_client.lock; who takes it out frees
 * @client: referenced
 * @ctx: of the eventfd
 * @wait: in its queue
 * @pt: to get there
 * @inject: sends the message
 * @hangup: the eventfd is closed
 * @address: of the message
 * @data: of the message
 */
struct portal_msi {
	struct list_head node;
	struct portal_client *client;
	struct eventfd_ctx *ctx;
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct inject;
	struct work_struct hangup;
	u64 address;
	u32 data;
};

static int msi_send(struct portal_vm *vm, u64 address, u32 data)
{
	int ret;

	if (READ_ONCE(vm->gone) || !portal_vm_enter(vm))
		return -ENODEV;
	ret = vm->ops->irq_msi(vm, address, data);
	portal_vm_exit(vm);
	return ret;
}

/**
 * portal_irq_ioctl_msi() - ioctl(PORTAL_IRQ_MSI)
 * @vf: VM fd
 * @arg: the argument
 *
 * Context: process, no lock held.
 * Return: 0 or -errno.
 */
int portal_irq_ioctl_msi(struct portal_vm_file *vf, struct portal_irq_msi *arg)
{
	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!portal_client_may(vf, PORTAL_RIGHT_IRQ))
		return -EPERM;
	return msi_send(vf->client->vm, arg->address, arg->data);
}

/* ---- an eventfd and a message -------------------------------------------- */

static void msi_inject(struct work_struct *work)
{
	struct portal_msi *msi = container_of(work, struct portal_msi, inject);

	/* nobody to tell if it has no taker */
	msi_send(msi->client->vm, msi->address, msi->data);
}

/* Out of the list; nobody holds client->lock. */
static void msi_free(struct portal_msi *msi)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(msi->ctx, &msi->wait, &count);
	if (cancel_work_sync(&msi->inject))
		msi_inject(&msi->inject);	/* it was signalled before */
	eventfd_ctx_put(msi->ctx);
	portal_client_put(msi->client);
	kfree(msi);
}

static void msi_hangup(struct work_struct *work)
{
	struct portal_msi *msi = container_of(work, struct portal_msi, hangup);
	struct portal_client *client = msi->client;
	bool ours;

	mutex_lock(&client->lock);
	ours = !list_empty(&msi->node);
	if (ours) {
		list_del_init(&msi->node);
		client->nr_msis--;
	}
	mutex_unlock(&client->lock);
	/* else who took it out waits for us */
	if (ours)
		msi_free(msi);
}

/* Under the eventfd's lock, interrupts off. */
static int msi_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct portal_msi *msi = container_of(wait, struct portal_msi, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(msi->ctx, &count);
		queue_work(portal_wq, &msi->inject);
	}
	if (events & EPOLLHUP)
		queue_work(portal_wq, &msi->hangup);
	return 0;
}

static void msi_wait(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	add_wait_queue(wqh, &container_of(pt, struct portal_msi, pt)->wait);
}

static struct portal_msi *msi_find(struct portal_client *client, const struct eventfd_ctx *ctx,
				   const struct portal_irq_bind *arg)
{
	struct portal_msi *msi;

	lockdep_assert_held(&client->lock);
	list_for_each_entry(msi, &client->msis, node)
		if (msi->ctx == ctx && msi->address == arg->address && msi->data == arg->data)
			return msi;
	return NULL;
}

static int msi_add(struct portal_client *client, struct file *file, struct eventfd_ctx *ctx,
		   const struct portal_irq_bind *arg)
{
	struct portal_msi *msi;

	lockdep_assert_held(&client->lock);
	if (msi_find(client, ctx, arg))
		return -EBUSY;
	if (client->nr_msis >= PORTAL_MAX_HOOKS)
		return -ENOSPC;
	msi = kzalloc(sizeof(*msi), GFP_KERNEL_ACCOUNT);
	if (!msi)
		return -ENOMEM;
	kref_get(&client->ref);
	msi->client = client;
	msi->ctx = ctx;
	msi->address = arg->address;
	msi->data = arg->data;
	INIT_WORK(&msi->inject, msi_inject);
	INIT_WORK(&msi->hangup, msi_hangup);
	init_waitqueue_func_entry(&msi->wait, msi_wakeup);
	init_poll_funcptr(&msi->pt, msi_wait);
	list_add_tail(&msi->node, &client->msis);
	client->nr_msis++;
	if (vfs_poll(file, &msi->pt) & EPOLLIN)
		queue_work(portal_wq, &msi->inject);
	return 0;
}

static int msi_bind(struct portal_client *client, const struct portal_irq_bind *arg)
{
	struct portal_vm *vm = client->vm;
	struct file *file = fget(arg->eventfd);
	struct eventfd_ctx *ctx;
	int ret = -ENODEV;

	if (!file)
		return -EBADF;
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx)) {
		fput(file);
		return -ENXIO;
	}
	mutex_lock(&client->lock);
	if (!client->dead)
		ret = vm->ops->irqchip(vm) == PORTAL_IRQCHIP_NONE ? -EOPNOTSUPP :
		      msi_add(client, file, ctx, arg);
	mutex_unlock(&client->lock);
	if (ret)
		eventfd_ctx_put(ctx);
	fput(file);
	return ret;
}

static int msi_unbind(struct portal_client *client, const struct portal_irq_bind *arg)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(arg->eventfd);
	struct portal_msi *msi;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx) == -EINVAL ? -ENXIO : PTR_ERR(ctx);
	mutex_lock(&client->lock);
	msi = msi_find(client, ctx, arg);
	if (msi) {
		list_del_init(&msi->node);
		client->nr_msis--;
	}
	mutex_unlock(&client->lock);
	eventfd_ctx_put(ctx);
	if (!msi)
		return -ENOENT;
	cancel_work_sync(&msi->hangup);		/* our fd may be a copy of a closed one */
	msi_free(msi);
	return 0;
}

/**
 * portal_irq_release() - a client is gone, and what it bound here with it
 * @client: dead
 *
 * Context: process; client->lock not held.
 */
void portal_irq_release(struct portal_client *client)
{
	struct portal_msi *msi;

	for (;;) {
		mutex_lock(&client->lock);
		msi = list_first_entry_or_null(&client->msis, struct portal_msi, node);
		if (msi)
			list_del_init(&msi->node);
		mutex_unlock(&client->lock);
		if (!msi)
			return;
		cancel_work_sync(&msi->hangup);
		msi_free(msi);
	}
}

/* ---- binding ------------------------------------------------------------- */

static int irq_bind(struct portal_vm_file *vf, const struct portal_irq_bind *arg, bool bind)
{
	bool msi = arg->flags & PORTAL_IRQ_F_MSI;
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	int ret = -ENODEV;

	if (arg->__reserved || arg->__reserved2 || arg->gsi > 4095 || (msi && arg->gsi) ||
	    (!msi && (arg->address || arg->data)))
		return -EINVAL;
	if (arg->flags & ~(PORTAL_IRQ_F_RESAMPLE | PORTAL_IRQ_F_MSI))
		return -EOPNOTSUPP;
	if (msi && arg->flags & PORTAL_IRQ_F_RESAMPLE)
		return -EOPNOTSUPP;	/* a message is an edge */
	if (msi && !(portal_features & PORTAL_FEAT_IRQ_MSI))
		return -EOPNOTSUPP;
	if (!portal_client_may(vf, PORTAL_RIGHT_IRQ))
		return -EPERM;
	if (msi)
		return bind ? msi_bind(client, arg) : msi_unbind(client, arg);
	mutex_lock(&client->lock);
	if (!client->dead)
		ret = vm->ops->irq_bind(vm, arg, bind);
	mutex_unlock(&client->lock);
	return ret;
}

int portal_irq_ioctl_bind(struct portal_vm_file *vf, struct portal_irq_bind *arg)
{
	return irq_bind(vf, arg, true);
}

int portal_irq_ioctl_unbind(struct portal_vm_file *vf, struct portal_irq_bind *arg)
{
	return irq_bind(vf, arg, false);
}
