// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_acpi.c - which interrupt pins the firmware gave away
 *
 * A pin nobody requested may still belong to a device whose driver comes
 * later: a PCI device would then fail to enable. So ask the firmware for the
 * interrupts of all devices, of PCI links, and of hard-wired PCI slots.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/acpi.h>
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "guest.h"

static void claim(unsigned long *claimed, u32 gsi)
{
	if (gsi < PORTAL_PINS)
		__set_bit(gsi, claimed);
}

#ifdef CONFIG_ACPI
static acpi_status claim_resource(struct acpi_resource *res, void *claimed)
{
	unsigned int i;

	switch (res->type) {
	case ACPI_RESOURCE_TYPE_IRQ:
		for (i = 0; i < res->data.irq.interrupt_count; i++)
			claim(claimed, res->data.irq.interrupts[i]);
		break;
	case ACPI_RESOURCE_TYPE_EXTENDED_IRQ:
		for (i = 0; i < res->data.extended_irq.interrupt_count; i++)
			claim(claimed, res->data.extended_irq.interrupts[i]);
		break;
	}
	return AE_OK;
}

/* _PRT: an entry without a link device names a pin. */
static void claim_hard_wired(acpi_handle handle, unsigned long *claimed)
{
	struct acpi_buffer buffer = { ACPI_ALLOCATE_BUFFER, NULL };
	struct acpi_pci_routing_table *entry;

	if (ACPI_FAILURE(acpi_get_irq_routing_table(handle, &buffer)))
		return;
	for (entry = buffer.pointer; entry->length;
	     entry = (void *)entry + entry->length) {
		if (!entry->source[0])
			claim(claimed, entry->source_index);
	}
	kfree(buffer.pointer);
}

static acpi_status claim_device(acpi_handle handle, u32 level, void *claimed,
				void **ret)
{
	acpi_walk_resources(handle, METHOD_NAME__CRS, claim_resource, claimed);
	claim_hard_wired(handle, claimed);
	return AE_OK;
}

static void claim_from_acpi(unsigned long *claimed)
{
	if (acpi_disabled)
		return;
	acpi_get_devices(NULL, claim_device, claimed, NULL);
	claim(claimed, acpi_gbl_FADT.sci_interrupt);
}
#else
static void claim_from_acpi(unsigned long *claimed)
{
}
#endif

/* What the firmware does not list: IDE's two, and MP-table routing. */
static void claim_from_pci(unsigned long *claimed)
{
	struct pci_dev *dev = NULL;

	for_each_pci_dev(dev) {
		if (dev->class >> 8 == PCI_CLASS_STORAGE_IDE) {
			claim(claimed, 14);
			claim(claimed, 15);
		}
		if (dev->pin)
			claim(claimed, dev->irq);
	}
}

/**
 * portal_pin_find_claimed() - find the pins that belong to somebody
 * @claimed: bitmap of PORTAL_PINS bits; those of claimed pins are set
 *
 * Context: Process context, may sleep.
 */
void portal_pin_find_claimed(unsigned long *claimed)
{
	claim_from_acpi(claimed);
	claim_from_pci(claimed);
}
