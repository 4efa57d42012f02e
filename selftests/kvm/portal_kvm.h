/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portal_kvm.h - a real guest (LIBKVM) with portal attached
 *
 * The guest is a C function of the test; a thread runs its vCPU as a VMM
 * would; the test's own thread is the owner of the queue.
 */
#ifndef PORTAL_KVM_H
#define PORTAL_KVM_H

#include "kvm_util.h"
#include "processor.h"
#include "apic.h"
#include "portal_util.h"

#define SERVICE		PORTAL_HC_SERVICE(0)
#define MMIO_GPA	0xd0000000ULL	/* also the guest's virtual address */
#define VMM_VALUE	0xeeU		/* each byte of a read the VMM answers */
#define UCALL_PIO_PORT	0x1000	/* LIBKVM's */
#define END_PORT	0x1004	/* OUT: a guest without ucalls is done */
#define MAX_REPORTS	64
#define RAM_PAGES	256

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int dev;		/* /dev/portal */
	int fd;			/* portal's VM fd */
	struct queue q;
	pthread_t thread;
	timer_t timer;
	bool started, ticking;
	int tid;
	int eintr;		/* KVM_RUN was left for a signal */
	int vmm_mmio, vmm_pio;	/* accesses that reached the VMM */
	__u64 vmm_addr;		/* of the last one */
	__u64 vmm_len, vmm_data;
	int ended;		/* 1: guest_code() returned, -1: it failed */
	char failure[200];
	int nr;			/* values it reported */
	__u64 value[MAX_REPORTS];
};

/* ---- in the guest ------------------------------------------------------- */

/* Chosen by the host: the wrong instruction would be patched. */
static bool guest_has_vmmcall;

