// SPDX-License-Identifier: GPL-2.0-only
/* A virtio block device on a real file, with good drivers and hostile ones. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"

#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE

static void file_read(struct world *w, void *buf, size_t len, off_t off)
{
	int fd = open(w->path, O_RDONLY);

	assert_int_equal(pread(fd, buf, len, off), len);
	close(fd);
}

static void is_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(frontend_find("virtio-blk"), &virtio_blk_frontend);
	assert_null(frontend_find("virtio"));
	assert_null(frontend_find(""));
}

static void shows_capacity_and_features(void **state)
{
	struct world *w = *state;
	uint32_t cfg = VIRTIO_MMIO_CONFIG;
	uint32_t lo, hi;

	assert_int_equal(rd(w, VIRTIO_MMIO_DEVICE_ID), 2);
	assert_int_equal(rd(w, cfg), DISK_SECTORS);
	assert_int_equal(rd(w, cfg + 4), 0);
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, seg_max)), 126);
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, blk_size)), 512);
	lo = rd(w, VIRTIO_MMIO_DEVICE_FEATURES);
	wr(w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	hi = rd(w, VIRTIO_MMIO_DEVICE_FEATURES);
	assert_int_equal((uint64_t)hi << 32 | lo,
			 FEATURES | F_INDIRECT | F_EVENT | F_SIZE_MAX | F_TOPOLOGY | F_WCE | F_MQ |
			 F_RING_RESET | F_DISCARD | F_ZEROES);
	/* 512-byte sectors on blocks of 4096 */
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, physical_block_exp)),
			 3 | 8 << 16);
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, opt_io_size)), 0);
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, size_max)), 32 << 20);
	assert_int_equal(rd(w, cfg + offsetof(struct virtio_blk_config, wce)), 1 | 4 << 16);
}

static void reads_writes_and_flushes(void **state)
{
	struct world *w = *state;
	uint8_t buf[8192], want[8192];

	driver_start(w, FEATURES);
	memset(want, 0x11, sizeof(want));
	slot_fill(w, 0, 0x11, 8192);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 7, 8192);
	assert_int_equal(finish_one(w, 0), 1);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	file_read(w, buf, 8192, 7 * 512);
	assert_memory_equal(buf, want, 8192);

	slot_fill(w, 0, 0, 8192);
	slot_add(w, 0, VIRTIO_BLK_T_IN, 7, 8192);
	assert_int_equal(finish_one(w, 0), 8193);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(&w->d, SLOT_DATA(0)), want, 8192);

	slot_add(w, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	assert_int_equal(finish_one(w, 0), 1);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	/* the last sector, and none at all */
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, DISK_SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, DISK_SECTORS, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(messages, 0);
}

static void tells_its_serial(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	slot_fill(w, 0, 0x77, 64);
	slot_add(w, 0, VIRTIO_BLK_T_GET_ID, 0, 20);
	assert_int_equal(finish_one(w, 0), 21);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(&w->d, SLOT_DATA(0)), "serial-0123456789-to\x77", 21);
	/* buffers of other sizes */
	slot_fill(w, 0, 0x77, 64);
	slot_add(w, 0, VIRTIO_BLK_T_GET_ID, 0, 6);
	assert_int_equal(finish_one(w, 0), 7);
	assert_memory_equal(at(&w->d, SLOT_DATA(0)), "serial\x77", 7);
	slot_add(w, 0, VIRTIO_BLK_T_GET_ID, 0, 64);
	assert_int_equal(finish_one(w, 0), 20);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
}

