// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin.c - interrupt pins (GSIs) for the bus and for its devices
 *
 * The host raises an edge on a pin of the interrupt controller. Which pins the
 * VMM wires to its own devices only this kernel can know. Each device gets a
 * pin of its own while there are any, then they share: an edge on a shared pin
 * costs one register read of every device on it, and one hypercall if the bus
 * event is on it too, so that pin is shared last.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/acpi.h>
#include <linux/bitmap.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <asm/irq_vectors.h>

#include "guest.h"

/**
 * struct portal_pin - a pin we took
 * @gsi: its number, and index in the array
 * @irq: Linux's number for it
 * @users: how many share it, 0 if it is not ours
 * @event: the bus event is among them
 *
 * All protected by pin_lock.
 */
struct portal_pin {
	unsigned int gsi;
	int irq;
	unsigned int users;
	bool event;
};

static DEFINE_MUTEX(pin_lock);
static struct portal_pin pins[PORTAL_PINS];

static int gsi[8] = { -1 };
static int gsi_count;
module_param_array(gsi, int, &gsi_count, 0444);
MODULE_PARM_DESC(gsi, "Interrupt pins (0-23) to use, the first also for bus events (default: -1, find free ones)");

/*
 * 5 is the one ISA interrupt that no machine of today uses. From 16 on no
 * legacy device can be, Firecracker hands those out from below. The others may
 * have a device that pin_acpi.c cannot see; they come last.
 */
static const u8 candidates[] = {
	5, 23, 22, 21, 20, 19, 18, 17, 16, 7, 10, 11, 3, 15, 14, 6,
};

#ifdef CONFIG_ACPI
static int pin_register(unsigned int nr)
{
	return acpi_register_gsi(NULL, nr, ACPI_EDGE_SENSITIVE,
				 ACPI_ACTIVE_HIGH);
}

static void pin_unregister(unsigned int nr)
{
	acpi_unregister_gsi(nr);
}
#else
/* Without ACPI the kernel set up all pins of the MP table, one to one. */
static int pin_register(unsigned int nr)
{
	return nr;
}

static void pin_unregister(unsigned int nr)
{
}
#endif

static bool pin_is_usable(int irq)
{
	struct irq_data *data = irq_get_irq_data(irq);

	return data && !irqd_is_level_type(data);
}

static struct portal_pin *pin_take(unsigned int nr, bool forced)
{
	struct portal_pin *pin = &pins[nr];
	int irq;

	lockdep_assert_held(&pin_lock);

	/*
	 * Asked before pin_register(), which would turn a level-triggered ISA
	 * pin into an edge-triggered one under its owner.
	 */
	if (!forced && nr < NR_IRQS_LEGACY && irq_has_action(nr))
		return NULL;

	/* fails for a pin that is set up for PCI */
	irq = pin_register(nr);
	if (irq <= 0)
		return NULL;
	if (!pin_is_usable(irq) || (!forced && irq_has_action(irq))) {
		pin_unregister(nr);
		return NULL;
	}

	*pin = (struct portal_pin) { .gsi = nr, .irq = irq };
	return pin;
}

static struct portal_pin *pin_find_forced(void)
{
	struct portal_pin *pin;
	int i;

	for (i = 0; i < gsi_count; i++) {
		if (gsi[i] < 0 || gsi[i] >= PORTAL_PINS || pins[gsi[i]].users)
			continue;
		pin = pin_take(gsi[i], true);
		if (pin)
			return pin;
		pr_warn_once("pin %d (parameter gsi) cannot be used\n", gsi[i]);
	}
	return NULL;
}

static struct portal_pin *pin_find_free(void)
{
	DECLARE_BITMAP(claimed, PORTAL_PINS);
	struct portal_pin *pin;
	unsigned int i;

	bitmap_zero(claimed, PORTAL_PINS);
	portal_pin_find_claimed(claimed);

	for (i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (pins[candidates[i]].users ||
		    test_bit(candidates[i], claimed))
			continue;
		pin = pin_take(candidates[i], false);
		if (pin)
			return pin;
	}
	return NULL;
}

static struct portal_pin *pin_find_shared(void)
{
	struct portal_pin *best = NULL;
	unsigned int i;

	for (i = 0; i < PORTAL_PINS; i++) {
		if (!pins[i].users)
			continue;
		if (!best || best->event > pins[i].event ||
		    (best->event == pins[i].event &&
		     best->users > pins[i].users))
			best = &pins[i];
	}
	return best;
}

/**
 * portal_pin_get() - find an interrupt pin
 * @event: it is for the bus event
 *
 * Context: Process context, may sleep.
 * Return: a pin, or NULL.
 */
struct portal_pin *portal_pin_get(bool event)
{
	struct portal_pin *pin;

	mutex_lock(&pin_lock);
	if (gsi_count > 0 && gsi[0] >= 0)
		pin = pin_find_forced();
	else
		pin = pin_find_free();
	if (!pin)
		pin = pin_find_shared();
	if (pin) {
		pin->users++;
		pin->event |= event;
	}
	mutex_unlock(&pin_lock);
	return pin;
}

/**
 * portal_pin_put() - give a pin back
 * @pin: by portal_pin_get(), its interrupt handler removed; or NULL
 */
void portal_pin_put(struct portal_pin *pin)
{
	if (!pin)
		return;

	mutex_lock(&pin_lock);
	if (--pin->users == 0)
		pin_unregister(pin->gsi);
	mutex_unlock(&pin_lock);
}

/**
 * portal_pin_irq() - Linux's number of an interrupt pin
 * @pin: by portal_pin_get()
 *
 * Return: the number for request_irq().
 */
int portal_pin_irq(const struct portal_pin *pin)
{
	return pin->irq;
}

/**
 * portal_pin_gsi() - the host's number of an interrupt pin
 * @pin: by portal_pin_get()
 *
 * Return: the GSI.
 */
int portal_pin_gsi(const struct portal_pin *pin)
{
	return pin->gsi;
}
