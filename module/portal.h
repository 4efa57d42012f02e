/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portal.h - objects of the module; prototypes by file, in the order of the
 * path: hook -> request -> ring -> queue -> plugin -> reply
 *
 * Lifetime. A struct portal_vm is one KVM VM, shared by its clients. A client
 * is one VM_ATTACH: it owns hooks, regions, queues and windows, and goes with
 * the last of its VM fds. A queue lives on while a queue fd is open.
 *
 * Locks, outermost first: portal_vms_mutex, portal_client.lock (mutex),
 * kvm->slots_lock, portal_vm.lock (spin), portal_queue.lock (spin).
 *
 * The guest's side runs in portal_srcu. It leaves it only to sleep, counted in
 * portal_vm.nr_parked; who takes an object away unlinks it, ends its calls,
 * and calls synchronize_srcu().
 */
#ifndef _PORTAL_H
#define _PORTAL_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/portal.h>
#include <linux/portal_guest.h>
#include <linux/portal_ring.h>
#include "stats.h"

struct dentry;
struct eventfd_ctx;
struct file;
struct io_uring_cmd;
struct kvm;
struct portal_client;
struct portal_gva;
struct portal_queue;
struct portal_region;
struct portal_vcpu;
struct portal_vm;

/* Limits: whatever a guest or a daemon can repeat ends at one of these. */
#define PORTAL_MAX_VMS		1024
#define PORTAL_MAX_QUEUES	256
#define PORTAL_MAX_HOOKS	1024
#define PORTAL_MAX_ENTRIES	32768
#define PORTAL_MAX_CALLS	64
#define PORTAL_MAX_RANGES	64
#define PORTAL_MAX_REGION	(1U << 20)
#define PORTAL_MAX_WINDOWS	1024
#define PORTAL_MAX_REPLIES	256
#define PORTAL_MAX_VECS		1024
#define PORTAL_GVA_PAGES	16
#define PORTAL_MAX_TIMEOUT_NS	(3600ULL * NSEC_PER_SEC)
#define PORTAL_TIMEOUT_NS	(5ULL * NSEC_PER_SEC)
#define PORTAL_HOLD_NS		(10ULL * NSEC_PER_SEC)
#define PORTAL_LIFE_VCPUS	4096
#define PORTAL_MAX_FILTERS	16
#define PORTAL_MAX_ROUTES	64
#define PORTAL_MAX_RATE		NSEC_PER_SEC
#define PORTAL_MAX_BURST	(1U << 20)
#define PORTAL_MERGE_SLOTS	32
#define PORTAL_SYNC_SLOTS	64
#define PORTAL_SYNC_NS		(30ULL * NSEC_PER_SEC)
#define PORTAL_WAITS		8
#define PORTAL_PATIENCE_NS	(10ULL * NSEC_PER_MSEC)
#define PORTAL_MAX_BELLS	64
#define PORTAL_BUS_NR		(PORTAL_BUS_PIO + 1)

/* What the guest's instruction does next. */
enum portal_step {
	PORTAL_RETIRE,		/* done, go on */
	PORTAL_RESTART,		/* not done: execute it again */
	PORTAL_PASS,		/* not ours: as without portal */
};

enum portal_gate {
	PORTAL_GATE_HYPERCALL,
	PORTAL_GATE_MMIO,
	PORTAL_GATE_PIO,
	PORTAL_GATE_RELEASE,
	PORTAL_GATE_IOCTL,
	PORTAL_GATE_NR,
};

/**
 * struct portal_rate - a limit of requests per second, without a lock
 * @interval: ns that one request costs; 0: no limit
 * @tolerance: how far ahead of the clock @tat may be
 * @tat: when all requests so far would have come at the steady rate
 */
struct portal_rate {
	u64 interval;
	u64 tolerance;
	atomic64_t tat;
};

/**
 * struct portal_vm_ops - what a VM must be able to do; KVM or the mock
 * @park: sleep until woken, a guest interrupt or a signal; may return early
 * @wake: end @park of a vCPU, now or its next one; atomic context
 * @rip: address of the instruction under way, 0 if unknown
 * @gate: start or stop to see a kind of access of this VM, or its VMM's ioctls
 * @bus_add: let the accesses of a region reach region.c; checks overlaps
 * @bus_del: the reverse; afterwards nobody is in the region's callbacks
 * @gva: guest-physical address of a virtual one, U64_MAX: none; in the thread of
 *	the vCPU, which has just left @park
 * @mem_list: fill @slots, return how many there are
 * @mem_hva: where [gpa, gpa + *len) is in vm->mm; shortens *len to the slot
 * @mem_dirty: [gpa, gpa + len) was written
 * @mem_logged: somebody wants to know that of a part of [gpa, gpa + len)
 * @irq_bind: bind or unbind an eventfd and a GSI
 * @irq_has_edge: is it a pin that irq_edge() can raise?
 * @irq_edge: raise a pin and lower it; nobody else does meanwhile
 * @irq_msi: send a message
 * @irqchip: PORTAL_IRQCHIP_*
 * @nr_vcpus: how many
 * @closed: did the VMM close the VM? NULL if that can't happen
 * @release: let the VM go; nobody is inside
 */