static void takes_any_layout(void **state)
{
	struct world *w = *state;
	struct vring_desc *t;
	int i;

	driver_start(w, FEATURES | F_INDIRECT);
	/* header in 16 pieces, data in two that cross windows, status with data */
	slot_header(w, 0, VIRTIO_BLK_T_IN, 3);
	for (i = 0; i < 16; i++)
		drv_desc(&w->d, i, SLOT_HDR(0) + i, 1, NEXT, i + 1);
	drv_desc(&w->d, 16, RAM1_GPA - 100, 300, NEXT | WRITE, 17);
	drv_desc(&w->d, 17, SLOT_DATA(0), 213, WRITE, 0);
	memset(w->mem->w[1].va, 0x55, 512);
	slot_fill(w, 0, 0x55, 512);
	drv_avail(&w->d, 0);
	assert_int_equal(finish_one(w, 0), 513);
	assert_int_equal(*(uint8_t *)at(&w->d, SLOT_DATA(0) + 212), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(&w->d, SLOT_DATA(0) + 211), 0);
	assert_int_equal(*(uint8_t *)at(&w->d, SLOT_DATA(0) + 213), 0x55);
	assert_int_equal(w->mem->w[1].va[199], 0);
	assert_int_equal(w->mem->w[1].va[200], 0x55);
	assert_int_equal(w->mem->w[0].va[RAM_LEN - 100], 0);

	/* 126 segments through a table */
	t = at(&w->d, SLOT_DATA(1));
	slot_header(w, 1, VIRTIO_BLK_T_OUT, 100);
	t[0] = (struct vring_desc){ SLOT_HDR(1), 16, NEXT, 1 };
	for (i = 1; i <= 126; i++)
		t[i] = (struct vring_desc){ SLOT_DATA(2 + i % 4), 512, NEXT, i + 1 };
	t[127] = (struct vring_desc){ SLOT_STATUS(1), 1, WRITE, 0 };
	for (i = 2; i < 6; i++)
		slot_fill(w, i, i, 512);
	drv_desc(&w->d, SLOT_HEAD(1), SLOT_DATA(1), 128 * 16, VRING_DESC_F_INDIRECT, 0);
	drv_avail(&w->d, SLOT_HEAD(1));
	assert_int_equal(finish_one(w, 1), 1);
	assert_int_equal(slot_status(w, 1), VIRTIO_BLK_S_OK);
	for (i = 1; i <= 126; i++) {
		uint8_t b;

		file_read(w, &b, 1, (100 + i - 1) * 512);
		assert_int_equal(b, 2 + i % 4);
	}
}

static void works_with_event_indices(void **state)
{
	struct world *w = *state;
	uint32_t head;
	unsigned int i;

	driver_start(w, FEATURES | F_EVENT);
	vring_used_event(&w->d.vr) = 3;		/* tell me of the fourth */
	irqs(w);
	for (i = 0; i < 6; i++)
		slot_add(w, i, VIRTIO_BLK_T_IN, i, 512);
	kick(w);
	assert_int_equal(vring_avail_event(&w->d.vr), 6);
	for (i = 0; i < 6; ) {
		if (drv_used(&w->d, &head, NULL))
			i++;
		else
			world_wait(&w->env);
	}
	assert_int_equal(irqs(w), 1);
}

static void answers_bad_requests_with_an_error(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} bad[] = {
		{ VIRTIO_BLK_T_IN, DISK_SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, DISK_SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, DISK_SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, ~0ULL, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, ~0ULL >> 9, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, (~0ULL >> 9) + 1, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 1ULL << 63, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 511, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 513, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 0, 100, VIRTIO_BLK_S_IOERR },
		{ 2, 0, 512, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, VIRTIO_BLK_S_UNSUPP },
		{ 0xffffffff, 0, 512, VIRTIO_BLK_S_UNSUPP },
	};
	struct world *w = *state;
	size_t i;

	driver_start(w, FEATURES);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(request(w, bad[i].type, bad[i].sector, bad[i].len),
				 bad[i].status);
	assert_false(stopped(w));
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(messages, 0);
}

/* With descriptor @i like this, the request in slot 0 ends with IOERR. */
static void expect_ioerr(struct world *w, uint32_t type, unsigned int i, uint64_t gpa,
			 uint32_t len, uint16_t flags)
{
	slot_add(w, 0, type, 0, 512);
	drv_desc(&w->d, i, gpa, len, flags, i + 1);
	finish_one(w, 0);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);
	assert_false(stopped(w));
}

