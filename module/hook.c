// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook.c - which hypercalls belong to whom
 */
#include <linux/rculist.h>
#include <linux/slab.h>
#include "portal.h"

#define HOOK_F_ALL	(PORTAL_HOOK_F_POSTED | PORTAL_HOOK_F_USER | PORTAL_HOOK_F_RAW)
#define KVM_HC_RESERVED	64	/* KVM's own numbers, with room for new ones */

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
	    arg->on_timeout > PORTAL_ACTION_PASS || arg->policy > PORTAL_POLICY_COALESCE)
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
	hook->t.cookie = arg->cookie;
	hook->t.timeout_ns = arg->timeout_ns;
	hook->t.timeout_value = arg->timeout_value;
	hook->t.on_timeout = arg->on_timeout;
	hook->t.policy = arg->policy;
	ret = portal_target_alloc(&hook->t, arg->filters_uptr, arg->nr_filters, false,
				  arg->flags & PORTAL_HOOK_F_POSTED);
	if (ret)
		goto out_free;

	mutex_lock(&client->lock);
	ret = -ENODEV;
	if (client->dead)
		goto out_unlock;
	ret = portal_target_route(client, &hook->t, arg->queue_id, arg->queues_uptr,
				  arg->nr_queues);
	if (ret)
		goto out_unlock;
	ret = -ENOSPC;
	if (client->nr_hooks >= PORTAL_MAX_HOOKS)
		goto out_unlock;
	ret = xa_alloc(&client->hooks, &hook->t.id, hook, XA_LIMIT(1, 0xffff), GFP_KERNEL_ACCOUNT);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto out_unlock;
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
		goto out_unlock;
	}
	client->nr_hooks++;
	portal_debugfs_hook(hook);
	arg->out_hook_id = hook->t.id;
	mutex_unlock(&client->lock);
	return 0;

out_unlock:
	mutex_unlock(&client->lock);
out_free:
	portal_hook_free(hook);
	return ret;
}

/**
 * portal_hook_unlink - nobody finds a hook any more, and its calls end
 * @hook: already out of its client's table
 *
 * Context: process, client->lock held. Then synchronize_srcu(), portal_hook_free().
 */
void portal_hook_unlink(struct portal_hook *hook)
{
	struct portal_vm *vm = hook->client->vm;

	portal_debugfs_del(hook->client, "hook", hook->t.id);
	mutex_lock(&vm->hooks_lock);
	list_del_rcu(&hook->node);
	portal_vm_bounds(vm);
	mutex_unlock(&vm->hooks_lock);
	portal_target_kill(vm, &hook->t);
}

void portal_hook_free(struct portal_hook *hook)
{
	portal_target_free(&hook->t);
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
		portal_hook_unlink(hook);
		synchronize_srcu(&portal_srcu);
		portal_hook_free(hook);
	}
	mutex_unlock(&client->lock);
	return hook ? 0 : -ENOENT;
}
