// SPDX-License-Identifier: GPL-2.0-only
/* plugin_test.c - the loader: old, new and broken plugins */
/* LINK: plugin.o log.o -ldl */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plugin.h"

static char dir[512];
static char last_error[256];

static void api_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

const char *api_take_error(void)
{
	return last_error;
}

static const struct portald_api api = { .struct_size = sizeof(api), .error = api_error };

static void bad(const char *name, int expected, const char *what)
{
	struct plugin p;
	struct err err = { "" };

	assert_int_equal(plugin_load(&p, dir, name, &api, &err), expected);
	if (!strstr(err.msg, what) || !strstr(err.msg, name))
		fail_msg("no '%s', '%s' in: %s", name, what, err.msg);
	assert_null(p.dl);
	assert_null(p.path);
}

static void loads_a_good_one(void **state)
{
	struct portal_call call = { .args = { 42 } };
	struct err err = { "" };
	struct plugin p;
	uint64_t value;

	(void)state;
	assert_int_equal(plugin_load(&p, dir, "good", &api, &err), 0);
	assert_string_equal(p.ops.name, "good");
	assert_int_equal(p.ops.call(NULL, &call, &value), 0);
	assert_int_equal(value, 42);
	assert_false(plugin_is_block(&p));
	plugin_unload(&p);
	assert_int_equal(plugin_load(&p, dir, "noopen", &api, &err), 0);
	assert_null(p.ops.open);
	plugin_unload(&p);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	bad("missing", -ENOENT, "does not exist");
	bad("nosymbol", -ENOEXEC, "portald_plugin_init");
	bad("newer", -EPROTO, "upgrade portald");
	bad("noversion", -EPROTO, "use PORTALD_PLUGIN()");
	bad("tiny", -EPROTO, "build it again");
	bad("misnamed", -EPROTO, "calls itself 'othername'");
	bad("nocall", -EPROTO, ".call (it has fns) is missing");
	bad("nopread", -EPROTO, ".pread or submit (it has get_size) is missing");
	bad("nothing", -EPROTO, "offers nothing");
	bad("loadfails", -ENXIO, "no luck here");
}

static void keeps_old_plugins_working(void **state)
{
	struct err err = { "" };
	struct plugin p;

	(void)state;
	assert_int_equal(plugin_load(&p, dir, "older", &api, &err), 0);
	assert_non_null(p.ops.call);
	/* beyond its struct: not its callback, whatever the memory says */
	assert_null(p.ops.interrupt);
	assert_null(p.ops.submit);
	plugin_unload(&p);
}

static void keeps_newer_plugins_working(void **state)
{
	struct err err = { "" };
	struct plugin p;

	(void)state;
	assert_int_equal(plugin_load(&p, dir, "longer", &api, &err), 0);
	assert_non_null(p.ops.call);
	assert_null(p.ops.submit);
	plugin_unload(&p);
}

static void dumps_keys(void **state)
{
	struct err err = { "" };
	char *text = NULL;
	size_t len = 0;
	struct plugin p;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(plugin_load(&p, dir, "good", &api, &err), 0);
	plugin_dump(&p, f);
	fclose(f);
	assert_non_null(strstr(text, "name=good\n"));
	assert_non_null(strstr(text, "kind=service\n"));
	assert_non_null(strstr(text, "api_version=1\n"));
	free(text);
	plugin_unload(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_a_good_one), cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(keeps_old_plugins_working),
		cmocka_unit_test(keeps_newer_plugins_working), cmocka_unit_test(dumps_keys),
	};
	const char *build = getenv("TEST_BUILD");

	snprintf(dir, sizeof(dir), "%s/tests/plugins", build ? build : "../build/daemon");
	return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
