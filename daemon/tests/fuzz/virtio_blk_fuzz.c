// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_blk_fuzz.c - libFuzzer as a driver of virtio-blk: any register, any
 * descriptor, any bytes in its rings, at any moment of its I/O
 *
 * Each step is a byte that says what, and what that needs. What reaches the
 * plugin must be right whatever the input is, and a driver that resets the
 * device gets a good one. A short input that makes a whole request is found by
 * libFuzzer within seconds, as the steps begin with addresses that make sense.
 */
#include "../virtio_world.h"

static const uint8_t *input;
static size_t left;

static uint8_t byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static uint16_t half(void)
{
	uint16_t val = byte();

	return (uint16_t)(val | byte() << 8);
}

static uint32_t word(void)
{
	uint32_t val = half();

	return val | (uint32_t)half() << 16;
}

static uint64_t address(void)
{
	static const uint64_t base[] = {
		DRV_DESC, DRV_AVAIL, DRV_USED, SLOT_DATA(1), SLOT_DATA(2), RAM1_GPA - 256,
		HOLE_GPA - 256, LATE_GPA, 0x8000, 0xa000, 0xc000, ~0ULL - 255, 0,
	};
	uint8_t kind = byte();

	switch (kind & 7) {
	case 0:
		return word() | (uint64_t)word() << 32;
	case 1:
		return base[(kind >> 3) % (sizeof(base) / sizeof(base[0]))] + byte();
	case 2:
		return SLOT_HDR((kind >> 3) % SLOTS);
	case 3:
		return SLOT_STATUS((kind >> 3) % SLOTS);
	default:
		return SLOT_DATA((kind >> 3) % SLOTS);
	}
}

static uint32_t length(void)
{
	static const uint32_t lens[] = { 0, 1, 16, 32, 512, 1024, 4096, 0xfffffe00 };
	uint8_t kind = byte();

	return kind & 1 ? word() : lens[kind >> 5];
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void check_io(struct portal_io *io)
{
	uint64_t sum = 0;
	uint32_t i;
	int w;

	check(io->offset <= DISK_SIZE && io->len <= DISK_SIZE - io->offset, "bounds");
	check((io->offset | io->len) % 512 == 0, "alignment");
	for (i = 0; i < io->iovcnt; i++) {
		const uint8_t *p = io->iov[i].iov_base;
		bool ok = false;

		for (w = 0; w < 3; w++) {
			const struct window *win = &world->mem->w[w];

			ok |= !win->hidden && p >= win->va &&
			      p + io->iov[i].iov_len <= win->va + win->len;
		}
		check(ok, "not in RAM");
		sum += io->iov[i].iov_len;
	}
	if (io->op == PORTAL_IO_READ || io->op == PORTAL_IO_WRITE)
		check(sum == io->len, "length");
	/* two requests at a time are enough, and more than the array has are not */
	ram.hold &= ram.nr_held < 200;
}

/* A request as drivers make them; the next steps may spoil it. */
static void a_request(struct world *w)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, 2, 0xff,
	};
	uint8_t what = byte();
	struct virtio_blk_discard_write_zeroes *r;
	unsigned int s = (what >> 3) % SLOTS;
	uint32_t type = types[what & 7];

	if (type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES) {
		r = at(&w->d, SLOT_DATA(s));
		r->sector = half();
		r->num_sectors = byte();
		r->flags = byte();
	}
	slot_add(w, s, type, byte(), length());
}

static void any_bytes(struct world *w)
{
	uint64_t gpa = address();
	uint8_t n = byte() % 32;

	while (n--) {
		uint8_t *p = portal_mem_at(w->mem, gpa++, 1);

		if (p)
			*p = byte();
	}
}

static void any_register(struct world *w)
{
	static const uint32_t lens[] = { 4, 4, 4, 1, 2, 8, 4, 4 };
	uint8_t kind = byte();
	uint32_t off = kind & 8 ? half() % VIRTIO_MMIO_REGION_LEN : (byte() & 0x7fU) * 4;

	virtio_blk_frontend.write(w->fe, off, lens[kind & 7],
				  kind & 16 ? word() : byte());
	end_round();
}

