/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal_guest.h - what a guest and portal say to each other
 */
#ifndef _UAPI_LINUX_PORTAL_GUEST_H
#define _UAPI_LINUX_PORTAL_GUEST_H

#include <linux/types.h>
#include <linux/ioctl.h>

/**
 * DOC: Hypercalls
 *
 * VMMCALL on AMD and Hygon, VMCALL elsewhere (the wrong one makes KVM patch
 * the guest's text, which may be read-only), at CPL 0.
 *
 * =====  ==================================================================
 * RAX    low 32 bits: number, PORTAL_HC_*; bits 63:32: call id
 * RBX    argument 0
 * RCX    argument 1
 * RDX    argument 2
 * RSI    argument 3
 * RDI    32-bit guests only: call id
 * RAX    (out) value; -4095 to -1 are errors
 * =====  ==================================================================
 *
 * The call id is any number that no other unfinished call of this VM uses. The
 * instruction may be interrupted and restarted, on another vCPU too: host and
 * guest know the call by its number, arguments and id. Do not call in an
 * interrupt shadow (right after STI).
 *
 * To a guest that announced PORTAL_GUEST_F_EAGAIN in HELLO the host answers
 * -PORTAL_EAGAIN when a call has waited for 10 to 20 ms, so that the vCPU can do
 * something else meanwhile, and where restarting is impossible (SEV-ES) at
 * once, to any guest. The call goes on: repeat it with the same number,
 * arguments and id, after a while, until there is another answer. RAW hooks
 * answer -PORTAL_EAGAIN only where restarting is impossible.
 *
 * Nothing but HELLO is served before HELLO: a Hyper-V guest leaves RAX
 * undefined in its own hypercalls. HELLO ends every call that is still open,
 * and puts the bus to rest: every slot is disabled, the event interrupt
 * forgotten. A number nobody serves gets what KVM answers, -1000. -EAGAIN
 * always means "repeat": no plugin can use it for itself.
 */
#define PORTAL_HC_BASE		0x504f5254U	/* "PORT" */
#define PORTAL_HC_LAST		0x504fffffU
#define PORTAL_HC_HELLO		(PORTAL_HC_BASE + 0)
/* 0x01-0x0f: module; 0x10-0x1f: bus; from 0x1000: services, 0x100 each */
#define PORTAL_HC_BUS		(PORTAL_HC_BASE + 0x10)
#define PORTAL_HC_BUS_LAST	(PORTAL_HC_BASE + 0x1f)
#define PORTAL_HC_SERVICE(slot)	(PORTAL_HC_BASE + 0x1000 + (slot) * 0x100)
#define PORTAL_HC_SERVICE_FNS	0x100
/* function number by which the guest lets a service run its interrupt handler */
#define PORTAL_FN_INTERRUPT	0xff

#define PORTAL_HELLO_MAGIC0	0x6c617470U	/* argument 0 */
#define PORTAL_HELLO_MAGIC1	0x21756f79U	/* argument 1 */
#define PORTAL_GUEST_VERSION	1		/* argument 2; argument 3: features */
/* HELLO's value: version << 24 | features */
#define PORTAL_GUEST_F_64BIT	(1U << 0)	/* RAX, arguments are 64 bits wide */
#define PORTAL_GUEST_F_BUS	(1U << 1)	/* somebody serves PORTAL_HC_BUS */
#define PORTAL_GUEST_F_EAGAIN	(1U << 2)	/* guest understands -PORTAL_EAGAIN */
#define PORTAL_HELLO_VERSION(v)	(((v) >> 24) & 0x7f)
#define PORTAL_HELLO_FEATURES(v) ((v) & 0xffffff)

/* Errors: Linux's numbers, fixed here for every guest. */
#define PORTAL_EPERM		1
#define PORTAL_ENOENT		2
#define PORTAL_EINTR		4
#define PORTAL_EIO		5
#define PORTAL_ENXIO		6
#define PORTAL_EAGAIN		11
#define PORTAL_ENOMEM		12
#define PORTAL_EBUSY		16
#define PORTAL_EEXIST		17
#define PORTAL_ENODEV		19
#define PORTAL_EINVAL		22
#define PORTAL_ENOSPC		28
#define PORTAL_ENOSYS		38
#define PORTAL_ETIME		62
#define PORTAL_ECANCELED	125

