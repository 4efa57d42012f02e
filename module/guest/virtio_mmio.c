// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_mmio.c - devices for the kernel's own virtio-mmio driver
 *
 * Distributions build that driver without its "device=" parameter, so somebody
 * has to register the platform devices.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/kmod.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/virtio_mmio.h>

#include "guest.h"

static int virtio_mmio_add(struct portal_slot *slot)
{
	int irq = portal_pin_irq(slot->pin);
	struct resource res[] = {
		DEFINE_RES_MEM(slot->window.res.start,
			       resource_size(&slot->window.res)),
		DEFINE_RES_IRQ(irq),
	};
	struct platform_device_info info = {
		.name = "virtio-mmio",
		.id = PLATFORM_DEVID_AUTO,
		.res = res,
		.num_res = ARRAY_SIZE(res),
	};
	static bool loaded;
	struct platform_device *pdev;

	/*
	 * Put the device's resource below ours. Side by side they would be
	 * nested the other way round, and ours lost with the device.
	 */
	res[0].parent = &slot->window.res;

	/* Without the driver the device waits for it. */
	if (!loaded && !request_module("virtio_mmio"))
		loaded = true;

	pdev = platform_device_register_full(&info);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	slot->pdev = pdev;
	return 0;
}

static void virtio_mmio_del(struct portal_slot *slot)
{
	platform_device_unregister(slot->pdev);
	slot->pdev = NULL;
}

const struct portal_slot_ops portal_virtio_mmio_ops = {
	.min_region = VIRTIO_MMIO_CONFIG,
	.max_region = SZ_1M,
	.pin = true,
	.add = virtio_mmio_add,
	.del = virtio_mmio_del,
};