struct portal_vm_ops {
	void (*park)(struct portal_vcpu *pv);
	void (*wake)(struct portal_vcpu *pv);
	u64 (*rip)(struct portal_vcpu *pv);
	int (*gate)(struct portal_vm *vm, enum portal_gate gate, bool on);
	int (*bus_add)(struct portal_region *region);
	void (*bus_del)(struct portal_region *region);
	u64 (*gva)(struct portal_vcpu *pv, u64 gva, bool write);
	int (*mem_list)(struct portal_vm *vm, struct portal_mem_slot *slots, u32 nr, u64 *gen);
	int (*mem_hva)(struct portal_vm *vm, u64 gpa, u64 *len, bool write, unsigned long *hva);
	void (*mem_dirty)(struct portal_vm *vm, u64 gpa, u64 len);
	bool (*mem_logged)(struct portal_vm *vm, u64 gpa, u64 len);
	int (*irq_bind)(struct portal_vm *vm, const struct portal_irq_bind *irq, bool bind);
	bool (*irq_has_edge)(struct portal_vm *vm, u32 gsi);
	void (*irq_edge)(struct portal_vm *vm, u32 gsi);
	int (*irq_msi)(struct portal_vm *vm, u64 address, u32 data);
	u32 (*irqchip)(struct portal_vm *vm);
	u32 (*nr_vcpus)(struct portal_vm *vm);
	bool (*closed)(struct portal_vm *vm);
	void (*release)(struct portal_vm *vm);
};

/**
 * struct portal_sync - a write that is posted and may retire once consumed
 * @region: only to tell it from others; NULL: free
 * @queue: whose position @pos is; one of the region's
 * @offset: what the guest stored,
 * @len: so that the restarted store is known again, on any vCPU:
 * @value: identical stores are interchangeable
 * @pos: where head must be
 * @until: then nobody will come for it any more
 */
struct portal_sync {
	const struct portal_region *region;
	struct portal_queue *queue;
	u32 offset;
	u32 len;
	u64 value;
	u64 pos;
	u64 until;
};

/**
 * struct portal_gate_map - registers whose access may have to wait
 * @nr: how many stretches
 * @range: in order, apart from each other
 */
struct portal_gate_map {
	struct rcu_head rcu;
	u32 nr;
	struct {
		u64 first, last;
	} range[];
};

/**
 * struct portal_vm - one KVM VM that somebody attached to
 * @node: in the table of all VMs, by @key; SRCU and RCU
 * @key: struct kvm * or another unique pointer
 * @ref: one for each client
 * @id: number of this VM since the module was loaded
 * @pid: of the VMM, in the initial namespace
 * @debugfs: its directory
 * @next_client: under portal_vms_mutex
 * @mm: of the VMM; its mm_count is held
 * @mn: tells when @mm goes
 * @gone: VMM or VM is dead, or is being detached
 * @gone_reason: enum portal_gone, 0: its clients left
 * @hello: the guest made its handshake
 * @eagain: and it knows what -PORTAL_EAGAIN is
 * @unhashed: out of the table; under portal_vms_mutex
 * @watched: @closed can be believed
 * @closed: the VM's file is closed: KVM takes no irqfds any more
 * @released: @key is not ours any more; under @alive
 * @alive: held for reading by who uses @key outside of a client's lock
 * @gone_work: takes everything down after @gone
 * @poll_work: looks whether the VMM closed the VM
 * @lock: protects @calls, @ids and the calls in them
 * @calls: unfinished calls by what the guest repeats
 * @ids: the same by request id
 * @syncs: SYNC writes that vCPUs wait for; under @lock
 * @timeout_work: ends calls and waits that are over their deadline
 * @timeout_at: when it runs next, 0 if not armed; under @lock
 * @vcpus: struct portal_vcpu by index
 * @nr_vcpus: those that poll_work has seen
 * @vcpus_told: PORTAL_LIFE_VCPU was sent
 * @clients: struct portal_client.node, under portal_vms_mutex
 * @hooks: hypercall hooks of all clients; SRCU, changed under @hooks_lock
 * @regions: regions of all clients; SRCU, changed under @hooks_lock
 * @hc_first: no hook below it, for the quick look
 * @hc_last: no hook above it
 * @irq_lock: for irq_edge()
 * @gate_first: by bus, no register to wait for below it
 * @gate_last: nor above it
 * @gate_map: registers to wait for in between; NULL: perhaps all. RCU
 * @nr_parked: threads asleep outside portal_srcu
 * @parked_wq: @nr_parked became 0
 * @inplace_wq: for waits that cannot restart the instruction
 */
