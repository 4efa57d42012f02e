// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_access.c - accesses that may have to wait, in front of KVM's emulation
 *
 * These functions run in place of KVM's (kvm_gate.c). They wait where nothing is
 * done yet and the instruction can simply come again, then let KVM's function do
 * the access on its bus, where kvm_bus.c takes it.
 */
#include <asm/processor-flags.h>
#include "kvm.h"
#include "portal.h"

/* What an instruction may change, before it ran. */
struct snapshot {
	unsigned long regs[VCPU_REGS_RIP + 1];
	unsigned long rflags;
};

static void snapshot_take(struct kvm_vcpu *vcpu, struct snapshot *old)
{
	kvm_call(kvm_get_linear_rip)(vcpu);	/* brings RIP into regs[] */
	memcpy(old->regs, vcpu->arch.regs, sizeof(old->regs));
	old->rflags = kvm_call(kvm_get_rflags)(vcpu);
}

/*
 * A plain store changed nothing but RIP, so it can be done again. Not under TF,
 * where its trap is queued already; nor if it took RF away, without which the
 * guest's breakpoint on it would hit once more.
 */
static bool only_rip_changed(struct kvm_vcpu *vcpu, const struct snapshot *old)
{
	unsigned long len = vcpu->arch.regs[VCPU_REGS_RIP] - old->regs[VCPU_REGS_RIP];

	return len - 1 < 15 &&
	       !memcmp(vcpu->arch.regs, old->regs, VCPU_REGS_RIP * sizeof(old->regs[0])) &&
	       !(old->rflags & X86_EFLAGS_TF) &&
	       kvm_call(kvm_get_rflags)(vcpu) == old->rflags;
}

static void rip_restore(struct kvm_vcpu *vcpu, unsigned long rip)
{
	vcpu->arch.regs[VCPU_REGS_RIP] = rip;
	__set_bit(VCPU_REGS_RIP, (unsigned long *)&vcpu->arch.regs_avail);
	__set_bit(VCPU_REGS_RIP, (unsigned long *)&vcpu->arch.regs_dirty);
}

/* Between the two the device's own callbacks enter portal_srcu again. */
static void access_begin(struct portal_vcpu *pv, struct snapshot *old)
{
	if (pv->may_undo || pv->answered)
		snapshot_take(pv->arch, old);
	portal_leave(pv);
}

static void access_end(struct portal_vcpu *pv, const struct snapshot *old, int ret)
{
	struct kvm_vcpu *vcpu = pv->arch;
	bool can_restart, executed;

	portal_reenter(pv);
	can_restart = pv->may_undo && ret == 1 && only_rip_changed(vcpu, old);
	/* only an answer that was not taken asks for it */
	executed = pv->answered &&
		   (ret != 1 || vcpu->arch.regs[VCPU_REGS_RIP] != old->regs[VCPU_REGS_RIP]);
	if (portal_region_after(pv, can_restart, executed) == PORTAL_RESTART)
		rip_restore(vcpu, old->regs[VCPU_REGS_RIP]);
}

static struct portal_region *region_find(struct kvm_vcpu *vcpu, u32 bus, u64 addr)
{
	struct portal_vm *vm = portal_vm_find(vcpu->kvm);

	return vm && !READ_ONCE(vm->gone) ? portal_region_find(vm, bus, addr) : NULL;
}

static struct portal_vcpu *vcpu_get(struct kvm_vcpu *vcpu, const struct portal_region *region)
{
	return portal_vcpu_get(region->client->vm, vcpu->vcpu_idx, vcpu);
}

/**
 * portal_exit_page_fault - in place of kvm_mmu_page_fault()
 * @vcpu: the vCPU
 * @gpa: what it touched
 * @error_code: how
 * @insn: the instruction's bytes, if the CPU gave them
 * @insn_len: their number
 *
 * Return: as KVM's function.
 */
int portal_exit_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code, void *insn,
			   int insn_len)
{
	/* nested paging and EPT violations say which way; a misconfiguration does not */
	bool known = error_code & ~(u64)PFERR_RSVD_MASK;
	bool write = error_code & PFERR_WRITE_MASK;
	int idx = srcu_read_lock(&portal_srcu), ret = 1;
	struct portal_region *region;
	struct portal_vcpu *pv = NULL;
	struct snapshot old;

	region = region_find(vcpu, PORTAL_BUS_MMIO, gpa);
	if (region)
		pv = vcpu_get(vcpu, region);
	if (!pv || (!known && !portal_region_guess(pv, region, gpa - region->gpa, &write))) {
		portal_foreign_enter(idx);
		ret = kvm_call(kvm_mmu_page_fault)(vcpu, gpa, error_code, insn, insn_len);
		idx = portal_foreign_exit();
		goto out_unlock;
	}
	pv->srcu_idx = idx;
	if (portal_region_before(pv, region, gpa - region->gpa, write) == PORTAL_RETIRE) {
		access_begin(pv, &old);
		ret = kvm_call(kvm_mmu_page_fault)(vcpu, gpa, error_code, insn, insn_len);
		access_end(pv, &old, ret);
	}
	idx = pv->srcu_idx;
out_unlock:
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}

/**
 * portal_exit_pio - in place of kvm_fast_pio(): IN and OUT, but no string I/O
 * @vcpu: the vCPU
 * @size: bytes
 * @port: first port
 * @in: a read
 *
 * Return: as KVM's function.
 */
int portal_exit_pio(struct kvm_vcpu *vcpu, int size, unsigned short port, int in)
{
	int idx = srcu_read_lock(&portal_srcu), ret = 1;
	struct portal_region *region;
	struct portal_vcpu *pv = NULL;
	struct snapshot old;

	region = region_find(vcpu, PORTAL_BUS_PIO, port);
	/* what crosses the end is not ours, as on the bus */
	if (region && port - region->gpa + size <= region->len)
		pv = vcpu_get(vcpu, region);
	if (!pv) {
		portal_foreign_enter(idx);
		ret = kvm_call(kvm_fast_pio)(vcpu, size, port, in);
		idx = portal_foreign_exit();
		goto out_unlock;
	}
	pv->srcu_idx = idx;
	if (portal_region_before(pv, region, port - region->gpa, !in) == PORTAL_RETIRE) {
		access_begin(pv, &old);
		ret = kvm_call(kvm_fast_pio)(vcpu, size, port, in);
		access_end(pv, &old, ret);
	}
	idx = pv->srcu_idx;
out_unlock:
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}
