/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fuzz_table.h - the commands of <linux/portal.h> as data
 *
 * A row for each command (check.sh looks that none is missing): on which kind of
 * fd, how long its argument is, and what its members are about. Members that no
 * row names are 0, and like all others a value at random now and then; so a
 * member that is new is fuzzed before anybody names it here.
 */
#ifndef FUZZ_TABLE_H
#define FUZZ_TABLE_H

#include <stddef.h>
#include <linux/portal.h>
#include <linux/portal_mock.h>

/* What an fd is, and what a command gives. */
enum fuzz_fd {
	FD_NONE, FD_DEV, FD_VM, FD_QUEUE, FD_EVENT, FD_KVM, FD_OTHER,
};

enum fuzz_kind {
	K_END,
	K_FLAGS,	/* arg: the known ones */
	K_ENUM,		/* arg: how many there are */
	K_CHOICE,	/* a number below arg, now and then more */
	K_SELDOM,	/* 0, but sometimes K_CHOICE */
	K_ID,		/* of an object: small */
	K_REQUEST,	/* id of one */
	K_ONE,		/* what is nearly always right */
	K_GPA,
	K_NR,		/* hypercall number */
	K_ADDR,		/* of a register, or sometimes K_NR */
	K_LEN,
	K_TIME,
	K_POWER,	/* of two, up to arg */
	K_FD,		/* arg: enum fuzz_fd */
	K_FD_SELDOM,	/* -1, but sometimes K_FD */
	K_BUF,		/* pointer to memory of any kind */
	K_RAM,		/* pointer to the guest's RAM */
	K_ARRAY,	/* pointer to an array; arg: its row in fuzz_arrays */
	K_ARRAY_SELDOM,	/* NULL, but sometimes K_ARRAY */
	K_ANY,
};

struct fuzz_member {
	__u16 offset;
	__u16 size;
	__u16 kind;
	__u32 arg;
};

struct fuzz_struct {
	const char *name;
	unsigned long cmd;
	__u32 size;
	__u8 on;	/* enum fuzz_fd */
	__u8 gives;	/* enum fuzz_fd in the member at @out */
	__u16 out;
	struct fuzz_member members[20];
};

#define M(_struct, _member, _kind, _arg)					\
	{ offsetof(struct _struct, _member), sizeof(((struct _struct *)0)->_member), _kind, _arg }
#define ROW(_cmd, _on, _struct, ...)						\
	{ .name = #_cmd, .cmd = PORTAL_##_cmd, .size = sizeof(struct _struct), .on = _on,	\
	  .members = { __VA_ARGS__ } }
#define ROW_FD(_cmd, _on, _struct, _gives, _out, ...)				\
	{ .name = #_cmd, .cmd = PORTAL_##_cmd, .size = sizeof(struct _struct), .on = _on,	\
	  .gives = _gives, .out = offsetof(struct _struct, _out), .members = { __VA_ARGS__ } }

enum { ARRAY_RANGES, ARRAY_VECS, ARRAY_SLOTS, ARRAY_REPLIES, ARRAY_FILTERS, ARRAY_QUEUES };

static const struct fuzz_struct fuzz_arrays[] = {
	[ARRAY_RANGES] = { .size = sizeof(struct portal_region_range), .members = {
		M(portal_region_range, offset, K_POWER, 32),
		M(portal_region_range, len, K_POWER, 32),
		M(portal_region_range, attr, K_ENUM, 6),
		M(portal_region_range, flags, K_SELDOM, 16),
		M(portal_region_range, aux, K_SELDOM, 64),
		M(portal_region_range, width, K_SELDOM, 9),
		M(portal_region_range, eventfd, K_FD_SELDOM, FD_EVENT),
		M(portal_region_range, datamatch, K_SELDOM, 3) } },
	[ARRAY_VECS] = { .size = sizeof(struct portal_mem_vec), .members = {
		M(portal_mem_vec, gpa, K_GPA, 0),
		M(portal_mem_vec, uptr, K_BUF, 0),
		M(portal_mem_vec, len, K_LEN, 0) } },
	[ARRAY_SLOTS] = { .size = sizeof(struct portal_mem_slot) },
	[ARRAY_REPLIES] = { .size = sizeof(struct portal_reply), .members = {
		M(portal_reply, id, K_REQUEST, 0),
		M(portal_reply, action, K_ENUM, 3),
		M(portal_reply, value, K_ANY, 0),
		M(portal_reply, error, K_CHOICE, 5) } },
	[ARRAY_FILTERS] = { .size = sizeof(struct portal_filter), .members = {
		M(portal_filter, action, K_ENUM, 4),
		M(portal_filter, flags, K_FLAGS, 3),
		M(portal_filter, offset, K_SELDOM, 64),
		M(portal_filter, len, K_SELDOM, 64),
		M(portal_filter, sizes, K_SELDOM, 16),
		M(portal_filter, value, K_ANY, 0),
		M(portal_filter, mask[0], K_SELDOM, 4),
		M(portal_filter, match[0], K_SELDOM, 4) } },
	[ARRAY_QUEUES] = { .size = sizeof(__u32), .members = {
		{ 0, sizeof(__u32), K_ID, 0 } } },
};

