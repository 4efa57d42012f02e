// SPDX-License-Identifier: GPL-2.0-only
/* What a plugin says it can do, and the plugins memory and null themselves. */
/* LINK: backend.o -ldl */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include "backend.h"

static int64_t the_size = 1 << 20;
static uint32_t logical, physical;
static unsigned int calls;

static int64_t get_size(void *handle)
{
	(void)handle;
	return the_size;
}

static int block_size(void *handle, uint32_t *log, uint32_t *phys)
{
	(void)handle;
	*log = logical;
	*phys = physical;
	return 0;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int fails(void *handle)
{
	(void)handle;
	return -EIO;
}

static int pread_ok(void *handle, void *buf, uint64_t len, uint64_t offset)
{
	(void)handle;
	memset(buf, (int)(offset & 0xff), len);
	calls++;
	return 1;		/* positive is success */
}

static int pwrite_fails(void *handle, const void *buf, uint64_t len, uint64_t offset,
			uint32_t flags)
{
	(void)handle;
	(void)buf;
	(void)len;
	(void)offset;
	(void)flags;
	calls++;
	return calls == 2 ? -ENOSPC : 0;
}

static int flush_ok(void *handle)
{
	(void)handle;
	calls++;
	return 0;
}

static int submit_ok(void *handle, struct portal_io *io)
{
	(void)handle;
	backend_io_done(io, -EIO);
	return 0;
}

static struct backend_info info_of(const struct portald_plugin *p)
{
	struct backend_info info;
	struct backend *be;

	assert_int_equal(backend_create(p, NULL, &be), 0);
	info = *backend_info(be);
	backend_destroy(be);
	return info;
}

static void a_minimal_plugin_is_read_only(void **state)
{
	struct portald_plugin p = { .get_size = get_size, .pread = pread_ok };
	struct backend_info info = info_of(&p);

	(void)state;
	assert_int_equal(info.size, 1 << 20);
	assert_int_equal(info.logical, 512);
	assert_int_equal(info.physical, 512);
	assert_false(info.writable || info.flush || info.fua || info.discard || info.zero);
	assert_false(info.async || info.parallel);
}

static void a_promise_needs_a_function(void **state)
{
	struct portald_plugin p = {
		.thread_model = PORTALD_THREAD_PARALLEL, .get_size = get_size,
		.pread = pread_ok, .can_write = yes, .can_flush = yes, .can_fua = yes,
		.can_discard = yes, .can_zero = yes,
	};
	struct backend_info info = info_of(&p);

	(void)state;
	assert_false(info.writable || info.flush || info.discard || info.zero);
	assert_true(info.parallel);
	p.pwrite = pwrite_fails;
	p.flush = flush_ok;
	info = info_of(&p);
	assert_true(info.writable && info.flush && info.fua);
	p.can_flush = NULL;		/* default: is there a flush() */
	assert_true(info_of(&p).flush);
	p.submit = submit_ok;		/* does all of it */
	info = info_of(&p);
	assert_true(info.async && info.writable && info.discard && info.zero);
}

static void refuses_plugins_that_are_no_disk(void **state)
{
	struct portald_plugin p = { .get_size = get_size };
	struct backend *be;

	(void)state;
	assert_int_equal(backend_create(&p, NULL, &be), -EINVAL);
	p.get_size = NULL;
	p.pread = pread_ok;
	assert_int_equal(backend_create(&p, NULL, &be), -EINVAL);
	p.get_size = get_size;
	the_size = -ENODEV;
	assert_int_equal(backend_create(&p, NULL, &be), -ENODEV);
	the_size = 1 << 20;
	p.can_write = fails;
	assert_int_equal(backend_create(&p, NULL, &be), -EIO);
}

static void checks_block_sizes(void **state)
{
	static const uint32_t bad[] = { 0, 1, 256, 513, 768, 131072, ~0U };
	struct portald_plugin p = {
		.get_size = get_size, .pread = pread_ok, .block_size = block_size,
	};
	struct backend *be;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		logical = bad[i];
		assert_int_equal(backend_create(&p, NULL, &be), -EINVAL);
	}
	logical = 4096;
	physical = 512;			/* nonsense, but it does no harm */
	the_size = 3 * 4096 + 4095;
	assert_int_equal(info_of(&p).physical, 4096);
	assert_int_equal(info_of(&p).size, 3 * 4096);
	physical = 16384;
	assert_int_equal(info_of(&p).physical, 16384);
	the_size = 1 << 20;
}

