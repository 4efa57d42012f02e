// SPDX-License-Identifier: GPL-2.0-only
/* Discard, write zeroes and the write cache's toggle. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"
#include "virtio_blk.h"

#define ALL		(FEATURES | F_DISCARD | F_ZEROES | F_WCE)
#define UNMAP		VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
#define WCE		(VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))
#define RANGE		sizeof(struct virtio_blk_discard_write_zeroes)

/* The disk in memory, which can do it all. */
static int setup(void **state)
{
	struct world *w;

	setup_ram(state);
	w = *state;
	worker_stop(w);
	ram.can_discard = true;
	ram.can_zero = true;
	memset(ram.data, 0x11, DISK_SIZE);
	worker_start(w, &ram_plugin, false);
	return 0;
}

static void range(struct world *w, unsigned int i, uint64_t sector, uint32_t nr, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *r = at(&w->d, SLOT_DATA(0));

	r[i].sector = sector;
	r[i].num_sectors = nr;
	r[i].flags = flags;
}

static uint8_t one(struct world *w, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags)
{
	range(w, 0, sector, nr, flags);
	return request(w, type, 0, RANGE);
}

/* Sectors [first, first + nr) hold @byte, and what is around them does not. */
static void expect_bytes(uint64_t first, uint64_t nr, uint8_t byte)
{
	uint64_t i;

	for (i = first * 512; i < (first + nr) * 512; i++)
		assert_int_equal(ram.data[i], byte);
	if (first)
		assert_int_not_equal(ram.data[first * 512 - 1], byte);
	assert_int_not_equal(ram.data[(first + nr) * 512], byte);
}

static void tells_its_limits(void **state)
{
	struct world *w = *state;
	const struct virtio_blk_config *c =
		(void *)(w->region->shadow + VIRTIO_MMIO_CONFIG);

	assert_int_equal(rd(w, VIRTIO_MMIO_DEVICE_FEATURES) & (F_DISCARD | F_ZEROES),
			 F_DISCARD | F_ZEROES);
	assert_int_equal(c->max_discard_sectors, VIRTIO_BLK_RANGE_MAX);
	assert_int_equal(c->max_discard_seg, VIRTIO_BLK_RANGES_MAX);
	assert_int_equal(c->discard_sector_alignment, 1);
	assert_int_equal(c->max_write_zeroes_sectors, VIRTIO_BLK_RANGE_MAX);
	assert_int_equal(c->max_write_zeroes_seg, VIRTIO_BLK_RANGES_MAX);
	assert_int_equal(c->write_zeroes_may_unmap, 1);
	/* neither for a disk that is read-only */
	worker_stop(w);
	ram.writable = false;
	worker_start(w, &ram_plugin, false);
	assert_int_equal(rd(w, VIRTIO_MMIO_DEVICE_FEATURES) & (F_DISCARD | F_ZEROES), 0);
	assert_int_equal(c->max_discard_sectors, 0);
}