struct portal_vm {
	struct hlist_node node;
	void *key;
	struct kref ref;
	const struct portal_vm_ops *ops;
	u32 id;
	pid_t pid;
	struct dentry *debugfs;
	u32 next_client;
	struct mm_struct *mm;
	struct mmu_notifier mn;
	bool gone;
	u32 gone_reason;
	bool hello, eagain;
	struct rcu_head rcu;
	bool unhashed, released;
	bool watched, closed;
	struct rw_semaphore alive;
	struct work_struct gone_work;
	struct delayed_work poll_work;

	spinlock_t lock;
	DECLARE_HASHTABLE(calls, 6);
	DECLARE_HASHTABLE(ids, 6);
	struct delayed_work timeout_work;
	u64 timeout_at;
	atomic64_t next_id;
	struct portal_sync syncs[PORTAL_SYNC_SLOTS];
	struct xarray vcpus;
	u32 nr_vcpus;
	DECLARE_BITMAP(vcpus_told, PORTAL_LIFE_VCPUS);

	struct list_head clients;
	struct mutex hooks_lock, irq_lock;
	struct list_head hooks;
	struct list_head regions;
	u32 hc_first, hc_last;
	u64 gate_first[PORTAL_BUS_NR], gate_last[PORTAL_BUS_NR];
	struct portal_gate_map __rcu *gate_map[PORTAL_BUS_NR];

	atomic_t nr_parked;
	wait_queue_head_t parked_wq;
	wait_queue_head_t inplace_wq;

	struct portal_stats stats;
	struct portal_rate rate;
};

/**
 * struct portal_wait - a wait that restarted instructions go on with
 * @key: what is waited for; NULL: free
 * @pos: and up to where
 * @deadline: since the first execution
 */
struct portal_wait {
	const void *key;
	u64 pos;
	u64 deadline;
};

/**
 * struct portal_vcpu - what portal knows of a vCPU; used by its thread
 * @arch: struct kvm_vcpu * or the mock's
 * @srcu_idx: of the portal_srcu section the thread is in
 * @gated: the instruction under way can be restarted
 * @fence_q: queue whose head this vCPU waits for, under its lock
 * @fence_t: hook or region it waits in
 * @fence_pos: until head is there
 * @fence_deadline: and not longer; 0 if it does not wait
 * @fence_node: in portal_queue.fences
 * @waits: what instructions wait for; one per level of interrupted ones
 * @admitted: hook that was let in by the rate limit, and waits for room
 * @calls: calls made by this vCPU, oldest first; under portal_vm.lock
 * @posted: region of the SYNC write that the access made, with @sync
 * @may_undo: the access may be a store that must be undone
 * @once: the access did what a second execution would do again
 * @fenced: region whose earlier writes were waited for before the access
 * @answered: call that was answered before the access, which has not taken it
 * @parked: how long its waits took
 * @gva: who asks for its addresses while it is parked (gva.c)
 */
struct portal_vcpu {
	struct portal_vm *vm;
	u32 id;
	void *arch;
	int srcu_idx;
	bool gated;
	struct portal_queue *fence_q;
	const struct portal_target *fence_t;
	u64 fence_pos;
	u64 fence_deadline;
	struct list_head fence_node;
	struct portal_wait waits[PORTAL_WAITS];
	const struct portal_hook *admitted;
	struct list_head calls;
	u32 nr_calls;
	struct portal_target *posted;
	struct portal_sync sync;
	struct portal_call *answered;
	bool may_undo, once;
	const struct portal_region *fenced;
	struct portal_hist parked;
	struct portal_gva *gva;
};

/**
 * struct portal_client - one VM_ATTACH
 * @fds: open VM fds
 * @lock: protects the lists and tables below
 * @dead: detached or the VM is gone
 * @down: and nothing of it is in the VM any more
 * @irqfds: struct portal_irqfd
 * @id: number in its VM
 * @debugfs: its directory, NULL once it is taken down
 */
struct portal_client {
	struct portal_vm *vm;
	u32 id;
	struct dentry *debugfs;
	struct list_head node;
	struct kref ref;
	atomic_t fds;
	struct mutex lock;
	bool dead, down;
	struct xarray hooks;
	struct xarray regions;
	struct xarray queues;
	struct xarray windows;
	u32 nr_hooks, nr_regions, nr_queues, nr_windows, nr_irqfds;
	struct list_head irqfds;
	struct inode *inode;
	struct portal_rate rate;
};

