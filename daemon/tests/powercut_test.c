// SPDX-License-Identifier: GPL-2.0-only
/* A few power cuts of each file system; tests/powercut.sh alone makes many. */
/* LINK: log.o */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static void cut(const char *fs)
{
	char cmd[64];
	int status;

	snprintf(cmd, sizeof(cmd), "tests/powercut.sh %s 6 6", fs);
	status = system(cmd);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void ext4(void **state)
{
	(void)state;
	cut("ext4");
}

static void xfs(void **state)
{
	(void)state;
	cut("xfs");
}

static void btrfs(void **state)
{
	(void)state;
	cut("btrfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext4), cmocka_unit_test(xfs), cmocka_unit_test(btrfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
