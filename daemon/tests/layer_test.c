// SPDX-License-Identifier: GPL-2.0-only
/* Filters and what is below them: lower.c, and the plugins fault, memory and null. */
/* LINK: lower.o plugin.o block.o backend.o -luring -ldl */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include "layer_rig.h"

static char a[1 << 20], b[1 << 20];

static void explains_what_is_wrong(void **state)
{
	(void)state;
	layers_refuse("fault size=1M", "unknown key 'size'");
	layers_refuse("fault", "lower= is missing");
	layers_refuse("fault lower=nosuch", "nosuch");
	layers_refuse("fault lower=echo", "no block backend");
	layers_refuse("fault lower=memory", "size= is missing");
	layers_refuse("fault lower=memory lower.sise=1M", "unknown key 'lower.sise'");
	layers_refuse("fault lower=fault lower.lower=memory lower.lower.size=bad", "lower.lower.size");
	layers_refuse("memory size=1M lower=null", "unknown key 'lower'");
	layers_refuse("fault lower=memory lower.size=1M fault=op=read", "says nothing");
	layers_refuse("fault lower=memory lower.size=1M fault=op=dance,error=EIO", "dance");
	layers_refuse("fault lower=memory lower.size=1M fault=error=EHOSTUNREACHABLE", "not an error");
	layers_refuse("fault lower=memory lower.size=1M fault=rate=2,error=EIO", "between 0 and 1");
	layers_refuse("fault lower=memory lower.size=1M fault=range=5-4,error=EIO", "ends before");
	layers_refuse("fault lower=memory lower.size=1M control=/nosuch/file", "control=");
}

/* The same plugin twice: each has its own variables, and so its own size. */
static void layers_do_not_share_variables(void **state)
{
	struct portal_instance pi;

	(void)state;
	layers_open(&pi, "fault fault=op=read,error=ENOSPC,range=0-4096 lower=fault "
		    "lower.fault=op=write,error=EROFS,range=0-4096 "
		    "lower.lower=memory lower.lower.size=8M");
	assert_int_equal(block_info(pi.rig.blk)->size, 8 << 20);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 512), -ENOSPC);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, a, 512), -EROFS);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 8192, a, 512), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 8192, a, 512), 0);
	layers_close(&pi);
}

/* Random requests in many iovecs through three layers, against a model. */
static void passes_everything_through(const char *text, uint64_t size, bool zero_only)
{
	struct portal_instance pi;
	char *model = calloc(1, size);
	unsigned int i;

	srandom(7);
	layers_open(&pi, "%s", text);
	for (i = 0; i < 300; i++) {
		uint64_t len = (uint64_t)(random() % 128 + 1) * 512;
		uint64_t off = (uint64_t)random() % ((size - len) / 512 + 1) * 512;
		size_t each = (size_t)(random() % 9000 + 2048);

		switch (random() % 4) {
		case 0:
			rig_fill(a, len, i);
			memcpy(model + off, a, len);
			assert_int_equal(rig_io(&pi.rig, PORTAL_IO_WRITE, i & 1, off, a, len, each), 0);
			break;
		case 1:
			memset(model + off, 0, len);
			assert_int_equal(lio(&pi, PORTAL_IO_ZERO, i & 3, off, NULL, len), 0);
			break;
		case 2:
			if (zero_only)
				memset(model + off, 0, len);
			else
				break;
			assert_int_equal(lio(&pi, PORTAL_IO_DISCARD, 0, off, NULL, len), 0);
			break;
		default:
			assert_int_equal(rig_io(&pi.rig, PORTAL_IO_READ, 0, off, b, len, each), 0);
			assert_memory_equal(b, model + off, len);
		}
	}
	for (uint64_t off = 0; off < size; off += sizeof(b)) {
		assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, off, b, sizeof(b)), 0);
		assert_memory_equal(b, model + off, sizeof(b));
	}
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	layers_close(&pi);
	free(model);
}

static void memory_through_two_filters(void **state)
{
	(void)state;
	passes_everything_through("fault lower=fault lower.lower=memory lower.lower.size=8M",
				  8 << 20, true);
}

static void a_file_through_a_filter(void **state)
{
	char image[] = "/tmp/portald-layer-XXXXXX", text[256];
	int fd = mkstemp(image);

	(void)state;
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	snprintf(text, sizeof(text), "fault lower=file lower.path=%s", image);
	passes_everything_through(text, 8 << 20, true);
	close(fd);
	unlink(image);
}