/* Does an access to registers of this attribute ever wait, if there is room? */
static inline bool portal_attr_waits(u32 attr)
{
	return attr == PORTAL_ATTR_FENCED || attr == PORTAL_ATTR_SYNC || attr == PORTAL_ATTR_CALL;
}

/**
 * struct portal_route - a queue that a hook or region sends to
 * @queue: referenced
 * @posted_pos: its position after the last posted write, for FENCED
 */
struct portal_route {
	struct portal_queue *queue;
	atomic64_t posted_pos;
};

struct portal_rule {
	struct portal_filter f;
	atomic64_t hits;
};

/**
 * struct portal_merge - PORTAL_POLICY_COALESCE: the last request of an offset
 * @queue: set for good by whose first request took the slot; its lock protects
 *	the rest
 * @node: in portal_queue.merges while @count is not 0
 * @addr: number or offset
 * @pos: ring position behind the last one that was written
 * @count: requests that @req stands for and that wait; 0: none does
 * @req: the last of them
 */
struct portal_merge {
	struct portal_queue *queue;
	struct list_head node;
	u64 addr;
	u64 pos;
	u64 count;
	struct portal_request req;
};

/**
 * struct portal_target - what a hook and a region have in common
 * @nr_routes: queues, see portal_target_route_of()
 * @nr_rules: filters
 * @merges: PORTAL_MERGE_SLOTS with PORTAL_POLICY_COALESCE, else NULL
 */
struct portal_target {
	u32 id;
	u32 nr_routes, nr_rules;
	struct portal_client *client;
	struct portal_route *routes;
	struct portal_rule *rules;
	struct portal_merge *merges;
	u64 cookie;
	u64 timeout_ns;
	u64 timeout_value;
	u32 on_timeout;
	u32 policy;
	bool dead;
	struct portal_target_stats stats;
};

struct portal_hook {
	struct list_head node;
	struct portal_client *client;
	struct portal_target t;
	u32 flags;
	u32 first, last;
};

struct portal_range {
	u32 offset, len, attr, flags, aux, width;
	u64 datamatch;
	struct eventfd_ctx *eventfd;
};

/**
 * struct portal_region - device registers
 * @shadow: the pages behind SHADOW reads, shared with the owner
 * @gated: some range needs to wait
 * @bus: for portal_vm_ops.bus_add
 */
struct portal_region {
	struct list_head node;
	struct portal_client *client;
	struct portal_target t;
	u32 bus_nr;
	u64 gpa;
	u32 len;
	u32 shadow_size;
	u8 *shadow;
	u64 shadow_off;
	bool gated;
	struct kref ref;
	void *bus;
	u32 nr_ranges;
	struct portal_range ranges[];
};

enum portal_call_state {
	PORTAL_CALL_NEW,	/* waits for room in the ring */
	PORTAL_CALL_QUEUED,	/* in the ring, perhaps taken */
	PORTAL_CALL_DONE,	/* answered */
};

/**
 * struct portal_call - a request that wants an answer; under portal_vm.lock
 * @node: in portal_vm.calls
 * @id_node: in portal_vm.ids
 * @vcpu_node: in portal_vcpu.calls of the creator
 * @queue_node: in portal_queue.calls; under portal_queue.lock too
 * @waiter: vCPU that sleeps for it, the last one
 * @shared: other vCPUs may sleep for it too
 * @patience: when that vCPU has waited enough, 0 if it waits to the end
 * @target: its hook or region, also an identity; not followed after it died,
 *	which no call that is not DONE lives to see
 * @rip: address of a register access's instruction
 * @pos: ring position while QUEUED
 * @taken_ns: when the owner had it, 0 not yet; under portal_queue.lock
 * @replied: the owner ended it
 */
struct portal_call {
	struct hlist_node node;
	struct hlist_node id_node;
	struct list_head vcpu_node;
	struct list_head queue_node;
	refcount_t ref;
	enum portal_call_state state;
	struct portal_vcpu *creator;
	struct portal_vcpu *waiter;
	u64 patience;
	struct portal_queue *queue;
	struct portal_target *target;
	u64 rip;
	u64 pos;
	u64 taken_ns;
	u64 deadline;
	u64 timeout_value;
	u32 on_timeout;
	u32 action;
	u32 error;
	u64 value;
	bool dead;
	bool replied;
	bool shared;
	struct portal_request req;
};

/**
 * struct portal_slot - what is known of a ring entry, out of its owner's reach
 * @id: of the request
 * @time_ns: when it was put there
 * @call: that waits for it, NULL none
 */
struct portal_slot {
	u64 id;
	u64 time_ns;
	struct portal_call *call;
};

