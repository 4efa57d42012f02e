// SPDX-License-Identifier: GPL-2.0-only
/* uprobe_register() gives a handle (6.12) */
#include <linux/uprobes.h>

struct uprobe *test(struct inode *inode, struct uprobe_consumer *uc);

struct uprobe *test(struct inode *inode, struct uprobe_consumer *uc)
{
	return uprobe_register(inode, 0, 0, uc);
}
