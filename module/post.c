// SPDX-License-Identifier: GPL-2.0-only
/*
 * post.c - requests enter a queue; those who wait for its head
 *
 * With the ring full they wait for room, each kind in its own list, and enter in
 * one order: doorbells (doorbell.c), whose places are promised to FENCED reads;
 * lifecycle events (life.c); calls; and what is merged (merge.c). A kind waits
 * until none is left of the kinds before it, and what is new waits for them all.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "portal.h"
#include "trace.h"

static void count_wakeup(struct portal_queue *queue)
{
	queue->nr_wakeups++;
	atomic64_inc(&queue->client->vm->stats.wakeups);
}

/**
 * portal_queue_wake - tell the owner that there is an entry
 * @queue: its lock held
 */
void portal_queue_wake(struct portal_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	if (queue->cmd) {
		count_wakeup(queue);
		portal_uring_complete(queue, queue->tail - queue->cmd_seen);
	}
	/* pairs with the barrier of the sleeper's set_current_state() */
	if (wq_has_sleeper(&queue->wait)) {
		count_wakeup(queue);
		wake_up_interruptible_all(&queue->wait);
	}
}

/**
 * portal_queue_room - room for one more? If not, ask the owner to tell
 * @queue: its lock held
 * @flag: how to ask: PORTAL_RING_F_*
 */
bool portal_queue_room(struct portal_queue *queue, u32 flag)
{
	if (!portal_ring_full(queue))
		return true;
	portal_ring_head(queue);
	if (!portal_ring_full(queue))
		return true;
	portal_ring_flag(queue, flag, true);
	portal_ring_head(queue);
	return !portal_ring_full(queue);
}

/**
 * portal_queue_settle - nobody waits for head any more? Then say so
 * @queue: its lock held
 */
void portal_queue_settle(struct portal_queue *queue)
{
	const struct portal_vcpu *pv;

	lockdep_assert_held(&queue->lock);
	if (!list_empty(&queue->merges) || portal_life_pending(queue))
		return;
	list_for_each_entry(pv, &queue->fences, fence_node)
		if (pv->fence_pos > queue->head && !queue->dead && !queue->failed)
			return;
	portal_ring_flag(queue, PORTAL_RING_F_NEED_COMMIT, false);
}

/**
 * portal_queue_post - a request without an answer
 * @queue: the queue
 * @req: filled but for id and time
 * @pos: (out) where head must be: for it to be consumed if 0 is returned, for
 *	there to be room if -EAGAIN
 *
 * Context: the guest's side; atomic.
 * Return: 0, -EAGAIN (full), -ENODEV (nobody will ever read it).
 */
int portal_queue_post(struct portal_queue *queue, struct portal_request *req, u64 *pos)
{
	struct portal_vm *vm = queue->client->vm;
	int ret = -ENODEV;

	/* one id, however often it is tried */
	if (!req->id) {
		req->id = atomic64_inc_return(&vm->next_id);
		trace_portal_hook(req);
	}
	req->time_ns = ktime_get_ns();
	spin_lock(&queue->lock);
	if (queue->dead || queue->failed)
		goto out_unlock;
	ret = -EAGAIN;
	portal_life_flush(queue);
	/* who waits for room came before */
	if (queue->backlog || portal_life_pending(queue) ||
	    !portal_queue_room(queue, PORTAL_RING_F_NEED_COMMIT)) {
		*pos = max_t(s64, queue->head + 1, queue->tail + 1 - queue->entries);
		goto out_unlock;
	}
	trace_portal_request(req);
	portal_ring_write(queue, req, NULL);
	*pos = queue->tail;
	portal_queue_wake(queue);
	ret = 0;
out_unlock:
	if (ret == -ENODEV)
		*pos = 0;
	spin_unlock(&queue->lock);
	return ret;
}

/**
 * portal_queue_drop - count posted requests that are given up
 * @queue: the queue
 * @nr: how many
 */
void portal_queue_drop(struct portal_queue *queue, u64 nr)
{
	atomic64_add(nr, &queue->client->vm->stats.dropped);
	spin_lock(&queue->lock);
	queue->nr_dropped += nr;
	WRITE_ONCE(queue->ring->dropped, (u32)queue->nr_dropped);
	spin_unlock(&queue->lock);
}

/**
 * portal_queue_call - a call enters the ring, or waits in line for room
 * @queue: the queue
 * @call: NEW; under vm->lock
 *
 * Return: 0 or -ENODEV.
 */
