/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * vm.c - attaching to a VM
 */
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

int portal_id_ioctl(int fd, unsigned long cmd, uint32_t id)
{
	struct portal_id arg = PORTAL_ARG(portal_id, .id = id);

	return portal_ioctl(fd, cmd, &arg);
}

int portal_opts_copy(void *dst, size_t len, const void *src)
{
	const unsigned char *bytes = src;
	size_t sz, i;

	memset(dst, 0, len);
	if (!src)
		return 0;
	memcpy(&sz, src, sizeof(sz));
	if (sz < sizeof(sz))
		return -EINVAL;
	for (i = len; i < sz; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(dst, src, sz < len ? sz : len);
	return 0;
}

static int vm_new(int fd, struct portal_vm **vm)
{
	struct portal_vm *new = malloc(sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->fd = fd;
	*vm = new;
	return 0;
}

int portal_vm_attach(struct portal_dev *dev, int kvm_vm_fd, uint32_t rights,
		     struct portal_vm **vm)
{
	struct portal_vm_attach arg = PORTAL_ARG(portal_vm_attach,
						 .vm_fd = kvm_vm_fd, .rights = rights);
	int err;

	err = portal_ioctl(dev->fd, PORTAL_VM_ATTACH, &arg);
	if (err < 0)
		return err;
	err = vm_new(arg.out_fd, vm);
	if (err)
		close(arg.out_fd);
	return err;
}

int portal_vm_from_fd(int fd, struct portal_vm **vm)
{
	struct portal_vm_info info = PORTAL_ARG(portal_vm_info);
	int err;

	err = portal_ioctl(fd, PORTAL_VM_INFO, &info);
	if (err < 0)
		return err == -ENOTTY ? -ENXIO : err;
	return vm_new(fd, vm);
}

int portal_vm_dup(struct portal_vm *vm, uint32_t rights)
{
	struct portal_vm_dup arg = PORTAL_ARG(portal_vm_dup, .rights = rights);
	int err;

	err = portal_ioctl(vm->fd, PORTAL_VM_DUP, &arg);
	return err < 0 ? err : arg.out_fd;
}

int portal_vm_fd(const struct portal_vm *vm)
{
	return vm->fd;
}

int portal_vm_get_info(struct portal_vm *vm, struct portal_vm_info *info)
{
	*info = PORTAL_ARG(portal_vm_info);
	return portal_ioctl(vm->fd, PORTAL_VM_INFO, info);
}

int portal_vm_set_rate(struct portal_vm *vm, uint32_t flags, uint64_t rate, uint32_t burst)
{
	struct portal_rate_set arg = PORTAL_ARG(portal_rate_set, .flags = flags, .rate = rate,
						.burst = burst);

	return portal_ioctl(vm->fd, PORTAL_RATE_SET, &arg);
}

void portal_vm_close(struct portal_vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	free(vm);
}
