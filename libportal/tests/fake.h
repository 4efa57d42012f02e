/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * fake.h - a kernel for unit tests: the library's system calls end up here
 *
 * One VM, whose fd is a memfd (shadow page at 0, RAM windows behind it), and
 * one queue, whose fd is a memfd with the ring. The test plays the guest.
 */
#ifndef PORTAL_TESTS_FAKE_H
#define PORTAL_TESTS_FAKE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <kvmportal/portal.h>

#define FAKE_QUEUE_ID	7
#define FAKE_SLOTS	64
#define FAKE_VM_SIZE	(8 << 20)

struct fake {
	int vm_fd;
	int queue_fd;
	int wake_fd;			/* eventfd: ends a parked command */
	struct portal_ring *ring;
	size_t ring_size;
	unsigned char *vm_mem;
	uint64_t last_id;

	/* what the library did */
	struct portal_reply got[2048];
	unsigned int nr_got;
	unsigned int commits;		/* ioctl(QUEUE_COMMIT) */
	unsigned int fetches;		/* uring commands */
	unsigned int fetches_replies;	/* ... with replies */
	unsigned int polls;
	unsigned int queue_dels;
	unsigned int deleted;		/* last id of a *_DEL */
	uint32_t seen;
	bool parked;
	struct portal_queue_create create;
	struct portal_hook_add hook;
	struct portal_target_info target;
	struct portal_rate_set rate;
	struct portal_queue_open open;
	int cancels;
	struct portal_region_add region;
	struct portal_irq_bind irq;
	struct portal_irq_msi msi;
	uint32_t rw_flags, rw_vcpu, map_flags;

	/* what it shall see */
	int commit_err;			/* of the next commit or write, once */
	uint64_t refused_id;		/* reply that is EOPNOTSUPP */
	int fetch_res[8];		/* of the next uring commands */
	unsigned int nr_fetch_res;
	int next_err;			/* of the next other ioctl, once */
	void (*on_poll)(void);
	struct portal_mem_slot slots[FAKE_SLOTS];
	uint32_t nr_slots;
	uint64_t generation;
	int map_err[FAKE_SLOTS];	/* by KVM's number of the slot */
	void (*on_map)(void);
	unsigned int windows;
	unsigned int maps;
	size_t rw_limit;
	size_t rw_signal;		/* a signal after so many bytes, once */
	unsigned int rw_calls;
};

extern struct fake fake;

/* cmocka set-up and tear-down; a ring of 8 entries that starts at *state or 0 */
int fake_setup(void **state);
int fake_teardown(void **state);
/* The ring anew: @entries of @entry_size, indices from @start. */
void fake_ring(uint32_t entries, uint32_t entry_size, uint32_t start);
/* The guest does something: returns the request's id, or 0 if the ring is full. */
uint64_t fake_push(void);
void fake_flag(uint32_t set);
struct portal_queue *fake_queue(uint32_t transport);
struct portal_vm *fake_vm(void);

/* Between fake.c and fake_uring.c: as the ioctl: replies taken, or -errno. */
int fake_commit(const struct portal_uring_cmd *cmd);
bool fake_is_queue(int fd);

#define assert_err(expr, err)	assert_int_equal((expr), -(err))
#define assert_ok(expr)		assert_int_equal((expr), 0)

#endif /* PORTAL_TESTS_FAKE_H */