static void answers_bad_buffers_with_an_error(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	/* data: not RAM, partly, wrapping, huge, in the wrong direction */
	expect_ioerr(w, VIRTIO_BLK_T_IN, 1, HOLE_GPA, 512, NEXT | WRITE);
	expect_ioerr(w, VIRTIO_BLK_T_OUT, 1, HOLE_GPA - 511, 512, NEXT);
	expect_ioerr(w, VIRTIO_BLK_T_OUT, 1, ~0ULL - 511, 512, NEXT);
	expect_ioerr(w, VIRTIO_BLK_T_OUT, 1, ~0ULL - 510, 512, NEXT);
	expect_ioerr(w, VIRTIO_BLK_T_IN, 1, 0, 0xfffffe00, NEXT | WRITE);
	expect_ioerr(w, VIRTIO_BLK_T_IN, 1, SLOT_DATA(0), 512, NEXT);
	expect_ioerr(w, VIRTIO_BLK_T_OUT, 1, SLOT_DATA(0), 512, NEXT | WRITE);
	/* header: short, not RAM, not to be read */
	expect_ioerr(w, VIRTIO_BLK_T_IN, 0, HOLE_GPA, 16, NEXT);
	expect_ioerr(w, VIRTIO_BLK_T_IN, 0, SLOT_HDR(0), 16, NEXT | WRITE);
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, 0, SLOT_HDR(0), 15, NEXT, 1);
	finish_one(w, 0);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);
	/* a buffer to read after one to write */
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, NEXT | WRITE, 3);
	drv_desc(&w->d, 3, SLOT_DATA(0), 512, NEXT, 2);
	finish_one(w, 0);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_IOERR);

	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(messages, 0);
}

static void expect_stop(struct world *w)
{
	uint16_t used = w->d.vr.used->idx;

	messages = 0;
	((struct virtio_mmio *)w->fe)->last_log = 0;
	irqs(w);
	portal_region_write32(w->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	kick(w);
	assert_true(stopped(w));
	assert_int_equal(rd(w, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(irqs(w), 1);
	kick(w);
	assert_int_equal(messages, 1);
	assert_int_equal(w->d.vr.used->idx, used);
	/* a reset heals it */
	driver_start(w, FEATURES);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

static void stops_when_it_cannot_answer(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	/* no status byte */
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, 0, 0);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 2, SLOT_STATUS(0), 0, WRITE, 0);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 2, SLOT_STATUS(0), 1, 0, 0);
	expect_stop(w);
	/* status byte not in RAM: the request must have no effect either */
	slot_fill(w, 0, 0xbb, 512);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 9, 512);
	drv_desc(&w->d, 2, HOLE_GPA, 1, WRITE, 0);
	expect_stop(w);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 9, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(&w->d, SLOT_DATA(0)), 0);
	/* broken rings */
	w->d.vr.avail->idx += QNUM + 1;
	expect_stop(w);
	drv_avail(&w->d, QNUM);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, NEXT, 0);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, NEXT, QNUM);
	expect_stop(w);
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	drv_desc(&w->d, 0, SLOT_DATA(0), 512, VRING_DESC_F_INDIRECT, 0);
	expect_stop(w);
}

static void stops_when_its_rings_are_not_in_ram(void **state)
{
	static const uint32_t regs[] = {
		VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_USED_LOW,
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < 3; i++) {
		driver_start(w, FEATURES);
		wr(w, VIRTIO_MMIO_QUEUE_READY, 0);
		drv_init(&w->d, w->mem, QNUM);
		wr(w, VIRTIO_MMIO_QUEUE_NUM, QNUM);
		wr(w, VIRTIO_MMIO_QUEUE_DESC_LOW, DRV_DESC);
		wr(w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRV_AVAIL);
		wr(w, VIRTIO_MMIO_QUEUE_USED_LOW, DRV_USED);
		wr(w, regs[i], HOLE_GPA);
		wr(w, VIRTIO_MMIO_QUEUE_READY, 1);
		slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
		kick(w);
		while (!stopped(w) && virtio_blk_frontend.inflight(w->fe))
			world_wait(&w->env);
		assert_true(stopped(w));
	}
}

static void follows_the_vmm_when_it_adds_memory(void **state)
{
	struct world *w = *state;
	uint8_t *late = w->mem->w[2].va;

	driver_start(w, FEATURES);
	memset(late, 0x99, 512);
	w->mem->late = true;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, 1, LATE_GPA, 512, NEXT | WRITE, 2);
	assert_int_equal(finish_one(w, 0), 513);
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(late[0], 0);
	assert_int_equal(w->mem->refreshes, 1);
}

