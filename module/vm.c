// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - one VM that somebody is attached to, and its vCPUs
 */
#include <linux/debugfs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "portal.h"
#include "vm.h"

DEFINE_MUTEX(portal_vms_mutex);
struct hlist_head portal_vms[1 << PORTAL_VMS_BITS];
static u32 nr_vms, last_id;

/**
 * portal_vm_find - the VM of @key
 * @key: struct kvm * or the mock's key
 *
 * Context: in portal_srcu or under portal_vms_mutex; the result is valid as
 * long.
 * Return: the VM or NULL.
 */
struct portal_vm *portal_vm_find(void *key)
{
	struct portal_vm *vm;

	hlist_for_each_entry_srcu(vm, portal_vm_bucket(key), node,
				  srcu_read_lock_held(&portal_srcu) ||
				  lockdep_is_held(&portal_vms_mutex))
		if (vm->key == key)
			return vm;
	return NULL;
}

u32 portal_vm_count(void)
{
	return READ_ONCE(nr_vms);
}

/*
 * Take the VM out of KVM's hands again: nobody of the guest's side comes in
 * any more, nobody is inside, and then the VM itself is let go.
 */
static void vm_release(struct portal_vm *vm)
{
	debugfs_remove(vm->debugfs);
	WRITE_ONCE(vm->gone, true);
	do {
		portal_vm_wake_all(vm);
		/* a vCPU between its last look and park() needs a second one */
	} while (!wait_event_timeout(vm->parked_wq, !atomic_read(&vm->nr_parked), HZ / 10));
	synchronize_srcu(&portal_srcu);

	cancel_delayed_work_sync(&vm->poll_work);
	cancel_delayed_work_sync(&vm->timeout_work);
	mmu_notifier_unregister(&vm->mn, vm->mm);
	portal_calls_drop(vm);
	down_write(&vm->alive);
	vm->released = true;
	up_write(&vm->alive);
	vm->ops->release(vm);
}

/* Under portal_vms_mutex: true if the caller must vm_release() after it. */
static bool vm_unhash(struct portal_vm *vm)
{
	if (vm->unhashed)
		return false;
	vm->unhashed = true;
	hlist_del_rcu(&vm->node);
	WRITE_ONCE(nr_vms, nr_vms - 1);
	return true;
}

/* A VMM may close a VM and live on, or add a vCPU: nobody tells, so look. */
static void poll_work(struct work_struct *work)
{
	struct portal_vm *vm = container_of(to_delayed_work(work), struct portal_vm, poll_work);

	if (vm->ops->closed && vm->ops->closed(vm)) {
		portal_vm_mark_gone(vm, PORTAL_GONE_CLOSED);
		return;
	}
	portal_life_poll(vm);
	queue_delayed_work(portal_wq, &vm->poll_work, HZ);
}

/*
 * A client that is not shut down yet, referenced; NULL: none. One that is being
 * shut down by its last close is waited for, as it uses the VM.
 */
static struct portal_client *client_alive(struct portal_vm *vm)
{
	struct portal_client *client;

	mutex_lock(&portal_vms_mutex);
	list_for_each_entry(client, &vm->clients, node)
		if (!READ_ONCE(client->down)) {
			kref_get(&client->ref);
			goto out_unlock;
		}
	client = NULL;
out_unlock:
	mutex_unlock(&portal_vms_mutex);
	return client;
}

static void gone_work(struct work_struct *work)
{
	struct portal_vm *vm = container_of(work, struct portal_vm, gone_work);
	struct portal_client *client;
	bool last;

	/* it waits for vCPUs: other VMs must not wait for that */
	while ((client = client_alive(vm))) {
		portal_client_shutdown(client);
		portal_client_put(client);
	}
	mutex_lock(&portal_vms_mutex);
	last = vm_unhash(vm);
	mutex_unlock(&portal_vms_mutex);
	if (last)
		vm_release(vm);
	portal_vm_put(vm);
}

/**
 * portal_vm_link - a new client
 * @vm: the VM
 * @client: the client
 *
 * Return: 0 or -ENODEV.
 */
int portal_vm_link(struct portal_vm *vm, struct portal_client *client)
{
	int ret = -ENODEV;

	mutex_lock(&portal_vms_mutex);
	if (!vm->gone && !vm->unhashed) {
		client->id = ++vm->next_client;
		portal_debugfs_client(client);
		list_add_tail_rcu(&client->node, &vm->clients);
		ret = 0;
	}
	mutex_unlock(&portal_vms_mutex);
	return ret;
}

/**
 * portal_vm_unlink - a client goes; the last one leaves the VM as it was
 * @vm: the VM
 * @client: shut down, or NULL if it never was linked
 *
 * Context: process, no lock held; sleeps until no vCPU is inside.
 */
