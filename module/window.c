// SPDX-License-Identifier: GPL-2.0-only
/*
 * window.c - guest RAM mapped into a daemon: windows and their vmas
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "compat.h"
#include "window.h"

static void window_free(struct kref *ref)
{
	struct portal_window *w = container_of(ref, struct portal_window, ref);

	if (w->file)
		fput(w->file);
	mmdrop(w->mm);
	kfree(w);
}

/**
 * portal_window_put() - drop a reference
 * @w: window
 *
 * Context: any.
 */
void portal_window_put(struct portal_window *w)
{
	kref_put(&w->ref, window_free);
}

/**
 * portal_window_zap() - forget what is mapped
 * @w: window
 * @off: first byte in it
 * @len: bytes, not 0
 *
 * Context: process; no window's lock held.
 */
void portal_window_zap(struct portal_window *w, u64 off, u64 len)
{
	unmap_mapping_range(w->mapping, PORTAL_MMAP_OFF(PORTAL_MMAP_WINDOW, w->id) + off,
			    len, 1);
}

static void window_vma_open(struct vm_area_struct *vma)
{
	struct portal_window *w = vma->vm_private_data;

	kref_get(&w->ref);
}

static void window_vma_close(struct vm_area_struct *vma)
{
	portal_window_put(vma->vm_private_data);
}

static const struct vm_operations_struct window_vm_ops = {
	.open = window_vma_open,
	.close = window_vma_close,
	.fault = portal_window_fault,
};

/**
 * portal_window_mmap() - map a window, or a part of it
 * @client: the client
 * @vma: of a VM fd, as ->mmap got it
 * @id: of the window
 *
 * Context: ->mmap; takes no mutex, as others fault with theirs held.
 * Return: 0 or -errno.
 */
int portal_window_mmap(struct portal_client *client, struct vm_area_struct *vma, u32 id)
{
	const struct portal_vm_file *vf = vma->vm_file->private_data;
	u64 first = vma->vm_pgoff & (PORTAL_WINDOW_PAGES - 1);
	struct portal_window *w;
	bool write;
	int ret;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (!portal_client_may(vf, PORTAL_RIGHT_MEM_READ))
		return -EPERM;
	xa_lock(&client->windows);
	w = xa_load(&client->windows, id);
	if (w)
		kref_get(&w->ref);
	xa_unlock(&client->windows);
	if (!w)
		return -ENOENT;

	ret = -EINVAL;
	if (first + vma_pages(vma) > w->len >> PAGE_SHIFT)
		goto out_put;
	write = w->write && portal_client_may(vf, PORTAL_RIGHT_MEM_WRITE);
	ret = -EPERM;
	if (!write && vma->vm_flags & VM_WRITE)
		goto out_put;
	if (!write)
		portal_vm_flags_clear(vma, VM_MAYWRITE);
	if (w->file) {
		ret = portal_window_mmap_direct(w, vma, write);
		goto out_put;
	}
	portal_vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vma->vm_private_data = w;
	vma->vm_ops = &window_vm_ops;
	return 0;

out_put:
	portal_window_put(w);
	return ret;
}

/* From here on others can unmap it: it may be gone when this returns. */
static int window_link(struct portal_client *client, struct portal_window *w, u32 *id)
{
	int ret = -ENODEV;

	mutex_lock(&client->lock);
	if (!client->dead) {
		ret = xa_alloc(&client->windows, &w->id, w, XA_LIMIT(1, PORTAL_MAX_WINDOWS),
			       GFP_KERNEL_ACCOUNT);
		if (!ret) {
			*id = w->id;
			client->nr_windows++;
		} else if (ret == -EBUSY) {
			ret = -ENOSPC;
		}
	}
	mutex_unlock(&client->lock);
	return ret;
}

/**
 * portal_mem_ioctl_map() - ioctl(PORTAL_MEM_MAP)
 * @vf: VM fd
 * @arg: the argument
 *
 * Context: process, no lock held.
 * Return: 0 or -errno.
 */
