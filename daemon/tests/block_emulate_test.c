// SPDX-License-Identifier: GPL-2.0-only
/* What the block layer makes of requests that a backend can't take. */
/* LINK: block.o backend.o -luring */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include "block_rig.h"

#define DISK	(64ULL << 20)

/* A disk of memory that is as choosy as a test wants, and says if it was obeyed. */
static struct {
	uint8_t *data;
	struct portal_io_limits limits;
	uint32_t logical;
	bool discard, zero, fua;
	int discard_err, zero_err;
	unsigned int pieces[BLOCK_NR_OPS], fuas;
	uint64_t longest;
	uint32_t most_iovs;
	bool bad;
	struct portal_io *held[BLOCK_IO_IOVS];
	unsigned int nr_held;
	bool hold;
	const char *refused;			/* memory that direct I/O can't reach */
	size_t refused_len;
} disk;

static int64_t get_size(void *handle)
{
	(void)handle;
	return DISK;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int can_discard(void *handle)
{
	(void)handle;
	return disk.discard;
}

static int can_zero(void *handle)
{
	(void)handle;
	return disk.zero;
}

static int can_fua(void *handle)
{
	(void)handle;
	return disk.fua;
}

static int block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	(void)handle;
	*logical = disk.logical;
	*physical = 4096;
	return 0;
}

static int io_limits(void *handle, struct portal_io_limits *limits)
{
	uint32_t size = limits->struct_size;

	(void)handle;
	*limits = disk.limits;
	limits->struct_size = size;
	return 0;
}

static int do_data(const struct portal_io *io)
{
	uint64_t off = io->offset;

	for (uint32_t i = 0; i < io->iovcnt; i++) {
		char *p = io->iov[i].iov_base;
		size_t n = io->iov[i].iov_len;

		if (disk.limits.mem_align && (((uintptr_t)p | n) & (disk.limits.mem_align - 1)))
			disk.bad = true;
		if (disk.refused && p >= disk.refused && p < disk.refused + disk.refused_len)
			return -EFAULT;
		if (io->op == PORTAL_IO_READ)
			memcpy(p, disk.data + off, n);
		else
			memcpy(disk.data + off, p, n);
		off += n;
	}
	if (off - io->offset != io->len)
		disk.bad = true;
	return 0;
}

static int submit(void *handle, struct portal_io *io)
{
	const struct portal_io_limits *l = &disk.limits;
	bool data = io->op == PORTAL_IO_READ || io->op == PORTAL_IO_WRITE;
	int err = 0;

	(void)handle;
	disk.pieces[io->op]++;
	if (io->flags & PORTAL_IO_F_FUA)
		disk.fuas++;
	if (data && io->len > disk.longest)
		disk.longest = io->len;
	if (io->iovcnt > disk.most_iovs)
		disk.most_iovs = io->iovcnt;
	if ((io->offset | io->len) & (disk.logical - 1) ||
	    (data && l->max_transfer && io->len > l->max_transfer) ||
	    (!data && l->max_discard && io->len > l->max_discard) ||
	    (l->max_iovs && io->iovcnt > l->max_iovs))
		disk.bad = true;
	if (data)
		err = do_data(io);
	else if (io->op == PORTAL_IO_DISCARD)
		err = disk.discard_err;
	else if (io->op == PORTAL_IO_ZERO)
		err = disk.zero_err;
	if (!err && io->op == PORTAL_IO_ZERO)
		memset(disk.data + io->offset, 0, io->len);
	if (disk.hold)
		disk.held[disk.nr_held++] = io;
	else
		backend_io_done(io, err);
	return 0;
}

