// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_mmio_page.c - what a driver reads of a virtio-mmio device
 *
 * Registers and configuration space are in the shadow page, and the guest reads
 * them without waking us.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "virtio_mmio.h"

#define VIRTIO_MMIO_MAGIC	0x74726976	/* "virt" */
#define VIRTIO_MMIO_VENDOR	0x54524f50	/* "PORT" */

/**
 * virtio_mmio_show() - a register's new value
 * @vm: the registers
 * @off: register
 * @val: value
 */
void virtio_mmio_show(struct virtio_mmio *vm, uint32_t off, uint32_t val)
{
	if (vm->env->region)
		portal_region_write32(vm->env->region, off, val);
}

/**
 * virtio_mmio_interrupt() - raise the device's interrupt
 * @vm: the registers
 * @bit: of InterruptStatus
 * @force: even if the bit is set: an earlier worker may have died in between
 *
 * What the driver is to see was written before; portal_region_or32() is a full
 * barrier. If the bit is set already, the driver has an interrupt and will
 * acknowledge it after this moment; it looks at the queues after that, so it
 * finds everything.
 */
void virtio_mmio_interrupt(struct virtio_mmio *vm, uint32_t bit, bool force)
{
	uint64_t one = 1;
	ssize_t n;

	if (!vm->env->region)
		return;
	if (portal_region_or32(vm->env->region, VIRTIO_MMIO_INTERRUPT_STATUS, bit) & bit &&
	    !force)
		return;
	if (vm->env->irqfd < 0)
		return;		/* a driver that polls */
	vm->interrupts++;
	do {
		n = write(vm->env->irqfd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

/**
 * virtio_mmio_show_device_features() - DeviceFeatures, as selected
 * @vm: the registers
 */
void virtio_mmio_show_device_features(struct virtio_mmio *vm)
{
	uint32_t sel = vm->st->device_features_sel;

	virtio_mmio_show(vm, VIRTIO_MMIO_DEVICE_FEATURES,
			 sel < 2 ? (uint32_t)(vm->dev.features >> (32 * sel)) : 0);
}

/**
 * virtio_mmio_show_queue() - the registers of the selected queue
 * @vm: the registers
 */
void virtio_mmio_show_queue(struct virtio_mmio *vm)
{
	uint32_t sel = vm->st->queue_sel;
	bool there = sel < vm->dev.nr_queues;

	virtio_mmio_show(vm, VIRTIO_MMIO_QUEUE_NUM_MAX, there ? VIRTQUEUE_NUM_MAX : 0);
	virtio_mmio_show(vm, VIRTIO_MMIO_QUEUE_READY, there ? vm->st->vq[sel].ready : 0);
}

/**
 * virtio_mmio_show_config() - the configuration space as it is in dev.config
 * @vm: the registers
 *
 * For what the driver asked for itself; see virtio_mmio_config_changed().
 */
void virtio_mmio_show_config(struct virtio_mmio *vm)
{
	const char *config = vm->dev.config;
	uint32_t off, word;
	uint64_t dword;

	if (!vm->env->region)
		return;
	/* By 8 bytes, so that no reader sees half of a 64-bit capacity. */
	for (off = 0; off + 8 <= vm->dev.config_len; off += 8) {
		memcpy(&dword, config + off, 8);
		portal_region_write64(vm->env->region, VIRTIO_MMIO_CONFIG + off, dword);
	}
	for (; off < vm->dev.config_len; off += 4) {
		uint32_t n = vm->dev.config_len - off;

		word = 0;
		memcpy(&word, config + off, n < 4 ? n : 4);
		virtio_mmio_show(vm, VIRTIO_MMIO_CONFIG + off, word);
	}
}

/**
 * virtio_mmio_show_all() - every register but InterruptStatus
 * @vm: the registers
 *
 * That one is not ours alone: the guest's ACK clears bits of it.
 */
void virtio_mmio_show_all(struct virtio_mmio *vm)
{
	virtio_mmio_show(vm, VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_MAGIC);
	virtio_mmio_show(vm, VIRTIO_MMIO_VERSION, 2);
	virtio_mmio_show(vm, VIRTIO_MMIO_DEVICE_ID, vm->dev.device_id);
	virtio_mmio_show(vm, VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VENDOR);
	/* No shared memory region, whatever is selected. */
	virtio_mmio_show(vm, VIRTIO_MMIO_SHM_LEN_LOW, ~0U);
	virtio_mmio_show(vm, VIRTIO_MMIO_SHM_LEN_HIGH, ~0U);
	virtio_mmio_show(vm, VIRTIO_MMIO_SHM_BASE_LOW, ~0U);
	virtio_mmio_show(vm, VIRTIO_MMIO_SHM_BASE_HIGH, ~0U);
	virtio_mmio_show(vm, VIRTIO_MMIO_CONFIG_GENERATION, vm->st->config_generation);
	virtio_mmio_show_config(vm);
	virtio_mmio_show_device_features(vm);
	virtio_mmio_show_queue(vm);
	virtio_mmio_show(vm, VIRTIO_MMIO_STATUS, vm->st->status);
}

/**
 * virtio_mmio_config_changed() - show the driver dev.config as it is now
 * @vm: the registers
 *
 * The generation changes before and after, so a driver that reads it around its
 * own reads sees a difference. Who reads all of it between the two does not, and
 * may have half of a 64-bit member; it gets the interrupt and reads again, even if
 * it was not ready for one yet: see write_status().
 */
void virtio_mmio_config_changed(struct virtio_mmio *vm)
{
	if (!vm->env->region)
		return;
	virtio_mmio_show(vm, VIRTIO_MMIO_CONFIG_GENERATION, ++vm->st->config_generation);
	virtio_mmio_show_config(vm);
	virtio_mmio_show(vm, VIRTIO_MMIO_CONFIG_GENERATION, ++vm->st->config_generation);
	if (vm->st->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_CONFIG, false);
}

/**
 * virtio_mmio_config_differs() - is dev.config another one than is shown?
 * @vm: the registers
 *
 * The medium may have another size than when the earlier worker died.
 */
bool virtio_mmio_config_differs(const struct virtio_mmio *vm)
{
	const char *config = vm->dev.config;
	uint32_t off, word;

	for (off = 0; off + 4 <= vm->dev.config_len; off += 4) {
		memcpy(&word, config + off, 4);
		if (portal_region_read32(vm->env->region, VIRTIO_MMIO_CONFIG + off) != word)
			return true;
	}
	return false;
}
