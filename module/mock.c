// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock.c - a guest without KVM: the caller's memory is its RAM, the caller's
 * thread its vCPU. Test builds only; the interface is <linux/portal_mock.h>.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/portal_mock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "portal.h"

#define MOCK_MAX_VCPUS	64

struct mock_vcpu {
	wait_queue_head_t wait;
	bool woken;
	struct mutex mutex;	/* one thread at a time plays it */
};

struct mock_vm {
	u64 ram;
	u64 ram_len;
	u32 nr_vcpus;
	bool closed;
	struct mock_vcpu vcpus[MOCK_MAX_VCPUS];
};

static void mock_park(struct portal_vcpu *pv)
{
	struct mock_vcpu *vcpu = pv->arch;

	wait_event_interruptible(vcpu->wait, READ_ONCE(vcpu->woken));
	WRITE_ONCE(vcpu->woken, false);
}

static void mock_wake(struct portal_vcpu *pv)
{
	struct mock_vcpu *vcpu = pv->arch;

	WRITE_ONCE(vcpu->woken, true);
	wake_up(&vcpu->wait);
}

static u64 mock_rip(struct portal_vcpu *pv)
{
	return 0;
}

/* Each vCPU sees the RAM at an address of its own; the last page is read-only. */
static u64 mock_gva(struct portal_vcpu *pv, u64 gva, bool write)
{
	const struct mock_vm *mock = pv->vm->key;
	u64 gpa = gva - PORTAL_MOCK_GVA(pv->id);

	if (gpa >= mock->ram_len || (write && gpa >= mock->ram_len - PAGE_SIZE))
		return U64_MAX;
	return gpa;
}

static int mock_gate(struct portal_vm *vm, enum portal_gate gate, bool on)
{
	return 0;
}

/* What a bus would refuse: RAM and other regions. */
static int mock_bus_add(struct portal_region *region)
{
	struct portal_vm *vm = region->client->vm;
	const struct mock_vm *mock = vm->key;
	struct portal_region *other;
	int ret = 0;

	if (region->bus_nr == PORTAL_BUS_MMIO && region->gpa < mock->ram_len)
		return -EEXIST;
	mutex_lock(&vm->hooks_lock);
	list_for_each_entry(other, &vm->regions, node)
		if (other != region && other->bus_nr == region->bus_nr &&
		    region->gpa <= other->gpa + other->len - 1 &&
		    other->gpa <= region->gpa + region->len - 1)
			ret = -EEXIST;
	mutex_unlock(&vm->hooks_lock);
	return ret;
}

static void mock_bus_del(struct portal_region *region)
{
}

static int mock_mem_list(struct portal_vm *vm, struct portal_mem_slot *slots, u32 nr, u64 *gen)
{
	const struct mock_vm *mock = vm->key;

	if (nr)
		slots[0] = (struct portal_mem_slot){ .len = mock->ram_len };
	*gen = 1;
	return 1;
}

static int mock_mem_hva(struct portal_vm *vm, u64 gpa, u64 *len, bool write, unsigned long *hva)
{
	const struct mock_vm *mock = vm->key;

	if (gpa >= mock->ram_len)
		return -ENOENT;
	*len = min(*len, mock->ram_len - gpa);
	*hva = mock->ram + gpa;
	return 0;
}

static void mock_mem_dirty(struct portal_vm *vm, u64 gpa, u64 len)
{
}

static bool mock_mem_logged(struct portal_vm *vm, u64 gpa, u64 len)
{
	return false;
}

static int mock_irq_bind(struct portal_vm *vm, const struct portal_irq_bind *irq, bool bind)
{
	return -EOPNOTSUPP;
}

static bool mock_irq_has_edge(struct portal_vm *vm, u32 gsi)
{
	return false;
}

static int mock_irq_msi(struct portal_vm *vm, u64 address, u32 data)
{
	return -EOPNOTSUPP;
}

static u32 mock_irqchip(struct portal_vm *vm)
{
	return PORTAL_IRQCHIP_NONE;
}

static u32 mock_nr_vcpus(struct portal_vm *vm)
{
	const struct mock_vm *mock = vm->key;

	return READ_ONCE(mock->nr_vcpus);
}

static bool mock_closed(struct portal_vm *vm)
{
	const struct mock_vm *mock = vm->key;

	return READ_ONCE(mock->closed);
}

static void mock_release(struct portal_vm *vm)
{
	kfree(vm->key);
}

