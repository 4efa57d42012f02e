// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c - VM fds: one VM_ATTACH and all that it owns
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "portal.h"

static void client_free(struct kref *ref)
{
	struct portal_client *client = container_of(ref, struct portal_client, ref);

	xa_destroy(&client->hooks);
	xa_destroy(&client->regions);
	xa_destroy(&client->queues);
	xa_destroy(&client->windows);
	iput(client->inode);
	portal_vm_put(client->vm);
	kfree(client);
}

/**
 * portal_client_put - drop a reference
 * @client: the client
 *
 * Context: process, no lock held.
 */
void portal_client_put(struct portal_client *client)
{
	kref_put(&client->ref, client_free);
}

/**
 * portal_client_shutdown - take all that a client owns out of the VM
 * @client: the client
 *
 * Every call that waits ends, every owner of a queue is told. Safe to repeat.
 * Context: process; portal_vms_mutex may be held.
 */
void portal_client_shutdown(struct portal_client *client)
{
	struct portal_region *region;
	struct portal_window *window;
	struct portal_queue *queue;
	struct portal_hook *hook;
	unsigned long i;

	mutex_lock(&client->lock);
	if (client->dead)
		goto out_unlock;
	if (READ_ONCE(client->vm->gone))
		portal_life_client(client, PORTAL_LIFE_VM_GONE, client->vm->gone_reason, 0, 0);
	client->dead = true;
	portal_debugfs_client_del(client);
	/* each step for all at once: how many there are costs no grace period */
	xa_for_each(&client->regions, i, region)
		portal_region_unlink(region);
	xa_for_each(&client->hooks, i, hook)
		portal_hook_unlink(hook);
	synchronize_srcu(&portal_srcu);
	xa_for_each(&client->regions, i, region)
		portal_region_off_bus(region);
	if (client->nr_regions)
		synchronize_srcu(&portal_srcu);
	xa_for_each(&client->regions, i, region) {
		xa_erase(&client->regions, i);
		portal_region_free(region);
	}
	xa_for_each(&client->hooks, i, hook) {
		xa_erase(&client->hooks, i);
		portal_hook_free(hook);
	}
	xa_for_each(&client->queues, i, queue) {
		xa_erase(&client->queues, i);
		portal_queue_kill(queue);
		portal_queue_put(queue);
	}
	xa_for_each(&client->windows, i, window) {
		xa_erase(&client->windows, i);
		portal_window_remove(window);
	}
	client->nr_regions = 0;
	client->nr_hooks = 0;
	client->nr_queues = 0;
	client->nr_windows = 0;
	WRITE_ONCE(client->down, true);
out_unlock:
	mutex_unlock(&client->lock);
	portal_irq_release(client);
}

static int vm_file_release(struct inode *inode, struct file *file)
{
	struct portal_vm_file *vf = file->private_data;
	struct portal_client *client = vf->client;

	portal_windows_close(vf);
	kfree(vf);
	if (atomic_dec_and_test(&client->fds)) {
		portal_client_shutdown(client);
		portal_vm_unlink(client->vm, client);
	}
	portal_client_put(client);
	return 0;
}

/* of vm_pgoff: the pages behind kind and id */
#define PGOFF_MASK	((1UL << (PORTAL_MMAP_ID_SHIFT - PAGE_SHIFT)) - 1)

/**
 * portal_shadow_mmap - map the shadow of a region
 * @client: the client
 * @vma: as ->mmap got it, at the region's out_shadow_off
 * @rights: of the VM fd
 * @queue: of a queue fd: its owner serves the region; NULL for a VM fd
 *
 * Context: ->mmap, so inside the mmap_lock: not client->lock.
 * Return: 0, -ENOENT, -EPERM, -EINVAL.
 */
int portal_shadow_mmap(struct portal_client *client, struct vm_area_struct *vma, u32 rights,
		       const struct portal_queue *queue)
{
	u32 id = (((u64)vma->vm_pgoff << PAGE_SHIFT) >> PORTAL_MMAP_ID_SHIFT) & 0xffff;
	struct portal_region *region;
	int ret = -EPERM;

	xa_lock(&client->regions);
	region = xa_load(&client->regions, id);
	if (region)
		kref_get(&region->ref);
	xa_unlock(&client->regions);
	if (!region)
		return -ENOENT;
	if (queue ? portal_target_uses(&region->t, queue) : rights & portal_region_right(region))
		ret = portal_shared_mmap(vma, region->shadow, region->shadow_size,
					 vma->vm_pgoff & PGOFF_MASK);
	portal_region_put(region);
	return ret;
}

static int vm_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct portal_vm_file *vf = file->private_data;
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;

	switch (off >> PORTAL_MMAP_KIND_SHIFT) {
	case PORTAL_MMAP_SHADOW:
		return portal_shadow_mmap(vf->client, vma, vf->rights, NULL);
	case PORTAL_MMAP_WINDOW:
		return portal_window_mmap(vf->client, vma, (off >> PORTAL_MMAP_ID_SHIFT) & 0xffff);
	}
	return -EINVAL;
}

const struct file_operations portal_vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_file_release,
	.unlocked_ioctl = portal_ioctl_vm,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vm_file_mmap,
	.llseek = noop_llseek,
};

