/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * window.h - what window.c and window_fault.c share
 */
#ifndef _PORTAL_WINDOW_H
#define _PORTAL_WINDOW_H

#include <linux/bits.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include "portal.h"

#define PORTAL_WINDOW_BYTES	BIT_ULL(PORTAL_MMAP_ID_SHIFT)
#define PORTAL_WINDOW_PAGES	(PORTAL_WINDOW_BYTES >> PAGE_SHIFT)

/**
 * struct portal_window - one MEM_MAP
 * @ref: of its client, of each vma, and of a fault that dropped the mmap_lock
 * @client: outlives every vma, which pins the VM file; not followed otherwise
 * @owner: VM fd that made it, and with whose last close it ends
 * @mapping: of the client; what to zap
 * @mm: of the VMM; mm_count held, also after @mn is removed
 * @mn: tells when the VMM's pages change
 * @bind_lock: protects @mn's registration and @hva
 * @bound: @mn is registered, at @hva
 * @slot_seq: changes when what the guest has there may be elsewhere, or its
 *	dirty log was fetched; under @lock
 * @gpa: first byte
 * @hva: where that is in @mm
 * @len: bytes
 * @id: of the window
 * @write: may be mapped writable
 * @file: PORTAL_MEM_F_DIRECT: of the RAM, else NULL
 * @pgoff: where in @file
 * @lock: orders the insertion of pfns against @mn's sequence, @slot_seq, @dead
 * @dead: unmapped; faults end
 */
struct portal_window {
	struct kref ref;
	struct portal_client *client;
	const struct portal_vm_file *owner;
	struct address_space *mapping;
	struct mm_struct *mm;
	struct mmu_interval_notifier mn;
	struct mutex bind_lock;
	bool bound;
	u32 slot_seq;
	u64 gpa;
	unsigned long hva;
	u64 len;
	u32 id;
	bool write;
	struct file *file;
	unsigned long pgoff;
	spinlock_t lock;
	bool dead;
};

/* window.c */
void portal_window_put(struct portal_window *w);
void portal_window_zap(struct portal_window *w, u64 off, u64 len);

/* window_bind.c */
int portal_window_bind(struct portal_window *w);
void portal_window_unbind(struct portal_window *w);
void portal_window_recheck(struct portal_window *w);
int portal_window_direct(struct portal_window *w);
int portal_window_mmap_direct(struct portal_window *w, struct vm_area_struct *vma, bool write);

/* window_fault.c */
extern const struct mmu_interval_notifier_ops portal_window_mn_ops;
vm_fault_t portal_window_fault(struct vm_fault *vmf);

#endif /* _PORTAL_WINDOW_H */
