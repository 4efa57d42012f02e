/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * version.c - version of the library, names of errors
 */
#include "internal.h"

const char *portal_version(void)
{
	return KVMPORTAL_VERSION;
}

static const struct {
	int err;
	const char *text;
} errors[] = {
	{ 0, "success" },
	/* the table of <linux/portal.h> */
	{ ENOTTY, "ENOTTY: unknown command" },
	{ EFAULT, "EFAULT: the argument, or memory it points to, cannot be accessed" },
	{ EINVAL, "EINVAL: a value that can never be right" },
	{ E2BIG, "E2BIG: the tail beyond what this kernel knows is not 0" },
	{ EOPNOTSUPP, "EOPNOTSUPP: unknown flag or value, or this kernel cannot do it" },
	{ EOVERFLOW, "EOVERFLOW: first + len or a count wraps around" },
	{ EPERM, "EPERM: the fd lacks the right" },
	{ EBADF, "EBADF: an fd in the argument is not open" },
	{ ENXIO, "ENXIO: an fd in the argument is of the wrong kind" },
	{ ENODEV, "ENODEV: the VM is gone" },
	{ ESTALE, "ESTALE: another owner opened this queue" },
	{ ENOENT, "ENOENT: no object with that id, no RAM at that address" },
	{ EEXIST, "EEXIST: the range overlaps RAM, another device or another hook" },
	{ EBUSY, "EBUSY: in use by somebody else, try later" },
	{ ENOSPC, "ENOSPC: a limit is reached" },
	{ ENOMEM, "ENOMEM: no memory" },
	{ EAGAIN, "EAGAIN: nothing there, and the fd is non-blocking" },
	{ EINTR, "EINTR: a signal came first" },
	{ ETIME, "ETIME: the bounded wait is over, ask again" },
	/* of this library */
	{ EACCES, "EACCES: no permission to open it" },
	{ ENOTUNIQ, "ENOTUNIQ: the process has several VMs" },
	{ EPROTO, "EPROTO: the queue's memory or data is not what this library knows" },
	{ ESRCH, "ESRCH: no such process" },
};

const char *portal_strerror(int err)
{
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].err == err || errors[i].err == -err)
			return errors[i].text;
	return "unknown error";
}
