// SPDX-License-Identifier: GPL-2.0-only
/*
 * portal: new hypercalls, devices and disks for a running KVM guest
 *
 * Load and unload, in order.
 */
#include <linux/module.h>
#include "portal.h"

DEFINE_SRCU(portal_srcu);
u64 portal_features;
struct workqueue_struct *portal_wq;

static int __init portal_init(void)
{
	int ret;

	portal_wq = alloc_workqueue("portal", WQ_UNBOUND, 0);
	if (!portal_wq)
		return -ENOMEM;
	portal_debugfs_init();
	ret = portal_inode_init();
	if (ret)
		goto out_wq;
	ret = portal_kvm_init();
	if (ret)
		goto out_inode;
	ret = portal_chardev_init();
	if (ret)
		goto out_kvm;
	pr_info("loaded, features %#llx\n", portal_features);
	return 0;

out_kvm:
	portal_kvm_exit();
out_inode:
	portal_inode_exit();
out_wq:
	portal_debugfs_exit();
	destroy_workqueue(portal_wq);
	return ret;
}

/* No file is open, so no VM is attached and nobody is parked any more. */
static void __exit portal_exit(void)
{
	portal_chardev_exit();
	destroy_workqueue(portal_wq);	/* drains: the last VM may be on its way out */
	portal_kvm_exit();
	portal_debugfs_exit();
	portal_inode_exit();
}

module_init(portal_init);
module_exit(portal_exit);

MODULE_DESCRIPTION("Hypercalls, devices and disks for running KVM guests, served by user space");
MODULE_AUTHOR("The portal maintainers");
MODULE_VERSION(PORTAL_VERSION);
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: kvm");
