// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_mem.c - KVM's memory slots
 *
 * Only inline parts of kvm_host.h. All of these need kvm->srcu, which they
 * take, and a struct kvm that stays: see portal_vm_enter().
 */
#include <linux/bitops.h>
#include <linux/kvm_host.h>
#include <linux/srcu.h>
#include "portal.h"

/* RAM that the VMM gave to the guest: not KVM's own pages, not on its way out */
static bool slot_is_ram(const struct kvm_memory_slot *slot)
{
	return slot && slot->id < KVM_USER_MEM_SLOTS && !(slot->flags & KVM_MEMSLOT_INVALID);
}

/**
 * portal_kvm_mem_list() - the VM's RAM, by address
 * @vm: the VM
 * @slots: room for @nr
 * @nr: of them
 * @gen: changes with the slots
 *
 * Context: process; struct kvm held.
 * Return: how many there are, perhaps more than @nr.
 */
int portal_kvm_mem_list(struct portal_vm *vm, struct portal_mem_slot *slots, u32 nr, u64 *gen)
{
	const struct kvm_memory_slot *slot;
	struct kvm *kvm = vm->key;
	struct kvm_memslots *all;
	struct rb_node *node;
	u32 n = 0;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	all = kvm_memslots(kvm);
	*gen = all->generation & ~KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS;
	for (node = rb_first(&all->gfn_tree); node; node = rb_next(node)) {
		slot = container_of(node, struct kvm_memory_slot, gfn_node[all->node_idx]);
		if (!slot_is_ram(slot))
			continue;
		if (n < nr)
			slots[n] = (struct portal_mem_slot) {
				.gpa = gfn_to_gpa(slot->base_gfn),
				.len = gfn_to_gpa(slot->npages),
				.flags = slot->flags & KVM_MEM_READONLY ?
					 PORTAL_SLOT_F_READONLY : 0,
				.slot = slot->id,
			};
		n++;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return n;
}

/**
 * portal_kvm_mem_hva() - where guest RAM is in the VMM
 * @vm: the VM
 * @gpa: first byte
 * @len: (in, out) bytes, shortened to the slot
 * @write: to write there
 * @hva: address in vm->mm
 *
 * Context: any that may sleep; struct kvm held.
 * Return: 0, -ENOENT: no RAM, -EFAULT: RAM that cannot be accessed so.
 */
int portal_kvm_mem_hva(struct portal_vm *vm, u64 gpa, u64 *len, bool write, unsigned long *hva)
{
	const struct kvm_memory_slot *slot;
	struct kvm *kvm = vm->key;
	int idx, ret = -ENOENT;
	u64 off;

	idx = srcu_read_lock(&kvm->srcu);
	slot = __gfn_to_memslot(kvm_memslots(kvm), gpa_to_gfn(gpa));
	if (!slot_is_ram(slot))
		goto out_unlock;
	ret = -EFAULT;
	if (write && slot->flags & KVM_MEM_READONLY)
		goto out_unlock;
#ifdef KVM_MEM_GUEST_MEMFD
	/* what the guest sees may not be at the hva at all */
	if (slot->flags & KVM_MEM_GUEST_MEMFD)
		goto out_unlock;
#endif
	off = gpa - gfn_to_gpa(slot->base_gfn);
	*len = min_t(u64, *len, gfn_to_gpa(slot->npages) - off);
	*hva = slot->userspace_addr + off;
	ret = 0;
out_unlock:
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
}

/**
 * portal_kvm_mem_dirty() - tell dirty logging of a write
 * @vm: the VM
 * @gpa: first byte
 * @len: bytes, not 0
 *
 * By hand: mark_page_dirty() outside of a vCPU warns, and logs nothing on
 * kernels before 6.2. With KVM's dirty ring there is no bitmap and no way in.
 *
 * Context: any that may sleep; struct kvm held. After the write.
 */
void portal_kvm_mem_dirty(struct portal_vm *vm, u64 gpa, u64 len)
{
	gfn_t gfn = gpa_to_gfn(gpa), last = gpa_to_gfn(gpa + len - 1);
	struct kvm_memory_slot *slot = NULL;
	struct kvm *kvm = vm->key;
	struct kvm_memslots *all;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	all = kvm_memslots(kvm);
	for (; gfn <= last; gfn++) {
		if (!slot || gfn - slot->base_gfn >= slot->npages)
			slot = __gfn_to_memslot(all, gfn);
		if (slot && kvm_slot_dirty_track_enabled(slot) && slot->dirty_bitmap)
			set_bit_le(gfn - slot->base_gfn, slot->dirty_bitmap);
	}
	srcu_read_unlock(&kvm->srcu, idx);
}

/**
 * portal_kvm_mem_logged() - does somebody keep a log of writes?
 * @vm: the VM
 * @gpa: first byte
 * @len: bytes, not 0
 *
 * Context: any that may sleep; struct kvm held.
 * Return: true if so for any part of it.
 */
bool portal_kvm_mem_logged(struct portal_vm *vm, u64 gpa, u64 len)
{
	struct kvm_memslot_iter iter;
	struct kvm *kvm = vm->key;
	bool logged = false;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), gpa_to_gfn(gpa),
					  gpa_to_gfn(gpa + len - 1) + 1)
		logged |= kvm_slot_dirty_track_enabled(iter.slot) && iter.slot->dirty_bitmap;
	srcu_read_unlock(&kvm->srcu, idx);
	return logged;
}

/**
 * portal_kvm_mem_overlaps() - is any of this RAM, or a page of KVM's own
 * @kvm: the VM
 * @gpa: first byte
 * @len: bytes, not 0
 *
 * Context: any that may sleep; kvm->slots_lock makes the answer last.
 * Return: true if so, also if @gpa + @len wraps around.
 */
bool portal_kvm_mem_overlaps(struct kvm *kvm, u64 gpa, u64 len)
{
	struct kvm_memslot_iter iter;
	bool found = false;
	gfn_t end;
	int idx;

	if (gpa + len - 1 < gpa)
		return true;
	end = gpa_to_gfn(gpa + len - 1) + 1;
	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), gpa_to_gfn(gpa), end) {
		found = true;
		break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return found;
}