static const struct portald_plugin plugin = {
	.get_size = get_size, .block_size = block_size, .can_write = yes, .can_flush = yes,
	.can_discard = can_discard, .can_zero = can_zero, .can_fua = can_fua,
	.submit = submit, .io_limits = io_limits,
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	memset(&disk, 0, sizeof(disk));
	disk.logical = 512;
	disk.data = mmap(NULL, DISK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	rig_ring(rig);
	*state = rig;
	return disk.data == MAP_FAILED;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	rig_exit(rig);
	free(rig);
	munmap(disk.data, DISK);
	return 0;
}

/* Every length and cut of iovecs arrives as it was sent, in pieces as wanted. */
static void check_cuts(struct rig *rig)
{
	static char in[40960 + 64], out[40960 + 64];
	static const size_t each[] = { 0, 1000, 1536, 4096, 4100, 7777 };
	static const uint64_t lens[] = { 4096, 8192, 40960 };
	struct iovec before[64];
	unsigned int seed = 0;

	for (unsigned int e = 0; e < 6; e++) {
		for (unsigned int l = 0; l < 3; l++) {
			for (unsigned int skew = 0; skew < 64; skew += 21) {
				struct rig_req r;
				uint64_t off = 4096 * (1 + seed % 7);

				rig_fill(out, sizeof(out), ++seed);
				rig_submit(rig, &r, PORTAL_IO_WRITE, 0, off, out + skew, lens[l],
					   each[e]);
				assert_int_equal(block_drain(rig->blk), 0);
				assert_int_equal(r.err, 0);
				assert_memory_equal(disk.data + off, out + skew, lens[l]);
				memset(in, 0xee, sizeof(in));
				rig_submit(rig, &r, PORTAL_IO_READ, 0, off, in + skew, lens[l],
					   each[e]);
				assert_int_equal(block_drain(rig->blk), 0);
				assert_int_equal(r.err, 0);
				assert_memory_equal(in + skew, out + skew, lens[l]);
				assert_int_equal((uint8_t)in[skew + lens[l]], 0xee);
				/* the iovecs are as they were */
				memcpy(before, r.iov, sizeof(before));
				for (uint32_t i = 0, pos = 0; i < r.req.iovcnt; i++) {
					assert_ptr_equal(before[i].iov_base, in + skew + pos);
					pos += before[i].iov_len;
				}
			}
		}
	}
	assert_false(disk.bad);
}

static void cuts_what_is_too_long(void **state)
{
	struct rig *rig = *state;

	disk.limits.max_transfer = 2048;
	rig_open(rig, &plugin, &disk);
	check_cuts(rig);
	assert_int_equal(disk.longest, 2048);
	assert_int_equal(block_stats(rig->blk)->bounced, 0);
	assert_true(block_stats(rig->blk)->split > 0);
}

static void cuts_what_is_in_too_many_iovecs(void **state)
{
	struct rig *rig = *state;

	disk.limits.max_iovs = 2;
	rig_open(rig, &plugin, &disk);
	check_cuts(rig);
	assert_int_equal(disk.most_iovs, 2);
}

static void bounces_blocks_in_more_iovecs_than_possible(void **state)
{
	struct rig *rig = *state;

	disk.limits.max_iovs = 1;
	disk.logical = 4096;
	rig_open(rig, &plugin, &disk);
	check_cuts(rig);
	assert_true(block_stats(rig->blk)->bounced > 0);
}

static void bounces_what_is_not_aligned(void **state)
{
	struct rig *rig = *state;

	disk.limits.mem_align = 512;
	rig_open(rig, &plugin, &disk);
	check_cuts(rig);
	assert_true(block_stats(rig->blk)->bounced > 0);
}

static void leaves_alone_what_is_aligned(void **state)
{
	static _Alignas(4096) char buf[8192];
	struct rig *rig = *state;

	disk.limits.mem_align = 4096;
	rig_open(rig, &plugin, &disk);
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 8192, 4096), 0);
	assert_int_equal(block_stats(rig->blk)->bounced, 0);
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, 8192, 512), 0);
	assert_int_equal(block_stats(rig->blk)->bounced, 1);
	assert_false(disk.bad);
}

