/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * irq.c - interrupts into the guest
 */
#include "internal.h"

int portal_irq_bind(struct portal_vm *vm, uint32_t gsi, int eventfd, int resamplefd)
{
	struct portal_irq_bind arg = PORTAL_ARG(portal_irq_bind,
						.gsi = gsi, .eventfd = eventfd,
						.resamplefd = -1);

	if (resamplefd >= 0) {
		arg.flags = PORTAL_IRQ_F_RESAMPLE;
		arg.resamplefd = resamplefd;
	}
	return portal_ioctl(vm->fd, PORTAL_IRQ_BIND, &arg);
}

int portal_irq_unbind(struct portal_vm *vm, uint32_t gsi, int eventfd)
{
	struct portal_irq_bind arg = PORTAL_ARG(portal_irq_bind,
						.gsi = gsi, .eventfd = eventfd,
						.resamplefd = -1);

	return portal_ioctl(vm->fd, PORTAL_IRQ_UNBIND, &arg);
}

int portal_irq_msi(struct portal_vm *vm, uint64_t address, uint32_t data)
{
	struct portal_irq_msi arg = PORTAL_ARG(portal_irq_msi, .address = address, .data = data);

	return portal_ioctl(vm->fd, PORTAL_IRQ_MSI, &arg);
}

static int msi_ioctl(struct portal_vm *vm, unsigned long cmd, uint64_t address, uint32_t data,
		     int eventfd)
{
	struct portal_irq_bind arg = PORTAL_ARG(portal_irq_bind, .flags = PORTAL_IRQ_F_MSI,
						.eventfd = eventfd, .resamplefd = -1,
						.address = address, .data = data);

	return portal_ioctl(vm->fd, cmd, &arg);
}

int portal_irq_bind_msi(struct portal_vm *vm, uint64_t address, uint32_t data, int eventfd)
{
	return msi_ioctl(vm, PORTAL_IRQ_BIND, address, data, eventfd);
}

int portal_irq_unbind_msi(struct portal_vm *vm, uint64_t address, uint32_t data, int eventfd)
{
	return msi_ioctl(vm, PORTAL_IRQ_UNBIND, address, data, eventfd);
}
