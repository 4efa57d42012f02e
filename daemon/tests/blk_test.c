// SPDX-License-Identifier: GPL-2.0-only
/* blk_test.c - a disk by hypercalls, against kind and hostile arguments */
/* LINK: blk_service.o guest_ram.o block.o backend.o log.o -luring -lpthread */
#include "virtio_fake.h"
#include <liburing.h>
#include <linux/portal_guest.h>
#include <time.h>
#include "backend.h"
#include "frontend.h"

#define SECTORS		4096U
#define BUF		0x20000U

static uint8_t medium[SECTORS * 512];
static struct portal_io *held[80];
static unsigned int nr_held, flushes;
static bool hold, readonly;
static int io_err;

/* ---- the clock: a call that lasts ------------------------------------------ */

static uint64_t skew;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static uint64_t now = 1000000000ULL;

	(void)id;
	now++;
	ts->tv_sec = (time_t)((now + skew) / 1000000000ULL);
	ts->tv_nsec = (long)((now + skew) % 1000000000ULL);
	return 0;
}

/* ---- the medium ---------------------------------------------------------------- */

static int64_t get_size(void *handle)
{
	(void)handle;
	return sizeof(medium);
}

static int can_write(void *handle)
{
	(void)handle;
	return !readonly;
}

static int can_flush(void *handle)
{
	(void)handle;
	return 1;
}

static void end(struct portal_io *io)
{
	uint64_t off = io->offset;

	flushes += io->op == PORTAL_IO_FLUSH;
	for (uint32_t i = 0; !io_err && i < io->iovcnt; i++) {
		if (io->op == PORTAL_IO_READ)
			memcpy(io->iov[i].iov_base, medium + off, io->iov[i].iov_len);
		else
			memcpy(medium + off, io->iov[i].iov_base, io->iov[i].iov_len);
		off += io->iov[i].iov_len;
	}
	backend_io_done(io, io_err);
}

static void end_all(void)
{
	unsigned int n = nr_held;

	nr_held = 0;
	for (unsigned int i = 0; i < n; i++)
		end(held[i]);
}

static int submit(void *handle, struct portal_io *io)
{
	(void)handle;
	if (hold)
		held[nr_held++] = io;
	else
		end(io);
	return 0;
}

static const struct portald_plugin plugin = {
	.get_size = get_size, .can_write = can_write, .can_flush = can_flush, .submit = submit,
};

/* ---- the worker ------------------------------------------------------------------ */

static struct {
	struct frontend_env env;
	struct portal_mem *mem;
	struct io_uring ring;
	void *fe;
} w;

static struct {
	uint64_t id, value;
	int err;
	unsigned int nr;
} reply;

static void on_reply(struct frontend_env *env, uint64_t id, int err, uint64_t value)
{
	(void)env;
	reply.id = id;
	reply.err = err;
	reply.value = value;
	reply.nr++;
}

static int world_wait(struct frontend_env *env)
{
	struct io_uring_cqe *cqe;

	(void)env;
	if (nr_held) {
		end_all();
		return 0;
	}
	if (io_uring_submit_and_wait(&w.ring, 1) < 0)
		return -EIO;
	while (!io_uring_peek_cqe(&w.ring, &cqe)) {
		struct portal_uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&w.ring, cqe);
		op->done(op, res);
	}
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	memset(&reply, 0, sizeof(reply));
	hold = false;
	io_err = 0;
	flushes = 0;
	skew = 0;
	for (size_t i = 0; i < sizeof(medium); i++)
		medium[i] = (uint8_t)(i * 3 + i / 512);
	w.mem = mem_new();
	assert_int_equal(io_uring_queue_init(64, &w.ring, 0), 0);
	w.env.mem = w.mem;
	w.env.uring = &w.ring;
	w.env.wait = world_wait;
	w.env.reply = on_reply;
	assert_int_equal(backend_create(&plugin, NULL, &w.env.backend), 0);
	assert_int_equal(blk_frontend.create(&w.env, &w.fe), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blk_frontend.destroy(w.fe);
	backend_destroy(w.env.backend);
	io_uring_queue_exit(&w.ring);
	mem_free(w.mem);
	readonly = false;
	return 0;
}

static int setup_readonly(void **state)
{
	readonly = true;
	return setup(state);
}

/* What the guest gets, now or later; FRONTEND_LATER: not yet. */
/* Since the guest made the call: its worker was away, say. */
static uint64_t waited;

static int call(uint32_t fn, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t *value)
{
	const uint64_t args[4] = { a, b, c, d };
	unsigned int nr = reply.nr;
	struct timespec ts;
	int ret;

	w.env.req_id++;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	w.env.req_time = ts.tv_sec * 1000000000ULL + ts.tv_nsec - waited;
	ret = blk_frontend.call(w.fe, fn, args, value);
	if (ret == FRONTEND_LATER && reply.nr > nr) {
		assert_int_equal(reply.id, w.env.req_id);
		*value = reply.value;
		return reply.err;
	}
	return ret;
}

static void *ram_at(uint64_t gpa)
{
	return portal_mem_at(w.mem, gpa, 1);
}

/* ---- tests ------------------------------------------------------------------------- */

