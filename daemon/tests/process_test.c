// SPDX-License-Identifier: GPL-2.0-only
/* process_test.c - VMMs found by the names that their users know */
/* LINK: process.o log.o -lkvmportal */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

static pid_t pids[4];
static unsigned int nr_pids;
static char others[300];
static pid_t no_vmm;

/* of libkvmportal */
int portal_vm_fds_of_pid(pid_t pid, int *fds, size_t nr)
{
	(void)fds;
	(void)nr;
	return pid == no_vmm ? 0 : 1;
}

/* A process with the command line of a QEMU, once it has it. */
static pid_t vmm(const char *option, const char *value)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/sh", "qemu", "-c", "kill -STOP $$; exit", option, value, "-m", NULL);
		_exit(127);
	}
	pids[nr_pids++] = pid;
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static int teardown(void **state)
{
	(void)state;
	while (nr_pids) {
		kill(pids[--nr_pids], SIGKILL);
		waitpid(pids[nr_pids], NULL, 0);
	}
	return 0;
}

static pid_t find(const char *name)
{
	return process_by_vm_name(name, others, sizeof(others));
}

static void by_qemus_name(void **state)
{
	pid_t pid = vmm("-name", "portal-test-1");
	char name[64];

	(void)state;
	assert_int_equal(find("portal-test-1"), pid);
	assert_int_equal(find("portal-test"), -ESRCH);
	assert_non_null(strstr(others, "portal-test-1"));
	process_vm_name(pid, name, sizeof(name));
	assert_string_equal(name, "portal-test-1");
}

static void as_libvirt_gives_it(void **state)
{
	pid_t pid = vmm("-name", "guest=portal-test-2,debug-threads=on"), pid3, pid4;

	(void)state;
	pid3 = vmm("-name", "debug-threads=on,guest=portal-test-3");
	pid4 = vmm("--name", "portal-test-4,process=x");
	assert_int_equal(find("portal-test-2"), pid);
	assert_int_equal(find("portal-test-3"), pid3);
	assert_int_equal(find("portal-test-4"), pid4);
	assert_int_equal(find("on"), -ESRCH);
}

static void two_of_a_name(void **state)
{
	(void)state;
	vmm("-name", "portal-test-5");
	vmm("-name", "guest=portal-test-5");
	assert_int_equal(find("portal-test-5"), -ENOTUNIQ);
}

/* portalctl attach portal-test-6 --name portal-test-6 */
static void who_only_has_the_name(void **state)
{
	pid_t pid = vmm("-name", "portal-test-6");

	(void)state;
	no_vmm = vmm("--name", "portal-test-6");
	assert_int_equal(find("portal-test-6"), pid);
	no_vmm = pid;
	assert_int_not_equal(find("portal-test-6"), pid);
	no_vmm = 0;
}

static void no_name(void **state)
{
	pid_t pid = vmm("-name", "debug-threads=on");
	char name[64], wanted[64];

	(void)state;
	snprintf(wanted, sizeof(wanted), "pid%d", pid);
	process_vm_name(pid, name, sizeof(name));
	assert_string_equal(name, wanted);
}

static void by_domain(void **state)
{
	char dir[] = "/tmp/portald-process-XXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/web 1.pid", dir);
	f = fopen(path, "w");
	fprintf(f, "%d\n", getpid());
	fclose(f);
	assert_int_equal(process_by_domain(dir, "web 1"), getpid());
	assert_int_equal(process_by_domain(dir, "web"), -ENOENT);
	assert_int_equal(process_by_domain(dir, "../web 1"), -EINVAL);
	assert_int_equal(process_by_domain(dir, ""), -EINVAL);
	f = fopen(path, "w");
	fprintf(f, "4194305\n");	/* beyond the largest pid */
	fclose(f);
	assert_int_equal(process_by_domain(dir, "web 1"), -ESRCH);
	unlink(path);
	rmdir(dir);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(by_qemus_name), T(as_libvirt_gives_it), T(two_of_a_name),
		T(who_only_has_the_name), T(no_name),
		T(by_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
