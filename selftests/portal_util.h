/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portal_util.h - what every test of /dev/portal needs
 *
 * Functions return 0 (or a value) or -errno, so that a failed EXPECT_EQ()
 * prints which errno came. Nothing here sleeps in order to let another thread
 * get somewhere: WAIT_UNTIL() polls a state that proves it.
 */
#ifndef PORTAL_UTIL_H
#define PORTAL_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/portal.h>
#include <linux/portal_guest.h>
#include <linux/portal_ring.h>
/* LIBKVM has these too */
#undef ASSERT_EQ
#undef NSEC_PER_SEC
#include "kselftest_harness.h"

#define PORTAL_DEV	"/dev/portal"
#define HARNESS_SKIP	255	/* how a test tells the harness of Linux 6.1 */
#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL
/* No wait of a test may be longer: a correct kernel needs a fraction of it. */
#define PATIENCE_NS	(10 * NSEC_PER_SEC)

/* Timers go by ticks, which lag behind the clock when a VM's CPU had to wait. */
#define EARLY_NS	(20 * NSEC_PER_MSEC)

#define EXPECT_ERRNO(expected, call)	EXPECT_EQ(-(expected), (call))
#define ASSERT_ERRNO(expected, call)	ASSERT_EQ(-(expected), (call))

static inline __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* One step of a wait with growing intervals; false when patience is over. */
static inline bool wait_step(__u64 start, __u64 *pause)
{
	struct timespec ts = { .tv_nsec = *pause };

	if (now_ns() - start > PATIENCE_NS)
		return false;
	nanosleep(&ts, NULL);
	if (*pause < 5 * NSEC_PER_MSEC)
		*pause *= 2;
	return true;
}

/* WAIT_UNTIL(cond): did @cond come true? */
#define WAIT_UNTIL(cond) ({						\
	__u64 __start = now_ns(), __pause = 20000;			\
	bool __ok;							\
									\
	while (!(__ok = (cond)) && wait_step(__start, &__pause))	\
		;							\
	__ok || (cond);							\
})

/* task_sleeps: thread @tid of this process waits for something. */
static inline bool task_sleeps(int tid)
{
	char path[64], line[256] = "";
	const char *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0)
		line[0] = 0;
	close(fd);
	end = strrchr(line, ')');
	return end && end[1] == ' ' && end[2] == 'S';
}

/* pidfd_take: a copy of fd @fd of process @pid, or -errno. */
static inline int pidfd_take(int pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int ret;

	if (pidfd < 0)
		return -errno;
	ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret;
}

static inline int portal_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* ---- /dev/portal ------------------------------------------------------- */

/* portal_open: the device, or the test is skipped. */
static inline int portal_open(struct __test_metadata *_metadata)
{
	int fd = open(PORTAL_DEV, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		SKIP(_exit(HARNESS_SKIP), "module not loaded");
	ASSERT_LE(0, fd);
	return fd;
}

static inline __u64 portal_features(int dev)
{
	struct portal_info info = { .size = sizeof(info) };

	return portal_ioctl(dev, PORTAL_GET_INFO, &info) ? 0 : info.out_features;
}

static inline struct portal_vm_info portal_vm_info(int vm)
{
	struct portal_vm_info info = { .size = sizeof(info) };

	/* In vain when the VM is gone: out_state says so. */
	if (portal_ioctl(vm, PORTAL_VM_INFO, &info))
		info.out_state = PORTAL_VM_GONE;
	return info;
}

static inline int portal_id(int vm, unsigned long cmd, __u32 id)
{
	struct portal_id arg = { .size = sizeof(arg), .id = id };

	return portal_ioctl(vm, cmd, &arg);
}

/* How many VMs are attached; those of dead processes are soon none. */
static inline __u32 portal_vms(int dev)
{
	struct portal_info info = { .size = sizeof(info) };

	return portal_ioctl(dev, PORTAL_GET_INFO, &info) ? -1U : info.out_vms;
}

/* References to the module: what "lsmod" calls Used by; -1 if nobody knows. */
static inline int portal_users(void)
{
	FILE *file = fopen("/sys/module/portal/refcnt", "r");
	int users = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &users) != 1)
		users = -1;
	fclose(file);
	return users;
}

/* portal_vm_dup: a VM fd with fewer rights, or -errno. */
static inline int portal_vm_dup(int vm, __u32 rights)
{
	struct portal_vm_dup arg = { .size = sizeof(arg), .rights = rights };

	return portal_ioctl(vm, PORTAL_VM_DUP, &arg) ?: arg.out_fd;
}

/* hook_add: a RAW hook of @first to @last; returns its id or -errno. */
#define HOOK(_queue, _first, _last, ...) {				\
	.size = sizeof(struct portal_hook_add),				\
	.kind = PORTAL_KIND_HYPERCALL, .queue_id = (_queue),		\
	.first = (_first), .last = (_last), ##__VA_ARGS__ }

static inline int hook_add(int vm, struct portal_hook_add hook)
{
	return portal_ioctl(vm, PORTAL_HOOK_ADD, &hook) ?: (int)hook.out_hook_id;
}

#define REGION(_queue, _gpa, _len, _ranges, _nr, ...) {			\
	.size = sizeof(struct portal_region_add), .queue_id = (_queue),	\
	.gpa = (_gpa), .len = (_len),					\
	.ranges_uptr = (uintptr_t)(_ranges), .nr_ranges = (_nr), ##__VA_ARGS__ }

static inline int region_add(int vm, struct portal_region_add region)
{
	return portal_ioctl(vm, PORTAL_REGION_ADD, &region) ?: (int)region.out_region_id;
}

