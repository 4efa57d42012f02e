/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * region.c - device registers and their shadow page
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "barrier.h"
#include "internal.h"

struct portal_region {
	struct portal_vm *vm;
	uint32_t id;
	uint32_t size;
	uint64_t off;
	unsigned char *shadow;
};

static int region_map(struct portal_vm *vm, int fd, uint32_t region_id, uint64_t shadow_off,
		      uint32_t shadow_size, struct portal_region **region)
{
	struct portal_region *new = malloc(sizeof(*new));

	if (!new)
		return -ENOMEM;
	*new = (struct portal_region){
		.vm = vm, .id = region_id, .off = shadow_off, .size = shadow_size,
	};
	new->shadow = mmap(NULL, shadow_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   (off_t)shadow_off);
	if (new->shadow == MAP_FAILED) {
		int err = -errno;

		free(new);
		return err;
	}
	*region = new;
	return 0;
}

int portal_region_map(struct portal_vm *vm, uint32_t region_id, uint64_t shadow_off,
		      uint32_t shadow_size, struct portal_region **region)
{
	return region_map(vm, vm->fd, region_id, shadow_off, shadow_size, region);
}

int portal_region_map_fd(int queue_fd, uint32_t region_id, uint64_t shadow_off,
			 uint32_t shadow_size, struct portal_region **region)
{
	return region_map(NULL, queue_fd, region_id, shadow_off, shadow_size, region);
}

int portal_region_add(struct portal_vm *vm, uint32_t queue_id, uint64_t gpa, uint64_t len,
		      const struct portal_region_range *ranges, uint32_t nr,
		      const struct portal_region_opts *opts, struct portal_region **region)
{
	struct portal_region_add arg;
	struct portal_region_opts o;
	int err;

	err = portal_opts_copy(&o, sizeof(o), opts);
	if (err)
		return err;
	arg = PORTAL_ARG(portal_region_add,
			 .bus = o.bus,
			 .queue_id = queue_id,
			 .gpa = gpa,
			 .len = len,
			 .cookie = o.cookie,
			 .timeout_ns = o.timeout_ns,
			 .timeout_value = o.timeout_value,
			 .on_timeout = o.on_timeout,
			 .policy = o.policy,
			 .ranges_uptr = ptr_to_u64(ranges),
			 .nr_ranges = nr,
			 .filters_uptr = ptr_to_u64(o.filters),
			 .queues_uptr = ptr_to_u64(o.queues),
			 .nr_filters = o.nr_filters,
			 .nr_queues = o.nr_queues);
	err = portal_ioctl(vm->fd, PORTAL_REGION_ADD, &arg);
	if (err < 0)
		return err;
	err = portal_region_map(vm, arg.out_region_id, arg.out_shadow_off,
				arg.out_shadow_size, region);
	if (err)
		portal_id_ioctl(vm->fd, PORTAL_REGION_DEL, arg.out_region_id);
	return err;
}

int portal_region_get_info(struct portal_vm *vm, uint32_t region_id,
			   struct portal_target_info *info, uint64_t *hits, uint32_t nr)
{
	return portal_target_ioctl(vm->fd, PORTAL_REGION_INFO, region_id, info, hits, nr);
}

uint32_t portal_region_id(const struct portal_region *region)
{
	return region->id;
}

uint64_t portal_region_shadow_off(const struct portal_region *region)
{
	return region->off;
}

uint32_t portal_region_shadow_size(const struct portal_region *region)
{
	return region->size;
}

void *portal_region_shadow(const struct portal_region *region)
{
	return region->shadow;
}

/* NULL unless @off is a register of @len bytes: aligned and in the shadow. */
static void *reg(const struct portal_region *region, uint32_t off, uint32_t len)
{
	if (off % len || region->size < len || off > region->size - len)
		return NULL;
	return region->shadow + off;
}

uint32_t portal_region_read32(const struct portal_region *region, uint32_t off)
{
	const uint32_t *p = reg(region, off, sizeof(*p));

	return p ? load_acquire(p) : 0;
}

void portal_region_write32(struct portal_region *region, uint32_t off, uint32_t val)
{
	uint32_t *p = reg(region, off, sizeof(*p));

	if (p)
		store_release(p, val);
}

void portal_region_write64(struct portal_region *region, uint32_t off, uint64_t val)
{
	uint64_t *p = reg(region, off, sizeof(*p));

	if (p)
		store_release(p, val);
}

uint32_t portal_region_or32(struct portal_region *region, uint32_t off, uint32_t bits)
{
	uint32_t *p = reg(region, off, sizeof(*p));

	return p ? __atomic_fetch_or(p, bits, __ATOMIC_SEQ_CST) : 0;
}

uint32_t portal_region_take(struct portal_region *region, uint32_t aux)
{
	uint32_t *p = reg(region, aux, sizeof(*p));

	return p ? __atomic_exchange_n(p, 0, __ATOMIC_SEQ_CST) : 0;
}

int portal_region_del(struct portal_region *region)
{
	int err = -EPERM;

	if (region->vm)
		err = portal_id_ioctl(region->vm->fd, PORTAL_REGION_DEL, region->id);

	portal_region_unmap(region);
	return err;
}

void portal_region_unmap(struct portal_region *region)
{
	if (!region)
		return;
	munmap(region->shadow, region->size);
	free(region);
}
