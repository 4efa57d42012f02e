// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_bus.c - regions as devices on KVM's I/O buses
 */
#include <linux/slab.h>
#include <asm/apicdef.h>
#include "kvm.h"
#include "portal.h"

struct bus_dev {
	struct kvm_io_device dev;
	struct portal_region *region;
};

/*
 * The gate's function may be below us on the stack, but it has left portal_srcu
 * meanwhile: so pv->srcu_idx is ours.
 */
static struct portal_vcpu *vcpu_get(struct kvm_vcpu *vcpu, struct portal_region *region, int idx)
{
	struct portal_vcpu *pv = portal_vcpu_get(region->client->vm, vcpu->vcpu_idx, vcpu);

	if (pv)
		pv->srcu_idx = idx;
	return pv;
}

static int bus_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, gpa_t addr, int len,
		    void *val)
{
	struct portal_region *region = container_of(dev, struct bus_dev, dev)->region;
	int idx = srcu_read_lock(&portal_srcu), ret = 0;
	struct portal_vcpu *pv;

	pv = vcpu_get(vcpu, region, idx);
	if (pv) {
		ret = portal_region_read(pv, region, addr - region->gpa, len, val);
		idx = pv->srcu_idx;
	} else {
		memset(val, 0xff, len);
	}
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}

static int bus_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, gpa_t addr, int len,
		     const void *val)
{
	struct portal_region *region = container_of(dev, struct bus_dev, dev)->region;
	int idx = srcu_read_lock(&portal_srcu), ret = 0;
	struct portal_vcpu *pv;

	pv = vcpu_get(vcpu, region, idx);
	if (pv) {
		ret = portal_region_write(pv, region, addr - region->gpa, len, val);
		idx = pv->srcu_idx;
	} else {
		/* no memory for the vCPU's state */
		portal_target_drop(&region->t, region->t.routes[0].queue);
	}
	srcu_read_unlock(&portal_srcu, idx);
	return ret;
}

static const struct kvm_io_device_ops bus_ops = {
	.read = bus_read,
	.write = bus_write,
};

static enum kvm_bus bus_nr(const struct portal_region *region)
{
	return region->bus_nr == PORTAL_BUS_PIO ? KVM_PIO_BUS : KVM_MMIO_BUS;
}

static bool bus_overlaps(struct kvm *kvm, const struct portal_region *region)
{
	u64 first = region->gpa, last = first + region->len - 1;
	struct kvm_io_bus *bus;
	int i;

	lockdep_assert_held(&kvm->slots_lock);
	bus = rcu_dereference_protected(kvm->buses[bus_nr(region)],
					lockdep_is_held(&kvm->slots_lock));
	for (i = 0; bus && i < bus->dev_count; i++) {
		const struct kvm_io_range *r = &bus->range[i];

		if (first < r->addr + max(r->len, 1) && last >= r->addr)
			return true;
	}
	if (region->bus_nr == PORTAL_BUS_PIO)
		return false;
	/* the local APIC is no bus device */
	if (first < APIC_DEFAULT_PHYS_BASE + PAGE_SIZE && last >= APIC_DEFAULT_PHYS_BASE)
		return true;
	return portal_kvm_mem_overlaps(kvm, first, region->len);
}

/**
 * portal_kvm_bus_add - accesses of the region come to us from now on
 * @region: the region
 *
 * Return: 0, -EEXIST, -EOPNOTSUPP, -ENOSPC, -ENOMEM.
 */
int portal_kvm_bus_add(struct portal_region *region)
{
	struct kvm *kvm = region->client->vm->key;
	struct bus_dev *dev;
	int ret = -EEXIST;

	if (!(portal_features & PORTAL_FEAT_MMIO))
		return -EOPNOTSUPP;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return -ENOMEM;
	kvm_iodevice_init(&dev->dev, &bus_ops);
	dev->region = region;
	region->bus = dev;
	mutex_lock(&kvm->slots_lock);
	if (!bus_overlaps(kvm, region))
		ret = kvm_call(kvm_io_bus_register_dev)(kvm, bus_nr(region), region->gpa,
							region->len, &dev->dev);
	mutex_unlock(&kvm->slots_lock);
	if (ret) {
		region->bus = NULL;
		kfree(dev);
	}
	return ret;
}

/**
 * portal_kvm_bus_del - the reverse; waits for accesses under way
 * @region: the region, whose waiters have been woken
 */
void portal_kvm_bus_del(struct portal_region *region)
{
	struct kvm *kvm = region->client->vm->key;
	struct bus_dev *dev = region->bus;

	mutex_lock(&kvm->slots_lock);
	kvm_call(kvm_io_bus_unregister_dev)(kvm, bus_nr(region), &dev->dev);
	mutex_unlock(&kvm->slots_lock);
	kfree(region->bus);
	region->bus = NULL;
}
