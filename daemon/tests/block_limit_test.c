// SPDX-License-Identifier: GPL-2.0-only
/* Limits, deadlines, cancelling, swapping and the numbers. */
/* LINK: block.o backend.o -luring */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>
#include "block_rig.h"
#include "log.h"

#define DISK	(1ULL << 40)
#define MS	1000000ULL

static struct {
	uint64_t size;
	bool hold, can_cancel;
	struct portal_io *held[256];
	unsigned int nr_held, cancels, started;
	int err;
	uint32_t max_inflight, logical;
	bool readonly;
} disk;

static char logged[512];
static unsigned int lines;

static void sink(int level, const char *msg)
{
	(void)level;
	lines++;
	snprintf(logged, sizeof(logged), "%s", msg);
}

static int64_t get_size(void *handle)
{
	(void)handle;
	return (int64_t)disk.size;
}

static int writable(void *handle)
{
	(void)handle;
	return !disk.readonly;
}

static int io_limits(void *handle, struct portal_io_limits *limits)
{
	(void)handle;
	limits->max_inflight = disk.max_inflight;
	return 0;
}

static int block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	(void)handle;
	*logical = *physical = disk.logical;
	return 0;
}

static int submit(void *handle, struct portal_io *io)
{
	(void)handle;
	disk.started++;
	if (disk.hold)
		disk.held[disk.nr_held++] = io;
	else
		backend_io_done(io, disk.err);
	return 0;
}

static void cancel(void *handle, struct portal_io *io)
{
	(void)handle;
	disk.cancels++;
	if (disk.can_cancel)
		backend_io_done(io, -ECANCELED);
}

static const struct portald_plugin plugin = {
	.get_size = get_size, .block_size = block_size, .can_write = writable,
	.submit = submit, .io_limits = io_limits, .cancel = cancel,
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	memset(&disk, 0, sizeof(disk));
	disk.size = DISK;
	disk.logical = 512;
	lines = 0;
	log_set_sink(sink);
	rig_ring(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	rig_exit(rig);
	free(rig);
	return 0;
}

static char buf[1 << 20];

static uint64_t real_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void limit(struct rig *rig, const char *text)
{
	struct block_limits l;
	const char *why;

	memset(&l, 0, sizeof(l));
	assert_int_equal(block_limits_parse(&l, text, &why), 0);
	assert_int_equal(block_set_limits(rig->blk, &l), 0);
}

/* How long @nr requests of @len bytes take, all at once; ms. */
static unsigned int timed(struct rig *rig, uint32_t op, unsigned int nr, uint64_t len)
{
	static struct rig_req r[256];
	uint64_t start = real_now();
	unsigned int i, done;

	for (i = 0; i < nr; i++)
		rig_submit(rig, &r[i], op, 0, 0, op == PORTAL_IO_ZERO ? NULL : buf, len, 0);
	do {
		for (i = done = 0; i < nr; i++)
			done += r[i].done;
		if (done < nr)
			assert_int_equal(rig_wait(rig), 0);
	} while (done < nr);
	return (unsigned int)((real_now() - start) / MS);
}

static void within(unsigned int val, unsigned int least, unsigned int most)
{
	if (val < least || val > most)
		fail_msg("%u ms are not between %u and %u", val, least, most);
}

static void limits_requests(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, &plugin, &disk);
	within(timed(rig, PORTAL_IO_READ, 200, 512), 0, 150);
	limit(rig, "iops=500,iops-burst=1");
	within(timed(rig, PORTAL_IO_READ, 100, 512), 190, 2000);	/* 198 */
	assert_true(block_stats(rig->blk)->throttled >= 95);
	limit(rig, "iops=500,iops-burst=100");
	within(timed(rig, PORTAL_IO_WRITE, 100, 512), 0, 150);
	within(timed(rig, PORTAL_IO_WRITE, 50, 512), 60, 2000);
	limit(rig, "off");
	within(timed(rig, PORTAL_IO_WRITE, 200, 512), 0, 150);
}

