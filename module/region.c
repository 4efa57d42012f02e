// SPDX-License-Identifier: GPL-2.0-only
/*
 * region.c - device registers: claim, describe, give back
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "portal.h"

#define RANGE_F_ALL	(PORTAL_RANGE_F_POST | PORTAL_RANGE_F_COUNT | \
			 PORTAL_RANGE_F_DATAMATCH | PORTAL_RANGE_F_EVENTFD)

static void region_free(struct kref *ref)
{
	struct portal_region *region = container_of(ref, struct portal_region, ref);
	u32 i;

	for (i = 0; i < region->nr_ranges; i++)
		if (region->ranges[i].eventfd)
			eventfd_ctx_put(region->ranges[i].eventfd);
	portal_target_free(&region->t);
	vfree(region->shadow);
	kfree(region);
}

void portal_region_put(struct portal_region *region)
{
	kref_put(&region->ref, region_free);
}

/* Which flags make sense for an attribute. */
static u32 attr_flags(u32 attr)
{
	switch (attr) {
	case PORTAL_ATTR_ACK:
		return PORTAL_RANGE_F_POST;
	case PORTAL_ATTR_DOORBELL:
		return PORTAL_RANGE_F_COUNT | PORTAL_RANGE_F_DATAMATCH | PORTAL_RANGE_F_EVENTFD;
	}
	return 0;
}

static int range_set(struct portal_region *region, struct portal_range *range,
		     const struct portal_region_range *arg)
{
	bool aux = arg->attr == PORTAL_ATTR_ACK || arg->flags & PORTAL_RANGE_F_COUNT;
	u32 last;

	if (arg->__reserved || !arg->len)
		return -EINVAL;
	if (arg->width && (arg->width > 8 || !is_power_of_2(arg->width)))
		return -EINVAL;
	if (arg->attr > PORTAL_ATTR_CALL || arg->flags & ~RANGE_F_ALL)
		return -EOPNOTSUPP;
	if (arg->flags & ~attr_flags(arg->attr))
		return -EINVAL;		/* known, but not for this attribute */
	if (check_add_overflow(arg->offset, arg->len - 1, &last))
		return -EOVERFLOW;
	if (last >= region->len)
		return -EINVAL;
	if (arg->aux && !aux)
		return -EINVAL;
	if (aux && (arg->aux & 3 || arg->aux > region->shadow_size - 4))
		return -EINVAL;
	if (!!(arg->flags & PORTAL_RANGE_F_EVENTFD) != (arg->eventfd >= 0))
		return -EINVAL;
	if (!(arg->flags & PORTAL_RANGE_F_DATAMATCH) && arg->datamatch)
		return -EINVAL;

	range->offset = arg->offset;
	range->len = arg->len;
	range->attr = arg->attr;
	range->flags = arg->flags;
	range->aux = arg->aux;
	range->width = arg->width;
	range->datamatch = arg->datamatch;
	if (arg->flags & PORTAL_RANGE_F_EVENTFD) {
		struct eventfd_ctx *ctx = eventfd_ctx_fdget(arg->eventfd);

		if (IS_ERR(ctx))
			return PTR_ERR(ctx) == -EINVAL ? -ENXIO : PTR_ERR(ctx);
		range->eventfd = ctx;
	}
	if (portal_attr_waits(arg->attr))
		region->gated = true;
	return 0;
}

/* Two ranges on one byte must both be datamatch doorbells. */
static int range_conflict(const struct portal_region *region, u32 nr)
{
	const struct portal_range *a = &region->ranges[nr], *b;
	u32 i;

	for (i = 0; i < nr; i++) {
		b = &region->ranges[i];
		if (a->offset >= b->offset + b->len || b->offset >= a->offset + a->len)
			continue;
		if (!(a->flags & b->flags & PORTAL_RANGE_F_DATAMATCH))
			return -EEXIST;
	}
	return 0;
}

static int ranges_get(struct portal_region *region, const struct portal_region_add *arg)
{
	const struct portal_region_range __user *uranges = u64_to_user_ptr(arg->ranges_uptr);
	struct portal_region_range range;
	u32 i;
	int ret;

	for (i = 0; i < arg->nr_ranges; i++) {
		if (copy_from_user(&range, &uranges[i], sizeof(range)))
			return -EFAULT;
		ret = range_set(region, &region->ranges[i], &range);
		if (ret)
			return ret;
		region->nr_ranges++;	/* so that region_free() puts the eventfd */
		ret = range_conflict(region, i);
		if (ret)
			return ret;
	}
	return 0;
}

