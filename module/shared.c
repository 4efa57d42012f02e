// SPDX-License-Identifier: GPL-2.0-only
/*
 * shared.c - memory that the module shares with a daemon: rings, shadow pages
 *
 * Charged to the daemon's memory cgroup, as vmalloc_user() would not be.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "compat.h"
#include "portal.h"

/**
 * portal_shared_alloc() - zeroed pages that can be mapped; freed by vfree()
 * @size: bytes, a multiple of the page size
 *
 * Context: process.
 * Return: their address or NULL.
 */
void *portal_shared_alloc(size_t size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

/**
 * portal_shared_mmap() - map them, or a part of them
 * @vma: as ->mmap got it
 * @mem: of portal_shared_alloc()
 * @size: its bytes
 * @first: page of it where the vma begins
 *
 * The pages live until the last of their mappings is gone.
 * Context: ->mmap.
 * Return: 0 or -errno.
 */
int portal_shared_mmap(struct vm_area_struct *vma, void *mem, size_t size, unsigned long first)
{
	unsigned long nr = vma_pages(vma), i;
	int ret = 0;

	if (first > size >> PAGE_SHIFT || nr > (size >> PAGE_SHIFT) - first)
		return -EINVAL;
	portal_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (i = 0; i < nr && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				     vmalloc_to_page(mem + (first + i) * PAGE_SIZE));
	return ret;
}