static inline __u64 guest_hc(__u32 nr, __u32 call_id, __u64 a0, __u64 a1, __u64 a2, __u64 a3)
{
	__u64 rax = (__u64)call_id << 32 | nr;

	if (guest_has_vmmcall)
		asm volatile("vmmcall" : "+a"(rax)
			     : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	else
		asm volatile("vmcall" : "+a"(rax)
			     : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	return rax;
}

static inline __u64 guest_hello(void)
{
	return guest_hc(PORTAL_HC_HELLO, 0, PORTAL_HELLO_MAGIC0, PORTAL_HELLO_MAGIC1,
			PORTAL_GUEST_VERSION, 0);
}

/* guest_report: a value for the host's guest.value[] */
static inline void guest_report(__u64 value)
{
	ucall(UCALL_SYNC, 1, value);
}

/* guest_writel, guest_readl: plain accesses of 32 bits */
static inline void guest_writel(__u64 addr, __u32 value)
{
	asm volatile("movl %0, (%1)" : : "r"(value), "r"(addr) : "memory");
}

static inline __u32 guest_readl(__u64 addr)
{
	__u32 value;

	asm volatile("movl (%1), %0" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

#define IOAPIC_GPA	0xfec00000ULL
#define IRQ_VECTOR	0x61

static inline void guest_ioapic(__u32 reg, __u32 value)
{
	guest_writel(IOAPIC_GPA, reg);
	guest_writel(IOAPIC_GPA + 0x10, value);
}

/* guest_irq_on: GSI @gsi comes as IRQ_VECTOR; interrupts are on afterwards. */
static inline void guest_irq_on(__u32 gsi, bool level)
{
	x2apic_enable();
	/* the PIC has the same pins: not there too */
	asm volatile("outb %b0, $0x21; outb %b0, $0xa1" : : "a"(0xff));
	guest_ioapic(0x10 + 2 * gsi + 1, 0);
	guest_ioapic(0x10 + 2 * gsi, IRQ_VECTOR | (level ? 1U << 15 : 0));
	asm volatile("sti; nop");
}

static inline void guest_eoi(void)
{
	x2apic_write_reg(APIC_EOI, 0);
}

/* ---- on the host -------------------------------------------------------- */

/* SHARED(g, var): the guest's instance of a global variable */
#define SHARED(g, var) \
	(*(volatile typeof(var) *)addr_gva2hva((g)->vm, (vm_vaddr_t)&(var)))

static struct kvm_run *signalled_run;

static void guest_tick(int sig)
{
	/* as QEMU and crosvm do: also a KVM_RUN that is just being entered ends */
	if (signalled_run)
		signalled_run->immediate_exit = 1;
}

static inline void guest_ucall(struct guest *g)
{
	struct ucall uc;
	int ended;

	switch (get_ucall(g->vcpu, &uc)) {
	case UCALL_SYNC:
		if (g->nr < MAX_REPORTS)
			g->value[g->nr] = uc.args[0];
		__atomic_store_n(&g->nr, g->nr + 1, __ATOMIC_RELEASE);
		return;
	case UCALL_DONE:
		ended = 1;
		break;
	default:
		snprintf(g->failure, sizeof(g->failure), "ucall %lu (%#lx), exit %u", uc.cmd,
			 uc.args[0], g->vcpu->run->exit_reason);
		ended = -1;
	}
	__atomic_store_n(&g->ended, ended, __ATOMIC_RELEASE);
}

/* A port that no region has. */
static inline void guest_vmm_pio(struct guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	void *data = (char *)run + run->io.data_offset;

	if (run->io.port == END_PORT)
		__atomic_store_n(&g->ended, 1, __ATOMIC_RELEASE);
	g->vmm_addr = run->io.port;
	g->vmm_len = run->io.size;
	g->vmm_data = 0;
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, VMM_VALUE, run->io.size * run->io.count);
	else
		memcpy(&g->vmm_data, data, run->io.size);
	__atomic_add_fetch(&g->vmm_pio, run->io.count, __ATOMIC_RELEASE);
}

/* The VMM's loop. */
static inline void *guest_main(void *arg)
{
	struct guest *g = arg;
	struct kvm_run *run = g->vcpu->run;

	__atomic_store_n(&g->tid, gettid(), __ATOMIC_RELEASE);
	while (!g->ended) {
		run->immediate_exit = 0;
		if (__vcpu_run(g->vcpu)) {
			if (errno == EINTR) {
				__atomic_add_fetch(&g->eintr, 1, __ATOMIC_RELEASE);
				continue;
			}
			snprintf(g->failure, sizeof(g->failure), "KVM_RUN: %s",
				 strerror(errno));
			__atomic_store_n(&g->ended, -1, __ATOMIC_RELEASE);
			break;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_MMIO:
			g->vmm_addr = run->mmio.phys_addr;
			g->vmm_len = run->mmio.len;
			if (run->mmio.is_write)
				memcpy(&g->vmm_data, run->mmio.data, sizeof(g->vmm_data));
			__atomic_add_fetch(&g->vmm_mmio, 1, __ATOMIC_RELEASE);
			if (!run->mmio.is_write)
				memset(run->mmio.data, VMM_VALUE, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_IO:
			if (run->io.port == UCALL_PIO_PORT)
				guest_ucall(g);
			else
				guest_vmm_pio(g);
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			guest_ucall(g);
		}
	}
	return NULL;
}

/* guest_need: /dev/portal, where there is what guests need; else the test is skipped */
static inline int guest_need(struct __test_metadata *_metadata)
{
	int dev = portal_open(_metadata), kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0)
		SKIP(_exit(HARNESS_SKIP), "no /dev/kvm");
	close(kvm);
	return dev;
}

/* guest_init: a VM whose vCPU will run @code, and portal attached to it. */
static inline void guest_init(struct __test_metadata *_metadata, struct guest *g, void *code)
{
	struct portal_vm_attach attach = { .size = sizeof(attach), .rights = PORTAL_RIGHT_ALL };

	*g = (struct guest){ .dev = guest_need(_metadata), .fd = -1 };
	g->vm = __vm_create_with_one_vcpu(&g->vcpu, RAM_PAGES, code);
	vm_init_descriptor_tables(g->vm);
	vcpu_init_descriptor_tables(g->vcpu);
	guest_has_vmmcall = !is_intel_cpu();
	sync_global_to_guest(g->vm, guest_has_vmmcall);
	virt_map(g->vm, MMIO_GPA, MMIO_GPA, 4);
	virt_map(g->vm, IOAPIC_GPA, IOAPIC_GPA, 1);

	attach.vm_fd = g->vm->fd;
	ASSERT_EQ(0, portal_ioctl(g->dev, PORTAL_VM_ATTACH, &attach));
	g->fd = attach.out_fd;
	ASSERT_EQ(0, queue_create(g->fd, &g->q, (struct portal_queue_create)QUEUE(64)));
}

/* guest_hook: SERVICE belongs to our queue, for calls or @flags. */
static inline int guest_hook(struct guest *g, __u32 flags)
{
	struct portal_hook_add h = HOOK(g->q.id, SERVICE, SERVICE + 0xff, .flags = flags);

	return hook_add(g->fd, h);
}

static inline int guest_start(struct guest *g)
{
	int ret = pthread_create(&g->thread, NULL, guest_main, g);

	g->started = !ret;
	return ret || !WAIT_UNTIL(__atomic_load_n(&g->tid, __ATOMIC_ACQUIRE)) ? -EAGAIN : 0;
}

/* guest_signals: the vCPU's thread gets a signal every @ms; 0 ends it. */
static inline int guest_signals(struct guest *g, int ms)
{
	struct sigaction sa = { .sa_handler = guest_tick };
	struct itimerspec it = { { 0, ms * 1000000 }, { 0, ms * 1000000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	signalled_run = g->vcpu->run;
	sigaction(SIGUSR1, &sa, NULL);
	ev._sigev_un._tid = g->tid;
	if (!g->ticking && timer_create(CLOCK_MONOTONIC, &ev, &g->timer))
		return -errno;
	g->ticking = true;
	return timer_settime(g->timer, 0, &it, NULL) ? -errno : 0;
}

static inline bool guest_ended(const struct guest *g)
{
	return __atomic_load_n(&g->ended, __ATOMIC_ACQUIRE);
}

/* guest_join: 0 if guest_code() came to its end. */
static inline int guest_join(struct guest *g)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 2 * PATIENCE_NS / NSEC_PER_SEC;
	if (pthread_timedjoin_np(g->thread, NULL, &ts))
		return -ETIMEDOUT;
	g->started = false;
	if (g->ended != 1)
		fprintf(stderr, "# guest: %s\n", g->failure);
	return g->ended == 1 ? 0 : -EIO;
}

/*
 * guest_memslot_ns: how long the VMM needs to add and delete a memslot, at best
 * of five: one that waits for a vCPU is never fast, a busy machine is at times.
 */
static inline __u64 guest_memslot_ns(struct guest *g)
{
	struct kvm_userspace_memory_region slot = {
		.slot = 30, .guest_phys_addr = 0xc0000000,
	};
	__u64 start, best = -1ULL;
	void *ram = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	int i;

	slot.userspace_addr = (uintptr_t)ram;
	for (i = 0; i < 5; i++) {
		start = now_ns();
		slot.memory_size = 0x1000;
		if (ioctl(g->vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return -1ULL;
		slot.memory_size = 0;
		if (ioctl(g->vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return -1ULL;
		if (now_ns() - start < best)
			best = now_ns() - start;
	}
	munmap(ram, 0x1000);
	return best;
}

static inline void guest_end(struct guest *g)
{
	/* a vCPU that still runs goes with this process, as a VMM's would */
	if (g->ticking)
		timer_delete(g->timer);
	if (g->started)
		return;
	queue_close(&g->q);
	close(g->fd);
	close(g->dev);
	kvm_vm_free(g->vm);
}

#endif /* PORTAL_KVM_H */
