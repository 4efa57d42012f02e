// SPDX-License-Identifier: GPL-2.0-only
/* The overlay plugin: against a model, over deaths and power cuts, and its tool. */
/* LINK: lower.o plugin.o block.o backend.o -luring -ldl */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "layer_rig.h"
#include "../plugins/overlay/format.h"

/* Not whole clusters; the base has something in each sector. */
#define DISK	((4ULL << 20) + 3 * 4096)
#define SECTORS	(DISK / 512)

static char base[64], cow[64];
static char *model, *before, *buf;

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(base, "/tmp/portald-base-XXXXXX");
	strcpy(cow, "/tmp/portald-cow-XXXXXX");
	model = mmap(NULL, DISK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	before = malloc(DISK);
	buf = malloc(DISK);
	rig_fill(model, DISK, 99);
	fd = mkstemp(base);
	if (pwrite(fd, model, DISK, 0) != (ssize_t)DISK)
		return -1;
	close(fd);
	close(mkstemp(cow));
	srandom(3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(base);
	unlink(cow);
	munmap(model, DISK);
	free(before);
	free(buf);
	return 0;
}

static void open_it(struct portal_instance *pi)
{
	layers_open(pi, "overlay path=%s lower=file lower.path=%s lower.readonly=on", cow, base);
}

/* Writes, zeroes and discards that only the overlay sees; the model follows. */
static void change(struct portal_instance *pi, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t len = random() % 4 ? (uint64_t)(random() % 40 + 1) * 512 :
			(uint64_t)(random() % 1024 + 1) * 512;
		uint64_t off = (uint64_t)random() % (SECTORS - len / 512 + 1) * 512;
		char *at = model + off;

		switch (random() % 5) {
		case 0:
			assert_int_equal(lio(pi, PORTAL_IO_ZERO, 0, off, NULL, len), 0);
			memset(at, 0, len);
			break;
		case 1:
			assert_int_equal(lio(pi, PORTAL_IO_DISCARD, 0, off, NULL, len), 0);
			/* may read as anything: make it known */
			assert_int_equal(lio(pi, PORTAL_IO_READ, 0, off, at, len), 0);
			break;
		default:
			rig_fill(buf, len, (unsigned int)random());
			memcpy(at, buf, len);
			assert_int_equal(rig_io(&pi->rig, PORTAL_IO_WRITE, 0, off, buf, len,
						(size_t)random() % 9000 + 16384), 0);
		}
	}
}

static void compare(struct portal_instance *pi)
{
	assert_int_equal(lio(pi, PORTAL_IO_READ, 0, 0, buf, DISK), 0);
	for (uint64_t i = 0; i < SECTORS; i++)
		if (memcmp(buf + i * 512, model + i * 512, 512))
			fail_msg("sector %llu is wrong", (unsigned long long)i);
}

static void check_base(void)
{
	char *want = malloc(DISK);
	int fd = open(base, O_RDONLY);

	rig_fill(want, DISK, 99);
	assert_int_equal(pread(fd, buf, DISK, 0), DISK);
	assert_memory_equal(buf, want, DISK);
	close(fd);
	free(want);
}

static void keeps_what_is_written_and_the_base_as_it_is(void **state)
{
	struct portal_instance pi;

	(void)state;
	for (int i = 0; i < 5; i++) {
		open_it(&pi);
		assert_int_equal(block_info(pi.rig.blk)->size, DISK);
		compare(&pi);
		change(&pi, 100);
		compare(&pi);
		if (i & 1)
			assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
		layers_close(&pi);
	}
	check_base();
}

/* Many writes into the same few clusters at once: each copies them only once. */
static void first_writes_into_a_cluster_wait_for_each_other(void **state)
{
	static struct rig_req r[48];
	static char data[48][512];
	struct portal_instance pi;
	unsigned int i, n;

	(void)state;
	open_it(&pi);
	for (n = 0; n < 20; n++) {
		for (i = 0; i < 48; i++) {
			uint64_t off = (n * 3 + i % 3) * 65536 + (i * 7 % 128) * 512;

			memset(data[i], (int)(n + i), 512);
			memcpy(model + off, data[i], 512);
			rig_submit(&pi.rig, &r[i], PORTAL_IO_WRITE, 0, off, data[i], 512, 0);
		}
		assert_int_equal(block_drain(pi.rig.blk), 0);
		for (i = 0; i < 48; i++)
			assert_true(r[i].done && !r[i].err);
	}
	compare(&pi);
	layers_close(&pi);
}

/* kill -9 without a flush: what had ended is there. */
static void a_death_loses_nothing(void **state)
{
	struct portal_instance pi;
	int status;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			srandom(100 + (unsigned int)i);
			open_it(&pi);
			change(&pi, 60);
			raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		open_it(&pi);		/* the model is shared with it */
		compare(&pi);
		layers_close(&pi);
	}
}

/*
 * What a power cut may leave: another boot, so only the table counts; of clusters
 * that it does not speak of, the data may be there, or not.
 */
