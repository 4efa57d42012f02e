// SPDX-License-Identifier: GPL-2.0-only
/* What a request costs in the good case: no allocation, few system calls. */
/* LINK: lower.o plugin.o block.o backend.o -luring -ldl */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include "layer_rig.h"

#define DEPTH		32
#define REQUESTS	8192

/* Of the whole process, with all that it has loaded. */
static unsigned long allocations;

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t nr, size_t len);
void *__libc_realloc(void *p, size_t len);

void *malloc(size_t len)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_malloc(len);
}

void *calloc(size_t nr, size_t len)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_calloc(nr, len);
}

void *realloc(void *p, size_t len)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_realloc(p, len);
}

static struct portal_instance disk;
static struct block_req reqs[DEPTH];
static struct iovec iovs[DEPTH];
static char data[DEPTH][4096];
static unsigned int started, ended, errors;
static uint32_t op;

static void done(struct block_req *req, int err)
{
	ended++;
	errors += err != 0;
	(void)req;
}

static void submit(unsigned int i)
{
	iovs[i] = (struct iovec){ data[i], 4096 };
	reqs[i] = (struct block_req) {
		.op = op, .offset = (uint64_t)(started++ % 2048) * 4096, .len = 4096,
		.iov = &iovs[i], .iovcnt = 1, .done = done,
	};
	block_submit(disk.rig.blk, &reqs[i]);
}

/* A guest at full depth; how many times the kernel was entered. */
static unsigned int load(void)
{
	unsigned int waits = 0, i;

	started = ended = 0;
	while (ended < REQUESTS) {
		if (started < REQUESTS && started == ended)
			for (i = 0; i < DEPTH; i++)
				submit(i);
		assert_int_equal(rig_wait(&disk.rig), 0);
		waits++;
	}
	return waits;
}

static void measure(const char *what, const char *text)
{
	unsigned long before;
	unsigned int waits;

	layers_open(&disk, "%s", text);
	for (op = PORTAL_IO_READ; op <= PORTAL_IO_WRITE; op++) {
		load();			/* what is kept for later is made now */
		before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
		waits = load();
		print_message("%s, %s: %.3f system calls and %.3f allocations per request\n", what,
			      op ? "writes" : "reads", (double)waits / REQUESTS,
			      (double)(allocations - before) / REQUESTS);
		assert_int_equal(allocations - before, 0);
		/* file systems whose buffered writes may wait do them one by one */
		assert_true(waits * (op == PORTAL_IO_READ ? 5 : 1) <= REQUESTS);
		assert_int_equal(errors, 0);
	}
	layers_close(&disk);
}

static void a_file(void **state)
{
	char image[] = "/tmp/portald-cost-XXXXXX", text[200];
	int fd = mkstemp(image);

	(void)state;
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	snprintf(text, sizeof(text), "file path=%s", image);
	measure("file", text);
	snprintf(text, sizeof(text), "fault lower=file lower.path=%s", image);
	measure("file under a filter", text);
	close(fd);
	unlink(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_file) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
