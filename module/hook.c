// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook.c - which hypercalls belong to whom
 */
#include <linux/rculist.h>
#include <linux/slab.h>
#include "portal.h"

#define HOOK_F_ALL	(PORTAL_HOOK_F_POSTED | PORTAL_HOOK_F_USER | PORTAL_HOOK_F_RAW)
#define KVM_HC_RESERVED	64	/* KVM's own numbers, with room for new ones */

/**
 * portal_target_init - what hooks and regions have in common
 * @client: the client, its lock held
 * @t: to fill; takes a reference to the queue
 * @queue_id: queue of @client
 * @cookie: comes back in requests
 * @timeout_ns: 0 for the default
 * @timeout_value: for PORTAL_ACTION_VALUE
 * @on_timeout: enum portal_action
 * @policy: enum portal_policy
 *
 * The caller has checked the values. Return: 0 or -ENOENT.
 */
int portal_target_init(struct portal_client *client, struct portal_target *t, u32 queue_id,
		       u64 cookie, u64 timeout_ns, u64 timeout_value, u32 on_timeout, u32 policy)
{
	lockdep_assert_held(&client->lock);
	t->queue = portal_queue_find(client, queue_id);
	if (!t->queue)
		return -ENOENT;
	kref_get(&t->queue->ref);
	t->cookie = cookie;
	t->timeout_ns = timeout_ns ?: PORTAL_TIMEOUT_NS;
	t->timeout_value = timeout_value;
	t->on_timeout = on_timeout;
	t->policy = policy;
	return 0;
}

/**
 * portal_target_kill - no new calls, and those that wait end
 * @vm: the VM
 * @t: already unlinked from where the guest's side looks
 *
 * Context: process, may sleep until nobody on the guest's side uses @t.
 */
void portal_target_kill(struct portal_vm *vm, struct portal_target *t)
{
	spin_lock(&vm->lock);
	t->dead = true;		/* portal_call_get() looks under the same lock */
	spin_unlock(&vm->lock);
	portal_calls_cancel(vm, t, NULL, PORTAL_ENODEV);
	synchronize_srcu(&portal_srcu);
}

static int hook_overlaps(struct portal_vm *vm, u32 first, u32 last)
{
	struct portal_hook *hook;

	lockdep_assert_held(&vm->hooks_lock);
	list_for_each_entry(hook, &vm->hooks, node)
		if (first <= hook->last && last >= hook->first)
			return -EEXIST;
	return 0;
}

static int hook_check(const struct portal_hook_add *arg)
{
	bool guest_range = arg->first >= PORTAL_HC_BASE && arg->last <= PORTAL_HC_LAST;

	if (arg->__reserved || arg->first > arg->last || arg->last > U32_MAX ||
	    arg->first < KVM_HC_RESERVED)
		return -EINVAL;
	if (arg->first <= PORTAL_HC_HELLO && arg->last >= PORTAL_HC_HELLO)
		return -EINVAL;		/* the module's own */
	if (arg->timeout_ns > PORTAL_MAX_TIMEOUT_NS)
		return -EINVAL;
	if (arg->flags & ~HOOK_F_ALL || arg->kind != PORTAL_KIND_HYPERCALL || arg->state_mask ||
	    arg->on_timeout > PORTAL_ACTION_PASS || arg->policy > PORTAL_POLICY_DROP)
		return -EOPNOTSUPP;
	if (!guest_range && !(arg->flags & PORTAL_HOOK_F_RAW))
		return -EINVAL;
	return 0;
}

int portal_hook_ioctl_add(struct portal_vm_file *vf, struct portal_hook_add *arg)
{
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	struct portal_hook *hook;
	int ret;

	ret = hook_check(arg);
	if (ret)
		return ret;
	if (!portal_client_may(vf, PORTAL_RIGHT_HYPERCALL))
		return -EPERM;
	hook = kzalloc(sizeof(*hook), GFP_KERNEL_ACCOUNT);
	if (!hook)
		return -ENOMEM;
	hook->client = client;
	hook->flags = arg->flags;
	hook->first = arg->first;
	hook->last = arg->last;

	mutex_lock(&client->lock);
	ret = -ENODEV;
	if (client->dead)
		goto out_unlock;
	ret = portal_target_init(client, &hook->t, arg->queue_id, arg->cookie, arg->timeout_ns,
				 arg->timeout_value, arg->on_timeout, arg->policy);
	if (ret)
		goto out_unlock;
	ret = -ENOSPC;
	if (client->nr_hooks >= PORTAL_MAX_HOOKS)
		goto out_put_queue;
	ret = xa_alloc(&client->hooks, &hook->t.id, hook, XA_LIMIT(1, 0xffff), GFP_KERNEL_ACCOUNT);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto out_put_queue;
	}
	mutex_lock(&vm->hooks_lock);
	ret = hook_overlaps(vm, hook->first, hook->last);
	if (!ret) {
		list_add_tail_rcu(&hook->node, &vm->hooks);
		portal_vm_bounds(vm);
	}
	mutex_unlock(&vm->hooks_lock);
	if (ret) {
		xa_erase(&client->hooks, hook->t.id);
		goto out_put_queue;
	}
	client->nr_hooks++;
	portal_debugfs_hook(hook);
	arg->out_hook_id = hook->t.id;
	mutex_unlock(&client->lock);
	return 0;

out_put_queue:
	portal_queue_put(hook->t.queue);
out_unlock:
	mutex_unlock(&client->lock);
	kfree(hook);
	return ret;
}

/**
 * portal_hook_remove - unlink and free a hook
 * @hook: already out of its client's table
 *
 * Context: process, client->lock held.
 */
void portal_hook_remove(struct portal_hook *hook)
{
	struct portal_vm *vm = hook->client->vm;

	portal_debugfs_del(hook->client, "hook", hook->t.id);
	mutex_lock(&vm->hooks_lock);
	list_del_rcu(&hook->node);
	portal_vm_bounds(vm);
	mutex_unlock(&vm->hooks_lock);
	portal_target_kill(vm, &hook->t);
	portal_queue_put(hook->t.queue);
	kfree(hook);
}

int portal_hook_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg)
{
	struct portal_client *client = vf->client;
	struct portal_hook *hook;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!portal_client_may(vf, PORTAL_RIGHT_HYPERCALL))
		return -EPERM;
	mutex_lock(&client->lock);
	hook = xa_erase(&client->hooks, arg->id);
	if (hook) {
		client->nr_hooks--;
		portal_hook_remove(hook);
	}
	mutex_unlock(&client->lock);
	return hook ? 0 : -ENOENT;
}
