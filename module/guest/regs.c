// SPDX-License-Identifier: GPL-2.0-only
/*
 * regs.c - registers for /dev/portal-guest
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/io.h>
#include <linux/sizes.h>

#include "guest.h"

static u64 read_reg(const void __iomem *reg, u32 width)
{
	switch (width) {
	case 1:
		return readb(reg);
	case 2:
		return readw(reg);
	case 4:
		return readl(reg);
	default:
		return readq(reg);
	}
}

static void write_reg(void __iomem *reg, u32 width, u64 value)
{
	switch (width) {
	case 1:
		writeb(value, reg);
		break;
	case 2:
		writew(value, reg);
		break;
	case 4:
		writel(value, reg);
		break;
	default:
		writeq(value, reg);
		break;
	}
}

/**
 * portal_regs_access() - read or write a register
 * @slot: the device
 * @write: write, or else read
 * @width: 1, 2, 4 or 8
 * @offset: aligned to @width; @offset + @width does not overflow
 * @value: to write, or read
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENOENT if there are no registers for programs; -EINVAL if
 *	@offset is outside; -ENODEV if the device is not enabled; -EINTR.
 */
int portal_regs_access(struct portal_slot *slot, bool write, u32 width,
		       u64 offset, u64 *value)
{
	int ret = 0;

	/* Held until the access is over: regs_del() waits for it. */
	if (down_read_killable(&slot->lock))
		return -EINTR;
	if (slot->type != PORTAL_SLOT_REGS) {
		ret = -ENOENT;
		goto out_unlock;
	}
	if (offset + width > slot->region) {
		ret = -EINVAL;
		goto out_unlock;
	}
	if (!slot->regs) {
		ret = -ENODEV;
		goto out_unlock;
	}

	if (write)
		write_reg(slot->regs + offset, width, *value);
	else
		*value = read_reg(slot->regs + offset, width);

out_unlock:
	up_read(&slot->lock);
	return ret;
}

static int regs_add(struct portal_slot *slot)
{
	void __iomem *regs = ioremap(slot->window.res.start,
				     resource_size(&slot->window.res));

	if (!regs)
		return -ENOMEM;
	down_write(&slot->lock);
	slot->regs = regs;
	up_write(&slot->lock);
	return 0;
}

static void regs_del(struct portal_slot *slot, bool answers)
{
	void __iomem *regs = slot->regs;

	down_write(&slot->lock);
	slot->regs = NULL;
	up_write(&slot->lock);
	iounmap(regs);
}

const struct portal_slot_ops portal_regs_ops = {
	.min_region = 1,
	.max_region = SZ_16M,
	.add = regs_add,
	.del = regs_del,
};
