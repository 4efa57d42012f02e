// SPDX-License-Identifier: GPL-2.0-only
/* config_test.c - portald.conf: what is read, and what every mistake is called */
/* LINK: config.o log.o -linih */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "config.h"
#include "log.h"

static char dir[64];
static char path[96];
static char messages[8192];

static void sink(int level, const char *msg)
{
	(void)level;
	strncat(messages, msg, sizeof(messages) - strlen(messages) - 2);
	strcat(messages, "\n");
}

static void write_file(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/portald-config-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/p.conf", dir);
	messages[0] = '\0';
	log_set_sink(sink);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

/* @where: "LINE" of p.conf; @what: a part of the message */
static void bad(const char *text, int line, const char *what)
{
	char where[128];
	struct config *cfg = NULL;

	messages[0] = '\0';
	write_file(path, text);
	assert_int_equal(config_load(path, &cfg), -EINVAL);
	assert_null(cfg);
	snprintf(where, sizeof(where), "%s:%d: ", path, line);
	if (!strstr(messages, where) || !strstr(messages, what))
		fail_msg("no '%s...%s' in:\n%s", where, what, messages);
}

static void reads_all_keys(void **state)
{
	struct config *cfg;
	const struct config_instance *d, *e;

	(void)state;
	write_file(path,
		   "# comment\n[portald]\nsocket = /run/x\nplugin_dir=/p\nlog_level = debug\n"
		   "keep = 7\nworker_timeout = 8\n[instance disk0]\n  plugin = file\n\tfrontend = virtio-blk\nserial = abc\n"
		   "io_timeout = 9\nqueues = 3\n"
		   "restart = off\nsandbox = network\nworker_timeout = 0\npath = /x y.img\nreadonly = on ; comment\n"
		   "[instance echo]\nplugin = echo\n");
	assert_int_equal(config_load(path, &cfg), 0);
	assert_string_equal(messages, "");
	assert_string_equal(cfg->socket, "/run/x");
	assert_string_equal(cfg->plugin_dir, "/p");
	assert_int_equal(cfg->log_level, LOG_DEBUG);
	assert_int_equal(cfg->keep, 7);
	assert_int_equal(cfg->timeout, 8);
	assert_int_equal(cfg->nr_instances, 2);
	d = config_find(cfg, "disk0");
	assert_non_null(d);
	assert_string_equal(d->plugin, "file");
	assert_string_equal(d->frontend, "virtio-blk");
	assert_string_equal(d->serial, "abc");
	assert_int_equal(d->io_timeout, 9);
	assert_int_equal(d->queues, 3);
	assert_false(d->restart);
	assert_int_equal(d->sandbox, SANDBOX_NETWORK);
	assert_int_equal(d->nr_keys, 2);
	assert_string_equal(d->keys[0].key, "path");
	assert_string_equal(d->keys[0].value, "/x y.img");
	assert_int_equal(d->keys[0].line, 17);
	assert_true(d->has_timeout);
	assert_int_equal(d->timeout, 0);
	assert_string_equal(d->keys[1].value, "on");
	e = config_find(cfg, "echo");
	assert_non_null(e);
	assert_true(e->restart);
	assert_false(e->has_timeout);
	assert_int_equal(e->sandbox, SANDBOX_ON);
	assert_null(e->frontend);
	assert_null(config_find(cfg, "nope"));
	config_free(cfg);
}

static void names_file_line_and_key(void **state)
{
	(void)state;
	bad("[portald]\nsokcet = /x\n", 2, "unknown key 'sokcet'");
	bad("[portald]\nlog_level = loud\n", 2, "log_level 'loud'");
	bad("[portald]\nkeep = -1\n", 2, "keep '-1' is not a number of seconds from 0 to 3600");
	bad("[portald]\nkeep = 10s\n", 2, "keep '10s' is not a number");
	bad("[instance x]\nplugin = p\nworker_timeout = 3601\n", 3, "worker_timeout '3601'");
	bad("x = 1\n", 1, "'x' stands before the first [section]");
	bad("[nonsense]\n", 1, "unknown section [nonsense]");
	bad("[instance]\n", 1, "needs a name");
	bad("[instance a b]\nplugin=x\n", 1, "instance name 'a b'");
	bad("[instance 0123456789012345678901234567890x]\nplugin=x\n", 1, "instance name");
	bad("[instance a]\nplugin = ../x\n", 2, "plugin '../x'");
	bad("[instance a]\nplugin = x\nplugin = y\n", 3, "'plugin' is given twice");
	bad("[instance a]\nplugin = x\nrestart = maybe\n", 3, "restart 'maybe'");
	bad("[instance a]\nplugin = x\nsandbox = tight\n", 3, "sandbox 'tight'");
	bad("[instance a]\nplugin = x\nqueues = 0\n", 3, "number from 1 to 4");
	bad("[instance a]\nplugin = x\nqueues = 5\n", 3, "number from 1 to 4");
	bad("[instance a]\nplugin = x\nqueues = 22\n", 3, "number from 1 to 4");
	bad("[instance a]\nplugin = x\nqueues =\n", 3, "number from 1 to 4");
	bad("[instance a]\nplugin = x\nserial = 012345678901234567890\n", 3, "more than 20");
	bad("\n[instance a]\nfrontend = virtio-blk\n", 2, "names no plugin");
	bad("[instance a]\nplugin = x\n[instance a]\nplugin = x\n", 3, "already defined");
	bad("[instance a]\nplugin = x\nnonsense\n", 3, "'nonsense' is neither");
	bad("[instance a\nplugin = x\n", 1, "section without ']'");
}

static void reports_all_mistakes(void **state)
{
	(void)state;
	bad("[portald]\na = 1\n[instance x]\nrestart = maybe\n", 2, "unknown key 'a'");
	assert_non_null(strstr(messages, ":4: restart 'maybe'"));
	assert_non_null(strstr(messages, ":3: [instance x] names no plugin"));
}

static void refuses_long_lines(void **state)
{
	char text[1024] = "[instance a]\nplugin = x\npath = ";

	(void)state;
	memset(text + strlen(text), 'y', 300);
	strcat(text, "\nfrontend = z\n");
	bad(text, 3, "line is longer than");
	assert_null(strstr(messages, ":4:"));	/* the count goes on rightly */
}

static void reads_the_directory_in_order(void **state)
{
	char d[128], f[160];
	struct config *cfg;

	(void)state;
	write_file(path, "[instance a]\nplugin = x\n");
	snprintf(d, sizeof(d), "%s.d", path);
	mkdir(d, 0755);
	snprintf(f, sizeof(f), "%s/20.conf", d);
	write_file(f, "[instance c]\nplugin = x\n");
	snprintf(f, sizeof(f), "%s/10.conf", d);
	write_file(f, "[instance b]\nplugin = x\n");
	snprintf(f, sizeof(f), "%s/30.txt", d);
	write_file(f, "nonsense\n");
	assert_int_equal(config_load(path, &cfg), 0);
	assert_int_equal(cfg->nr_instances, 3);
	assert_string_equal(cfg->instances[0].name, "a");
	assert_string_equal(cfg->instances[1].name, "b");
	assert_string_equal(cfg->instances[2].name, "c");
	config_free(cfg);

	snprintf(f, sizeof(f), "%s/40.conf", d);
	write_file(f, "\n[instance b]\nplugin = x\n");
	assert_int_equal(config_load(path, &cfg), -EINVAL);
	assert_non_null(strstr(messages, "40.conf:2: [instance b] is already defined at"));
	assert_non_null(strstr(messages, "10.conf:1"));
}

static void a_named_file_must_exist(void **state)
{
	struct config *cfg;

	(void)state;
	assert_int_equal(config_load("/tmp/portald-no-such.conf", &cfg), -ENOENT);
	assert_non_null(strstr(messages, "No such file"));
	assert_int_equal(config_load(dir, &cfg), -EINVAL);
	assert_non_null(strstr(messages, "is it a file?"));
}

static void parses_sizes_and_bools(void **state)
{
	unsigned long long n;
	bool b;

	(void)state;
	assert_int_equal(config_parse_size("512", &n), 0);
	assert_int_equal(n, 512);
	assert_int_equal(config_parse_size("64M", &n), 0);
	assert_int_equal(n, 64ULL << 20);
	assert_int_equal(config_parse_size("2t", &n), 0);
	assert_int_equal(n, 2ULL << 40);
	assert_int_equal(config_parse_size("16E", &n), -ERANGE);
	assert_int_equal(config_parse_size("15E", &n), 0);
	assert_int_equal(config_parse_size("99999999999999999999", &n), -ERANGE);
	assert_int_equal(config_parse_size("-1", &n), -EINVAL);
	assert_int_equal(config_parse_size("", &n), -EINVAL);
	assert_int_equal(config_parse_size("1KiB", &n), -EINVAL);
	assert_int_equal(config_parse_size("1x", &n), -EINVAL);
	assert_int_equal(config_parse_bool("Yes", &b), 0);
	assert_true(b);
	assert_int_equal(config_parse_bool("off", &b), 0);
	assert_false(b);
	assert_int_equal(config_parse_bool("2", &b), -EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_all_keys), T(names_file_line_and_key), T(reports_all_mistakes),
		T(refuses_long_lines), T(reads_the_directory_in_order),
		T(a_named_file_must_exist), T(parses_sizes_and_bools),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
