/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal.h - the interface of /dev/portal
 *
 * The path of everything here: hook -> request -> ring -> queue -> plugin -> reply.
 */
#ifndef _UAPI_LINUX_PORTAL_H
#define _UAPI_LINUX_PORTAL_H

#include <linux/types.h>
#include <linux/ioctl.h>

/**
 * DOC: General format
 *
 * Every argument starts with ``size`` (bytes of the struct the caller knows)
 * and ``flags``. The kernel takes a shorter struct as one whose tail is zero,
 * and a longer one if the unknown tail is zero. Reserved members must be 0.
 * Members named ``out_`` are written by the kernel. Ids are never 0. Times
 * are nanoseconds of CLOCK_MONOTONIC, ranges named ``last`` are inclusive.
 *
 * One errno table for every ioctl and uring_cmd; checks run in this order:
 *
 * ==========  ==============================================================
 * ENOTTY      unknown command
 * EFAULT      the argument, or memory it points to, cannot be accessed
 * EINVAL      size below the first version of the struct; a value that can
 *             never be right (zero length, misaligned, reserved not 0)
 * E2BIG       the tail beyond what this kernel knows is not 0
 * EOPNOTSUPP  unknown flag or enum value, or a feature that this kernel
 *             cannot give (see GET_INFO)
 * EOVERFLOW   first + len or a count wraps around
 * EPERM       the fd lacks the right
 * EBADF       an fd in the argument is not open
 * ENXIO       an fd in the argument is open but of the wrong kind (not a KVM
 *             VM, not an eventfd)
 * ENODEV      the VM is gone
 * ESTALE      another owner opened this queue; this fd is dead
 * ENOENT      no object with that id, no RAM at that address
 * EEXIST      the range overlaps RAM, another device or another hook
 * EBUSY       in use by somebody else, try later
 * ENOSPC      a limit of GET_INFO is reached
 * ENOMEM      no memory
 * EAGAIN      nothing there, and the fd is non-blocking
 * EINTR       a signal came first
 * ETIME       the bounded wait is over, ask again
 * ==========  ==============================================================
 */
#define PORTAL_API_VERSION	1
#define PORTAL_IOC_MAGIC	0xBD	/* numbers 0x00-0x3f, uring 0x80-0x8f */

/* ---- /dev/portal ------------------------------------------------------- */

/**
 * struct portal_info - ioctl(PORTAL_GET_INFO)
 * @size: (in) sizeof(struct portal_info)
 * @flags: (in) must be 0
 * @out_api_version: raised only by an incompatible change
 * @out_max_queues: queues per VM fd
 * @out_features: PORTAL_FEAT_*, what this kernel can give
 * @out_errata: bits of known and fixed mistakes of this interface, none yet
 * @out_max_hooks: hooks and regions per VM fd
 * @out_max_entries: ring entries per queue
 * @out_max_calls: unanswered calls per vCPU
 * @out_max_ranges: attribute ranges per region
 * @out_max_region: bytes of a region
 * @out_max_windows: memory windows per VM fd
 * @out_vms: VMs attached at this moment
 * @__reserved: 0
 */
struct portal_info {
	__u32 size;
	__u32 flags;
	__u32 out_api_version;
	__u32 out_max_queues;
	__aligned_u64 out_features;
#define PORTAL_FEAT_HYPERCALL		(1ULL << 0)
#define PORTAL_FEAT_MMIO		(1ULL << 1)
#define PORTAL_FEAT_PIO			(1ULL << 2)
/* MMIO: FENCED, SYNC and CALL wait before the emulator, restartable */
#define PORTAL_FEAT_GATE		(1ULL << 3)
#define PORTAL_FEAT_IRQ_GSI		(1ULL << 4)
#define PORTAL_FEAT_IRQ_MSI		(1ULL << 5)
#define PORTAL_FEAT_MEM_RW		(1ULL << 6)
#define PORTAL_FEAT_MEM_MAP		(1ULL << 7)
#define PORTAL_FEAT_URING		(1ULL << 8)
/* a parked uring_cmd can be cancelled (else it ends after 1 s by ETIME) */
#define PORTAL_FEAT_URING_CANCEL	(1ULL << 9)
/* as PORTAL_FEAT_GATE for ports; string I/O waits in the access */
#define PORTAL_FEAT_GATE_PIO		(1ULL << 10)
/* PORTAL_MEM_F_GVA */
#define PORTAL_FEAT_MEM_GVA		(1ULL << 11)
/* filters, COALESCE, RATE_SET, sets of queues, HANDOVER, QUEUE_CANCEL, *_INFO */
#define PORTAL_FEAT_POLICY		(1ULL << 16)
/* test build: PORTAL_MOCK_* ioctls exist */
#define PORTAL_FEAT_MOCK		(1ULL << 63)
	__aligned_u64 out_errata;
	__u32 out_max_hooks;
	__u32 out_max_entries;
	__u32 out_max_calls;
	__u32 out_max_ranges;
	__u32 out_max_region;
	__u32 out_max_windows;
	__u32 out_vms;
	__u32 __reserved;
};

/* Rights of a VM fd: fixed at attach, and only ever fewer on a duplicate. */
#define PORTAL_RIGHT_HYPERCALL		(1U << 0)
#define PORTAL_RIGHT_MMIO		(1U << 1)
#define PORTAL_RIGHT_PIO		(1U << 2)
#define PORTAL_RIGHT_IRQ		(1U << 3)
#define PORTAL_RIGHT_MEM_READ		(1U << 4)
#define PORTAL_RIGHT_MEM_WRITE		(1U << 5)
#define PORTAL_RIGHT_VCPU_STATE		(1U << 6)
#define PORTAL_RIGHT_PAUSE		(1U << 7)
#define PORTAL_RIGHT_ALL		0xffU

