// SPDX-License-Identifier: GPL-2.0-only
/*
 * merge.c - PORTAL_POLICY_COALESCE: many posted requests, told as one
 *
 * What is in the ring may be read at any moment and can't be changed any more.
 * So of each number or offset one request is in the ring, and one at most waits
 * here, into which later ones are merged.
 */
#include <linux/ktime.h>
#include "portal.h"
#include "trace.h"

/* The slot of @addr, else one that can be had for it; NULL: none. */
static struct portal_merge *slot_find(struct portal_target *t, struct portal_queue *queue,
				      u64 addr)
{
	struct portal_merge *m, *free = NULL;
	int i;

	lockdep_assert_held(&queue->lock);
	for (i = 0; i < PORTAL_MERGE_SLOTS; i++) {
		m = &t->merges[i];
		if (READ_ONCE(m->queue) != queue)
			continue;
		if (m->addr == addr)
			return m;
		if (!m->count && m->pos <= queue->head)
			free = m;	/* told, and consumed */
	}
	for (i = 0; !free && i < PORTAL_MERGE_SLOTS; i++)
		if (!READ_ONCE(t->merges[i].queue) &&
		    !cmpxchg(&t->merges[i].queue, NULL, queue))
			free = &t->merges[i];
	if (free) {
		free->addr = addr;
		free->pos = 0;
	}
	return free;
}

static void write_one(struct portal_queue *queue, const struct portal_request *req)
{
	trace_portal_request(req);
	portal_ring_write(queue, req, NULL);
}

static void write(struct portal_queue *queue, struct portal_merge *m)
{
	if (m->count > 1) {
		m->req.flags |= PORTAL_REQ_F_MERGED;
		m->req.count = m->count;
	}
	write_one(queue, &m->req);
	m->pos = queue->tail;
	m->count = 0;
}

/**
 * portal_merge_post - a posted request, unless its like has not been consumed
 * @t: its hook or region, with PORTAL_POLICY_COALESCE
 * @queue: one of @t's
 * @req: filled but for id and time
 * @pos: (out) as portal_queue_post() when 0 is returned
 *
 * Context: the guest's side; atomic.
 * Return: 0: in the ring; 1: kept, or merged; -EAGAIN: no room anywhere;
 * -ENODEV.
 */
int portal_merge_post(struct portal_target *t, struct portal_queue *queue,
		      struct portal_request *req, u64 *pos)
{
	struct portal_vm *vm = queue->client->vm;
	struct portal_merge *m;
	int ret = -ENODEV;
	bool room;

	req->id = atomic64_inc_return(&vm->next_id);
	trace_portal_hook(req);
	req->time_ns = ktime_get_ns();
	spin_lock(&queue->lock);
	if (queue->dead || queue->failed)
		goto out_unlock;
	portal_ring_head(queue);
	m = slot_find(t, queue, req->addr);
	if (m && m->count) {
		m->req = *req;
		m->count++;
		atomic64_inc(&vm->stats.merged);
		atomic64_inc(&t->stats.merged);
		ret = 1;
		goto out_unlock;
	}
	/* NEED_COMMIT: the owner tells when head moves on */
	portal_life_flush(queue);
	room = !queue->backlog && !portal_life_pending(queue) &&
	       portal_queue_room(queue, PORTAL_RING_F_NEED_COMMIT);
	if (m && m->pos > queue->head) {
		portal_ring_flag(queue, PORTAL_RING_F_NEED_COMMIT, true);
		portal_ring_head(queue);
		room = room && m->pos <= queue->head;
	}
	ret = -EAGAIN;
	if (!m && !room)
		goto out_unlock;
	ret = room ? 0 : 1;
	if (m) {
		m->req = *req;
		m->count = 1;
	}
	if (!room)
		list_add_tail(&m->node, &queue->merges);
	else if (m)
		write(queue, m);
	else
		write_one(queue, req);
	*pos = queue->tail;
	portal_queue_settle(queue);
	if (room)
		portal_queue_wake(queue);
out_unlock:
	spin_unlock(&queue->lock);
	return ret;
}

/**
 * portal_merge_flush - tell what was kept, as far as there is room
 * @queue: its lock held
 *
 * Return: something was written.
 */
bool portal_merge_flush(struct portal_queue *queue)
{
	struct portal_merge *m, *tmp;
	bool told = false;

	lockdep_assert_held(&queue->lock);
	if (queue->dead || portal_life_pending(queue))
		return false;
	list_for_each_entry_safe(m, tmp, &queue->merges, node) {
		if (m->pos > queue->head)
			continue;
		if (!portal_queue_room(queue, PORTAL_RING_F_NEED_COMMIT))
			break;
		list_del_init(&m->node);
		write(queue, m);
		told = true;
	}
	return told;
}

/**
 * portal_merge_drop - what was kept of a target that goes is dropped, and counted
 * @t: nobody on the guest's side uses it any more
 */
void portal_merge_drop(struct portal_target *t)
{
	struct portal_queue *queue;
	struct portal_merge *m;
	u64 count;
	int i;

	for (i = 0; i < PORTAL_MERGE_SLOTS; i++) {
		m = &t->merges[i];
		queue = m->queue;
		if (!queue)
			continue;
		spin_lock(&queue->lock);
		list_del_init(&m->node);
		count = m->count;
		m->count = 0;
		spin_unlock(&queue->lock);
		atomic64_add(count, &t->stats.dropped);
		portal_queue_drop(queue, count);
	}
}
