// SPDX-License-Identifier: GPL-2.0-only
/* bio_test.c - ducky's status values, and one test for each of its mistakes */
/* LINK: bio.o bio_io.o bio_frontend.o guest_ram.o block.o backend.o config.o log.o -luring -linih -lpthread */
#include "bio_world.h"

/* ---- the seed's values ------------------------------------------------------ */

static void reset_is_ready(void **state)
{
	(void)state;
	assert_int_equal(get(BIO_STATUS), 0x01);
	put(BIO_STATUS, BIO_SRST);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(get(BIO_CUR_SID), BIO_NO_SID);
}

static void unknown_sid_is_error_alone(void **state)
{
	(void)state;
	put(BIO_SID, 1234);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_SID);
	put(BIO_SID, 7);
	assert_int_equal(get(BIO_STATUS), 0x01);
}

static void beyond_the_end_is_error_alone(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(BLOCKS, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	setup_io(BLOCKS - 1, 2, BUF);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_RANGE);
	assert_int_equal(disk.started, 0);
}

static void good_dma_is_ready_alone(void **state)
{
	(void)state;
	fill(BUF, 3 * 1024, 5);
	put(BIO_SID, 7);
	setup_io(10, 3, BUF);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(disk.data + 10 * 1024, ram_at(BUF), 3 * 1024);
	setup_io(9, 5, BUF + 0x10000);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(disk.data + 9 * 1024, ram_at(BUF + 0x10000), 5 * 1024);
}

/* forth/words/block.c: an error after each register is a code of its own */
static int forth(uint32_t sid, uint32_t block, uint32_t count, uint32_t addr, uint32_t op)
{
	put(BIO_STATUS, BIO_SRST);
	if (get(BIO_STATUS) & BIO_ERR)
		return -1;
	put(BIO_SID, sid);
	if (get(BIO_STATUS) & BIO_ERR)
		return -2;
	put(BIO_BLOCK, block);
	if (get(BIO_STATUS) & BIO_ERR)
		return -3;
	put(BIO_COUNT, count);
	if (get(BIO_STATUS) & BIO_ERR)
		return -4;
	put(BIO_ADDR, addr);
	if (get(BIO_STATUS) & BIO_ERR)
		return -5;
	put(BIO_STATUS, BIO_DMA | op);
	for (int i = 0; i < 100; i++) {
		uint32_t status = get(BIO_STATUS);

		if (status & (BIO_RDY | BIO_ERR) && !(status & BIO_BUSY))
			return status & BIO_ERR ? -6 : 0;
		world_wait(&w.env);
	}
	return -100;
}

static void the_forth_driver_works(void **state)
{
	(void)state;
	disk.hold = true;
	fill(BUF, 4 * 1024, 3);
	assert_int_equal(forth(7, 2, 4, BUF, BIO_WRITE), 0);
	assert_int_equal(forth(7, 2, 4, BUF + 0x10000, BIO_READ), 0);
	assert_memory_equal(ram_at(BUF), ram_at(BUF + 0x10000), 4 * 1024);
	assert_int_equal(forth(8, 0, 1, BUF, BIO_READ), -2);
	assert_int_equal(forth(7, BLOCKS, 1, BUF, BIO_READ), -6);
}

/* ---- 2.4, 1: all four bytes of a word --------------------------------------- */

static void data_takes_and_gives_little_endian_words(void **state)
{
	static const uint8_t want[8] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };

	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, 0);
	put(BIO_STATUS, BIO_WRITE);
	put(BIO_DATA, 0x44332211);
	put(BIO_DATA, 0x88776655);
	for (int i = 2; i < 256; i++)
		put(BIO_DATA, 0);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(disk.data, want, 8);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(data(), 0x44332211);
	assert_int_equal(data(), 0x88776655);
}

/* ---- 2: the end of the buffer ------------------------------------------------ */