/* Direct I/O: misaligned memory and iovecs are copied, and all arrives. */
static void a_file_by_direct_io(void **state)
{
	char image[] = "/var/tmp/portald-layer-XXXXXX", text[256];
	int fd = mkstemp(image);
	struct portal_instance pi;
	struct err err;

	(void)state;
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	snprintf(text, sizeof(text), "file direct=on block_size=4096 path=%s", image);
	if (layers_try(&pi, text, &err)) {
		print_message("skipped: %s\n", err.msg);
		close(fd);
		unlink(image);
		skip();
	}
	assert_int_equal(block_info(pi.rig.blk)->logical, 4096);
	for (unsigned int i = 0; i < 40; i++) {
		uint64_t len = 4096ULL * (i + 1), off = 4096ULL * (i * 7 % 64);
		char *from = a + i % 3 * 20, *to = b + i % 5 * 12;

		rig_fill(a, sizeof(a), i);
		assert_int_equal(rig_io(&pi.rig, PORTAL_IO_WRITE, i & 1, off, from, len,
					i % 4 ? 4096 : 5000), 0);
		assert_int_equal(rig_io(&pi.rig, PORTAL_IO_READ, 0, off, to, len, 8192), 0);
		assert_memory_equal(from, to, len);
		assert_int_equal(pread(fd, b, len, (off_t)off), len);
		assert_memory_equal(from, b, len);
	}
	assert_true(block_stats(pi.rig.blk)->bounced > 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 512, a, 512), -EINVAL);
	layers_close(&pi);
	snprintf(text, sizeof(text), "file block_size=1000 path=%s", image);
	layers_refuse(text, "neither 512 nor 4096");
	layers_refuse("file direct=on path=/proc/version", "");
	close(fd);
	unlink(image);
}

static uint64_t blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void a_file_gets_holes(void **state)
{
	char image[] = "/tmp/portald-layer-XXXXXX";
	int fd = mkstemp(image);
	struct portal_instance pi;
	uint64_t full;

	(void)state;
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	layers_open(&pi, "file path=%s", image);
	memset(a, 1, sizeof(a));
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, a, 1 << 20), 0);
	full = blocks_of(fd);
	assert_int_equal(lio(&pi, PORTAL_IO_DISCARD, 0, 0, NULL, 512 << 10), 0);
	assert_true(blocks_of(fd) <= full - (512 << 10) / 512);
	assert_int_equal(lio(&pi, PORTAL_IO_ZERO, PORTAL_IO_F_FUA, 512 << 10, NULL, 4096), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_ZERO, PORTAL_IO_F_UNMAP, 516 << 10, NULL, 8192), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 1 << 20), 0);
	assert_int_equal(a[(524 << 10) - 1], 0);
	assert_int_equal(a[524 << 10], 1);
	layers_close(&pi);
	close(fd);
	unlink(image);
}

/* A full disk, here by a limit of the process: ENOSPC, and the disk goes on. */
static void a_full_disk_is_told(void **state)
{
	char image[] = "/tmp/portald-layer-XXXXXX";
	int fd = mkstemp(image);
	struct rlimit old, small = { 1 << 20, RLIM_INFINITY };
	struct portal_instance pi;

	(void)state;
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	layers_open(&pi, "file path=%s", image);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 4 << 20, a, 4096), -ENOSPC);
	assert_int_equal(block_stats(pi.rig.blk)->errnos[0].err, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 4 << 20, a, 4096), 0);
	layers_close(&pi);
	close(fd);
	unlink(image);
}

static void null_is_always_zero(void **state)
{
	struct portal_instance pi;

	(void)state;
	layers_open(&pi, "null size=1G");
	memset(a, 5, 4096);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, a, 4096), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_DISCARD, 0, 0, NULL, 4096), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_ZERO, 0, 0, NULL, 1 << 20), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 4096), 0);
	assert_int_equal(a[4095], 0);
	layers_close(&pi);
}

static unsigned long resident_kib(void)
{
	unsigned long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * 4;
}

