// SPDX-License-Identifier: GPL-2.0-only
/*
 * irq.c - interrupts into the guest
 */
#include "portal.h"

static int irq_bind(struct portal_vm_file *vf, const struct portal_irq_bind *arg, bool bind)
{
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	int ret = -ENODEV;

	if (arg->__reserved || arg->gsi > 4095)
		return -EINVAL;
	if (arg->flags & ~PORTAL_IRQ_F_RESAMPLE)
		return -EOPNOTSUPP;
	if (!portal_client_may(vf, PORTAL_RIGHT_IRQ))
		return -EPERM;
	mutex_lock(&client->lock);
	if (!client->dead)
		ret = vm->ops->irq_bind(vm, arg, bind);
	mutex_unlock(&client->lock);
	return ret;
}

int portal_irq_ioctl_bind(struct portal_vm_file *vf, struct portal_irq_bind *arg)
{
	return irq_bind(vf, arg, true);
}

int portal_irq_ioctl_unbind(struct portal_vm_file *vf, struct portal_irq_bind *arg)
{
	return irq_bind(vf, arg, false);
}
