// SPDX-License-Identifier: GPL-2.0-only
/* Every backend does its work inside the worker's sandbox: ring, threads, sockets. */
/* LINK: sandbox.o lower.o plugin.o block.o backend.o -luring -ldl -lseccomp -lcap-ng */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include "layer_rig.h"
#include "config.h"

/* sandbox.c; worker.h would bring another struct portal_instance */
int sandbox_ring(struct io_uring *ring, unsigned int entries, enum sandbox_mode mode,
		 struct err *err);
int sandbox_enter(enum sandbox_mode mode, struct err *err);

#define DISK	(4U << 20)

static char dir[64];
static enum sandbox_mode mode;

static int restricted_ring(struct io_uring *ring)
{
	struct err err;

	return sandbox_ring(ring, 64, mode, &err);
}

static int setup(void **state)
{
	char path[100];
	int fd;

	(void)state;
	strcpy(dir, "/tmp/portald-sandbox-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/image", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ftruncate(fd, DISK))
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* The first thing that goes wrong, by its number; 0: nothing. */
static int work(struct portal_instance *pi)
{
	static char out[65536], in[65536];
	unsigned int i;

	for (i = 0; i < 40; i++) {
		uint64_t off = (uint64_t)(i * 5 % 60) * 65536;

		rig_fill(out, sizeof(out), i);
		if (rig_io(&pi->rig, PORTAL_IO_WRITE, i & 1, off, out, sizeof(out), 8192))
			return 1;
		if (rig_io(&pi->rig, PORTAL_IO_READ, 0, off, in, sizeof(in), 16384) ||
		    memcmp(in, out, sizeof(in)))
			return 2;
		if (i % 4 == 1 && lio(pi, PORTAL_IO_ZERO, 0, off, NULL, 12288))
			return 3;
		if (i % 4 == 2 && lio(pi, PORTAL_IO_DISCARD, 0, off, NULL, 65536))
			return 4;
		if (i % 4 == 3 && lio(pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0))
			return 5;
	}
	return 0;
}

/* As in a worker: the ring first, what must be opened, and then the sandbox. */
static void in_a_sandbox(enum sandbox_mode with, const char *text, void (*meanwhile)(void))
{
	int status, ret;
	pid_t pid = fork();

	if (!pid) {
		struct portal_instance pi;
		struct block_limits limits;
		const char *why;
		struct err err;

		mode = with;
		rig_make_ring = restricted_ring;
		if (layers_try(&pi, text, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(100);
		}
		/* a limit: the timers must be allowed, too */
		memset(&limits, 0, sizeof(limits));
		if (sandbox_enter(with, &err) ||
		    block_limits_parse(&limits, "iops=20000,iops-burst=1", &why) ||
		    block_set_limits(pi.rig.blk, &limits))
			_exit(101);
		block_set_timeout(pi.rig.blk, 60000);
		ret = work(&pi);
		if (!ret && meanwhile) {
			meanwhile();
			ret = work(&pi);
		}
		if (!ret && open("/etc/hostname", O_RDWR) >= 0)
			ret = 102;	/* it is no sandbox */
		layers_close(&pi);
		_exit(ret);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "file path=%s/image", dir);
	in_a_sandbox(SANDBOX_ON, text, NULL);
	snprintf(text, sizeof(text), "fault fault=delay=1 lower=file lower.path=%s/image", dir);
	in_a_sandbox(SANDBOX_ON, text, NULL);
}

static void memory(void **state)
{
	(void)state;
	in_a_sandbox(SANDBOX_ON, "memory size=4M", NULL);
}

static void an_overlay(void **state)
{
	char text[400];

	(void)state;
	snprintf(text, sizeof(text), "overlay path=%s/cow lower=file lower.path=%s/image "
		 "lower.readonly=on", dir, dir);
	in_a_sandbox(SANDBOX_ON, text, NULL);
	snprintf(text, sizeof(text), "log log=%s/log lower=overlay lower.path=%s/cow "
		 "lower.lower=file lower.lower.path=%s/image lower.lower.readonly=on", dir, dir, dir);
	in_a_sandbox(SANDBOX_ON, text, NULL);
}

static pid_t server;

static void server_start(void)
{
	char sock[100], path[100];

	snprintf(sock, sizeof(sock), "%s/sock", dir);
	snprintf(path, sizeof(path), "%s/image", dir);
	unlink(sock);
	server = fork();
	if (!server) {
		execlp("nbdkit", "nbdkit", "-f", "-U", sock, "file", path, NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && access(sock, F_OK); i++)
		usleep(10000);
}

/* In the sandbox nobody can be killed: the parent does it, told by a pipe. */
static int tell[2];

static void ask_for_a_new_server(void)
{
	char c = 'x';

	if (write(tell[1], &c, 1) != 1)
		_exit(103);
}

static void a_server_and_the_next_one(void **state)
{
	const char *build = getenv("TEST_BUILD");
	char text[700], so[512], c;
	pid_t helper;
	int status;

	(void)state;
	snprintf(so, sizeof(so), "%s/plugins/nbd.so", build ? build : "../build/daemon");
	if (system("command -v nbdkit >/dev/null") || access(so, F_OK)) {
		print_message("skipped: no nbdkit, or built without libnbd\n");
		skip();
	}
	assert_int_equal(pipe(tell), 0);
	helper = fork();
	if (!helper) {
		close(tell[1]);
		server_start();
		while (read(tell[0], &c, 1) == 1) {
			kill(server, SIGKILL);
			waitpid(server, NULL, 0);
			server_start();
		}
		kill(server, SIGKILL);
		_exit(0);
	}
	snprintf(so, sizeof(so), "%s/sock", dir);
	for (int i = 0; i < 500 && access(so, F_OK); i++)
		usleep(10000);
	snprintf(text, sizeof(text), "nbd connections=2 uri=nbd+unix:///?socket=%s", so);
	in_a_sandbox(SANDBOX_NETWORK, text, ask_for_a_new_server);
	close(tell[1]);
	waitpid(helper, &status, 0);
	close(tell[0]);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file), T(memory), T(an_overlay), T(a_server_and_the_next_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