static void memory_gives_pages_back(void **state)
{
	struct portal_instance pi;
	unsigned long before, full, after;
	unsigned int i;

	(void)state;
	layers_open(&pi, "memory size=1G");
	before = resident_kib();
	memset(a, 1, sizeof(a));
	for (i = 0; i < 64; i++)
		assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, (uint64_t)i << 20, a, 1 << 20), 0);
	full = resident_kib();
	assert_true(full - before > 60 << 10);
	assert_int_equal(lio(&pi, PORTAL_IO_DISCARD, 0, 512, NULL, (64 << 20) - 1024), 0);
	after = resident_kib();
	assert_true(after < before + (8 << 10));
	/* what is beside whole pages is kept */
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, b, 4096), 0);
	assert_int_equal(b[511], 1);
	assert_int_equal(b[512], 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, (64 << 20) - 4096, b, 4096), 0);
	assert_int_equal(b[4096 - 513], 0);
	assert_int_equal(b[4096 - 512], 1);
	layers_close(&pi);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void faults_come_as_ordered(void **state)
{
	struct portal_instance pi;
	unsigned int i, bad = 0;
	uint64_t start;

	(void)state;
	layers_open(&pi, "fault seed=42 lower=memory lower.size=8M "
		    "fault=op=write,range=1M-2M,after=2,count=3,error=ENOSPC "
		    "fault=op=flush,error=EIO,count=1 "
		    "fault=op=read,range=4M-5M,rate=0.25,error=EIO "
		    "fault=op=read~range=2M-3M~delay=60 "
		    "fault=op=write~range=3M-4M~torn=1k "
		    "fault=op=write~range=5M-6M~short=1k");
	for (i = 0; i < 8; i++)
		assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 1 << 20, a, 512),
				 i >= 2 && i < 5 ? -ENOSPC : 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, (1 << 20) - 512, a, 512), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	for (i = 0; i < 400; i++)
		bad += lio(&pi, PORTAL_IO_READ, 0, 4 << 20, a, 512) != 0;
	assert_in_range(bad, 60, 140);
	start = now_ms();
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 2 << 20, a, 512), 0);
	assert_true(now_ms() - start >= 55);

	memset(a, 0x33, 4096);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 3 << 20, a, 4096), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 3 << 20, b, 4096), 0);
	assert_int_equal(b[1023], 0x33);
	assert_int_equal(b[1024], 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 5 << 20, a, 4096), -EIO);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 5 << 20, b, 4096), 0);
	assert_int_equal(b[1023], 0x33);
	assert_int_equal(b[1024], 0);
	layers_close(&pi);
}

static void faults_can_be_turned_on(void **state)
{
	char control[] = "/tmp/portald-control-XXXXXX";
	int fd = mkstemp(control);
	struct portal_instance pi;

	(void)state;
	assert_int_equal(pwrite(fd, "0", 1, 0), 1);
	layers_open(&pi, "fault lower=memory lower.size=8M fault=error=EIO control=%s", control);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 512), 0);
	assert_int_equal(pwrite(fd, "1", 1, 0), 1);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 512), -EIO);
	assert_int_equal(pwrite(fd, "0", 1, 0), 1);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, a, 512), 0);
	layers_close(&pi);
	close(fd);
	unlink(control);
}

/* A deadline, or a reset, ends what waits in the lowest of three layers. */
static void cancelling_goes_down(void **state)
{
	char log[] = "/tmp/portald-log-XXXXXX";
	static struct rig_req r[8];
	uint64_t start = now_ms();
	struct portal_instance pi;
	int fd = mkstemp(log);

	(void)state;
	layers_open(&pi, "fault lower=log lower.log=%s lower.lower=fault lower.lower.fault=delay=60000 "
		    "lower.lower.lower=memory lower.lower.lower.size=8M", log);
	block_set_timeout(pi.rig.blk, 20);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, a, 512), -ETIMEDOUT);
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), -ETIMEDOUT);
	assert_int_equal(block_stats(pi.rig.blk)->timeouts, 2);
	block_set_timeout(pi.rig.blk, 0);
	for (unsigned int i = 0; i < 8; i++)
		rig_submit(&pi.rig, &r[i], PORTAL_IO_READ, 0, i * 4096, b + i * 4096, 4096, 0);
	block_cancel(pi.rig.blk);
	assert_int_equal(block_drain(pi.rig.blk), 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(r[i].err, -ECANCELED);
	assert_true(now_ms() - start < 30000);
	layers_close(&pi);
	close(fd);
	unlink(log);
}

