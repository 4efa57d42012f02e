// SPDX-License-Identifier: GPL-2.0-only
/* bio_recovery_test.c - resets, stable writes, the worker's death, configuration */
/* LINK: bio.o bio_io.o bio_frontend.o guest_ram.o block.o backend.o config.o log.o -luring -linih -lpthread */
#include "bio_world.h"

/* ---- SRST ------------------------------------------------------------------------------ */

static void reset_aborts_and_nothing_lands_late(void **state)
{
	(void)state;
	memset(ram_at(BUF), 0xee, 1024);
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	disk.hold = true;
	irqs();
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	put(BIO_STATUS, BIO_SRST);
	assert_int_equal(get(BIO_STATUS), 0x01);
	disk_end_all();
	for (int i = 0; i < 1024; i++)
		assert_int_equal(((uint8_t *)ram_at(BUF))[i], 0xee);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(get(BIO_EVENTS), 0);
	assert_int_equal(irqs(), 0);
}

/* An aborted write may still reach the medium, but not over a later one. */
static void a_command_waits_for_the_aborted_one(void **state)
{
	(void)state;
	memset(ram_at(BUF), 0x11, 1024);
	memset(ram_at(BUF + 1024), 0x22, 1024);
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	disk.hold = true;
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	put(BIO_STATUS, BIO_SRST);
	put(BIO_SID, 7);
	setup_io(0, 1, BUF + 1024);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	assert_int_equal(disk.started, 1);
	disk_end_all();
	assert_int_equal(disk.started, 2);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(disk_word(0), 0x22222222);
	/* one that waited can be aborted as well */
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	put(BIO_STATUS, BIO_SRST);
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	put(BIO_STATUS, BIO_SRST);
	disk_end_all();
	assert_int_equal(disk.started, 3);
	assert_int_equal(get(BIO_STATUS), 0x01);
}

/* ---- stable storage --------------------------------------------------------------------- */

static void writes_are_stable_unless_asked_otherwise(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(disk.fuas + disk.flushes, 1);
	put(BIO_CONTROL, BIO_CTL_WRITEBACK | 0xf0);
	assert_int_equal(get(BIO_CONTROL), BIO_CTL_WRITEBACK);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(disk.fuas + disk.flushes, 1);
	irqs();
	put(BIO_COMMAND, BIO_CMD_FLUSH);
	assert_int_equal(disk.fuas + disk.flushes, 2);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(irqs(), 1);
	put(BIO_COMMAND, 77);
	assert_int_equal(get(BIO_STATUS), 0x02);
	assert_int_equal(get(BIO_ERROR), BIO_E_COMMAND);
}

/* ---- the worker dies --------------------------------------------------------------------- */

static void a_command_goes_on_with_the_next_worker(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	memset(ram_at(BUF), 0, 1024);
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	worker_dies();
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	assert_int_equal(disk.nr_held, 1);
	disk_end_all();
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(ram_at(BUF), disk.data, 1024);
}

static void what_came_before_is_not_done_twice(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_WRITE | BIO_DMA);
	assert_int_equal(disk.started, 1);
	worker_dies();
	put_again(BIO_STATUS, BIO_WRITE | BIO_DMA, 0);
	assert_int_equal(disk.started, 1);
	/* words, in both directions */
	put(BIO_STATUS, BIO_READ);
	assert_int_equal(data(), disk_word(0));
	assert_int_equal(data(), disk_word(4));
	worker_dies();
	assert_int_equal(data_again(), disk_word(4));
	assert_int_equal(data(), disk_word(8));
	put(BIO_STATUS, BIO_WRITE);
	put(BIO_DATA, 1);
	put(BIO_DATA, 2);
	worker_dies();
	put_again(BIO_DATA, 1, 1);
	put_again(BIO_DATA, 2, 0);
	for (int i = 2; i < 256; i++)
		put(BIO_DATA, i + 1);
	assert_int_equal(get(BIO_STATUS), 0x01);
	for (int i = 0; i < 256; i++)
		assert_int_equal(disk_word(4 * i), i + 1);
	worker_dies();
	put_again(BIO_DATA, 256, 0);
	assert_int_equal(get(BIO_STATUS), 0x01);
}

