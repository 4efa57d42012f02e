// SPDX-License-Identifier: GPL-2.0-only
/* The block layer over a plugin that does what a test tells it. */
/* LINK: block.o backend.o -luring */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "block.h"

#define DISK	(256ULL << 20)	/* mostly never touched */

enum mode { INLINE, HELD, THREAD };

/* The disk under test; plugins have one handle. */
static struct {
	enum mode mode;
	uint8_t *data;
	uint64_t size;
	int err;			/* of the next piece */
	int start_err;
	unsigned int pieces, flushes, fuas;
	uint64_t max_len;
	uint32_t max_iovs;
	struct portal_io *held[64];
	unsigned int nr_held;
	int inside, overlap;		/* threads in a callback, and was it ever two */
} disk;

static int64_t get_size(void *handle)
{
	(void)handle;
	return (int64_t)disk.size;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static void enter(void)
{
	if (__atomic_add_fetch(&disk.inside, 1, __ATOMIC_SEQ_CST) > 1)
		__atomic_store_n(&disk.overlap, 1, __ATOMIC_SEQ_CST);
	usleep(20);
}

static void leave(void)
{
	__atomic_sub_fetch(&disk.inside, 1, __ATOMIC_SEQ_CST);
}

static int ram_pread(void *handle, void *buf, uint64_t len, uint64_t offset)
{
	(void)handle;
	enter();
	memcpy(buf, disk.data + offset, len);
	leave();
	return 0;
}

static int ram_pwrite(void *handle, const void *buf, uint64_t len, uint64_t offset,
		      uint32_t flags)
{
	(void)handle;
	(void)flags;
	enter();
	memcpy(disk.data + offset, buf, len);
	leave();
	return 0;
}

static int ram_flush(void *handle)
{
	(void)handle;
	__atomic_add_fetch(&disk.flushes, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void do_piece(struct portal_io *io)
{
	uint64_t off = io->offset;
	uint32_t i;

	disk.pieces++;
	if (io->op == PORTAL_IO_FLUSH)
		disk.flushes++;
	if (io->flags & PORTAL_IO_F_FUA)
		disk.fuas++;
	if (io->len > disk.max_len)
		disk.max_len = io->len;
	if (io->iovcnt > disk.max_iovs)
		disk.max_iovs = io->iovcnt;
	for (i = 0; i < io->iovcnt; i++) {
		if (io->op == PORTAL_IO_READ)
			memcpy(io->iov[i].iov_base, disk.data + off, io->iov[i].iov_len);
		else
			memcpy(disk.data + off, io->iov[i].iov_base, io->iov[i].iov_len);
		off += io->iov[i].iov_len;
	}
	if (io->iovcnt)
		assert_int_equal(off - io->offset, io->len);
}

static void *end_in_thread(void *arg)
{
	backend_io_done(arg, disk.err);
	return NULL;
}

static int ram_submit(void *handle, struct portal_io *io)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)handle;
	if (disk.start_err)
		return disk.start_err;
	do_piece(io);
	switch (disk.mode) {
	case INLINE:
		backend_io_done(io, disk.err);
		break;
	case HELD:
		disk.held[disk.nr_held++] = io;
		break;
	case THREAD:
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		assert_int_equal(pthread_create(&thread, &attr, end_in_thread, io), 0);
		pthread_attr_destroy(&attr);
		break;
	}
	return 0;
}

static const struct portald_plugin async_plugin = {
	.get_size = get_size, .can_write = yes, .can_flush = yes, .submit = ram_submit,
};

static const struct portald_plugin sync_plugin = {
	.get_size = get_size, .can_write = yes, .pread = ram_pread, .pwrite = ram_pwrite,
	.flush = ram_flush,
};

struct fx {
	struct io_uring ring;
	struct backend *be;
	struct block *blk;
	unsigned int resized;
	bool opened;
};

static int wait_ring(void *arg)
{
	struct fx *f = arg;
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(&f->ring, 1);

	if (ret < 0)
		return ret;
	while (!io_uring_peek_cqe(&f->ring, &cqe)) {
		struct portal_uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&f->ring, cqe);
		op->done(op, res);
	}
	return 0;
}

static void resized(void *arg)
{
	struct fx *f = arg;

	f->resized++;
}

