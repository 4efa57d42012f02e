/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - one name for what kernels call differently
 *
 * HAVE_* come from conftest.mk: each is a file in conftest/ that compiles
 * against this kernel or not. Stable and distribution kernels carry backports,
 * so a version number says nothing.
 */
#ifndef _PORTAL_COMPAT_H
#define _PORTAL_COMPAT_H

#include <linux/eventfd.h>
#include <linux/ftrace.h>
#include <linux/mm.h>
#ifdef HAVE_URING_CMD_H
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

/**
 * portal_gup_remote() - take a reference on the pages behind another mm's hva
 * @mm: whose; its mmap_lock is held for reading
 * @start: page aligned address
 * @nr: pages
 * @gup_flags: FOLL_*
 * @pages: room for @nr
 * @locked: NULL keeps the mmap_lock; else *@locked is 1, and 0 if it is dropped
 *
 * Only with @locked can a page come that is waited for: postcopy's, say.
 *
 * Context: process, may sleep.
 * Return: how many, or a negative errno.
 */
static inline long portal_gup_remote(struct mm_struct *mm, unsigned long start,
				     unsigned long nr, unsigned int gup_flags,
				     struct page **pages, int *locked)
{
#ifdef HAVE_GUP_REMOTE_NO_VMAS
	return get_user_pages_remote(mm, start, nr, gup_flags, pages, locked);
#else
	return get_user_pages_remote(mm, start, nr, gup_flags, pages, NULL, locked);
#endif
}

/* The same with pins, for who writes to the pages or reads them at leisure. */
static inline long portal_pin_remote(struct mm_struct *mm, unsigned long start,
				     unsigned long nr, unsigned int gup_flags,
				     struct page **pages, int *locked)
{
#ifdef HAVE_GUP_REMOTE_NO_VMAS
	return pin_user_pages_remote(mm, start, nr, gup_flags, pages, locked);
#else
	return pin_user_pages_remote(mm, start, nr, gup_flags, pages, NULL, locked);
#endif
}

/* Context: ->mmap, or the mmap_lock held for writing. */
static inline void portal_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* Context: ->mmap, or the mmap_lock held for writing. */
static inline void portal_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef HAVE_VM_FLAGS_SET
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* Context: any. */
static inline void portal_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_ONE_ARG
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/*
 * The 16 bytes of a uring_cmd's SQE: userspace may still write to them, and
 * they are gone when ->uring_cmd returns.
 */
#ifdef HAVE_URING_SQE_CMD
#define portal_uring_sqe_cmd(cmd)	io_uring_sqe_cmd((cmd)->sqe)
#else
#define portal_uring_sqe_cmd(cmd)	((cmd)->cmd)
#endif

#ifndef ftrace_regs_set_instruction_pointer
#define ftrace_regs_set_instruction_pointer(fregs, ip)	\
	ftrace_instruction_pointer_set(fregs, ip)
#endif

/* Argument @n, from 0, of the function that an ftrace handler sees entered. */
#ifdef ftrace_regs_get_argument
#define portal_ftrace_arg(fregs, n)	ftrace_regs_get_argument(fregs, n)
#else
static __always_inline unsigned long portal_ftrace_arg(struct ftrace_regs *fregs, int n)
{
	struct pt_regs *regs = &fregs->regs;

	switch (n) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->cx;
	case 4:
		return regs->r8;
	default:
		return regs->r9;
	}
}
#endif

#endif /* _PORTAL_COMPAT_H */