/**
 * struct portal_life - events that wait for room in the ring; portal_queue.lock
 * @attached: PORTAL_LIFE_ATTACHED waits
 * @gone: PORTAL_LIFE_VM_GONE waits
 * @hellos: so many PORTAL_LIFE_HELLO wait as one
 * @nr_vcpus: bits set in @vcpus
 * @vcpus: PORTAL_LIFE_VCPU of these wait
 */
struct portal_life {
	bool attached, gone;
	u64 hellos;
	u64 attached_data[3], gone_data[3], hello_data[3];
	u32 nr_vcpus;
	DECLARE_BITMAP(vcpus, PORTAL_LIFE_VCPUS);
};

/**
 * struct portal_pages - a ring's memory; each ownership has its own
 * @ref: of the queue while it is the present one, and of the owner's file
 */
struct portal_pages {
	refcount_t ref;
	struct portal_ring *ring;
};

/**
 * struct portal_queue - a ring and who serves it
 * @lock: protects all below but @ring's entries
 * @pages: of the present or last owner
 * @ring: the memory itself
 * @tail: next position to write
 * @head: consumed up to here, as last believed
 * @seen: the owner has looked at entries before it
 * @taken: entries before it are in @taken_ns
 * @slots: one for each entry
 * @taken_ns: from the ring to the owner
 * @answered_ns: calls, from there to the reply
 * @calls: unanswered calls of this queue
 * @bells: doorbells that wait for room
 * @fences: vCPUs that wait for @head
 * @merges: struct portal_merge.node
 * @life: with PORTAL_QUEUE_F_LIFECYCLE, else NULL
 * @backlog: doorbells and calls that wait for room
 * @epoch: number of the ownership
 * @owned: an owner's fd is open
 * @failed: nobody took it over in time, or @orphan is FAIL
 * @dead: deleted or the VM is gone
 * @cmd: parked uring_cmd
 */
struct portal_queue {
	struct kref ref;
	struct portal_client *client;
	u32 id;
	u32 flags;
	u32 orphan;
	u64 hold_ns;

	spinlock_t lock;
	struct portal_pages *pages;
	struct portal_ring *ring;
	size_t ring_size;
	u32 entries;
	u32 ring_flags;
	u64 tail, head, seen, taken;
	struct portal_slot *slots;
	struct portal_hist taken_ns, answered_ns;
	struct list_head calls;
	struct list_head bells;
	struct list_head fences;
	struct list_head merges;
	struct portal_life *life;
	u32 backlog, nr_bells;
	u32 epoch;
	bool owned, failed, dead;
	struct delayed_work orphan_work;
	struct work_struct free_work;
	struct rcu_head rcu;

	struct io_uring_cmd *cmd;
	pid_t cmd_tgid;
	u64 cmd_seen;
	struct delayed_work cmd_work;

	wait_queue_head_t wait;		/* readers */
	wait_queue_head_t space;	/* back-pressure */
	struct mutex read_mutex;

	u64 nr_requests, nr_dropped, nr_wakeups, nr_replies, nr_stale;
};

/* private_data of the files */
struct portal_vm_file {
	struct portal_client *client;
	u32 rights;
};

struct portal_queue_file {
	struct portal_queue *queue;
	struct portal_pages *pages;
	u32 epoch;
};

struct portal_hypercall {
	u32 nr;
	u32 cpl;
	u64 call_id;
	u64 args[4];
	u64 value;
};

extern struct srcu_struct portal_srcu;

/* main.c */
extern u64 portal_features;
extern struct workqueue_struct *portal_wq;

/* kvm.c */
int portal_kvm_init(void);
void portal_kvm_exit(void);
int portal_kvm_attach(int fd, struct portal_vm **vm);
extern const struct portal_vm_ops portal_kvm_ops;

/* kvm_gate.c */
int portal_gate_set(enum portal_gate gate, bool on);
void portal_gate_exit(void);

/* kvm_bus.c */
int portal_kvm_bus_add(struct portal_region *region);
void portal_kvm_bus_del(struct portal_region *region);

/* kvm_mem.c */
int portal_kvm_mem_list(struct portal_vm *vm, struct portal_mem_slot *slots, u32 nr, u64 *gen);
int portal_kvm_mem_hva(struct portal_vm *vm, u64 gpa, u64 *len, bool write, unsigned long *hva);
void portal_kvm_mem_dirty(struct portal_vm *vm, u64 gpa, u64 len);
bool portal_kvm_mem_logged(struct portal_vm *vm, u64 gpa, u64 len);
bool portal_kvm_mem_overlaps(struct kvm *kvm, u64 gpa, u64 len);

/* vm.c */
extern struct mutex portal_vms_mutex;
struct portal_vm *portal_vm_find(void *key);
struct portal_vm *portal_vm_alloc(void *key, struct mm_struct *mm,
				  const struct portal_vm_ops *ops);