static void reading_past_the_end_is_an_error(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	assert_int_equal(data(), 0xffffffff);
	assert_int_equal(get(BIO_STATUS), 0x02);
	setup_io(1, 2, 0);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_REMAIN), 2048);
	for (int i = 0; i < 512; i++) {
		assert_int_equal(data(), disk_word(1024 + 4 * i));
		assert_int_equal(get(BIO_STATUS), 0x01);
	}
	assert_int_equal(get(BIO_REMAIN), 0);
	assert_int_equal(data(), 0xffffffff);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_DATA);
}

static void writing_past_the_end_is_an_error(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	put(BIO_DATA, 1);
	assert_int_equal(get(BIO_STATUS), 0x02);
	setup_io(0, 1, 0);
	put(BIO_STATUS, BIO_WRITE);
	for (int i = 0; i < 256; i++)
		put(BIO_DATA, i);
	assert_int_equal(get(BIO_STATUS), 0x01);
	put(BIO_DATA, 1);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(disk.started, 1);
}

/* ---- 3: PIO write ------------------------------------------------------------ */

static void pio_write_commits_at_the_last_word(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(4, 2, 0);
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(get(BIO_STATUS), 0x01);	/* armed: it takes data */
	for (int i = 0; i < 511; i++)
		put(BIO_DATA, 0x01010101U * (i & 0xff));
	assert_int_equal(disk.started, 0);
	assert_int_equal(get(BIO_REMAIN), 4);
	disk.hold = true;
	put(BIO_DATA, 0xcafebabe);
	assert_int_equal(disk.started, 1);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(disk_word(4 * 1024 + 511 * 4), 0xcafebabe);
	assert_int_equal(disk_word(4 * 1024 + 4 * 4), 0x04040404);
	/* a new command, or a reset, forgets what was armed */
	put(BIO_STATUS, BIO_WRITE);
	put(BIO_DATA, 1);
	put(BIO_STATUS, BIO_SRST);
	assert_int_equal(disk.started, 1);
}

static void wrong_direction_ends_the_transfer(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, 0);
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(data(), 0xffffffff);
	assert_int_equal(get(BIO_STATUS), 0x02);
	for (int i = 0; i < 256; i++)
		put(BIO_DATA, i);
	assert_int_equal(disk.started, 0);
	put(BIO_STATUS, BIO_READ);
	put(BIO_DATA, 1);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(data(), 0xffffffff);
}

/* ---- 4: the selected SID can be read back ------------------------------------- */

static void the_selected_sid_can_be_read(void **state)
{
	(void)state;
	assert_int_equal(get(BIO_CUR_SID), BIO_NO_SID);
	assert_int_equal(get(BIO_CAPACITY), 0);
	put(BIO_SID, 7);
	assert_int_equal(get(BIO_CUR_SID), 7);
	assert_int_equal(get(BIO_CAPACITY), BLOCKS);
	put(BIO_SID, 9);
	assert_int_equal(get(BIO_CUR_SID), 9);
	assert_int_equal(get(BIO_CAPACITY), BLOCKS / 2);
	put(BIO_SID, 1);
	assert_int_equal(get(BIO_CUR_SID), BIO_NO_SID);
	/* legacy: these read 0 */
	for (uint32_t off = BIO_SID; off <= BIO_ADDR; off += 4)
		assert_int_equal(get(off), 0);
}

static void storages_are_apart(void **state)
{
	(void)state;
	memset(second.data + 3 * 1024, 0x99, 1024);
	assert_int_equal(forth(7, 3, 1, BUF, BIO_READ), 0);
	assert_int_equal(forth(9, 3, 1, BUF + 1024, BIO_READ), 0);
	assert_memory_equal(disk.data + 3 * 1024, ram_at(BUF), 1024);
	assert_memory_equal(second.data + 3 * 1024, ram_at(BUF + 1024), 1024);
	assert_int_equal(forth(9, BLOCKS / 2, 1, BUF, BIO_READ), -6);
}

