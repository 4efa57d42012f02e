// SPDX-License-Identifier: GPL-2.0-only
/*
 * slot.c - one slot of the bus: what the host has there, and making ours equal
 *
 * Everything here runs in the scan (bus.c) and only there. What the host says
 * about a slot is checked here, once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "guest.h"

/* addresses tried when the host has something else there */
#define ENABLE_TRIES		4
#define BUSY_TRIES		20
#define BUSY_DELAY_MS		50

/**
 * struct slot_desc - what the host has in a slot
 * @state: enum portal_slot_state
 * @serial: of the device
 * @type: enum portal_slot_type
 * @fns: hypercall functions
 * @region: bytes of registers
 * @name: printable, NUL-terminated
 */
struct slot_desc {
	u32 state;
	u32 serial;
	u32 type;
	u32 fns;
	u32 region;
	char name[PORTAL_NAME_LEN];
};

static const struct portal_slot_ops portal_service_ops = {};

/* How one adds a type of slot: a file with its ops, and a row here. */
static const struct portal_slot_ops *const slot_ops[] = {
	[PORTAL_SLOT_SERVICE] = &portal_service_ops,
	[PORTAL_SLOT_REGS] = &portal_regs_ops,
	[PORTAL_SLOT_VIRTIO_MMIO] = &portal_virtio_mmio_ops,
	[PORTAL_SLOT_CHANNEL] = &portal_channel_ops,
};

static const struct portal_slot_ops *find_ops(u32 type)
{
	return type < ARRAY_SIZE(slot_ops) ? slot_ops[type] : NULL;
}

/* Others have nothing that could be at an address. */
static bool is_enabled_by_us(const struct portal_slot_ops *ops)
{
	return ops->min_region || (ops->wanted && ops->wanted());
}

static int query(unsigned int nr, u32 field, u32 *value)
{
	s64 ret = portal_hypercall(PORTAL_HC_BUS_QUERY, nr, field, 0, 0);

	if (portal_is_error(ret))
		return ret;
	if (ret < 0 || ret > U32_MAX)
		return -EIO;
	*value = ret;
	return 0;
}

/* The part that tells whether anything is new. */
static int read_identity(unsigned int nr, struct slot_desc *desc)
{
	int ret;

	ret = query(nr, PORTAL_SLOT_STATE, &desc->state);
	if (ret || desc->state == PORTAL_SLOT_EMPTY)
		return ret;
	ret = query(nr, PORTAL_SLOT_SERIAL, &desc->serial);
	if (ret)
		return ret;
	return query(nr, PORTAL_SLOT_TYPE, &desc->type);
}

static int read_name(unsigned int nr, char *name)
{
	unsigned int i;
	u32 word;
	int ret;

	for (i = 0; i < PORTAL_NAME_LEN; i++) {
		if (i % 4 == 0) {
			ret = query(nr, PORTAL_SLOT_NAME + i / 4, &word);
			if (ret)
				return ret;
		}
		name[i] = word >> i % 4 * 8;
		if (!name[i])
			break;
		/* It appears in /proc/iomem, the log and on terminals. */
		if (!isascii(name[i]) || !isgraph(name[i]))
			name[i] = '?';
	}
	memset(name + i, 0, PORTAL_NAME_LEN - i);
	name[PORTAL_NAME_LEN - 1] = '\0';
	return 0;
}

static int read_rest(unsigned int nr, struct slot_desc *desc)
{
	u32 serial;
	int ret;

	ret = query(nr, PORTAL_SLOT_REGION, &desc->region);
	if (ret)
		return ret;
	ret = query(nr, PORTAL_SLOT_FNS, &desc->fns);
	if (ret)
		return ret;
	/* The last function is the interrupt handler, not for callers. */
	desc->fns = min_t(u32, desc->fns, PORTAL_FN_INTERRUPT);
	ret = read_name(nr, desc->name);
	if (ret)
		return ret;
	/* Another device came while we were reading: the bus scans again. */
	ret = query(nr, PORTAL_SLOT_SERIAL, &serial);
	if (ret)
		return ret;
	return serial == desc->serial ? 0 : -EAGAIN;
}