/* Requests without a bounce buffer wait for one. */
static void bounces_more_than_there_are_buffers(void **state)
{
	static struct rig_req r[40];
	static char buf[40][512 + 1];
	struct rig *rig = *state;
	unsigned int i;

	disk.limits.mem_align = 512;
	disk.hold = true;
	rig_open(rig, &plugin, &disk);
	for (i = 0; i < 40; i++) {
		memset(buf[i], (int)i, sizeof(buf[i]));
		rig_submit(rig, &r[i], PORTAL_IO_WRITE, 0, i * 512, buf[i] + 1, 512, 100);
	}
	assert_int_equal(disk.nr_held, 16);
	for (i = 0; i < disk.nr_held; i++)
		backend_io_done(disk.held[i], 0);
	for (i = 0; i < 40; i++) {
		assert_true(r[i].done);
		assert_int_equal(r[i].err, 0);
		assert_int_equal(disk.data[i * 512 + 511], i);
	}
}

/* Direct I/O on memory without struct pages: found out once. */
static void copies_when_the_memory_is_no_good(void **state)
{
	static _Alignas(4096) char buf[1 << 20];
	struct rig *rig = *state;

	disk.limits.mem_align = 512;
	disk.refused = buf;
	disk.refused_len = sizeof(buf);
	rig_open(rig, &plugin, &disk);
	rig_fill(buf, sizeof(buf), 5);
	assert_int_equal(rig_io(rig, PORTAL_IO_WRITE, 0, 0, buf, sizeof(buf), 65536), 0);
	assert_memory_equal(disk.data, buf, sizeof(buf));
	assert_int_equal(disk.pieces[PORTAL_IO_WRITE], 1 + 4);	/* 256k each */
	memset(buf, 0, sizeof(buf));
	assert_int_equal(rig_io(rig, PORTAL_IO_READ, 0, 0, buf, sizeof(buf), 65536), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_READ], 4);
	assert_memory_equal(disk.data, buf, sizeof(buf));
}

static void an_unreachable_address_is_an_error(void **state)
{
	static char buf[512];
	struct rig *rig = *state;

	disk.refused = buf;
	disk.refused_len = sizeof(buf);
	rig_open(rig, &plugin, &disk);	/* no alignment: not direct I/O */
	assert_int_equal(rig_io(rig, PORTAL_IO_READ, 0, 0, buf, 512, 0), -EIO);
	assert_int_equal(block_stats(rig->blk)->errnos[0].err, EFAULT);
	assert_int_equal(disk.pieces[PORTAL_IO_READ], 1);
}

static void writes_zeroes_by_hand(void **state)
{
	struct rig *rig = *state;
	const uint64_t len = (3 << 20) + 4096 + 512;

	disk.limits.max_transfer = 512 << 10;
	rig_open(rig, &plugin, &disk);
	memset(disk.data, 0x77, 8 << 20);
	assert_int_equal(rig_io(rig, PORTAL_IO_ZERO, PORTAL_IO_F_UNMAP | PORTAL_IO_F_FUA, 512,
				NULL, len, 0), 0);
	assert_int_equal(disk.data[511], 0x77);
	for (uint64_t i = 0; i < len; i++)
		if (disk.data[512 + i])
			fail_msg("byte %llu is not zero", (unsigned long long)i);
	assert_int_equal(disk.data[512 + len], 0x77);
	assert_false(disk.bad);
	assert_int_equal(disk.pieces[PORTAL_IO_ZERO], 0);
	assert_int_equal(disk.pieces[PORTAL_IO_FLUSH], 1);	/* FUA */
	assert_int_equal(disk.longest, 512 << 10);
}