#define RANGE(_offset, _len, _attr, ...) {				\
	.offset = (_offset), .len = (_len),				\
	.attr = PORTAL_ATTR_##_attr, .eventfd = -1, ##__VA_ARGS__ }

/* A region with its shadow mapped. */
struct region {
	struct portal_region_add arg;
	char *shadow;
};

static inline int region_map(int vm, struct region *r, struct portal_region_add arg)
{
	int ret;

	r->arg = arg;
	ret = portal_ioctl(vm, PORTAL_REGION_ADD, &r->arg);
	if (ret)
		return ret;
	r->shadow = mmap(NULL, r->arg.out_shadow_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm,
			 r->arg.out_shadow_off);
	if (r->shadow != MAP_FAILED)
		return 0;
	r->shadow = NULL;
	return -errno;
}

static inline void region_unmap(struct region *r)
{
	if (r->shadow)
		munmap(r->shadow, r->arg.out_shadow_size);
}

/* The register at @offset as its owner sees it. */
static inline volatile __u32 *region_reg(const struct region *r, __u32 offset)
{
	return (volatile __u32 *)(r->shadow + offset);
}

/* ---- the owner's side of a queue --------------------------------------- */

struct queue {
	int fd;
	__u32 id;
	__u32 epoch;
	__u32 redelivered;
	__u32 seen;
	size_t size;
	struct portal_ring *ring;
};

static inline int queue_map(struct queue *q)
{
	void *map = mmap(NULL, q->size, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	q->ring = map;
	q->seen = __atomic_load_n(&q->ring->head, __ATOMIC_ACQUIRE);
	q->epoch = q->ring->epoch;
	return 0;
}

#define QUEUE(_entries, ...) {						\
	.size = sizeof(struct portal_queue_create),			\
	.entries = (_entries), ##__VA_ARGS__ }

static inline int queue_create(int vm, struct queue *q, struct portal_queue_create arg)
{
	int ret = portal_ioctl(vm, PORTAL_QUEUE_CREATE, &arg);

	if (ret)
		return ret;
	*q = (struct queue){ .fd = arg.out_fd, .id = arg.out_queue_id,
			     .size = arg.out_mmap_size };
	return queue_map(q);
}

/* queue_open_flags: become the owner of queue @id. */
static inline int queue_open_flags(int vm, struct queue *q, __u32 id, __u32 flags)
{
	struct portal_queue_open arg = { .size = sizeof(arg), .queue_id = id, .flags = flags };
	int ret = portal_ioctl(vm, PORTAL_QUEUE_OPEN, &arg);

	if (ret)
		return ret;
	*q = (struct queue){ .fd = arg.out_fd, .id = id, .size = arg.out_mmap_size,
			     .redelivered = arg.out_redelivered };
	ret = queue_map(q);
	q->epoch = arg.out_epoch;
	return ret;
}

static inline int queue_open(int vm, struct queue *q, __u32 id)
{
	return queue_open_flags(vm, q, id, 0);
}

static inline void queue_close(struct queue *q)
{
	if (q->ring)
		munmap(q->ring, q->size);
	close(q->fd);
	*q = (struct queue){ .fd = -1 };
}

static inline struct portal_queue_info queue_info(const struct queue *q)
{
	struct portal_queue_info info = { .size = sizeof(info) };

	portal_ioctl(q->fd, PORTAL_QUEUE_INFO, &info);
	return info;
}

/* queue_ready: entries the owner has not looked at. */
static inline __u32 queue_ready(const struct queue *q)
{
	return __atomic_load_n(&q->ring->tail, __ATOMIC_ACQUIRE) - q->seen;
}

static inline bool queue_flag(const struct queue *q, __u32 flag)
{
	return __atomic_load_n(&q->ring->flags, __ATOMIC_ACQUIRE) & flag;
}

/* queue_next: waits for the next request and looks at it, without consuming. */
static inline bool queue_next(struct queue *q, struct portal_request *req)
{
	__u32 index = q->seen & (q->ring->entries - 1);

	if (!WAIT_UNTIL(queue_ready(q)))
		return false;
	memcpy(req, (char *)q->ring + q->ring->entries_off + index * q->ring->entry_size,
	       sizeof(*req));
	q->seen++;
	return true;
}

static inline int queue_commit(const struct queue *q, const struct portal_reply *replies,
			       __u32 nr)
{
	struct portal_uring_cmd arg = { .replies_uptr = (uintptr_t)replies,
					.nr_replies = nr, .seen = q->seen };
	int ret = portal_ioctl(q->fd, PORTAL_QUEUE_COMMIT, &arg);

	/* it counts the replies it took: all of them, or why not */
	return ret < 0 ? ret : (__u32)ret == nr ? 0 : -EMSGSIZE;
}

/* queue_consume: done with all that queue_next() gave. */
static inline int queue_consume(struct queue *q)
{
	__atomic_store_n(&q->ring->head, q->seen, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!queue_flag(q, PORTAL_RING_F_NEED_COMMIT | PORTAL_RING_F_OVERFLOW))
		return 0;
	return queue_commit(q, NULL, 0);
}

static inline int queue_reply(const struct queue *q, __u64 id, __u64 value)
{
	struct portal_reply reply = { .id = id, .action = PORTAL_ACTION_VALUE,
				      .value = value };

	return queue_commit(q, &reply, 1);
}

/* queue_answer: take the next request, consume it and reply @value. */
static inline int queue_answer(struct queue *q, struct portal_request *req, __u64 value)
{
	if (!queue_next(q, req))
		return -ETIMEDOUT;
	return queue_consume(q) ?: queue_reply(q, req->id, value);
}

#endif /* PORTAL_UTIL_H */
