// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl.c - one table per kind of fd, one way to copy an argument
 *
 * An argument is copied once, its unknown tail must be 0, and it is copied
 * back on success (and always where the table says so). Adding a command: its
 * struct and number in <linux/portal.h>, a row here, the function in the file
 * of its noun.
 */
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>
#include "portal.h"

union ioctl_arg {
	struct portal_info info;
	struct portal_vm_attach vm_attach;
	struct portal_vm_info vm_info;
	struct portal_vm_dup vm_dup;
	struct portal_hook_add hook_add;
	struct portal_region_add region_add;
	struct portal_id id;
	struct portal_target_info target_info;
	struct portal_rate_set rate_set;
	struct portal_queue_create queue_create;
	struct portal_queue_open queue_open;
	struct portal_mem_list mem_list;
	struct portal_mem_rw mem_rw;
	struct portal_mem_map mem_map;
	struct portal_irq_bind irq_bind;
	struct portal_irq_msi irq_msi;
	struct portal_queue_info queue_info;
	struct portal_queue_cancel queue_cancel;
};

struct ioctl_op {
	unsigned int cmd;
	u32 min;	/* the struct's first version */
	u32 size;
	bool always;	/* outputs count on error too */
	int (*fn)(void *ctx, void *arg);
};

#define OP(_cmd, _fn, _struct, _last, _always)					\
	{ .cmd = _cmd, .min = offsetofend(struct _struct, _last),		\
	  .size = sizeof(struct _struct) +					\
		  BUILD_BUG_ON_ZERO(sizeof(struct _struct) > sizeof(union ioctl_arg)), \
	  .always = _always, .fn = (_fn) }

static int get_info(void *ctx, void *p)
{
	struct portal_info *arg = p;

	if (arg->__reserved)
		return -EINVAL;
	if (arg->flags)
		return -EOPNOTSUPP;
	*arg = (struct portal_info){ };
	arg->out_api_version = PORTAL_API_VERSION;
	arg->out_features = portal_features;
	arg->out_max_queues = PORTAL_MAX_QUEUES;
	arg->out_max_hooks = PORTAL_MAX_HOOKS;
	arg->out_max_entries = PORTAL_MAX_ENTRIES;
	arg->out_max_calls = PORTAL_MAX_CALLS;
	arg->out_max_ranges = PORTAL_MAX_RANGES;
	arg->out_max_region = PORTAL_MAX_REGION;
	arg->out_max_windows = PORTAL_MAX_WINDOWS;
	arg->out_vms = portal_vm_count();
	return 0;
}

/* A row's function with its types; a cast of the pointer would be UB and fail kCFI. */
#define THUNK(_name, _ctx, _struct)						\
static int op_##_name(void *ctx, void *arg)					\
{										\
	return portal_##_name((_ctx *)ctx, (struct _struct *)arg);		\
}

THUNK(vm_ioctl_attach, struct file, portal_vm_attach)
THUNK(vm_ioctl_info, struct portal_vm_file, portal_vm_info)
THUNK(vm_ioctl_dup, struct portal_vm_file, portal_vm_dup)
THUNK(hook_ioctl_add, struct portal_vm_file, portal_hook_add)
THUNK(hook_ioctl_del, struct portal_vm_file, portal_id)
THUNK(region_ioctl_add, struct portal_vm_file, portal_region_add)
THUNK(region_ioctl_del, struct portal_vm_file, portal_id)
THUNK(hook_ioctl_info, struct portal_vm_file, portal_target_info)
THUNK(region_ioctl_info, struct portal_vm_file, portal_target_info)
THUNK(rate_ioctl_set, struct portal_vm_file, portal_rate_set)
THUNK(queue_ioctl_create, struct portal_vm_file, portal_queue_create)
THUNK(queue_ioctl_open, struct portal_vm_file, portal_queue_open)
THUNK(queue_ioctl_del, struct portal_vm_file, portal_id)
THUNK(mem_ioctl_list, struct portal_vm_file, portal_mem_list)
THUNK(mem_ioctl_rw, struct portal_vm_file, portal_mem_rw)
THUNK(mem_ioctl_map, struct portal_vm_file, portal_mem_map)
THUNK(mem_ioctl_unmap, struct portal_vm_file, portal_id)
THUNK(irq_ioctl_bind, struct portal_vm_file, portal_irq_bind)
THUNK(irq_ioctl_unbind, struct portal_vm_file, portal_irq_bind)
THUNK(irq_ioctl_msi, struct portal_vm_file, portal_irq_msi)
THUNK(queue_ioctl_info, struct portal_queue_file, portal_queue_info)
THUNK(queue_ioctl_cancel, struct portal_queue_file, portal_queue_cancel)

static const struct ioctl_op dev_ops[] = {
	OP(PORTAL_GET_INFO, get_info, portal_info, __reserved, false),
	OP(PORTAL_VM_ATTACH, op_vm_ioctl_attach, portal_vm_attach, __reserved, false),
};