static void limits_bytes(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, &plugin, &disk);
	limit(rig, "bps=10M,bps-burst=4k");
	within(timed(rig, PORTAL_IO_READ, 32, 65536), 185, 2000);	/* 31 of 32: 194 */
	/* larger than the burst: it runs, and the next one waits for it */
	limit(rig, "bps=10M,bps-burst=4096");
	within(timed(rig, PORTAL_IO_WRITE, 2, 1 << 20), 90, 2000);
	within(timed(rig, PORTAL_IO_READ, 1, 512), 50, 2000);		/* the second's debt */
}

static void limits_reads_and_writes_apart(void **state)
{
	struct rig *rig = *state;
	struct rig_req r[3];

	rig_open(rig, &plugin, &disk);
	limit(rig, "iops-write=10,iops-write-burst=1");
	rig_submit(rig, &r[0], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	rig_submit(rig, &r[1], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	rig_submit(rig, &r[2], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	assert_true(r[0].done);
	assert_false(r[1].done);
	within(timed(rig, PORTAL_IO_READ, 200, 512), 0, 150);
	assert_int_equal(rig_io(rig, PORTAL_IO_FLUSH, 0, 0, NULL, 0, 0), 0);
	assert_false(r[2].done);
	limit(rig, "off");		/* at once, without waiting for the timer */
	assert_true(r[1].done && r[2].done);
}

static void a_drain_does_not_wait_for_limits(void **state)
{
	struct rig *rig = *state;
	struct rig_req r[20];
	uint64_t start = real_now();
	unsigned int i;

	rig_open(rig, &plugin, &disk);
	limit(rig, "iops=1,iops-burst=1");
	for (i = 0; i < 20; i++)
		rig_submit(rig, &r[i], PORTAL_IO_READ, 0, 0, buf, 512, 0);
	assert_int_equal(block_drain(rig->blk), 0);
	for (i = 0; i < 20; i++)
		assert_true(r[i].done && !r[i].err);
	within((unsigned int)((real_now() - start) / MS), 0, 500);
}

static void limits_what_is_in_the_backend(void **state)
{
	struct rig *rig = *state;
	static struct rig_req r[30];
	unsigned int i;

	disk.hold = true;
	disk.max_inflight = 8;
	rig_open(rig, &plugin, &disk);
	for (i = 0; i < 30; i++)
		rig_submit(rig, &r[i], i & 1 ? PORTAL_IO_READ : PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	assert_int_equal(disk.started, 8);
	limit(rig, "depth=4");
	for (i = 0; i < 5; i++)
		backend_io_done(disk.held[i], 0);
	assert_int_equal(disk.started, 9);	/* 3 left and one more */
	limit(rig, "off");
	assert_int_equal(disk.started, 13);
	disk.hold = false;
	for (i = 5; i < 13; i++)
		backend_io_done(disk.held[i], 0);
	for (i = 0; i < 30; i++)
		assert_true(r[i].done);
	assert_int_equal(block_stats(rig->blk)->inflight_max, 30);
	assert_int_equal(block_stats(rig->blk)->throttled, 0);
}

static void parses_limits(void **state)
{
	static const char *const bad[] = {
		"", "iops", "iops=", "iops=x", "iops=-1", "iops=1X", "iops=1kk", "iopz=1", "burst=1",
		"iops=1,,", "iops=1 ", "depth=5000000000", "bps=1000000T", "iops-burst-burst=1",
		"bps=99999999999999999999",
	};
	struct block_limits l, old;
	const char *why;
	size_t i;

	(void)state;
	memset(&l, 0, sizeof(l));
	assert_int_equal(block_limits_parse(&l, "iops=1000,bps-read-burst=2M,bps-read=1k,depth=7",
					    &why), 0);
	assert_int_equal(l.kind[BLOCK_IOPS].rate, 1000);
	assert_int_equal(l.kind[BLOCK_BPS_READ].rate, 1024);
	assert_int_equal(l.kind[BLOCK_BPS_READ].burst, 2 << 20);
	assert_int_equal(l.depth, 7);
	assert_int_equal(block_limits_parse(&l, "iops=5", &why), 0);
	assert_int_equal(l.kind[BLOCK_IOPS].rate, 5);
	assert_int_equal(l.depth, 7);
	old = l;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		if (block_limits_parse(&l, bad[i], &why) != -EINVAL || !why)
			fail_msg("'%s' is taken", bad[i]);
		assert_memory_equal(&l, &old, sizeof(l));
	}
	assert_int_equal(block_limits_parse(&l, "off,iops-write=1", &why), 0);
	assert_int_equal(l.kind[BLOCK_IOPS].rate, 0);
	assert_int_equal(l.kind[BLOCK_IOPS_WRITE].rate, 1);
}

/* What the backend has not seen ends; what it can't let go of stays. */
static void a_deadline_ends_what_can_be_ended(void **state)
{
	struct rig *rig = *state;
	struct rig_req r[3];

	disk.hold = true;
	disk.max_inflight = 1;
	rig_open(rig, &plugin, &disk);
	block_set_timeout(rig->blk, 50);
	rig_submit(rig, &r[0], PORTAL_IO_READ, 0, 4096, buf, 512, 0);
	rig_submit(rig, &r[1], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	rig_submit(rig, &r[2], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	while (!r[1].done || !r[2].done)
		assert_int_equal(rig_wait(rig), 0);
	assert_int_equal(r[1].err, -ETIMEDOUT);
	assert_int_equal(r[2].err, -ETIMEDOUT);
	assert_false(r[0].done);
	assert_int_equal(disk.cancels, 1);
	assert_int_equal(block_stats(rig->blk)->timeouts, 3);
	assert_int_equal(block_stats(rig->blk)->cancelled, 2);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(logged, "a read of 512 bytes at 4096"));
	backend_io_done(disk.held[0], 0);	/* late, and right all the same */
	assert_true(r[0].done);
	assert_int_equal(r[0].err, 0);
	assert_int_equal(lines, 2);
}

static void a_deadline_ends_what_the_backend_lets_go(void **state)
{
	struct rig *rig = *state;

	disk.hold = disk.can_cancel = true;
	rig_open(rig, &plugin, &disk);
	block_set_timeout(rig->blk, 20);
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 512, 0), -ETIMEDOUT);
	assert_int_equal(rig_io(rig, PORTAL_IO_FLUSH, 0, 0, buf, 0, 0), 0);
	block_set_timeout(rig->blk, 0);
}

static void cancels_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct rig_req r[6];
	unsigned int i;

	disk.hold = disk.can_cancel = true;
	rig_open(rig, &plugin, &disk);
	limit(rig, "iops=1,iops-burst=3");
	for (i = 0; i < 6; i++)
		rig_submit(rig, &r[i], PORTAL_IO_WRITE, 0, 0, buf, 512, 0);
	assert_int_equal(disk.started, 3);
	block_cancel(rig->blk);
	for (i = 0; i < 6; i++)
		assert_true(r[i].done && r[i].err == -ECANCELED);
	assert_int_equal(disk.started, 3);
	assert_int_equal(block_inflight(rig->blk), 0);
	assert_int_equal(block_stats(rig->blk)->cancelled, 6);
	/* an ECANCELED that nobody asked for is just an error */
	disk.hold = false;
	disk.err = -ECANCELED;
	limit(rig, "off");
	assert_int_equal(rig_io(rig, PORTAL_IO_READ, 0, 0, buf, 512, 0), -EIO);
}

static void maps_and_counts_errors(void **state)
{
	static const int map[][2] = {
		{ -EIO, -EIO }, { -ENOSPC, -ENOSPC }, { -EDQUOT, -ENOSPC }, { -EFBIG, -ENOSPC },
		{ -EAGAIN, -EIO }, { -ENOTCONN, -EIO }, { -ETIMEDOUT, -ETIMEDOUT }, { -EFAULT, -EIO },
		{ -EROFS, -EROFS }, { -ENOMEM, -ENOMEM }, { -1000, -EIO },
	};
	struct rig *rig = *state;
	const struct block_stats *st;
	size_t i, n = sizeof(map) / sizeof(map[0]);

	rig_open(rig, &plugin, &disk);
	for (i = 0; i < n; i++) {
		disk.err = map[i][0];
		assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 512, 0), map[i][1]);
	}
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 512, 0), -EIO);
	st = block_stats(rig->blk);
	assert_int_equal(st->errors, n + 1);
	for (i = 0; i < n; i++) {
		assert_int_equal(st->errnos[i].err, -map[i][0]);
		assert_int_equal(st->errnos[i].count, i == n - 1 ? 2 : 1);
	}
	for (i = 1; i < 20; i++) {
		disk.err = -2000 - (int)i;
		assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 512, 0), -EIO);
	}
	assert_int_equal(st->errnos[BLOCK_ERRNOS - 1].err, -1);
	assert_int_equal(st->errnos[BLOCK_ERRNOS - 1].count, n + 19 - (BLOCK_ERRNOS - 1));
	assert_int_equal(st->write_bytes, 0);
}