static struct portal_region *region_alloc(const struct portal_region_add *arg)
{
	struct portal_region *region;
	int ret;

	region = kzalloc(struct_size(region, ranges, arg->nr_ranges), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	kref_init(&region->ref);
	region->bus_nr = arg->bus;
	region->gpa = arg->gpa;
	region->len = arg->len;
	region->shadow_size = PAGE_ALIGN(arg->len);
	/* aux words of a region that fills its pages need room too */
	if (region->shadow_size - region->len < 256)
		region->shadow_size += PAGE_SIZE;
	region->shadow = portal_shared_alloc(region->shadow_size);
	if (!region->shadow) {
		ret = -ENOMEM;
		goto out_put;
	}
	ret = ranges_get(region, arg);
	if (ret)
		goto out_put;
	ret = -EINVAL;		/* what is merged has no position to wait for */
	if (region->gated && arg->policy == PORTAL_POLICY_COALESCE)
		goto out_put;
	region->t.cookie = arg->cookie;
	region->t.timeout_ns = arg->timeout_ns;
	region->t.timeout_value = arg->timeout_value;
	region->t.on_timeout = arg->on_timeout;
	region->t.policy = arg->policy;
	ret = portal_target_alloc(&region->t, arg->filters_uptr, arg->nr_filters, true, false);
	if (ret)
		goto out_put;
	return region;

out_put:
	portal_region_put(region);
	return ERR_PTR(ret);
}

static int region_check(const struct portal_vm_file *vf, const struct portal_region_add *arg)
{
	u64 last;

	if (arg->__reserved || !arg->len || arg->len > PORTAL_MAX_REGION ||
	    arg->timeout_ns > PORTAL_MAX_TIMEOUT_NS)
		return -EINVAL;
	if (arg->flags || arg->bus > PORTAL_BUS_PIO || arg->on_timeout > PORTAL_ACTION_PASS ||
	    arg->policy > PORTAL_POLICY_COALESCE)
		return -EOPNOTSUPP;
	if (check_add_overflow(arg->gpa, arg->len - 1, &last))
		return -EOVERFLOW;
	if (arg->bus == PORTAL_BUS_PIO && last > 0xffff)
		return -EINVAL;
	if (arg->nr_ranges > PORTAL_MAX_RANGES)
		return -ENOSPC;
	if (!portal_client_may(vf, arg->bus == PORTAL_BUS_PIO ? PORTAL_RIGHT_PIO :
								PORTAL_RIGHT_MMIO))
		return -EPERM;
	return 0;
}

static int gate_cmp(const void *a, const void *b)
{
	const u64 *first_a = a, *first_b = b;

	return *first_a < *first_b ? -1 : *first_a > *first_b;
}

/**
 * portal_regions_map - tell the gate which registers may have to wait
 * @vm: the VM
 * @bus: enum portal_bus
 *
 * So that the others take no way round. Without memory the gate looks at all
 * between the first and the last.
 *
 * Context: process, vm->hooks_lock held.
 */
void portal_regions_map(struct portal_vm *vm, u32 bus)
{
	struct portal_gate_map *map = NULL, *old;
	struct portal_region *region;
	u64 first = U64_MAX, last = 0;
	u32 nr = 0, i;

	list_for_each_entry(region, &vm->regions, node)
		if (region->gated && region->bus_nr == bus)
			nr += region->nr_ranges;
	if (nr)
		map = kvmalloc(struct_size(map, range, nr), GFP_KERNEL_ACCOUNT);
	if (map)
		map->nr = 0;
	list_for_each_entry(region, &vm->regions, node) {
		if (!region->gated || region->bus_nr != bus)
			continue;
		for (i = 0; i < region->nr_ranges; i++) {
			const struct portal_range *r = &region->ranges[i];
			u64 start = region->gpa + r->offset;

			if (!portal_attr_waits(r->attr))
				continue;
			first = min(first, start);
			last = max(last, start + r->len - 1);
			if (!map)
				continue;
			map->range[map->nr].first = start;
			map->range[map->nr++].last = start + r->len - 1;
		}
	}
	if (map)
		sort(map->range, map->nr, sizeof(map->range[0]), gate_cmp, NULL);
	old = rcu_replace_pointer(vm->gate_map[bus], map, lockdep_is_held(&vm->hooks_lock));
	WRITE_ONCE(vm->gate_first[bus], first);
	WRITE_ONCE(vm->gate_last[bus], last);
	kvfree_rcu(old, rcu);
}

static void region_link(struct portal_region *region, bool link)
{
	struct portal_vm *vm = region->client->vm;

	mutex_lock(&vm->hooks_lock);
	if (link)
		list_add_tail_rcu(&region->node, &vm->regions);
	else
		list_del_rcu(&region->node);
	portal_vm_bounds(vm);
	mutex_unlock(&vm->hooks_lock);
}

/* What must wait does so in front of the emulator. */
static int region_gate(struct portal_region *region, bool on)
{
	struct portal_vm *vm = region->client->vm;

	if (!region->gated)
		return 0;
	return vm->ops->gate(vm, region->bus_nr == PORTAL_BUS_PIO ? PORTAL_GATE_PIO :
								    PORTAL_GATE_MMIO, on);
}

int portal_region_ioctl_add(struct portal_vm_file *vf, struct portal_region_add *arg)
{
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	struct portal_region *region;
	int ret;

	ret = region_check(vf, arg);
	if (ret)
		return ret;
	region = region_alloc(arg);
	if (IS_ERR(region))
		return PTR_ERR(region);
	region->client = client;

	mutex_lock(&client->lock);
	ret = -ENODEV;
	if (client->dead)
		goto out_unlock;
	ret = portal_target_route(client, &region->t, arg->queue_id, arg->queues_uptr,
				  arg->nr_queues);
	if (ret)
		goto out_unlock;
	ret = -ENOSPC;
	if (client->nr_regions >= PORTAL_MAX_HOOKS)
		goto out_unlock;
	ret = xa_alloc(&client->regions, &region->t.id, region, XA_LIMIT(1, 0xffff),
		       GFP_KERNEL_ACCOUNT);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto out_unlock;
	}
	region->shadow_off = PORTAL_MMAP_OFF(PORTAL_MMAP_SHADOW, region->t.id);
	ret = region_gate(region, true);
	if (ret)
		goto out_erase;
	/* in the list first: on the bus, an access may come at once */
	region_link(region, true);
	ret = vm->ops->bus_add(region);
	if (ret)
		goto out_unlink;
	client->nr_regions++;
	portal_debugfs_region(region);
	arg->out_region_id = region->t.id;
	arg->out_shadow_off = region->shadow_off;
	arg->out_shadow_size = region->shadow_size;
	mutex_unlock(&client->lock);
	return 0;

out_unlink:
	region_link(region, false);
	portal_target_kill(vm, &region->t);
	synchronize_srcu(&portal_srcu);
	region_gate(region, false);
out_erase:
	xa_erase(&client->regions, region->t.id);
out_unlock:
	mutex_unlock(&client->lock);
	portal_region_put(region);
	return ret;
}

