// SPDX-License-Identifier: GPL-2.0-only
/* A driver that changes everything while it is read, and other attacks. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
/* LINK: -lpthread */
#include "virtio_world.h"
#include <pthread.h>
#include <time.h>
#include "virtio_blk.h"

#define NEXT		VRING_DESC_F_NEXT
#define WRITE		VRING_DESC_F_WRITE
#define INDIRECT	VRING_DESC_F_INDIRECT
#define ALL		(FEATURES | F_INDIRECT | F_EVENT | F_DISCARD | F_ZEROES | F_WCE)
#define FLIPS		30000U
#define CHANGES		300U

static struct world *the_world;
static bool stop_flipping;
/* A sector, if that is the only one a request may reach. */
static uint64_t only_sector = ~0ULL;

static unsigned int unchecked;

static bool in_ram(const struct iovec *iov)
{
	const uint8_t *p = iov->iov_base;
	int w;

	for (w = 0; w < 3; w++) {
		const struct window *win = &the_world->mem->w[w];

		if (!win->hidden && p >= win->va && p + iov->iov_len <= win->va + win->len)
			return true;
	}
	return false;
}

/* What reaches the plugin was checked, whatever guest memory says by now. */
static void check_io(struct portal_io *io)
{
	uint64_t sum = 0;
	bool ok = true;
	uint32_t i;

	ok &= io->offset <= DISK_SIZE && io->len <= DISK_SIZE - io->offset;
	ok &= (io->offset | io->len) % 512 == 0;
	ok &= only_sector == ~0ULL || io->offset == only_sector * 512;
	for (i = 0; i < io->iovcnt; i++) {
		ok &= in_ram(&io->iov[i]);
		sum += io->iov[i].iov_len;
	}
	ok &= (io->op != PORTAL_IO_READ && io->op != PORTAL_IO_WRITE) || sum == io->len;
	/* no assertion here: it would leave the request behind */
	unchecked += !ok;
}

static int setup(void **state)
{
	setup_ram(state);
	the_world = *state;
	worker_stop(the_world);
	ram.can_discard = true;
	ram.can_zero = true;
	ram.on_submit = check_io;
	unchecked = 0;
	worker_start(the_world, &ram_plugin, false);
	return 0;
}

/* ---- what does not change ------------------------------------------------- */

static void refuses_more_than_4_gib(void **state)
{
	struct world *w = *state;
	unsigned int i, n = QNUM - 2;
	uint32_t head;

	driver_start(w, ALL);
	for (i = 0; i < 2; i++) {
		unsigned int k;

		slot_header(w, 0, i ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0);
		drv_desc(&w->d, 0, SLOT_HDR(0), 16, NEXT, 1);
		/* modulo 2^32 it is 512 */
		for (k = 1; k <= n; k++)
			drv_desc(&w->d, k, SLOT_DATA(1), k < n ? 0xffffff00 : 512 + 256 * (n - 1),
				 NEXT | (i ? 0 : WRITE), (uint16_t)(k + 1));
		drv_desc(&w->d, k, SLOT_STATUS(0), 1, WRITE, 0);
		drv_avail(&w->d, 0);
		kick(w);
		assert_true(drv_used(&w->d, &head, NULL));
		assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(ram.started, 0);
	assert_false(stopped(w));
}

static void refuses_what_is_not_ram(void **state)
{
	/* in the device's own registers, below and above RAM, at the end of all */
	static const uint64_t gpas[] = {
		0xd0000000, 0xd0000100, HOLE_GPA, HOLE_GPA - 511, LATE_GPA, LATE_GPA - 1,
		1ULL << 52, ~0ULL - 512, ~0ULL,
	};
	struct world *w = *state;
	size_t i;

	driver_start(w, ALL);
	for (i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++) {
		slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
		drv_desc(&w->d, 1, gpas[i], 512, NEXT | WRITE, 2);
		finish_one(w, 0);
		assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);
		slot_add(w, 0, VIRTIO_BLK_T_DISCARD, 0, 16);
		drv_desc(&w->d, 1, gpas[i], 512, NEXT, 2);
		finish_one(w, 0);
		assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(ram.started, 0);
	assert_false(stopped(w));
}

static void expect_stop(struct world *w)
{
	kick(w);
	assert_true(stopped(w));
	assert_int_equal(ram.started, 0);
	driver_start(w, ALL);
}

static void stops_at_loops(void **state)
{
	struct world *w = *state;
	struct vring_desc *t;

	driver_start(w, ALL);
	t = at(&w->d, SLOT_DATA(1));
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, NEXT | WRITE, 1);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, 2, SLOT_STATUS(0), 1, NEXT | WRITE, 0);
	expect_stop(w);
	/* in a table, a table in a table, and one that is the descriptor table */
	t[0] = (struct vring_desc){ SLOT_HDR(0), 16, NEXT, 1 };
	t[1] = (struct vring_desc){ SLOT_DATA(0), 512, NEXT | WRITE, 0 };
	drv_desc(&w->d, 0, SLOT_DATA(1), 32, INDIRECT, 0);
	drv_avail(&w->d, 0);
	expect_stop(w);
	t[1] = (struct vring_desc){ SLOT_DATA(1), 32, INDIRECT, 0 };
	drv_desc(&w->d, 0, SLOT_DATA(1), 32, INDIRECT, 0);
	drv_avail(&w->d, 0);
	expect_stop(w);
	drv_desc(&w->d, 0, DRV_DESC, 16 * QNUM, INDIRECT, 0);
	drv_avail(&w->d, 0);
	expect_stop(w);
}

