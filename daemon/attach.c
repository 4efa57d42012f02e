// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach.c - from "portalctl attach" to a VM with its workers under way
 *
 * All that can be wrong with the request is told in one sentence here; what is
 * wrong with an instance comes later, from its worker.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

#define SUPERVISOR_RIGHTS \
	(PORTAL_RIGHT_ALL & ~(PORTAL_RIGHT_VCPU_STATE | PORTAL_RIGHT_PAUSE))

bool attach_allowed(uid_t peer, uid_t uid)
{
	return peer == 0 || peer == uid;
}

static int find_by_domain(const char *domain, pid_t *pid, struct err *err)
{
	*pid = process_by_domain(LIBVIRT_DIR, domain);
	if (*pid == -ESRCH)
		return err_set(err, *pid, "libvirt's domain '%s' does not run any more; virsh start %s",
			       domain, domain);
	if (*pid < 0)
		return err_set(err, *pid, "no running domain '%s' in %s; see virsh list", domain,
			       LIBVIRT_DIR);
	return 0;
}

static int find_by_name(const char *name, pid_t *pid, struct err *err)
{
	char others[300];

	*pid = process_by_vm_name(name, others, sizeof(others));
	if (*pid == -ENOTUNIQ)
		return err_set(err, *pid, "several processes run a VM named '%s'; use --pid", name);
	if (*pid >= 0)
		return 0;
	*pid = process_by_domain(LIBVIRT_DIR, name);
	if (*pid >= 0)
		return 0;
	return err_set(err, -ESRCH, "no process runs a VM named '%s'%s%s; use --pid", name,
		       *others ? "; there are: " : " (QEMU's option -name)", others);
}

static int find_process(const struct attach_args *args, pid_t *pid, uid_t *uid, struct err *err)
{
	int ret = 0;

	*pid = args->pid;
	if (args->domain)
		ret = find_by_domain(args->domain, pid, err);
	else if (args->vm_name)
		ret = find_by_name(args->vm_name, pid, err);
	if (ret)
		return ret;
	if (*pid <= 0)
		return err_set(err, -EINVAL, "which VM? give a pid, a vm_name or a domain");
	ret = process_uid(*pid, uid);
	if (ret)
		return err_set(err, ret, "no process with pid %d", *pid);
	if (!attach_allowed(args->peer, *uid))
		return err_set(err, -EPERM,
			       "uid %u may not attach process %d of uid %u; only root and its own user may",
			       args->peer, *pid, *uid);
	return 0;
}

static int several_vms(pid_t pid, struct err *err)
{
	int fds[16], nr, shown;
	char list[128] = "";
	size_t len = 0;

	nr = portal_vm_fds_of_pid(pid, fds, 16);
	shown = nr > 16 ? 16 : nr;
	for (int i = 0; i < shown; i++)
		len += snprintf(list + len, sizeof(list) - len, "%s%d", i ? ", " : "", fds[i]);
	return err_set(err, -ENOTUNIQ,
		       "process %d has %d KVM VMs, fds %s; choose one with --vm-fd N", pid, nr,
		       list);
}

static int kvm_fd(const struct attach_args *args, pid_t pid, struct err *err)
{
	int fd = args->vm_fd >= 0 ? portal_fd_of_pid(pid, args->vm_fd) : portal_vm_fd_of_pid(pid);

	switch (fd) {
	case -ESRCH:
		return err_set(err, fd, "no process with pid %d", pid);
	case -ENOENT:
		return err_set(err, fd, "process %d has no KVM VM; is it a VMM, and uses KVM?", pid);
	case -EBADF:
		return err_set(err, fd, "process %d has no fd %d", pid, args->vm_fd);
	case -ENOTUNIQ:
		return several_vms(pid, err);
	case -EPERM:
	case -EACCES:
		return err_set(err, fd,
			       "no permission to take the VM of process %d; portald needs CAP_SYS_PTRACE",
			       pid);
	}
	if (fd < 0)
		return err_set(err, fd, "cannot take the VM of process %d: %s", pid,
			       strerror(-fd));
	return fd;
}

static int open_device(struct portal_dev **dev, struct err *err)
{
	int ret = portal_dev_open(NULL, dev);

	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return err_set(err, ret, "/dev/portal is missing; load portal.ko: modprobe portal");
	case -EPERM:
	case -EACCES:
		return err_set(err, ret,
			       "no permission to open /dev/portal; run portald as root or in group portal");
	default:
		return err_set(err, ret, "/dev/portal: %s", strerror(-ret));
	}
}

static int attach_kvm(const struct attach_args *args, pid_t pid, struct portal_vm **pvm,
		      struct err *err)
{
	struct portal_dev *dev;
	int fd, ret;

