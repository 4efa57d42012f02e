// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmm.c - the smallest VMM: a vCPU or two in real mode, 64 KB of RAM, an irqchip
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "vmm.h"

#define RAM_GPA		0x1000
#define RAM_SIZE	0x10000
#define TSS_GPA		0xfffbd000UL
#define PORT_DONE	0xf4

extern const uint8_t guest_start[], guest_end[], guest_hypercall_insn[];
extern const uint8_t guest_hypercall[], guest_read[], guest_write[], guest_out[];
extern const uint8_t guest_nothing[];

static const uint8_t *const programs[] = {
	[GUEST_HYPERCALL] = guest_hypercall,
	[GUEST_READ] = guest_read,
	[GUEST_WRITE] = guest_write,
	[GUEST_OUT] = guest_out,
	[GUEST_NOTHING] = guest_nothing,
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static bool is_intel(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_INTEL_ebx;
}

static int ram_create(struct vmm *vmm)
{
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = RAM_GPA, .memory_size = RAM_SIZE,
	};
	uint8_t *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED)
		return -errno;
	memcpy(ram, guest_start, guest_end - guest_start);
	if (is_intel())
		memcpy(ram + (guest_hypercall_insn - guest_start), vmcall, sizeof(vmcall));
	slot.userspace_addr = (uintptr_t)ram;
	return ioctl(vmm->vm, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

static int vcpu_create(struct vmm *vmm, int id)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	int size;

	vmm->vcpu = ioctl(vmm->vm, KVM_CREATE_VCPU, id);
	size = ioctl(vmm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vmm->vcpu < 0 || size < 0)
		return -errno;
	vmm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vmm->vcpu, 0);
	if (vmm->run == MAP_FAILED)
		return -errno;
	vmm->stats = ioctl(vmm->vcpu, KVM_GET_STATS_FD, NULL);
	/* one that is not the first waits for the first's INIT and SIPI */
	if (ioctl(vmm->vcpu, KVM_SET_MP_STATE, &runnable) ||
	    ioctl(vmm->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = RAM_GPA;
	sregs.cs.selector = RAM_GPA >> 4;
	sregs.ds.base = MMIO_BASE;
	sregs.ds.selector = MMIO_BASE >> 4;
	return ioctl(vmm->vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

int vmm_create(struct vmm *vmm)
{
	int err;

	vmm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm->kvm < 0)
		return -errno;
	vmm->vm = ioctl(vmm->kvm, KVM_CREATE_VM, 0);
	if (vmm->vm < 0)
		return -errno;
	ioctl(vmm->vm, KVM_SET_TSS_ADDR, TSS_GPA);	/* old Intel CPUs */
	if (ioctl(vmm->vm, KVM_CREATE_IRQCHIP, 0))
		return -errno;
	err = ram_create(vmm);
	return err ? err : vcpu_create(vmm, 0);
}

int vmm_add_vcpu(const struct vmm *first, struct vmm *vmm)
{
	*vmm = *first;
	return vcpu_create(vmm, 1);
}

int vmm_ioeventfd(struct vmm *vmm, uint32_t offset)
{
	struct kvm_ioeventfd arg = {
		.addr = MMIO_BASE + offset, .len = 4, .fd = eventfd(0, EFD_CLOEXEC),
	};

	return arg.fd < 0 || ioctl(vmm->vm, KVM_IOEVENTFD, &arg) ? -errno : 0;
}

/* Until the guest is done; any other exit counts as @result->user_exits. */
static int guest_loop(struct vmm *vmm, struct result *result)
{
	struct kvm_run *run = vmm->run;

	for (;;) {
		if (ioctl(vmm->vcpu, KVM_RUN, NULL) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == PORT_DONE)
				return 0;
			break;
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				memset(run->mmio.data, (uint8_t)VMM_VALUE, sizeof(run->mmio.data));
			break;
		default:
			fprintf(stderr, "bench: KVM exit %u\n", run->exit_reason);
			return -EIO;
		}
		result->user_exits++;
	}
}

int vmm_run(struct vmm *vmm, const struct job *job, struct result *result)
{
	struct kvm_regs regs = {
		.rip = programs[job->program] - guest_start,
		.rflags = 2,
		.rsp = job->nr,
		.rdx = job->program == GUEST_OUT ? job->nr : 0,
		.rbx = job->program == GUEST_HYPERCALL ? job->arg : job->nr,
		.rbp = job->count,
	};
	double start;
	int err;

	*result = (struct result){ 0 };
	if (ioctl(vmm->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	start = now_ns();
	err = guest_loop(vmm, result);
	result->ns = now_ns() - start;
	if (err)
		return err;
	if (ioctl(vmm->vcpu, KVM_GET_REGS, &regs))
		return -errno;
	result->eax = regs.rax;
	return 0;
}

int64_t vmm_stat(struct vmm *vmm, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	int64_t value = -1;
	size_t size;
	uint32_t i;

	if (vmm->stats < 0 || pread(vmm->stats, &header, sizeof(header), 0) != sizeof(header))
		return -1;
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	for (i = 0; desc && i < header.num_desc; i++) {
		if (pread(vmm->stats, desc, size, header.desc_offset + i * size) != (ssize_t)size)
			break;
		if (strcmp(desc->name, name))
			continue;
		if (pread(vmm->stats, &value, sizeof(value), header.data_offset + desc->offset) !=
		    sizeof(value))
			value = -1;
		break;
	}
	free(desc);
	return value;
}