/* ---- 5: ERR goes with the next accepted command -------------------------------- */

static void err_ends_with_the_next_accepted_command(void **state)
{
	(void)state;
	put(BIO_SID, 1);
	assert_int_equal(get(BIO_STATUS), 0x02);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_SID);
	put(BIO_SID, 7);
	assert_int_equal(get(BIO_STATUS), 0x01);
	setup_io(BLOCKS, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	put(BIO_BLOCK, 0);
	assert_int_equal(get(BIO_STATUS), 0x02);	/* no command */
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	assert_int_equal(get(BIO_ERROR), 0);
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x01);
	put(BIO_SID, 1);
	put(BIO_STATUS, BIO_SRST);
	assert_int_equal(get(BIO_STATUS), 0x01);
}

/* ---- 6: DMA is for one command -------------------------------------------------- */

static void dma_is_for_one_command(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(data(), 0xffffffff);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(data(), disk_word(0));
	/* as a latch it was written before the command: for that one it counts */
	put(BIO_STATUS, BIO_DMA);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_REMAIN), 0);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_REMAIN), 1024);
}

/* ---- 7: the interrupt ------------------------------------------------------------ */

static void each_command_ends_with_one_interrupt(void **state)
{
	(void)state;
	assert_int_equal(irqs(), 0);
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	assert_int_equal(irqs(), 0);
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(irqs(), 0);
	assert_int_equal(get(BIO_EVENTS), 0);
	disk_end_all();
	assert_int_equal(irqs(), 1);
	assert_int_equal(get(BIO_EVENTS), BIO_EV_DONE);
	ack(BIO_EV_DONE);
	disk.hold = false;
	put(BIO_STATUS, BIO_READ);			/* without DMA: the data are there */
	assert_int_equal(irqs(), 1);
	put(BIO_STATUS, BIO_WRITE);			/* armed: not ended */
	assert_int_equal(irqs(), 0);
	for (int i = 0; i < 256; i++)
		put(BIO_DATA, i);
	assert_int_equal(irqs(), 1);
	setup_io(BLOCKS, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);		/* an error is an end */
	assert_int_equal(irqs(), 1);
	put(BIO_CONTROL, BIO_CTL_MASK);
	ack(~0U);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(irqs(), 0);
	assert_int_equal(get(BIO_EVENTS), BIO_EV_DONE);
	put(BIO_STATUS, BIO_SRST);			/* also unmasks */
	assert_int_equal(irqs(), 0);
	assert_int_equal(get(BIO_EVENTS), 0);
	assert_int_equal(get(BIO_CONTROL), 0);
}

/* ---- 8: what is written is COUNT blocks -------------------------------------------- */

static void a_long_read_does_not_make_a_long_write(void **state)
{
	uint64_t before = disk_sum(0, BLOCKS * 1024 - 1024);

	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 8, 0);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_REMAIN), 8 * 1024);
	setup_io(BLOCKS - 1, 1, 0);
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(get(BIO_REMAIN), 1024);
	for (int i = 0; i < 256; i++)
		put(BIO_DATA, 0x77777777);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(disk.bytes, 8 * 1024 + 1024);
	assert_int_equal(disk_word(BLOCKS * 1024 - 4), 0x77777777);
	assert_true(disk_sum(0, BLOCKS * 1024 - 1024) == before);
}

/* ---- 9: a bad ADDR ------------------------------------------------------------------ */