int portal_mem_ioctl_map(struct portal_vm_file *vf, struct portal_mem_map *arg)
{
	bool write = arg->flags & PORTAL_MEM_F_WRITE;
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	struct portal_window *w;
	u64 end;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->gpa | arg->len) || arg->__reserved ||
	    arg->len > PORTAL_WINDOW_BYTES)
		return -EINVAL;
	if (arg->flags & ~(PORTAL_MEM_F_WRITE | PORTAL_MEM_F_DIRECT) ||
	    !(portal_features & PORTAL_FEAT_MEM_MAP))
		return -EOPNOTSUPP;
	if (check_add_overflow(arg->gpa, arg->len, &end))
		return -EOVERFLOW;
	if (!portal_client_may(vf, PORTAL_RIGHT_MEM_READ | (write ? PORTAL_RIGHT_MEM_WRITE : 0)))
		return -EPERM;

	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	kref_init(&w->ref);
	spin_lock_init(&w->lock);
	mutex_init(&w->bind_lock);
	w->client = client;
	w->owner = vf;
	w->mapping = client->inode->i_mapping;
	w->mm = vm->mm;
	mmgrab(w->mm);
	w->gpa = arg->gpa;
	w->len = arg->len;
	w->write = write;
	/* before the first look, so that no change is missed */
	ret = vm->ops->gate(vm, PORTAL_GATE_IOCTL, true);
	if (ret)
		goto out_put;
	ret = -ENODEV;
	if (!mmget_not_zero(w->mm))
		goto out_gate;
	/* takes the VMM's mmap_lock: not under client->lock */
	ret = portal_window_bind(w);
	if (!ret && arg->flags & PORTAL_MEM_F_DIRECT)
		ret = portal_window_direct(w);
	if (!ret) {
		kref_get(&w->ref);
		ret = window_link(client, w, &arg->out_window_id);
		if (!ret)
			portal_window_recheck(w);
		portal_window_put(w);
	}
	mmput(w->mm);
	if (ret)
		goto out_unbind;
	arg->out_mmap_off = PORTAL_MMAP_OFF(PORTAL_MMAP_WINDOW, arg->out_window_id);
	return 0;

out_unbind:
	portal_window_unbind(w);
out_gate:
	vm->ops->gate(vm, PORTAL_GATE_IOCTL, false);
out_put:
	portal_window_put(w);
	return ret;
}

/**
 * portal_window_remove() - end a window; later accesses are SIGBUS
 * @w: taken out of client->windows by the caller, whose reference ends
 *
 * Context: process, not from an mmu notifier; client->lock may be held.
 */
void portal_window_remove(struct portal_window *w)
{
	struct portal_vm *vm = w->client->vm;

	spin_lock(&w->lock);
	w->dead = true;
	spin_unlock(&w->lock);
	portal_window_unbind(w);
	portal_window_zap(w, 0, w->len);
	vm->ops->gate(vm, PORTAL_GATE_IOCTL, false);
	portal_window_put(w);
}

/**
 * portal_windows_close() - a VM fd closes: its windows go
 * @vf: VM fd; nothing is mapped through it any more
 *
 * Else those of a worker that died would stay as long as its client.
 * Context: process, no lock held.
 */
void portal_windows_close(struct portal_vm_file *vf)
{
	struct portal_client *client = vf->client;
	struct portal_window *w;
	unsigned long i;

	mutex_lock(&client->lock);
	xa_for_each(&client->windows, i, w) {
		if (w->owner != vf)
			continue;
		xa_erase(&client->windows, i);
		client->nr_windows--;
		portal_window_remove(w);
	}
	mutex_unlock(&client->lock);
}

/**
 * portal_mem_ioctl_unmap() - ioctl(PORTAL_MEM_UNMAP)
 * @vf: VM fd
 * @arg: the argument
 *
 * Context: process, no lock held.
 * Return: 0 or -errno.
 */
int portal_mem_ioctl_unmap(struct portal_vm_file *vf, struct portal_id *arg)
{
	struct portal_client *client = vf->client;
	struct portal_window *w;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!portal_client_may(vf, PORTAL_RIGHT_MEM_READ))
		return -EPERM;
	mutex_lock(&client->lock);
	w = xa_erase(&client->windows, arg->id);
	if (w)
		client->nr_windows--;
	mutex_unlock(&client->lock);
	if (!w)
		return -ENOENT;
	portal_window_remove(w);
	return 0;
}