void portal_vm_unlink(struct portal_vm *vm, struct portal_client *client)
{
	bool last;

	mutex_lock(&portal_vms_mutex);
	if (client)
		list_del_rcu(&client->node);
	last = list_empty(&vm->clients) && vm_unhash(vm);
	mutex_unlock(&portal_vms_mutex);
	if (client)
		portal_debugfs_client_del(client);
	synchronize_srcu(&portal_srcu);		/* HELLO walks the list */
	if (last)
		vm_release(vm);
}

/**
 * portal_vm_enter - hold the VM itself for a moment
 * @vm: the VM
 *
 * Return: true: vm->key is good until portal_vm_exit(); false: the VM is gone.
 */
bool portal_vm_enter(struct portal_vm *vm)
{
	down_read(&vm->alive);
	if (!vm->released)
		return true;
	up_read(&vm->alive);
	return false;
}

void portal_vm_exit(struct portal_vm *vm)
{
	up_read(&vm->alive);
}

/**
 * portal_vm_mark_gone - the VMM died or closed the VM
 * @vm: the VM
 * @reason: enum portal_gone
 *
 * Context: any that may schedule work; the rest happens there. Safe to repeat.
 */
void portal_vm_mark_gone(struct portal_vm *vm, u32 reason)
{
	cmpxchg(&vm->gone_reason, 0, reason);
	if (xchg(&vm->gone, true) || !kref_get_unless_zero(&vm->ref))
		return;
	if (!queue_work(portal_wq, &vm->gone_work))
		WARN_ON_ONCE(1);	/* once gone, always gone */
}

static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	portal_vm_mark_gone(container_of(mn, struct portal_vm, mn), PORTAL_GONE_EXITED);
}

static const struct mmu_notifier_ops mm_ops = {
	.release = mm_release,
};

/**
 * portal_vm_alloc - a VM with one reference, not in the table
 * @key: what portal_vm_find() goes by
 * @mm: of the VMM, alive
 * @ops: KVM or the mock
 *
 * Context: process, no lock held: it takes the VMM's mmap_lock, which a VMM may
 * hold for as long as it likes.
 * Return: the VM or an ERR_PTR: -ENOMEM.
 */
struct portal_vm *portal_vm_alloc(void *key, struct mm_struct *mm,
				  const struct portal_vm_ops *ops)
{
	struct portal_vm *vm;
	int ret;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->key = key;
	vm->ops = ops;
	vm->mm = mm;
	vm->unhashed = true;
	kref_init(&vm->ref);
	INIT_WORK(&vm->gone_work, gone_work);
	INIT_DELAYED_WORK(&vm->poll_work, poll_work);
	INIT_DELAYED_WORK(&vm->timeout_work, portal_timeout_work);
	spin_lock_init(&vm->lock);
	hash_init(vm->calls);
	hash_init(vm->ids);
	xa_init(&vm->vcpus);
	INIT_LIST_HEAD(&vm->clients);
	mutex_init(&vm->hooks_lock);
	mutex_init(&vm->irq_lock);
	INIT_LIST_HEAD(&vm->hooks);
	INIT_LIST_HEAD(&vm->regions);
	init_waitqueue_head(&vm->parked_wq);
	init_waitqueue_head(&vm->inplace_wq);
	init_rwsem(&vm->alive);
	mutex_lock(&vm->hooks_lock);
	portal_vm_bounds(vm);
	mutex_unlock(&vm->hooks_lock);
	vm->nr_vcpus = ops->nr_vcpus(vm);

	vm->mn.ops = &mm_ops;
	ret = mmu_notifier_register(&vm->mn, mm);
	if (ret) {
		kfree(vm);
		return ERR_PTR(ret);
	}
	mmgrab(mm);
	return vm;
}

/**
 * portal_vm_unalloc - undo portal_vm_alloc() of a VM that was not added
 * @vm: the VM
 */
void portal_vm_unalloc(struct portal_vm *vm)
{
	vm->gone = true;	/* unregistering calls ->release */
	mmu_notifier_unregister(&vm->mn, vm->mm);
	portal_vm_put(vm);
}

/**
 * portal_vm_add - put a VM into the table
 * @vm: from portal_vm_alloc(); its mm has been alive since
 *
 * Context: process, portal_vms_mutex held.
 * Return: 0 or -ENOSPC.
 */
