/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libkvmportal - hooks, queues, memory and interrupts of a running KVM guest
 *
 * Functions return 0 or a positive value, or -errno; they never print and
 * never set errno. The errnos of /dev/portal are in <linux/portal.h>. Objects
 * of one VM may be used from several threads; one queue by one thread at a
 * time. File descriptors returned belong to the caller unless it says so; one
 * that a function takes over stays the caller's if the function fails. A VM is
 * closed after its regions and its memory.
 *
 * Options start with @sz, the size of the struct that the caller knows: the
 * members it doesn't know are 0. NULL: all 0. -E2BIG: the caller sets something
 * that this library does not know.
 */
#ifndef KVMPORTAL_PORTAL_H
#define KVMPORTAL_PORTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/portal.h>
#include <linux/portal_ring.h>

#ifdef __cplusplus
extern "C" {
#endif

struct portal_dev;
struct portal_vm;
struct portal_queue;
struct portal_region;
struct portal_mem;
struct io_uring;
struct io_uring_cqe;

#pragma GCC visibility push(default)

/* ---- version (version.c) ----------------------------------------------- */

const char *portal_version(void);
/* The name of the table in portal.h for -err, such as "EEXIST: the range ...". */
const char *portal_strerror(int err);

/* ---- device (device.c) ------------------------------------------------- */

/* Opens @path (NULL: /dev/portal). -ENOENT: the module is not loaded. */
int portal_dev_open(const char *path, struct portal_dev **dev);
void portal_dev_close(struct portal_dev *dev);
int portal_dev_fd(const struct portal_dev *dev);
int portal_dev_info(struct portal_dev *dev, struct portal_info *info);

/* ---- VM (vm.c, process.c) ---------------------------------------------- */

/*
 * A duplicate of the KVM VM fd of process @pid, by pidfd_getfd(2).
 * -ESRCH no such process, -EPERM no ptrace rights, -ENOENT it has no VM,
 * -ENOTUNIQ it has several (then use portal_vm_fds_of_pid()).
 */
int portal_vm_fd_of_pid(pid_t pid);
/* The fd numbers inside @pid that are KVM VMs; returns how many there are. */
int portal_vm_fds_of_pid(pid_t pid, int *fds, size_t nr);
/* Duplicate of fd number @fd inside @pid. */
int portal_fd_of_pid(pid_t pid, int fd);

/*
 * Attaches with @rights (PORTAL_RIGHT_*). @kvm_vm_fd stays the caller's: close it
 * then, for it keeps the VM alive when the VMM is gone.
 */
int portal_vm_attach(struct portal_dev *dev, int kvm_vm_fd, uint32_t rights,
		     struct portal_vm **vm);
/* Wraps a portal VM fd received from elsewhere; takes over @fd. */
int portal_vm_from_fd(int fd, struct portal_vm **vm);
/* A new VM fd with fewer rights, to pass on. */
int portal_vm_dup(struct portal_vm *vm, uint32_t rights);
int portal_vm_fd(const struct portal_vm *vm);
int portal_vm_get_info(struct portal_vm *vm, struct portal_vm_info *info);
/*
 * At most @rate requests of the guest per second, @burst at once; 0, 0: no limit.
 * @flags: PORTAL_RATE_F_*.
 */
int portal_vm_set_rate(struct portal_vm *vm, uint32_t flags, uint64_t rate, uint32_t burst);
/* Closes the fd; the last close of all duplicates detaches. */
void portal_vm_close(struct portal_vm *vm);

/* ---- hooks and regions (hook.c, region.c) ------------------------------ */

struct portal_hook_opts {
	size_t sz;		/* sizeof(struct portal_hook_opts) */
	uint32_t flags;		/* PORTAL_HOOK_F_* */
	uint64_t cookie;
	uint64_t timeout_ns;
	uint64_t timeout_value;
	uint32_t on_timeout;	/* enum portal_action */
	uint32_t policy;	/* enum portal_policy */
	const struct portal_filter *filters;
	const uint32_t *queues;	/* a set of them; then queue_id is 0 */
	uint32_t nr_filters;
	uint32_t nr_queues;
};

/* Hooks hypercalls @first to @last into queue @queue_id; returns the hook id. */
int portal_hook_hypercall(struct portal_vm *vm, uint32_t queue_id, uint32_t first,
			  uint32_t last, const struct portal_hook_opts *opts);
int portal_hook_del(struct portal_vm *vm, uint32_t hook_id);

/* What it did; @hits: room for the hits of @nr filters, may be NULL with 0. */
int portal_hook_get_info(struct portal_vm *vm, uint32_t hook_id,
			 struct portal_target_info *info, uint64_t *hits, uint32_t nr);

struct portal_region_opts {
	size_t sz;
	uint32_t bus;		/* enum portal_bus */
	uint64_t cookie;
	uint64_t timeout_ns;
	uint64_t timeout_value;
	uint32_t on_timeout;
	uint32_t policy;
	const struct portal_filter *filters;
	const uint32_t *queues;	/* a set of them; then queue_id is 0 */
	uint32_t nr_filters;
	uint32_t nr_queues;
};

/* Claims [gpa, gpa + len) and maps its shadow page. */
int portal_region_add(struct portal_vm *vm, uint32_t queue_id, uint64_t gpa, uint64_t len,
		      const struct portal_region_range *ranges, uint32_t nr,
		      const struct portal_region_opts *opts, struct portal_region **region);
/*
 * Maps the shadow page of a region that another holder of this client added;
 * needs the right of its bus.
 */
int portal_region_map(struct portal_vm *vm, uint32_t region_id, uint64_t shadow_off,
		      uint32_t shadow_size, struct portal_region **region);
/* The same with the raw queue fd of the owner of a queue that the region uses. */
int portal_region_map_fd(int queue_fd, uint32_t region_id, uint64_t shadow_off,
			 uint32_t shadow_size, struct portal_region **region);
int portal_region_get_info(struct portal_vm *vm, uint32_t region_id,
			   struct portal_target_info *info, uint64_t *hits, uint32_t nr);
uint32_t portal_region_id(const struct portal_region *region);
uint64_t portal_region_shadow_off(const struct portal_region *region);
uint32_t portal_region_shadow_size(const struct portal_region *region);
void *portal_region_shadow(const struct portal_region *region);
/*
 * One aligned atomic access to a shadow register. An @off that is misaligned or
 * outside of the shadow reads 0 and writes nothing.
 */
uint32_t portal_region_read32(const struct portal_region *region, uint32_t off);
void portal_region_write32(struct portal_region *region, uint32_t off, uint32_t val);
void portal_region_write64(struct portal_region *region, uint32_t off, uint64_t val);
/* Atomic or; returns the old value. */
uint32_t portal_region_or32(struct portal_region *region, uint32_t off, uint32_t bits);
/* Takes the count of a PORTAL_RANGE_F_COUNT doorbell; do it before the work. */
uint32_t portal_region_take(struct portal_region *region, uint32_t aux);
/*
 * Removes the region from the guest and unmaps it, also on error. -EPERM: it is
 * from portal_region_map_fd().
 */
int portal_region_del(struct portal_region *region);
/* Unmaps it only; the guest keeps it. */
void portal_region_unmap(struct portal_region *region);

/* ---- queues (queue.c, ring.c, transport_*.c) --------------------------- */

enum portal_transport {
	PORTAL_TRANSPORT_URING = 0,	/* uring_cmd; the fast one */
	PORTAL_TRANSPORT_READ = 1,	/* read, write, poll */
	PORTAL_TRANSPORT_POLL = 2,	/* busy polling of the ring, no wake-ups */
};

struct portal_queue_opts {
	size_t sz;
	uint32_t flags;		/* PORTAL_QUEUE_F_* */
	uint32_t entries;	/* 0: 256 */
	uint32_t orphan;	/* enum portal_orphan */
	uint64_t hold_ns;
	uint32_t transport;	/* enum portal_transport */
	/*
	 * PORTAL_TRANSPORT_URING: a ring of the caller's to put the command
	 * in, NULL for an own one. The caller gives completions whose
	 * user_data is portal_queue_user_data() to portal_queue_cqe().
	 */
	struct io_uring *uring;
	uint64_t open_flags;	/* PORTAL_QUEUE_OPEN_F_*, for portal_queue_open() */
};

int portal_queue_create(struct portal_vm *vm, const struct portal_queue_opts *opts,
			struct portal_queue **queue);
/* Takes an existing queue over from its earlier owner. */
int portal_queue_open(struct portal_vm *vm, uint32_t queue_id,
		      const struct portal_queue_opts *opts, struct portal_queue **queue);
/* Wraps a queue fd received from elsewhere; takes over @fd. */
int portal_queue_from_fd(int fd, const struct portal_queue_opts *opts,
			 struct portal_queue **queue);
/* Opens the queue for another process: a raw queue fd to pass on. */
int portal_queue_open_fd(struct portal_vm *vm, uint32_t queue_id);
/* -EBUSY: hooks or regions still use it. */
int portal_queue_del(struct portal_vm *vm, uint32_t queue_id);
uint32_t portal_queue_id(const struct portal_queue *queue);
int portal_queue_fd(const struct portal_queue *queue);
int portal_queue_get_info(struct portal_queue *queue, struct portal_queue_info *info);
void portal_queue_close(struct portal_queue *queue);

/*
 * The loop:
 *
 *	while ((err = portal_queue_wait(q, -1)) >= 0)
 *		while ((req = portal_queue_next(q))) {
 *			... portal_reply_value(q, req->id, 42); ...
 *		}
 *
 * wait() sends the replies collected, marks what next() gave out as consumed
 * (unless portal_queue_hold() was called for it) and waits for more: 1 there
 * is more, 0 time-out, -ENODEV the VM is gone and all it left was given out,
 * -ESTALE another owner took the queue, -EINTR (not with
 * PORTAL_TRANSPORT_POLL). -EINVAL or -EOPNOTSUPP: the kernel refused a reply,
 * all others were sent; the queue goes on. With the caller's ring
 * @timeout_ms must be 0.
 */
int portal_queue_wait(struct portal_queue *queue, int timeout_ms);
/*
 * The next of those that wait() or cqe() saw; NULL: none left. Valid until the
 * next wait(), flush() or arm(), or, when held, until the first one after its
 * done().
 */
const struct portal_request *portal_queue_next(struct portal_queue *queue);
/*
 * A request taken for longer: head stays before it until portal_queue_done(),
 * and moves at the next wait(), flush() or arm(). Each hold needs one done; at
 * most the ring's entries may be held. done() is quick when few are held.
 * -EINVAL: not given out, or held already; -ENOENT: not held; -EOPNOTSUPP:
 * PORTAL_TRANSPORT_READ has nothing to hold.
 */
int portal_queue_hold(struct portal_queue *queue, const struct portal_request *req);
int portal_queue_done(struct portal_queue *queue, uint64_t id);
/*
 * Sends the replies and the head now, without waiting: what next() gave out is
 * consumed. PORTAL_TRANSPORT_READ: the replies only, wait() moves the head.
 */
int portal_queue_flush(struct portal_queue *queue);

/*
 * For loops with an own io_uring (opts.uring):
 *
 *	for (;;) {
 *		portal_queue_arm(q);
 *		io_uring_submit_and_wait(ring, 1);
 *		... for each cqe: if (cqe->user_data == portal_queue_user_data(q) &&
 *				portal_queue_cqe(q, cqe) > 0)
 *			while ((req = portal_queue_next(q)))
 *				...
 *	}
 *
 * Call arm() before each sleep: it sends replies and head as wait() does.
 * After portal_queue_close() one more completion with that user_data may
 * come; drop it before a new queue uses the ring.
 */
uint64_t portal_queue_user_data(const struct portal_queue *queue);
/* Puts the FETCH into the ring unless it is there; -EBUSY: ring full. */
int portal_queue_arm(struct portal_queue *queue);
/*
 * Ends the FETCH that is parked; its completion comes as any other. -ENOENT: none
 * is. So one that stops can wait until nothing of its is under way.
 */
int portal_queue_cancel(struct portal_queue *queue);
/*
 * 1: requests are there, 0: nothing yet, -EBUSY: a command of somebody else is
 * parked on the queue, arm() again in a while; -errno as portal_queue_wait().
 */
int portal_queue_cqe(struct portal_queue *queue, const struct io_uring_cqe *cqe);

/*
 * Replies are collected and sent by wait(), flush() or arm(), or when there are
 * 256. -errno: those collected before could not be sent; -EAGAIN and other
 * errors that may pass: nor was this one collected. (reply.c)
 */
int portal_reply_value(struct portal_queue *queue, uint64_t id, uint64_t value);
int portal_reply_error(struct portal_queue *queue, uint64_t id, uint32_t error);
int portal_reply_pass(struct portal_queue *queue, uint64_t id);

/* ---- guest memory (memory.c) ------------------------------------------- */

/* Copies; returns the bytes done, less than @len only if the rest failed. */
ssize_t portal_mem_read(struct portal_vm *vm, uint64_t gpa, void *buf, size_t len);
ssize_t portal_mem_write(struct portal_vm *vm, uint64_t gpa, const void *buf, size_t len);
ssize_t portal_mem_rwv(struct portal_vm *vm, const struct portal_mem_vec *vecs, uint32_t nr,
		       bool write);
/*
 * By addresses as the instruction sees them that vCPU @vcpu waits in, with its
 * rights. -EBUSY: it waits in no call of ours.
 */
ssize_t portal_mem_read_gva(struct portal_vm *vm, uint32_t vcpu, uint64_t gva, void *buf,
			    size_t len);
ssize_t portal_mem_write_gva(struct portal_vm *vm, uint32_t vcpu, uint64_t gva, const void *buf,
			     size_t len);
/* Guest RAM as the VMM has it now; returns the number of slots. */
int portal_mem_slots(struct portal_vm *vm, struct portal_mem_slot *slots, size_t nr,
		     uint64_t *generation);
/*
 * Windows on all RAM of the guest, but on read-only slots when @write and those
 * the kernel can't map. -EOPNOTSUPP: it can map none.
 */
int portal_mem_map(struct portal_vm *vm, bool write, struct portal_mem **mem);
/*
 * The same by mappings of the RAM's own file, good for direct I/O and registered
 * buffers. They stay until portal_mem_unmap() whatever becomes of the VM, and
 * what is written there is in no dirty log; a refresh moves all of them.
 * -EOPNOTSUPP: no RAM is a shared mapping of a file.
 */
int portal_mem_map_direct(struct portal_vm *vm, bool write, struct portal_mem **mem);
/*
 * Maps it anew if the VMM changed a slot; 1 if it did. Windows on unchanged
 * slots stay where they are; no other thread may use @mem meanwhile.
 */
int portal_mem_refresh(struct portal_mem *mem);
/*
 * Where [gpa, gpa + len) is in this process; NULL if any byte of it is not RAM
 * or not in one window.
 */
void *portal_mem_at(const struct portal_mem *mem, uint64_t gpa, size_t len);
void portal_mem_unmap(struct portal_mem *mem);

/* ---- interrupts (irq.c) ------------------------------------------------ */

/* Every write to @eventfd raises @gsi in the guest. @resamplefd: or -1. */
int portal_irq_bind(struct portal_vm *vm, uint32_t gsi, int eventfd, int resamplefd);
int portal_irq_unbind(struct portal_vm *vm, uint32_t gsi, int eventfd);
/*
 * Sends one message (MSI) now. All of these: -EOPNOTSUPP: the VM's irqchip does
 * not allow it, see struct portal_irq_bind.
 */
int portal_irq_msi(struct portal_vm *vm, uint64_t address, uint32_t data);
/* Every write to @eventfd sends the message, until unbound, closed or detached. */
int portal_irq_bind_msi(struct portal_vm *vm, uint64_t address, uint32_t data, int eventfd);
int portal_irq_unbind_msi(struct portal_vm *vm, uint64_t address, uint32_t data, int eventfd);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* KVMPORTAL_PORTAL_H */