/* Data over the rings, the status byte over the header: it hurts only itself. */
static void buffers_may_lie_on_its_own_rings(void **state)
{
	static const uint64_t gpas[] = { DRV_DESC, DRV_AVAIL, DRV_USED, SLOT_HDR(0) };
	struct world *w = *state;
	uint32_t head;
	size_t i;
	int byte;

	for (i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++) {
		for (byte = 0; byte < 256; byte += 51) {
			driver_start(w, ALL);
			memset(ram.data, byte, DISK_SIZE);
			slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 4096);
			drv_desc(&w->d, 1, gpas[i], 4096, NEXT | WRITE, 2);
			slot_add(w, 1, VIRTIO_BLK_T_IN, 0, 512);
			slot_add(w, 2, VIRTIO_BLK_T_OUT, 0, 512);
			kick(w);
			kick(w);
		}
		driver_start(w, ALL);
		slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
		drv_desc(&w->d, 2, gpas[i], 1, WRITE, 0);
		kick(w);
		while (drv_used(&w->d, &head, NULL))
			;
	}
	driver_start(w, ALL);
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
}

static void any_used_event_is_bearable(void **state)
{
	struct world *w = *state;
	uint64_t sent = 0;
	unsigned int i;

	srandom(8);
	driver_start(w, ALL);
	irqs(w);
	for (i = 0; i < 70000; i++) {
		vring_used_event(&w->d.vr) = (uint16_t)random();
		portal_region_write32(w->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
		assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	}
	sent = irqs(w);
	/* one in 65536 is the right one */
	assert_true(sent <= 30);
	/* and the right one still gets it */
	portal_region_write32(w->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	vring_used_event(&w->d.vr) = w->d.vr.used->idx;
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(irqs(w), 1);
}

/* ---- what changes while it is read ---------------------------------------- */

/* A word of guest memory with one good value and some bad ones. */
struct flip {
	void *p;
	unsigned int bytes;
	uint64_t good;
	uint64_t bad[3];
};

static struct flip flips[QNUM];
static unsigned int nr_flips;

static void flip_add(void *p, unsigned int bytes, uint64_t good, uint64_t bad0, uint64_t bad1,
		     uint64_t bad2)
{
	flips[nr_flips++] = (struct flip){ p, bytes, good, { bad0, bad1, bad2 } };
}

static void flip_store(const struct flip *f, uint64_t val)
{
	switch (f->bytes) {
	case 2:
		__atomic_store_n((uint16_t *)f->p, (uint16_t)val, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)f->p, (uint32_t)val, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)f->p, val, __ATOMIC_RELAXED);
	}
}

static void *flipper(void *arg)
{
	uint64_t x = 88172645463325252ULL;
	unsigned int i, wait;

	(void)arg;
	while (!__atomic_load_n(&stop_flipping, __ATOMIC_RELAXED)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		i = (unsigned int)(x >> 40) % nr_flips;
		flip_store(&flips[i], flips[i].bad[(x >> 20) % 3]);
		for (wait = x & 63; wait; wait--)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
		flip_store(&flips[i], flips[i].good);
	}
	return NULL;
}

/*
 * Requests of this kind while another CPU flips: until the outcome has changed
 * from one to the next a few times, or it was no other CPU at all.
 */