static void cut_the_power(bool lose)
{
	struct overlay_header h;
	uint8_t *table;
	int fd = open(cow, O_RDWR);
	char junk[65536];

	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	assert_true(overlay_header_ok(&h));
	memset(h.boot_id, 'x', 36);
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	table = malloc(h.table_len);
	assert_int_equal(pread(fd, table, h.table_len, (off_t)h.table_off), h.table_len);
	memset(junk, 0xdd, sizeof(junk));
	for (uint64_t c = 0; lose && c < overlay_clusters(&h); c++)
		if (overlay_get(table, c) != OVERLAY_HERE)
			assert_int_equal(pwrite(fd, junk, sizeof(junk),
						(off_t)(h.data_off + c * 65536)), sizeof(junk));
	/* the working table is of no meaning any more */
	memset(table, 0x55, h.table_len);
	assert_int_equal(pwrite(fd, table, h.table_len, (off_t)h.working_off), h.table_len);
	free(table);
	close(fd);
}

static void a_power_cut_leaves_what_was_flushed(void **state)
{
	struct portal_instance pi;

	(void)state;
	for (int i = 0; i < 8; i++) {
		open_it(&pi);
		change(&pi, 30);
		assert_int_equal(lio(&pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
		memcpy(before, model, DISK);
		change(&pi, 30);		/* may be lost, or not */
		layers_close(&pi);
		cut_the_power(i & 1);
		open_it(&pi);
		assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, buf, DISK), 0);
		for (uint64_t s = 0; s < SECTORS; s++) {
			static const char zero[512];
			const char *is = buf + s * 512;

			/* zero: punched by a discard whose table was not written */
			if (memcmp(is, before + s * 512, 512) && memcmp(is, model + s * 512, 512) &&
			    memcmp(is, zero, 512))
				fail_msg("round %d: sector %llu is neither old nor new", i,
					 (unsigned long long)s);
		}
		memcpy(model, buf, DISK);
		change(&pi, 30);
		compare(&pi);
		layers_close(&pi);
	}
	check_base();
}

static void refuses_what_is_not_its_own(void **state)
{
	struct portal_instance pi;
	char text[256], text2[256];

	(void)state;
	snprintf(text, sizeof(text), "overlay lower=memory lower.size=1M path=%s", base);
	layers_refuse("overlay lower=memory lower.size=1M", "path= is missing");
	layers_refuse(text, "not an overlay");
	layers_refuse("overlay lower=memory lower.size=1M path=/nosuch/x", "No such file");
	layers_refuse("overlay lower=memory lower.size=1M path=/dev/null", "not a regular file");
	open_it(&pi);
	layers_close(&pi);
	snprintf(text2, sizeof(text2), "overlay lower=memory lower.size=1M path=%s", cow);
	layers_refuse(text2, "was made for a lower layer");
}

static void tool(const char *command, const char *file, const char *image, int want)
{
	const char *build = getenv("TEST_BUILD");
	char cmd[800];

	snprintf(cmd, sizeof(cmd), "%s/portal-overlay %s %s %s >/dev/null 2>&1",
		 build ? build : "../build/daemon", command, file, image);
	assert_int_equal(WEXITSTATUS(system(cmd)), want);
}

static void the_tool_commits_and_discards(void **state)
{
	struct portal_instance pi;
	int fd;

	(void)state;
	open_it(&pi);
	change(&pi, 100);
	tool("commit", cow, base, 1);		/* in use */
	layers_close(&pi);
	tool("info", cow, "", 0);
	tool("commit", cow, base, 0);
	fd = open(base, O_RDONLY);
	assert_int_equal(pread(fd, buf, DISK, 0), DISK);
	assert_memory_equal(buf, model, DISK);
	close(fd);
	open_it(&pi);
	compare(&pi);
	memcpy(before, model, DISK);
	change(&pi, 50);
	layers_close(&pi);
	tool("discard", cow, "", 0);
	memcpy(model, before, DISK);
	open_it(&pi);
	compare(&pi);
	layers_close(&pi);
	tool("discard", "/etc/hostname", "", 1);
	tool("destroy", cow, "", 2);
}

static void errors_below_come_up(void **state)
{
	struct portal_instance pi;

	(void)state;
	layers_open(&pi, "overlay path=%s lower=fault lower.fault=op=read,range=64k-128k,error=EIO "
		    "lower.lower=file lower.lower.path=%s lower.lower.readonly=on", cow, base);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 65536, buf, 512), -EIO);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 65536, buf, 512), -EIO);	/* copies */
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 65536, buf, 65536), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 65536, buf, 512), 0);
	layers_close(&pi);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(keeps_what_is_written_and_the_base_as_it_is),
		T(first_writes_into_a_cluster_wait_for_each_other),
		T(a_death_loses_nothing),
		T(a_power_cut_leaves_what_was_flushed),
		T(refuses_what_is_not_its_own),
		T(the_tool_commits_and_discards),
		T(errors_below_come_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