static uint64_t fake_time;

static uint64_t fake_now(void)
{
	return fake_time;
}

static char report[2048];

static void emit(void *arg, const char *key, uint64_t val)
{
	char *end = report + strlen(report);

	(void)arg;
	snprintf(end, (size_t)(report + sizeof(report) - end), "%s=%llu\n", key,
		 (unsigned long long)val);
}

static void measures_latencies(void **state)
{
	static const uint64_t ns[] = { 0, 999, 1000, 1999, 2000, 1000000, 200ULL << 30 };
	static const unsigned int bucket[] = { 0, 0, 1, 1, 2, 10, 27 };
	struct rig *rig = *state;
	struct rig_req r;

	rig->now = fake_now;
	disk.hold = true;
	rig_open(rig, &plugin, &disk);
	for (unsigned int i = 0; i < 7; i++) {
		uint64_t was = block_stats(rig->blk)->latency[PORTAL_IO_WRITE][bucket[i]];

		rig_submit(rig, &r, PORTAL_IO_WRITE, 0, 0, buf, 4096, 0);
		fake_time += ns[i];
		backend_io_done(disk.held[--disk.nr_held], 0);
		assert_int_equal(block_stats(rig->blk)->latency[PORTAL_IO_WRITE][bucket[i]],
				 was + 1);
	}
	disk.hold = false;
	disk.err = -ENOSPC;
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 512, 0), -ENOSPC);
	report[0] = '\0';
	block_report(rig->blk, emit, NULL);
	assert_non_null(strstr(report, "writes=8\n"));
	assert_non_null(strstr(report, "write_bytes=28672\n"));
	assert_non_null(strstr(report, "latency_us.write.1=3\n"));
	assert_non_null(strstr(report, "latency_us.write.1024=1\n"));
	assert_non_null(strstr(report, "error_ENOSPC=1\n"));
	assert_null(strstr(report, "latency_us.read"));
	assert_null(strstr(report, "timeouts"));
}