static void writes_zeroes_when_the_backend_finds_it_cannot(void **state)
{
	struct rig *rig = *state;

	disk.zero = true;
	disk.zero_err = -EOPNOTSUPP;
	rig_open(rig, &plugin, &disk);
	memset(disk.data, 0x77, 1 << 20);
	assert_int_equal(rig_io(rig, PORTAL_IO_ZERO, 0, 4096, NULL, 200 << 10, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_ZERO], 1);
	assert_int_equal(disk.data[4096], 0);
	assert_int_equal(disk.data[4095 + (200 << 10)], 0);
	assert_int_equal(disk.data[4096 + (200 << 10)], 0x77);
	assert_int_equal(rig_io(rig, PORTAL_IO_ZERO, 0, 0, NULL, 4096, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_ZERO], 1);	/* not asked again */
	assert_int_equal(disk.data[0], 0);
}

static void cuts_zeroes_and_discards(void **state)
{
	struct rig *rig = *state;

	disk.zero = disk.discard = true;
	disk.limits.max_discard = 1 << 20;
	rig_open(rig, &plugin, &disk);
	memset(disk.data, 0x77, 8 << 20);
	assert_int_equal(rig_io(rig, PORTAL_IO_ZERO, 0, 0, NULL, (5 << 20) + 512, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_ZERO], 6);
	assert_int_equal(disk.data[(5 << 20) + 511], 0);
	assert_int_equal(disk.data[(5 << 20) + 512], 0x77);
	assert_int_equal(rig_io(rig, PORTAL_IO_DISCARD, 0, 0, NULL, 2 << 20, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_DISCARD], 2);
	disk.discard_err = -EIO;
	assert_int_equal(rig_io(rig, PORTAL_IO_DISCARD, 0, 0, NULL, 2 << 20, 0), -EIO);
	assert_false(disk.bad);
}

static void a_discard_may_do_nothing(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, &plugin, &disk);
	memset(disk.data, 0x77, 4096);
	assert_int_equal(rig_io(rig, PORTAL_IO_DISCARD, 0, 0, NULL, 4096, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_DISCARD], 0);
	assert_int_equal(block_stats(rig->blk)->ignored, 1);
	rig_close(rig);
	disk.discard = true;
	disk.discard_err = -EOPNOTSUPP;
	rig_open(rig, &plugin, &disk);
	assert_int_equal(rig_io(rig, PORTAL_IO_DISCARD, 0, 0, NULL, 4096, 0), 0);
	assert_int_equal(rig_io(rig, PORTAL_IO_DISCARD, 0, 0, NULL, 4096, 0), 0);
	assert_int_equal(disk.pieces[PORTAL_IO_DISCARD], 1);
	assert_int_equal(disk.data[0], 0x77);
}

static void refuses_limits_that_make_no_sense(void **state)
{
	struct rig *rig = *state;
	struct backend *be;

	disk.limits.mem_align = 3;
	assert_int_equal(backend_create(&plugin, &disk, &be), -EINVAL);
	disk.limits.mem_align = 8192;
	assert_int_equal(backend_create(&plugin, &disk, &be), -EINVAL);
	disk.limits.mem_align = 0;
	disk.logical = 4096;
	disk.limits.max_transfer = 2048;
	assert_int_equal(backend_create(&plugin, &disk, &be), -EINVAL);
	disk.limits.max_transfer = 4096 * 3 + 512;
	rig_open(rig, &plugin, &disk);
	assert_int_equal(block_info(rig->blk)->limits.max_transfer, 4096 * 3);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cuts_what_is_too_long),
		T(cuts_what_is_in_too_many_iovecs),
		T(bounces_blocks_in_more_iovecs_than_possible),
		T(bounces_what_is_not_aligned),
		T(leaves_alone_what_is_aligned),
		T(bounces_more_than_there_are_buffers),
		T(copies_when_the_memory_is_no_good),
		T(an_unreachable_address_is_an_error),
		T(writes_zeroes_by_hand),
		T(writes_zeroes_when_the_backend_finds_it_cannot),
		T(cuts_zeroes_and_discards),
		T(a_discard_may_do_nothing),
		T(refuses_limits_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
