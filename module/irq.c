// SPDX-License-Identifier: GPL-2.0-only
/*
 * irq.c - interrupts into the guest
 *
 * KVM's irqfds raise a pin of its IOAPIC and lower it again with nothing in
 * between: of two eventfds on a pin, one may find it high and its edge is lost.
 * So edges of pins are made here, one after the other. Messages are sent from
 * here too, as they need no route then; the routes are the VMM's. The rest, with
 * resample or of other GSIs, is bound by KVM itself.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include "portal.h"

/**
 * struct portal_irqfd - an eventfd whose signals become edges or messages
 * @node: in portal_client.irqfds, under portal_client.lock; who takes it out frees
 * @client: referenced
 * @ctx: of the eventfd
 * @wait: in its queue
 * @pt: to get there
 * @inject: raises the interrupt
 * @hangup: the eventfd is closed
 * @msi: it is a message
 * @gsi: else the pin
 * @address: of the message
 * @data: of the message
 */
struct portal_irqfd {
	struct list_head node;
	struct portal_client *client;
	struct eventfd_ctx *ctx;
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct inject;
	struct work_struct hangup;
	bool msi;
	u32 gsi;
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

static void edge_send(struct portal_vm *vm, u32 gsi)
{
	if (READ_ONCE(vm->gone) || !portal_vm_enter(vm))
		return;
	mutex_lock(&vm->irq_lock);
	vm->ops->irq_edge(vm, gsi);
	mutex_unlock(&vm->irq_lock);
	portal_vm_exit(vm);
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

/* ---- eventfds --------------------------------------------------------------- */

static void irqfd_inject(struct work_struct *work)
{
	struct portal_irqfd *irqfd = container_of(work, struct portal_irqfd, inject);

	/* nobody to tell if it has no taker */
	if (irqfd->msi)
		msi_send(irqfd->client->vm, irqfd->address, irqfd->data);
	else
		edge_send(irqfd->client->vm, irqfd->gsi);
}

/* Out of the list; nobody holds client->lock. */
static void irqfd_free(struct portal_irqfd *irqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->ctx, &irqfd->wait, &count);
	if (cancel_work_sync(&irqfd->inject))
		irqfd_inject(&irqfd->inject);	/* it was signalled before */
	eventfd_ctx_put(irqfd->ctx);
	portal_client_put(irqfd->client);
	kfree(irqfd);
}

static void irqfd_hangup(struct work_struct *work)
{
	struct portal_irqfd *irqfd = container_of(work, struct portal_irqfd, hangup);
	struct portal_client *client = irqfd->client;
	bool ours;

	mutex_lock(&client->lock);
	ours = !list_empty(&irqfd->node);
	if (ours) {
		list_del_init(&irqfd->node);
		client->nr_irqfds--;
	}
	mutex_unlock(&client->lock);
	/* else who took it out waits for us */
	if (ours)
		irqfd_free(irqfd);
}

/* Under the eventfd's lock, interrupts off. */
static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct portal_irqfd *irqfd = container_of(wait, struct portal_irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->ctx, &count);
		queue_work(portal_wq, &irqfd->inject);
	}
	if (events & EPOLLHUP)
		queue_work(portal_wq, &irqfd->hangup);
	return 0;
}

static void irqfd_wait(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	add_wait_queue(wqh, &container_of(pt, struct portal_irqfd, pt)->wait);
}

static struct portal_irqfd *irqfd_find(struct portal_client *client, const struct eventfd_ctx *ctx,
				       const struct portal_irq_bind *arg)
{
	bool msi = arg->flags & PORTAL_IRQ_F_MSI;
	struct portal_irqfd *irqfd;

	lockdep_assert_held(&client->lock);
	list_for_each_entry(irqfd, &client->irqfds, node)
		if (irqfd->ctx == ctx && irqfd->msi == msi && irqfd->gsi == arg->gsi &&
		    irqfd->address == arg->address && irqfd->data == arg->data)
			return irqfd;
	return NULL;
}

