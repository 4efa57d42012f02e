// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - the memory shared with the owner of a queue
 *
 * Ordering (the owner's side is in <linux/portal_ring.h>): an entry is written
 * before tail is released; a flag is set before head is read again, so that
 * either we see the owner's new head or the owner sees our flag. Of what the
 * owner can write, only head is ever believed: read once, and between the last
 * head and our tail.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "portal.h"
#include "trace.h"

static_assert(sizeof(struct portal_request) == 128);
static_assert(sizeof(struct portal_reply) == 40);
static_assert(sizeof(struct portal_uring_cmd) == 16);
static_assert(sizeof(struct portal_ring) == 192);
static_assert(offsetof(struct portal_ring, tail) == 64);
static_assert(offsetof(struct portal_ring, head) == 128);
static_assert(offsetof(struct portal_request, data) == 64);

#define ENTRIES_OFF	PAGE_SIZE

/**
 * portal_pages_alloc - memory for a ring
 * @queue: its entries and ring_size are set
 *
 * Return: it, with one reference, or NULL.
 */
struct portal_pages *portal_pages_alloc(const struct portal_queue *queue)
{
	struct portal_pages *pages;

	pages = kzalloc(sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return NULL;
	pages->ring = portal_shared_alloc(queue->ring_size);
	if (!pages->ring) {
		kfree(pages);
		return NULL;
	}
	refcount_set(&pages->ref, 1);
	return pages;
}

/**
 * portal_ring_header - write all but the entries, for a new owner
 * @queue: its lock held
 *
 * The page is writable to the last owner, who may have left anything there.
 */
void portal_ring_header(struct portal_queue *queue)
{
	struct portal_ring *ring = queue->ring;

	lockdep_assert_held(&queue->lock);
	WRITE_ONCE(ring->magic, PORTAL_RING_MAGIC);
	WRITE_ONCE(ring->version, PORTAL_RING_VERSION);
	WRITE_ONCE(ring->entries, queue->entries);
	WRITE_ONCE(ring->entry_size, sizeof(struct portal_request));
	WRITE_ONCE(ring->entries_off, ENTRIES_OFF);
	WRITE_ONCE(ring->queue_id, queue->id);
	WRITE_ONCE(ring->tail, (u32)queue->tail);
	WRITE_ONCE(ring->flags, queue->ring_flags);
	WRITE_ONCE(ring->epoch, queue->epoch);
	WRITE_ONCE(ring->dropped, (u32)queue->nr_dropped);
	WRITE_ONCE(ring->head, (u32)queue->head);
}

static struct portal_slot *slot_at(const struct portal_queue *queue, u64 pos)
{
	return &queue->slots[pos & (queue->entries - 1)];
}

/* Context: process. What is mapped stays until it is unmapped. */
void portal_pages_put(struct portal_pages *pages)
{
	if (!refcount_dec_and_test(&pages->ref))
		return;
	vfree(pages->ring);
	kfree(pages);
}

struct portal_request *portal_ring_entry(const struct portal_queue *queue,
					 struct portal_ring *ring, u64 pos)
{
	return (void *)ring + ENTRIES_OFF +
	       (pos & (queue->entries - 1)) * sizeof(struct portal_request);
}

/**
 * portal_ring_move - go on in other pages, out of the earlier owner's sight
 * @queue: its lock held
 * @pages: new ones; the queue's reference to the old ones becomes the caller's
 *
 * Then portal_ring_header().
 */
void portal_ring_move(struct portal_queue *queue, struct portal_pages *pages)
{
	struct portal_ring *ring = pages->ring;
	u64 pos;

	lockdep_assert_held(&queue->lock);
	for (pos = queue->head; pos < queue->tail; pos++)
		*portal_ring_entry(queue, ring, pos) = *portal_ring_entry(queue, queue->ring, pos);
	queue->pages = pages;
	queue->ring = ring;
}

size_t portal_ring_bytes(u32 entries)
{
	return ENTRIES_OFF + PAGE_ALIGN(entries * sizeof(struct portal_request));
}

bool portal_ring_full(const struct portal_queue *queue)
{
	return queue->tail - queue->head >= queue->entries;
}

/**
 * portal_ring_write - put a request at the tail
 * @queue: its lock held, not full
 * @req: the request
 * @call: the call it is part of, or NULL
 */
void portal_ring_write(struct portal_queue *queue, const struct portal_request *req,
		       struct portal_call *call)
{
	struct portal_request *e = portal_ring_entry(queue, queue->ring, queue->tail);
	struct portal_slot *slot = slot_at(queue, queue->tail);

	lockdep_assert_held(&queue->lock);
	*e = *req;
	e->epoch = queue->epoch;
	*slot = (struct portal_slot){ .id = req->id, .time_ns = req->time_ns, .call = call };
	trace_portal_ring(queue->id, queue->tail, req->id);
	queue->tail++;
	queue->nr_requests++;
	/* pairs with the owner's acquire of tail */
	smp_store_release(&queue->ring->tail, (u32)queue->tail);
}

/* The id of the request that is at @pos, or was last where @pos will be. */
u64 portal_ring_id(const struct portal_queue *queue, u64 pos)
{
	return slot_at(queue, pos)->id;
}

/**
 * portal_ring_taken - the owner has the entries before @pos
 * @queue: its lock held
 * @pos: at most tail
 * @now: ktime_get_ns()
 *
 * They were handed out, or head passed them, or a call was answered: the owner
 * of a mapped ring does not say when it looks.
 */
void portal_ring_taken(struct portal_queue *queue, u64 pos, u64 now)
{
	struct portal_slot *slot;

	lockdep_assert_held(&queue->lock);
	for (; queue->taken < pos; queue->taken++) {
		slot = slot_at(queue, queue->taken);
		portal_hist_add(&queue->taken_ns, now - slot->time_ns);
		if (slot->call)
			slot->call->taken_ns = now;
		trace_portal_queue(queue->id, queue->taken, slot->id);
	}
}

/**
 * portal_ring_done - a call that is in the ring, or was, has ended
 * @queue: its lock held
 * @call: QUEUED
 * @now: ktime_get_ns()
 */
void portal_ring_done(struct portal_queue *queue, struct portal_call *call, u64 now)
{
	struct portal_slot *slot = slot_at(queue, call->pos);

	lockdep_assert_held(&queue->lock);
	if (call->replied) {
		portal_ring_taken(queue, call->pos + 1, now);
		portal_hist_add(&queue->answered_ns, now - call->taken_ns);
	}
	if (slot->call == call)
		slot->call = NULL;
}

/**
 * portal_ring_head - believe the owner's head as far as it can be true
 * @queue: its lock held
 */
void portal_ring_head(struct portal_queue *queue)
{
	/* pairs with the owner's release of head: it has done with the entries */
	u32 head = smp_load_acquire(&queue->ring->head);
	u32 moved = head - (u32)queue->head;

	lockdep_assert_held(&queue->lock);
	if (moved <= queue->tail - queue->head)
		queue->head += moved;
	if (queue->seen < queue->head)
		queue->seen = queue->head;
	if (queue->taken < queue->head)
		portal_ring_taken(queue, queue->head, ktime_get_ns());
}

void portal_ring_flag(struct portal_queue *queue, u32 flag, bool on)
{
	lockdep_assert_held(&queue->lock);
	if (on)
		queue->ring_flags |= flag;
	else
		queue->ring_flags &= ~flag;
	WRITE_ONCE(queue->ring->flags, queue->ring_flags);
	if (on)
		smp_mb();	/* the flag before the next look at head */
}