/**
 * struct portal_vm_attach - ioctl(PORTAL_VM_ATTACH)
 * @size: (in) sizeof(struct portal_vm_attach)
 * @flags: (in) must be 0
 * @vm_fd: (in) a KVM VM fd (anon_inode:kvm-vm); close it after this call,
 *	portal keeps no reference to the file
 * @rights: (in) PORTAL_RIGHT_*
 * @out_fd: a new VM fd, close-on-exec; its last close detaches
 * @__reserved: 0
 *
 * Errors: EBADF, ENXIO (not a KVM VM), ENODEV (VM is dying), ENOSPC, EBUSY
 * (another user of ftrace IPMODIFY, such as a live patch, sits on a function
 * that must be hooked; the kernel log names it).
 */
struct portal_vm_attach {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 rights;
	__s32 out_fd;
	__u32 __reserved;
};

/* ---- VM fd ------------------------------------------------------------- */

/**
 * struct portal_vm_info - ioctl(PORTAL_VM_INFO): what the VM is and did
 * @size: (in) sizeof(struct portal_vm_info)
 * @flags: (in) must be 0
 * @out_rights: of this fd
 * @out_irqchip: PORTAL_IRQCHIP_*
 * @out_vcpus: number of vCPUs
 * @out_state: PORTAL_VM_*
 * @out_hooks: hypercall hooks of this client
 * @out_regions: regions of this client
 * @out_queues: queues of this client
 * @out_windows: memory windows of this client
 * @out_hellos: HELLO handshakes of the guest since attach (a reboot adds one)
 * @out_hypercalls: hypercalls that reached a hook
 * @out_calls: calls that waited for an answer
 * @out_posted: requests posted without waiting
 * @out_restarts: waits left early for a signal or a guest interrupt
 * @out_timeouts: calls ended by their time-out
 * @out_dropped: posted requests dropped (policy or time-out of back-pressure)
 * @out_shadow_reads: reads answered in the kernel
 * @out_wakeups: times a sleeping owner of a queue was woken
 * @out_vm_id: number of the VM, and
 * @out_client_id: of this client in it: /sys/kernel/debug/portal/VM/CLIENT/
 * @out_filtered: events that a filter passed, answered or ignored
 * @out_merged: posted requests merged into one that was not yet given out
 * @out_held: requests that waited for a rate limit
 * @out_limited: requests that a rate limit refused
 */
struct portal_vm_info {
	__u32 size;
	__u32 flags;
	__u32 out_rights;
	__u32 out_irqchip;
#define PORTAL_IRQCHIP_NONE		0 /* in the VMM, or there is none */
#define PORTAL_IRQCHIP_FULL		1 /* PIC, IOAPIC and APICs in KVM */
#define PORTAL_IRQCHIP_SPLIT		2 /* APICs in KVM, IOAPIC in the VMM */
	__u32 out_vcpus;
	__u32 out_state;
#define PORTAL_VM_RUNNING		0
#define PORTAL_VM_GONE			1
	__u32 out_hooks;
	__u32 out_regions;
	__u32 out_queues;
	__u32 out_windows;
	__aligned_u64 out_hellos;
	__aligned_u64 out_hypercalls;
	__aligned_u64 out_calls;
	__aligned_u64 out_posted;
	__aligned_u64 out_restarts;
	__aligned_u64 out_timeouts;
	__aligned_u64 out_dropped;
	__aligned_u64 out_shadow_reads;
	__aligned_u64 out_wakeups;
	__u32 out_vm_id;
	__u32 out_client_id;
	__aligned_u64 out_filtered;
	__aligned_u64 out_merged;
	__aligned_u64 out_held;
	__aligned_u64 out_limited;
};

/**
 * struct portal_rate_set - ioctl(PORTAL_RATE_SET): limit the guest's requests
 * @size: (in) sizeof(struct portal_rate_set)
 * @flags: (in) PORTAL_RATE_F_VM: the limit of all clients of the VM together
 *	(needs PORTAL_RIGHT_PAUSE), else that of this client
 * @rate: (in) requests per second, at most 10^9; 0 is no limit
 * @burst: (in) how many may come at once, 1 to 2^20; 0 with a @rate of 0
 * @__reserved: 0
 *
 * Counted are calls and posted requests, whatever queue they go to; not what
 * a filter keeps back and what the kernel answers itself. One too many is
 * held: a hypercall restartably, a register access as by PORTAL_POLICY_BLOCK,
 * which here holds a doorbell too;
 * no longer than its hook's timeout_ns, then it ends as an unanswered call, or
 * is dropped and counted. A posted request of a hook or region without
 * PORTAL_POLICY_BLOCK is dropped and counted at once. A limit of the VM stays
 * until the last client is gone.
 */
struct portal_rate_set {
	__u32 size;
	__u32 flags;
#define PORTAL_RATE_F_VM		(1U << 0)
	__aligned_u64 rate;
	__u32 burst;
	__u32 __reserved;
};

/**
 * struct portal_vm_dup - ioctl(PORTAL_VM_DUP): the same client, fewer rights
 * @size: (in) sizeof(struct portal_vm_dup)
 * @flags: (in) must be 0
 * @rights: (in) a subset of this fd's rights, else EPERM
 * @out_fd: new VM fd on the same hooks, queues and windows
 */
struct portal_vm_dup {
	__u32 size;
	__u32 flags;
	__u32 rights;
	__s32 out_fd;
};

/* What ends a call that nobody answers in time. */
enum portal_action {
	PORTAL_ACTION_ERROR = 0,	/* hypercall: -PORTAL_ETIME; read: all ones */
	PORTAL_ACTION_VALUE = 1,	/* the given value */
	PORTAL_ACTION_PASS = 2,		/* as without portal: KVM or the VMM answers */
};

/**
 * enum portal_policy - what happens to a posted request that finds no room
 * @PORTAL_POLICY_BLOCK: hold the vCPU, bounded, then drop and count; but not for
 *	a doorbell, which see
 * @PORTAL_POLICY_DROP: drop and count at once
 * @PORTAL_POLICY_COALESCE: while a request of the same hook or region and the
 *	same number or offset is in the ring and not consumed, or no room is, one
 *	is kept back; more of them are merged into that one: it has the last
 *	one's data, PORTAL_REQ_F_MERGED, and their number in @count. Merged
 *	requests may come later than others of other numbers or offsets. With
 *	more than 32 numbers or offsets outstanding, what finds no room is
 *	dropped and counted. Not for regions with FENCED, SYNC or CALL registers.
 */
