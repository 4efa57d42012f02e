// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm.c - the VM behind a KVM VM fd: finding KVM's functions, attaching,
 * parking a vCPU, raising interrupts. With kvm_*.c the only place that knows
 * KVM's insides.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include "kvm.h"
#include "portal.h"

#define PORTAL_KVM_DEFINE(name, ret, args, feature)	\
	DEFINE_STATIC_CALL_NULL(portal_##name, portal_proto_##name);
PORTAL_KVM_SYMBOLS(PORTAL_KVM_DEFINE)

/* A throw-away kprobe is the one way to an address that modules have left. */
static void *symbol_find(const char *name)
{
	struct kprobe kp = { .symbol_name = name };

	if (register_kprobe(&kp))
		return NULL;
	unregister_kprobe(&kp);
	return kp.addr;
}

/*
 * A missing function takes its feature with it, or the module if nothing
 * works without.
 */
static int symbol_missing(const char *name, u64 feature)
{
	if (!feature) {
		pr_err("this kernel's KVM has no %s(): not loading\n", name);
		return -EOPNOTSUPP;
	}
	pr_warn("this kernel's KVM has no %s(): doing without features %#llx\n", name, feature);
	portal_features &= ~feature;
	return 0;
}

int portal_kvm_init(void)
{
	void *addr;
	int ret = 0;

	portal_features = PORTAL_FEAT_HYPERCALL | PORTAL_FEAT_MMIO | PORTAL_FEAT_PIO |
			  PORTAL_FEAT_GATE | PORTAL_FEAT_GATE_PIO | PORTAL_FEAT_IRQ_GSI |
			  PORTAL_FEAT_IRQ_MSI | PORTAL_FEAT_MEM_RW | PORTAL_FEAT_MEM_GVA |
			  PORTAL_FEAT_MEM_MAP | PORTAL_FEAT_URING | PORTAL_FEAT_POLICY;
#ifdef HAVE_URING_CANCEL
	portal_features |= PORTAL_FEAT_URING_CANCEL;
#endif
#ifdef CONFIG_PORTAL_MOCK
	portal_features |= PORTAL_FEAT_MOCK;
#endif

#define PORTAL_KVM_FIND(name, type, args, feature)					\
	addr = ret ? NULL : symbol_find(#name);						\
	if (addr)									\
		static_call_update(portal_##name, (typeof(portal_proto_##name) *)addr);	\
	else if (!ret)									\
		ret = symbol_missing(#name, feature);
	PORTAL_KVM_SYMBOLS(PORTAL_KVM_FIND)
	return ret;
}

void portal_kvm_exit(void)
{
	portal_gate_exit();
}

/* ---- the VM ------------------------------------------------------------- */

/* Under portal_vms_mutex: the VM in the table is @kvm's from now on. */
static int kvm_vm_add(struct kvm *kvm, struct portal_vm *vm)
{
	int ret;

	ret = portal_gate_set(PORTAL_GATE_HYPERCALL, true);
	if (ret)
		return ret;
	ret = portal_vm_add(vm);
	if (ret) {
		portal_gate_set(PORTAL_GATE_HYPERCALL, false);
		return ret;
	}
	refcount_inc(&kvm->users_count);	/* kvm_get_kvm(); the VM's file has one */
	vm->pid = kvm->userspace_pid;
	vm->watched = !portal_gate_set(PORTAL_GATE_RELEASE, true);
	return 0;
}

static struct portal_vm *kvm_vm_find(struct kvm *kvm)
{
	struct portal_vm *vm = portal_vm_find(kvm);

	if (vm)
		kref_get(&vm->ref);
	return vm;
}

/* Context: the VM's file and its mm are held. */
static int kvm_vm_get(struct kvm *kvm, struct portal_vm **out)
{
	struct portal_vm *vm, *new;
	int ret = 0;

	mutex_lock(&portal_vms_mutex);
	vm = kvm_vm_find(kvm);
	mutex_unlock(&portal_vms_mutex);
	if (vm)
		goto out;
	/* takes the VMM's mmap_lock, for which others must not wait */
	new = portal_vm_alloc(kvm, kvm->mm, &portal_kvm_ops);
	if (IS_ERR(new))
		return PTR_ERR(new);
	mutex_lock(&portal_vms_mutex);
	vm = kvm_vm_find(kvm);		/* somebody was faster? */
	if (!vm)
		ret = kvm_vm_add(kvm, new);
	mutex_unlock(&portal_vms_mutex);
	if (vm || ret)
		portal_vm_unalloc(new);
	else
		vm = new;
out:
	*out = vm;
	return ret;
}

/**
 * portal_kvm_attach - the VM of a KVM VM fd
 * @fd: in the caller's table; no reference to the file is kept, it would hold
 *	up KVM when the VMM closes the VM
 * @vm: (out) referenced
 *
 * Return: 0, -EBADF, -ENXIO, -ENODEV, -ENOSPC, -ENOMEM, -EBUSY.
 */
int portal_kvm_attach(int fd, struct portal_vm **vm)
{
	struct file *file = fget(fd);
	struct kvm *kvm;
	int ret = -ENXIO;

	if (!file)
		return -EBADF;
	if (!kvm_call(file_is_kvm)(file))
		goto out_fput;
	kvm = file->private_data;
	ret = -ENODEV;
	if (kvm->vm_dead || !mmget_not_zero(kvm->mm))
		goto out_fput;
	ret = kvm_vm_get(kvm, vm);
	mmput(kvm->mm);
out_fput:
	fput(file);
	return ret;
}

static void kvm_release(struct portal_vm *vm)
{
	portal_gate_set(PORTAL_GATE_HYPERCALL, false);
	if (vm->watched)
		portal_gate_set(PORTAL_GATE_RELEASE, false);
	kvm_put_kvm(vm->key);
}

/* Only our own reference left: VM fd and vCPU fds are closed. */
static bool kvm_closed(struct portal_vm *vm)
{
	struct kvm *kvm = vm->key;

	return refcount_read(&kvm->users_count) == 1;
}

/* ---- vCPUs -------------------------------------------------------------- */

/*
 * Wait as the guest's HLT does: its interrupts and IPIs, signals to the VMM's
 * thread and our wake-up all end it, and the VMM's memslot updates do not wait
 * for us. mp_state must say HALTED, or the vCPU would count as runnable.
 */
static void kvm_park(struct portal_vcpu *pv)
{
	struct kvm_vcpu *vcpu = pv->arch;

	kvm_vcpu_srcu_read_unlock(vcpu);
	vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
	kvm_call(kvm_vcpu_halt)(vcpu);
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	/* as KVM after a halt; the guest is not in its own HLT, so nothing is lost */
	vcpu->arch.pv.pv_unhalted = false;
	kvm_vcpu_srcu_read_lock(vcpu);
}

static void kvm_wake(struct portal_vcpu *pv)
{
	struct kvm_vcpu *vcpu = pv->arch;

	kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	kvm_call(kvm_vcpu_wake_up)(vcpu);
}

/* Where its instruction is: the same each time that one is restarted. */
static u64 kvm_rip(struct portal_vcpu *pv)
{
	if (!(portal_features & (PORTAL_FEAT_GATE | PORTAL_FEAT_GATE_PIO)))
		return 0;
	return kvm_call(kvm_get_linear_rip)(pv->arch);
}

/* With the rights that the vCPU has at its instruction: paging, SMEP, SMAP. */
static u64 kvm_gva(struct portal_vcpu *pv, u64 gva, bool write)
{
	struct kvm_vcpu *vcpu = pv->arch;

	/* an encrypted guest's page tables say nothing to us */
	if (vcpu->arch.guest_state_protected)
		return U64_MAX;
	return write ? kvm_call(kvm_mmu_gva_to_gpa_write)(vcpu, gva, NULL) :
		       kvm_call(kvm_mmu_gva_to_gpa_read)(vcpu, gva, NULL);
}

static u32 kvm_nr_vcpus(struct portal_vm *vm)
{
	struct kvm *kvm = vm->key;

	return atomic_read(&kvm->online_vcpus);
}

/* ---- interrupts --------------------------------------------------------- */

static u32 kvm_irqchip(struct portal_vm *vm)
{
	struct kvm *kvm = vm->key;

	switch (kvm->arch.irqchip_mode) {
	case KVM_IRQCHIP_KERNEL:
		return PORTAL_IRQCHIP_FULL;
	case KVM_IRQCHIP_SPLIT:
		return PORTAL_IRQCHIP_SPLIT;
	default:
		return PORTAL_IRQCHIP_NONE;
	}
}

static int eventfd_check(int fd)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx) == -EINVAL ? -ENXIO : PTR_ERR(ctx);
	eventfd_ctx_put(ctx);
	return 0;
}

/*
 * KVM's own ioctl refuses a process with another mm than the VMM's; the
 * function behind it works on the caller's fd table, which is what we want.
 */
static int kvm_irq_bind(struct portal_vm *vm, const struct portal_irq_bind *irq, bool bind)
{
	struct kvm_irqfd args = {
		.fd = irq->eventfd,
		.gsi = irq->gsi,
		.flags = bind ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	u32 irqchip = kvm_irqchip(vm);
	int ret;

	if (!(portal_features & PORTAL_FEAT_IRQ_GSI) || irqchip == PORTAL_IRQCHIP_NONE ||
	    !vm->watched)
		return -EOPNOTSUPP;
	if (READ_ONCE(vm->gone) || READ_ONCE(vm->closed))
		return -ENODEV;
	ret = eventfd_check(irq->eventfd);
	if (ret)
		return ret;
	if (bind && irq->flags & PORTAL_IRQ_F_RESAMPLE) {
		if (irqchip != PORTAL_IRQCHIP_FULL)
			return -EOPNOTSUPP;
		ret = eventfd_check(irq->resamplefd);
		if (ret)
			return ret;
		args.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		args.resamplefd = irq->resamplefd;
	}
	ret = kvm_call(kvm_irqfd)(vm->key, &args);
	/*
	 * KVM takes its irqfds down when the VM's file closes; one that came
	 * later would outlive the VM. The flag is set before KVM does so.
	 */
	smp_mb();
	if (!ret && bind && READ_ONCE(vm->closed)) {
		args.flags = KVM_IRQFD_FLAG_DEASSIGN;
		kvm_call(kvm_irqfd)(vm->key, &args);
		ret = -ENODEV;
	}
	return ret;
}

static bool kvm_irq_has_edge(struct portal_vm *vm, u32 gsi)
{
	return portal_features & PORTAL_FEAT_IRQ_GSI && gsi < KVM_IOAPIC_NUM_PINS &&
	       kvm_irqchip(vm) == PORTAL_IRQCHIP_FULL;
}

static void kvm_irq_edge(struct portal_vm *vm, u32 gsi)
{
	kvm_call(kvm_set_irq)(vm->key, KVM_USERSPACE_IRQ_SOURCE_ID, gsi, 1, false);
	kvm_call(kvm_set_irq)(vm->key, KVM_USERSPACE_IRQ_SOURCE_ID, gsi, 0, false);
}

/* KVM says how many vCPUs it reached, but not reliably that there are none. */
static int kvm_irq_msi(struct portal_vm *vm, u64 address, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = lower_32_bits(address),
		.address_hi = upper_32_bits(address),
		.data = data,
	};
	int ret;

	if (!(portal_features & PORTAL_FEAT_IRQ_MSI) || kvm_irqchip(vm) == PORTAL_IRQCHIP_NONE)
		return -EOPNOTSUPP;
	ret = kvm_call(kvm_send_userspace_msi)(vm->key, &msi);
	return ret == -EINVAL ? -EINVAL : 0;
}

static int kvm_gate(struct portal_vm *vm, enum portal_gate gate, bool on)
{
	/* without a gate the waits are in the access: slower, still right */
	if ((gate == PORTAL_GATE_MMIO && !(portal_features & PORTAL_FEAT_GATE)) ||
	    (gate == PORTAL_GATE_PIO && !(portal_features & PORTAL_FEAT_GATE_PIO)))
		return 0;
	return portal_gate_set(gate, on);
}

const struct portal_vm_ops portal_kvm_ops = {
	.park = kvm_park,
	.wake = kvm_wake,
	.rip = kvm_rip,
	.gva = kvm_gva,
	.gate = kvm_gate,
	.bus_add = portal_kvm_bus_add,
	.bus_del = portal_kvm_bus_del,
	.mem_list = portal_kvm_mem_list,
	.mem_hva = portal_kvm_mem_hva,
	.mem_dirty = portal_kvm_mem_dirty,
	.mem_logged = portal_kvm_mem_logged,
	.irq_bind = kvm_irq_bind,
	.irq_has_edge = kvm_irq_has_edge,
	.irq_edge = kvm_irq_edge,
	.irq_msi = kvm_irq_msi,
	.irqchip = kvm_irqchip,
	.nr_vcpus = kvm_nr_vcpus,
	.closed = kvm_closed,
	.release = kvm_release,
};
