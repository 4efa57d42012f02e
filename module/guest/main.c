// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - portal_guest.ko, the guest's half of portal
 *
 * Read on in the order of Kbuild: hypercall.c is the instruction; window.c and
 * pin.c find what a device needs; regs.c and virtio_mmio.c are the types of
 * devices; agent*.c do what the host asks, if the guest's owner wants that;
 * slot.c and bus.c follow what the host offers; event.c is the host's
 * interrupt; file.c and chardev.c serve the guest's programs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>

#include "guest.h"

static bool wait;
module_param(wait, bool, 0444);
MODULE_PARM_DESC(wait, "If portal does not answer, stay and ask again every 10 s (default: no)");

static int __init find_host(bool *lost)
{
	int ret = portal_hello();

	*lost = wait && (ret == -ENOTCONN || ret == -ENXIO);
	if (*lost) {
		pr_info("portal does not answer yet\n");
		return 0;
	}

	switch (ret) {
	case -ENODEV:
		pr_err("this machine is no guest of KVM, or of a kind that cannot have portal\n");
		return -ENODEV;
	case -ENOTCONN:
		pr_err("portal does not answer: is it attached to this VM?\n");
		return -ENODEV;
	case -ENXIO:
		pr_err("portal answers, but nobody serves its bus: is portald running?\n");
		return -ENODEV;
	}
	return ret;
}

static int __init portal_guest_init(void)
{
	bool lost;
	int ret;

	ret = portal_agent_init();
	if (ret)
		return ret;
	ret = find_host(&lost);
	if (ret)
		goto out_exit_agent;
	ret = portal_bus_init(lost);
	if (ret)
		goto out_exit_agent;
	portal_event_init();
	portal_event_register();
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
out_exit_agent:
	portal_agent_exit();
	return ret;
}

static void __exit portal_guest_exit(void)
{
	portal_chardev_exit();
	/* Devices before the event interrupt, whose pin they may share. */
	portal_bus_stop();
	portal_event_exit();
	portal_bus_exit();
	portal_agent_exit();
}

module_init(portal_guest_init);
module_exit(portal_guest_exit);

MODULE_SOFTDEP("pre: virtio_mmio");
MODULE_DESCRIPTION("Devices and services of portal, for its guests");
MODULE_VERSION(PORTAL_GUEST_RELEASE);
MODULE_LICENSE("GPL");
