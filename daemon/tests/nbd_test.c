// SPDX-License-Identifier: GPL-2.0-only
/* The nbd plugin against real servers, nbdkit and qemu-nbd; skips what is not there. */
/* LINK: lower.o plugin.o block.o backend.o -luring -ldl */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include "model.h"

static char dir[64], sock[96], image[96];
static pid_t server;

static bool have(const char *program)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null", program);
	return !system(cmd);
}

static void need(const char *program)
{
	const char *build = getenv("TEST_BUILD");
	char so[512];

	snprintf(so, sizeof(so), "%s/plugins/nbd.so", build ? build : "../build/daemon");
	if (have(program) && !access(so, F_OK))
		return;
	print_message("skipped: no %s, or built without libnbd\n", program);
	skip();
}

/* Until somebody takes a connection. */
static void wait_for_server(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timespec ts = { .tv_nsec = 10000000 };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", sock);
	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr));

		close(fd);
		if (!ret)
			return;
		nanosleep(&ts, NULL);
	}
	fail_msg("the server does not listen");
}

static void server_start(const char *fmt, ...)
{
	char cmd[600];
	va_list ap;

	strcpy(cmd, "exec ");
	va_start(ap, fmt);
	vsnprintf(cmd + 5, sizeof(cmd) - 5, fmt, ap);
	va_end(ap);
	unlink(sock);
	server = fork();
	if (!server) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execl("/bin/sh", "sh", "-c", cmd, NULL);
		_exit(127);
	}
	wait_for_server();
}

static void server_kill(void)
{
	if (server <= 0)
		return;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
}

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(dir, "/tmp/portald-nbd-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ftruncate(fd, DISK))
		return -1;
	close(fd);
	model = calloc(1, DISK);
	srandom(5);
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	server_kill();
	free(model);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void open_it(struct portal_instance *pi, const char *more)
{
	layers_open(pi, "nbd uri=nbd+unix:///?socket=%s %s", sock, more);
}

static void explains_what_is_wrong(void **state)
{
	char text[256];

	(void)state;
	need("nbdkit");
	layers_refuse("nbd", "uri= is missing");
	layers_refuse("nbd uri=nbd://x connections=17", "1 to 16");
	layers_refuse("nbd uri=gopher://x", "gopher");
	snprintf(text, sizeof(text), "nbd uri=nbd+unix:///?socket=%s", sock);
	layers_refuse(text, sock);
}

static void nbdkit_by_four_connections(void **state)
{
	struct portal_instance pi;

	(void)state;
	need("nbdkit");
	server_start("nbdkit -f -U %s memory 8M", sock);
	open_it(&pi, "connections=4");
	assert_int_equal(block_info(pi.rig.blk)->size, DISK);
	assert_true(block_info(pi.rig.blk)->zero && block_info(pi.rig.blk)->fua);
	random_io(&pi, 400);
	compare(&pi);
	layers_close(&pi);
}

static void qemu_nbd_on_qcow2(void **state)
{
	struct portal_instance pi;
	char cmd[256];

	(void)state;
	need("nbdkit");
	need("qemu-nbd");
	snprintf(cmd, sizeof(cmd), "qemu-img create -q -f qcow2 %s.qcow2 8M", image);
	assert_int_equal(system(cmd), 0);
	server_start("qemu-nbd -t -e 8 -f qcow2 -k %s --discard=unmap %s.qcow2", sock, image);
	open_it(&pi, "connections=2");
	random_io(&pi, 300);
	compare(&pi);
	layers_close(&pi);
}

static void a_read_only_export_and_errors(void **state)
{
	struct portal_instance pi;

	(void)state;
	need("nbdkit");
	server_start("nbdkit -f -r -U %s memory 8M", sock);
	open_it(&pi, "");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -EROFS);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), 0);
	layers_close(&pi);
	server_kill();
	server_start("nbdkit -f -U %s --filter=error memory 8M error=ENOSPC error-pwrite-rate=100%%",
		     sock);
	open_it(&pi, "");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -ENOSPC);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), 0);
	layers_close(&pi);
}