	/* not kept open: between VMs the module can be unloaded */
	ret = open_device(&dev, err);
	if (ret)
		return ret;
	fd = kvm_fd(args, pid, err);
	if (fd < 0) {
		portal_dev_close(dev);
		return fd;
	}
	ret = portal_vm_attach(dev, fd, SUPERVISOR_RIGHTS, pvm);
	close(fd);
	portal_dev_close(dev);
	switch (ret) {
	case 0:
		return 0;
	case -ENXIO:
		return err_set(err, ret, "fd %d of process %d is not a KVM VM", args->vm_fd, pid);
	case -EBUSY:
		return err_set(err, ret,
			       "KVM's hypercall function is taken by somebody else, such as a live patch; see dmesg");
	case -ENODEV:
		return err_set(err, ret, "the VM of process %d is just ending", pid);
	default:
		return err_set(err, ret, "cannot attach process %d: %s", pid, portal_strerror(ret));
	}
}

static bool wanted(const struct attach_args *args, const char *name)
{
	for (unsigned int i = 0; i < args->nr_instances; i++)
		if (!strcmp(args->instances[i], name))
			return true;
	return !args->nr_instances;
}

static int check_instances(struct supervisor *sv, const struct attach_args *args,
			   struct err *err)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < args->nr_instances; i++)
		if (!config_find(sv->cfg, args->instances[i]))
			return err_set(err, -ENOENT,
				       "no [instance %s] in the configuration; after a change: systemctl reload portald",
				       args->instances[i]);
	for (unsigned int i = 0; i < sv->cfg->nr_instances; i++) {
		const struct config_instance *ci = &sv->cfg->instances[i];
		struct instance *holder;

		if (!wanted(args, ci->name))
			continue;
		holder = ci->frontend ? instance_holder(sv, ci->name) : NULL;
		if (holder)
			return err_set(err, -EBUSY,
				       "instance %s is in use by VM %s; a disk is for one VM at a time: detach it there or choose others with --instances",
				       ci->name, holder->vm->name);
		nr++;
	}
	if (!nr)
		return err_set(err, -ENOENT,
			       "the configuration has no [instance]; see portald.conf(5)");
	if (nr > PORTAL_BUS_SLOTS)
		return err_set(err, -ENOSPC, "%u instances, a VM has %u slots; use --instances",
			       nr, PORTAL_BUS_SLOTS);
	return 0;
}

static int choose_name(struct supervisor *sv, const struct attach_args *args, pid_t pid,
		       char *name, size_t len, struct err *err)
{
	struct vm *old = vm_find(sv, NULL, pid);

	if (old && args->vm_fd < 0)
		return err_set(err, -EEXIST, "process %d is attached already, as %s", pid,
			       old->name);
	if (args->name && (!*args->name || strlen(args->name) >= len ||
			   strspn(args->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:") !=
			   strlen(args->name)))
		return err_set(err, -EINVAL,
			       "name '%s' is not 1 to %zu characters of a-z, A-Z, 0-9, '.', '_', ':' and '-'",
			       args->name, len - 1);
	if (args->name)
		snprintf(name, len, "%s", args->name);
	else
		process_vm_name(pid, name, len);
	if (vm_find(sv, name, 0))
		return err_set(err, -EEXIST, "a VM named %s is attached already; use --name", name);
	return 0;
}

static int create_instances(struct vm *vm, const struct attach_args *args, struct err *err)
{
	const struct config *cfg = vm->sv->cfg;
	int ret;

	for (unsigned int i = 0; i < cfg->nr_instances; i++) {
		if (!wanted(args, cfg->instances[i].name))
			continue;
		ret = instance_create(vm, vm->nr_slots, &cfg->instances[i],
				      &vm->slots[vm->nr_slots], err);
		if (ret)
			return ret;
		vm->nr_slots++;
	}
	return 0;
}

int attach(struct supervisor *sv, const struct attach_args *args, uint64_t conn,
	   struct err *err)
{
	struct portal_vm *pvm;
	struct vm *vm;
	char name[64];
	pid_t pid;
	uid_t uid;
	int ret;

	if (sv->stopping)
		return err_set(err, -ESHUTDOWN, "portald is stopping");
	ret = find_process(args, &pid, &uid, err);
	if (!ret)
		ret = choose_name(sv, args, pid, name, sizeof(name), err);
	if (!ret)
		ret = check_instances(sv, args, err);
	if (!ret)
		ret = attach_kvm(args, pid, &pvm, err);
	if (ret)
		return ret;
	ret = vm_create(sv, pvm, name, pid, uid, &vm, err);
	if (ret) {
		portal_vm_close(pvm);
		return ret;
	}
	ret = create_instances(vm, args, err);
	if (ret) {
		vm_stop(vm);
		return ret;
	}
	vm->attach_conn = conn;
	return 0;
}
