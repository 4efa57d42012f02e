/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* example_test.c - the examples, run on the fake kernel until its VM is gone */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fake.h"

static int fake_open(const char *path, int flags)
{
	assert_string_equal(path, "/dev/portal");
	return open("/dev/null", flags);
}

int hypercall_main(int argc, char **argv);
#define open(path, flags)	fake_open(path, flags)
#define main			hypercall_main
#include "../examples/hypercall.c"
#undef main
#undef open

static void test_hypercall(void **state)
{
	char pid[16], fd[16], *argv[] = { (char *)"hypercall", pid, fd, NULL };

	(void)state;
	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(fd, sizeof(fd), "%d", fake.vm_fd);
	fake_push();
	fake_push();
	assert_int_equal(hypercall_main(3, argv), 1);
	assert_int_equal(fake.nr_got, 2);
	assert_int_equal(fake.got[1].id, 2);
	assert_int_equal(fake.got[1].value, 20);
	assert_int_equal(fake.hook.first, 0x1234);
	assert_int_equal(fake.hook.queue_id, FAKE_QUEUE_ID);
}

static void test_hypercall_no_vm(void **state)
{
	char *argv[] = { (char *)"hypercall", NULL };

	(void)state;
	assert_int_equal(hypercall_main(1, argv), 1);
	assert_int_equal(fake.nr_got, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_hypercall), T(test_hypercall_no_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
