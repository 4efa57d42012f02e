/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal_mock.h - a guest without KVM, for tests of /dev/portal
 *
 * Only in a build with PORTAL_MOCK=1; never installed, no stable interface.
 */
#ifndef _UAPI_LINUX_PORTAL_MOCK_H
#define _UAPI_LINUX_PORTAL_MOCK_H

#include <linux/types.h>
#include <linux/ioctl.h>
#include "portal.h"

/**
 * struct portal_mock_vm - ioctl(PORTAL_MOCK_VM) on /dev/portal
 * @size: (in) sizeof(struct portal_mock_vm)
 * @flags: (in) must be 0
 * @rights: (in) PORTAL_RIGHT_*
 * @vcpus: (in) 1 to 64
 * @ram_uptr: (in) page-aligned memory of the caller that plays the guest's RAM
 *	at guest-physical address 0
 * @ram_len: (in) its bytes
 * @out_fd: VM fd; the VM "dies" when the caller's mm goes
 * @__reserved: 0
 */
struct portal_mock_vm {
	__u32 size;
	__u32 flags;
	__u32 rights;
	__u32 vcpus;
	__aligned_u64 ram_uptr;
	__aligned_u64 ram_len;
	__s32 out_fd;
	__u32 __reserved;
};

/**
 * struct portal_mock_access - ioctl(PORTAL_MOCK_ACCESS) on a mock VM fd
 * @size: (in) sizeof(struct portal_mock_access)
 * @flags: (in) PORTAL_MOCK_F_*
 * @kind: (in) PORTAL_KIND_HYPERCALL, _MMIO or _PIO
 * @vcpu: (in) the calling thread plays this vCPU
 * @addr: (in) hypercall number, address or port
 * @len: (in) bytes of a register access
 * @cpl: (in) privilege level of a hypercall
 * @call_id: (in) of a hypercall
 * @data: (in) arguments, or the value to write in data[0]
 * @out_value: RAX, or the value read
 * @out_result: PORTAL_MOCK_DONE or PORTAL_MOCK_PASSED (KVM or the VMM has it)
 * @out_restarts: how often the wait was left and the instruction restarted
 *
 * Runs one access as the vCPU would, restarting until it retires. A signal
 * ends it with EINTR, as KVM_RUN does: call again to restart the instruction.
 */
struct portal_mock_access {
	__u32 size;
	__u32 flags;
#define PORTAL_MOCK_F_WRITE	(1U << 0)
#define PORTAL_MOCK_F_NOGATE	(1U << 1) /* as from a place that can't restart */
	__u32 kind;
	__u32 vcpu;
	__aligned_u64 addr;
	__u32 len;
	__u32 cpl;
	__aligned_u64 call_id;
	__aligned_u64 data[4];
	__aligned_u64 out_value;
	__u32 out_result;
#define PORTAL_MOCK_DONE	0
#define PORTAL_MOCK_PASSED	1
	__u32 out_restarts;
};

/* Where vCPU @vcpu sees guest-physical address 0. */
#define PORTAL_MOCK_GVA(vcpu)	((__u64)((vcpu) + 1) << 40)

/**
 * struct portal_mock_set - ioctl(PORTAL_MOCK_SET) on a mock VM fd: be the VMM
 * @size: (in) sizeof(struct portal_mock_set)
 * @flags: (in) PORTAL_MOCK_SET_F_CLOSE: close the VM, but live on
 * @vcpus: (in) so many vCPUs there are from now on; 0: as many as before
 * @__reserved: 0
 */
struct portal_mock_set {
	__u32 size;
	__u32 flags;
#define PORTAL_MOCK_SET_F_CLOSE	(1U << 0)
	__u32 vcpus;
	__u32 __reserved;
};

#define PORTAL_MOCK_VM		_IO(PORTAL_IOC_MAGIC, 0x38)
#define PORTAL_MOCK_ACCESS	_IO(PORTAL_IOC_MAGIC, 0x39)
#define PORTAL_MOCK_SET		_IO(PORTAL_IOC_MAGIC, 0x3a)

#endif /* _UAPI_LINUX_PORTAL_MOCK_H */
