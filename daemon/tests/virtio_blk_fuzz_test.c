// SPDX-License-Identifier: GPL-2.0-only
/* A driver that writes anything anywhere; to be run with sanitizers too. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"

static uint64_t any_gpa(void)
{
	static const uint64_t gpas[] = {
		0, DRV_DESC, DRV_AVAIL, DRV_USED, DRV_DATA, RAM1_GPA - 8, RAM1_GPA, HOLE_GPA,
		HOLE_GPA - 1, HOLE_GPA - 512, LATE_GPA, ~0ULL, ~0ULL - 511, 1ULL << 63,
	};
	uint64_t gpa = gpas[(size_t)random() % (sizeof(gpas) / sizeof(gpas[0]))];

	return random() % 4 ? gpa : gpa + (uint64_t)random() % 4096;
}

static uint32_t any_len(void)
{
	static const uint32_t lens[] = {
		0, 1, 15, 16, 17, 20, 32, 511, 512, 513, 1024, 4096, 65536, 0x7fffffff,
		0x80000000, 0xfffffe00, ~0U,
	};

	return lens[(size_t)random() % (sizeof(lens) / sizeof(lens[0]))];
}

static uint16_t any_index(void)
{
	return random() % 16 ? (uint16_t)(random() % QNUM) : (uint16_t)random();
}

static void any_header(struct world *w, uint64_t gpa)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, ~0U };
	struct virtio_blk_outhdr *hdr = portal_mem_at(w->mem, gpa, sizeof(*hdr));

	if (!hdr)
		return;
	hdr->type = types[random() % 8];
	hdr->sector = random() % 4 ? (uint64_t)random() % DISK_SECTORS : any_gpa();
}

/* Mostly like a request, so that some get far. */
static void any_chain(struct world *w)
{
	uint16_t i = (uint16_t)(random() % QNUM), next;
	unsigned int n = (unsigned int)random() % 5;
	uint64_t gpa;

	drv_avail(&w->d, random() % 32 ? i : any_index());
	gpa = random() % 8 ? SLOT_HDR(random() % SLOTS) : any_gpa();
	any_header(w, gpa & ~7ULL);
	drv_desc(&w->d, i, gpa & ~7ULL, 16, VRING_DESC_F_NEXT, next = any_index() % QNUM);
	while (n--) {
		i = next;
		next = any_index();
		drv_desc(&w->d, i, random() % 4 ? SLOT_DATA(random() % SLOTS) : any_gpa(),
			 random() % 2 ? 512 : any_len(), (uint16_t)(random() % 8), next);
		next %= QNUM;
	}
	drv_desc(&w->d, next, random() % 16 ? SLOT_STATUS(random() % SLOTS) : any_gpa(),
		 random() % 16 ? 1 : any_len(), random() % 16 ? VRING_DESC_F_WRITE : 0, 0);
}

static void any_register(struct world *w)
{
	static const uint32_t lens[] = { 1, 2, 4, 4, 4, 8 };
	uint64_t val = random() % 2 ? (uint64_t)random() % 16 : any_gpa();
	uint32_t off = (uint32_t)random() % VIRTIO_MMIO_REGION_LEN;

	virtio_blk_frontend.write(w->fe, random() % 4 ? off & ~3U : off, lens[random() % 6], val);
}

/* A new worker, sometimes; what is in the state was not written by the guest. */
static void die(struct world *w, const struct portald_plugin *p)
{
	worker_stop(w);
	if (w->file) {
		plugin.close(w->handle);
		assert_int_equal(open_file_plugin(w, "off"), 0);
	}
	worker_start(w, p, true);
}

static void fuzz(struct world *w, const struct portald_plugin *p, unsigned int rounds)
{
	static const uint64_t features[] = {
		FEATURES, FEATURES | F_INDIRECT, FEATURES | F_EVENT,
		FEATURES | F_INDIRECT | F_EVENT,
	};
	unsigned int i;

	driver_start(w, FEATURES);
	for (i = 0; i < rounds; i++) {
		switch (random() % 64) {
		case 0:
			driver_start(w, features[random() % 4]);
			break;
		case 1:
			any_register(w);
			break;
		case 2:
			memset(at(&w->d, DRV_DESC), (int)random(), QNUM * 16);
			break;
		case 3:
			/* the file's lock takes its time */
			if (!w->file || !(random() % 64))
				die(w, p);
			break;
		case 4:
			w->d.vr.used->idx = (uint16_t)random();
			break;
		case 5:
			w->mem->w[2].hidden = !w->mem->w[2].hidden;
			break;
		default:
			any_chain(w);
			if (stopped(w))
				driver_start(w, features[random() % 4]);
			kick(w);
			if (!w->file && random() % 2)
				ram_end_all();
			io_uring_submit(&w->ring);
			reap(w);
		}
	}
	/* And still: what a good driver asks for it gets. */
	w->mem->w[2].hidden = true;
	driver_start(w, FEATURES);
	assert_int_equal(virtio_blk_frontend.inflight(w->fe), 0);
	slot_fill(w, 0, 0x42, 512);
	assert_int_equal(request(w, VIRTIO_BLK_T_OUT, 5, 512), VIRTIO_BLK_S_OK);
	slot_fill(w, 0, 0, 512);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 5, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(&w->d, SLOT_DATA(0) + 511), 0x42);
}

static void any_guest_on_a_disk_in_memory(void **state)
{
	ram.hold = true;
	srandom(11);
	fuzz(*state, &ram_plugin, 200000);
}

static void any_guest_on_a_file(void **state)
{
	srandom(12);
	fuzz(*state, &plugin, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_guest_on_a_disk_in_memory, setup_ram,
						teardown),
		cmocka_unit_test_setup_teardown(any_guest_on_a_file, setup_file, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