void portal_vm_unalloc(struct portal_vm *vm);
int portal_vm_add(struct portal_vm *vm);
void portal_vm_put(struct portal_vm *vm);
int portal_vm_link(struct portal_vm *vm, struct portal_client *client);
void portal_vm_unlink(struct portal_vm *vm, struct portal_client *client);
bool portal_vm_enter(struct portal_vm *vm);
void portal_vm_exit(struct portal_vm *vm);
void portal_vm_mark_gone(struct portal_vm *vm, u32 reason);
void portal_vm_wake_all(struct portal_vm *vm);
void portal_vm_bounds(struct portal_vm *vm);
struct portal_vcpu *portal_vcpu_get(struct portal_vm *vm, u32 id, void *arch);
void portal_leave(struct portal_vcpu *pv);
void portal_reenter(struct portal_vcpu *pv);
void portal_park(struct portal_vcpu *pv);
u32 portal_vm_count(void);

/* client.c */
int portal_vm_ioctl_attach(struct file *file, struct portal_vm_attach *arg);
int portal_client_fd(struct portal_vm *vm, u32 rights);
void portal_client_shutdown(struct portal_client *client);
int portal_vm_ioctl_dup(struct portal_vm_file *vf, struct portal_vm_dup *arg);
int portal_vm_ioctl_info(struct portal_vm_file *vf, struct portal_vm_info *arg);
void portal_client_put(struct portal_client *client);
int portal_shadow_mmap(struct portal_client *client, struct vm_area_struct *vma, u32 rights,
		       const struct portal_queue *queue);
extern const struct file_operations portal_vm_fops;

/* inode.c */
int portal_inode_init(void);
void portal_inode_exit(void);
struct inode *portal_inode_new(void);

/* hook.c */
int portal_hook_ioctl_add(struct portal_vm_file *vf, struct portal_hook_add *arg);
int portal_hook_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg);
void portal_hook_unlink(struct portal_hook *hook);
void portal_hook_free(struct portal_hook *hook);

/* target.c */
int portal_target_alloc(struct portal_target *t, u64 filters_uptr, u32 nr_filters, bool region,
			bool posted);
int portal_target_route(struct portal_client *client, struct portal_target *t, u32 queue_id,
			u64 queues_uptr, u32 nr_queues);
void portal_target_free(struct portal_target *t);
void portal_target_kill(struct portal_vm *vm, struct portal_target *t);
bool portal_target_uses(const struct portal_target *t, const struct portal_queue *queue);
void portal_target_drop(struct portal_target *t, struct portal_queue *queue);
int portal_hook_ioctl_info(struct portal_vm_file *vf, struct portal_target_info *arg);
int portal_region_ioctl_info(struct portal_vm_file *vf, struct portal_target_info *arg);

/* filter.c */
int portal_filters_get(struct portal_target *t, u64 filters_uptr, u32 nr, bool region, bool posted);
struct portal_rule *portal_filter_find(const struct portal_target *t, bool write, u32 offset,
				       u32 len, const u64 *data, bool *maybe);
u32 portal_filter_apply(struct portal_target *t, struct portal_rule *rule);

/* rate.c */
int portal_rate_ioctl_set(struct portal_vm_file *vf, struct portal_rate_set *arg);
enum portal_step portal_rate_admit(struct portal_vcpu *pv, struct portal_target *t, bool call,
				   bool inplace);

/* merge.c */
int portal_merge_post(struct portal_target *t, struct portal_queue *queue,
		      struct portal_request *req, u64 *pos);
bool portal_merge_flush(struct portal_queue *queue);
void portal_merge_drop(struct portal_target *t);

/* hook_hypercall.c */
enum portal_step portal_hypercall(struct portal_vcpu *pv, struct portal_hypercall *hc);

/* region.c */
int portal_region_ioctl_add(struct portal_vm_file *vf, struct portal_region_add *arg);
int portal_region_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg);
void portal_region_unlink(struct portal_region *region);
void portal_region_off_bus(struct portal_region *region);
void portal_region_free(struct portal_region *region);
void portal_region_put(struct portal_region *region);
void portal_regions_map(struct portal_vm *vm, u32 bus);

/* hook_mmio.c */
enum portal_step portal_region_before(struct portal_vcpu *pv, struct portal_region *region,
				      u32 offset, bool write);
int portal_region_read(struct portal_vcpu *pv, struct portal_region *region, u32 offset,
		       u32 len, void *val);
int portal_region_write(struct portal_vcpu *pv, struct portal_region *region, u32 offset,
			u32 len, const void *val);
enum portal_step portal_region_after(struct portal_vcpu *pv, bool can_restart, bool executed);
void portal_syncs_forget(struct portal_vm *vm, const struct portal_region *region);
bool portal_region_guess(struct portal_vcpu *pv, const struct portal_region *region, u32 offset,
			 bool *write);
