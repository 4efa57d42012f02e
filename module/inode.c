// SPDX-License-Identifier: GPL-2.0-only
/*
 * inode.c - an inode for each client, so that its mappings can be zapped
 *
 * unmap_mapping_range() goes by address space and offset. All anonymous
 * inodes share one address space; an own one keeps clients apart.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include "portal.h"

#define PORTAL_FS_MAGIC		0x504f5254

static struct vfsmount *portal_mnt;

static int portal_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, PORTAL_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No .owner: the mount lives as long as the module and must not pin it. */
static struct file_system_type portal_fs_type = {
	.name = "portal",
	.init_fs_context = portal_fs_init_context,
	.kill_sb = kill_anon_super,
};

/**
 * portal_inode_new() - an inode for a client
 *
 * Context: process. The inode goes by iput().
 * Return: the inode, or an ERR_PTR.
 */
struct inode *portal_inode_new(void)
{
	return alloc_anon_inode(portal_mnt->mnt_sb);
}

/**
 * portal_inode_init() - make portal_inode_new() possible
 *
 * Context: module init.
 * Return: 0 or -errno.
 */
int portal_inode_init(void)
{
	portal_mnt = kern_mount(&portal_fs_type);
	return PTR_ERR_OR_ZERO(portal_mnt);
}

/**
 * portal_inode_exit() - the reverse
 *
 * Context: module exit; every inode is gone.
 */
void portal_inode_exit(void)
{
	kern_unmount(portal_mnt);
}