/* The last word of a read: the answer may be lost, with pos at the end. */
static void the_last_word_can_be_asked_again(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, 0);
	put(BIO_STATUS, BIO_READ);
	for (int i = 0; i < 256; i++)
		data();
	worker_dies();
	assert_int_equal(data_again(), disk_word(1020));
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(data(), 0xffffffff);
}

static void an_end_that_was_decided_is_shown_again(void **state)
{
	struct bio_state *st = w.env.state;

	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 1, BUF);
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	irqs();
	/* as if killed between the decision and its end */
	st->begun = (st->begun & ~7ULL) | BIO_ENDING;
	st->status = BIO_BUSY;
	worker_dies();
	assert_int_equal(disk.started, 1);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_int_equal(irqs(), 1);
}

static void the_next_worker_tells_of_another_size(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	worker_dies();
	assert_int_equal(get(BIO_EVENTS), 0);
	disk.size = 100 * 1024;
	worker_dies();
	assert_int_equal(get(BIO_CAPACITY), 100);
	assert_int_equal(get(BIO_EVENTS), BIO_EV_RESIZED);
	assert_int_equal(irqs(), 1);
}

static void a_stopped_worker_leaves_the_command(void **state)
{
	(void)state;
	put(BIO_SID, 7);
	setup_io(0, 512, BUF);		/* two pieces */
	disk.hold = true;
	put(BIO_STATUS, BIO_READ | BIO_DMA);
	bio_frontend.disable(w.fe);
	assert_int_equal(disk.started, 1);
	assert_int_equal(get(BIO_STATUS), BIO_BUSY);
	worker_dies();
	disk_end_all();
	assert_int_equal(disk.started, 2);
	assert_int_equal(get(BIO_STATUS), 0x01);
	assert_memory_equal(ram_at(BUF), disk.data, 512 * 1024);
}

/* ---- portald.conf -------------------------------------------------------------------------- */

static const char *config(const char *text)
{
	static struct err err;
	struct frontend_env env = { .irqfd = -1 };
	char buf[256], *save, *key;
	int ret = 0;

	err.msg[0] = '\0';
	strcpy(buf, text);
	for (key = strtok_r(buf, " =", &save); key && !ret; key = strtok_r(NULL, " =", &save))
		ret = bio_frontend.config(&env, key, strtok_r(NULL, " ", &save), &err);
	if (!ret)
		ret = bio_frontend.config_complete(&env, &err);
	place = env.place;
	free(env.config);
	return ret == -ENOENT ? "unknown" : ret ? err.msg : "";
}

static void configuration_is_checked(void **state)
{
	(void)state;
	assert_string_equal(config(""), "");
	assert_false(place.fixed);
	assert_string_equal(config("address=0x8400 irq=2"), "");
	assert_true(place.fixed && place.gpa == 0x8400 && place.gsi == 2);
	assert_int_equal(place.bus, PORTAL_BUS_MMIO);
	assert_string_equal(config("bus=pio address=0xff80 block_size=512 sid=3"), "");
	assert_int_equal(place.bus, PORTAL_BUS_PIO);
	assert_non_null(strstr(config("bus=pio"), "needs an 'address'"));
	assert_non_null(strstr(config("bus=isa"), "neither mmio nor pio"));
	assert_non_null(strstr(config("bus=pio address=0xff84"), "ports end"));
	assert_non_null(strstr(config("irq=5"), "needs an 'address'"));
	assert_non_null(strstr(config("address=0x1002"), "multiple of 4"));
	assert_non_null(strstr(config("address=0xfffffffffffffff0"), "not a number"));
	assert_non_null(strstr(config("block_size=1000"), "power of two"));
	assert_non_null(strstr(config("block_size=128k"), "not a number"));
	assert_non_null(strstr(config("sid=0xffffffff"), "not a number"));
	assert_string_equal(config("path=x"), "unknown");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_aborts_and_nothing_lands_late),
		T(a_command_waits_for_the_aborted_one), T(writes_are_stable_unless_asked_otherwise),
		T(a_command_goes_on_with_the_next_worker), T(what_came_before_is_not_done_twice),
		T(the_last_word_can_be_asked_again), T(an_end_that_was_decided_is_shown_again),
		T(the_next_worker_tells_of_another_size), T(a_stopped_worker_leaves_the_command),
		T(configuration_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
