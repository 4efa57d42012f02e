// SPDX-License-Identifier: GPL-2.0-only
/*
 * errmap.c - the host's errno as one that portal_guest.h defines
 *
 * Not PORTAL_EAGAIN: that makes the guest repeat the call with the same id.
 */
#include <errno.h>
#include <linux/portal_guest.h>

#include "errmap.h"

uint32_t guest_errno(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
	case EROFS:
		return PORTAL_EPERM;
	case ENOENT:
		return PORTAL_ENOENT;
	case EINTR:
		return PORTAL_EINTR;
	case ENXIO:
		return PORTAL_ENXIO;
	case ENOMEM:
		return PORTAL_ENOMEM;
	case EBUSY:
	case EAGAIN:
		return PORTAL_EBUSY;
	case EEXIST:
		return PORTAL_EEXIST;
	case ENODEV:
		return PORTAL_ENODEV;
	case EINVAL:
	case ERANGE:
	case EOVERFLOW:
		return PORTAL_EINVAL;
	case ENOSPC:
		return PORTAL_ENOSPC;
	case ENOSYS:
	case EOPNOTSUPP:
		return PORTAL_ENOSYS;
	case ETIME:
	case ETIMEDOUT:
		return PORTAL_ETIME;
	case ECANCELED:
		return PORTAL_ECANCELED;
	default:
		return PORTAL_EIO;
	}
}