static void a_bad_address_is_an_error(void **state)
{
	static const uint64_t bad[] = {
		HOLE_GPA, HOLE_GPA - 1023, 0xfffffffffffffc00ULL, 0xffffffffffffffffULL,
		LATE_GPA, 0xd0000000,
	};

	(void)state;
	put(BIO_SID, 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup_io(0, 1, bad[i]);
		put(BIO_STATUS, i % 2 ? BIO_READ | BIO_DMA : BIO_WRITE | BIO_DMA);
		assert_int_equal(get(BIO_STATUS), 0x02);
		assert_int_equal(get(BIO_ERROR), BIO_E_ADDR);
	}
	assert_int_equal(disk.started, 0);
	/* over the end of one window into the next, which is elsewhere here */
	setup_io(0, 1, RAM1_GPA - 512);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(ram_at(RAM1_GPA - 512), disk.data, 512);
	assert_memory_equal(ram_at(RAM1_GPA), disk.data + 512, 512);
	/* RAM that the VMM added meanwhile */
	w.mem->late = true;
	setup_io(0, 1, LATE_GPA);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(ram_at(LATE_GPA), disk.data, 1024);
}

static void memory_that_goes_is_an_error_too(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, RAM1_GPA);
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	w.mem->w[1].hidden = true;
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_ADDR);
	w.mem->w[1].hidden = false;
}

/* ---- 10: registers while BUSY --------------------------------------------------------- */

static void busy_ignores_all_but_reset(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(2, 1, BUF);
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	put(BIO_SID, 9);
	put(BIO_BLOCK, 100);
	put(BIO_COUNT, 50);
	put(BIO_ADDR, 0);
	put(BIO_DATA, 1);
	put(BIO_COMMAND, BIO_CMD_FLUSH);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(data(), 0xffffffff);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	assert_int_equal(get(BIO_EVENTS), BIO_EV_IGNORED);
	assert_int_equal(disk.nr_held, 1);
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(get(BIO_CUR_SID), 7);
	assert_memory_equal(ram_at(BUF), disk.data + 2 * 1024, 1024);
	/* and is as before for the next one */
	disk.hold = false;
	memset(ram_at(BUF), 0, 1024);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_memory_equal(ram_at(BUF), disk.data + 2 * 1024, 1024);
}

static void a_guest_can_size_the_disk(void **state)
{
	(void)state;
	assert_int_equal(get(BIO_ID), 0x314f4942);
	assert_int_equal(get(BIO_VERSION) >> 16, 1);
	assert_int_equal(get(BIO_BLOCK_SIZE), 1024);
	assert_int_equal(get(BIO_MAX_PIO), 1 << 20);
	assert_int_equal(get(BIO_MAX_DMA), 16 << 20);
	put(BIO_SID, 7);
	assert_int_equal(get(BIO_FEATURES), BIO_F_WRITABLE | BIO_F_FLUSH | BIO_F_IRQ);
	put(BIO_SID, 9);
	assert_int_equal(get(BIO_FEATURES), BIO_F_IRQ);
}

static void readonly_is_an_error(void **state)
{
	(void)state;
	put(BIO_SID, 9);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_READONLY);
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(get(BIO_STATUS), 0x02);
}

/* ---- 11: both commands, none, and odd media -------------------------------------------- */

static void read_wins_over_write(void **state)
{
	(void)state;
	memset(ram_at(BUF), 0xee, 1024);
	put(BIO_SID, 7);
	setup_io(6, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_WRITE | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(ram_at(BUF), disk.data + 6 * 1024, 1024);
	/* a reset in the same write comes first: no storage is selected */
	put(BIO_STATUS, BIO_SRST | BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_SID);
}

static void no_blocks_are_done_at_once(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(BLOCKS, 0, 0xffffffffffffffffULL);
	irqs();
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(irqs(), 1);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(data(), 0xffffffff);
	assert_int_equal(disk.started, 0);
	setup_io(BLOCKS + 1, 0, 0);
	put(BIO_STATUS, BIO_WRITE);
	assert_int_equal(get(BIO_STATUS), 0x02);
}

static void bounds_do_not_wrap(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0xffffffff, 0xffffffff, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_ERROR), BIO_E_RANGE);
	setup_io(0xffffffffffffffffULL, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_ERROR), BIO_E_RANGE);
	setup_io(1ULL << 54, 1, BUF);	/* * 1024 is 0 */
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_ERROR), BIO_E_RANGE);
	setup_io(0, 0x400000, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_ERROR), BIO_E_RANGE);
	assert_int_equal(disk.started, 0);
}

