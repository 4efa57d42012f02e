// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_gate.c - ftrace hooks on KVM's exit handlers
 *
 * As live patching does, a handler looks whether an exit is ours and if so
 * lets our function run in place of KVM's; every other exit runs KVM's code
 * untouched. A hook is registered while some VM needs it, and a little longer.
 *
 * Built with -fno-optimize-sibling-calls, as kvm_access.c: when our function
 * calls KVM's, the handler knows by the return address not to send it back.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "kvm.h"
#include "portal.h"
#include "vm.h"

/* Context: preemption off, which is RCU's read side; VMs are freed by RCU. */
static __always_inline struct portal_vm *vm_look(const struct kvm *kvm)
{
	struct portal_vm *vm;

	hlist_for_each_entry_rcu_notrace(vm, portal_vm_bucket(kvm), node)
		if (vm->key == kvm)
			return vm;
	return NULL;
}

static __always_inline bool in_guest_mode(const struct kvm_vcpu *vcpu)
{
	return vcpu->arch.hflags & HF_GUEST_MASK;
}

/*
 * KVM's own code may sleep for as long as the guest's memory makes it, so it
 * runs outside of portal_srcu; but we are below it on the stack.
 */
static atomic_t foreign = ATOMIC_INIT(0);

void portal_foreign_enter(int idx) __releases(&portal_srcu)
{
	atomic_inc(&foreign);
	srcu_read_unlock(&portal_srcu, idx);
}

int portal_foreign_exit(void) __acquires(&portal_srcu)
{
	int idx = srcu_read_lock(&portal_srcu);

	atomic_dec(&foreign);
	return idx;
}

/* ---- hypercalls --------------------------------------------------------- */

static void hypercall_read(struct kvm_vcpu *vcpu, struct portal_hypercall *hc)
{
	unsigned long *regs = vcpu->arch.regs;
	struct kvm_segment cs, ss;
	u64 mask = U64_MAX;

	kvm_call(kvm_get_segment)(vcpu, &ss, VCPU_SREG_SS);
	hc->cpl = ss.dpl;
	hc->nr = regs[VCPU_REGS_RAX];
	hc->call_id = regs[VCPU_REGS_RAX] >> 32;
	if (!vcpu->arch.guest_state_protected) {
		kvm_call(kvm_get_segment)(vcpu, &cs, VCPU_SREG_CS);
		if (!(vcpu->arch.efer & EFER_LMA) || !cs.l) {
			mask = U32_MAX;
			hc->call_id = (u32)regs[VCPU_REGS_RDI];
		}
	}
	hc->args[0] = regs[VCPU_REGS_RBX] & mask;
	hc->args[1] = regs[VCPU_REGS_RCX] & mask;
	hc->args[2] = regs[VCPU_REGS_RDX] & mask;
	hc->args[3] = regs[VCPU_REGS_RSI] & mask;
	hc->value = 0;
}

static noinline int hypercall_exit(struct kvm_vcpu *vcpu)
{
	int idx = srcu_read_lock(&portal_srcu), ret;
	enum portal_step step = PORTAL_PASS;
	struct portal_vcpu *pv = NULL;
	struct portal_hypercall hc;
	struct portal_vm *vm;

	vm = portal_vm_find(vcpu->kvm);
	if (vm)
		pv = portal_vcpu_get(vm, vcpu->vcpu_idx, vcpu);
	if (pv) {
		pv->srcu_idx = idx;
		hypercall_read(vcpu, &hc);
		step = portal_hypercall(pv, &hc);
		idx = pv->srcu_idx;
	}
	/* VMGEXIT is a trap: not skipping it would not execute it again */
	if (step == PORTAL_RESTART && vcpu->arch.guest_state_protected) {
		hc.value = -PORTAL_EAGAIN;
		step = PORTAL_RETIRE;
	}
	switch (step) {
	case PORTAL_RETIRE:
		vcpu->arch.regs[VCPU_REGS_RAX] = hc.value;
		ret = kvm_call(kvm_skip_emulated_instruction)(vcpu);
		break;
	case PORTAL_RESTART:
		ret = 1;	/* KVM sees to signals and interrupts, then again */
		break;
	default:
		portal_foreign_enter(idx);
		ret = kvm_call(kvm_emulate_hypercall)(vcpu);
		idx = portal_foreign_exit();
	}
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}

