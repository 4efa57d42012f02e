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
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "portal.h"

static_assert(sizeof(struct portal_request) == 128);
static_assert(sizeof(struct portal_reply) == 40);
static_assert(sizeof(struct portal_uring_cmd) == 16);
static_assert(sizeof(struct portal_ring) == 192);
static_assert(offsetof(struct portal_ring, tail) == 64);
static_assert(offsetof(struct portal_ring, head) == 128);
static_assert(offsetof(struct portal_request, data) == 64);

#define ENTRIES_OFF	PAGE_SIZE

int portal_ring_alloc(struct portal_queue *queue)
{
	struct portal_ring *ring;

	queue->ring_size = ENTRIES_OFF +
			   PAGE_ALIGN(queue->entries * sizeof(struct portal_request));
	ring = vmalloc_user(queue->ring_size);
	if (!ring)
		return -ENOMEM;
	queue->ring = ring;
	return 0;
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

static struct portal_request *entry(const struct portal_queue *queue, u64 pos)
{
	return (void *)queue->ring + ENTRIES_OFF +
	       (pos & (queue->entries - 1)) * sizeof(struct portal_request);
}

const struct portal_request *portal_ring_entry(const struct portal_queue *queue, u64 pos)
{
	return entry(queue, pos);
}

bool portal_ring_full(const struct portal_queue *queue)
{
	return queue->tail - queue->head >= queue->entries;
}

/**
 * portal_ring_write - put a request at the tail
 * @queue: its lock held, not full
 * @req: the request
 */
void portal_ring_write(struct portal_queue *queue, const struct portal_request *req)
{
	struct portal_request *e = entry(queue, queue->tail);

	lockdep_assert_held(&queue->lock);
	*e = *req;
	e->epoch = queue->epoch;
	queue->tail++;
	queue->nr_requests++;
	/* pairs with the owner's acquire of tail */
	smp_store_release(&queue->ring->tail, (u32)queue->tail);
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