static int irqfd_add(struct portal_client *client, struct file *file, struct eventfd_ctx *ctx,
		     const struct portal_irq_bind *arg)
{
	struct portal_irqfd *irqfd;

	lockdep_assert_held(&client->lock);
	if (irqfd_find(client, ctx, arg))
		return -EBUSY;
	if (client->nr_irqfds >= PORTAL_MAX_HOOKS)
		return -ENOSPC;
	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	kref_get(&client->ref);
	irqfd->client = client;
	irqfd->ctx = ctx;
	irqfd->msi = arg->flags & PORTAL_IRQ_F_MSI;
	irqfd->gsi = arg->gsi;
	irqfd->address = arg->address;
	irqfd->data = arg->data;
	INIT_WORK(&irqfd->inject, irqfd_inject);
	INIT_WORK(&irqfd->hangup, irqfd_hangup);
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wakeup);
	init_poll_funcptr(&irqfd->pt, irqfd_wait);
	list_add_tail(&irqfd->node, &client->irqfds);
	client->nr_irqfds++;
	if (vfs_poll(file, &irqfd->pt) & EPOLLIN)
		queue_work(portal_wq, &irqfd->inject);
	return 0;
}

static int irqfd_bind(struct portal_client *client, const struct portal_irq_bind *arg)
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
	if (!client->dead && !READ_ONCE(vm->gone))
		ret = vm->ops->irqchip(vm) == PORTAL_IRQCHIP_NONE ? -EOPNOTSUPP :
		      irqfd_add(client, file, ctx, arg);
	mutex_unlock(&client->lock);
	if (ret)
		eventfd_ctx_put(ctx);
	fput(file);
	return ret;
}

static int irqfd_unbind(struct portal_client *client, const struct portal_irq_bind *arg)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(arg->eventfd);
	struct portal_irqfd *irqfd;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx) == -EINVAL ? -ENXIO : PTR_ERR(ctx);
	mutex_lock(&client->lock);
	irqfd = irqfd_find(client, ctx, arg);
	if (irqfd) {
		list_del_init(&irqfd->node);
		client->nr_irqfds--;
	}
	mutex_unlock(&client->lock);
	eventfd_ctx_put(ctx);
	if (!irqfd)
		return -ENOENT;
	cancel_work_sync(&irqfd->hangup);	/* our fd may be a copy of a closed one */
	irqfd_free(irqfd);
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
	struct portal_irqfd *irqfd;

	for (;;) {
		mutex_lock(&client->lock);
		irqfd = list_first_entry_or_null(&client->irqfds, struct portal_irqfd, node);
		if (irqfd)
			list_del_init(&irqfd->node);
		mutex_unlock(&client->lock);
		if (!irqfd)
			return;
		cancel_work_sync(&irqfd->hangup);
		irqfd_free(irqfd);
	}
}

/* ---- binding ------------------------------------------------------------- */

/* Is it an edge that we make? -ENODEV: there is no VM any more. */
static int is_our_edge(struct portal_client *client, const struct portal_irq_bind *arg)
{
	int ret = -ENODEV;

	if (arg->flags & PORTAL_IRQ_F_RESAMPLE)
		return 0;
	mutex_lock(&client->lock);
	if (!client->dead)
		ret = client->vm->ops->irq_has_edge(client->vm, arg->gsi);
	mutex_unlock(&client->lock);
	return ret;
}

static int irq_bind(struct portal_vm_file *vf, const struct portal_irq_bind *arg, bool bind)
{
	bool msi = arg->flags & PORTAL_IRQ_F_MSI;
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	int ret;

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
	ret = msi ? 1 : is_our_edge(client, arg);
	if (ret < 0)
		return ret;
	if (ret)
		return bind ? irqfd_bind(client, arg) : irqfd_unbind(client, arg);
	ret = -ENODEV;
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
