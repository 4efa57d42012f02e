// SPDX-License-Identifier: GPL-2.0-only
/* What a request costs at queue depth 32: system calls, interrupts, no allocation. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"

#define DEPTH		32U
#define REQUESTS	32000U
#define ROOM(i)		(DRV_DATA + (uint64_t)(i) * 0x2000)

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
static uint64_t allocations;

void *malloc(size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_calloc(nr, size);
}
#else
static const uint64_t allocations = 1;	/* the sanitizer's malloc() stays */
#endif

/* A guest's driver with event indices, on another CPU than the worker. */
struct guest {
	uint64_t done, notifications, irqs, allocations;
	uint32_t type;
};

/* Request @i is one indirect descriptor: table, header, status and data in its room. */
static void add(struct world *w, uint32_t type, unsigned int i, uint64_t sector)
{
	struct vring_desc *t = at(&w->d, ROOM(i));
	struct virtio_blk_outhdr *hdr = at(&w->d, ROOM(i) + 0x100);

	*hdr = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	t[0] = (struct vring_desc){ ROOM(i) + 0x100, 16, VRING_DESC_F_NEXT, 1 };
	t[1] = (struct vring_desc){ ROOM(i) + 0x1000, 4096, VRING_DESC_F_NEXT |
				    (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0), 2 };
	t[2] = (struct vring_desc){ ROOM(i) + 0x200, 1, VRING_DESC_F_WRITE, 0 };
	drv_desc(&w->d, i, ROOM(i), sizeof(*t) * 3, VRING_DESC_F_INDIRECT, 0);
	drv_avail(&w->d, (uint16_t)i);
}

/* As virtqueue_kick_prepare(): what was added since @old. */
static void notify(struct world *w, struct guest *g, uint16_t old)
{
	if (!vring_need_event(vring_avail_event(&w->d.vr), w->d.vr.avail->idx, old))
		return;
	g->notifications++;
	kick(w);
}

/* The interrupt handler; each request that ended makes the next one. */
static void interrupt(struct world *w, struct guest *g)
{
	uint16_t old = w->d.vr.avail->idx;
	uint32_t head;

	g->irqs++;
	portal_region_write32(w->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	while (drv_used(&w->d, &head, NULL)) {
		g->done++;
		assert_int_equal(*(uint8_t *)at(&w->d, ROOM(head) + 0x200), VIRTIO_BLK_S_OK);
		add(w, g->type, head, (uint64_t)random() % (DISK_SECTORS / 8) * 8);
	}
	vring_used_event(&w->d.vr) = w->d.last_used;
	notify(w, g, old);
}

static void run(struct world *w, struct guest *g)
{
	unsigned int i;

	/* as many as the worker's has */
	worker_stop(w);
	w->ring_entries = 256;
	worker_start(w, &plugin, false);
	driver_start(w, FEATURES | F_INDIRECT | F_EVENT);
	irqs(w);
	w->waits = 0;
	((struct virtio_mmio *)w->fe)->interrupts = 0;
	g->allocations = allocations;
	assert_true(allocations);		/* they are counted */
	for (i = 0; i < DEPTH; i++)
		add(w, g->type, i, i * 8);
	notify(w, g, 0);
	while (g->done < REQUESTS) {
		if (irqs(w))
			interrupt(w, g);
		else
			world_wait(&w->env);
	}
	assert_int_equal(((struct virtio_mmio *)w->fe)->interrupts, g->irqs);
	assert_int_equal(allocations, g->allocations);
	assert_int_equal(messages, 0);
}

static void report(struct world *w, const struct guest *g, const char *what)
{
	double n = (double)g->done;

	print_message("%s of 4 KiB at depth %u, each: %.3f system calls (%.3f waits, ", what, DEPTH,
		      (double)(w->waits + g->irqs) / n, (double)w->waits / n);
	print_message("%.3f interrupts), %.3f notifications\n", (double)g->irqs / n,
		      (double)g->notifications / n);
}

/* From the page cache: a round's requests are one submission and one interrupt. */
static void reads_share_system_calls(void **state)
{
	struct guest g = { .type = VIRTIO_BLK_T_IN };
	struct world *w = *state;

	run(w, &g);
	report(w, &g, "reads");
	assert_true((w->waits + g.irqs) * 5 <= g.done);
	assert_true(g.notifications * 10 <= g.done);
}

/* A file system that can't write without waiting ends them one by one. */
static void writes_do_not_need_more_than_they_must(void **state)
{
	struct guest g = { .type = VIRTIO_BLK_T_OUT };
	struct world *w = *state;

	run(w, &g);
	report(w, &g, "writes");
	assert_true(w->waits + g.irqs <= 2 * g.done);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_file, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_share_system_calls),
		T(writes_do_not_need_more_than_they_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