/**
 * DOC: Bus
 *
 * Devices and services that the host offers, one slot each. The guest chooses
 * where a device appears, as with PCI BARs: the host cannot see which
 * addresses the VMM emulates. All values are plain numbers, so no guest
 * memory is touched.
 */
#define PORTAL_BUS_SLOTS	64
/* (field) -> value; enum portal_bus_info */
#define PORTAL_HC_BUS_INFO	(PORTAL_HC_BUS + 0)
/* (slot, enum portal_bus_field) -> value */
#define PORTAL_HC_BUS_QUERY	(PORTAL_HC_BUS + 1)
/*
 * (slot, gpa low 32, gpa high 32, gsi) -> 0: the device answers there now.
 * gsi 0: without an interrupt. Slots without registers need no ENABLE.
 */
#define PORTAL_HC_BUS_ENABLE	(PORTAL_HC_BUS + 2)
/* (slot) -> 0: the device is off that address, nothing of it is in flight */
#define PORTAL_HC_BUS_DISABLE	(PORTAL_HC_BUS + 3)
/*
 * (gsi) -> 0: raised when the generation changes or an interrupt is queued; 0
 * for none any more
 */
#define PORTAL_HC_BUS_EVENT	(PORTAL_HC_BUS + 4)
/*
 * (0 or 1) -> slots 0-31 (0) or 32-63 (1) with a queued interrupt, as bits.
 * Changes nothing: the count is taken by PORTAL_FN_INTERRUPT of the service.
 */
#define PORTAL_HC_BUS_PENDING	(PORTAL_HC_BUS + 5)

enum portal_bus_info {
	PORTAL_BUS_GENERATION = 0,	/* changes when a slot changes */
	PORTAL_BUS_NR_SLOTS = 1,
};

enum portal_bus_field {
	PORTAL_SLOT_STATE = 0,		/* enum portal_slot_state */
	PORTAL_SLOT_TYPE = 1,		/* enum portal_slot_type */
	PORTAL_SLOT_REGION = 2,		/* bytes of registers, 0 if none */
	PORTAL_SLOT_FNS = 3,		/* hypercall functions, 0 if none */
	PORTAL_SLOT_SERIAL = 4,		/* new for each device put into the slot */
	PORTAL_SLOT_NAME = 8,		/* 8..15: four bytes each, little endian */
};

enum portal_slot_state {
	PORTAL_SLOT_EMPTY = 0,
	PORTAL_SLOT_OFFERED = 1,
	PORTAL_SLOT_ENABLED = 2,
	PORTAL_SLOT_LEAVING = 3,	/* guest: disable it, please */
};

enum portal_slot_type {
	PORTAL_SLOT_SERVICE = 1,	/* hypercalls only */
	PORTAL_SLOT_REGS = 2,		/* registers for /dev/portal-guest, hypercalls */
	PORTAL_SLOT_VIRTIO_MMIO = 3,	/* a standard virtio-mmio device */
};

#define PORTAL_NAME_LEN		32

/**
 * DOC: Block service
 *
 * A disk by hypercalls, for guests without a driver: portald's front end blk.
 * Sectors are of PORTAL_BLK_SECTOR bytes. The buffer is guest-physical memory,
 * contiguous there; it is the guest's again when the call has its answer. A
 * call moves at most PORTAL_BLK_MAX sectors, and 64 calls may be under way
 * (-PORTAL_EBUSY: ask again). Storage 0 is the only one.
 *
 * -PORTAL_EINVAL: beyond the end, too many sectors, a buffer that is not RAM,
 * no such storage; -PORTAL_EPERM: a write to what is read-only; -PORTAL_ENOSPC,
 * -PORTAL_EIO: the medium; -PORTAL_ETIME: it took more than 4 seconds: the
 * buffer was not touched, a write may still reach the medium.
 */
enum portal_blk_fn {
	PORTAL_BLK_INFO = 0,		/* (storage, enum portal_blk_info) -> value */
	PORTAL_BLK_READ = 1,		/* (storage, sector, count, gpa) -> bytes */
	PORTAL_BLK_WRITE = 2,		/* (storage, sector, count, gpa) -> bytes */
	PORTAL_BLK_FLUSH = 3,		/* (storage) -> 0: what was written is stable */
	PORTAL_BLK_FNS = 4,
};