static void discards_and_writes_zeroes(void **state)
{
	struct world *w = *state;

	driver_start(w, ALL);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 8, 4, 0), VIRTIO_BLK_S_OK);
	expect_bytes(8, 4, 0xdd);
	assert_int_equal(one(w, VIRTIO_BLK_T_WRITE_ZEROES, 100, 3, 0), VIRTIO_BLK_S_OK);
	expect_bytes(100, 3, 0);
	assert_int_equal(ram.unmaps, 0);
	assert_int_equal(one(w, VIRTIO_BLK_T_WRITE_ZEROES, 200, 1, UNMAP), VIRTIO_BLK_S_OK);
	expect_bytes(200, 1, 0);
	assert_int_equal(ram.unmaps, 1);
	/* nothing at all, and at the very end */
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 5, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, DISK_SECTORS, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(one(w, VIRTIO_BLK_T_WRITE_ZEROES, DISK_SECTORS - 1, 1, 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(ram.data[DISK_SIZE - 1], 0);
	assert_int_equal(messages, 0);
	assert_int_equal(((struct virtio_blk *)w->fe)->bad_requests, 0);
}

/* As many as it says it takes, cut into bytes by the driver. */
static void takes_many_ranges(void **state)
{
	struct world *w = *state;
	struct vring_desc *t;
	unsigned int i, n = 0;

	driver_start(w, ALL | F_INDIRECT);
	for (i = 0; i < VIRTIO_BLK_RANGES_MAX; i++)
		range(w, i, 10 * i, i % 9 + 1, 0);
	assert_int_equal(request(w, VIRTIO_BLK_T_DISCARD, 0, VIRTIO_BLK_RANGES_MAX * RANGE),
			 VIRTIO_BLK_S_OK);
	for (i = 0; i < VIRTIO_BLK_RANGES_MAX; i++)
		expect_bytes(10 * i, i % 9 + 1, 0xdd);

	t = at(&w->d, SLOT_DATA(1));
	range(w, 0, 1000, 1, 0);
	range(w, 1, 1002, 1, UNMAP);
	slot_header(w, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	t[n++] = (struct vring_desc){ SLOT_HDR(0), 16, VRING_DESC_F_NEXT, 1 };
	for (i = 0; i < 2 * RANGE; i++, n++)
		t[n] = (struct vring_desc){ SLOT_DATA(0) + i, 1, VRING_DESC_F_NEXT, n + 1 };
	t[n++] = (struct vring_desc){ SLOT_STATUS(0), 1, VRING_DESC_F_WRITE, 0 };
	drv_desc(&w->d, 0, SLOT_DATA(1), n * 16, VRING_DESC_F_INDIRECT, 0);
	drv_avail(&w->d, 0);
	assert_int_equal(finish_one(w, 0), 1);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	expect_bytes(1000, 1, 0);
	expect_bytes(1002, 1, 0);
	assert_int_equal(ram.unmaps, 1);
}

static void refuses_wrong_ranges(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t nr, flags;
		uint8_t status;
	} bad[] = {
		{ VIRTIO_BLK_T_DISCARD, DISK_SECTORS, 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, DISK_SECTORS + 1, 0, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, DISK_SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, ~0ULL, 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, ~0ULL >> 9, 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 1ULL << 55, 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, ~0U, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, VIRTIO_BLK_RANGE_MAX + 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, DISK_SECTORS, 1, UNMAP, VIRTIO_BLK_S_IOERR },
		/* unmap is for zeroes only, and what is reserved is for nobody */
		{ VIRTIO_BLK_T_DISCARD, 0, 1, UNMAP, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, 0, 1, 1U << 31, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, ~0U, VIRTIO_BLK_S_UNSUPP },
	};
	struct world *w = *state;
	size_t i;

	driver_start(w, ALL);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(one(w, bad[i].type, bad[i].sector, bad[i].nr, bad[i].flags),
				 bad[i].status);
		/* the bad one comes last: the good one before has no effect either */
		range(w, 0, 0, 1, 0);
		range(w, 1, bad[i].sector, bad[i].nr, bad[i].flags);
		assert_int_equal(request(w, bad[i].type, 0, 2 * RANGE), bad[i].status);
	}
	/* no range, half of one, too many */
	range(w, 0, 0, 1, 0);
	assert_int_equal(request(w, VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(w, VIRTIO_BLK_T_DISCARD, 0, RANGE - 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(w, VIRTIO_BLK_T_DISCARD, 0, RANGE + 8), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(w, VIRTIO_BLK_T_WRITE_ZEROES, 0,
				 (VIRTIO_BLK_RANGES_MAX + 1) * RANGE), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ram.started, 0);
	assert_false(stopped(w));
	assert_int_equal(messages, 0);
}

static void needs_the_feature(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES | F_ZEROES);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	driver_start(w, FEATURES | F_DISCARD);
	assert_int_equal(one(w, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ram.started, 0);
}

static void needs_whole_blocks(void **state)
{
	struct world *w = *state;
	struct backend_info *info = (void *)(uintptr_t)backend_info(w->env.backend);

	driver_start(w, ALL);
	info->logical = 4096;
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 1, 8, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 8, 7, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ram.started, 0);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 8, 8, 0), VIRTIO_BLK_S_OK);
}

static void an_error_ends_the_request(void **state)
{
	struct world *w = *state;

	driver_start(w, ALL);
	ram.err = -EIO;
	range(w, 0, 0, 1, 0);
	range(w, 1, 8, 1, 0);
	assert_int_equal(request(w, VIRTIO_BLK_T_DISCARD, 0, 2 * RANGE), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ram.started, 1);
}