static void notrace hypercall_handler(unsigned long ip, unsigned long parent_ip,
				      struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct kvm_vcpu *vcpu = (void *)portal_ftrace_arg(fregs, 0);
	u32 nr = vcpu->arch.regs[VCPU_REGS_RAX];
	struct portal_vm *vm;
	bool ours;

	if (in_guest_mode(vcpu) || within_module(parent_ip, THIS_MODULE))
		return;
	preempt_disable_notrace();
	vm = vm_look(vcpu->kvm);
	ours = vm && nr >= READ_ONCE(vm->hc_first) && nr <= READ_ONCE(vm->hc_last);
	preempt_enable_notrace();
	if (ours)
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)hypercall_exit);
}

/* ---- accesses that wait ------------------------------------------------- */

/* Context: as vm_look(). The first byte decides what an access is. */
static __always_inline bool in_gate(const struct portal_vm *vm, u32 bus, u64 addr)
{
	const struct portal_gate_map *map;
	u32 low = 0, high, mid;

	if (addr < READ_ONCE(vm->gate_first[bus]) || addr > READ_ONCE(vm->gate_last[bus]))
		return false;
	map = rcu_dereference_raw(vm->gate_map[bus]);
	if (!map)
		return true;
	for (high = map->nr; low < high;) {
		mid = low + (high - low) / 2;
		if (addr > map->range[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < map->nr && addr >= map->range[low].first;
}

static void notrace page_fault_handler(unsigned long ip, unsigned long parent_ip,
				       struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct kvm_vcpu *vcpu = (void *)portal_ftrace_arg(fregs, 0);
	u64 gpa = portal_ftrace_arg(fregs, 1);
	struct portal_vm *vm;
	bool ours;

	/* with shadow paging it is no guest-physical address */
	if (in_guest_mode(vcpu) || !vcpu->arch.mmu->root_role.direct ||
	    within_module(parent_ip, THIS_MODULE))
		return;
	preempt_disable_notrace();
	vm = vm_look(vcpu->kvm);
	ours = vm && in_gate(vm, PORTAL_BUS_MMIO, gpa);
	preempt_enable_notrace();
	if (ours)
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)portal_exit_page_fault);
}

static void notrace pio_handler(unsigned long ip, unsigned long parent_ip,
				struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct kvm_vcpu *vcpu = (void *)portal_ftrace_arg(fregs, 0);
	u16 port = portal_ftrace_arg(fregs, 2);
	struct portal_vm *vm;
	bool ours;

	/* of a protected guest the instruction is over: it cannot come again */
	if (in_guest_mode(vcpu) || vcpu->arch.guest_state_protected ||
	    within_module(parent_ip, THIS_MODULE))
		return;
	preempt_disable_notrace();
	vm = vm_look(vcpu->kvm);
	ours = vm && in_gate(vm, PORTAL_BUS_PIO, port);
	preempt_enable_notrace();
	if (ours)
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)portal_exit_pio);
}

/* ---- the VMM changes slots ------------------------------------------------ */

/* After these a window may show what the guest does not see, or hide a write. */
static __always_inline bool ioctl_matters(unsigned int cmd)
{
	return cmd == KVM_SET_USER_MEMORY_REGION ||
#ifdef KVM_SET_USER_MEMORY_REGION2
	       cmd == KVM_SET_USER_MEMORY_REGION2 ||
#endif
	       cmd == KVM_GET_DIRTY_LOG || cmd == KVM_CLEAR_DIRTY_LOG;
}

static noinline long ioctl_exit(struct file *file, unsigned int cmd, unsigned long arg)
{
	int idx = srcu_read_lock(&portal_srcu);
	struct portal_vm *vm;
	long ret;

	portal_foreign_enter(idx);
	ret = kvm_call(kvm_vm_ioctl)(file, cmd, arg);
	idx = portal_foreign_exit();
	vm = portal_vm_find(file->private_data);
	if (vm && !READ_ONCE(vm->gone))
		portal_windows_recheck(vm);
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}

static void notrace ioctl_handler(unsigned long ip, unsigned long parent_ip,
				  struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct file *file = (void *)portal_ftrace_arg(fregs, 0);
	bool ours;

	if (!ioctl_matters(portal_ftrace_arg(fregs, 1)) || within_module(parent_ip, THIS_MODULE))
		return;
	preempt_disable_notrace();
	ours = vm_look(file->private_data);
	preempt_enable_notrace();
	if (ours)
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)ioctl_exit);
}

/* ---- the VM's file closes ------------------------------------------------ */

