// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - portal_guest.ko, the guest's half of portal
 *
 * Read on in the order of Kbuild: hypercall.c is the instruction; window.c and
 * pin.c find what a device needs; regs.c and virtio_mmio.c are the types of
 * devices; slot.c and bus.c follow what the host offers; event.c is the host's
 * interrupt; file.c and chardev.c serve the guest's programs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>

#include "guest.h"

static int __init portal_guest_init(void)
{
	int ret;

	ret = portal_hello();
	if (ret == -ENODEV)
		pr_err("portal does not answer: is portald attached to this VM?\n");
	if (ret)
		return ret;

	ret = portal_bus_init();
	if (ret)
		return ret;
	portal_event_init();
	ret = portal_chardev_init();
	if (ret)
		goto out_stop_bus;

	/* What the host offers is there when modprobe returns. */
	portal_bus_scan();
	portal_bus_settle();
	return 0;

out_stop_bus:
	portal_bus_stop();
	portal_event_exit();
	portal_bus_exit();
	return ret;
}

static void __exit portal_guest_exit(void)
{
	portal_chardev_exit();
	/* Devices before the event interrupt, whose pin they may share. */
	portal_bus_stop();
	portal_event_exit();
	portal_bus_exit();
}

module_init(portal_guest_init);
module_exit(portal_guest_exit);

MODULE_SOFTDEP("pre: virtio_mmio");
MODULE_DESCRIPTION("Devices and services of portal, for its guests");
MODULE_VERSION(PORTAL_GUEST_RELEASE);
MODULE_LICENSE("GPL");