static void open_disk(struct fx *f, const struct portald_plugin *p)
{
	struct block_opts opts = {
		.uring = &f->ring, .wait = wait_ring, .resized = resized, .arg = f,
	};

	assert_int_equal(backend_create(p, &disk, &f->be), 0);
	assert_int_equal(block_create(f->be, &opts, &f->blk), 0);
	assert_int_equal(block_start(f->blk), 0);
	assert_int_equal(block_start(f->blk), 0);
	f->opened = true;
}

static int setup(void **state)
{
	struct fx *f = calloc(1, sizeof(*f));

	memset(&disk, 0, sizeof(disk));
	disk.size = DISK;
	disk.data = mmap(NULL, DISK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk.data == MAP_FAILED || io_uring_queue_init(8, &f->ring, 0))
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fx *f = *state;

	if (f->opened) {
		block_destroy(f->blk);
		backend_destroy(f->be);
	}
	io_uring_queue_exit(&f->ring);
	munmap(disk.data, DISK);
	free(f);
	return 0;
}

struct treq {
	struct block_req req;
	struct iovec iov[4];
	int err;
	bool done;
};

static void treq_done(struct block_req *req, int err)
{
	struct treq *t = (void *)req;

	assert_false(t->done);
	t->done = true;
	t->err = err;
}

static void submit(struct fx *f, struct treq *t, uint32_t op, uint32_t flags, uint64_t off,
		   void *buf, uint64_t len)
{
	memset(t, 0, sizeof(*t));
	t->req.op = op;
	t->req.flags = flags;
	t->req.offset = off;
	t->req.len = len;
	t->req.done = treq_done;
	if (buf) {
		t->iov[0] = (struct iovec){ buf, len };
		t->req.iov = t->iov;
		t->req.iovcnt = 1;
	}
	block_submit(f->blk, &t->req);
}

static int run(struct fx *f, uint32_t op, uint32_t flags, uint64_t off, void *buf, uint64_t len)
{
	struct treq t;

	submit(f, &t, op, flags, off, buf, len);
	assert_int_equal(block_drain(f->blk), 0);
	assert_true(t.done);
	return t.err;
}

static void refuses_what_is_not_on_the_disk(void **state)
{
	struct fx *f = *state;
	char buf[1024];

	open_disk(f, &async_plugin);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, DISK - 512, buf, 512), 0);
	disk.pieces = 0;
	assert_int_equal(run(f, PORTAL_IO_READ, 0, DISK, buf, 512), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, DISK - 512, buf, 1024), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_WRITE, 0, ~0ULL - 511, buf, 512), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_WRITE, 0, ~0ULL - 511, buf, 1024), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 512, NULL, ~0ULL - 511), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 1, buf, 512), -EINVAL);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 0, buf, 511), -EINVAL);
	assert_int_equal(run(f, PORTAL_IO_DISCARD, 0, DISK, NULL, 512), -ERANGE);
	assert_int_equal(run(f, PORTAL_IO_ZERO, 0, 256, NULL, 512), -EINVAL);
	assert_int_equal(run(f, 77, 0, 0, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 0, buf, 0), 0);
	assert_int_equal(disk.pieces, 0);
	assert_int_equal(block_stats(f->blk)->errors, 10);
}

