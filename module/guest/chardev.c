// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev.c - /dev/portal-guest, for programs in the guest
 *
 * How one adds an ioctl: a struct in the uapi header, a member of union
 * portal_ucmd, a row of the table, and two functions: one checks what can be
 * checked without looking at anything else, the other does it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "guest.h"

static_assert(sizeof(struct portal_guest_slot) == 72);
static_assert(offsetof(struct portal_guest_slot, out_region) == 24);
static_assert(offsetof(struct portal_guest_slot, name) == 40);
static_assert(sizeof(struct portal_guest_call) == 56);
static_assert(offsetof(struct portal_guest_call, args) == 16);
static_assert(offsetof(struct portal_guest_call, out_value) == 48);
static_assert(sizeof(struct portal_guest_reg) == 32);
static_assert(offsetof(struct portal_guest_reg, offset) == 16);
static_assert(sizeof(struct portal_guest_event) == 16);

#define PORTAL_GUEST_REG_F_ALL	PORTAL_GUEST_REG_F_WRITE

union portal_ucmd {
	struct {
		__u32 size;
		__u32 flags;
	};
	struct portal_guest_slot slot;
	struct portal_guest_call call;
	struct portal_guest_reg reg;
};

static int slot_check(const union portal_ucmd *ucmd)
{
	const struct portal_guest_slot *arg = &ucmd->slot;

	if (arg->slot < -1)
		return -EINVAL;
	if (arg->slot == -1 &&
	    (!arg->name[0] || arg->name[PORTAL_NAME_LEN - 1]))
		return -EINVAL;
	return 0;
}

static int slot_ioctl(union portal_ucmd *ucmd)
{
	struct portal_guest_slot *arg = &ucmd->slot;
	struct portal_slot *slot;
	int ret = 0;

	if (arg->slot == -1) {
		arg->slot = portal_guest_find(arg->name);
		if (arg->slot < 0)
			return arg->slot;
	}
	slot = portal_bus_slot(arg->slot);
	if (!slot)
		return -ENOENT;

	if (down_read_killable(&slot->lock))
		return -EINTR;
	if (!slot->type) {
		ret = -ENOENT;
		goto out_unlock;
	}
	arg->out_type = slot->type;
	arg->out_state = slot->state;
	arg->out_fns = slot->fns;
	arg->out_region = slot->region;
	arg->out_gpa = 0;
	if (slot->state == PORTAL_SLOT_ENABLED)
		arg->out_gpa = slot->window.res.start;
	memcpy(arg->name, slot->name, sizeof(arg->name));

out_unlock:
	up_read(&slot->lock);
	return ret;
}

static int call_check(const union portal_ucmd *ucmd)
{
	return ucmd->call.fn < PORTAL_HC_SERVICE_FNS ? 0 : -EINVAL;
}

static int call_ioctl(union portal_ucmd *ucmd)
{
	struct portal_guest_call *arg = &ucmd->call;
	struct portal_slot *slot = portal_bus_slot(arg->slot);
	bool present;
	u32 fns;
	s64 ret;

	if (!slot)
		return -ENOENT;
	if (down_read_killable(&slot->lock))
		return -EINTR;
	present = slot->type && slot->state != PORTAL_SLOT_LEAVING;
	fns = slot->fns;
	up_read(&slot->lock);

	if (!present || !fns)
		return -ENOENT;
	if (arg->fn >= fns)
		return -EINVAL;

	/* If the service leaves now, the host answers that it is gone. */
	ret = portal_guest_call(slot->nr, arg->fn, arg->args[0], arg->args[1],
				arg->args[2], arg->args[3]);
	arg->out_value = ret;
	return portal_is_error(ret) ? ret : 0;
}

static int reg_check(const union portal_ucmd *ucmd)
{
	const struct portal_guest_reg *arg = &ucmd->reg;

	if (!is_power_of_2(arg->width) || arg->width > 8)
		return -EINVAL;
	if (arg->offset & (arg->width - 1))
		return -EINVAL;
	return 0;
}

static int reg_ioctl(union portal_ucmd *ucmd)
{
	struct portal_guest_reg *arg = &ucmd->reg;
	struct portal_slot *slot;
	u64 end, value = arg->value;
	int ret;

	if (check_add_overflow(arg->offset, (u64)arg->width, &end))
		return -EOVERFLOW;
	slot = portal_bus_slot(arg->slot);
	if (!slot)
		return -ENOENT;

	ret = portal_regs_access(slot, arg->flags & PORTAL_GUEST_REG_F_WRITE,
				 arg->width, arg->offset, &value);
	arg->value = value;
	return ret;
}