static void notrace release_handler(unsigned long ip, unsigned long parent_ip,
				    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct file *file = (void *)portal_ftrace_arg(fregs, 1);
	struct portal_vm *vm;

	preempt_disable_notrace();
	vm = vm_look(file->private_data);
	if (vm)
		WRITE_ONCE(vm->closed, true);
	preempt_enable_notrace();
}

/* ---- on and off --------------------------------------------------------- */

/* PERMANENT: with ftrace_enabled=0 the hooks would silently be gone. */
#define GATE(_gate, _symbol, _handler, _flags)					\
	[_gate] = {								\
		.symbol = _symbol,						\
		.ops = {							\
			.func = _handler,					\
			.flags = FTRACE_OPS_FL_PERMANENT | (_flags),		\
		},								\
	}

static DEFINE_MUTEX(gates_mutex);
static struct {
	char *symbol;
	struct ftrace_ops ops;
	unsigned int users;
	bool filtered, registered;
} gates[] = {
	GATE(PORTAL_GATE_HYPERCALL, "kvm_emulate_hypercall", hypercall_handler,
	     FTRACE_OPS_FL_IPMODIFY),
	GATE(PORTAL_GATE_MMIO, "kvm_mmu_page_fault", page_fault_handler, FTRACE_OPS_FL_IPMODIFY),
	GATE(PORTAL_GATE_PIO, "kvm_fast_pio", pio_handler, FTRACE_OPS_FL_IPMODIFY),
	GATE(PORTAL_GATE_RELEASE, "kvm_vm_release", release_handler, 0),
	GATE(PORTAL_GATE_IOCTL, "kvm_vm_ioctl", ioctl_handler, FTRACE_OPS_FL_IPMODIFY),
};

static_assert(ARRAY_SIZE(gates) == PORTAL_GATE_NR);

/*
 * Unregistering waits for all tasks (RCU tasks), for who knows how long: nobody
 * who takes a region or a VM down should. So it is done later, and not at all if
 * a new user comes first.
 */
#define GATE_LINGER	(10 * HZ)

static void gates_unregister(void)
{
	unsigned int i;

	lockdep_assert_held(&gates_mutex);
	for (i = 0; i < ARRAY_SIZE(gates); i++) {
		if (gates[i].users || !gates[i].registered)
			continue;
		WARN_ON_ONCE(unregister_ftrace_function(&gates[i].ops));
		gates[i].registered = false;
	}
}

static void gates_work(struct work_struct *work)
{
	mutex_lock(&gates_mutex);
	gates_unregister();
	mutex_unlock(&gates_mutex);
}

static DECLARE_DELAYED_WORK(gates_linger, gates_work);

/**
 * portal_gate_set - one more or one less user of a hook
 * @gate: the hook
 * @on: one more
 *
 * Context: process; the first user patches kernel text.
 * Return: 0, -EBUSY (somebody else modifies that function), -errno.
 */
int portal_gate_set(enum portal_gate gate, bool on)
{
	int ret = 0;

	mutex_lock(&gates_mutex);
	if (!on) {
		if (!--gates[gate].users)
			mod_delayed_work(system_wq, &gates_linger, GATE_LINGER);
		goto out_unlock;
	}
	if (gates[gate].users++ || gates[gate].registered)
		goto out_unlock;
	if (!gates[gate].filtered)
		ret = ftrace_set_filter(&gates[gate].ops, (unsigned char *)gates[gate].symbol,
					strlen(gates[gate].symbol), 1);
	gates[gate].filtered = !ret;
	if (!ret)
		ret = register_ftrace_function(&gates[gate].ops);
	gates[gate].registered = !ret;
	if (ret) {
		gates[gate].users--;
		pr_err("cannot hook %s(): %d%s\n", gates[gate].symbol, ret,
		       ret == -EBUSY ? ", a live patch or another module has it" : "");
	}
out_unlock:
	mutex_unlock(&gates_mutex);
	return ret;
}

/**
 * portal_gate_exit - nobody is in this module's text any more
 *
 * Unregistering the hooks waits for threads that were on their way in. What
 * follows waits for those inside, then for those on their way out.
 */
void portal_gate_exit(void)
{
	unsigned int i;

	cancel_delayed_work_sync(&gates_linger);
	mutex_lock(&gates_mutex);
	gates_unregister();
	for (i = 0; i < ARRAY_SIZE(gates); i++)
		ftrace_free_filter(&gates[i].ops);
	mutex_unlock(&gates_mutex);
	while (atomic_read(&foreign))
		msleep(20);	/* KVM's own code, which ends by itself or by a signal */
	synchronize_srcu(&portal_srcu);
	synchronize_rcu_tasks();
	rcu_barrier();
}