static const struct ioctl_op vm_ops[] = {
	OP(PORTAL_VM_INFO, op_vm_ioctl_info, portal_vm_info, out_wakeups, false),
	OP(PORTAL_VM_DUP, op_vm_ioctl_dup, portal_vm_dup, out_fd, false),
	OP(PORTAL_HOOK_ADD, op_hook_ioctl_add, portal_hook_add, __reserved, false),
	OP(PORTAL_HOOK_DEL, op_hook_ioctl_del, portal_id, __reserved, false),
	OP(PORTAL_REGION_ADD, op_region_ioctl_add, portal_region_add, __reserved, false),
	OP(PORTAL_REGION_DEL, op_region_ioctl_del, portal_id, __reserved, false),
	OP(PORTAL_QUEUE_CREATE, op_queue_ioctl_create, portal_queue_create, out_mmap_size, false),
	OP(PORTAL_QUEUE_OPEN, op_queue_ioctl_open, portal_queue_open, out_mmap_size, false),
	OP(PORTAL_QUEUE_DEL, op_queue_ioctl_del, portal_id, __reserved, false),
	OP(PORTAL_HOOK_INFO, op_hook_ioctl_info, portal_target_info, out_shadow_reads, false),
	OP(PORTAL_REGION_INFO, op_region_ioctl_info, portal_target_info, out_shadow_reads, false),
	OP(PORTAL_RATE_SET, op_rate_ioctl_set, portal_rate_set, __reserved, false),
	OP(PORTAL_MEM_LIST, op_mem_ioctl_list, portal_mem_list, out_generation, false),
	OP(PORTAL_MEM_RW, op_mem_ioctl_rw, portal_mem_rw, out_done, true),
	OP(PORTAL_MEM_MAP, op_mem_ioctl_map, portal_mem_map, out_mmap_off, false),
	OP(PORTAL_MEM_UNMAP, op_mem_ioctl_unmap, portal_id, __reserved, false),
	OP(PORTAL_IRQ_BIND, op_irq_ioctl_bind, portal_irq_bind, __reserved, false),
	OP(PORTAL_IRQ_UNBIND, op_irq_ioctl_unbind, portal_irq_bind, __reserved, false),
	OP(PORTAL_IRQ_MSI, op_irq_ioctl_msi, portal_irq_msi, __reserved, false),
};

static const struct ioctl_op queue_ops[] = {
	OP(PORTAL_QUEUE_INFO, op_queue_ioctl_info, portal_queue_info, out_stale, false),
	OP(PORTAL_QUEUE_CANCEL, op_queue_ioctl_cancel, portal_queue_cancel, flags, false),
};

static long dispatch(const struct ioctl_op *ops, size_t nr, void *ctx, unsigned int cmd,
		     void __user *uarg)
{
	const struct ioctl_op *op = NULL;
	union ioctl_arg arg;
	size_t i;
	u32 size;
	int ret;

	for (i = 0; i < nr; i++)
		if (ops[i].cmd == cmd)
			op = &ops[i];
	if (!op)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)uarg))
		return -EFAULT;
	if (size < op->min || size > PAGE_SIZE)
		return size < op->min ? -EINVAL : -E2BIG;
	ret = copy_struct_from_user(&arg, op->size, uarg, size);
	if (ret)
		return ret;
	ret = op->fn(ctx, &arg);
	if (ret && !op->always)
		return ret;
	/*
	 * An fd that was installed stays open if this faults: the caller gave
	 * memory it can't write, and loses the number, not the fd table slot.
	 */
	*(u32 *)&arg = size;
	if (copy_to_user(uarg, &arg, min_t(u32, size, op->size)))
		return -EFAULT;
	return ret;
}

long portal_ioctl_dev(struct file *file, unsigned int cmd, unsigned long arg)
{
#ifdef CONFIG_PORTAL_MOCK
	long ret = portal_mock_ioctl_dev(cmd, (void __user *)arg);

	if (ret != -ENOTTY)
		return ret;
#endif
	return dispatch(dev_ops, ARRAY_SIZE(dev_ops), file, cmd, (void __user *)arg);
}

long portal_ioctl_vm(struct file *file, unsigned int cmd, unsigned long arg)
{
#ifdef CONFIG_PORTAL_MOCK
	long ret = portal_mock_ioctl_vm(file->private_data, cmd, (void __user *)arg);

	if (ret != -ENOTTY)
		return ret;
#endif
	return dispatch(vm_ops, ARRAY_SIZE(vm_ops), file->private_data, cmd, (void __user *)arg);
}

long portal_ioctl_queue(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct portal_queue_file *qf = file->private_data;
	struct portal_uring_cmd commit;

	if (cmd == PORTAL_QUEUE_COMMIT) {	/* the 16 bytes of a uring_cmd */
		if (copy_from_user(&commit, (void __user *)arg, sizeof(commit)))
			return -EFAULT;
		return portal_queue_ioctl_commit(qf, &commit);
	}
	return dispatch(queue_ops, ARRAY_SIZE(queue_ops), qf, cmd, (void __user *)arg);
}
