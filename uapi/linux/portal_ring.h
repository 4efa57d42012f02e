/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal_ring.h - the memory behind a queue fd
 */
#ifndef _UAPI_LINUX_PORTAL_RING_H
#define _UAPI_LINUX_PORTAL_RING_H

#include <linux/types.h>

#define PORTAL_RING_MAGIC	0x50525247	/* "PRRG" */
#define PORTAL_RING_VERSION	1

/**
 * struct portal_ring - head of a queue's mapping
 * @magic: PORTAL_RING_MAGIC
 * @version: PORTAL_RING_VERSION
 * @entries: ring entries, a power of two
 * @entry_size: bytes of one entry, sizeof(struct portal_request) or more
 * @entries_off: of the first entry in the mapping
 * @queue_id: this queue
 * @tail: index of the next entry the kernel will write
 * @flags: PORTAL_RING_F_*
 * @epoch: number of the present ownership
 * @dropped: posted requests dropped, low 32 bits
 * @head: index of the first entry the owner has not consumed
 * @__reserved0: 0
 * @__reserved1: 0
 * @__reserved2: 0
 *
 * Indices run freely over 32 bits and are masked by @entries - 1 on use.
 *
 *   kernel                              owner
 *   write entry[tail & mask]            t = load_acquire(tail)
 *   store_release(tail, tail + 1)       read entries [seen, t)
 *                                       ... do the work ...
 *   h = load(head), checked             store_release(head, consumed)
 *                                       full fence
 *                                       if (flags & NEED_COMMIT) commit
 *
 * To consume an entry is to have done with it: a guest write that must not
 * retire before (SYNC), or a read behind it (FENCED), waits for @head to pass.
 * The kernel believes @head only within [its last value, @tail]; it never
 * reads back anything else of this mapping.
 */
struct portal_ring {
	/* set once */
	__u32 magic;
	__u32 version;
	__u32 entries;
	__u32 entry_size;
	__u32 entries_off;
	__u32 queue_id;
	__u32 __reserved0[10];
	/* written by the kernel */
	__u32 tail;
	__u32 flags;
#define PORTAL_RING_F_NEED_COMMIT	(1U << 0) /* a vCPU waits for @head */
#define PORTAL_RING_F_OVERFLOW		(1U << 1) /* calls wait for room: commit */
#define PORTAL_RING_F_STALE		(1U << 2) /* the VM is gone */
	__u32 epoch;
	__u32 dropped;
	__u32 __reserved1[12];
	/* written by the owner */
	__u32 head;
	__u32 __reserved2[15];
};

#endif /* _UAPI_LINUX_PORTAL_RING_H */
