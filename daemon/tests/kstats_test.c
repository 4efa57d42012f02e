// SPDX-License-Identifier: GPL-2.0-only
/* kstats_test.c - debugfs as JSON */
/* LINK: kstats.o -ljson-c */
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

#include "kstats.h"

static char root[64];

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	char path[128];

	(void)state;
	strcpy(root, "/tmp/kstats.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/7", root);
	mkdir(path, 0700);
	strcat(path, "/2");
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	char cmd[96];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	return system(cmd);
}

static int64_t num(struct json_object *obj, const char *a, const char *b, const char *c)
{
	const char *const path[] = { a, b, c };

	for (unsigned int i = 0; i < 3 && path[i]; i++)
		if (!json_object_object_get_ex(obj, path[i], &obj))
			return -1;
	return json_object_get_int64(obj);
}

static void reads_counters_and_histograms(void **state)
{
	struct json_object *obj = json_object_new_object();

	(void)state;
	json_object_object_add(obj, "calls", json_object_new_int(3));
	put("7/stats", "pid 42\ncalls 99\nparked_ns.512 4\nparked_ns.1024 5\nparked_ns.sum 9000\n");
	put("7/2/queue1", "requests 8\ntaken_ns.2 8\ntaken_ns.sum 17\n");
	put("7/2/queue12", "requests 18446744073709551615\n");
	put("7/2/hook3", "calls 6\n");
	put("7/2/region4", "gpa 536870912\n");
	kstats_add(obj, root, 7, 2);
	assert_int_equal(num(obj, "pid", NULL, NULL), 42);
	/* what the caller knew stays */
	assert_int_equal(num(obj, "calls", NULL, NULL), 3);
	assert_int_equal(num(obj, "parked_ns", "512", NULL), 4);
	assert_int_equal(num(obj, "parked_ns", "1024", NULL), 5);
	assert_int_equal(num(obj, "parked_ns", "sum", NULL), 9000);
	assert_int_equal(num(obj, "per_queue", "1", "requests"), 8);
	assert_string_equal(json_object_to_json_string_ext(json_object_object_get(json_object_object_get(
			    json_object_object_get(obj, "per_queue"), "12"), "requests"),
			    JSON_C_TO_STRING_PLAIN), "18446744073709551615");
	assert_int_equal(num(obj, "per_hook", "3", "calls"), 6);
	assert_int_equal(num(obj, "per_region", "4", "gpa"), 0x20000000);
	json_object_put(obj);
}

static void ignores_what_it_does_not_understand(void **state)
{
	struct json_object *obj = json_object_new_object();

	(void)state;
	put("7/stats", "one\ntwo x\nthree 3 3\nfour 4\nfour.five 5\n six 6\nseven 7");
	put("7/2/readme", "a 1\n");
	put("7/2/queue1x", "a 1\n");
	put("7/2/9", "a 1\n");
	kstats_add(obj, root, 7, 2);
	assert_int_equal(num(obj, "four", NULL, NULL), 4);
	assert_int_equal(json_object_object_length(obj), 1);
	json_object_put(obj);
}

static void is_silent_without_debugfs(void **state)
{
	struct json_object *obj = json_object_new_object();

	(void)state;
	kstats_add(obj, root, 8, 2);
	kstats_add(obj, "/nonexistent", 7, 2);
	assert_int_equal(json_object_object_length(obj), 0);
	put("7/stats", "calls 1\n");
	kstats_add(obj, root, 7, 3);
	assert_int_equal(json_object_object_length(obj), 1);
	json_object_put(obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(reads_counters_and_histograms), T(ignores_what_it_does_not_understand),
		T(is_silent_without_debugfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
