/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * process.c - the KVM VM fds inside another process
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

#define KVM_VM_LINK	"anon_inode:kvm-vm"

static int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;	/* close-on-exec by itself */
}

static int dup_from(int pidfd, int fd)
{
	int dup = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return dup < 0 ? -errno : dup;
}

/* 1: a KVM VM, 0: something else, or closed by now. */
static int is_vm(int dirfd, const char *name)
{
	char link[sizeof(KVM_VM_LINK)];
	ssize_t len = readlinkat(dirfd, name, link, sizeof(link));

	if (len < 0)
		return errno == EACCES || errno == EPERM ? -EPERM : 0;
	return len == (ssize_t)strlen(KVM_VM_LINK) && !memcmp(link, KVM_VM_LINK, (size_t)len);
}

static DIR *fd_dir(const char *pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	return opendir(path);
}

static bool is_vm_here(int fd)
{
	char name[16];
	DIR *dir = fd_dir("self");
	bool vm;

	if (!dir)
		return true;	/* no /proc here any more: the kernel will say */
	snprintf(name, sizeof(name), "%d", fd);
	vm = is_vm(dirfd(dir), name) > 0;
	closedir(dir);
	return vm;
}

int portal_vm_fds_of_pid(pid_t pid, int *fds, size_t nr)
{
	char name[16];
	struct dirent *ent;
	int found = 0, ret = 0;
	DIR *dir;

	snprintf(name, sizeof(name), "%d", (int)pid);
	dir = fd_dir(name);
	if (!dir)
		return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
	while ((ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		ret = is_vm(dirfd(dir), ent->d_name);
		if (ret < 0)
			break;
		if (ret && (size_t)found++ < nr)
			fds[found - 1] = atoi(ent->d_name);
	}
	closedir(dir);
	return ret < 0 ? ret : found;
}

int portal_fd_of_pid(pid_t pid, int fd)
{
	int pidfd = pidfd_of(pid);
	int ret;

	if (pidfd < 0)
		return pidfd;
	ret = dup_from(pidfd, fd);
	close(pidfd);
	return ret;
}

int portal_vm_fd_of_pid(pid_t pid)
{
	int fd, ret, pidfd;

	/* The pidfd first: the process looked at is then the one taken from. */
	pidfd = pidfd_of(pid);
	if (pidfd < 0)
		return pidfd;
	ret = portal_vm_fds_of_pid(pid, &fd, 1);
	if (ret == 0)
		ret = -ENOENT;
	else if (ret > 1)
		ret = -ENOTUNIQ;
	if (ret < 0)
		goto out;
	ret = dup_from(pidfd, fd);
	if (ret == -EBADF) {
		ret = -ENOENT;
	} else if (ret >= 0 && !is_vm_here(ret)) {
		/* closed and used for another file in between */
		close(ret);
		ret = -ENOENT;
	}
out:
	close(pidfd);
	return ret;
}