/**
 * struct portal_ioctl - how to serve an ioctl
 * @min_size: of the first version of the struct
 * @size: of the struct as we know it
 * @flags: the flags we know
 * @check: refuses what can never be right with -EINVAL
 * @run: does it
 */
struct portal_ioctl {
	u32 min_size;
	u32 size;
	u32 flags;
	int (*check)(const union portal_ucmd *ucmd);
	int (*run)(union portal_ucmd *ucmd);
};

#define PORTAL_IOCTL(cmd, type, last, known_flags, fn)			\
	[_IOC_NR(cmd) - _IOC_NR(PORTAL_GUEST_SLOT)] = {			\
		.min_size = offsetofend(struct type, last),		\
		.size = sizeof(struct type),				\
		.flags = (known_flags),					\
		.check = fn##_check,					\
		.run = fn##_ioctl,					\
	}

static const struct portal_ioctl portal_ioctls[] = {
	PORTAL_IOCTL(PORTAL_GUEST_SLOT, portal_guest_slot, name, 0, slot),
	PORTAL_IOCTL(PORTAL_GUEST_CALL, portal_guest_call, out_value, 0, call),
	PORTAL_IOCTL(PORTAL_GUEST_REG, portal_guest_reg, value,
		     PORTAL_GUEST_REG_F_ALL, reg),
};

/*
 * The order of the checks is that of the table in portal.h. So the tail is
 * read first (EFAULT) but judged (E2BIG) only after the values (EINVAL), which
 * copy_struct_from_user() alone would do the other way round.
 */
static int copy_ucmd(union portal_ucmd *ucmd, const struct portal_ioctl *op,
		     const void __user *uarg, u32 *user_size)
{
	int tail_is_zero = 1;
	int ret;

	if (get_user(*user_size, (const u32 __user *)uarg))
		return -EFAULT;
	if (*user_size < op->min_size)
		return -EINVAL;
	/* No struct will be that long; do not read gigabytes. */
	if (*user_size > PAGE_SIZE)
		return -E2BIG;

	if (*user_size > op->size) {
		tail_is_zero = check_zeroed_user(uarg + op->size,
						 *user_size - op->size);
		if (tail_is_zero < 0)
			return tail_is_zero;
	}
	ret = copy_struct_from_user(ucmd, op->size, uarg,
				    min(*user_size, op->size));
	if (ret)
		return ret;
	ret = op->check(ucmd);
	if (ret)
		return ret;
	if (!tail_is_zero)
		return -E2BIG;
	if (ucmd->flags & ~op->flags)
		return -EOPNOTSUPP;
	return 0;
}

static long chardev_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	unsigned int index = _IOC_NR(cmd) - _IOC_NR(PORTAL_GUEST_SLOT);
	void __user *uarg = (void __user *)arg;
	const struct portal_ioctl *op;
	union portal_ucmd ucmd = {};
	u32 user_size;
	int ret;

	if (_IOC_TYPE(cmd) != PORTAL_GUEST_IOC_MAGIC || _IOC_SIZE(cmd) ||
	    _IOC_DIR(cmd) != _IOC_NONE || index >= ARRAY_SIZE(portal_ioctls))
		return -ENOTTY;
	op = &portal_ioctls[index];

	ret = copy_ucmd(&ucmd, op, uarg, &user_size);
	if (ret)
		return ret;
	ret = op->run(&ucmd);

	/* Even a call that failed tells its value. */
	if (copy_to_user(uarg, &ucmd, min(user_size, op->size)))
		return -EFAULT;
	return ret;
}

static const struct file_operations chardev_fops = {
	.owner = THIS_MODULE,
	.open = portal_file_open,
	.release = portal_file_release,
	.read = portal_file_read,
	.poll = portal_file_poll,
	.unlocked_ioctl = chardev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "portal-guest",
	.fops = &chardev_fops,
	.mode = 0660,
};

/**
 * portal_chardev_init() - create /dev/portal-guest
 *
 * Return: 0 or a negative errno.
 */
int portal_chardev_init(void)
{
	return misc_register(&chardev);
}

/**
 * portal_chardev_exit() - remove /dev/portal-guest
 *
 * An open file holds the module, so there is none.
 */
void portal_chardev_exit(void)
{
	misc_deregister(&chardev);
}
