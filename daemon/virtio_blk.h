/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_blk.h - a virtio block device (virtio 1.2, 5.2)
 */
#ifndef PORTALD_VIRTIO_BLK_H
#define PORTALD_VIRTIO_BLK_H

#include "virtio_mmio.h"

#define VIRTIO_BLK_QUEUES	1
/* Data buffers of a request; two requests fit a queue without indirect ones. */
#define VIRTIO_BLK_SEG_MAX	126

#endif /* PORTALD_VIRTIO_BLK_H */