enum portal_policy {
	PORTAL_POLICY_BLOCK = 0,
	PORTAL_POLICY_DROP = 1,
	PORTAL_POLICY_COALESCE = 2,
};

/**
 * enum portal_filter_action - what becomes of an event that a filter matches
 * @PORTAL_FILTER_DELIVER: as without filters
 * @PORTAL_FILTER_PASS: as without portal: KVM or the VMM gets it
 * @PORTAL_FILTER_VALUE: answered with the filter's value; calls and reads
 * @PORTAL_FILTER_IGNORE: done, and nobody is told; posted hypercalls (0) and
 *	writes
 */
enum portal_filter_action {
	PORTAL_FILTER_DELIVER = 0,
	PORTAL_FILTER_PASS = 1,
	PORTAL_FILTER_VALUE = 2,
	PORTAL_FILTER_IGNORE = 3,
};

/**
 * struct portal_filter - a condition on an event of a hook or region
 * @action: enum portal_filter_action
 * @flags: PORTAL_FILTER_F_*; regions: which accesses, none is both
 * @offset: regions: first byte an access may begin at
 * @len: regions: how many such bytes; 0 with @offset 0 is all
 * @sizes: regions: a sum of 1, 2, 4 and 8, the bytes an access may have;
 *	0 is any
 * @__reserved: 0
 * @value: for PORTAL_FILTER_VALUE
 * @mask: which bits of the arguments, or of the value written, are looked at
 * @match: what they must be
 *
 * The first filter that matches decides, and costs no wakeup. If none does the
 * event is delivered. A register that a filter keeps back does nothing else
 * either: no ACK, no doorbell. Hypercalls: @flags to @sizes are 0. Regions:
 * only mask[0], and only with PORTAL_FILTER_F_WRITE alone.
 */
struct portal_filter {
	__u32 action;
	__u32 flags;
#define PORTAL_FILTER_F_READ		(1U << 0)
#define PORTAL_FILTER_F_WRITE		(1U << 1)
	__u32 offset;
	__u32 len;
	__u32 sizes;
	__u32 __reserved;
	__aligned_u64 value;
	__aligned_u64 mask[4];
	__aligned_u64 match[4];
};

/**
 * struct portal_target_info - ioctl(PORTAL_HOOK_INFO, PORTAL_REGION_INFO)
 * @size: (in) sizeof(struct portal_target_info)
 * @flags: (in) must be 0
 * @id: (in) hook or region
 * @nr_filters: (in) length of @hits_uptr; (out) how many filters there are
 * @hits_uptr: (in) array of u64: how often each filter matched; 0: not asked for
 * @out_hits: hypercalls or accesses that reached it
 * @out_filtered: of these, those a filter passed, answered or ignored
 * @out_passed: of these, those passed
 * @out_ignored: of these, those ignored
 * @out_calls: calls made
 * @out_posted: requests posted, merged ones included
 * @out_merged: of these, those merged into an earlier one
 * @out_held: requests that waited for a rate limit
 * @out_limited: requests that a rate limit refused
 * @out_timeouts: calls and waits ended by the time-out
 * @out_dropped: posted requests dropped
 * @out_shadow_reads: reads that the kernel answered
 */
struct portal_target_info {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 nr_filters;
	__aligned_u64 hits_uptr;
	__aligned_u64 out_hits;
	__aligned_u64 out_filtered;
	__aligned_u64 out_passed;
	__aligned_u64 out_ignored;
	__aligned_u64 out_calls;
	__aligned_u64 out_posted;
	__aligned_u64 out_merged;
	__aligned_u64 out_held;
	__aligned_u64 out_limited;
	__aligned_u64 out_timeouts;
	__aligned_u64 out_dropped;
	__aligned_u64 out_shadow_reads;
};

/**
 * struct portal_hook_add - ioctl(PORTAL_HOOK_ADD): hook a range of events
 * @size: (in) sizeof(struct portal_hook_add)
 * @flags: (in) PORTAL_HOOK_F_*
 * @kind: (in) PORTAL_KIND_HYPERCALL
 * @queue_id: (in) where its requests go
 * @first: (in) first hypercall number (low 32 bits of RAX)
 * @last: (in) last hypercall number
 * @cookie: (in) comes back in each request
 * @timeout_ns: (in) life of an unanswered call; 0 is 5 s
 * @timeout_value: (in) for PORTAL_ACTION_VALUE
 * @on_timeout: (in) enum portal_action
 * @policy: (in) enum portal_policy, for posted hooks
 * @state_mask: (in) vCPU state to deliver; must be 0 in this version
 * @out_hook_id: for PORTAL_HOOK_DEL
 * @__reserved: 0
 * @filters_uptr: (in) array of struct portal_filter
 * @queues_uptr: (in) array of __u32: a set of queues instead of @queue_id, which
 *	must be 0 then; a vCPU's requests go to number vCPU % @nr_queues
 * @nr_filters: (in) 0 to 16
 * @nr_queues: (in) 0 to 64
 *
 * Numbers 0x504f5254 to 0x504fffff are the range of portal_guest.h: served
 * only after the guest's HELLO. Any other range needs PORTAL_HOOK_F_RAW.
 * KVM's own numbers (below 64) are refused: EINVAL.
 */
struct portal_hook_add {
	__u32 size;
	__u32 flags;
#define PORTAL_HOOK_F_POSTED		(1U << 0) /* answer 0 at once, post */
#define PORTAL_HOOK_F_USER		(1U << 1) /* also from CPL > 0 */
#define PORTAL_HOOK_F_RAW		(1U << 2) /* no HELLO needed */
	__u32 kind;
	__u32 queue_id;
	__aligned_u64 first;
	__aligned_u64 last;
	__aligned_u64 cookie;
	__aligned_u64 timeout_ns;
	__aligned_u64 timeout_value;
	__u32 on_timeout;
	__u32 policy;
	__aligned_u64 state_mask;
	__u32 out_hook_id;
	__u32 __reserved;
	__aligned_u64 filters_uptr;
	__aligned_u64 queues_uptr;
	__u32 nr_filters;
	__u32 nr_queues;
};