enum portal_blk_info {
	PORTAL_BLK_SECTORS = 0,		/* of the storage */
	PORTAL_BLK_SECTOR = 1,		/* bytes of a sector */
	PORTAL_BLK_MAX = 2,		/* sectors of a call */
	PORTAL_BLK_FLAGS = 3,		/* PORTAL_BLK_F_* */
};

#define PORTAL_BLK_F_READONLY	(1U << 0)
#define PORTAL_BLK_F_FLUSH	(1U << 1)	/* without it, writes are stable at once */

/**
 * DOC: /dev/portal-guest
 *
 * For programs in the guest; the ioctls follow the format of portal.h.
 * read() gives struct portal_guest_event, poll() waits for one. Each open
 * file gets its own copy of every event, at most 256 unread ones; the
 * count of those lost is in the next event's @lost.
 */
#define PORTAL_GUEST_IOC_MAGIC	0xBD

/**
 * struct portal_guest_slot - ioctl(PORTAL_GUEST_SLOT): what is in a slot
 * @size: (in) sizeof(struct portal_guest_slot)
 * @flags: (in) must be 0
 * @slot: (in) slot, or -1 to look for @name; (out) the slot found
 * @out_type: enum portal_slot_type
 * @out_state: enum portal_slot_state
 * @out_fns: hypercall functions
 * @out_region: bytes of registers
 * @out_gpa: where they are, 0 if not enabled
 * @name: (in) with @slot -1; (out) NUL-terminated
 *
 * Errors: ENOENT (nothing there, or no such name).
 */
struct portal_guest_slot {
	__u32 size;
	__u32 flags;
	__s32 slot;
	__u32 out_type;
	__u32 out_state;
	__u32 out_fns;
	__aligned_u64 out_region;
	__aligned_u64 out_gpa;
	__u8 name[PORTAL_NAME_LEN];
};

/**
 * struct portal_guest_call - ioctl(PORTAL_GUEST_CALL): a hypercall
 * @size: (in) sizeof(struct portal_guest_call)
 * @flags: (in) must be 0
 * @slot: (in) service
 * @fn: (in) function, below its out_fns
 * @args: (in) four arguments
 * @out_value: what the plugin answered
 *
 * Errors: ENOENT (no such service), and -out_value if that is -4095 to -1 (EIO
 * if Linux has no such number).
 */
struct portal_guest_call {
	__u32 size;
	__u32 flags;
	__u32 slot;
	__u32 fn;
	__aligned_u64 args[4];
	__aligned_u64 out_value;
};

/**
 * struct portal_guest_reg - ioctl(PORTAL_GUEST_REG): one register access
 * @size: (in) sizeof(struct portal_guest_reg)
 * @flags: (in) PORTAL_GUEST_REG_F_WRITE
 * @slot: (in) device of type PORTAL_SLOT_REGS
 * @width: (in) 1, 2, 4 or 8 bytes
 * @offset: (in) aligned to @width, inside the region
 * @value: (in) to write; (out) read
 *
 * Errors: EINVAL (not in the region), ENOENT (no registers in this slot),
 * ENODEV (not enabled).
 */
struct portal_guest_reg {
	__u32 size;
	__u32 flags;
#define PORTAL_GUEST_REG_F_WRITE	(1U << 0)
	__u32 slot;
	__u32 width;
	__aligned_u64 offset;
	__aligned_u64 value;
};

/**
 * struct portal_guest_event - read() from /dev/portal-guest
 * @slot: service whose interrupt handler ran
 * @lost: events of this file dropped before this one
 * @value: what the handler returned
 */
struct portal_guest_event {
	__u32 slot;
	__u32 lost;
	__aligned_u64 value;
};

#define PORTAL_GUEST_SLOT	_IO(PORTAL_GUEST_IOC_MAGIC, 0x3a)
#define PORTAL_GUEST_CALL	_IO(PORTAL_GUEST_IOC_MAGIC, 0x3b)
#define PORTAL_GUEST_REG	_IO(PORTAL_GUEST_IOC_MAGIC, 0x3c)

#endif /* _UAPI_LINUX_PORTAL_GUEST_H */
