// SPDX-License-Identifier: GPL-2.0-only
/*
 * window.c - guest physical addresses for the registers of a device
 *
 * The host cannot see which addresses the VMM emulates; this kernel knows.
 * It takes them where it would take those of a PCI BAR.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/errno.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "guest.h"

#ifdef CONFIG_PCI
/*
 * Bridge windows override the "min" of pci_bus_alloc_resource(), so the first
 * MiB, where a root bus has its VGA window, must be kept out here.
 */
static resource_size_t window_align(void *floor, const struct resource *res,
				    resource_size_t size, resource_size_t align)
{
	return ALIGN(max3(res->start, *(resource_size_t *)floor,
			  (resource_size_t)SZ_1M), align);
}

/*
 * Below 4G first: a register page is small, and every vCPU can address it,
 * whatever number of address bits the VMM claims. Memory behind a prefetchable
 * window is as good, as no bridge in a VM prefetches.
 */
static int window_from_pci(struct resource *res, resource_size_t size,
			   resource_size_t floor)
{
	static const unsigned long kinds[] = {
		IORESOURCE_MEM,
		IORESOURCE_MEM | IORESOURCE_PREFETCH,
		IORESOURCE_MEM | IORESOURCE_MEM_64,
		IORESOURCE_MEM | IORESOURCE_MEM_64 | IORESOURCE_PREFETCH,
	};
	struct pci_bus *bus;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (bus = pci_find_next_bus(NULL); bus;
		     bus = pci_find_next_bus(bus)) {
			res->flags = kinds[i];
			if (!pci_bus_alloc_resource(bus, res, size, PAGE_SIZE,
						    PCIBIOS_MIN_MEM, 0,
						    window_align, &floor))
				return 0;
		}
	}
	return -ENOSPC;
}
#else
static int window_from_pci(struct resource *res, resource_size_t size,
			   resource_size_t floor)
{
	return -ENOSPC;
}
#endif

static int note_ram_end(struct resource *res, void *end)
{
	*(u64 *)end = max_t(u64, *(u64 *)end, res->end);
	return 0;
}

/*
 * A machine without PCI (microvm, Firecracker): any hole of the resource tree.
 * Below 4G and right behind RAM a VMM may have things it told nobody about, or
 * keep room for more RAM; so stay well above. Not near the end of the address
 * space: some VMMs claim more bits than the CPU has.
 */
static int window_from_hole(struct resource *res, resource_size_t size,
			    resource_size_t floor)
{
	u64 end = SZ_4G - 1;

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM, 0, U64_MAX,
			    &end, note_ram_end);
	end = roundup_pow_of_two(end) * 2;

	res->flags = IORESOURCE_MEM;
	return allocate_resource(&iomem_resource, res, size,
				 max_t(resource_size_t, end, floor),
				 iomem_resource.end, PAGE_SIZE, NULL, NULL);
}

/**
 * portal_window_alloc() - find addresses for a device
 * @window: to be filled
 * @name: of the device, for /proc/iomem
 * @size: bytes; whole pages are taken
 * @floor: lowest address that will do
 *
 * Context: Process context, may sleep.
 * Return: 0, or -ENOSPC.
 */
int portal_window_alloc(struct portal_window *window, const char *name,
			u64 size, u64 floor)
{
	struct resource *res = &window->res;

	snprintf(window->label, sizeof(window->label), "portal:%s", name);
	*res = (struct resource) { .name = window->label };
	size = PAGE_ALIGN(size);

	if (!window_from_pci(res, size, floor) ||
	    !window_from_hole(res, size, floor))
		return 0;

	*res = (struct resource) {};
	return -ENOSPC;
}

/**
 * portal_window_free() - give the addresses of a device back
 * @window: by portal_window_alloc(), or zero
 */
void portal_window_free(struct portal_window *window)
{
	if (window->res.parent)
		release_resource(&window->res);
	window->res = (struct resource) {};
}