/**
 * struct portal_id - ioctl(PORTAL_HOOK_DEL, REGION_DEL, QUEUE_DEL, MEM_UNMAP)
 * @size: (in) sizeof(struct portal_id)
 * @flags: (in) must be 0
 * @id: (in) the object; every call that waits in it ends with an error.
 *	A queue that hooks or regions still use is EBUSY.
 * @__reserved: 0
 */
struct portal_id {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 __reserved;
};

enum portal_bus {
	PORTAL_BUS_MMIO = 0,
	PORTAL_BUS_PIO = 1,
};

/**
 * enum portal_attr - what an access to a range of registers does
 * @PORTAL_ATTR_SHADOW: read: the shadow page answers, nobody is woken.
 *	write: posted into the ring with its payload.
 * @PORTAL_ATTR_FENCED: read: as SHADOW, once the plugin has consumed the
 *	region's earlier posted writes. write: posted.
 * @PORTAL_ATTR_ACK: read: shadow. write: clears the written bits in the u32
 *	shadow register at @aux; posted only with PORTAL_RANGE_F_POST.
 * @PORTAL_ATTR_DOORBELL: read: shadow. write: posted; with
 *	PORTAL_RANGE_F_COUNT the kernel adds 1 to the u32 at @aux of the shadow
 *	page and posts only when it was 0 (the consumer takes the count by an
 *	atomic exchange with 0 *before* it works); with PORTAL_RANGE_F_EVENTFD
 *	the eventfd is signalled and nothing is posted. Makes the guest
 *	wait for a rate limit only: with the ring full and no PORTAL_POLICY_DROP
 *	it waits for room in the kernel, one with the same value as another that
 *	waits being that other; beyond 64 of them in a queue it is dropped and
 *	counted.
 * @PORTAL_ATTR_SYNC: read: as FENCED. write: retires only when the plugin has
 *	consumed it.
 * @PORTAL_ATTR_CALL: read: the plugin computes the value, the vCPU is parked.
 *	write: as SYNC.
 */
enum portal_attr {
	PORTAL_ATTR_SHADOW = 0,
	PORTAL_ATTR_FENCED = 1,
	PORTAL_ATTR_ACK = 2,
	PORTAL_ATTR_DOORBELL = 3,
	PORTAL_ATTR_SYNC = 4,
	PORTAL_ATTR_CALL = 5,
};

/**
 * struct portal_region_range - registers of one attribute
 * @offset: first byte, relative to the region
 * @len: bytes; ranges may share bytes only if all are DOORBELL with
 *	PORTAL_RANGE_F_DATAMATCH
 * @attr: enum portal_attr; bytes in no range are SHADOW
 * @flags: PORTAL_RANGE_F_*
 * @aux: offset of a u32 in the shadow page, 4-byte aligned; bytes past the
 *	region's length are in the page but out of the guest's reach
 * @width: only accesses of this many bytes (1, 2, 4, 8) ring the doorbell;
 *	0 is any
 * @eventfd: for PORTAL_RANGE_F_EVENTFD, else -1
 * @__reserved: 0
 * @datamatch: for PORTAL_RANGE_F_DATAMATCH
 */
struct portal_region_range {
	__u32 offset;
	__u32 len;
	__u32 attr;
	__u32 flags;
#define PORTAL_RANGE_F_POST		(1U << 0)
#define PORTAL_RANGE_F_COUNT		(1U << 1)
#define PORTAL_RANGE_F_DATAMATCH	(1U << 2)
#define PORTAL_RANGE_F_EVENTFD		(1U << 3)
	__u32 aux;
	__u32 width;
	__s32 eventfd;
	__u32 __reserved;
	__aligned_u64 datamatch;
};

/**
 * struct portal_region_add - ioctl(PORTAL_REGION_ADD): device registers
 * @size: (in) sizeof(struct portal_region_add)
 * @flags: (in) must be 0
 * @bus: (in) enum portal_bus
 * @queue_id: (in) where its requests go, in order
 * @gpa: (in) guest-physical address (or port) of the first byte
 * @len: (in) bytes, 1 to out_max_region
 * @cookie: (in) comes back in each request
 * @timeout_ns: (in) life of a wait in this region; 0 is 5 s
 * @timeout_value: (in) for PORTAL_ACTION_VALUE
 * @on_timeout: (in) enum portal_action
 * @policy: (in) enum portal_policy
 * @ranges_uptr: (in) array of struct portal_region_range
 * @nr_ranges: (in) its length, 0 to out_max_ranges
 * @out_region_id: for PORTAL_REGION_DEL
 * @out_shadow_off: mmap offset of the shadow page(s): on a VM fd with the right
 *	of the bus, and on the queue fd of the owner of (one of) its queues
 * @out_shadow_size: bytes to mmap, a multiple of the page size
 * @__reserved: 0
 * @filters_uptr: (in) array of struct portal_filter
 * @queues_uptr: (in) array of __u32: a set of queues instead of @queue_id, which
 *	must be 0 then; a vCPU's requests go to number vCPU % @nr_queues
 * @nr_filters: (in) 0 to 16
 * @nr_queues: (in) 0 to 64
 *
 * An access that crosses the end of the region is not ours and goes to the
 * VMM. A region over RAM or any other device is EEXIST.
 */
struct portal_region_add {
	__u32 size;
	__u32 flags;
	__u32 bus;
	__u32 queue_id;
	__aligned_u64 gpa;
	__aligned_u64 len;
	__aligned_u64 cookie;
	__aligned_u64 timeout_ns;
	__aligned_u64 timeout_value;
	__u32 on_timeout;
	__u32 policy;
	__aligned_u64 ranges_uptr;
	__u32 nr_ranges;
	__u32 out_region_id;
	__aligned_u64 out_shadow_off;
	__u32 out_shadow_size;
	__u32 __reserved;
	__aligned_u64 filters_uptr;
	__aligned_u64 queues_uptr;
	__u32 nr_filters;
	__u32 nr_queues;
};