static void swaps_backends(void **state)
{
	struct rig *rig = *state;
	struct backend *other;
	struct rig_req r;

	rig_open(rig, &plugin, &disk);
	disk.logical = 4096;
	assert_int_equal(backend_create(&plugin, &disk, &other), 0);
	assert_int_equal(block_swap(rig->blk, other), -EINVAL);
	backend_destroy(other);
	disk.logical = 512;
	disk.readonly = true;
	assert_int_equal(backend_create(&plugin, &disk, &other), 0);
	assert_int_equal(block_swap(rig->blk, other), -EROFS);
	backend_destroy(other);
	disk.readonly = false;
	disk.size = DISK / 2;
	assert_int_equal(backend_create(&plugin, &disk, &other), 0);
	/* what waits still runs on the old one */
	limit(rig, "iops=1,iops-burst=1");
	rig_submit(rig, &r, PORTAL_IO_READ, 0, DISK - 512, buf, 512, 0);
	rig_submit(rig, &r, PORTAL_IO_READ, 0, DISK - 512, buf, 512, 0);
	assert_int_equal(block_swap(rig->blk, other), 0);
	assert_true(r.done && !r.err);
	assert_int_equal(rig->resized, 1);
	assert_int_equal(block_info(rig->blk)->size, DISK / 2);
	backend_destroy(rig->be);
	rig->be = other;
	assert_int_equal(rig_io(rig, PORTAL_IO_READ, 0, DISK - 512, buf, 512, 0), -ERANGE);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(limits_requests),
		T(limits_bytes),
		T(limits_reads_and_writes_apart),
		T(a_drain_does_not_wait_for_limits),
		T(limits_what_is_in_the_backend),
		T(parses_limits),
		T(a_deadline_ends_what_can_be_ended),
		T(a_deadline_ends_what_the_backend_lets_go),
		T(cancels_all_of_it),
		T(maps_and_counts_errors),
		T(measures_latencies),
		T(swaps_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