struct portal_region *portal_region_find(struct portal_vm *vm, u32 bus, u64 addr);

/* doorbell.c */
void portal_doorbell_ring(struct portal_vcpu *pv, struct portal_region *region,
			  struct portal_request *req);
void portal_bells_refill(struct portal_queue *queue);
void portal_bells_drop(struct portal_queue *queue, const struct portal_region *region);

/* request.c */
void portal_request_init(struct portal_request *req, struct portal_vcpu *pv,
			 const struct portal_target *t, u32 kind);
struct portal_call *portal_call_get(struct portal_vcpu *pv, struct portal_target *t,
				    const struct portal_request *key, u64 rip, bool evict,
				    bool inplace);
bool portal_call_wait(struct portal_vcpu *pv, struct portal_call *call, bool inplace);
bool portal_call_try(struct portal_vcpu *pv, struct portal_call *call, bool *again);
void portal_call_retire(struct portal_vm *vm, struct portal_call *call);
void portal_call_put(struct portal_call *call);
void portal_call_finish(struct portal_call *call, u32 action, u64 value, u32 error);
void portal_calls_cancel(struct portal_vm *vm, const struct portal_target *t,
			 const struct portal_queue *queue, u32 error);
void portal_calls_drop(struct portal_vm *vm);
int portal_call_reply(struct portal_queue_file *qf, const struct portal_reply *reply);
void portal_timeout_arm(struct portal_vm *vm, u64 deadline);
void portal_timeout_work(struct work_struct *work);

/* ring.c */
struct portal_pages *portal_pages_alloc(const struct portal_queue *queue);
void portal_pages_put(struct portal_pages *pages);
void portal_ring_move(struct portal_queue *queue, struct portal_pages *pages);
void portal_ring_header(struct portal_queue *queue);
void portal_ring_write(struct portal_queue *queue, const struct portal_request *req,
		       struct portal_call *call);
u64 portal_ring_id(const struct portal_queue *queue, u64 pos);
void portal_ring_taken(struct portal_queue *queue, u64 pos, u64 now);
void portal_ring_done(struct portal_queue *queue, struct portal_call *call, u64 now);
size_t portal_ring_bytes(u32 entries);
bool portal_ring_full(const struct portal_queue *queue);
void portal_ring_head(struct portal_queue *queue);
struct portal_request *portal_ring_entry(const struct portal_queue *queue,
					 struct portal_ring *ring, u64 pos);
void portal_ring_flag(struct portal_queue *queue, u32 flag, bool on);

/* queue.c */
int portal_queue_ioctl_create(struct portal_vm_file *vf, struct portal_queue_create *arg);
int portal_queue_ioctl_open(struct portal_vm_file *vf, struct portal_queue_open *arg);
int portal_queue_ioctl_del(struct portal_vm_file *vf, struct portal_id *arg);
int portal_queue_ioctl_info(struct portal_queue_file *qf, struct portal_queue_info *arg);
struct portal_queue *portal_queue_find(struct portal_client *client, u32 id);
void portal_queue_put(struct portal_queue *queue);
void portal_queue_kill(struct portal_queue *queue);
void portal_queue_orphan(struct portal_queue *queue, u32 epoch);
int portal_queue_check(struct portal_queue_file *qf);

/* post.c */
int portal_queue_post(struct portal_queue *queue, struct portal_request *req, u64 *pos);
int portal_queue_call(struct portal_queue *queue, struct portal_call *call);
void portal_queue_consumed(struct portal_queue *queue);
void portal_queue_drop(struct portal_queue *queue, u64 nr);
bool portal_queue_room(struct portal_queue *queue, u32 flag);
void portal_queue_settle(struct portal_queue *queue);
void portal_queue_wake(struct portal_queue *queue);
struct portal_wait *portal_wait_find(struct portal_vcpu *pv, const void *key, u64 pos);
struct portal_wait *portal_wait_get(struct portal_vcpu *pv, const void *key, u64 pos,
				    u64 timeout);
void portal_wait_end(struct portal_vcpu *pv, const void *key, u64 pos);
bool portal_fence_passed(struct portal_queue *queue, u64 pos);
bool portal_fence_wait(struct portal_vcpu *pv, struct portal_target *t,
		       struct portal_queue *queue, u64 pos, const void *key, bool inplace);

/* life.c */
int portal_life_alloc(struct portal_queue *queue);
bool portal_life_pending(const struct portal_queue *queue);
bool portal_life_flush(struct portal_queue *queue);
void portal_life_queue(struct portal_queue *queue, u32 event, u64 d0, u64 d1, u64 d2);
void portal_life_client(struct portal_client *client, u32 event, u64 d0, u64 d1, u64 d2);
void portal_life_vm(struct portal_vm *vm, u32 event, u64 d0, u64 d1, u64 d2);
void portal_life_vcpu(struct portal_vm *vm, u32 id);
void portal_life_poll(struct portal_vm *vm);