/* A VM fd of @client; takes a reference. */
static int vm_fd(struct portal_client *client, u32 rights)
{
	struct portal_vm_file *vf;
	struct file *file;
	int fd, ret;

	vf = kzalloc(sizeof(*vf), GFP_KERNEL_ACCOUNT);
	if (!vf)
		return -ENOMEM;
	vf->client = client;
	vf->rights = rights;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto out_free;
	}
	file = anon_inode_getfile("[portal-vm]", &portal_vm_fops, vf, O_RDWR);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto out_put_fd;
	}
	/* windows are zapped by file offset: not in the mapping all anon inodes share */
	file->f_mapping = client->inode->i_mapping;
	kref_get(&client->ref);
	atomic_inc(&client->fds);
	fd_install(fd, file);
	return fd;

out_put_fd:
	put_unused_fd(fd);
out_free:
	kfree(vf);
	return ret;
}

/**
 * portal_client_fd - a new client of @vm and its first fd
 * @vm: the VM; the client takes over the caller's reference, also on error
 * @rights: PORTAL_RIGHT_*
 *
 * Context: process, portal_vms_mutex not held.
 * Return: the fd or -errno.
 */
int portal_client_fd(struct portal_vm *vm, u32 rights)
{
	struct portal_client *client;
	int ret = -ENOMEM;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		goto out_put_vm;
	client->inode = portal_inode_new();
	if (IS_ERR(client->inode)) {
		ret = PTR_ERR(client->inode);
		goto out_free;
	}
	client->vm = vm;
	kref_init(&client->ref);
	mutex_init(&client->lock);
	INIT_LIST_HEAD(&client->irqfds);
	xa_init_flags(&client->hooks, XA_FLAGS_ALLOC1);
	xa_init_flags(&client->regions, XA_FLAGS_ALLOC1);
	xa_init_flags(&client->queues, XA_FLAGS_ALLOC1);
	xa_init_flags(&client->windows, XA_FLAGS_ALLOC1);

	ret = portal_vm_link(vm, client);
	if (ret) {
		portal_vm_unlink(vm, NULL);
	} else {
		ret = vm_fd(client, rights);
		if (ret < 0)
			portal_vm_unlink(vm, client);
	}
	portal_client_put(client);
	return ret;

out_free:
	kfree(client);
out_put_vm:
	portal_vm_unlink(vm, NULL);
	portal_vm_put(vm);
	return ret;
}

int portal_vm_ioctl_attach(struct file *file, struct portal_vm_attach *arg)
{
	struct portal_vm *vm;
	int ret, tries;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags || arg->rights & ~PORTAL_RIGHT_ALL)
		return -EOPNOTSUPP;
	/* the last other client may be on its way out just now */
	for (tries = 0, ret = -ENODEV; ret == -ENODEV && tries < 5; tries++) {
		ret = portal_kvm_attach(arg->vm_fd, &vm);
		if (ret)
			return ret;
		ret = portal_client_fd(vm, arg->rights);
	}
	if (ret < 0)
		return ret;
	pr_info("%s (pid %d, uid %u) attached to the VM of mm %p, rights %#x\n", current->comm,
		task_tgid_nr(current), from_kuid_munged(&init_user_ns, current_uid()), vm->mm,
		arg->rights);
	arg->out_fd = ret;
	return 0;
}

int portal_vm_ioctl_dup(struct portal_vm_file *vf, struct portal_vm_dup *arg)
{
	int ret;

	if (arg->flags || arg->rights & ~PORTAL_RIGHT_ALL)
		return -EOPNOTSUPP;
	if (arg->rights & ~vf->rights)
		return -EPERM;
	ret = vm_fd(vf->client, arg->rights);
	if (ret < 0)
		return ret;
	arg->out_fd = ret;
	return 0;
}

int portal_vm_ioctl_info(struct portal_vm_file *vf, struct portal_vm_info *arg)
{
	struct portal_client *client = vf->client;
	struct portal_vm *vm = client->vm;
	struct portal_stats *s = &vm->stats;

	if (arg->flags)
		return -EOPNOTSUPP;
	*arg = (struct portal_vm_info){ };
	arg->out_rights = vf->rights;
	mutex_lock(&client->lock);
	arg->out_state = client->dead || READ_ONCE(vm->gone) ? PORTAL_VM_GONE : PORTAL_VM_RUNNING;
	if (!client->dead) {
		arg->out_irqchip = vm->ops->irqchip(vm);
		arg->out_vcpus = vm->ops->nr_vcpus(vm);
	}
	arg->out_hooks = client->nr_hooks;
	arg->out_regions = client->nr_regions;
	arg->out_queues = client->nr_queues;
	arg->out_windows = client->nr_windows;
	mutex_unlock(&client->lock);
	arg->out_hellos = atomic64_read(&s->hellos);
	arg->out_hypercalls = atomic64_read(&s->hypercalls);
	arg->out_calls = atomic64_read(&s->calls);
	arg->out_posted = atomic64_read(&s->posted);
	arg->out_restarts = atomic64_read(&s->restarts);
	arg->out_timeouts = atomic64_read(&s->timeouts);
	arg->out_dropped = atomic64_read(&s->dropped);
	arg->out_shadow_reads = atomic64_read(&s->shadow_reads);
	arg->out_wakeups = atomic64_read(&s->wakeups);
	arg->out_vm_id = vm->id;
	arg->out_client_id = client->id;
	arg->out_filtered = atomic64_read(&s->filtered);
	arg->out_merged = atomic64_read(&s->merged);
	arg->out_held = atomic64_read(&s->held);
	arg->out_limited = atomic64_read(&s->limited);
	return 0;
}