#define COMMIT_MEMBERS								\
	M(portal_uring_cmd, replies_uptr, K_ARRAY, ARRAY_REPLIES),		\
	M(portal_uring_cmd, nr_replies, K_CHOICE, 6),				\
	M(portal_uring_cmd, seen, K_CHOICE, 16)
#define INFO_ROW(_cmd)								\
	ROW(_cmd, FD_VM, portal_target_info,					\
	    M(portal_target_info, id, K_ID, 0),					\
	    M(portal_target_info, nr_filters, K_CHOICE, 5),			\
	    M(portal_target_info, hits_uptr, K_BUF, 0))
#define ID_ROW(_cmd)	ROW(_cmd, FD_VM, portal_id, M(portal_id, id, K_ID, 0))

static const struct fuzz_struct fuzz_commands[] = {
	ROW(GET_INFO, FD_DEV, portal_info),
	ROW_FD(VM_ATTACH, FD_DEV, portal_vm_attach, FD_VM, out_fd,
	       M(portal_vm_attach, vm_fd, K_FD, FD_KVM),
	       M(portal_vm_attach, rights, K_FLAGS, PORTAL_RIGHT_ALL)),
	ROW(VM_INFO, FD_VM, portal_vm_info),
	ROW_FD(VM_DUP, FD_VM, portal_vm_dup, FD_VM, out_fd,
	       M(portal_vm_dup, rights, K_FLAGS, PORTAL_RIGHT_ALL)),
	ROW(HOOK_ADD, FD_VM, portal_hook_add,
	    M(portal_hook_add, flags, K_FLAGS, 7),
	    M(portal_hook_add, kind, K_ONE, 0),
	    M(portal_hook_add, queue_id, K_ID, 0),
	    M(portal_hook_add, first, K_NR, 0),
	    M(portal_hook_add, last, K_NR, 0),
	    M(portal_hook_add, cookie, K_ANY, 0),
	    M(portal_hook_add, timeout_ns, K_TIME, 0),
	    M(portal_hook_add, on_timeout, K_ENUM, 3),
	    M(portal_hook_add, policy, K_ENUM, 3),
	    M(portal_hook_add, filters_uptr, K_ARRAY, ARRAY_FILTERS),
	    M(portal_hook_add, nr_filters, K_SELDOM, 5),
	    M(portal_hook_add, queues_uptr, K_ARRAY_SELDOM, ARRAY_QUEUES),
	    M(portal_hook_add, nr_queues, K_SELDOM, 4)),
	ID_ROW(HOOK_DEL),
	INFO_ROW(HOOK_INFO),
	ROW(REGION_ADD, FD_VM, portal_region_add,
	    M(portal_region_add, bus, K_ENUM, 2),
	    M(portal_region_add, queue_id, K_ID, 0),
	    M(portal_region_add, gpa, K_ADDR, 0),
	    M(portal_region_add, len, K_POWER, 8192),
	    M(portal_region_add, timeout_ns, K_TIME, 0),
	    M(portal_region_add, on_timeout, K_ENUM, 3),
	    M(portal_region_add, policy, K_ENUM, 3),
	    M(portal_region_add, ranges_uptr, K_ARRAY, ARRAY_RANGES),
	    M(portal_region_add, nr_ranges, K_CHOICE, 6),
	    M(portal_region_add, filters_uptr, K_ARRAY, ARRAY_FILTERS),
	    M(portal_region_add, nr_filters, K_SELDOM, 5),
	    M(portal_region_add, queues_uptr, K_ARRAY_SELDOM, ARRAY_QUEUES),
	    M(portal_region_add, nr_queues, K_SELDOM, 4)),
	ID_ROW(REGION_DEL),
	INFO_ROW(REGION_INFO),
	/* a limit of 0 is written as two zeros */
	ROW(RATE_SET, FD_VM, portal_rate_set,
	    M(portal_rate_set, flags, K_FLAGS, PORTAL_RATE_F_VM),
	    M(portal_rate_set, rate, K_POWER, 1 << 20),
	    M(portal_rate_set, burst, K_POWER, 1 << 10)),
	ROW_FD(QUEUE_CREATE, FD_VM, portal_queue_create, FD_QUEUE, out_fd,
	       M(portal_queue_create, flags, K_FLAGS, 1),
	       M(portal_queue_create, entries, K_POWER, 256),
	       M(portal_queue_create, orphan, K_ENUM, 3),
	       M(portal_queue_create, hold_ns, K_TIME, 0)),
	ROW_FD(QUEUE_OPEN, FD_VM, portal_queue_open, FD_QUEUE, out_fd,
	       M(portal_queue_open, flags, K_FLAGS, PORTAL_QUEUE_OPEN_F_HANDOVER),
	       M(portal_queue_open, queue_id, K_ID, 0)),
	ID_ROW(QUEUE_DEL),
	ROW(MEM_LIST, FD_VM, portal_mem_list,
	    M(portal_mem_list, slots_uptr, K_ARRAY, ARRAY_SLOTS),
	    M(portal_mem_list, nr, K_CHOICE, 4)),
	ROW(MEM_RW, FD_VM, portal_mem_rw,
	    M(portal_mem_rw, flags, K_FLAGS, PORTAL_MEM_F_WRITE | PORTAL_MEM_F_GVA),
	    M(portal_mem_rw, vcpu, K_CHOICE, 3),
	    M(portal_mem_rw, vecs_uptr, K_ARRAY, ARRAY_VECS),
	    M(portal_mem_rw, nr_vecs, K_CHOICE, 6)),
	ROW(MEM_MAP, FD_VM, portal_mem_map,
	    M(portal_mem_map, flags, K_FLAGS, PORTAL_MEM_F_WRITE | PORTAL_MEM_F_DIRECT),
	    M(portal_mem_map, gpa, K_GPA, 0),
	    M(portal_mem_map, len, K_POWER, MOCK_RAM_SIZE / 64)),
	ID_ROW(MEM_UNMAP),
	ROW(IRQ_BIND, FD_VM, portal_irq_bind,
	    M(portal_irq_bind, flags, K_FLAGS, PORTAL_IRQ_F_RESAMPLE),
	    M(portal_irq_bind, gsi, K_CHOICE, 24),
	    M(portal_irq_bind, eventfd, K_FD, FD_EVENT),
	    M(portal_irq_bind, resamplefd, K_FD, FD_EVENT)),
	ROW(IRQ_UNBIND, FD_VM, portal_irq_bind,
	    M(portal_irq_bind, gsi, K_CHOICE, 24),
	    M(portal_irq_bind, eventfd, K_FD, FD_EVENT)),
	ROW(IRQ_MSI, FD_VM, portal_irq_msi,
	    M(portal_irq_msi, address, K_ANY, 0),
	    M(portal_irq_msi, data, K_ANY, 0)),
	ROW(QUEUE_INFO, FD_QUEUE, portal_queue_info),
	ROW(QUEUE_CANCEL, FD_QUEUE, portal_queue_cancel),
	ROW(QUEUE_COMMIT, FD_QUEUE, portal_uring_cmd, COMMIT_MEMBERS),
	ROW_FD(MOCK_VM, FD_DEV, portal_mock_vm, FD_VM, out_fd,
	       M(portal_mock_vm, rights, K_FLAGS, PORTAL_RIGHT_ALL),
	       M(portal_mock_vm, vcpus, K_CHOICE, 8),
	       M(portal_mock_vm, ram_uptr, K_RAM, 0),
	       M(portal_mock_vm, ram_len, K_POWER, MOCK_RAM_SIZE)),
	/* a VM that is closed can do little: only at random */
	ROW(MOCK_SET, FD_VM, portal_mock_set,
	    M(portal_mock_set, vcpus, K_CHOICE, 8)),
	ROW(MOCK_ACCESS, FD_VM, portal_mock_access,
	    M(portal_mock_access, flags, K_FLAGS, 3),
	    M(portal_mock_access, kind, K_ENUM, 4),
	    M(portal_mock_access, vcpu, K_CHOICE, 3),
	    M(portal_mock_access, addr, K_ADDR, 0),
	    M(portal_mock_access, len, K_POWER, 8),
	    M(portal_mock_access, cpl, K_CHOICE, 4),
	    M(portal_mock_access, call_id, K_CHOICE, 4),
	    M(portal_mock_access, data[0], K_CHOICE, 3)),
};

#define FUZZ_COMMANDS	(sizeof(fuzz_commands) / sizeof(*fuzz_commands))

/* The commands of io_uring have the same argument as QUEUE_COMMIT. */
static const struct fuzz_struct fuzz_uring_arg = {
	.size = sizeof(struct portal_uring_cmd), .members = { COMMIT_MEMBERS },
};
static const __u32 fuzz_uring[] = {
	PORTAL_URING_FETCH, PORTAL_URING_COMMIT_AND_FETCH, PORTAL_URING_CANCEL,
};

#endif /* FUZZ_TABLE_H */