static void a_read_only_image_stays_as_it_is(void **state)
{
	struct world *w = *state;
	uint8_t b;

	worker_stop(w);
	plugin.close(w->handle);
	assert_int_equal(open_file_plugin(w, "on"), 0);
	worker_start(w, &plugin, false);
	assert_true(rd(w, VIRTIO_MMIO_DEVICE_FEATURES) & 1 << VIRTIO_BLK_F_RO);
	driver_start(w, FEATURES | 1 << VIRTIO_BLK_F_RO);
	slot_fill(w, 0, 0x12, 512);
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	file_read(w, &b, 1, 0);
	assert_int_equal(b, 0);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(w, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
}

static void an_image_cut_off_is_an_error(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	assert_int_equal(truncate(w->path, 4096), 0);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 8, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 7, 1024), VIRTIO_BLK_S_IOERR);
}

static void a_resized_image_is_announced(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	irqs(w);
	assert_int_equal(truncate(w->path, 2 * DISK_SIZE), 0);
	backend_size_changed(w->env.backend);
	while (rd(w, VIRTIO_MMIO_CONFIG) == DISK_SECTORS)
		world_wait(&w->env);
	assert_int_equal(rd(w, VIRTIO_MMIO_CONFIG), 2 * DISK_SECTORS);
	assert_int_equal(rd(w, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(irqs(w), 1);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, DISK_SECTORS, 512), VIRTIO_BLK_S_OK);
}

static void short_reads_and_writes_go_on(void **state)
{
	struct world *w = *state;
	uint8_t want[8192];
	int i;

	driver_start(w, FEATURES);
	for (i = 0; i < 8192; i++)
		want[i] = (uint8_t)(i * 7);
	memcpy(at(&w->d, SLOT_DATA(0)), want, 8192);
	w->shorten = 5;
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 1, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(w->shorten, 0);
	slot_fill(w, 0, 0, 8192);
	/* three iovecs: it ends inside one, and at the border of one */
	slot_header(w, 0, VIRTIO_BLK_T_IN, 1);
	drv_desc(&w->d, 0, SLOT_HDR(0), 16, NEXT, 10);
	drv_desc(&w->d, 10, SLOT_DATA(0), 1024, NEXT | WRITE, 11);
	drv_desc(&w->d, 11, SLOT_DATA(0) + 1024, 3072, NEXT | WRITE, 12);
	drv_desc(&w->d, 12, SLOT_DATA(0) + 4096, 4096, NEXT | WRITE, 13);
	drv_desc(&w->d, 13, SLOT_STATUS(0), 1, WRITE, 0);
	drv_avail(&w->d, 0);
	w->shorten = 4;
	assert_int_equal(finish_one(w, 0), 8193);
	assert_int_equal(w->shorten, 0);
	assert_memory_equal(at(&w->d, SLOT_DATA(0)), want, 8192);
}

static void more_requests_than_the_ring_holds(void **state)
{
	struct world *w = *state;
	uint32_t head;
	unsigned int s, n;

	driver_start(w, FEATURES);	/* the ring has 8 entries */
	for (s = 0; s < SLOTS; s++) {
		slot_fill(w, s, (int)s + 1, 4096);
		slot_add(w, s, VIRTIO_BLK_T_OUT, s * 8, 4096);
	}
	kick(w);
	assert_int_equal(virtio_blk_frontend.inflight(w->fe), SLOTS);
	for (n = 0; n < SLOTS; ) {
		if (drv_used(&w->d, &head, NULL))
			n++;
		else
			world_wait(&w->env);
	}
	for (s = 0; s < SLOTS; s++) {
		uint8_t b;

		assert_int_equal(slot_status(w, s), VIRTIO_BLK_S_OK);
		file_read(w, &b, 1, s * 4096 + 4095);
		assert_int_equal(b, s + 1);
	}
}