static void keeps_a_read_only_disk_as_it_is(void **state)
{
	struct portald_plugin p = async_plugin;
	struct fx *f = *state;
	char buf[512];

	p.can_write = NULL;
	open_disk(f, &p);
	assert_int_equal(run(f, PORTAL_IO_WRITE, 0, 0, buf, 512), -EROFS);
	assert_int_equal(run(f, PORTAL_IO_DISCARD, 0, 0, NULL, 512), -EROFS);
	assert_int_equal(disk.pieces, 0);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 0, buf, 512), 0);
	assert_int_equal(run(f, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
}

static void cuts_long_requests(void **state)
{
	struct fx *f = *state;
	uint64_t len = 3 * BLOCK_IO_BYTES + 4096, i;
	uint8_t *buf = malloc(len);
	struct treq t;

	open_disk(f, &async_plugin);
	for (i = 0; i < len; i += 512)
		buf[i] = (uint8_t)(i >> 9);
	for (int mode = INLINE; mode <= THREAD; mode++) {
		disk.mode = mode;
		disk.pieces = 0;
		memset(disk.data, 0xee, len);
		memset(&t, 0, sizeof(t));
		t.req.op = PORTAL_IO_WRITE;
		t.req.len = len;
		t.req.done = treq_done;
		t.req.iov = t.iov;
		t.req.iovcnt = 3;
		/* borders of iovecs are nowhere near those of pieces */
		t.iov[0] = (struct iovec){ buf, 100 };
		t.iov[1] = (struct iovec){ buf + 100, 2 * BLOCK_IO_BYTES };
		t.iov[2] = (struct iovec){ buf + 100 + 2 * BLOCK_IO_BYTES,
					   len - 100 - 2 * BLOCK_IO_BYTES };
		block_submit(f->blk, &t.req);
		while (disk.nr_held)
			backend_io_done(disk.held[--disk.nr_held], 0);
		assert_int_equal(block_drain(f->blk), 0);
		assert_true(t.done);
		assert_int_equal(t.err, 0);
		assert_int_equal(disk.pieces, 4);
		assert_int_equal(disk.max_len, BLOCK_IO_BYTES);
		assert_memory_equal(disk.data, buf, len);
	}
	free(buf);
}

static void stops_at_the_first_wrong_piece(void **state)
{
	struct fx *f = *state;
	uint64_t len = 3 * BLOCK_IO_BYTES;
	uint8_t *buf = calloc(1, len);

	open_disk(f, &async_plugin);
	disk.err = -ENOSPC;
	assert_int_equal(run(f, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, buf, len), -ENOSPC);
	assert_int_equal(disk.pieces, 1);
	assert_int_equal(disk.flushes, 0);
	disk.err = 0;
	disk.start_err = -EAGAIN;
	assert_int_equal(run(f, PORTAL_IO_READ, 0, 0, buf, len), -EIO);
	assert_int_equal(block_inflight(f->blk), 0);
	free(buf);
}

static void makes_fua_of_a_flush(void **state)
{
	struct portald_plugin p = async_plugin;
	struct fx *f = *state;
	char buf[512] = { 0 };

	open_disk(f, &p);
	assert_int_equal(run(f, PORTAL_IO_WRITE, 0, 0, buf, 512), 0);
	assert_int_equal(disk.flushes, 0);
	assert_int_equal(run(f, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, buf, 512), 0);
	assert_int_equal(disk.flushes, 1);
	assert_int_equal(disk.fuas, 0);
	assert_int_equal(run(f, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(disk.flushes, 2);
	teardown(state);
	setup(state);

	f = *state;
	p.can_fua = yes;
	open_disk(f, &p);
	assert_int_equal(run(f, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, buf, 512), 0);
	assert_int_equal(disk.flushes, 0);
	assert_int_equal(disk.fuas, 1);
	teardown(state);
	setup(state);

	/* No flush: a write is stable when it ends. */
	f = *state;
	p.can_fua = NULL;
	p.can_flush = NULL;
	open_disk(f, &p);
	assert_int_equal(run(f, PORTAL_IO_WRITE, PORTAL_IO_F_FUA, 0, buf, 512), 0);
	assert_int_equal(run(f, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(disk.flushes, 0);
	assert_int_equal(disk.fuas, 0);
}

/* Random writes and reads of 64 blocks, many at once, none overlapping. */
static void random_io(struct fx *f, unsigned int rounds)
{
	static uint8_t model[64][512], buf[16][512];
	struct treq t[16];
	unsigned int i, n;

	memset(model, 0, sizeof(model));
	srandom(1);
	for (n = 0; n < rounds; n++) {
		unsigned int base = (unsigned int)random() % 4;
		bool write[16];

		for (i = 0; i < 16; i++) {
			unsigned int b = i * 4 + base;

			write[i] = random() & 1;
			memset(buf[i], (int)random(), 512);
			if (write[i])
				memcpy(model[b], buf[i], 512);
			submit(f, &t[i], write[i] ? PORTAL_IO_WRITE : PORTAL_IO_READ, 0,
			       b * 512, buf[i], 512);
		}
		assert_int_equal(block_drain(f->blk), 0);
		for (i = 0; i < 16; i++) {
			assert_true(t[i].done);
			assert_int_equal(t[i].err, 0);
			assert_memory_equal(buf[i], model[i * 4 + base], 512);
		}
	}
	assert_int_equal(block_stats(f->blk)->reads + block_stats(f->blk)->writes, rounds * 16);
}

static void calls_simple_plugins_in_one_thread(void **state)
{
	struct fx *f = *state;

	open_disk(f, &sync_plugin);
	random_io(f, 50);
	assert_int_equal(disk.overlap, 0);
	assert_int_equal(run(f, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(disk.flushes, 1);
}

static void calls_parallel_plugins_in_several(void **state)
{
	struct portald_plugin p = sync_plugin;
	struct fx *f = *state;

	p.thread_model = PORTALD_THREAD_PARALLEL;
	open_disk(f, &p);
	random_io(f, 50);
	assert_int_equal(disk.overlap, 1);
}

static void takes_ends_from_foreign_threads(void **state)
{
	struct fx *f = *state;

	open_disk(f, &async_plugin);
	disk.mode = THREAD;
	random_io(f, 50);
}

static void serial_plugins_can_be_locked_out(void **state)
{
	struct fx *f = *state;
	char buf[512];
	struct treq t;

	open_disk(f, &sync_plugin);
	backend_lock(f->be);
	submit(f, &t, PORTAL_IO_READ, 0, 0, buf, 512);
	usleep(20000);
	assert_int_equal(__atomic_load_n(&disk.inside, __ATOMIC_SEQ_CST), 0);
	backend_unlock(f->be);
	assert_int_equal(block_drain(f->blk), 0);
	assert_true(t.done);
}

static void drain_waits_for_held_requests(void **state)
{
	struct fx *f = *state;
	struct treq t;
	char buf[512];
	pthread_t thread;

	open_disk(f, &async_plugin);
	disk.mode = HELD;
	submit(f, &t, PORTAL_IO_READ, 0, 0, buf, 512);
	assert_false(t.done);
	assert_int_equal(block_inflight(f->blk), 1);
	assert_int_equal(pthread_create(&thread, NULL, end_in_thread, disk.held[0]), 0);
	assert_int_equal(block_drain(f->blk), 0);
	assert_true(t.done);
	pthread_join(thread, NULL);
}

static void tells_of_a_new_size_in_the_event_thread(void **state)
{
	struct fx *f = *state;
	char buf[512];

	open_disk(f, &async_plugin);
	disk.size = DISK / 2;
	backend_size_changed(f->be);
	assert_int_equal(f->resized, 0);
	while (!f->resized)
		assert_int_equal(wait_ring(f), 0);
	assert_int_equal(block_info(f->blk)->size, DISK / 2);
	assert_int_equal(run(f, PORTAL_IO_READ, 0, DISK / 2, buf, 512), -ERANGE);
}

static int broken_wait(void *arg)
{
	(void)arg;
	return -EBADF;
}

static void drain_says_when_it_cannot_wait(void **state)
{
	struct fx *f = *state;
	struct block_opts opts = { .uring = &f->ring, .wait = broken_wait, .arg = f };
	struct treq t;
	char buf[512];

	opts.wait = NULL;
	assert_int_equal(backend_create(&async_plugin, &disk, &f->be), 0);
	assert_int_equal(block_create(f->be, &opts, &f->blk), -EINVAL);
	opts.wait = broken_wait;
	assert_int_equal(block_create(f->be, &opts, &f->blk), 0);
	/* not started: nothing on the ring that destroy would wait for */
	disk.mode = HELD;
	submit(f, &t, PORTAL_IO_READ, 0, 0, buf, 512);
	assert_int_equal(block_drain(f->blk), -EBADF);
	backend_io_done(disk.held[0], 0);
	assert_int_equal(block_drain(f->blk), 0);
	f->opened = true;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(refuses_what_is_not_on_the_disk),
		T(keeps_a_read_only_disk_as_it_is),
		T(cuts_long_requests),
		T(stops_at_the_first_wrong_piece),
		T(makes_fua_of_a_flush),
		T(calls_simple_plugins_in_one_thread),
		T(calls_parallel_plugins_in_several),
		T(takes_ends_from_foreign_threads),
		T(serial_plugins_can_be_locked_out),
		T(drain_waits_for_held_requests),
		T(tells_of_a_new_size_in_the_event_thread),
		T(drain_says_when_it_cannot_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
