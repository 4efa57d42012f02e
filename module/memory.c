// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - guest RAM by copying
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "portal.h"

#define PORTAL_MAX_SLOTS	32768	/* KVM's own limit */
#define PORTAL_RW_PAGES		16
#define PORTAL_FAST_VECS	8

/**
 * portal_mem_ioctl_list() - ioctl(PORTAL_MEM_LIST)
 * @vf: VM fd
 * @arg: the argument
 *
 * Context: process.
 * Return: 0 or -errno.
 */
int portal_mem_ioctl_list(struct portal_vm_file *vf, struct portal_mem_list *arg)
{
	struct portal_vm *vm = vf->client->vm;
	u32 nr = min_t(u32, arg->nr, PORTAL_MAX_SLOTS);
	struct portal_mem_slot *slots = NULL;
	u64 gen = 0;
	int ret;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (!(vf->rights & (PORTAL_RIGHT_MEM_READ | PORTAL_RIGHT_MEM_WRITE)))
		return -EPERM;
	if (nr) {
		slots = kvcalloc(nr, sizeof(*slots), GFP_KERNEL_ACCOUNT);
		if (!slots)
			return -ENOMEM;
	}

	ret = -ENODEV;
	if (READ_ONCE(vm->gone) || !portal_vm_enter(vm))
		goto out_free;
	ret = vm->ops->mem_list(vm, slots, nr, &gen);
	portal_vm_exit(vm);
	if (ret < 0)
		goto out_free;

	nr = min_t(u32, nr, ret);
	arg->nr = ret;
	arg->out_generation = gen;
	ret = 0;
	if (nr && copy_to_user(u64_to_user_ptr(arg->slots_uptr), slots, nr * sizeof(*slots)))
		ret = -EFAULT;
out_free:
	kvfree(slots);
	return ret;
}

/*
 * Pins the pages of [gpa, gpa + *len), at most PORTAL_RW_PAGES and
 * those of one slot; shortens *len to them. Returns how many or -errno.
 */
static int mem_pages(struct portal_vm *vm, u64 gpa, u64 *len, bool write, struct page **pages)
{
	unsigned long hva, nr;
	int locked = 1;
	long got;
	int ret;

	*len = min_t(u64, *len, PORTAL_RW_PAGES * PAGE_SIZE - offset_in_page(gpa));
	if (READ_ONCE(vm->gone) || !portal_vm_enter(vm))
		return -ENODEV;
	ret = vm->ops->mem_hva(vm, gpa, len, write, &hva);
	portal_vm_exit(vm);
	if (ret)
		return ret;

	nr = DIV_ROUND_UP(offset_in_page(hva) + *len, PAGE_SIZE);
	if (mmap_read_lock_killable(vm->mm))
		return -EINTR;
	/* pinned: what we write must not be lost to a copy-on-write or write-back */
	got = portal_pin_remote(vm->mm, hva & PAGE_MASK, nr, write ? FOLL_WRITE : 0, pages,
				&locked);
	if (locked)
		mmap_read_unlock(vm->mm);
	if (got <= 0)
		return got == -EINTR || got == -ENOMEM ? got : -EFAULT;
	*len = min_t(u64, *len, got * PAGE_SIZE - offset_in_page(hva));
	return got;
}

/* Copies the part of @vec that mem_pages() gives at once; moves @vec on. */
static int mem_copy(struct portal_vm *vm, struct portal_mem_vec *vec, bool write, u64 *done)
{
	void __user *uptr = u64_to_user_ptr(vec->uptr);
	struct page *pages[PORTAL_RW_PAGES];
	u64 len = vec->len, copied = 0;
	size_t n, left;
	int i, nr;
	void *kaddr;

	if (!access_ok(uptr, vec->len))
		return -EFAULT;
	barrier_nospec();
	nr = mem_pages(vm, vec->gpa, &len, write, pages);
	if (nr < 0)
		return nr;
	/* the caller's side may fault: no lock is held, least of all mmap_lock */
	for (i = 0, left = 0; i < nr && copied < len && !left; i++) {
		size_t off = offset_in_page(vec->gpa + copied);

		n = min_t(u64, len - copied, PAGE_SIZE - off);
		kaddr = kmap_local_page(pages[i]);
		if (write)	/* copy_from_user() would clear what it cannot fill */
			left = __copy_from_user(kaddr + off, uptr + copied, n);
		else
			left = copy_to_user(uptr + copied, kaddr + off, n);
		kunmap_local(kaddr);
		copied += n - left;
	}
	unpin_user_pages_dirty_lock(pages, nr, write);
	if (write && copied && portal_vm_enter(vm)) {
		vm->ops->mem_dirty(vm, vec->gpa, copied);
		portal_vm_exit(vm);
	}
	vec->gpa += copied;
	vec->uptr += copied;
	vec->len -= copied;
	*done += copied;
	return left ? -EFAULT : 0;
}

