// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_mmio.c - devices for the kernel's own virtio-mmio driver
 *
 * Distributions build that driver without its "device=" parameter, so somebody
 * has to register the platform devices.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/kmod.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/virtio.h>
#include <linux/virtio_blk.h>
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

static int is_virtio(struct device *dev, void *data)
{
	return dev->bus && !strcmp(dev->bus->name, "virtio");
}

/*
 * The device is gone and answers nothing any more. Drivers do not expect that:
 * virtio_blk would wait for ever, in its removal too, for requests that it gave
 * to the device. So what is new fails from here on, and what is under way ends
 * with an error. What virtio_blk mapped for those (parts of a long
 * scatterlist) only it could free, and it stays.
 */
static void virtio_mmio_give_up(struct platform_device *pdev)
{
	struct device *dev = device_find_child(&pdev->dev, NULL, is_virtio);
	struct virtio_device *vdev;
	struct virtqueue *vq;
	unsigned int nr = 0;
	void *pdu;

	if (!dev)
		return;
	vdev = dev_to_virtio(dev);
	virtio_break_device(vdev);
	synchronize_rcu();	/* a queue_rq that was in the middle of it */
	if (vdev->id.device == VIRTIO_ID_BLOCK && dev->driver) {
		virtio_device_for_each_vq(vdev, vq)
			while ((pdu = virtqueue_detach_unused_buf(vq))) {
				blk_mq_end_request(blk_mq_rq_from_pdu(pdu),
						   BLK_STS_IOERR);
				nr++;
			}
		if (nr)
			dev_warn(dev, "%u requests failed: the device is gone\n",
				 nr);
	}
	put_device(dev);
}

static void virtio_mmio_del(struct portal_slot *slot, bool answers)
{
	if (!answers)
		virtio_mmio_give_up(slot->pdev);
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