/* A reset in the middle of the ranges: the others are not begun. */
static void a_reset_ends_between_ranges(void **state)
{
	struct world *w = *state;
	unsigned int i;

	driver_start(w, ALL);
	ram.hold = true;
	for (i = 0; i < 8; i++)
		range(w, i, 16 * i, 1, 0);
	slot_add(w, 0, VIRTIO_BLK_T_DISCARD, 0, 8 * RANGE);
	kick(w);
	assert_int_equal(ram.started, 1);
	wr(w, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(ram.started, 1);
	assert_int_equal(virtio_blk_frontend.inflight(w->fe), 0);
	assert_int_equal(slot_status(w, 0), 0xaa);
}

/* ---- the write cache ------------------------------------------------------ */

static uint8_t wce(struct world *w)
{
	return (uint8_t)rd(w, WCE);
}

static void set_wce(struct world *w, uint32_t len, uint64_t val)
{
	virtio_blk_frontend.write(w->fe, WCE, len, val);
}

static unsigned int fuas_of_a_write(struct world *w)
{
	unsigned int before = ram.fuas;

	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	return ram.fuas - before;
}

static void the_cache_can_be_turned_off_and_on(void **state)
{
	struct world *w = *state;
	unsigned int flushes;

	driver_start(w, ALL);
	assert_int_equal(wce(w), 1);
	assert_int_equal(fuas_of_a_write(w), 0);
	/* what is in it goes to the medium first: nobody flushes any more */
	flushes = ram.flushes;
	set_wce(w, 1, 0);
	assert_int_equal(ram.flushes, flushes + 1);
	assert_int_equal(wce(w), 0);
	assert_int_equal(fuas_of_a_write(w), 1);
	assert_int_equal(one(w, VIRTIO_BLK_T_WRITE_ZEROES, 4, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.flushes, flushes + 2);
	assert_int_equal(one(w, VIRTIO_BLK_T_DISCARD, 4, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.flushes, flushes + 2);
	/* a worker that dies does not turn it on */
	worker_stop(w);
	worker_start(w, &ram_plugin, true);
	assert_int_equal(wce(w), 0);
	assert_int_equal(fuas_of_a_write(w), 1);
	set_wce(w, 1, 1);
	assert_int_equal(wce(w), 1);
	assert_int_equal(fuas_of_a_write(w), 0);
	assert_int_equal(ram.flushes, flushes + 2);
	/* a reset does */
	set_wce(w, 1, 0);
	wr(w, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(wce(w), 1);
}

static void it_stays_on_if_it_cannot_be_flushed(void **state)
{
	struct world *w = *state;

	driver_start(w, ALL);
	ram.err = -EIO;
	set_wce(w, 1, 0);
	assert_int_equal(wce(w), 1);
	ram.err = 0;
	assert_int_equal(fuas_of_a_write(w), 0);
}

/* In flight when it is turned off: it may be in the cache, and is flushed too. */
static void turning_it_off_waits_for_writes(void **state)
{
	struct world *w = *state;

	driver_start(w, ALL);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	kick(w);
	assert_int_equal(ram.nr_held, 1);
	set_wce(w, 1, 0);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.started, 2);
	assert_int_equal(ram.flushes, 1);
	assert_int_equal(wce(w), 0);
}

static void it_is_off_for_who_cannot_flush(void **state)
{
	struct world *w = *state;

	driver_start(w, ALL & ~(1ULL << VIRTIO_BLK_F_FLUSH));
	assert_int_equal(wce(w), 0);
	assert_int_equal(fuas_of_a_write(w), 1);
}

static void only_that_byte_can_be_written(void **state)
{
	struct world *w = *state;
	uint8_t before[VIRTIO_MMIO_REGION_LEN];
	uint32_t off;

	driver_start(w, FEATURES);
	set_wce(w, 1, 0);		/* not negotiated */
	assert_int_equal(wce(w), 1);
	driver_start(w, ALL);
	set_wce(w, 4, 0);
	set_wce(w, 2, 0);
	assert_int_equal(wce(w), 1);
	memcpy(before, w->region->shadow, sizeof(before));
	for (off = VIRTIO_MMIO_CONFIG; off < VIRTIO_MMIO_REGION_LEN; off++) {
		if (off == WCE)
			continue;
		virtio_blk_frontend.write(w->fe, off, 1, 0xff);
		virtio_blk_frontend.write(w->fe, off, 4, ~0U);
		virtio_blk_frontend.write(w->fe, off, 8, ~0ULL);
	}
	assert_memory_equal(before, w->region->shadow, sizeof(before));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(tells_its_limits),
		T(discards_and_writes_zeroes),
		T(takes_many_ranges),
		T(refuses_wrong_ranges),
		T(needs_the_feature),
		T(needs_whole_blocks),
		T(an_error_ends_the_request),
		T(a_reset_ends_between_ranges),
		T(the_cache_can_be_turned_off_and_on),
		T(it_stays_on_if_it_cannot_be_flushed),
		T(turning_it_off_waits_for_writes),
		T(it_is_off_for_who_cannot_flush),
		T(only_that_byte_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
