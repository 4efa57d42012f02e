/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * ring.c - the owner's side of a queue's ring
 *
 * Ordering is described in <linux/portal_ring.h>. Entries are given out where
 * they are: the kernel doesn't touch them before head has passed.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "barrier.h"
#include "internal.h"
#include "ring.h"

#define COMMIT_FLAGS	(PORTAL_RING_F_NEED_COMMIT | PORTAL_RING_F_OVERFLOW)

static uint32_t slot_of(const struct ring *ring, uint32_t index)
{
	return index & (ring->nr - 1);
}

static struct portal_request *entry(const struct ring *ring, uint32_t index)
{
	return (void *)(ring->entries + (size_t)slot_of(ring, index) * ring->entry_size);
}

static bool is_held(const struct ring *ring, uint32_t index)
{
	uint32_t slot = slot_of(ring, index);

	return ring->held[slot / 64] >> (slot % 64) & 1;
}

static void flip_held(struct ring *ring, uint32_t index)
{
	uint32_t slot = slot_of(ring, index);

	ring->held[slot / 64] ^= 1ULL << (slot % 64);
}

static int ring_check(struct ring *ring, const struct portal_queue_info *info)
{
	const struct portal_ring *map = ring->map;
	uint32_t off = map->entries_off;

	ring->nr = map->entries;
	ring->entry_size = map->entry_size;
	ring->epoch = info->out_epoch;
	ring->head = load_acquire(&map->head);
	ring->seen = ring->head;
	ring->tail = ring->head;

	if (map->magic != PORTAL_RING_MAGIC || map->version != PORTAL_RING_VERSION)
		return -EPROTO;
	if (!ring->nr || ring->nr & (ring->nr - 1) || ring->nr != info->out_entries)
		return -EPROTO;
	if (ring->entry_size < sizeof(struct portal_request) || ring->entry_size % 8 ||
	    off < sizeof(*map) || off % 8)
		return -EPROTO;
	if (off > ring->map_size || (ring->map_size - off) / ring->nr < ring->entry_size)
		return -EPROTO;
	if (load_acquire(&map->tail) - ring->head > ring->nr)
		return -EPROTO;
	ring->entries = (unsigned char *)ring->map + off;
	return 0;
}

int ring_open(struct ring *ring, int fd, const struct portal_queue_info *info)
{
	int err;

	if (info->out_mmap_size < sizeof(struct portal_ring))
		return -EPROTO;
	ring->map_size = info->out_mmap_size;
	ring->map = mmap(NULL, ring->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring->map == MAP_FAILED) {
		ring->map = NULL;
		return -errno;
	}
	err = ring_check(ring, info);
	if (!err) {
		ring->held = calloc((ring->nr + 63) / 64, sizeof(*ring->held));
		if (!ring->held)
			err = -ENOMEM;
	}
	if (err)
		ring_close(ring);
	return err;
}

void ring_close(struct ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->map_size);
	free(ring->held);
	ring->map = NULL;
	ring->held = NULL;
}

int ring_look(struct ring *ring)
{
	const struct portal_ring *map = ring->map;
	uint32_t flags = load_acquire(&map->flags);	/* before tail: drain, then end */
	uint32_t tail = load_acquire(&map->tail);

	if (load_relaxed(&map->epoch) != ring->epoch)
		return -ESTALE;
	/* a tail out of bounds is not the kernel's; believe no entry then */
	if (tail - ring->head > ring->nr || tail - ring->head < ring->seen - ring->head)
		return -EPROTO;
	ring->tail = tail;
	if (ring->tail != ring->seen)
		return 1;
	return flags & PORTAL_RING_F_STALE ? -ENODEV : 0;
}

const struct portal_request *ring_next(struct ring *ring)
{
	return ring->seen == ring->tail ? NULL : entry(ring, ring->seen++);
}

int ring_hold(struct ring *ring, const struct portal_request *req)
{
	size_t off = (size_t)((const unsigned char *)req - ring->entries);
	uint32_t index;

	if ((const unsigned char *)req < ring->entries || off % ring->entry_size ||
	    off / ring->entry_size >= ring->nr)
		return -EINVAL;
	/* the index of that slot which is not before head */
	index = ring->head + slot_of(ring, (uint32_t)(off / ring->entry_size) - ring->head);
	if (index - ring->head >= ring->seen - ring->head || is_held(ring, index))
		return -EINVAL;
	flip_held(ring, index);
	ring->nr_held++;
	return 0;
}

int ring_done(struct ring *ring, uint64_t id)
{
	uint32_t index, left = ring->nr_held;

	for (index = ring->head; left && index != ring->seen; index++) {
		if (!is_held(ring, index))
			continue;
		left--;
		if (entry(ring, index)->id == id) {
			flip_held(ring, index);
			ring->nr_held--;
			return 0;
		}
	}
	return -ENOENT;
}

int ring_release(struct ring *ring)
{
	uint32_t head = ring->head;

	if (!ring->nr_held)
		head = ring->seen;
	while (head != ring->seen && !is_held(ring, head))
		head++;
	if (head == ring->head)
		return 0;
	/* a dead owner must not move the head of the living one */
	if (load_acquire(&ring->map->epoch) != ring->epoch)
		return -ESTALE;
	ring->head = head;
	store_release(&ring->map->head, head);
	full_fence();
	return ring_needs_commit(ring);
}

bool ring_needs_commit(const struct ring *ring)
{
	return load_relaxed(&ring->map->flags) & COMMIT_FLAGS;
}
