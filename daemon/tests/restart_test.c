// SPDX-License-Identifier: GPL-2.0-only
/* restart_test.c - when a dead worker starts again */
/* LINK: restart.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "restart.h"

#define MS	1000ULL
#define SEC	1000000ULL

static void rare_deaths_cost_nothing(void **state)
{
	struct restart r = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(restart_after_death(&r, SEC + i * 7 * SEC), 0);
	assert_int_equal(r.nr, 1000);
}

static void the_fifth_fast_death_waits(void **state)
{
	struct restart r = { 0 };
	uint64_t now = SEC;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(restart_after_death(&r, now += MS), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(restart_after_death(&r, now += MS), (100 * MS) << i);
	assert_int_equal(restart_after_death(&r, now += MS), -1);
}

static void the_pause_is_bounded_and_forgotten(void **state)
{
	struct restart r = { 0 };
	uint64_t now = 100 * SEC;

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_true(restart_after_death(&r, now += MS) <= (int64_t)RESTART_MAX_DELAY);
	now += 61 * SEC;
	assert_int_equal(restart_after_death(&r, now), 0);
}

static void ten_in_a_minute_is_the_end(void **state)
{
	struct restart r = { 0 };
	uint64_t now = 100 * SEC;

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_int_equal(restart_after_death(&r, now += 6 * SEC), 0);
	assert_int_equal(restart_after_death(&r, now += 5 * SEC), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rare_deaths_cost_nothing),
		cmocka_unit_test(the_fifth_fast_death_waits),
		cmocka_unit_test(the_pause_is_bounded_and_forgotten),
		cmocka_unit_test(ten_in_a_minute_is_the_end),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