static const struct portal_vm_ops mock_ops = {
	.park = mock_park,
	.wake = mock_wake,
	.rip = mock_rip,
	.gva = mock_gva,
	.gate = mock_gate,
	.bus_add = mock_bus_add,
	.bus_del = mock_bus_del,
	.mem_list = mock_mem_list,
	.mem_hva = mock_mem_hva,
	.mem_dirty = mock_mem_dirty,
	.mem_logged = mock_mem_logged,
	.irq_bind = mock_irq_bind,
	.irq_has_edge = mock_irq_has_edge,
	.irq_msi = mock_irq_msi,
	.irqchip = mock_irqchip,
	.nr_vcpus = mock_nr_vcpus,
	.closed = mock_closed,
	.release = mock_release,
};

static int mock_vm(struct portal_mock_vm *arg)
{
	struct mock_vm *mock;
	struct portal_vm *vm;
	u64 end;
	int ret;
	u32 i;

	if (arg->flags || arg->rights & ~PORTAL_RIGHT_ALL)
		return -EOPNOTSUPP;
	if (arg->__reserved || !arg->vcpus || arg->vcpus > MOCK_MAX_VCPUS ||
	    !PAGE_ALIGNED(arg->ram_uptr | arg->ram_len))
		return -EINVAL;
	if (check_add_overflow(arg->ram_uptr, arg->ram_len, &end))
		return -EOVERFLOW;
	mock = kzalloc(sizeof(*mock), GFP_KERNEL_ACCOUNT);
	if (!mock)
		return -ENOMEM;
	mock->ram = arg->ram_uptr;
	mock->ram_len = arg->ram_len;
	mock->nr_vcpus = arg->vcpus;
	for (i = 0; i < MOCK_MAX_VCPUS; i++) {
		init_waitqueue_head(&mock->vcpus[i].wait);
		mutex_init(&mock->vcpus[i].mutex);
	}
	vm = portal_vm_alloc(mock, current->mm, &mock_ops);
	if (IS_ERR(vm)) {
		kfree(mock);
		return PTR_ERR(vm);
	}
	vm->pid = task_tgid_nr(current);
	mutex_lock(&portal_vms_mutex);
	ret = portal_vm_add(vm);
	mutex_unlock(&portal_vms_mutex);
	if (ret) {
		portal_vm_unalloc(vm);
		kfree(mock);
		return ret;
	}
	arg->out_fd = portal_client_fd(vm, arg->rights);
	return min(arg->out_fd, 0);
}

/* One execution of the instruction. */
static enum portal_step mock_hypercall(struct portal_vcpu *pv, struct portal_mock_access *arg)
{
	struct portal_hypercall hc = {
		.nr = arg->addr,
		.cpl = arg->cpl,
		.call_id = arg->call_id,
	};
	enum portal_step step;

	memcpy(hc.args, arg->data, sizeof(hc.args));
	step = portal_hypercall(pv, &hc);
	arg->out_value = hc.value;
	return step;
}

static enum portal_step mock_mmio(struct portal_vcpu *pv, struct portal_mock_access *arg)
{
	u32 bus = arg->kind == PORTAL_KIND_PIO ? PORTAL_BUS_PIO : PORTAL_BUS_MMIO;
	bool write = arg->flags & PORTAL_MOCK_F_WRITE;
	bool gated = !(arg->flags & PORTAL_MOCK_F_NOGATE);
	struct portal_region *region = portal_region_find(pv->vm, bus, arg->addr);
	enum portal_step step = PORTAL_RETIRE;
	u32 offset;
	int ret;

	/* as on the bus: an access that crosses the end is nobody's */
	if (!region || arg->addr + arg->len > region->gpa + region->len)
		return PORTAL_PASS;
	kref_get(&region->ref);		/* for waits in place, which leave portal_srcu */
	offset = arg->addr - region->gpa;
	if (gated)
		step = portal_region_before(pv, region, offset, write);
	if (step == PORTAL_RESTART)
		goto out_put;
	arg->out_value = 0;
	if (write)
		ret = portal_region_write(pv, region, offset, arg->len, &arg->data[0]);
	else
		ret = portal_region_read(pv, region, offset, arg->len, &arg->out_value);
	if (gated)
		step = portal_region_after(pv, true, true);
	if (ret)
		step = PORTAL_PASS;
out_put:
	portal_region_put(region);
	return step;
}