/*
 * The same by virtual addresses: pages that are neighbours there are none in
 * guest-physical memory.
 */
static int mem_copy_gva(struct portal_vm *vm, u32 vcpu, struct portal_mem_vec *vec, bool write,
			u64 *done)
{
	u32 nr = min_t(u64, PORTAL_GVA_PAGES,
		       DIV_ROUND_UP(offset_in_page(vec->gpa) + vec->len, PAGE_SIZE));
	u64 gpa[PORTAL_GVA_PAGES];
	int i, got, ret = 0;

	/* the VMM's mm is not held over this: it may be exiting */
	got = portal_gva_translate(vm, vcpu, vec->gpa & PAGE_MASK, nr, write, gpa);
	if (got < 0)
		return got;
	if (!mmget_not_zero(vm->mm))
		return -ENODEV;
	for (i = 0; i < got && !ret; i++) {
		size_t off = offset_in_page(vec->gpa);
		struct portal_mem_vec page = {
			.gpa = gpa[i] + off,
			.uptr = vec->uptr,
			.len = min_t(u64, vec->len, PAGE_SIZE - off),
		};
		u64 copied = 0;

		while (page.len && !ret)
			ret = mem_copy(vm, &page, write, &copied);
		vec->gpa += copied;
		vec->uptr += copied;
		vec->len -= copied;
		*done += copied;
	}
	mmput(vm->mm);
	return ret;
}

static int mem_check(const struct portal_mem_vec *vecs, u32 nr)
{
	u64 end;
	u32 i;

	for (i = 0; i < nr; i++)
		if (!vecs[i].len)
			return -EINVAL;
	for (i = 0; i < nr; i++)
		if (check_add_overflow(vecs[i].gpa, vecs[i].len, &end) ||
		    check_add_overflow(vecs[i].uptr, vecs[i].len, &end))
			return -EOVERFLOW;
	return 0;
}

/**
 * portal_mem_ioctl_rw() - ioctl(PORTAL_MEM_RW)
 * @vf: VM fd
 * @arg: the argument; out_done is valid also on error
 *
 * Context: process, no lock held; sleeps, also for the VMM's pages.
 * Return: 0 or -errno.
 */
int portal_mem_ioctl_rw(struct portal_vm_file *vf, struct portal_mem_rw *arg)
{
	struct portal_mem_vec fast[PORTAL_FAST_VECS], *vecs = fast;
	bool write = arg->flags & PORTAL_MEM_F_WRITE, gva = arg->flags & PORTAL_MEM_F_GVA;
	struct portal_vm *vm = vf->client->vm;
	u32 i;
	int ret;

	arg->out_done = 0;
	if (!arg->nr_vecs || arg->nr_vecs > PORTAL_MAX_VECS || arg->__reserved ||
	    arg->__reserved2 || (arg->vcpu && !gva))
		return -EINVAL;
	if (arg->flags & ~(PORTAL_MEM_F_WRITE | PORTAL_MEM_F_GVA) ||
	    (gva && !(portal_features & PORTAL_FEAT_MEM_GVA)))
		return -EOPNOTSUPP;
	if (arg->nr_vecs > PORTAL_FAST_VECS) {
		vecs = kvmalloc_array(arg->nr_vecs, sizeof(*vecs), GFP_KERNEL_ACCOUNT);
		if (!vecs)
			return -ENOMEM;
	}
	ret = -EFAULT;
	if (copy_from_user(vecs, u64_to_user_ptr(arg->vecs_uptr), arg->nr_vecs * sizeof(*vecs)))
		goto out_free;
	ret = mem_check(vecs, arg->nr_vecs);
	if (ret)
		goto out_free;
	ret = -EPERM;
	if (!portal_client_may(vf, write ? PORTAL_RIGHT_MEM_WRITE : PORTAL_RIGHT_MEM_READ))
		goto out_free;
	ret = -ENODEV;
	if (READ_ONCE(vm->gone) || (!gva && !mmget_not_zero(vm->mm)))
		goto out_free;

	ret = 0;
	for (i = 0; i < arg->nr_vecs && !ret; i++) {
		while (vecs[i].len && !ret) {
			/* at least one step each call, or a busy timer could starve it */
			if (arg->out_done && signal_pending(current))
				ret = -EINTR;
			else if (gva)
				ret = mem_copy_gva(vm, arg->vcpu, &vecs[i], write,
						   &arg->out_done);
			else
				ret = mem_copy(vm, &vecs[i], write, &arg->out_done);
			cond_resched();
		}
	}
	if (!gva)
		mmput(vm->mm);
out_free:
	if (vecs != fast)
		kvfree(vecs);
	return ret;
}
