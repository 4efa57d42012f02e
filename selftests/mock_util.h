/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mock_util.h - a mock VM, and threads that play its vCPUs
 */
#ifndef MOCK_UTIL_H
#define MOCK_UTIL_H

#include "portal_util.h"
#include <linux/portal_mock.h>

#define MOCK_RAM_SIZE	(2UL << 20)
#define MOCK_VCPUS	4
#define MOCK_MMIO	0x10000000ULL	/* far above the RAM */
#define MOCK_PORT	0x5000ULL
#define MOCK_HC		0x1000ULL	/* a number for RAW hooks */

struct mock {
	int dev;
	int vm;
	char *ram;
};

/* mock_try: a VM fd, or -errno. */
static inline int mock_try(int dev, __u32 rights, __u32 vcpus, void *ram, size_t len)
{
	struct portal_mock_vm arg = {
		.size = sizeof(arg), .rights = rights, .vcpus = vcpus,
		.ram_uptr = (uintptr_t)ram, .ram_len = len,
	};

	return portal_ioctl(dev, PORTAL_MOCK_VM, &arg) ?: arg.out_fd;
}

static inline void mock_setup(struct __test_metadata *_metadata, struct mock *m)
{
	m->dev = portal_open(_metadata);
	if (!(portal_features(m->dev) & PORTAL_FEAT_MOCK))
		SKIP(_exit(HARNESS_SKIP), "needs PORTAL_MOCK=1 build");
	m->ram = mmap(NULL, MOCK_RAM_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m->ram);
	m->vm = mock_try(m->dev, PORTAL_RIGHT_ALL, MOCK_VCPUS, m->ram, MOCK_RAM_SIZE);
	ASSERT_LE(0, m->vm);
}

static inline void mock_teardown(struct mock *m)
{
	close(m->vm);
	close(m->dev);
	munmap(m->ram, MOCK_RAM_SIZE);
}

/* ---- accesses ---------------------------------------------------------- */

static inline struct portal_mock_access mock_hc(__u64 nr, __u64 call_id, __u64 arg0)
{
	return (struct portal_mock_access) {
		.size = sizeof(struct portal_mock_access),
		.kind = PORTAL_KIND_HYPERCALL, .addr = nr, .call_id = call_id,
		.data = { arg0, arg0 + 1, arg0 + 2, arg0 + 3 },
	};
}

static inline struct portal_mock_access mock_read(__u64 addr, __u32 len)
{
	return (struct portal_mock_access) {
		.size = sizeof(struct portal_mock_access),
		.kind = PORTAL_KIND_MMIO, .addr = addr, .len = len,
	};
}

static inline struct portal_mock_access mock_write(__u64 addr, __u32 len, __u64 value)
{
	return (struct portal_mock_access) {
		.size = sizeof(struct portal_mock_access), .flags = PORTAL_MOCK_F_WRITE,
		.kind = PORTAL_KIND_MMIO, .addr = addr, .len = len, .data = { value },
	};
}

/* mock_run: the whole access, over all signals. */
static inline int mock_run(int vm, struct portal_mock_access *a)
{
	int ret;

	do {
		ret = portal_ioctl(vm, PORTAL_MOCK_ACCESS, a);
	} while (ret == -EINTR);
	return ret;
}

static inline int mock_run_write(int vm, __u64 addr, __u32 len, __u64 value)
{
	struct portal_mock_access a = mock_write(addr, len, value);

	return mock_run(vm, &a) ?: (a.out_result == PORTAL_MOCK_DONE ? 0 : -ENXIO);
}

static inline int mock_run_read(int vm, __u64 addr, __u32 len, __u64 *value)
{
	struct portal_mock_access a = mock_read(addr, len);
	int ret = mock_run(vm, &a);

	*value = a.out_value;
	return ret ?: (a.out_result == PORTAL_MOCK_DONE ? 0 : -ENXIO);
}

/* mock_passed: KVM or the VMM would get this access. */
static inline bool mock_passed(int vm, struct portal_mock_access a)
{
	return !mock_run(vm, &a) && a.out_result == PORTAL_MOCK_PASSED;
}

/*
 * mock_hello: the guest's handshake; returns HELLO's value. On a vCPU of its
 * own: one access at a time goes through each.
 */
static inline __s64 mock_hello(int vm)
{
	struct portal_mock_access a = {
		.size = sizeof(a), .kind = PORTAL_KIND_HYPERCALL, .vcpu = MOCK_VCPUS - 1,
		.addr = PORTAL_HC_HELLO, .call_id = 0x48454c4f,
		.data = { PORTAL_HELLO_MAGIC0, PORTAL_HELLO_MAGIC1, PORTAL_GUEST_VERSION },
	};

	if (mock_run(vm, &a) || a.out_result != PORTAL_MOCK_DONE)
		return -EIO;
	return a.out_value;
}

/* mock_set: what a VMM does to its VM. */
static inline int mock_set(int vm, __u32 flags, __u32 vcpus)
{
	struct portal_mock_set arg = { .size = sizeof(arg), .flags = flags, .vcpus = vcpus };

	return portal_ioctl(vm, PORTAL_MOCK_SET, &arg);
}

/* ---- a thread as vCPU -------------------------------------------------- */

/**
 * struct vcpu - a thread that does one access
 * @a: the access, and what came of it
 * @ret: 0 or -errno of the ioctl
 * @eintr: how often a signal ended it
 * @once: do not try again after a signal
 * @mark: if set, @marked is what it points to when the access retires
 * @started: thread id once it runs
 * @done: the access has retired
 */
struct vcpu {
	pthread_t thread;
	int vm;
	struct portal_mock_access a;
	int ret;
	int eintr;
	bool once;
	int *mark;
	int marked;
	int started;
	int done;
};

static inline void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	__atomic_store_n(&v->started, gettid(), __ATOMIC_RELEASE);
	for (;;) {
		v->ret = portal_ioctl(v->vm, PORTAL_MOCK_ACCESS, &v->a);
		if (v->ret != -EINTR || v->once)
			break;
		__atomic_add_fetch(&v->eintr, 1, __ATOMIC_RELEASE);
	}
	if (v->mark)
		v->marked = __atomic_load_n(v->mark, __ATOMIC_ACQUIRE);
	__atomic_store_n(&v->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static inline int vcpu_start(struct vcpu *v, int vm, struct portal_mock_access a)
{
	v->vm = vm;
	v->a = a;
	v->ret = v->eintr = v->started = v->done = 0;
	return -pthread_create(&v->thread, NULL, vcpu_main, v);
}

static inline bool vcpu_done(const struct vcpu *v)
{
	return __atomic_load_n(&v->done, __ATOMIC_ACQUIRE);
}

/* vcpu_join: what the access returned, or -ETIMEDOUT if it hangs. */
static inline int vcpu_join(struct vcpu *v)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_NS / NSEC_PER_SEC;
	if (pthread_timedjoin_np(v->thread, NULL, &ts))
		return -ETIMEDOUT;
	return v->ret;
}

#endif /* MOCK_UTIL_H */
