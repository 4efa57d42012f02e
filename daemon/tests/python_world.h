/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * python_world.h - plugin python as the worker loads it, with a guest that is
 * played here: each command waits in a list until the test answers it
 */
#ifndef PORTALD_TESTS_PYTHON_WORLD_H
#define PORTALD_TESTS_PYTHON_WORLD_H

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/plugin.h>

static struct portald_plugin *plugin;
static void *handle;
static char path[] = "/tmp/portald-python-XXXXXX";
static char said[65536];
static char last_error[1024];
static struct portal_command *waits[512];
static unsigned int nr_waits, nr_ended, nr_started;
static uint64_t queued;
static int refuse;
static struct iovec answer_iov;

/* What Python keeps for the next interpreter. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpython\nleak:ctypes\n";
}

static inline void fake_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

static inline void fake_log(int level, const char *fmt, ...)
{
	size_t len = strlen(said);
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(said + len, sizeof(said) - len, fmt, ap);
	va_end(ap);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static inline int fake_queue_interrupt(struct portal_instance *pi)
{
	(void)pi;
	__atomic_fetch_add(&queued, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static inline int fake_command(struct portal_instance *pi, struct portal_command *cmd)
{
	static uint64_t txn;

	(void)pi;
	if (refuse)
		return refuse;
	cmd->txn = ++txn;
	nr_started++;
	waits[nr_waits++] = cmd;
	return 0;
}

static inline void fake_end(struct portal_instance *pi, struct portal_command *cmd)
{
	(void)pi;
	(void)cmd;
	nr_ended++;
}

/* The command that was started first is over. */
static inline void reply(int status, uint32_t flags, const void *data, size_t len)
{
	struct portal_command *cmd = waits[0];

	assert_true(nr_waits > 0);
	memmove(waits, waits + 1, --nr_waits * sizeof(waits[0]));
	answer_iov = (struct iovec){ (void *)data, len };
	cmd->status = status;
	cmd->flags = flags;
	cmd->out_size = len;
	cmd->value = cmd->cursor = cmd->addr + 1;
	cmd->out = data ? &answer_iov : NULL;	/* without: bytes written */
	cmd->out_cnt = data ? 1 : 0;
	cmd->done(cmd);
}

static inline int fake_cancel(struct portal_instance *pi, uint64_t txn)
{
	(void)pi;
	if (!nr_waits || waits[0]->txn != txn)
		return -ENOENT;
	reply(-ECANCELED, 0, NULL, 0);
	return 0;
}

static inline int fake_info(struct portal_instance *pi, struct portal_command_info *info)
{
	(void)pi;
	info->connected = 1;
	info->credits = 112;
	return 0;
}

static const struct portald_api fake_api = {
	.struct_size = sizeof(fake_api), .error = fake_error, .log = fake_log,
	.queue_interrupt = fake_queue_interrupt, .command = fake_command,
	.command_end = fake_end, .command_cancel = fake_cancel, .command_info = fake_info,
};

/* ---- a script ----------------------------------------------------------------- */

static inline void open_file(const char *file)
{
	char *absolute = realpath(file, NULL);

	assert_int_equal(plugin->config("script", absolute), 0);
	free(absolute);
	assert_int_equal(plugin->config_complete(), 0);
	handle = plugin->open((void *)&queued);
}

static inline void open_script(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs("import portal\nfrom portal import PortalCmd, PortalError\n", f);
	fputs(text, f);
	fclose(f);
	open_file(path);
}

static inline void run(const char *text)
{
	open_script(text);
	if (!handle)
		fail_msg("%s", last_error);
}

static inline int64_t call(uint32_t fn, uint64_t arg)
{
	struct portal_call c = { .fn = fn, .args = { arg, 2, 3, 4 } };
	uint64_t value = 0;
	int ret = plugin->call(handle, &c, &value);

	return ret < 0 ? ret : (int64_t)value;
}

static inline void expect_said(const char *text)
{
	if (!strstr(said, text))
		fail_msg("not said: %s\nbut:\n%s", text, said);
	said[0] = '\0';
}

static inline int setup(void **state)
{
	(void)state;
	said[0] = last_error[0] = '\0';
	nr_waits = nr_ended = nr_started = refuse = 0;
	queued = 0;
	return plugin->load(&fake_api);
}

static inline int teardown(void **state)
{
	(void)state;
	while (nr_waits)
		reply(-ECONNRESET, 0, NULL, 0);
	if (handle)
		plugin->close(handle);
	handle = NULL;
	plugin->unload();
	return nr_ended == nr_started ? 0 : -1;
}

static inline int world_setup(void **state)
{
	struct portald_plugin *(*init)(void);
	char file[512];
	void *dl;

	(void)state;
	snprintf(file, sizeof(file), "%s/plugins/python.so", getenv("TEST_BUILD") ? : ".");
	dl = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!dl) {
		fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	*(void **)&init = dlsym(dl, "portald_plugin_init");
	plugin = init();
	close(mkstemp(path));
	return 0;
}

static inline int world_teardown(void **state)
{
	(void)state;
	return unlink(path);
}

/* Without python3-dev it is not built. */
static inline bool is_built(void)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/plugins/python.so", getenv("TEST_BUILD") ? : ".");
	if (!access(file, F_OK))
		return true;
	printf("1..0 # SKIP plugin python is not built\n");
	return false;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif /* PORTALD_TESTS_PYTHON_WORLD_H */