int portal_queue_call(struct portal_queue *queue, struct portal_call *call)
{
	int ret = -ENODEV;

	lockdep_assert_held(&queue->client->vm->lock);
	INIT_LIST_HEAD(&call->queue_node);
	spin_lock(&queue->lock);
	if (queue->dead || queue->failed)
		goto out_unlock;
	list_add_tail(&call->queue_node, &queue->calls);
	if (!queue->backlog && !portal_life_pending(queue) &&
	    portal_queue_room(queue, PORTAL_RING_F_OVERFLOW)) {
		call->pos = queue->tail;
		call->state = PORTAL_CALL_QUEUED;
		portal_ring_write(queue, &call->req, call);
	} else {
		queue->backlog++;
		portal_ring_flag(queue, PORTAL_RING_F_OVERFLOW, true);
	}
	portal_queue_wake(queue);
	ret = 0;
out_unlock:
	spin_unlock(&queue->lock);
	return ret;
}

static void refill(struct portal_queue *queue)
{
	struct portal_vm *vm = queue->client->vm;
	struct portal_call *call;

	spin_lock(&vm->lock);
	spin_lock(&queue->lock);
	portal_bells_refill(queue);
	portal_life_flush(queue);
	list_for_each_entry(call, &queue->calls, queue_node) {
		if (call->state != PORTAL_CALL_NEW)
			continue;
		if (queue->nr_bells || portal_life_pending(queue) ||
		    !portal_queue_room(queue, PORTAL_RING_F_OVERFLOW))
			break;
		call->pos = queue->tail;
		call->state = PORTAL_CALL_QUEUED;
		queue->backlog--;
		portal_ring_write(queue, &call->req, call);
	}
	if (!queue->backlog) {
		portal_ring_flag(queue, PORTAL_RING_F_OVERFLOW, false);
		portal_merge_flush(queue);
		portal_queue_settle(queue);
	}
	portal_queue_wake(queue);
	spin_unlock(&queue->lock);
	spin_unlock(&vm->lock);
}

/**
 * portal_queue_consumed - the owner says that head may have moved
 * @queue: the queue
 *
 * Context: process; no spinlock held.
 */
void portal_queue_consumed(struct portal_queue *queue)
{
	struct portal_vm *vm = queue->client->vm;
	struct portal_vcpu *pv;
	bool backlog, told;

	spin_lock(&queue->lock);
	portal_ring_head(queue);
	told = portal_life_flush(queue);
	list_for_each_entry(pv, &queue->fences, fence_node)
		if (pv->fence_pos <= queue->head || queue->dead || queue->failed)
			vm->ops->wake(pv);
	backlog = queue->backlog;
	/* calls in line came before what waits to be merged */
	if (!backlog)
		told |= portal_merge_flush(queue);
	if (told)
		portal_queue_wake(queue);
	portal_queue_settle(queue);
	spin_unlock(&queue->lock);
	if (wq_has_sleeper(&vm->inplace_wq))
		wake_up_all(&vm->inplace_wq);
	if (backlog)
		refill(queue);
}

/* ---- waiting for head --------------------------------------------------- */

static bool fence_passed(struct portal_queue *queue, u64 pos)
{
	lockdep_assert_held(&queue->lock);
	portal_ring_head(queue);
	return queue->head >= pos || queue->dead || queue->failed;
}

/**
 * portal_fence_passed - is head there?
 * @queue: the queue
 * @pos: position
 */
bool portal_fence_passed(struct portal_queue *queue, u64 pos)
{
	bool passed;

	spin_lock(&queue->lock);
	passed = fence_passed(queue, pos);
	spin_unlock(&queue->lock);
	return passed;
}

static bool fence_open(struct portal_vcpu *pv)
{
	/* in place, the bus keeps the region until we are out */
	return READ_ONCE(pv->vm->gone) || READ_ONCE(pv->fence_t->dead) ||
	       ktime_get_ns() >= pv->fence_deadline ||
	       portal_fence_passed(pv->fence_q, pv->fence_pos);
}

static void fence_sleep(struct portal_vcpu *pv, bool inplace)
{
	struct portal_vm *vm = pv->vm;
	u64 start = ktime_get_ns();

	if (inplace) {
		portal_leave(pv);
		wait_event_killable_timeout(vm->inplace_wq, fence_open(pv),
					    nsecs_to_jiffies(PORTAL_MAX_TIMEOUT_NS));
		portal_reenter(pv);
	} else {
		portal_park(pv);
	}
	portal_hist_add(&pv->parked, ktime_get_ns() - start);
}

/**
 * portal_wait_find - the wait that this instruction goes on with
 * @pv: the vCPU
 * @key: what is waited for
 * @pos: and up to where
 *
 * Return: it, or NULL: there is none.
 */