/* TLS by a key that both sides have; without it nobody gets in. */
static void tls_by_a_shared_key(void **state)
{
	static const char key[] =
		"portal:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	struct portal_instance pi;
	char psk[100], text[400];
	int fd;

	(void)state;
	need("nbdkit");
	if (system("nbdkit --dump-config | grep -q tls=yes")) {
		print_message("skipped: this nbdkit has no TLS\n");
		skip();
	}
	snprintf(psk, sizeof(psk), "%s/psk", dir);
	fd = open(psk, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, key, sizeof(key) - 1), sizeof(key) - 1);
	close(fd);
	server_start("nbdkit -f -U %s --tls=require --tls-psk=%s memory 8M", sock, psk);
	snprintf(text, sizeof(text), "nbd uri=nbd+unix:///?socket=%s", sock);
	layers_refuse(text, sock);
	layers_open(&pi, "nbd uri=nbds+unix:///?socket=%s tls_psk=%s tls_username=portal "
		    "connections=2", sock, psk);
	random_io(&pi, 60);
	compare(&pi);
	layers_close(&pi);
}

/* kill -9 of the server with requests in flight, again and again. */
static void a_killed_server_comes_back(void **state)
{
	static struct rig_req r[32];
	const char *kills = getenv("PORTAL_NBD_KILLS");
	unsigned int i, n, done, rounds = kills ? (unsigned int)atoi(kills) : 10;
	struct portal_instance pi;

	(void)state;
	need("nbdkit");
	server_start("nbdkit -f -U %s --filter=delay file %s wdelay=2ms", sock, image);
	open_it(&pi, "connections=2 deadline=60");
	for (n = 0; n < rounds; n++) {
		for (i = 0; i < 32; i++) {
			uint64_t off = (uint64_t)(i * 16 + n % 16) * 16384;

			rig_fill(model + off, 16384, n * 32 + i);
			rig_submit(&pi.rig, &r[i], PORTAL_IO_WRITE, 0, off, model + off, 16384, 0);
		}
		/* some have ended, others are under way */
		do {
			for (done = i = 0; i < 32; i++)
				done += r[i].done;
			if (done < 1 + n % 28)
				assert_int_equal(rig_wait(&pi.rig), 0);
		} while (done < 1 + n % 28);
		server_kill();
		server_start("nbdkit -f -U %s --filter=delay file %s wdelay=2ms", sock, image);
		assert_int_equal(block_drain(pi.rig.blk), 0);
		for (i = 0; i < 32; i++)
			assert_true(r[i].done && !r[i].err);
	}
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	compare(&pi);
	print_message("%u kills, %llu writes\n", rounds,
		      (unsigned long long)block_stats(pi.rig.blk)->writes);
	layers_close(&pi);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void a_server_that_stays_away_is_an_error(void **state)
{
	struct portal_instance pi;
	uint64_t start;

	(void)state;
	need("nbdkit");
	server_start("nbdkit -f -U %s file %s", sock, image);
	open_it(&pi, "deadline=1");
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), 0);
	layer_log_lines = 0;
	server_kill();
	start = now_ms();
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 900, 5000);
	assert_int_equal(__atomic_load_n(&layer_log_lines, __ATOMIC_RELAXED), 1);
	/* and when it is there again, all is well */
	server_start("nbdkit -f -U %s file %s", sock, image);
	for (int i = 0; lio(&pi, PORTAL_IO_READ, 0, 0, data, 512); i++)
		assert_true(i < 20);
	layers_close(&pi);
}

static void a_server_that_hangs_is_an_error(void **state)
{
	struct portal_instance pi;
	uint64_t start;

	(void)state;
	need("nbdkit");
	server_start("nbdkit -f -U %s file %s", sock, image);
	open_it(&pi, "deadline=1");
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), 0);
	kill(server, SIGSTOP);
	start = now_ms();
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 900, 8000);
	kill(server, SIGCONT);
	for (int i = 0; lio(&pi, PORTAL_IO_READ, 0, 0, data, 512); i++)
		assert_true(i < 20);
	layers_close(&pi);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(explains_what_is_wrong),
		T(nbdkit_by_four_connections),
		T(qemu_nbd_on_qcow2),
		T(a_read_only_export_and_errors),
		T(tls_by_a_shared_key),
		T(a_killed_server_comes_back),
		T(a_server_that_stays_away_is_an_error),
		T(a_server_that_hangs_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