static void tells_what_it_is(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_SECTORS, 0, 0, &v), 0);
	assert_int_equal(v, SECTORS);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_SECTOR, 0, 0, &v), 0);
	assert_int_equal(v, 512);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_MAX, 0, 0, &v), 0);
	assert_int_equal(v, 512);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_FLAGS, 0, 0, &v), 0);
	assert_int_equal(v, PORTAL_BLK_F_FLUSH);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, 4, 0, 0, &v), -EINVAL);
	assert_int_equal(call(PORTAL_BLK_INFO, 1, 0, 0, 0, &v), -EINVAL);
	assert_int_equal(call(PORTAL_BLK_FNS, 0, 0, 0, 0, &v), -ENOSYS);
}

static void reads_and_writes_sectors(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(call(PORTAL_BLK_READ, 0, 5, 3, BUF + 1, &v), 0);
	assert_int_equal(v, 3 * 512);
	assert_memory_equal(ram_at(BUF + 1), medium + 5 * 512, 3 * 512);
	memset(ram_at(BUF), 0xab, 1024);
	assert_int_equal(call(PORTAL_BLK_WRITE, 0, SECTORS - 2, 2, BUF, &v), 0);
	assert_int_equal(v, 1024);
	assert_memory_equal(medium + sizeof(medium) - 1024, ram_at(BUF), 1024);
	assert_int_equal(call(PORTAL_BLK_FLUSH, 0, 0, 0, 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(flushes, 1);
	/* over two windows that are apart here; nothing at all */
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 2, RAM1_GPA - 100, &v), 0);
	assert_memory_equal(ram_at(RAM1_GPA), medium + 100, 924);
	assert_int_equal(call(PORTAL_BLK_READ, 0, SECTORS, 0, BUF, &v), 0);
	assert_int_equal(v, 0);
}

static void checks_what_it_is_given(void **state)
{
	static const uint64_t bad[][3] = {
		{ SECTORS, 1, BUF }, { SECTORS - 1, 2, BUF }, { 0, 513, BUF },
		{ ~0ULL, 1, BUF }, { 1, ~0ULL, BUF }, { 0, 1ULL << 55, BUF },
		{ 0, 1, HOLE_GPA }, { 0, 1, HOLE_GPA - 511 }, { 0, 1, ~0ULL }, { 0, 1, ~0ULL - 511 },
		{ 0, 1, LATE_GPA },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(call(PORTAL_BLK_READ, 0, bad[i][0], bad[i][1], bad[i][2], &v),
				 -EINVAL);
		assert_int_equal(call(PORTAL_BLK_WRITE, 0, bad[i][0], bad[i][1], bad[i][2], &v),
				 -EINVAL);
	}
	assert_int_equal(call(PORTAL_BLK_READ, 1, 0, 1, BUF, &v), -EINVAL);
	w.mem->late = true;
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, LATE_GPA, &v), 0);
}

static void readonly_stays_so(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(call(PORTAL_BLK_WRITE, 0, 0, 1, BUF, &v), -EROFS);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_FLAGS, 0, 0, &v), 0);
	assert_int_equal(v & PORTAL_BLK_F_READONLY, PORTAL_BLK_F_READONLY);
}

static void errors_reach_the_guest(void **state)
{
	uint64_t v;

	(void)state;
	io_err = -ENOSPC;
	assert_int_equal(call(PORTAL_BLK_WRITE, 0, 0, 1, BUF, &v), -ENOSPC);
	io_err = -EIO;
	memset(ram_at(BUF), 0xee, 512);
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), -EIO);
	assert_int_equal(*(uint8_t *)ram_at(BUF), 0xee);
}

static void others_go_on_meanwhile(void **state)
{
	uint64_t v;
	unsigned int i;

	(void)state;
	hold = true;
	for (i = 0; i < 64; i++)
		assert_int_equal(call(PORTAL_BLK_READ, 0, i, 1, BUF + 512 * i, &v),
				 FRONTEND_LATER);
	assert_int_equal(blk_frontend.inflight(w.fe), 64);
	assert_int_equal(call(PORTAL_BLK_INFO, 0, PORTAL_BLK_SECTORS, 0, 0, &v), 0);
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), -EBUSY);
	assert_int_equal(call(PORTAL_BLK_FLUSH, 0, 0, 0, 0, &v), -EBUSY);
	end_all();
	assert_int_equal(reply.nr, 64);
	assert_memory_equal(ram_at(BUF), medium, 64 * 512);
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), FRONTEND_LATER);
}

/* The kernel has ended the call, and the guest may use its buffer for other things. */
static void nothing_lands_late(void **state)
{
	uint64_t v;

	(void)state;
	hold = true;
	memset(ram_at(BUF), 0xee, 512);
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), FRONTEND_LATER);
	skew = 4100000000ULL;
	end_all();
	assert_int_equal(reply.err, -ETIME);
	for (int i = 0; i < 512; i++)
		assert_int_equal(((uint8_t *)ram_at(BUF))[i], 0xee);
	/* nor if it came late already */
	hold = false;
	waited = 4100000000ULL;
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), -ETIME);
	waited = 0;
	assert_int_equal(*(uint8_t *)ram_at(BUF), 0xee);
	/* nor when the worker goes */
	hold = true;
	assert_int_equal(call(PORTAL_BLK_READ, 0, 0, 1, BUF, &v), FRONTEND_LATER);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(tells_what_it_is), T(reads_and_writes_sectors), T(checks_what_it_is_given),
		cmocka_unit_test_setup_teardown(readonly_stays_so, setup_readonly, teardown),
		T(errors_reach_the_guest), T(others_go_on_meanwhile), T(nothing_lands_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