struct portal_wait *portal_wait_find(struct portal_vcpu *pv, const void *key, u64 pos)
{
	u64 now = ktime_get_ns();
	struct portal_wait *w;

	for (w = pv->waits; w < pv->waits + PORTAL_WAITS; w++)
		if (w->key == key && w->pos == pos && now < w->deadline + PORTAL_SYNC_NS)
			return w;
	return NULL;
}

/**
 * portal_wait_get - the same, a new one if there is none
 * @pv: the vCPU
 * @key: what is waited for
 * @pos: and up to where
 * @timeout: ns from now, of a new one
 *
 * A wait keeps its deadline when it is interrupted, also by a handler in the
 * guest that waits itself. One that nobody came back to is long over.
 */
struct portal_wait *portal_wait_get(struct portal_vcpu *pv, const void *key, u64 pos, u64 timeout)
{
	struct portal_wait *w = portal_wait_find(pv, key, pos), *slot = &pv->waits[0];

	if (w)
		return w;
	for (w = pv->waits; w < pv->waits + PORTAL_WAITS; w++)
		if (slot->key && (!w->key || w->deadline < slot->deadline))
			slot = w;
	*slot = (struct portal_wait){
		.key = key, .pos = pos, .deadline = ktime_get_ns() + timeout,
	};
	return slot;
}

void portal_wait_end(struct portal_vcpu *pv, const void *key, u64 pos)
{
	struct portal_wait *w;

	for (w = pv->waits; w < pv->waits + PORTAL_WAITS; w++)
		if (w->key == key && w->pos == pos)
			w->key = NULL;
}

/**
 * portal_fence_wait - wait until head is at @pos, no longer than @t allows
 * @pv: the vCPU
 * @t: hook or region; not used after sleeping, but in place
 * @queue: one of its queues
 * @pos: position
 * @key: what is waited for: a new one starts a new deadline
 * @inplace: the instruction can't restart
 *
 * Context: the vCPU's thread, in portal_srcu, which is left meanwhile.
 * Return: true: it is there, or its time is over; false: left early, restart.
 */
bool portal_fence_wait(struct portal_vcpu *pv, struct portal_target *t,
		       struct portal_queue *queue, u64 pos, const void *key, bool inplace)
{
	struct portal_vm *vm = pv->vm;
	struct portal_wait *wait;
	bool passed;
	u64 id;

	if (portal_fence_passed(queue, pos))
		goto out_passed;
	wait = portal_wait_get(pv, key, pos, t->timeout_ns);
	if (ktime_get_ns() >= wait->deadline) {
		atomic64_inc(&vm->stats.timeouts);
		atomic64_inc(&t->stats.timeouts);
		trace_portal_timeout(pv->id, portal_ring_id(queue, pos - 1));
		goto out_passed;
	}

	spin_lock(&queue->lock);
	passed = fence_passed(queue, pos);
	if (!passed) {
		id = portal_ring_id(queue, pos - 1);
		kref_get(&queue->ref);
		pv->fence_q = queue;
		pv->fence_t = t;
		pv->fence_pos = pos;
		list_add_tail(&pv->fence_node, &queue->fences);
		portal_ring_flag(queue, PORTAL_RING_F_NEED_COMMIT, true);
		passed = fence_passed(queue, pos);
	}
	spin_unlock(&queue->lock);
	if (!pv->fence_q)
		goto out_passed;

	if (!passed) {
		WRITE_ONCE(pv->fence_deadline, wait->deadline);
		spin_lock(&vm->lock);
		portal_timeout_arm(vm, wait->deadline);
		spin_unlock(&vm->lock);
		trace_portal_wait(pv->id, id, inplace);
		fence_sleep(pv, inplace);
		WRITE_ONCE(pv->fence_deadline, 0);
	}

	spin_lock(&queue->lock);
	list_del_init(&pv->fence_node);
	portal_queue_settle(queue);
	passed = fence_passed(queue, pos);
	spin_unlock(&queue->lock);
	pv->fence_q = NULL;
	portal_queue_put(queue);
	if (passed)
		goto out_passed;
	if (inplace) {
		if (ktime_get_ns() >= wait->deadline) {
			atomic64_inc(&vm->stats.timeouts);
			atomic64_inc(&t->stats.timeouts);
			trace_portal_timeout(pv->id, id);
		}
		goto out_passed;	/* or killed: nothing will come */
	}
	atomic64_inc(&vm->stats.restarts);
	trace_portal_restart(pv->id, id);
	return false;

out_passed:
	portal_wait_end(pv, key, pos);
	return true;
}
