/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * ring.h - the owner's side of a queue's ring
 */
#ifndef PORTAL_LIB_RING_H
#define PORTAL_LIB_RING_H

#include <kvmportal/portal.h>

/*
 * head <= seen <= tail: the kernel may write entries from head + nr on; next()
 * gave out those before seen; wait() saw those before tail. All run freely.
 */
struct ring {
	struct portal_ring *map;
	size_t map_size;
	unsigned char *entries;
	uint64_t *held;		/* one bit per entry: hold() without done() */
	uint32_t nr_held;
	uint32_t nr;		/* copies of what the kernel wrote once */
	uint32_t entry_size;
	uint32_t epoch;
	uint32_t head;
	uint32_t seen;
	uint32_t tail;
};

/* Maps the ring of queue @fd; -EPROTO: not a ring that we know. */
int ring_open(struct ring *ring, int fd, const struct portal_queue_info *info);
void ring_close(struct ring *ring);

/* 1: there are entries to give out; 0: none; -ESTALE, -ENODEV. */
int ring_look(struct ring *ring);
const struct portal_request *ring_next(struct ring *ring);
int ring_hold(struct ring *ring, const struct portal_request *req);
int ring_done(struct ring *ring, uint64_t id);
/* Moves head past what is done; 1: the kernel wants a commit; 0; -ESTALE. */
int ring_release(struct ring *ring);
/* The kernel waits for something that only a commit brings forward. */
bool ring_needs_commit(const struct ring *ring);

#endif /* PORTAL_LIB_RING_H */
