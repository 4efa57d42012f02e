/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmm.h - the smallest VMM: a vCPU, run by the thread that calls
 */
#ifndef PERF_VMM_H
#define PERF_VMM_H

#include <stdint.h>
#include <linux/kvm.h>

#define MMIO_BASE	0xd0000U	/* 64 KB that the guest reaches in real mode */
#define VMM_VALUE	0xeeeeeeeeU	/* a read that the VMM answers */

enum program { GUEST_HYPERCALL, GUEST_READ, GUEST_WRITE, GUEST_OUT, GUEST_NOTHING };

/**
 * struct job - one batch of the guest
 * @program: what it does
 * @nr: hypercall number, port, or offset from MMIO_BASE
 * @arg: the hypercall's argument 0
 * @count: how often
 */
struct job {
	enum program program;
	uint32_t nr;
	uint32_t arg;
	uint32_t count;
};

/**
 * struct result - what became of it
 * @ns: of all, the guest's way in and out included
 * @eax: at the end: the last value the guest got
 * @user_exits: returns of KVM_RUN, without the last one
 */
struct result {
	double ns;
	uint32_t eax;
	uint64_t user_exits;
};

struct vmm {
	int kvm;
	int vm;
	int vcpu;
	int stats;
	struct kvm_run *run;
};

/* All: 0 or -errno. */
int vmm_create(struct vmm *vmm);
/* A second vCPU of the same VM. */
int vmm_add_vcpu(const struct vmm *first, struct vmm *vmm);
int vmm_run(struct vmm *vmm, const struct job *job, struct result *result);
/* A write to MMIO_BASE + @offset signals an eventfd that nobody waits for. */
int vmm_ioeventfd(struct vmm *vmm, uint32_t offset);
/* KVM's own counter of this vCPU, or -1. */
int64_t vmm_stat(struct vmm *vmm, const char *name);

#endif /* PERF_VMM_H */
