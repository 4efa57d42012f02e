/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_fake.h - a guest without a guest: RAM, registers, and a driver's half
 * of a virtqueue, for the tests of the virtio front end
 *
 * Everything is in shared memory, so a test may fork a device and kill it. To
 * be included by one .c file per program: it defines libportal's functions.
 */
#ifndef VIRTIO_FAKE_H
#define VIRTIO_FAKE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_ring.h>
#include <kvmportal/portal.h>

#define MAYBE_UNUSED	__attribute__((unused))

/*
 * Two windows that touch in the guest but not here, a hole, and a window that
 * appears when somebody refreshes.
 */
#define RAM0_GPA	0x0ULL
#define RAM1_GPA	0x100000ULL
#define RAM_LEN		0x100000ULL
#define HOLE_GPA	0x200000ULL
#define LATE_GPA	0x100000000ULL
#define LATE_LEN	0x10000ULL

struct window {
	uint64_t gpa;
	uint64_t len;
	uint8_t *va;
	bool hidden;
};

struct portal_mem {
	struct window w[3];
	unsigned int refreshes;
	bool late;		/* the next refresh shows the third window */
};

struct portal_region {
	uint8_t *shadow;
	uint32_t size;
	unsigned int writes;
};

static MAYBE_UNUSED void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

void *portal_mem_at(const struct portal_mem *mem, uint64_t gpa, size_t len)
{
	int i;

	for (i = 0; i < 3; i++) {
		const struct window *w = &mem->w[i];

		if (!w->hidden && gpa >= w->gpa && gpa - w->gpa < w->len &&
		    len <= w->len - (gpa - w->gpa))
			return w->va + (gpa - w->gpa);
	}
	return NULL;
}

int portal_mem_refresh(struct portal_mem *mem)
{
	mem->refreshes++;
	if (!mem->late || !mem->w[2].hidden)
		return 0;
	mem->w[2].hidden = false;
	return 1;
}

static MAYBE_UNUSED struct portal_mem *mem_new(void)
{
	struct portal_mem *mem = calloc(1, sizeof(*mem));

	mem->w[0] = (struct window){ RAM0_GPA, RAM_LEN, shared(RAM_LEN), false };
	mem->w[1] = (struct window){ RAM1_GPA, RAM_LEN, shared(RAM_LEN), false };
	mem->w[2] = (struct window){ LATE_GPA, LATE_LEN, shared(LATE_LEN), true };
	return mem;
}

static MAYBE_UNUSED void mem_free(struct portal_mem *mem)
{
	int i;

	for (i = 0; i < 3; i++)
		munmap(mem->w[i].va, mem->w[i].len);
	free(mem);
}

uint32_t portal_region_shadow_size(const struct portal_region *region)
{
	return region->size;
}

uint32_t portal_region_read32(const struct portal_region *region, uint32_t off)
{
	return __atomic_load_n((uint32_t *)(region->shadow + off), __ATOMIC_SEQ_CST);
}

void portal_region_write32(struct portal_region *region, uint32_t off, uint32_t val)
{
	region->writes++;
	__atomic_store_n((uint32_t *)(region->shadow + off), val, __ATOMIC_SEQ_CST);
}

void portal_region_write64(struct portal_region *region, uint32_t off, uint64_t val)
{
	__atomic_store_n((uint64_t *)(region->shadow + off), val, __ATOMIC_SEQ_CST);
}

uint32_t portal_region_or32(struct portal_region *region, uint32_t off, uint32_t bits)
{
	return __atomic_fetch_or((uint32_t *)(region->shadow + off), bits, __ATOMIC_SEQ_CST);
}

static MAYBE_UNUSED struct portal_region *region_new(void)
{
	struct portal_region *region = calloc(1, sizeof(*region));

	region->size = 4096;
	region->shadow = shared(region->size);
	return region;
}

static MAYBE_UNUSED void region_free(struct portal_region *region)
{
	munmap(region->shadow, region->size);
	free(region);
}

/* ---- the driver's half of a virtqueue ----------------------------------- */

#define DRV_DESC	0x1000ULL
#define DRV_AVAIL	0x4000ULL
#define DRV_USED	0x6000ULL
#define DRV_DATA	0x10000ULL	/* above: for buffers */

struct drv {
	struct portal_mem *mem;
	struct vring vr;
	uint16_t last_used;
};

static MAYBE_UNUSED void *at(struct drv *d, uint64_t gpa)
{
	void *p = portal_mem_at(d->mem, gpa, 1);

	assert_non_null(p);
	return p;
}

static MAYBE_UNUSED void drv_init_at(struct drv *d, struct portal_mem *mem, unsigned int num,
				     uint64_t desc, uint64_t avail, uint64_t used)
{
	d->mem = mem;
	d->last_used = 0;
	d->vr.num = num;
	d->vr.desc = at(d, desc);
	d->vr.avail = at(d, avail);
	d->vr.used = at(d, used);
	memset(d->vr.desc, 0, num * sizeof(*d->vr.desc));
	memset(d->vr.avail, 0, 6 + 2 * num);
	memset(d->vr.used, 0, 6 + 8 * num);
}

static MAYBE_UNUSED void drv_init(struct drv *d, struct portal_mem *mem, unsigned int num)
{
	drv_init_at(d, mem, num, DRV_DESC, DRV_AVAIL, DRV_USED);
}

static MAYBE_UNUSED void drv_desc(struct drv *d, unsigned int i, uint64_t gpa, uint32_t len,
				  uint16_t flags, uint16_t next)
{
	d->vr.desc[i] = (struct vring_desc){ gpa, len, flags, next };
}

static MAYBE_UNUSED void drv_avail(struct drv *d, uint16_t head)
{
	uint16_t idx = d->vr.avail->idx;

	d->vr.avail->ring[idx & (d->vr.num - 1)] = head;
	__atomic_store_n(&d->vr.avail->idx, (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
}

/* The next used element, or false. */
static MAYBE_UNUSED bool drv_used(struct drv *d, uint32_t *head, uint32_t *len)
{
	struct vring_used_elem *e;

	*head = ~0U;
	if (__atomic_load_n(&d->vr.used->idx, __ATOMIC_SEQ_CST) == d->last_used)
		return false;
	e = &d->vr.used->ring[d->last_used++ & (d->vr.num - 1)];
	*head = e->id;
	if (len)
		*len = e->len;
	return true;
}

#endif /* VIRTIO_FAKE_H */
