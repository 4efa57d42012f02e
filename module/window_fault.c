// SPDX-License-Identifier: GPL-2.0-only
/*
 * window_fault.c - a window follows the VMM's page tables
 *
 * A fault looks the page up in the VMM's address space and inserts its pfn, an
 * mmu_interval_notifier zaps it when the VMM's page goes. Nothing is pinned,
 * and what the VMM discards, swaps or migrates comes back as the guest sees it.
 */
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/sched/mm.h>
#include "compat.h"
#include "window.h"

#define PORTAL_FAULT_AROUND	16
#define PORTAL_FAULT_TRIES	8

/* Who is zapping for an invalidation at this moment. */
struct window_zap {
	struct list_head node;
	struct task_struct *task;
};

static DEFINE_SPINLOCK(window_zaps_lock);
static LIST_HEAD(window_zaps);

/* True if this task is in window_zap() already; else false, and now it is. */
static bool window_zap_enter(struct window_zap *zap)
{
	struct window_zap *other;
	bool nested = false;

	zap->task = current;
	spin_lock(&window_zaps_lock);
	list_for_each_entry(other, &window_zaps, node)
		nested |= other->task == current;
	if (!nested)
		list_add(&zap->node, &window_zaps);
	spin_unlock(&window_zaps_lock);
	return nested;
}

static void window_zap_exit(struct window_zap *zap)
{
	spin_lock(&window_zaps_lock);
	list_del(&zap->node);
	spin_unlock(&window_zaps_lock);
}

/*
 * Zapping a window that is mapped in another VMM is an invalidation there, and
 * so on: windows on windows would recurse, in a circle for ever. But nothing
 * was ever mapped through a window on a window, as get_user_pages() refuses
 * VM_PFNMAP. So there is nothing to do in a nested call.
 *
 * lockdep takes any nested invalidation for a recursion, and our i_mmap_rwsem
 * for that of the RAM's file (reclaim holds it). It is a leaf: nobody waits for
 * anything while he holds ours.
 */
static void window_zap(struct portal_window *w, u64 off, u64 len)
{
	struct window_zap zap;

	if (window_zap_enter(&zap))
		return;
	lockdep_off();
	portal_window_zap(w, off, len);
	lockdep_on();
	window_zap_exit(&zap);
}

static bool window_invalidate(struct mmu_interval_notifier *mn,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	struct portal_window *w = container_of(mn, struct portal_window, mn);
	unsigned long start = max(range->start, w->hva);
	unsigned long end = min_t(unsigned long, range->end, w->hva + w->len);

	if (!mmu_notifier_range_blockable(range))
		return false;
	spin_lock(&w->lock);
	mmu_interval_set_seq(mn, seq);
	spin_unlock(&w->lock);
	window_zap(w, start - w->hva, end - start);
	return true;
}

const struct mmu_interval_notifier_ops portal_window_mn_ops = {
	.invalidate = window_invalidate,
};

/*
 * Is [off, off + *len) still the RAM that was mapped, at @hva? The VMM may have
 * taken the slot away and put something of its own at that address. trylock
 * fails only when the VM is let go.
 *
 * What will be mapped writable is dirty from now on, as nobody will tell of the
 * writes: so only the page that is asked for while somebody keeps a log.
 */
static bool window_is_ram(struct portal_window *w, u64 off, unsigned long hva, bool write,
			  u64 *len)
{
	struct portal_vm *vm = w->client->vm;
	unsigned long now;
	bool ok;

	if (READ_ONCE(w->dead) || READ_ONCE(vm->gone) || !down_read_trylock(&vm->alive))
		return false;
	ok = !vm->released && !vm->ops->mem_hva(vm, w->gpa + off, len, w->write, &now) &&
	     now == hva;
	if (ok && write && vm->ops->mem_logged(vm, w->gpa + off, *len)) {
		*len = PAGE_SIZE;
		vm->ops->mem_dirty(vm, w->gpa + off, PAGE_SIZE);
	}
	up_read(&vm->alive);
	return ok;
}

static int window_pte(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/*
 * Put pages[] into the vma unless they changed meanwhile. The page table is
 * made before the lock is taken: an allocation under it could reclaim the
 * VMM's memory and come back to window_invalidate().
 */
static vm_fault_t window_insert(struct vm_fault *vmf, struct portal_window *w,
				struct page **pages, long nr, unsigned long seq, u32 slot_seq)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PAGE_MASK;
	vm_fault_t ret = 0;
	long i;

	if (apply_to_page_range(vma->vm_mm, addr, PAGE_SIZE, window_pte, NULL))
		return VM_FAULT_OOM;
	spin_lock(&w->lock);
	if (w->dead) {
		ret = VM_FAULT_SIGBUS;
	} else if (w->slot_seq == slot_seq && !mmu_interval_read_retry(&w->mn, seq)) {
		ret = vmf_insert_pfn(vma, addr, page_to_pfn(pages[0]));
		/* neighbours are in the same page table, and a favour */
		for (i = 1; i < nr && ret == VM_FAULT_NOPAGE; i++)
			if (vmf_insert_pfn(vma, addr + i * PAGE_SIZE, page_to_pfn(pages[i])) !=
			    VM_FAULT_NOPAGE)
				break;
	}
	spin_unlock(&w->lock);
	return ret;
}