/* The host is busy while it puts a device to rest or restarts its plugin. */
static s64 patient_hypercall(u32 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	unsigned int tries = 0;
	s64 ret;

	for (;;) {
		ret = portal_hypercall(nr, a0, a1, a2, a3);
		if (ret != -EBUSY && ret != -EINTR && ret != -ETIME)
			return ret;
		if (++tries == BUSY_TRIES)
			return ret;
		msleep(BUSY_DELAY_MS);
	}
}

static int slot_disable(unsigned int nr)
{
	return patient_hypercall(PORTAL_HC_BUS_DISABLE, nr, 0, 0, 0);
}

/* The host refuses addresses where the VMM has RAM or another device. */
static int slot_enable(struct portal_slot *slot)
{
	int gsi = slot->pin ? portal_pin_gsi(slot->pin) : portal_event_gsi();
	struct portal_window *window = &slot->window;
	unsigned int tries;
	u64 floor = 0;
	s64 ret;

	for (tries = 0; tries < ENABLE_TRIES; tries++) {
		ret = portal_window_alloc(window, slot->name, slot->region,
					  floor);
		if (ret)
			return ret;
		ret = patient_hypercall(PORTAL_HC_BUS_ENABLE, slot->nr,
					lower_32_bits(window->res.start),
					upper_32_bits(window->res.start), gsi);
		if (!ret)
			return 0;
		/* It may have given up halfway, with the device in place. */
		if (ret != -EEXIST)
			slot_disable(slot->nr);
		floor = window->res.end + 1;
		portal_window_free(window);
		if (ret != -EEXIST)
			break;
	}
	/* Success is 0. Another number is a host out of its mind. */
	return portal_is_error(ret) ? ret : -EIO;
}

/* Memory of ours, so there is nothing to choose. */
static int slot_start_placed(struct portal_slot *slot)
{
	const struct portal_slot_ops *ops = find_ops(slot->type);
	s64 ret;
	u64 gpa;

	ret = ops->place(slot, &gpa);
	if (ret)
		return ret;
	ret = patient_hypercall(PORTAL_HC_BUS_ENABLE, slot->nr, lower_32_bits(gpa),
				upper_32_bits(gpa), portal_event_gsi());
	if (!ret)
		ret = ops->add(slot);
	if (ret) {
		int err = slot_disable(slot->nr);

		ops->displace(slot, err && err != -ENOTCONN);
	}
	return ret <= 0 ? ret : -EIO;
}

static int slot_start(struct portal_slot *slot)
{
	const struct portal_slot_ops *ops = find_ops(slot->type);
	int ret;

	if (ops->place)
		return slot_start_placed(slot);
	if (slot->region < ops->min_region || slot->region > ops->max_region)
		return -EINVAL;

	if (ops->pin) {
		slot->pin = portal_pin_get(false);
		if (!slot->pin)
			return -ENOSPC;
	}
	ret = slot_enable(slot);
	if (ret)
		goto out_put_pin;
	ret = ops->add(slot);
	if (ret)
		goto out_disable;
	return 0;

out_disable:
	slot_disable(slot->nr);
	portal_window_free(&slot->window);
out_put_pin:
	portal_pin_put(slot->pin);
	slot->pin = NULL;
	return ret;
}

static void slot_set_state(struct portal_slot *slot, u32 state)
{
	down_write(&slot->lock);
	slot->state = state;
	up_write(&slot->lock);
}

static void slot_add(struct portal_slot *slot, const struct slot_desc *desc)
{
	int ret;

	down_write(&slot->lock);
	slot->state = desc->state;
	slot->type = desc->type;
	slot->fns = desc->fns;
	slot->serial = desc->serial;
	slot->region = desc->region;
	memcpy(slot->name, desc->name, sizeof(slot->name));
	up_write(&slot->lock);
	slot->refused = false;

	if (!is_enabled_by_us(find_ops(slot->type))) {
		pr_info("slot %u: %s, a service\n", slot->nr, slot->name);
		return;
	}

	ret = slot_start(slot);
	if (ret) {
		slot->refused = true;
		pr_warn("slot %u: %s cannot be enabled: %d\n", slot->nr,
			slot->name, ret);
		return;
	}
	slot_set_state(slot, PORTAL_SLOT_ENABLED);
	if (slot->type == PORTAL_SLOT_CHANNEL)
		pr_info("slot %u: %s, commands\n", slot->nr, slot->name);
	else
		pr_info("slot %u: %s at %pa\n", slot->nr, slot->name,
			&slot->window.res.start);
}