static void ten_thousand_random_requests(void **state)
{
	static uint8_t model[DISK_SIZE];
	struct world *w = *state;
	unsigned int s, round;

	driver_start(w, FEATURES | F_EVENT);
	srandom(7);
	for (round = 0; round < 10000 / SLOTS + 1; round++) {
		uint64_t sector[SLOTS];
		uint32_t len[SLOTS], head, n;
		bool out[SLOTS];

		/* slots have areas of their own, so their order does not matter */
		for (s = 0; s < SLOTS; s++) {
			uint64_t area = DISK_SECTORS / SLOTS;

			len[s] = ((uint32_t)random() % 16 + 1) * 512;
			sector[s] = s * area + (uint64_t)random() % (area - 16);
			out[s] = random() & 1;
			if (out[s]) {
				slot_fill(w, s, (int)random(), len[s]);
				memcpy(model + sector[s] * 512, at(&w->d, SLOT_DATA(s)), len[s]);
			}
			slot_add(w, s, out[s] ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector[s],
				 len[s]);
			if (random() % 3 == 0)
				kick(w);
		}
		kick(w);
		for (n = 0; n < SLOTS; ) {
			if (drv_used(&w->d, &head, NULL))
				n++;
			else
				world_wait(&w->env);
		}
		for (s = 0; s < SLOTS; s++) {
			assert_int_equal(slot_status(w, s), VIRTIO_BLK_S_OK);
			assert_memory_equal(at(&w->d, SLOT_DATA(s)), model + sector[s] * 512,
					    len[s]);
		}
	}
	assert_int_equal(messages, 0);
}

/* ---- on a disk whose requests end when the test says so ----------------- */

static void without_flush_writes_go_through(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.fuas, 0);
	driver_start(w, FEATURES & ~(1ULL << VIRTIO_BLK_F_FLUSH));
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.fuas, 1);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(ram.fuas, 1);
}

static struct world *busy_world;

/* The other vCPU: as soon as one request starts, there is another one. */
static void add_another(struct portal_io *io)
{
	(void)io;
	if (ram.started < 5000)
		slot_add(busy_world, ram.started % SLOTS, VIRTIO_BLK_T_IN, 0, 512);
}

static void a_busy_queue_does_not_hold_the_worker(void **state)
{
	struct world *w = *state;
	unsigned int before;

	driver_start(w, FEATURES);
	busy_world = w;
	ram.on_submit = add_another;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	assert_in_range(ram.started, 100, 1100);
	while (ram.started < 5000) {
		before = ram.started;
		world_wait(&w->env);
		assert_in_range(ram.started - before, 1, 1100);
	}
	assert_int_equal(w->d.vr.used->idx, 5000);
}

static unsigned int keys;

static void count_key(void *arg, const char *key, uint64_t val)
{
	uint64_t *writes = arg;

	keys++;
	if (!strcmp(key, "writes"))
		*writes = val;
	if (!strcmp(key, "queue0"))
		assert_int_equal(val, 2);
	assert_string_not_equal(key, "queue1");
	if (!strcmp(key, "requests") || !strcmp(key, "notifications"))
		assert_int_equal(val, 2);
}

static void counts_what_it_does(void **state)
{
	struct world *w = *state;
	uint64_t writes = 0;

	driver_start(w, FEATURES);
	request(w, VIRTIO_BLK_T_OUT, 0, 512);
	request(w, VIRTIO_BLK_T_OUT, 0, 512);
	virtio_blk_frontend.stat(w->fe, count_key, &writes);
	assert_int_equal(writes, 2);
	assert_in_range(keys, 5, 50);
}

#define F(fn) cmocka_unit_test_setup_teardown(fn, setup_file, teardown)
#define R(fn) cmocka_unit_test_setup_teardown(fn, setup_ram, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_by_name),
		F(shows_capacity_and_features),
		F(reads_writes_and_flushes),
		F(tells_its_serial),
		F(takes_any_layout),
		F(works_with_event_indices),
		F(answers_bad_requests_with_an_error),
		F(answers_bad_buffers_with_an_error),
		F(stops_when_it_cannot_answer),
		F(stops_when_its_rings_are_not_in_ram),
		F(follows_the_vmm_when_it_adds_memory),
		F(a_read_only_image_stays_as_it_is),
		F(an_image_cut_off_is_an_error),
		F(a_resized_image_is_announced),
		F(short_reads_and_writes_go_on),
		F(more_requests_than_the_ring_holds),
		F(ten_thousand_random_requests),
		R(without_flush_writes_go_through),
		R(a_busy_queue_does_not_hold_the_worker),
		R(counts_what_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
