/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * internal.h - what the files of this library share
 */
#ifndef PORTAL_INTERNAL_H
#define PORTAL_INTERNAL_H

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <kvmportal/portal.h>

_Static_assert(sizeof(off_t) == 8, "mmap offsets of /dev/portal are 64 bits wide");

/* Every argument of /dev/portal but portal_uring_cmd starts with its size. */
#define PORTAL_ARG(type, ...)	((struct type){ .size = sizeof(struct type), __VA_ARGS__ })

struct portal_dev {
	int fd;
};

struct portal_vm {
	int fd;
};

static inline uint64_t ptr_to_u64(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

static inline int portal_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* ioctl(HOOK_INFO, REGION_INFO) (hook.c) */
int portal_target_ioctl(int fd, unsigned long cmd, uint32_t id, struct portal_target_info *info,
			uint64_t *hits, uint32_t nr);

/* ioctl(*_DEL, MEM_UNMAP) (vm.c) */
int portal_id_ioctl(int fd, unsigned long cmd, uint32_t id);

/*
 * Copies the options @src, whose first member is the size its caller knows,
 * into @dst of @len bytes; members the caller does not know become 0. -EINVAL:
 * size missing. -E2BIG: something set that this library does not know. (vm.c)
 */
int portal_opts_copy(void *dst, size_t len, const void *src);

#endif /* PORTAL_INTERNAL_H */