static int mock_access(struct portal_vm_file *vf, struct portal_mock_access *arg)
{
	struct portal_vm *vm = vf->client->vm;
	enum portal_step step = PORTAL_PASS;
	struct mock_vcpu *vcpu;
	struct portal_vcpu *pv;
	int idx, ret = 0;

	if (arg->flags & ~(PORTAL_MOCK_F_WRITE | PORTAL_MOCK_F_NOGATE))
		return -EOPNOTSUPP;
	if (arg->kind < PORTAL_KIND_HYPERCALL || arg->kind > PORTAL_KIND_PIO)
		return -EOPNOTSUPP;
	if (arg->kind != PORTAL_KIND_HYPERCALL && (!arg->len || arg->len > 8))
		return -EINVAL;
	if (!portal_vm_enter(vm))
		return -ENODEV;
	if (arg->vcpu >= mock_nr_vcpus(vm)) {
		portal_vm_exit(vm);
		return -EINVAL;
	}
	vcpu = &((struct mock_vm *)vm->key)->vcpus[arg->vcpu];
	atomic_inc(&vm->nr_parked);	/* vm_release() waits for us */
	portal_vm_exit(vm);

	if (mutex_lock_interruptible(&vcpu->mutex)) {
		ret = -EINTR;
		goto out_unpark;
	}
	arg->out_restarts = 0;
	for (;;) {
		idx = srcu_read_lock(&portal_srcu);
		pv = READ_ONCE(vm->gone) ? NULL : portal_vcpu_get(vm, arg->vcpu, vcpu);
		if (pv) {
			pv->srcu_idx = idx;
			step = arg->kind == PORTAL_KIND_HYPERCALL ? mock_hypercall(pv, arg) :
								    mock_mmio(pv, arg);
			idx = pv->srcu_idx;
		}
		srcu_read_unlock(&portal_srcu, idx);
		if (!pv)
			ret = READ_ONCE(vm->gone) ? -ENODEV : -ENOMEM;
		else if (step == PORTAL_RESTART && signal_pending(current))
			ret = -EINTR;
		if (ret || step != PORTAL_RESTART)
			break;
		arg->out_restarts++;
		cond_resched();
	}
	mutex_unlock(&vcpu->mutex);
out_unpark:
	idx = srcu_read_lock(&portal_srcu);
	if (atomic_dec_and_test(&vm->nr_parked))
		wake_up_all(&vm->parked_wq);
	srcu_read_unlock(&portal_srcu, idx);
	arg->out_result = step == PORTAL_PASS ? PORTAL_MOCK_PASSED : PORTAL_MOCK_DONE;
	return ret;
}

/* What a VMM does to its VM. */
static int mock_set(struct portal_vm_file *vf, struct portal_mock_set *arg)
{
	struct portal_vm *vm = vf->client->vm;
	struct mock_vm *mock;

	if (arg->flags & ~PORTAL_MOCK_SET_F_CLOSE)
		return -EOPNOTSUPP;
	if (arg->vcpus > MOCK_MAX_VCPUS || arg->__reserved)
		return -EINVAL;
	if (!portal_vm_enter(vm))
		return -ENODEV;
	mock = vm->key;
	if (arg->vcpus)
		WRITE_ONCE(mock->nr_vcpus, arg->vcpus);
	if (arg->flags & PORTAL_MOCK_SET_F_CLOSE)
		WRITE_ONCE(mock->closed, true);
	portal_vm_exit(vm);
	return 0;
}

/* The same format as the real ioctls, in little. */
#define MOCK_IOCTL(_name, _struct, _call)					\
static long _name(struct portal_vm_file *vf, void __user *uarg)			\
{										\
	struct _struct arg;							\
	u32 size;								\
	int ret;								\
										\
	if (get_user(size, (u32 __user *)uarg))					\
		return -EFAULT;							\
	if (size < sizeof(arg))							\
		return -EINVAL;							\
	ret = copy_struct_from_user(&arg, sizeof(arg), uarg, size);		\
	if (!ret)								\
		ret = _call;							\
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg)))			\
		ret = -EFAULT;							\
	return ret;								\
}

MOCK_IOCTL(ioctl_vm, portal_mock_vm, mock_vm(&arg))
MOCK_IOCTL(ioctl_access, portal_mock_access, mock_access(vf, &arg))
MOCK_IOCTL(ioctl_set, portal_mock_set, mock_set(vf, &arg))

long portal_mock_ioctl_dev(unsigned int cmd, void __user *uarg)
{
	return cmd == PORTAL_MOCK_VM ? ioctl_vm(NULL, uarg) : -ENOTTY;
}

long portal_mock_ioctl_vm(struct portal_vm_file *vf, unsigned int cmd, void __user *uarg)
{
	/* only a mock VM can be played */
	if (vf->client->vm->ops != &mock_ops)
		return -ENOTTY;
	if (cmd == PORTAL_MOCK_SET)
		return ioctl_set(vf, uarg);
	return cmd == PORTAL_MOCK_ACCESS ? ioctl_access(vf, uarg) : -ENOTTY;
}
