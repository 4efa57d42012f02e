// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk_config.c - what a virtio block device says of itself
 *
 * All of it follows from the medium, but for the write cache: the driver turns
 * that off and on, and it stays so over restarts of the worker.
 */
#include <endian.h>
#include <string.h>
#include "virtio_blk.h"

#define OFF_WCE		offsetof(struct virtio_blk_config, wce)

/* When the store retires each later write is a write-through one. */
const struct portal_region_range virtio_blk_ranges[VIRTIO_BLK_NR_RANGES] = {
	VIRTIO_MMIO_RANGES,
	VIRTIO_MMIO_RANGE(VIRTIO_MMIO_CONFIG + OFF_WCE, 1, SYNC),
};

static struct virtio_blk_state *state(const struct virtio_blk *dev)
{
	return dev->env->state;
}

void virtio_blk_set_capacity(struct virtio_blk *dev)
{
	dev->config.capacity = htole64(block_info(dev->blk)->size >> SECTOR_SHIFT);
}

static void set_wce(struct virtio_blk *dev, bool on)
{
	state(dev)->wce = on;
	dev->config.wce = on;
}

/* Sizes here are in logical blocks. */
static void set_topology(struct virtio_blk *dev, const struct backend_info *info)
{
	uint32_t blocks = info->physical / info->logical;

	dev->config.blk_size = htole32(info->logical);
	dev->config.physical_block_exp = (uint8_t)__builtin_ctz(blocks);
	dev->config.min_io_size = htole16(blocks > UINT16_MAX ? 0 : (uint16_t)blocks);
}

static void set_ranges(struct virtio_blk *dev, const struct backend_info *info)
{
	struct virtio_blk_config *c = &dev->config;

	if (info->discard) {
		c->max_discard_sectors = htole32(VIRTIO_BLK_RANGE_MAX);
		c->max_discard_seg = htole32(VIRTIO_BLK_RANGES_MAX);
		c->discard_sector_alignment = htole32(info->physical >> SECTOR_SHIFT);
	}
	/* The block layer writes them if the backend can't. */
	c->max_write_zeroes_sectors = htole32(info->zero ? VIRTIO_BLK_RANGE_MAX :
							   VIRTIO_BLK_ZERO_MAX);
	c->max_write_zeroes_seg = htole32(VIRTIO_BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = info->zero;
}

/**
 * virtio_blk_set_config() - fill the configuration space
 * @dev: the device
 *
 * Return: the features to offer.
 */
uint64_t virtio_blk_set_config(struct virtio_blk *dev)
{
	const struct backend_info *info = block_info(dev->blk);
	uint32_t queues = dev->env->queues;
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_RING_RESET |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			    1ULL << VIRTIO_RING_F_EVENT_IDX |
			    1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |
			    1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_TOPOLOGY;

	/* A driver takes as many as it has CPUs. */
	if (!queues || queues > VIRTIO_MMIO_QUEUES_MAX)
		queues = VIRTIO_MMIO_QUEUES_MAX;
	virtio_blk_set_capacity(dev);
	dev->config.size_max = htole32(BLOCK_IO_BYTES);
	dev->config.seg_max = htole32(VIRTIO_BLK_SEG_MAX);
	dev->config.num_queues = htole16((uint16_t)queues);
	set_topology(dev, info);
	if (queues > 1)
		features |= 1ULL << VIRTIO_BLK_F_MQ;
	if (info->flush)
		features |= 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_CONFIG_WCE;
	if (!info->writable)
		return features | 1ULL << VIRTIO_BLK_F_RO;
	set_ranges(dev, info);
	if (info->discard)
		features |= 1ULL << VIRTIO_BLK_F_DISCARD;
	return features | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

/* Features were negotiated, or forgotten. Who can't flush begins without a cache. */
void virtio_blk_configure(void *arg)
{
	struct virtio_blk *dev = arg;
	bool on = block_info(dev->blk)->flush;

	if (virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_CONFIG_WCE))
		on = virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_FLUSH);
	set_wce(dev, on);
}

/* An earlier worker's driver goes on. */
void virtio_blk_restore_config(struct virtio_blk *dev)
{
	set_wce(dev, state(dev)->wce & 1);
}

/*
 * A driver that turns the cache off never flushes again, so what is in it has to
 * be on the medium first. If that fails the driver reads that it is still on.
 */
void virtio_blk_config_write(void *arg, uint32_t offset, uint32_t len, uint64_t value)
{
	struct virtio_blk *dev = arg;
	bool on = value & 0xff;

	if (offset != OFF_WCE || len != 1 || !virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	if (dev->config.wce && !on && virtio_blk_flush_cache(dev))
		return;
	set_wce(dev, on);
	virtio_mmio_show_config(&dev->vm);
}

bool virtio_blk_write_through(const struct virtio_blk *dev)
{
	if (virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_CONFIG_WCE))
		return !dev->config.wce;
	/* Who can't flush has no cache. */
	return !virtio_mmio_has(&dev->vm, VIRTIO_BLK_F_FLUSH);
}