/*
 * One attempt: 0 if it did not succeed but may be repeated.
 *
 * The mmap_lock of the daemon is held, and that of the VMM must not be waited
 * for under it: a VMM may have a window on this daemon's memory in turn. If
 * both are the same mm, it is held already.
 */
static vm_fault_t window_try(struct vm_fault *vmf, struct portal_window *w, unsigned long hva,
			     unsigned long nr, unsigned int gup_flags, u32 slot_seq)
{
	bool foreign = w->mm != vmf->vma->vm_mm;
	struct page *pages[PORTAL_FAULT_AROUND];
	unsigned long seq;
	vm_fault_t ret;
	long got, i;

	seq = mmu_interval_read_begin(&w->mn);
	if (foreign && !mmap_read_trylock(w->mm))
		return 0;
	got = portal_gup_remote(w->mm, hva, nr, gup_flags, pages, NULL);
	if (foreign)
		mmap_read_unlock(w->mm);
	if (got <= 0) {
		if (gup_flags & FOLL_NOFAULT)
			return 0;
		return got == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	}
	ret = window_insert(vmf, w, pages, got, seq, slot_seq);
	for (i = 0; i < got; i++) {
		/* a pfn in a page table says nothing to reclaim when it is written to */
		if (gup_flags & FOLL_WRITE && !PageDirty(pages[i]))
			set_page_dirty_lock(pages[i]);
		put_page(pages[i]);
	}
	return ret;
}

/*
 * Bring the page in with no mmap_lock but the VMM's, which the fault may drop
 * in turn: swapped pages and those of a postcopy (userfaultfd) are waited for.
 * The vma may be gone afterwards.
 */
static vm_fault_t window_wait(struct vm_fault *vmf, struct portal_window *w, unsigned long hva,
			      unsigned int gup_flags)
{
	struct page *page;
	int locked = 1;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		mmput_async(w->mm);
		return VM_FAULT_RETRY;
	}
	kref_get(&w->ref);
	mmap_read_unlock(vmf->vma->vm_mm);
	if (!mmap_read_lock_killable(w->mm)) {
		if (portal_gup_remote(w->mm, hva, 1, gup_flags, &page, &locked) == 1)
			put_page(page);
		if (locked)
			mmap_read_unlock(w->mm);
	}
	mmput_async(w->mm);
	portal_window_put(w);
	return VM_FAULT_RETRY;
}

/**
 * portal_window_fault() - ->fault of a window
 * @vmf: the fault
 *
 * First what is there; then once without our mmap_lock; and if it is gone
 * again by then, with it.
 *
 * Context: as ->fault, without the per-vma lock (there is no ->map_pages).
 * Return: VM_FAULT_*.
 */
vm_fault_t portal_window_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct portal_window *w = vma->vm_private_data;
	u64 off = (u64)(vmf->pgoff & (PORTAL_WINDOW_PAGES - 1)) << PAGE_SHIFT;
	unsigned long addr = vmf->address & PAGE_MASK;
	/* by VM_MAYWRITE: mprotect() makes what is mapped writable without a fault */
	unsigned int gup_flags = vma->vm_flags & VM_MAYWRITE ? FOLL_WRITE : 0;
	/* before all that is looked up: see portal_window_recheck() */
	u32 slot_seq = smp_load_acquire(&w->slot_seq);
	unsigned long hva = READ_ONCE(w->hva) + off;
	vm_fault_t ret;
	u64 len;
	int i;

	if (off >= w->len)
		return VM_FAULT_SIGBUS;
	/* up to the end of an aligned block, so in one page table */
	len = PORTAL_FAULT_AROUND * PAGE_SIZE - (addr & (PORTAL_FAULT_AROUND * PAGE_SIZE - 1));
	len = min3(len, (u64)(vma->vm_end - addr), w->len - off);
	if (!window_is_ram(w, off, hva, gup_flags, &len) || !mmget_not_zero(w->mm))
		return VM_FAULT_SIGBUS;

	ret = window_try(vmf, w, hva, len >> PAGE_SHIFT, gup_flags | FOLL_NOFAULT, slot_seq);
	if (!ret && fault_flag_allow_retry_first(vmf->flags))
		return window_wait(vmf, w, hva, gup_flags);
	for (i = 0; !ret && i < PORTAL_FAULT_TRIES; i++) {
		ret = window_try(vmf, w, hva, 1, gup_flags, slot_seq);
		cond_resched();
	}
	mmput_async(w->mm);
	return ret ? ret : VM_FAULT_NOPAGE;	/* busy: it will fault again */
}

