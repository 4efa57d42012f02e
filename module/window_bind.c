// SPDX-License-Identifier: GPL-2.0-only
/*
 * window_bind.c - a window follows the VMM's memory slots
 *
 * Which address of the VMM a window shows is looked up when it is made, and
 * anew when the VMM changed a slot, before its KVM_SET_USER_MEMORY_REGION
 * returns (kvm_gate.c). Fetching the dirty log comes by here too: what is
 * mapped writable then is taken away, so that the next write is seen.
 */
#include <linux/fs.h>
#include <linux/rculist.h>
#include "compat.h"
#include "window.h"

/* The address of the whole window, if it is in one slot. */
static int window_hva(struct portal_window *w, unsigned long *hva)
{
	struct portal_vm *vm = w->client->vm;
	u64 len = w->len;
	int ret;

	if (READ_ONCE(vm->gone) || !portal_vm_enter(vm))
		return -ENODEV;
	ret = vm->ops->mem_hva(vm, w->gpa, &len, w->write, hva);
	portal_vm_exit(vm);
	return ret ? ret : len < w->len ? -ENOENT : 0;
}

/* What a fault has looked up before is not inserted after. */
static void window_forget(struct portal_window *w)
{
	spin_lock(&w->lock);
	smp_store_release(&w->slot_seq, w->slot_seq + 1);
	spin_unlock(&w->lock);
}

static int bind_at(struct portal_window *w, unsigned long hva)
{
	int ret;

	lockdep_assert_held(&w->bind_lock);
	if (w->bound)
		mmu_interval_notifier_remove(&w->mn);
	WRITE_ONCE(w->hva, hva);
	ret = mmu_interval_notifier_insert(&w->mn, w->mm, hva, w->len, &portal_window_mn_ops);
	w->bound = !ret;
	/* a fault in between may have looked at a notifier that was not there */
	window_forget(w);
	return ret;
}

/**
 * portal_window_bind() - look up a new window, and be told of changes
 * @w: not yet visible
 *
 * Context: process, the VMM's mm held; takes its mmap_lock.
 * Return: 0 or -errno.
 */
int portal_window_bind(struct portal_window *w)
{
	unsigned long hva;
	int ret = window_hva(w, &hva);

	if (ret)
		return ret;
	mutex_lock(&w->bind_lock);
	ret = bind_at(w, hva);
	mutex_unlock(&w->bind_lock);
	return ret;
}

/**
 * portal_window_unbind() - be told nothing any more
 * @w: dead, or not visible
 *
 * Context: process; client->lock may be held.
 */
void portal_window_unbind(struct portal_window *w)
{
	mutex_lock(&w->bind_lock);
	if (w->bound)
		mmu_interval_notifier_remove(&w->mn);
	w->bound = false;
	mutex_unlock(&w->bind_lock);
}

static bool window_logged(struct portal_window *w)
{
	struct portal_vm *vm = w->client->vm;
	bool logged = false;

	if (w->write && portal_vm_enter(vm)) {
		logged = vm->ops->mem_logged(vm, w->gpa, w->len);
		portal_vm_exit(vm);
	}
	return logged;
}

/**
 * portal_window_recheck() - is it still what the guest has there?
 * @w: referenced
 *
 * Most changes of slots are others', and cost a look. While its slot is gone
 * or not one any more, accesses to what is not where it was are SIGBUS.
 *
 * Context: process, the VMM's mm held; takes its mmap_lock.
 */
void portal_window_recheck(struct portal_window *w)
{
	unsigned long hva;
	bool found;

	mutex_lock(&w->bind_lock);
	found = !window_hva(w, &hva);
	if (READ_ONCE(w->dead) || (found && w->bound && hva == w->hva && !window_logged(w)))
		goto out_unlock;
	window_forget(w);
	portal_window_zap(w, 0, w->len);
	if (found && (!w->bound || hva != w->hva))
		bind_at(w, hva);	/* in vain: faults will find that it is not there */
out_unlock:
	mutex_unlock(&w->bind_lock);
}

/**
 * portal_windows_recheck() - the VMM changed slots, or fetched a dirty log
 * @vm: the VM
 *
 * Context: the VMM's ioctl, in portal_srcu.
 */
void portal_windows_recheck(struct portal_vm *vm)
{
	struct portal_client *client;
	struct portal_window *w;
	unsigned long i;

	list_for_each_entry_srcu(client, &vm->clients, node, srcu_read_lock_held(&portal_srcu)) {
		for (i = 0; i <= PORTAL_MAX_WINDOWS; i++) {
			xa_lock(&client->windows);
			w = xa_find(&client->windows, &i, PORTAL_MAX_WINDOWS, XA_PRESENT);
			if (w)
				kref_get(&w->ref);
			xa_unlock(&client->windows);
			if (!w)
				break;
			portal_window_recheck(w);
			portal_window_put(w);
		}
	}
}

/* ---- the RAM's own file --------------------------------------------------- */

/**
 * portal_window_direct() - find the file of the RAM
 * @w: bound, not yet visible
 *
 * Context: process, the VMM's mm held; takes its mmap_lock.
 * Return: 0, -EOPNOTSUPP: not one file that can be mapped in our place, -EINTR.
 */
int portal_window_direct(struct portal_window *w)
{
	struct vm_area_struct *vma;
	int ret = -EOPNOTSUPP;

	if (mmap_read_lock_killable(w->mm))
		return -EINTR;
	vma = find_vma(w->mm, w->hva);
	if (!vma || vma->vm_start > w->hva || vma->vm_end - w->hva < w->len || !vma->vm_file)
		goto out_unlock;
	/* MAYWRITE: no seal against writing that our mapping would undermine */
	if (!(vma->vm_flags & VM_SHARED) || !(vma->vm_flags & VM_MAYWRITE) ||
	    vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB))
		goto out_unlock;
	if (!S_ISREG(file_inode(vma->vm_file)->i_mode) || IS_DAX(file_inode(vma->vm_file)))
		goto out_unlock;
	w->file = get_file(vma->vm_file);
	w->pgoff = vma->vm_pgoff + ((w->hva - vma->vm_start) >> PAGE_SHIFT);
	ret = 0;
out_unlock:
	mmap_read_unlock(w->mm);
	return ret;
}

/**
 * portal_window_mmap_direct() - let the vma be one of the RAM's file
 * @w: with a file
 * @vma: as ->mmap got it
 * @write: it may become writable
 *
 * From here on it is none of ours.
 * Context: ->mmap.
 * Return: 0 or -errno.
 */
int portal_window_mmap_direct(struct portal_window *w, struct vm_area_struct *vma, bool write)
{
	u64 first = vma->vm_pgoff & (PORTAL_WINDOW_PAGES - 1);

	if (write && !(w->file->f_mode & FMODE_WRITE))
		return -EACCES;
	portal_vm_flags_set(vma, VM_DONTCOPY | VM_DONTDUMP);
	vma_set_file(vma, w->file);
	vma->vm_pgoff = w->pgoff + first;
	return call_mmap(w->file, vma);
}
