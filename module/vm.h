/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h - the table of VMs, for those who must look from a notrace handler
 */
#ifndef _PORTAL_VM_H
#define _PORTAL_VM_H

#include <linux/hash.h>
#include <linux/rculist.h>

#define PORTAL_VMS_BITS	6
extern struct hlist_head portal_vms[1 << PORTAL_VMS_BITS];

static __always_inline struct hlist_head *portal_vm_bucket(const void *key)
{
	return &portal_vms[hash_64((unsigned long)key, PORTAL_VMS_BITS)];
}

#endif /* _PORTAL_VM_H */
