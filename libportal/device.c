/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * device.c - /dev/portal
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

int portal_dev_open(const char *path, struct portal_dev **dev)
{
	struct portal_dev *new = malloc(sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->fd = open(path ? path : "/dev/portal", O_RDWR | O_CLOEXEC);
	if (new->fd < 0) {
		int err = -errno;

		free(new);
		return err;
	}
	*dev = new;
	return 0;
}

void portal_dev_close(struct portal_dev *dev)
{
	if (!dev)
		return;
	close(dev->fd);
	free(dev);
}

int portal_dev_fd(const struct portal_dev *dev)
{
	return dev->fd;
}

int portal_dev_info(struct portal_dev *dev, struct portal_info *info)
{
	*info = PORTAL_ARG(portal_info);
	return portal_ioctl(dev->fd, PORTAL_GET_INFO, info);
}