static void sizes_have_limits(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1025, 0);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_ERROR), BIO_E_SIZE);
	setup_io(0, 1024, 0);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(get(BIO_REMAIN), 1 << 20);
	assert_int_equal(disk.started, 4);	/* in pieces */
	assert_int_equal(data(), disk_word(0));
}

static void a_shrunk_medium_is_an_error(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	irqs();
	disk.size = 10 * 1024;
	backend_size_changed(w.env.storages[0].backend);
	world_wait(&w.env);
	assert_int_equal(get(BIO_CAPACITY), 10);
	assert_int_equal(get(BIO_EVENTS) & BIO_EV_RESIZED, BIO_EV_RESIZED);
	assert_int_equal(irqs(), 1);
	setup_io(10, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), 0x02);
	/* a half block at the end can't be reached */
	disk.size = 10 * 1024 + 512;
	backend_size_changed(w.env.storages[0].backend);
	world_wait(&w.env);
	assert_int_equal(get(BIO_CAPACITY), 10);
}

static void errors_of_the_medium_have_codes(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} cases[] = {
		{ -EIO, BIO_E_IO }, { -ENOSPC, BIO_E_NOSPC }, { -ETIMEDOUT, BIO_E_TIMEOUT },
		{ -EROFS, BIO_E_READONLY }, { -ENOMEM, BIO_E_IO },
	};

	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		disk.err = cases[i].err;
		put(BIO_STATUS, BIO_WRITE | BIO_DMA);
		assert_int_equal(get(BIO_STATUS), 0x02);
		assert_int_equal(get(BIO_ERROR), cases[i].code);
	}
}

/* ---- 12: widths ------------------------------------------------------------------------ */

static void other_widths_are_ignored(void **state)
{
	static const uint32_t lens[] = { 1, 2, 8 };
	uint64_t val;

	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	for (int i = 0; i < 3; i++)
		bio_frontend.write(w.fe, BIO_STATUS, lens[i], BIO_READ | BIO_DMA);
	bio_frontend.write(w.fe, BIO_STATUS + 1, 4, BIO_READ | BIO_DMA);
	bio_frontend.write(w.fe, BIO_ID, 4, 1);
	bio_frontend.write(w.fe, BIO_REGION_LEN - 4, 4, 1);
	assert_int_equal(disk.started, 0);
	assert_int_equal(get(BIO_STATUS), 0x01);
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(bio_frontend.read(w.fe, BIO_DATA + 1, 1, &val), 0);
	assert_int_equal(val, 0xffffffff);
	assert_int_equal(data(), disk_word(0));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_is_ready), T(unknown_sid_is_error_alone), T(beyond_the_end_is_error_alone),
		T(good_dma_is_ready_alone), T(the_forth_driver_works),
		T(data_takes_and_gives_little_endian_words), T(reading_past_the_end_is_an_error),
		T(writing_past_the_end_is_an_error), T(pio_write_commits_at_the_last_word),
		T(wrong_direction_ends_the_transfer), T(the_selected_sid_can_be_read),
		T(storages_are_apart), T(err_ends_with_the_next_accepted_command),
		T(dma_is_for_one_command), T(each_command_ends_with_one_interrupt),
		T(a_long_read_does_not_make_a_long_write), T(a_bad_address_is_an_error),
		T(memory_that_goes_is_an_error_too), T(busy_ignores_all_but_reset),
		T(a_guest_can_size_the_disk), T(readonly_is_an_error), T(read_wins_over_write),
		T(no_blocks_are_done_at_once), T(bounds_do_not_wrap), T(sizes_have_limits),
		T(a_shrunk_medium_is_an_error), T(errors_of_the_medium_have_codes),
		T(other_widths_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