/* chardev.c */
extern const struct file_operations portal_queue_fops;
int portal_chardev_init(void);
void portal_chardev_exit(void);

/* ioctl.c */
long portal_ioctl_dev(struct file *file, unsigned int cmd, unsigned long arg);
long portal_ioctl_vm(struct file *file, unsigned int cmd, unsigned long arg);
long portal_ioctl_queue(struct file *file, unsigned int cmd, unsigned long arg);

/* uring_cmd.c */
int portal_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
void portal_uring_work(struct work_struct *work);
void portal_uring_complete(struct portal_queue *queue, int res);
int portal_queue_ioctl_cancel(struct portal_queue_file *qf, struct portal_queue_cancel *arg);
int portal_uring_flush(struct file *file, fl_owner_t id);

/* reply.c */
int portal_replies(struct portal_queue_file *qf, const struct portal_reply __user *ureplies,
		   u32 nr);
int portal_queue_ioctl_commit(struct portal_queue_file *qf, struct portal_uring_cmd *arg);

/* memory.c */
int portal_mem_ioctl_list(struct portal_vm_file *vf, struct portal_mem_list *arg);
int portal_mem_ioctl_rw(struct portal_vm_file *vf, struct portal_mem_rw *arg);

/* gva.c */
void portal_gva_open(struct portal_vcpu *pv);
void portal_gva_close(struct portal_vcpu *pv);
int portal_gva_translate(struct portal_vm *vm, u32 vcpu, u64 gva, u32 nr, bool write, u64 *gpa);

/* window.c */
struct portal_window;
int portal_mem_ioctl_map(struct portal_vm_file *vf, struct portal_mem_map *arg);
int portal_mem_ioctl_unmap(struct portal_vm_file *vf, struct portal_id *arg);
void portal_window_remove(struct portal_window *window);
void portal_windows_close(struct portal_vm_file *vf);
int portal_window_mmap(struct portal_client *client, struct vm_area_struct *vma, u32 id);

/* window_bind.c */
void portal_windows_recheck(struct portal_vm *vm);

/* irq.c */
int portal_irq_ioctl_bind(struct portal_vm_file *vf, struct portal_irq_bind *arg);
int portal_irq_ioctl_unbind(struct portal_vm_file *vf, struct portal_irq_bind *arg);
int portal_irq_ioctl_msi(struct portal_vm_file *vf, struct portal_irq_msi *arg);
void portal_irq_release(struct portal_client *client);

/* shared.c */
void *portal_shared_alloc(size_t size);
int portal_shared_mmap(struct vm_area_struct *vma, void *mem, size_t size, unsigned long first);

/* debugfs.c */
void portal_debugfs_init(void);
void portal_debugfs_exit(void);
void portal_debugfs_vm(struct portal_vm *vm);
void portal_debugfs_client(struct portal_client *client);
void portal_debugfs_client_del(struct portal_client *client);
void portal_debugfs_hook(struct portal_hook *hook);
void portal_debugfs_region(struct portal_region *region);
void portal_debugfs_queue(struct portal_queue *queue);
void portal_debugfs_del(struct portal_client *client, const char *what, u32 id);

/* mock.c */
#ifdef CONFIG_PORTAL_MOCK
long portal_mock_ioctl_dev(unsigned int cmd, void __user *uarg);
long portal_mock_ioctl_vm(struct portal_vm_file *vf, unsigned int cmd, void __user *uarg);
#endif

/* mmap offsets of a VM fd: kind in the top, id, then the byte */
#define PORTAL_MMAP_SHADOW	1ULL
#define PORTAL_MMAP_WINDOW	2ULL
#define PORTAL_MMAP_KIND_SHIFT	60
#define PORTAL_MMAP_ID_SHIFT	44
#define PORTAL_MMAP_OFF(kind, id) \
	(((kind) << PORTAL_MMAP_KIND_SHIFT) | ((u64)(id) << PORTAL_MMAP_ID_SHIFT))

/* The same queue for all that a vCPU does, so that its order is kept. */
static inline struct portal_route *portal_target_route_of(const struct portal_target *t,
							  const struct portal_vcpu *pv)
{
	return &t->routes[t->nr_routes == 1 ? 0 : pv->id % t->nr_routes];
}

static inline u32 portal_region_right(const struct portal_region *region)
{
	return region->bus_nr == PORTAL_BUS_PIO ? PORTAL_RIGHT_PIO : PORTAL_RIGHT_MMIO;
}

static inline bool portal_client_may(const struct portal_vm_file *vf, u32 rights)
{
	return (vf->rights & rights) == rights;
}

#endif /* _PORTAL_H */
