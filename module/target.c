// SPDX-License-Identifier: GPL-2.0-only
/*
 * target.c - what hooks and regions have in common: queues, filters, counters
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "portal.h"

/**
 * portal_target_alloc - what a target needs before it is linked anywhere
 * @t: to fill; cookie, time-out and policy are set
 * @filters_uptr: user memory
 * @nr_filters: how many
 * @region: a region's, else a hook's
 * @posted: the hook is posted
 *
 * Return: 0 or -errno; portal_target_free() in both cases.
 */
int portal_target_alloc(struct portal_target *t, u64 filters_uptr, u32 nr_filters, bool region,
			bool posted)
{
	int i;

	t->timeout_ns = t->timeout_ns ?: PORTAL_TIMEOUT_NS;
	if (t->policy == PORTAL_POLICY_COALESCE) {
		t->merges = kcalloc(PORTAL_MERGE_SLOTS, sizeof(*t->merges), GFP_KERNEL_ACCOUNT);
		if (!t->merges)
			return -ENOMEM;
		for (i = 0; i < PORTAL_MERGE_SLOTS; i++)
			INIT_LIST_HEAD(&t->merges[i].node);
	}
	return portal_filters_get(t, filters_uptr, nr_filters, region, posted);
}

/**
 * portal_target_route - the queue, or the set of queues, of a target
 * @client: the client, its lock held
 * @t: to fill; takes references
 * @queue_id: queue of @client, without a set
 * @queues_uptr: user memory with a set of ids
 * @nr_queues: how many, 0 without a set
 *
 * Return: 0, -ENOENT, -EINVAL, -EFAULT, -ENOSPC, -ENOMEM; portal_target_free()
 * in all cases.
 */
int portal_target_route(struct portal_client *client, struct portal_target *t, u32 queue_id,
			u64 queues_uptr, u32 nr_queues)
{
	const u32 __user *uids = u64_to_user_ptr(queues_uptr);
	u32 nr = nr_queues ?: 1, i, id;

	lockdep_assert_held(&client->lock);
	if (nr_queues > PORTAL_MAX_ROUTES)
		return -ENOSPC;
	if (nr_queues ? queue_id : queues_uptr)
		return -EINVAL;		/* either, or */
	t->client = client;
	t->routes = kcalloc(nr, sizeof(*t->routes), GFP_KERNEL_ACCOUNT);
	if (!t->routes)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		id = queue_id;
		if (nr_queues && get_user(id, &uids[i]))
			return -EFAULT;
		t->routes[i].queue = portal_queue_find(client, id);
		if (!t->routes[i].queue)
			return -ENOENT;
		kref_get(&t->routes[i].queue->ref);
		t->nr_routes++;
	}
	return 0;
}

/**
 * portal_target_free - what portal_target_alloc() and _route() made
 * @t: nobody uses it any more
 */
void portal_target_free(struct portal_target *t)
{
	u32 i;

	if (t->merges)
		portal_merge_drop(t);
	for (i = 0; i < t->nr_routes; i++)
		portal_queue_put(t->routes[i].queue);
	kfree(t->merges);
	kfree(t->routes);
	kfree(t->rules);
}

/**
 * portal_target_kill - no new calls, and those that wait end
 * @vm: the VM
 * @t: already unlinked from where the guest's side looks
 *
 * Context: process. synchronize_srcu() then waits until nobody on the guest's
 * side uses @t.
 */
void portal_target_kill(struct portal_vm *vm, struct portal_target *t)
{
	spin_lock(&vm->lock);
	t->dead = true;		/* portal_call_get() looks under the same lock */
	spin_unlock(&vm->lock);
	portal_calls_cancel(vm, t, NULL, PORTAL_ENODEV);
}

bool portal_target_uses(const struct portal_target *t, const struct portal_queue *queue)
{
	u32 i;

	for (i = 0; i < t->nr_routes; i++)
		if (t->routes[i].queue == queue)
			return true;
	return false;
}

/**
 * portal_target_drop - count a posted request that is given up
 * @t: its hook or region
 * @queue: where it would have gone
 */
void portal_target_drop(struct portal_target *t, struct portal_queue *queue)
{
	atomic64_inc(&t->stats.dropped);
	portal_queue_drop(queue, 1);
}

/* ---- what it did -------------------------------------------------------- */

static int info_check(const struct portal_target_info *arg)
{
	return arg->flags ? -EOPNOTSUPP : 0;
}

static int info_fill(const struct portal_target *t, struct portal_target_info *arg)
{
	u64 __user *uhits = u64_to_user_ptr(arg->hits_uptr);
	const struct portal_target_stats *s = &t->stats;
	u32 i;

	for (i = 0; uhits && i < min(arg->nr_filters, t->nr_rules); i++)
		if (put_user(atomic64_read(&t->rules[i].hits), &uhits[i]))
			return -EFAULT;
	arg->nr_filters = t->nr_rules;
	arg->out_hits = atomic64_read(&s->hits);
	arg->out_filtered = atomic64_read(&s->filtered);
	arg->out_passed = atomic64_read(&s->passed);
	arg->out_ignored = atomic64_read(&s->ignored);
	arg->out_calls = atomic64_read(&s->calls);
	arg->out_posted = atomic64_read(&s->posted);
	arg->out_merged = atomic64_read(&s->merged);
	arg->out_held = atomic64_read(&s->held);
	arg->out_limited = atomic64_read(&s->limited);
	arg->out_timeouts = atomic64_read(&s->timeouts);
	arg->out_dropped = atomic64_read(&s->dropped);
	arg->out_shadow_reads = atomic64_read(&s->shadow_reads);
	return 0;
}

int portal_hook_ioctl_info(struct portal_vm_file *vf, struct portal_target_info *arg)
{
	struct portal_client *client = vf->client;
	const struct portal_hook *hook;
	int ret;

	ret = info_check(arg);
	if (ret)
		return ret;
	if (!portal_client_may(vf, PORTAL_RIGHT_HYPERCALL))
		return -EPERM;
	mutex_lock(&client->lock);
	hook = xa_load(&client->hooks, arg->id);
	ret = hook ? info_fill(&hook->t, arg) : client->dead ? -ENODEV : -ENOENT;
	mutex_unlock(&client->lock);
	return ret;
}

int portal_region_ioctl_info(struct portal_vm_file *vf, struct portal_target_info *arg)
{
	struct portal_client *client = vf->client;
	const struct portal_region *region;
	int ret;

	ret = info_check(arg);
	if (ret)
		return ret;
	if (!(vf->rights & (PORTAL_RIGHT_MMIO | PORTAL_RIGHT_PIO)))
		return -EPERM;
	mutex_lock(&client->lock);
	region = xa_load(&client->regions, arg->id);
	if (!region)
		ret = client->dead ? -ENODEV : -ENOENT;
	else if (!portal_client_may(vf, portal_region_right(region)))
		ret = -EPERM;
	else
		ret = info_fill(&region->t, arg);
	mutex_unlock(&client->lock);
	return ret;
}
