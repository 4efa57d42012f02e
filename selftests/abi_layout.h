/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * abi_layout.h - sizes and offsets that are the interface for ever
 *
 * abi_test.c includes this with SIZE and OFFSET of its own; with ABI_STATIC it
 * checks itself at compile time, which the Makefile does for 32-bit programs.
 */
#ifdef ABI_STATIC
#include <linux/portal.h>
#include <linux/portal_guest.h>
#include <linux/portal_ring.h>
#define SIZE(type, bytes)	_Static_assert(sizeof(struct type) == (bytes), #type);
#define OFFSET(type, member, bytes) \
	_Static_assert(__builtin_offsetof(struct type, member) == (bytes), #type "." #member);
#endif

SIZE(portal_info, 64)
OFFSET(portal_info, out_features, 16)
OFFSET(portal_info, out_max_hooks, 32)
OFFSET(portal_info, out_vms, 56)
SIZE(portal_vm_attach, 24)
OFFSET(portal_vm_attach, vm_fd, 8)
OFFSET(portal_vm_attach, out_fd, 16)
SIZE(portal_vm_info, 152)
OFFSET(portal_vm_info, out_hellos, 40)
OFFSET(portal_vm_info, out_wakeups, 104)
OFFSET(portal_vm_info, out_vm_id, 112)
OFFSET(portal_vm_info, out_limited, 144)
SIZE(portal_rate_set, 24)
OFFSET(portal_rate_set, burst, 16)
SIZE(portal_vm_dup, 16)
SIZE(portal_filter, 96)
OFFSET(portal_filter, value, 24)
OFFSET(portal_filter, match, 64)
SIZE(portal_target_info, 120)
OFFSET(portal_target_info, out_dropped, 104)
OFFSET(portal_target_info, out_shadow_reads, 112)
SIZE(portal_hook_add, 104)
OFFSET(portal_hook_add, first, 16)
OFFSET(portal_hook_add, on_timeout, 56)
OFFSET(portal_hook_add, out_hook_id, 72)
OFFSET(portal_hook_add, filters_uptr, 80)
SIZE(portal_id, 16)
SIZE(portal_region_range, 40)
OFFSET(portal_region_range, aux, 16)
OFFSET(portal_region_range, datamatch, 32)
SIZE(portal_region_add, 120)
OFFSET(portal_region_add, gpa, 16)
OFFSET(portal_region_add, on_timeout, 56)
OFFSET(portal_region_add, ranges_uptr, 64)
OFFSET(portal_region_add, out_shadow_off, 80)
OFFSET(portal_region_add, nr_queues, 116)
SIZE(portal_queue_create, 40)
OFFSET(portal_queue_create, hold_ns, 16)
OFFSET(portal_queue_create, out_mmap_size, 32)
SIZE(portal_queue_open, 32)
OFFSET(portal_queue_open, out_mmap_size, 24)
SIZE(portal_mem_slot, 24)
SIZE(portal_mem_list, 32)
SIZE(portal_mem_vec, 24)
SIZE(portal_mem_rw, 40)
OFFSET(portal_mem_rw, out_done, 24)
OFFSET(portal_mem_rw, vcpu, 32)
SIZE(portal_mem_map, 40)
OFFSET(portal_mem_map, out_mmap_off, 32)
SIZE(portal_irq_bind, 40)
OFFSET(portal_irq_bind, __reserved, 20)
OFFSET(portal_irq_bind, address, 24)
SIZE(portal_irq_msi, 24)
OFFSET(portal_irq_msi, data, 16)
SIZE(portal_request, 128)
OFFSET(portal_request, cookie, 32)
OFFSET(portal_request, data, 64)
OFFSET(portal_request, state_off, 96)
OFFSET(portal_request, count, 104)
SIZE(portal_reply, 40)
OFFSET(portal_reply, value, 16)
OFFSET(portal_reply, state_mask, 32)
SIZE(portal_queue_info, 72)
OFFSET(portal_queue_info, out_mmap_size, 24)
SIZE(portal_queue_cancel, 8)
SIZE(portal_uring_cmd, 16)
SIZE(portal_ring, 192)
OFFSET(portal_ring, tail, 64)
OFFSET(portal_ring, head, 128)
SIZE(portal_guest_slot, 72)
SIZE(portal_guest_call, 56)
SIZE(portal_guest_reg, 32)
SIZE(portal_guest_event, 16)
#undef SIZE
#undef OFFSET
