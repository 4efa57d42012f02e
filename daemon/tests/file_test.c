// SPDX-License-Identifier: GPL-2.0-only
/* The file plugin: what it says when an image can't be used, and its lock. */
/* LINK: -luring */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#define LOCK_TRIES	25
#include "../plugins/file/file.c"
#include "../plugins/file/image.c"

static char last_error[512];
static char image[64];
static struct io_uring ring;
static int io_err;
static unsigned int io_ends;

static __attribute__((format(printf, 1, 2))) void fake_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

static char last_log[512];
static unsigned int log_lines;

static __attribute__((format(printf, 2, 3))) void fake_log(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_log, sizeof(last_log), fmt, ap);
	va_end(ap);
	log_lines++;
}

static int fake_parse_bool(const char *str, bool *val)
{
	*val = !strcmp(str, "on");
	return *val || !strcmp(str, "off") ? 0 : -EINVAL;
}

static struct io_uring *fake_uring(struct portal_instance *pi)
{
	(void)pi;
	return &ring;
}

static void fake_io_done(struct portal_io *io, int err)
{
	(void)io;
	io_err = err;
	io_ends++;
}

static const struct portald_api fake_api = {
	.struct_size = sizeof(fake_api), .error = fake_error, .log = fake_log, .parse_bool = fake_parse_bool,
	.uring = fake_uring, .io_done = fake_io_done,
};

static void *open_it(const char *name, const char *ro)
{
	last_error[0] = '\0';
	assert_int_equal(plugin.config("path", name), 0);
	assert_int_equal(plugin.config("readonly", ro), 0);
	assert_int_equal(plugin.config_complete(), 0);
	return plugin.open(NULL);
}

/* The message names the image and what to do about it. */
static void expect_error(const char *name, const char *ro, const char *advice)
{
	assert_null(open_it(name, ro));
	assert_non_null(strstr(last_error, name));
	assert_non_null(strstr(last_error, advice));
}

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(image, "/tmp/portald-file-XXXXXX");
	fd = mkstemp(image);
	if (fd < 0 || ftruncate(fd, 1 << 20))
		return -1;
	close(fd);
	io_ends = 0;
	return plugin.load(&fake_api);
}

static int teardown(void **state)
{
	(void)state;
	plugin.unload();
	unlink(image);
	return 0;
}

static void needs_a_path(void **state)
{
	(void)state;
	assert_int_equal(plugin.config_complete(), -EINVAL);
	assert_non_null(strstr(last_error, "path="));
	assert_int_equal(plugin.config("path", ""), 0);
	assert_int_equal(plugin.config_complete(), -EINVAL);
	assert_int_equal(plugin.config("paht", "x"), -ENOENT);
	assert_int_equal(plugin.config("readonly", "perhaps"), -EINVAL);
}

static void explains_what_it_cannot_open(void **state)
{
	char fifo[80];

	(void)state;
	expect_error("/tmp/portald-no-such-image", "off", "truncate");
	expect_error("/tmp", "off", "is a directory");
	expect_error("/tmp", "on", "is a directory");
	expect_error("/dev/null", "off", "neither a regular file");
	snprintf(fifo, sizeof(fifo), "%s/x", image);
	expect_error(fifo, "off", "Not a directory");
	if (geteuid()) {
		chmod(image, 0444);
		expect_error(image, "off", "readonly=on");
		chmod(image, 0);
		expect_error(image, "on", "permission");
		chmod(image, 0644);
	}
}

static void one_writer_or_many_readers(void **state)
{
	void *a, *b;

	(void)state;
	a = open_it(image, "off");
	assert_non_null(a);
	expect_error(image, "off", "in use by another process");
	expect_error(image, "on", "in use by another process");
	plugin.close(a);
	a = open_it(image, "on");
	b = open_it(image, "on");
	assert_non_null(a);
	assert_non_null(b);
	expect_error(image, "off", "in use by another process");
	plugin.close(a);
	plugin.close(b);
	a = open_it(image, "off");
	assert_non_null(a);
	plugin.close(a);
}