/* What becomes of requests when the owner of their queue dies. */
enum portal_orphan {
	PORTAL_ORPHAN_HOLD = 0,		/* wait; those the dead one took fail */
	PORTAL_ORPHAN_FAIL = 1,		/* all fail at once, and new ones too */
	PORTAL_ORPHAN_REQUEUE = 2,	/* wait; those it took are handed out again */
};

/**
 * struct portal_queue_create - ioctl(PORTAL_QUEUE_CREATE)
 * @size: (in) sizeof(struct portal_queue_create)
 * @flags: (in) PORTAL_QUEUE_F_*
 * @entries: (in) ring entries, a power of two, 4 to out_max_entries
 * @orphan: (in) enum portal_orphan
 * @hold_ns: (in) how long an orphaned queue waits for a new owner; 0 is 10 s
 * @out_queue_id: for hooks, regions, PORTAL_QUEUE_OPEN and PORTAL_QUEUE_DEL
 * @out_fd: queue fd: mmap, read, write, poll, uring_cmd
 * @out_mmap_size: bytes to mmap at offset 0 (see portal_ring.h)
 *
 * read() gives as many struct portal_request as fit, at least one; what an
 * earlier read() gave is consumed when the next one comes, so read until
 * EAGAIN before going to sleep. write() takes struct portal_reply. Who maps the
 * ring moves head himself.
 */
struct portal_queue_create {
	__u32 size;
	__u32 flags;
#define PORTAL_QUEUE_F_LIFECYCLE	(1U << 0) /* gets PORTAL_KIND_LIFECYCLE */
	__u32 entries;
	__u32 orphan;
	__aligned_u64 hold_ns;
	__u32 out_queue_id;
	__s32 out_fd;
	__aligned_u64 out_mmap_size;
};

/**
 * struct portal_queue_open - ioctl(PORTAL_QUEUE_OPEN): become the owner
 * @size: (in) sizeof(struct portal_queue_open)
 * @flags: (in) PORTAL_QUEUE_OPEN_F_*
 * @queue_id: (in) an existing queue; its earlier owner's fd gets ESTALE
 * @out_fd: new queue fd
 * @out_epoch: number of this ownership, in every request
 * @out_redelivered: calls put into the ring again
 * @out_mmap_size: bytes to mmap at offset 0
 *
 * What the earlier owner took and did not answer ends as @orphan of the queue
 * says, or with PORTAL_QUEUE_OPEN_F_HANDOVER is handed out again, marked
 * PORTAL_REQ_F_REDELIVERED; what it did not consume is handed out again in any
 * case. Its answers are refused from then on, so that each call is answered
 * once. For nothing to be done twice either, it stops fetching (QUEUE_CANCEL),
 * answers and consumes what it has, and then the new one opens the queue:
 * requests wait in the ring meanwhile.
 *
 * Each ownership has pages of its own: the earlier owner's mapping stays as it
 * was at that moment, but for epoch, which is the new owner's.
 */
struct portal_queue_open {
	__u32 size;
	__u32 flags;
#define PORTAL_QUEUE_OPEN_F_HANDOVER	(1U << 0)
	__u32 queue_id;
	__s32 out_fd;
	__u32 out_epoch;
	__u32 out_redelivered;
	__aligned_u64 out_mmap_size;
};

/**
 * struct portal_mem_slot - one stretch of guest RAM
 * @gpa: guest-physical address
 * @len: bytes
 * @flags: PORTAL_SLOT_F_*
 * @slot: KVM's number of it
 */
struct portal_mem_slot {
	__aligned_u64 gpa;
	__aligned_u64 len;
	__u32 flags;
#define PORTAL_SLOT_F_READONLY		(1U << 0)
	__u32 slot;
};

/**
 * struct portal_mem_list - ioctl(PORTAL_MEM_LIST)
 * @size: (in) sizeof(struct portal_mem_list)
 * @flags: (in) must be 0
 * @slots_uptr: (in) array of struct portal_mem_slot, ordered by address
 * @nr: (in) its length; (out) how many there are, which may be more
 * @__reserved: 0
 * @out_generation: changes when the VMM changes a slot
 */
struct portal_mem_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 slots_uptr;
	__u32 nr;
	__u32 __reserved;
	__aligned_u64 out_generation;
};

/**
 * struct portal_mem_vec - one piece of a copy
 * @gpa: guest-physical address; with PORTAL_MEM_F_GVA a virtual one
 * @uptr: the caller's memory
 * @len: bytes
 */
struct portal_mem_vec {
	__aligned_u64 gpa;
	__aligned_u64 uptr;
	__aligned_u64 len;
};

/**
 * struct portal_mem_rw - ioctl(PORTAL_MEM_RW): copy from or to guest RAM
 * @size: (in) sizeof(struct portal_mem_rw)
 * @flags: (in) PORTAL_MEM_F_WRITE writes the guest's memory, PORTAL_MEM_F_GVA
 *	by virtual addresses of @vcpu
 * @vecs_uptr: (in) array of struct portal_mem_vec
 * @nr_vecs: (in) 1 to 1024
 * @__reserved: 0
 * @out_done: bytes copied, also on error: what follows them is untouched and
 *	nothing is made up
 * @vcpu: (in) index of a vCPU with PORTAL_MEM_F_GVA, else 0
 * @__reserved2: 0
 *
 * Errors: ENOENT (no RAM there, no such vCPU), EFAULT (the RAM or the caller's
 * memory can't be accessed, or a write to a read-only slot), EPERM, EINTR.
 *
 * With PORTAL_MEM_F_GVA: addresses as the vCPU's instruction would use them,
 * with its rights (paging, SMAP); EFAULT where that would fault. Only while the
 * vCPU waits in a call or a register access of ours can it be asked: else, or if
 * it does not come back to its wait within two seconds (a paused VM), EBUSY.
 */