/**
 * portal_slot_del() - remove what we have in a slot
 * @slot: the slot, not empty
 * @host_state: what the host has there: it is told that the device is off its
 *	address if it does not know yet
 *
 * Context: The scan, or after its end.
 */
void portal_slot_del(struct portal_slot *slot, u32 host_state)
{
	const struct portal_slot_ops *ops = find_ops(slot->type);
	bool answers = host_state == PORTAL_SLOT_ENABLED ||
		       host_state == PORTAL_SLOT_LEAVING;
	bool ours = is_enabled_by_us(ops) && !slot->refused;
	int ret = 0;

	/* from here on: no new calls */
	slot_set_state(slot, PORTAL_SLOT_LEAVING);
	if (ours)
		ops->del(slot, answers);

	if (answers) {
		ret = slot_disable(slot->nr);
		if (ret)
			pr_warn("slot %u: %s cannot be disabled: %d\n",
				slot->nr, slot->name, ret);
	}
	if (ours && ops->displace)
		ops->displace(slot, ret && ret != -ENOTCONN);
	portal_pin_put(slot->pin);
	slot->pin = NULL;
	portal_window_free(&slot->window);

	pr_info("slot %u: %s is gone\n", slot->nr, slot->name);
	down_write(&slot->lock);
	slot->type = 0;
	slot->state = PORTAL_SLOT_EMPTY;
	up_write(&slot->lock);
}

static bool slot_is_current(const struct portal_slot *slot,
			    const struct slot_desc *desc)
{
	if (desc->state == PORTAL_SLOT_EMPTY ||
	    desc->state == PORTAL_SLOT_LEAVING ||
	    desc->type != slot->type || desc->serial != slot->serial)
		return false;
	/* A device that was enabled, and is only offered now, lost its state. */
	return !is_enabled_by_us(find_ops(slot->type)) || desc->state == slot->state;
}

/**
 * portal_slot_update() - make a slot what the host has there
 * @slot: the slot
 *
 * Context: The scan.
 * Return: 0; -ENOTCONN if the host lost us; -EAGAIN if the slot changed meanwhile;
 *	another error if the host does not say what it has.
 */
int portal_slot_update(struct portal_slot *slot)
{
	struct slot_desc desc = {};
	int ret;

	ret = read_identity(slot->nr, &desc);
	if (ret)
		return ret;

	if (slot->type) {
		if (slot_is_current(slot, &desc))
			return 0;
		portal_slot_del(slot, desc.state);
		ret = read_identity(slot->nr, &desc);
		if (ret)
			return ret;
	}

	if (desc.state == PORTAL_SLOT_EMPTY || !find_ops(desc.type))
		return 0;

	/*
	 * Not ours, but at some address: left behind by the kernel before this
	 * one (kexec). Or it wants to leave before we even met.
	 */
	if (desc.state == PORTAL_SLOT_LEAVING ||
	    (desc.state == PORTAL_SLOT_ENABLED &&
	     (find_ops(desc.type)->min_region || find_ops(desc.type)->place))) {
		ret = slot_disable(slot->nr);
		if (!ret)
			ret = read_identity(slot->nr, &desc);
		if (ret)
			return ret;
	}

	if (desc.state != PORTAL_SLOT_OFFERED &&
	    desc.state != PORTAL_SLOT_ENABLED)
		return 0;
	if (!find_ops(desc.type))
		return 0;
	ret = read_rest(slot->nr, &desc);
	if (!ret)
		slot_add(slot, &desc);
	return ret;
}