static void names_the_holder(void **state)
{
	char pid[32];
	int sync[2];
	pid_t child;
	char c;

	(void)state;
	assert_int_equal(pipe(sync), 0);
	child = fork();
	if (!child) {
		if (!open_it(image, "off") || write(sync[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(sync[0], &c, 1), 1);
	snprintf(pid, sizeof(pid), "pid %d;", (int)child);
	expect_error(image, "off", pid);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(sync[0]);
	close(sync[1]);
}

/* The worker before us was killed a moment ago. */
static void waits_for_the_lock_of_a_dying_worker(void **state)
{
	int sync[2];
	char c;
	pid_t pid;
	void *a;

	(void)state;
	assert_int_equal(pipe(sync), 0);
	pid = fork();
	if (!pid) {
		if (!open_it(image, "off") || write(sync[1], "x", 1) != 1)
			_exit(1);
		usleep(150000);
		_exit(0);
	}
	assert_int_equal(read(sync[0], &c, 1), 1);
	a = open_it(image, "off");
	assert_non_null(a);
	plugin.close(a);
	waitpid(pid, NULL, 0);
	close(sync[0]);
	close(sync[1]);
}

static void says_what_it_can(void **state)
{
	uint32_t logical, physical;
	void *a = open_it(image, "on");

	(void)state;
	assert_int_equal(plugin.get_size(a), 1 << 20);
	assert_int_equal(plugin.can_write(a), 0);
	assert_int_equal(plugin.can_flush(a), 1);
	assert_int_equal(plugin.can_fua(a), 1);
	assert_int_equal(plugin.block_size(a, &logical, &physical), 0);
	assert_int_equal(logical, 512);
	plugin.close(a);
	a = open_it(image, "off");
	assert_int_equal(plugin.can_write(a), 1);
	plugin.close(a);
}

static int wait_one(void)
{
	struct io_uring_cqe *cqe;
	unsigned int ends = io_ends;

	while (io_ends == ends) {
		struct portal_uring_op *op;
		int res;

		assert_int_equal(io_uring_submit_and_wait(&ring, 1) < 0, 0);
		assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
		op = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		op->done(op, res);
	}
	return io_err;
}

static void passes_errors_of_the_kernel_up(void **state)
{
	struct portal_io io = { .op = PORTAL_IO_READ, .len = 4096 };
	struct iovec iov = { (void *)16, 4096 };
	void *a = open_it(image, "on");

	(void)state;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	io.iov = &iov;
	io.iovcnt = 1;
	assert_int_equal(plugin.submit(a, &io), 0);
	assert_int_equal(wait_one(), -EFAULT);
	io.op = PORTAL_IO_WRITE;	/* block.c would not let it come here */
	assert_int_equal(plugin.submit(a, &io), 0);
	assert_int_equal(wait_one(), -EBADF);
	io.op = PORTAL_IO_ZERO + 1;
	assert_int_equal(plugin.submit(a, &io), -EOPNOTSUPP);
	plugin.close(a);
	io_uring_queue_exit(&ring);
}

static void fua_and_flush_reach_the_medium(void **state)
{
	static char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct portal_io io = { .op = PORTAL_IO_WRITE, .flags = PORTAL_IO_F_FUA,
				.len = 4096, .iov = &iov, .iovcnt = 1 };
	void *a = open_it(image, "off");

	(void)state;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	assert_int_equal(plugin.submit(a, &io), 0);
	assert_int_equal(wait_one(), 0);
	io = (struct portal_io){ .op = PORTAL_IO_FLUSH };
	assert_int_equal(plugin.submit(a, &io), 0);
	assert_int_equal(wait_one(), 0);
	plugin.close(a);
	io_uring_queue_exit(&ring);
}

/* What happens to an image behind our back: a line of the log, once, and EIO. */
static void notices_what_becomes_of_an_image(void **state)
{
	static char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct portal_io io = { .op = PORTAL_IO_READ, .offset = 512 << 10, .len = 4096,
				.iov = &iov, .iovcnt = 1 };
	void *a = open_it(image, "off");
	unsigned int i;

	(void)state;
	log_lines = 0;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	assert_int_equal(plugin.get_size(a), 1 << 20);
	assert_int_equal(plugin.submit(a, &io), 0);
	assert_int_equal(wait_one(), 0);
	assert_int_equal(truncate(image, 512 << 10), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(plugin.submit(a, &io), 0);
		assert_int_equal(wait_one(), -EIO);
	}
	assert_int_equal(log_lines, 1);
	assert_non_null(strstr(last_log, "cut off: 524288 bytes, 1048576"));
	unlink(image);
	for (i = 0; i < 3; i++) {
		io = (struct portal_io){ .op = PORTAL_IO_FLUSH };
		assert_int_equal(plugin.submit(a, &io), 0);
		assert_int_equal(wait_one(), 0);
	}
	assert_int_equal(log_lines, 2);
	assert_non_null(strstr(last_log, "deleted or replaced"));
	plugin.close(a);
	io_uring_queue_exit(&ring);
}

static void changes_its_size(void **state)
{
	void *a = open_it(image, "off");

	assert_non_null(a);
	assert_int_equal(plugin.resize(a, 2 << 20), 0);
	assert_int_equal(plugin.get_size(a), 2 << 20);
	plugin.close(a);
	a = open_it(image, "on");
	assert_int_equal(plugin.resize(a, 3 << 20), -EROFS);
	assert_int_equal(plugin.get_size(a), 2 << 20);
	plugin.close(a);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(needs_a_path),
		T(explains_what_it_cannot_open),
		T(one_writer_or_many_readers),
		T(names_the_holder),
		T(notices_what_becomes_of_an_image),
		T(waits_for_the_lock_of_a_dying_worker),
		T(says_what_it_can),
		T(passes_errors_of_the_kernel_up),
		T(fua_and_flush_reach_the_medium),
		T(changes_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