struct portal_mem_rw {
	__u32 size;
	__u32 flags;
#define PORTAL_MEM_F_WRITE		(1U << 0)
#define PORTAL_MEM_F_GVA		(1U << 1)
	__aligned_u64 vecs_uptr;
	__u32 nr_vecs;
	__u32 __reserved;
	__aligned_u64 out_done;
	__u32 vcpu;
	__u32 __reserved2;
};

/**
 * struct portal_mem_map - ioctl(PORTAL_MEM_MAP): a window on guest RAM
 * @size: (in) sizeof(struct portal_mem_map)
 * @flags: (in) PORTAL_MEM_F_WRITE for a writable window, PORTAL_MEM_F_DIRECT
 *	for one on the RAM's own file
 * @gpa: (in) page aligned
 * @len: (in) page aligned; must lie in one slot
 * @out_window_id: for PORTAL_MEM_UNMAP
 * @__reserved: 0
 * @out_mmap_off: mmap offset on the VM fd
 *
 * The window lives until MEM_UNMAP, or until the VM fd that made it and all
 * mappings through it are closed. Needs the right to read, with
 * PORTAL_MEM_F_WRITE also to write. A window that crosses the end of a slot is
 * ENOENT. EBUSY: somebody else patches kvm_vm_ioctl(); the kernel log says so.
 *
 * The window shows what the guest sees, also after the VMM discards, swaps or
 * migrates pages, and when the slot is deleted and made anew at another address
 * of the VMM. Once the memory or the VM is gone, an access is SIGBUS (EFAULT in a
 * system call).
 *
 * While KVM logs dirty pages of the slot, what is touched through a writable
 * window is in the log: every page of it that was accessed, also for reading,
 * since the log was fetched before. With KVM's dirty ring it is not, nor are
 * accesses by a 32-bit VMM's KVM_GET_DIRTY_LOG seen.
 *
 * Direct I/O on a window is EFAULT: the pages are not pinned. With
 * PORTAL_MEM_F_DIRECT it works, for mmap() then gives a mapping of the RAM's own
 * file, and this is all that it is: it stays until munmap(), over MEM_UNMAP and
 * the end of the VM, follows no slot, and nothing written to it is in a dirty
 * log. EOPNOTSUPP if the RAM is not a shared mapping of one file (memfd,
 * tmpfs), or of huge pages.
 */
struct portal_mem_map {
	__u32 size;
	__u32 flags;
#define PORTAL_MEM_F_DIRECT		(1U << 2)
	__aligned_u64 gpa;
	__aligned_u64 len;
	__u32 out_window_id;
	__u32 __reserved;
	__aligned_u64 out_mmap_off;
};

/**
 * struct portal_irq_bind - ioctl(PORTAL_IRQ_BIND, PORTAL_IRQ_UNBIND)
 * @size: (in) sizeof(struct portal_irq_bind)
 * @flags: (in) PORTAL_IRQ_F_*
 * @gsi: (in) global system interrupt of the guest; 0 with PORTAL_IRQ_F_MSI
 * @eventfd: (in) each write of it raises the interrupt
 * @resamplefd: (in) with PORTAL_IRQ_F_RESAMPLE: signalled at the guest's EOI
 * @__reserved: 0
 * @address: (in) with PORTAL_IRQ_F_MSI: as in struct portal_irq_msi, else 0
 * @data: (in) the same
 * @__reserved2: 0
 *
 * Lives until UNBIND or the last close of the eventfd, and until the client
 * detaches, but for those that KVM itself keeps: with RESAMPLE, of a split
 * irqchip, or of a GSI above 23. Several eventfds of one GSI lose no edge, as
 * long as KVM does not keep them. EBUSY if the pair is bound already, ENOSPC:
 * more than out_max_hooks, ENOENT: UNBIND of what is not bound.
 *
 * What the VM's irqchip allows (PORTAL_VM_INFO), else EOPNOTSUPP:
 *
 * =====================  =============  ====  ========
 * out_irqchip            GSI            MSI   RESAMPLE
 * =====================  =============  ====  ========
 * PORTAL_IRQCHIP_FULL    yes            yes   yes
 * PORTAL_IRQCHIP_SPLIT   if routed (*)  yes   no
 * PORTAL_IRQCHIP_NONE    no             no    no
 * =====================  =============  ====  ========
 *
 * (*) A GSI for which the VMM has set no route raises nothing; nobody can tell
 * from outside. QEMU routes the 24 pins of its IOAPIC.
 */
struct portal_irq_bind {
	__u32 size;
	__u32 flags;
#define PORTAL_IRQ_F_RESAMPLE		(1U << 0)
#define PORTAL_IRQ_F_MSI		(1U << 1)
	__u32 gsi;
	__s32 eventfd;
	__s32 resamplefd;
	__u32 __reserved;
	__aligned_u64 address;
	__u32 data;
	__u32 __reserved2;
};

/**
 * struct portal_irq_msi - ioctl(PORTAL_IRQ_MSI): send one message
 * @size: (in) sizeof(struct portal_irq_msi)
 * @flags: (in) must be 0
 * @address: (in) as a device would write to, 0xfee00000 and the rest of it
 * @data: (in) what it would write: vector, delivery mode
 * @__reserved: 0
 *
 * Needs no route of the VMM. Success does not say that the guest takes it: as
 * in hardware, one that is pending already swallows it, and what goes to a vCPU
 * that does not exist is lost. EINVAL: an address that KVM refuses. EOPNOTSUPP
 * as for PORTAL_IRQ_BIND.
 */
struct portal_irq_msi {
	__u32 size;
	__u32 flags;
	__aligned_u64 address;
	__u32 data;
	__u32 __reserved;
};

/* ---- requests and replies ---------------------------------------------- */

enum portal_kind {
	PORTAL_KIND_HYPERCALL = 1,
	PORTAL_KIND_MMIO = 2,
	PORTAL_KIND_PIO = 3,
	PORTAL_KIND_LIFECYCLE = 4,
	/* reserved: interrupt 5, command 6, CPUID 7, MSR 8, HLT 9,
	 * exception 10, pause 11
	 */
};