static void race(struct world *w, uint32_t type, uint32_t len)
{
	unsigned int i, good = 0, bad = 0, stops = 0, changes = 0, last = 0;
	time_t end = time(NULL) + 5;
	pthread_t thread;
	uint32_t head;

	stop_flipping = false;
	assert_int_equal(pthread_create(&thread, NULL, flipper, NULL), 0);
	do {
		for (i = 0; i < FLIPS; i++) {
			*(uint8_t *)at(&w->d, SLOT_STATUS(0)) = 0xaa;
			/* all entries of the ring are 0, if nobody flips them */
			__atomic_store_n(&w->d.vr.avail->idx, w->d.vr.avail->idx + 1,
					 __ATOMIC_SEQ_CST);
			kick(w);
			if (stopped(w)) {
				stops++;
				driver_start(w, ALL);
				slot_add(w, 0, type, 4, len);
				w->d.vr.avail->idx = 0;
				continue;
			}
			while (drv_used(&w->d, &head, NULL))
				assert_int_equal(head, 0);
			if (slot_status(w, 0) == VIRTIO_BLK_S_OK)
				good++;
			else
				bad++;
			changes += slot_status(w, 0) != last;
			last = slot_status(w, 0);
		}
	} while (changes + stops < CHANGES && time(NULL) < end);
	stop_flipping = true;
	pthread_join(thread, NULL);
	nr_flips = 0;
	only_sector = ~0ULL;
	assert_int_equal(unchecked, 0);
	driver_start(w, ALL);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	print_message("%u right, %u wrong, %u stops, %u changes\n", good, bad, stops, changes);
	if (changes + stops < CHANGES) {
		print_message("no other CPU was there to flip\n");
		skip();
	}
}

/* The request in slot 0, made but not yet put into the ring. */
static void prepare(struct world *w, uint32_t type, uint32_t len)
{
	driver_start(w, ALL);
	slot_add(w, 0, type, 4, len);
	w->d.vr.avail->idx = 0;
}

static void the_header_is_read_once(void **state)
{
	struct world *w = *state;
	struct virtio_blk_outhdr *hdr;

	prepare(w, VIRTIO_BLK_T_OUT, 512);
	hdr = at(&w->d, SLOT_HDR(0));
	only_sector = 4;
	flip_add(&hdr->sector, 8, 4, DISK_SECTORS, ~0ULL, 1ULL << 55);
	flip_add(&hdr->type, 4, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_DISCARD, 99);
	race(w, VIRTIO_BLK_T_OUT, 512);
}

static void descriptors_are_read_once(void **state)
{
	struct world *w = *state;
	struct vring_desc *d;

	prepare(w, VIRTIO_BLK_T_IN, 512);
	d = &w->d.vr.desc[1];
	flip_add(&d->addr, 8, SLOT_DATA(0), HOLE_GPA, HOLE_GPA - 256, ~0ULL);
	flip_add(&d->len, 4, 512, 513, 0xfffffe00, 0);
	flip_add(&d->flags, 2, NEXT | WRITE, NEXT, WRITE, INDIRECT);
	flip_add(&d->next, 2, 2, 0, 1, 0xffff);
	flip_add(&w->d.vr.desc[0].len, 4, 16, 15, 0, ~0U);
	flip_add(&w->d.vr.desc[2].addr, 8, SLOT_STATUS(0), SLOT_STATUS(0) + 1, HOLE_GPA, ~0ULL);
	race(w, VIRTIO_BLK_T_IN, 512);
}

static void ranges_are_read_once(void **state)
{
	struct world *w = *state;
	struct virtio_blk_discard_write_zeroes *r;

	prepare(w, VIRTIO_BLK_T_WRITE_ZEROES, 2 * sizeof(*r));
	only_sector = 4;
	r = at(&w->d, SLOT_DATA(0));
	r[0] = r[1] = (struct virtio_blk_discard_write_zeroes){ .sector = 4, .num_sectors = 1 };
	flip_add(&r[0].sector, 8, 4, DISK_SECTORS, ~0ULL, 1ULL << 55);
	flip_add(&r[1].num_sectors, 4, 1, DISK_SECTORS, ~0U, 1U << 23);
	flip_add(&r[1].flags, 4, 0, 2, ~0U, 1U << 31);
	race(w, VIRTIO_BLK_T_WRITE_ZEROES, 2 * sizeof(*r));
}

static void the_available_ring_is_read_once(void **state)
{
	struct world *w = *state;
	unsigned int i;

	prepare(w, VIRTIO_BLK_T_IN, 512);
	for (i = 0; i < QNUM; i++)
		flip_add(&w->d.vr.avail->ring[i], 2, 0, QNUM, 0xffff, QNUM - 1);
	race(w, VIRTIO_BLK_T_IN, 512);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(refuses_more_than_4_gib),
		T(refuses_what_is_not_ram),
		T(stops_at_loops),
		T(buffers_may_lie_on_its_own_rings),
		T(any_used_event_is_bearable),
		T(the_header_is_read_once),
		T(descriptors_are_read_once),
		T(ranges_are_read_once),
		T(the_available_ring_is_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