static void runs_requests_vector_by_vector(void **state)
{
	struct portald_plugin p = {
		.get_size = get_size, .pread = pread_ok, .pwrite = pwrite_fails,
		.can_write = yes,
	};
	char buf[48];
	struct iovec iov[3] = { { buf, 16 }, { buf + 16, 16 }, { buf + 32, 16 } };
	struct portal_io io = { .op = PORTAL_IO_READ, .offset = 3, .len = 48,
				.iov = iov, .iovcnt = 3 };
	struct backend *be;

	(void)state;
	assert_int_equal(backend_create(&p, NULL, &be), 0);
	calls = 0;
	assert_int_equal(backend_do(be, &io), 0);
	assert_int_equal(calls, 3);
	assert_int_equal(buf[0], 3);
	assert_int_equal(buf[16], 19);
	assert_int_equal(buf[32], 35);
	calls = 0;
	io.op = PORTAL_IO_WRITE;
	assert_int_equal(backend_do(be, &io), -ENOSPC);
	assert_int_equal(calls, 2);	/* nothing after the error */
	io.op = 99;
	assert_int_equal(backend_do(be, &io), -EOPNOTSUPP);
	backend_destroy(be);
}

static int ended;

static void end(struct backend_io *bio, int err)
{
	(void)bio;
	ended = err;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void forwards_ends_and_new_sizes(void **state)
{
	struct portald_plugin p = { .get_size = get_size, .submit = submit_ok };
	struct backend_io bio = { .end = end };
	struct backend *be;
	bool told = false;

	(void)state;
	assert_int_equal(backend_create(&p, NULL, &be), 0);
	assert_int_equal(backend_start(be, &bio), 0);
	assert_int_equal(ended, -EIO);
	backend_io_done(&bio.io, 7);
	assert_int_equal(ended, 0);

	backend_size_changed(be);	/* nobody listens */
	backend_on_size_changed(be, set_true, &told);
	the_size = 2 << 20;
	backend_size_changed(be);
	assert_true(told);
	assert_int_equal(backend_info(be)->size, 1 << 20);
	assert_int_equal(backend_update_size(be), 0);
	assert_int_equal(backend_info(be)->size, 2 << 20);
	the_size = -EIO;
	assert_int_equal(backend_update_size(be), -EIO);
	assert_int_equal(backend_info(be)->size, 2 << 20);
	the_size = 1 << 20;
	backend_destroy(be);
}

/* ---- the plugins -------------------------------------------------------- */

static char last_error[256];

static __attribute__((format(printf, 1, 2))) void api_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

static int parse_size(const char *str, uint64_t *size)
{
	*size = strtoull(str, NULL, 0);
	return 0;
}

static const struct portald_api api = {
	.struct_size = sizeof(api),
	.error = api_error,
	.parse_size = parse_size,
};

static void try_disk(const char *name, bool keeps)
{
	const char *dir = getenv("TEST_BUILD");
	struct portald_plugin *(*init)(void);
	const struct portald_plugin *p;
	char path[512], buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	struct portal_io io = { .offset = (1 << 20) - 512, .len = 512, .iov = &iov,
				.iovcnt = 1 };
	struct backend *be;
	void *dl, *handle;

	if (!dir)
		skip();
	snprintf(path, sizeof(path), "%s/plugins/%s.so", dir, name);
	dl = dlopen(path, RTLD_NOW);
	assert_non_null(dl);
	*(void **)&init = dlsym(dl, "portald_plugin_init");
	assert_non_null(init);
	p = init();
	assert_string_equal(p->name, name);
	assert_int_equal(p->struct_size, sizeof(*p));
	assert_int_equal(p->api_version, PORTALD_API_VERSION);
	assert_int_equal(p->load(&api), 0);
	assert_true(p->config_complete() < 0);
	assert_non_null(strstr(last_error, "size="));
	assert_int_equal(p->config("colour", "red"), -ENOENT);
	assert_int_equal(p->config("size", "1048576"), 0);
	assert_int_equal(p->config_complete(), 0);
	handle = p->open(NULL);
	assert_non_null(handle);

	assert_int_equal(backend_create(p, handle, &be), 0);
	assert_int_equal(backend_info(be)->size, 1 << 20);
	assert_true(backend_info(be)->writable);
	assert_true(backend_info(be)->parallel);
	memset(buf, 0x5a, sizeof(buf));
	io.op = PORTAL_IO_WRITE;
	assert_int_equal(backend_do(be, &io), 0);
	memset(buf, 0xff, sizeof(buf));
	io.op = PORTAL_IO_READ;
	assert_int_equal(backend_do(be, &io), 0);
	assert_int_equal(buf[511], keeps ? 0x5a : 0);
	io.offset = 0;
	assert_int_equal(backend_do(be, &io), 0);
	assert_int_equal(buf[0], 0);
	backend_destroy(be);
	if (p->close)
		p->close(handle);
	dlclose(dl);
}

static void the_memory_plugin_keeps_what_is_written(void **state)
{
	(void)state;
	try_disk("memory", true);
}

static void the_null_plugin_forgets_it(void **state)
{
	(void)state;
	try_disk("null", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minimal_plugin_is_read_only),
		cmocka_unit_test(a_promise_needs_a_function),
		cmocka_unit_test(refuses_plugins_that_are_no_disk),
		cmocka_unit_test(checks_block_sizes),
		cmocka_unit_test(runs_requests_vector_by_vector),
		cmocka_unit_test(forwards_ends_and_new_sizes),
		cmocka_unit_test(the_memory_plugin_keeps_what_is_written),
		cmocka_unit_test(the_null_plugin_forgets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