/**
 * enum portal_lifecycle - what a queue with PORTAL_QUEUE_F_LIFECYCLE is told
 * @PORTAL_LIFE_HELLO: the guest's handshake: data[0] version, [1] features, [2]
 *	the how-manieth since attach: from 2 on it was reset
 * @PORTAL_LIFE_VM_GONE: the last event: data[0] is enum portal_gone
 * @PORTAL_LIFE_VCPU: data[0] is the index of a vCPU: at its first request, or
 *	within a second or two of its creation if that was after attach; once
 * @PORTAL_LIFE_ATTACHED: the first event of a queue: data[0] vCPUs of the VM,
 *	[1] handshakes so far
 *
 * None is lost if the ring is full: it comes when there is room, before all
 * else but doorbells that wait; of several HELLOs that wait, the last, with
 * PORTAL_REQ_F_MERGED and their number in @count.
 */
enum portal_lifecycle {
	PORTAL_LIFE_HELLO = 1,
	PORTAL_LIFE_VM_GONE = 2,
	PORTAL_LIFE_VCPU = 3,
	PORTAL_LIFE_ATTACHED = 4,
};

enum portal_gone {
	PORTAL_GONE_EXITED = 1,		/* the VMM's address space is gone */
	PORTAL_GONE_CLOSED = 2,		/* the VMM lives and closed the VM */
};

/**
 * struct portal_request - one event of a guest
 * @id: of the request, unique in its VM; later accesses have higher ones
 * @kind: enum portal_kind
 * @flags: PORTAL_REQ_F_*
 * @vcpu: index of the vCPU
 * @hook_id: hook or region it belongs to
 * @epoch: ownership of the queue it was queued under
 * @len: MMIO, PIO: bytes of the access; of a CALL read, which is asked before
 *	its width is known, the most that can begin at this offset of the range
 *	(1, 2, 4, 8): the access takes the low bytes of the answer
 * @cookie: of its hook or region
 * @addr: hypercall number; MMIO, PIO: offset in the region; lifecycle: event
 * @call_id: the guest's own id of a hypercall, else 0
 * @time_ns: when it was queued
 * @data: hypercall: four arguments; write: the value in data[0], and with
 *	PORTAL_REQ_F_COUNTED the doorbell's aux offset in data[1]
 * @state_off: of the vCPU state in the ring mapping, 0 if none
 * @state_len: its bytes
 * @count: with PORTAL_REQ_F_MERGED: how many requests this one stands for
 * @__reserved: 0
 *
 * Life of a call (PORTAL_REQ_F_CALL)::
 *
 *        guest        kernel                          owner of the queue
 *    (a) access  -->  NEW, vCPU parks
 *    (b)              QUEUED: entry in the ring  -->  takes it
 *    (c)              TAKEN (head passed it)          works
 *    (d)              DONE  <-----------------------  reply by id
 *    (e) goes on <--  the instruction restarts, finds DONE, retires
 *
 * An interrupt, signal or QMP stop at (b) to (d) lets the vCPU out; the
 * restarted instruction finds its request again. Owner dies at (b) or (c): see
 * enum portal_orphan. Time-out: DONE with the hook's action, a late reply is
 * ENOENT. VM, hook or queue goes: DONE with an error.
 */
struct portal_request {
	__aligned_u64 id;
	__u32 kind;
	__u32 flags;
#define PORTAL_REQ_F_CALL		(1U << 0) /* wants a reply */
#define PORTAL_REQ_F_WRITE		(1U << 1)
#define PORTAL_REQ_F_REDELIVERED	(1U << 2) /* an earlier owner had it */
#define PORTAL_REQ_F_USER		(1U << 3) /* guest was at CPL > 0 */
#define PORTAL_REQ_F_COUNTED		(1U << 4) /* take the count from @aux */
#define PORTAL_REQ_F_MERGED		(1U << 5) /* stands for @count requests */
	__u32 vcpu;
	__u32 hook_id;
	__u32 epoch;
	__u32 len;
	__aligned_u64 cookie;
	__aligned_u64 addr;
	__aligned_u64 call_id;
	__aligned_u64 time_ns;
	__aligned_u64 data[4];
	__u32 state_off;
	__u32 state_len;
	__aligned_u64 count;
	__aligned_u64 __reserved[2];
};

/**
 * struct portal_reply - answer to one call
 * @id: of the request
 * @action: enum portal_action
 * @flags: must be 0
 * @value: for PORTAL_ACTION_VALUE: RAX, or the register's value
 * @error: for PORTAL_ACTION_ERROR: a positive errno of portal_guest.h, which a
 *	hypercall gets as -errno and a read as all ones; 0 is PORTAL_EIO
 * @__reserved: 0
 * @state_mask: vCPU state to write; must be 0 in this version
 */
struct portal_reply {
	__aligned_u64 id;
	__u32 action;
	__u32 flags;
	__aligned_u64 value;
	__u32 error;
	__u32 __reserved;
	__aligned_u64 state_mask;
};

/* ---- queue fd ---------------------------------------------------------- */

/**
 * struct portal_queue_info - ioctl(PORTAL_QUEUE_INFO) on a queue fd
 * @size: (in) sizeof(struct portal_queue_info)
 * @flags: (in) must be 0
 * @out_queue_id: of the queue
 * @out_epoch: of its present owner
 * @out_entries: ring entries
 * @out_pending: requests in the ring, not consumed
 * @out_mmap_size: bytes to mmap
 * @out_requests: put into the ring so far
 * @out_dropped: posted requests dropped
 * @out_wakeups: times a sleeping owner was woken
 * @out_replies: calls answered
 * @out_stale: replies that found no call
 */
struct portal_queue_info {
	__u32 size;
	__u32 flags;
	__u32 out_queue_id;
	__u32 out_epoch;
	__u32 out_entries;
	__u32 out_pending;
	__aligned_u64 out_mmap_size;
	__aligned_u64 out_requests;
	__aligned_u64 out_dropped;
	__aligned_u64 out_wakeups;
	__aligned_u64 out_replies;
	__aligned_u64 out_stale;
};

