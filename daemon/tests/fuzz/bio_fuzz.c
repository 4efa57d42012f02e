// SPDX-License-Identifier: GPL-2.0-only
/*
 * bio_fuzz.c - libFuzzer as a guest of bio: any register, width and value, at any
 * moment of its I/O, its memory and its worker's life
 *
 * Each step is a byte that says what, and what that needs. After each, STATUS is
 * one of its states; at the end, with all I/O ended, no longer BUSY.
 */
#include "../bio_world.h"

static const uint8_t *input;
static size_t left;

static uint8_t byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static uint32_t word(void)
{
	uint32_t val = byte();

	val |= (uint32_t)byte() << 8;
	val |= (uint32_t)byte() << 16;
	return val | (uint32_t)byte() << 24;
}

/* Small numbers and good addresses get further than any 32 bits do. */
static uint32_t value(uint8_t kind)
{
	switch (kind & 3) {
	case 0:
		return byte();
	case 1:
		return BUF + byte() * 512U;
	case 2:
		return BLOCKS - byte();
	default:
		return word();
	}
}

static void any_write(uint8_t kind)
{
	static const uint32_t lens[] = { 4, 4, 4, 4, 4, 1, 2, 8 };
	uint32_t off = byte() % BIO_REGION_LEN;

	if (kind & 4)
		off &= ~3U;
	w.env.req_id++;
	w.env.redelivered = false;
	bio_frontend.write(w.fe, off, lens[kind >> 5], value(kind));
}

static void any_read(void)
{
	uint8_t off = byte();
	uint64_t val;

	w.env.req_id++;
	w.env.redelivered = false;
	bio_frontend.read(w.fe, off & 1 ? BIO_DATA : off % BIO_REGION_LEN, off & 2 ? 4 : 1, &val);
}

/* Words in a row, or most of a buffer would never be full. */
static void many_words(void)
{
	unsigned int n = byte() * 4U;

	while (n--)
		put(BIO_DATA, n);
}

static void step(void)
{
	uint8_t op = byte();

	switch (op >> 3 & 7) {
	case 0:
	case 1:
		any_write(byte());
		break;
	case 2:
		put(BIO_STATUS, byte());
		break;
	case 3:
		any_read();
		break;
	case 4:
		many_words();
		break;
	case 5:
		disk.hold = op & 1;
		disk_end_all();
		break;
	case 6:
		disk.err = op & 1 ? -EIO : 0;
		w.mem->w[1].hidden = op & 2;
		w.mem->late = op & 4;
		break;
	case 7:
		if (op & 1) {
			put_again(byte() & ~3U, value(op), op >> 1 & 3);
		} else {
			disk.hold = false;
			disk_end_all();
			stop_worker();
			start_worker(!(op & 2));
		}
		break;
	}
}

static void must(bool good)
{
	if (!good)
		abort();
}

static bool status_is_one_of_its_states(void)
{
	uint32_t status = get(BIO_STATUS);

	return status == BIO_RDY || status == BIO_ERR || status == BIO_BUSY;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (!w.fe) {
		setup_world(NULL);
		log_set_level(LOG_ERR);
	}
	input = bytes;
	left = len < 4096 ? len : 4096;
	disk.hold = false;
	disk.err = 0;
	disk_end_all();
	bio_frontend.enable(w.fe, false);
	put(BIO_SID, 7);
	while (left) {
		step();
		must(status_is_one_of_its_states());
	}
	disk.hold = false;
	while (disk.nr_held)
		disk_end_all();
	must(get(BIO_STATUS) == BIO_RDY || get(BIO_STATUS) == BIO_ERR);
	must(!disk.beyond);
	irqs();
	return 0;
}
