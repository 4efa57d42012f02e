/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvm.h - functions of kvm.ko that it does not export to us
 *
 * Newer kernels restrict KVM's exports to kvm-intel and kvm-amd. Each function
 * is looked up by name at load and called through a static call: a direct
 * call, as an indirect one would trap where IBT sealed the function. A NULL
 * static call must never be made: portal_features says what was found.
 */
#ifndef _PORTAL_KVM_H
#define _PORTAL_KVM_H

#include <linux/kvm_host.h>
#include <linux/static_call.h>
#include <kvm/iodev.h>

struct file;

/* prototypes only: X(name, return type, arguments, feature bit or 0: required) */
#define PORTAL_KVM_SYMBOLS(X)								\
	X(file_is_kvm, bool, (struct file *file), 0)					\
	X(kvm_vcpu_halt, void, (struct kvm_vcpu *vcpu), 0)				\
	X(kvm_vcpu_wake_up, bool, (struct kvm_vcpu *vcpu), 0)				\
	X(kvm_skip_emulated_instruction, int, (struct kvm_vcpu *vcpu), 0)		\
	X(kvm_emulate_hypercall, int, (struct kvm_vcpu *vcpu), 0)			\
	X(kvm_get_segment, void,							\
	  (struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg), 0)			\
	X(kvm_get_linear_rip, unsigned long, (struct kvm_vcpu *vcpu),			\
	  PORTAL_FEAT_GATE | PORTAL_FEAT_GATE_PIO)					\
	X(kvm_get_rflags, unsigned long, (struct kvm_vcpu *vcpu),			\
	  PORTAL_FEAT_GATE | PORTAL_FEAT_GATE_PIO)					\
	X(kvm_mmu_page_fault, int,							\
	  (struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code, void *insn, int insn_len),	\
	  PORTAL_FEAT_GATE)								\
	X(kvm_fast_pio, int,								\
	  (struct kvm_vcpu *vcpu, int size, unsigned short port, int in),		\
	  PORTAL_FEAT_GATE_PIO)								\
	X(kvm_io_bus_register_dev, int,							\
	  (struct kvm *kvm, enum kvm_bus bus, gpa_t addr, int len,			\
	   struct kvm_io_device *dev), PORTAL_FEAT_MMIO | PORTAL_FEAT_PIO)		\
	X(kvm_io_bus_unregister_dev, int,						\
	  (struct kvm *kvm, enum kvm_bus bus, struct kvm_io_device *dev),		\
	  PORTAL_FEAT_MMIO | PORTAL_FEAT_PIO)						\
	X(kvm_irqfd, int, (struct kvm *kvm, struct kvm_irqfd *args), PORTAL_FEAT_IRQ_GSI)	\
	X(kvm_set_irq, int,								\
	  (struct kvm *kvm, int irq_source_id, u32 irq, int level, bool line_status),	\
	  PORTAL_FEAT_IRQ_GSI)								\
	X(kvm_vm_ioctl, long, (struct file *file, unsigned int cmd, unsigned long arg),	\
	  PORTAL_FEAT_MEM_MAP)								\
	X(kvm_mmu_gva_to_gpa_read, gpa_t,						\
	  (struct kvm_vcpu *vcpu, gva_t gva, struct x86_exception *exception),		\
	  PORTAL_FEAT_MEM_GVA)								\
	X(kvm_mmu_gva_to_gpa_write, gpa_t,						\
	  (struct kvm_vcpu *vcpu, gva_t gva, struct x86_exception *exception),		\
	  PORTAL_FEAT_MEM_GVA)								\
	X(kvm_send_userspace_msi, int, (struct kvm *kvm, struct kvm_msi *msi),		\
	  PORTAL_FEAT_IRQ_MSI)

#define PORTAL_KVM_DECLARE(name, ret, args, feature)	\
	ret portal_proto_##name args;			\
	DECLARE_STATIC_CALL(portal_##name, portal_proto_##name);
PORTAL_KVM_SYMBOLS(PORTAL_KVM_DECLARE)
#undef PORTAL_KVM_DECLARE

#define kvm_call(name)	static_call(portal_##name)

/* kvm_gate.c */
void portal_foreign_enter(int idx);
int portal_foreign_exit(void);

/* kvm_access.c */
int portal_exit_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code, void *insn,
			   int insn_len);
int portal_exit_pio(struct kvm_vcpu *vcpu, int size, unsigned short port, int in);

#endif /* _PORTAL_KVM_H */
