// SPDX-License-Identifier: GPL-2.0-only
/*
 * doorbell.c - writes that never make the guest wait
 *
 * With the ring full, a doorbell waits outside of it in the guest's stead, and
 * one that is the same as one that waits is that one. All else that waits comes
 * after the doorbells (post.c): a FENCED read knows where they will be, and
 * nobody can have rung behind his own call.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include "compat.h"
#include "portal.h"
#include "trace.h"

/**
 * struct portal_bell - a doorbell outside of the ring
 * @node: in portal_queue.bells
 * @region: whose; it takes them along when it goes
 * @route: of the region
 * @req: the write
 */
struct portal_bell {
	struct list_head node;
	struct portal_region *region;
	struct portal_route *route;
	struct portal_request req;
};

static void bell_del(struct portal_queue *queue, struct portal_bell *bell)
{
	lockdep_assert_held(&queue->lock);
	list_del(&bell->node);
	queue->nr_bells--;
	queue->backlog--;
	kfree(bell);
}

/* Nothing but they enters the ring while they wait, so their places are known. */
static void bells_place(struct portal_queue *queue)
{
	struct portal_bell *bell;
	u64 pos = queue->tail;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry(bell, &queue->bells, node)
		atomic64_set(&bell->route->posted_pos, ++pos);
}

static bool bell_waits(struct portal_queue *queue, const struct portal_request *req)
{
	const struct portal_bell *bell;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry(bell, &queue->bells, node)
		if (bell->req.hook_id == req->hook_id && bell->req.addr == req->addr &&
		    bell->req.len == req->len && bell->req.data[0] == req->data[0])
			return true;
	return false;
}

/**
 * portal_bells_refill - doorbells that wait enter the ring
 * @queue: the queue, its lock held
 */
void portal_bells_refill(struct portal_queue *queue)
{
	struct portal_bell *bell, *tmp;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(bell, tmp, &queue->bells, node) {
		if (!portal_queue_room(queue, PORTAL_RING_F_OVERFLOW))
			break;
		portal_ring_write(queue, &bell->req, NULL);
		bell_del(queue, bell);
	}
}

/**
 * portal_bells_drop - doorbells that nobody can hear any more
 * @queue: the queue
 * @region: those of this region, which goes; NULL: all
 *
 * Context: process; no spinlock held.
 */
void portal_bells_drop(struct portal_queue *queue, const struct portal_region *region)
{
	struct portal_bell *bell, *tmp;

	spin_lock(&queue->lock);
	list_for_each_entry_safe(bell, tmp, &queue->bells, node)
		if (!region || bell->region == region)
			bell_del(queue, bell);
	bells_place(queue);
	if (!queue->backlog)
		portal_ring_flag(queue, PORTAL_RING_F_OVERFLOW, false);
	spin_unlock(&queue->lock);
	portal_queue_consumed(queue);	/* events may have waited for them */
}

static int bell_post(struct portal_region *region, struct portal_route *route,
		     struct portal_request *req)
{
	struct portal_queue *queue = route->queue;
	struct portal_bell *bell;
	u64 pos;
	int ret;

	/* a counted one stands for others already */
	if (region->t.merges && !(req->flags & PORTAL_REQ_F_COUNTED))
		ret = portal_merge_post(&region->t, queue, req, &pos);
	else
		ret = portal_queue_post(queue, req, &pos);
	if (!ret)
		atomic64_set(&route->posted_pos, pos);
	if (ret != -EAGAIN || region->t.policy == PORTAL_POLICY_DROP)
		return ret;
	bell = kmalloc(sizeof(*bell), GFP_KERNEL_ACCOUNT);
	if (!bell)
		return -ENOMEM;
	bell->region = region;
	bell->route = route;
	bell->req = *req;

	spin_lock(&queue->lock);
	if (queue->dead || queue->failed) {
		ret = -ENODEV;
	} else if (bell_waits(queue, req)) {
		ret = 0;
	} else if (queue->nr_bells < PORTAL_MAX_BELLS) {
		list_add_tail(&bell->node, &queue->bells);
		queue->nr_bells++;
		queue->backlog++;
		bells_place(queue);
		bell = NULL;
		portal_ring_flag(queue, PORTAL_RING_F_OVERFLOW, true);
		ret = 0;
	} else {
		ret = -ENOSPC;
	}
	spin_unlock(&queue->lock);
	if (bell) {
		kfree(bell);
		return ret;
	}
	trace_portal_request(req);
	portal_queue_consumed(queue);	/* the owner may have made room meanwhile */
	return 0;
}

/**
 * portal_doorbell_ring - the guest writes where doorbells are
 * @pv: the vCPU
 * @region: the region
 * @req: the write
 *
 * Context: the vCPU's thread, in portal_srcu. Never waits for the owner, but
 * perhaps, in place, for a rate limit.
 */
void portal_doorbell_ring(struct portal_vcpu *pv, struct portal_region *region,
			  struct portal_request *req)
{
	struct portal_route *route = portal_target_route_of(&region->t, pv);
	const struct portal_range *range;
	enum portal_step step;
	atomic_t *count = NULL;
	u32 i;

	for (i = 0; i < region->nr_ranges; i++) {
		range = &region->ranges[i];
		if (range->attr != PORTAL_ATTR_DOORBELL ||
		    (u32)req->addr - range->offset >= range->len)
			continue;
		if (range->width && range->width != req->len)
			continue;
		if (range->flags & PORTAL_RANGE_F_DATAMATCH && range->datamatch != req->data[0])
			continue;
		if (range->flags & PORTAL_RANGE_F_EVENTFD) {
			portal_eventfd_signal(range->eventfd);
			return;
		}
		if (range->flags & PORTAL_RANGE_F_COUNT) {
			/* the consumer takes it by an exchange with 0, then works */
			count = (atomic_t *)(region->shadow + range->aux);
			if (atomic_inc_return(count) != 1)
				return;
			req->flags |= PORTAL_REQ_F_COUNTED;
			req->data[1] = range->aux;
		}
		break;
	}
	/* no match: as a doorbell without conditions, so that nothing is silently lost */
	do {
		step = portal_rate_admit(pv, &region->t, false, true);
	} while (step == PORTAL_RESTART);
	if (step == PORTAL_RETIRE && bell_post(region, route, req) >= 0) {
		atomic64_inc(&pv->vm->stats.posted);
		atomic64_inc(&region->t.stats.posted);
		return;
	}
	portal_target_drop(&region->t, route->queue);
	if (count)
		atomic_set(count, 0);	/* the next ring posts anew */
}
