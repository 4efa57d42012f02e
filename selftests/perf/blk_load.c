// SPDX-License-Identifier: GPL-2.0-only
/*
 * blk_load.c - reads or writes a disk for a while, past the guest's cache
 *
 * usage: blk_load DEVICE randread|randwrite|read QUEUE-DEPTH BLOCK-SIZE MILLISECONDS
 * Prints: requests, and of their latencies mean, 99th percentile and longest in ns.
 * By the kernel's own asynchronous I/O, so it needs no library.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEPTH	256
/* latencies that are kept for the percentile; later ones replace earlier ones */
#define MAX_KEPT	(1U << 18)

static struct iocb iocbs[MAX_DEPTH];
static uint64_t began[MAX_DEPTH];
static uint32_t kept[MAX_KEPT];
static uint64_t rng = 0x9e3779b97f4a7c15ULL, next_block, blocks;
static size_t block_size;
static int fd, is_random, opcode;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t pick(void)
{
	if (!is_random)
		return next_block++ % blocks;
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % blocks;
}

static void submit(aio_context_t ctx, unsigned int slot)
{
	struct iocb *iocb = &iocbs[slot];

	iocb->aio_data = slot;
	iocb->aio_lio_opcode = opcode;
	iocb->aio_fildes = fd;
	iocb->aio_nbytes = block_size;
	iocb->aio_offset = pick() * block_size;
	began[slot] = now_ns();
	if (syscall(SYS_io_submit, ctx, 1, &iocb) != 1)
		die("io_submit");
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct io_event events[MAX_DEPTH];
	uint64_t end, size, sum = 0, longest = 0, nr = 0;
	unsigned int depth, flying;
	aio_context_t ctx = 0;
	char *buf;
	long got;

	if (argc != 6)
		return 2;
	is_random = !strncmp(argv[2], "rand", 4);
	opcode = strstr(argv[2], "write") ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
	depth = atoi(argv[3]);
	block_size = atoi(argv[4]);
	if (!depth || depth > MAX_DEPTH || !block_size || block_size % 512)
		return 2;
	fd = open(argv[1], (opcode == IOCB_CMD_PWRITE ? O_WRONLY : O_RDONLY) | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		die(argv[1]);
	blocks = size / block_size;
	if (posix_memalign((void **)&buf, 4096, depth * block_size))
		die("memory");
	memset(buf, 0x5a, depth * block_size);
	if (syscall(SYS_io_setup, depth, &ctx))
		die("io_setup");
	end = now_ns() + atoi(argv[5]) * 1000000ULL;
	for (flying = 0; flying < depth; flying++) {
		iocbs[flying].aio_buf = (uintptr_t)(buf + flying * block_size);
		submit(ctx, flying);
	}
	while (flying) {
		got = syscall(SYS_io_getevents, ctx, 1, depth, events, NULL);
		if (got < 0 && errno != EINTR)
			die("io_getevents");
		for (long i = 0; i < got; i++) {
			uint64_t now = now_ns(), took = now - began[events[i].data];

			if (events[i].res != (int64_t)block_size) {
				errno = events[i].res < 0 ? -events[i].res : EIO;
				die("request");
			}
			kept[nr++ % MAX_KEPT] = took > UINT32_MAX ? UINT32_MAX : took;
			sum += took;
			longest = took > longest ? took : longest;
			if (now < end)
				submit(ctx, events[i].data);
			else
				flying--;
		}
	}
	got = nr < MAX_KEPT ? nr : MAX_KEPT;
	qsort(kept, got, sizeof(kept[0]), by_size);
	printf("%llu %llu %u %llu\n", (unsigned long long)nr, (unsigned long long)(sum / nr),
	       kept[got * 99 / 100], (unsigned long long)longest);
	return 0;
}