/**
 * portal_region_unlink - the first step of taking a region away
 * @region: out of its client's table, or on its way
 *
 * Those who wait in it go before it leaves the bus, which would wait for them.
 * Then synchronize_srcu(), portal_region_off_bus(), synchronize_srcu() again, for
 * those who came by the bus, and portal_region_free().
 *
 * Context: process, client->lock held.
 */
void portal_region_unlink(struct portal_region *region)
{
	struct portal_vm *vm = region->client->vm;

	portal_debugfs_del(region->client, "region", region->t.id);
	region_link(region, false);
	WRITE_ONCE(region->t.dead, true);
	portal_vm_wake_all(vm);
	portal_target_kill(vm, &region->t);
}

void portal_region_off_bus(struct portal_region *region)
{
	region->client->vm->ops->bus_del(region);
}

void portal_region_free(struct portal_region *region)
{
	struct portal_vm *vm = region->client->vm;
	u32 i;

	portal_syncs_forget(vm, region);	/* a later one may be at the same place */
	for (i = 0; i < region->t.nr_routes; i++)
		portal_bells_drop(region->t.routes[i].queue, region);
	region_gate(region, false);
	portal_region_put(region);
}

int portal_region_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg)
{
	struct portal_client *client = vf->client;
	struct portal_region *region;
	int ret = 0;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!(vf->rights & (PORTAL_RIGHT_MMIO | PORTAL_RIGHT_PIO)))
		return -EPERM;		/* not even whether it is there */
	mutex_lock(&client->lock);
	region = xa_load(&client->regions, arg->id);
	if (!region)
		ret = -ENOENT;
	else if (!portal_client_may(vf, portal_region_right(region)))
		ret = -EPERM;
	if (!ret) {
		xa_erase(&client->regions, arg->id);
		client->nr_regions--;
		portal_region_unlink(region);
		synchronize_srcu(&portal_srcu);
		portal_region_off_bus(region);
		synchronize_srcu(&portal_srcu);
		portal_region_free(region);
	}
	mutex_unlock(&client->lock);
	return ret;
}