static void resizing_goes_down(void **state)
{
	char image[] = "/tmp/portald-layer-XXXXXX", log[] = "/tmp/portald-log-XXXXXX";
	int fd = mkstemp(image), log_fd = mkstemp(log);
	struct portal_instance pi;

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	layers_open(&pi, "fault lower=log lower.log=%s lower.lower=file lower.lower.path=%s",
		    log, image);
	assert_int_equal(backend_resize(pi.rig.be, 2 << 20), 0);
	assert_int_equal(block_update_size(pi.rig.blk), 0);
	assert_int_equal(block_info(pi.rig.blk)->size, 2 << 20);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, (2 << 20) - 512, a, 512), 0);
	layers_close(&pi);
	assert_int_equal(lseek(fd, 0, SEEK_END), 2 << 20);
	layers_open(&pi, "fault lower=memory lower.size=1M");
	assert_int_equal(backend_resize(pi.rig.be, 2 << 20), -EOPNOTSUPP);
	layers_close(&pi);
	close(fd);
	close(log_fd);
	unlink(image);
	unlink(log);
}

static void a_new_size_goes_up(void **state)
{
	char image[] = "/tmp/portald-layer-XXXXXX";
	int fd = mkstemp(image);
	struct portal_instance pi;

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	layers_open(&pi, "fault lower=fault lower.lower=file lower.lower.path=%s", image);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 1 << 20, a, 512), -ERANGE);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	layer_size_changed(&pi);
	while (!pi.rig.resized)
		assert_int_equal(rig_wait(&pi.rig), 0);
	assert_int_equal(block_info(pi.rig.blk)->size, 2 << 20);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 1 << 20, a, 512), 0);
	layers_close(&pi);
	close(fd);
	unlink(image);
}

/* A write that a flush covers is always there, one with FUA too, another by chance. */
static void the_log_tells_what_a_power_cut_leaves(void **state)
{
	const char *build = getenv("TEST_BUILD");
	char log[] = "/tmp/portald-log-XXXXXX", image[] = "/tmp/portald-cut-XXXXXX", cmd[600];
	int log_fd = mkstemp(log), fd = mkstemp(image);
	unsigned int third = 0;
	struct portal_instance pi;

	(void)state;
	layers_open(&pi, "log log=%s lower=memory lower.size=1M", log);
	memset(a, 0x11, 4096);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, a, 4096), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 4096, a, 4096), 0);
	assert_int_equal(rig_io(&pi.rig, PORTAL_IO_WRITE, 0, 8192, a, 4096, 1000), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, b, 4096), 0);
	layers_close(&pi);
	for (unsigned int seed = 0; seed < 24; seed++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(ftruncate(fd, 1 << 20), 0);
		snprintf(cmd, sizeof(cmd), "%s/tests/blkreplay %s cut 100 %u %s >/dev/null",
			 build ? build : "../build/daemon", log, seed, image);
		assert_int_equal(system(cmd), 0);
		assert_int_equal(pread(fd, b, 12288, 0), 12288);
		assert_memory_equal(b, a, 4096);
		assert_memory_equal(b + 4096, a, 4096);
		third += !memcmp(b + 8192, a, 4096);
	}
	assert_in_range(third, 2, 22);
	close(fd);
	close(log_fd);
	unlink(log);
	unlink(image);
}

/* A plugin that was built with portald 0.1 goes on working, with what came since. */
static void a_plugin_of_old_works(void **state)
{
	struct portal_instance pi;

	(void)state;
	layers_open(&pi, "frozen size=64k");
	assert_null(pi.plugin.ops.io_limits);
	assert_null(pi.plugin.ops.cancel);
	assert_null(pi.plugin.ops.open_filter);
	rig_fill(a, 65536, 3);
	assert_int_equal(rig_io(&pi.rig, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, a, 65536, 1500), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_ZERO, 0, 512, NULL, 1024), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_DISCARD, 0, 0, NULL, 512), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	memset(a + 512, 0, 1024);
	assert_int_equal(rig_io(&pi.rig, PORTAL_IO_READ, 0, 0, b, 65536, 1500), 0);
	assert_memory_equal(a, b, 65536);
	layers_close(&pi);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explains_what_is_wrong),
		cmocka_unit_test(layers_do_not_share_variables),
		cmocka_unit_test(memory_through_two_filters),
		cmocka_unit_test(a_file_through_a_filter),
		cmocka_unit_test(a_file_by_direct_io),
		cmocka_unit_test(a_file_gets_holes),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(null_is_always_zero),
		cmocka_unit_test(memory_gives_pages_back),
		cmocka_unit_test(faults_come_as_ordered),
		cmocka_unit_test(faults_can_be_turned_on),
		cmocka_unit_test(cancelling_goes_down),
		cmocka_unit_test(resizing_goes_down),
		cmocka_unit_test(a_new_size_goes_up),
		cmocka_unit_test(the_log_tells_what_a_power_cut_leaves),
		cmocka_unit_test(a_plugin_of_old_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