int portal_vm_add(struct portal_vm *vm)
{
	lockdep_assert_held(&portal_vms_mutex);
	if (nr_vms >= PORTAL_MAX_VMS)
		return -ENOSPC;
	vm->unhashed = false;
	hlist_add_head_rcu(&vm->node, portal_vm_bucket(vm->key));
	WRITE_ONCE(nr_vms, nr_vms + 1);
	vm->id = ++last_id;
	portal_debugfs_vm(vm);
	queue_delayed_work(portal_wq, &vm->poll_work, HZ);
	return 0;
}

static void vm_free(struct kref *ref)
{
	struct portal_vm *vm = container_of(ref, struct portal_vm, ref);
	struct portal_vcpu *pv;
	unsigned long i;

	xa_for_each(&vm->vcpus, i, pv)
		kfree(pv);
	xa_destroy(&vm->vcpus);
	mmdrop(vm->mm);
	kfree_rcu(vm, rcu);	/* a handler may just be looking */
}

/**
 * portal_vm_put - drop a reference
 * @vm: the VM
 *
 * Context: any that may sleep.
 */
void portal_vm_put(struct portal_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

/**
 * portal_vm_wake_all - let every vCPU look again
 * @vm: the VM
 */
void portal_vm_wake_all(struct portal_vm *vm)
{
	struct portal_vcpu *pv;
	unsigned long i;

	xa_for_each(&vm->vcpus, i, pv)
		vm->ops->wake(pv);
	wake_up_all(&vm->inplace_wq);
}

/**
 * portal_vm_bounds - set anew what the handlers look at first
 * @vm: the VM
 *
 * Context: process, vm->hooks_lock held.
 */
void portal_vm_bounds(struct portal_vm *vm)
{
	u32 hc_first = PORTAL_HC_HELLO, hc_last = PORTAL_HC_HELLO;
	struct portal_hook *hook;
	u32 bus;

	lockdep_assert_held(&vm->hooks_lock);
	list_for_each_entry(hook, &vm->hooks, node) {
		hc_first = min(hc_first, hook->first);
		hc_last = max(hc_last, hook->last);
	}
	WRITE_ONCE(vm->hc_first, hc_first);
	WRITE_ONCE(vm->hc_last, hc_last);
	for (bus = 0; bus < PORTAL_BUS_NR; bus++)
		portal_regions_map(vm, bus);
}

/**
 * portal_vcpu_get - what we know of a vCPU, made at its first request
 * @vm: the VM
 * @id: index
 * @arch: struct kvm_vcpu * or the mock's
 *
 * Context: the vCPU's thread, in portal_srcu; may sleep.
 * Return: it, or NULL without memory.
 */
struct portal_vcpu *portal_vcpu_get(struct portal_vm *vm, u32 id, void *arch)
{
	struct portal_vcpu *pv = xa_load(&vm->vcpus, id);
	int ret;

	if (likely(pv))
		return pv;
	pv = kzalloc(sizeof(*pv), GFP_KERNEL_ACCOUNT);
	if (!pv)
		return NULL;
	pv->vm = vm;
	pv->id = id;
	pv->arch = arch;
	INIT_LIST_HEAD(&pv->fence_node);
	INIT_LIST_HEAD(&pv->calls);
	ret = xa_insert(&vm->vcpus, id, pv, GFP_KERNEL_ACCOUNT);
	if (ret) {
		kfree(pv);
		return ret == -EBUSY ? xa_load(&vm->vcpus, id) : NULL;
	}
	portal_life_vcpu(vm, id);
	return pv;
}

/**
 * portal_leave - leave portal_srcu to sleep or to run foreign code
 * @pv: the vCPU
 *
 * What the caller holds no reference to may be gone after portal_reenter(),
 * but for the VM, which waits for us.
 */
void portal_leave(struct portal_vcpu *pv)
{
	atomic_inc(&pv->vm->nr_parked);
	srcu_read_unlock(&portal_srcu, pv->srcu_idx);
	__acquire(&portal_srcu);	/* for sparse: the pair is in two functions */
}

void portal_reenter(struct portal_vcpu *pv)
{
	/* in again before we are not counted any more: vm_release() waits for both */
	pv->srcu_idx = srcu_read_lock(&portal_srcu);
	__release(&portal_srcu);
	if (atomic_dec_and_test(&pv->vm->nr_parked))
		wake_up_all(&pv->vm->parked_wq);
}

/**
 * portal_park - sleep until woken, a guest interrupt or a signal
 * @pv: the vCPU
 *
 * Context: the vCPU's thread, in portal_srcu, which is left meanwhile.
 */
void portal_park(struct portal_vcpu *pv)
{
	if (READ_ONCE(pv->vm->gone))
		return;
	portal_leave(pv);
	portal_gva_open(pv);
	pv->vm->ops->park(pv);
	portal_gva_close(pv);
	portal_reenter(pv);
}