/**
 * struct portal_queue_cancel - ioctl(PORTAL_QUEUE_CANCEL) on a queue fd
 * @size: (in) sizeof(struct portal_queue_cancel)
 * @flags: (in) must be 0
 *
 * The parked FETCH or COMMIT_AND_FETCH ends with ECANCELED; ENOENT if none is
 * parked. The uring_cmd PORTAL_URING_CANCEL does the same. io_uring itself
 * cancels a command only when its ring or task goes, and only with
 * PORTAL_FEAT_URING_CANCEL.
 */
struct portal_queue_cancel {
	__u32 size;
	__u32 flags;
};

/**
 * struct portal_uring_cmd - the 16 bytes at sqe->cmd, and ioctl(QUEUE_COMMIT)
 * @replies_uptr: array of struct portal_reply, 0 if none
 * @nr_replies: its length, at most 256
 * @seen: FETCH: ring index up to which the owner has looked
 *
 * PORTAL_URING_FETCH parks until the ring holds an entry past @seen; its
 * result is how many. PORTAL_URING_COMMIT_AND_FETCH does the replies first.
 * PORTAL_QUEUE_COMMIT (ioctl; the one argument without size and flags, as it
 * is the uring_cmd's) does the replies only, ignores @seen, and returns how
 * many it did. Each of them, and write(), also tells the kernel that the
 * consumer's head moved. @seen more than a ring behind, and replies with a
 * FETCH, are EINVAL.
 *
 * A reply that finds no call (timed out, cancelled) is counted in out_stale
 * and skipped. A malformed one (EINVAL, EOPNOTSUPP, EFAULT) ends the command:
 * as the first it is the result, later it makes QUEUE_COMMIT and write()
 * return the number before it, and COMMIT_AND_FETCH fail with EINVAL.
 *
 * On kernels without PORTAL_FEAT_URING_CANCEL a parked command ends with ETIME
 * after about one second: submit it again. One command may be parked per
 * queue: a second one is EBUSY.
 */
struct portal_uring_cmd {
	__aligned_u64 replies_uptr;
	__u32 nr_replies;
	__u32 seen;
};

#define PORTAL_URING_FETCH		_IOWR(PORTAL_IOC_MAGIC, 0x80, struct portal_uring_cmd)
#define PORTAL_URING_COMMIT_AND_FETCH	_IOWR(PORTAL_IOC_MAGIC, 0x81, struct portal_uring_cmd)
#define PORTAL_URING_CANCEL		_IOWR(PORTAL_IOC_MAGIC, 0x82, struct portal_uring_cmd)

enum {
	PORTAL_CMD_GET_INFO = 0x00,
	PORTAL_CMD_VM_ATTACH = 0x01,
	PORTAL_CMD_VM_INFO = 0x10,
	PORTAL_CMD_VM_DUP = 0x11,
	PORTAL_CMD_HOOK_ADD = 0x12,
	PORTAL_CMD_HOOK_DEL = 0x13,
	PORTAL_CMD_REGION_ADD = 0x14,
	PORTAL_CMD_REGION_DEL = 0x15,
	PORTAL_CMD_QUEUE_CREATE = 0x16,
	PORTAL_CMD_QUEUE_OPEN = 0x17,
	PORTAL_CMD_QUEUE_DEL = 0x18,
	PORTAL_CMD_HOOK_INFO = 0x19,
	PORTAL_CMD_REGION_INFO = 0x1a,
	PORTAL_CMD_RATE_SET = 0x1b,
	PORTAL_CMD_MEM_LIST = 0x20,
	PORTAL_CMD_MEM_RW = 0x21,
	PORTAL_CMD_MEM_MAP = 0x22,
	PORTAL_CMD_MEM_UNMAP = 0x23,
	PORTAL_CMD_IRQ_BIND = 0x28,
	PORTAL_CMD_IRQ_UNBIND = 0x29,
	PORTAL_CMD_IRQ_MSI = 0x2a,
	PORTAL_CMD_QUEUE_INFO = 0x30,
	PORTAL_CMD_QUEUE_COMMIT = 0x31,
	PORTAL_CMD_QUEUE_CANCEL = 0x32,
};

/* on /dev/portal */
#define PORTAL_GET_INFO		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_GET_INFO)
#define PORTAL_VM_ATTACH	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_VM_ATTACH)
/* on a VM fd */
#define PORTAL_VM_INFO		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_VM_INFO)
#define PORTAL_VM_DUP		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_VM_DUP)
#define PORTAL_HOOK_ADD		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_HOOK_ADD)
#define PORTAL_HOOK_DEL		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_HOOK_DEL)
#define PORTAL_REGION_ADD	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_REGION_ADD)
#define PORTAL_REGION_DEL	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_REGION_DEL)
#define PORTAL_QUEUE_CREATE	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_CREATE)
#define PORTAL_QUEUE_OPEN	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_OPEN)
#define PORTAL_QUEUE_DEL	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_DEL)
#define PORTAL_HOOK_INFO	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_HOOK_INFO)
#define PORTAL_REGION_INFO	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_REGION_INFO)
#define PORTAL_RATE_SET		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_RATE_SET)
#define PORTAL_MEM_LIST		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_MEM_LIST)
#define PORTAL_MEM_RW		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_MEM_RW)
#define PORTAL_MEM_MAP		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_MEM_MAP)
#define PORTAL_MEM_UNMAP	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_MEM_UNMAP)
#define PORTAL_IRQ_BIND		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_IRQ_BIND)
#define PORTAL_IRQ_UNBIND	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_IRQ_UNBIND)
#define PORTAL_IRQ_MSI		_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_IRQ_MSI)
/* on a queue fd */
#define PORTAL_QUEUE_INFO	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_INFO)
#define PORTAL_QUEUE_COMMIT	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_COMMIT)
#define PORTAL_QUEUE_CANCEL	_IO(PORTAL_IOC_MAGIC, PORTAL_CMD_QUEUE_CANCEL)

#endif /* _UAPI_LINUX_PORTAL_H */