static void any_descriptor(struct world *w)
{
	unsigned int i = byte() % QNUM;
	uint64_t gpa = address();
	uint32_t len = length();
	uint16_t flags = byte() & 7;

	drv_desc(&w->d, i, gpa, len, flags, byte());
}

static void start(struct world *w)
{
	uint8_t what = byte();
	uint64_t features = FEATURES;

	features |= what & 1 ? F_INDIRECT : 0;
	features |= what & 2 ? F_EVENT : 0;
	features |= what & 4 ? F_DISCARD | F_ZEROES : 0;
	features |= what & 8 ? F_WCE : 0;
	features |= what & 16 ? F_RING_RESET : 0;
	driver_start_queues(w, features | F_MQ, 1 + (what >> 5) % 4);
}

/* A worker dies, with what it had in flight; the next one goes on. */
static void die(struct world *w)
{
	worker_stop(w);
	worker_start(w, &ram_plugin, true);
}

static void step(struct world *w, unsigned int *deaths)
{
	uint8_t what = byte();

	switch (what & 15) {
	case 0:
		start(w);
		break;
	case 1:
	case 2:
	case 3:
		a_request(w);
		break;
	case 4:
	case 5:
		any_descriptor(w);
		break;
	case 6:
		drv_avail(&w->d, half());
		break;
	case 7:
		any_bytes(w);
		break;
	case 8:
		any_register(w);
		break;
	case 9:
		ram.hold = what & 16;
		ram.err = what & 32 ? -EIO : 0;
		break;
	case 10:
		ram_end_all();
		break;
	case 11:
		w->mem->late = what & 16;
		w->mem->w[2].hidden = what & 32;
		break;
	case 12:
		if (++*deaths <= 2)
			die(w);
		break;
	case 13:
		use(w, (what >> 4) & 3);
		if (!w->d.mem)
			use(w, 0);
		break;
	default:
		kick_queue(w, (what & 16) ? what >> 5 : w->queue);
		if (io_uring_sq_ready(&w->ring))
			io_uring_submit(&w->ring);
		reap(w);
	}
}

/* One world for all inputs; a reset makes it new to each. */
static struct world *begin(void)
{
	static void *state;
	struct world *w;
	unsigned int s;

	if (!state) {
		setup_ram(&state);
		worker_stop(state);
		ram.can_discard = true;
		ram.can_zero = true;
		ram.on_submit = check_io;
		worker_start(state, &ram_plugin, false);
	}
	w = state;
	memset(w->mem->w[0].va, 0, DRV_DATA);
	for (s = 0; s < SLOTS; s++)
		memset(w->mem->w[0].va + SLOT_HDR(s), 0, 0x2000);
	w->mem->w[2].hidden = true;
	w->mem->late = false;
	w->queue = 0;
	memset(w->others, 0, sizeof(w->others));
	ram.hold = false;
	ram.err = 0;
	driver_start(w, FEATURES | F_INDIRECT | F_EVENT | F_DISCARD | F_ZEROES | F_WCE);
	return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int deaths = 0;
	struct world *w;
	uint32_t head;

	input = data;
	left = size;
	w = begin();
	while (left)
		step(w, &deaths);
	/* And still: what a good driver asks for it gets. */
	ram.err = 0;
	ram.hold = false;
	w->mem->w[2].hidden = true;
	driver_start(w, FEATURES);
	check(!virtio_blk_frontend.inflight(w->fe), "in flight after a reset");
	slot_add(w, 0, VIRTIO_BLK_T_IN, 5, 512);
	kick(w);
	check(drv_used(&w->d, &head, NULL) && slot_status(w, 0) == VIRTIO_BLK_S_OK, "no answer");
	return 0;
}
