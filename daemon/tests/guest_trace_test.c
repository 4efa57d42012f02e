// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_trace_test.c - system calls of a guest as lines and as JSON
 */
/* LINK: ctl/guest_syscalls.o ctl/guest_line.o -ljson-c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "portalctl/guest_trace.h"

static struct portal_event event(const char *name, long long ret)
{
	return (struct portal_event) {
		.kind = PORTAL_EVENT_SYSCALL, .flags = PORTAL_EVENT_F_RETURN, .pid = 42, .tgid = 41,
		.nr = (unsigned int)syscall_number(name), .ret = ret, .comm = "cat",
	};
}

static char *line(const struct portal_event *ev, const char *str)
{
	static char buf[2000];
	FILE *f = fmemopen(buf, sizeof(buf), "w");

	trace_print_line(f, ev, str);
	fclose(f);
	return buf;
}

static void names_and_numbers(void **state)
{
	(void)state;
	assert_int_equal(syscall_number("read"), 0);
	assert_int_equal(syscall_number("openat"), 257);
	assert_int_equal(syscall_number("511"), 511);
	assert_int_equal(syscall_number("512"), -1);
	assert_int_equal(syscall_number("-1"), -1);
	assert_int_equal(syscall_number(""), -1);
	assert_int_equal(syscall_number("nosuch"), -1);
	assert_string_equal(syscall_name(59), "execve");
	assert_null(syscall_name(511));
	assert_null(syscall_name(UINT32_MAX));
	assert_int_equal(syscall_string(2), 1);
	assert_int_equal(syscall_string(257), 2);
	assert_int_equal(syscall_string(0), 0);
	assert_string_equal(syscall_format(511), "xxxxxx");
}

/* The table of arguments is searched by halves, so it has to be in order. */
static void all_formats_are_found(void **state)
{
	unsigned int known = 0;

	(void)state;
	for (unsigned int nr = 0; nr < TRACE_NRS; nr++) {
		const char *format = syscall_format(nr), *s = strchr(format, 's');

		known += strcmp(format, "xxxxxx") != 0;
		assert_true(strlen(format) <= 6);
		assert_int_equal(strspn(format, "duxfoOs"), strlen(format));
		assert_true(!s || !strchr(s + 1, 's'));
	}
	assert_int_equal(known, 161);
}

static void lines(void **state)
{
	struct portal_event ev = event("openat", 3);

	(void)state;
	ev.args[0] = (uint32_t)AT_FDCWD;
	ev.args[1] = 0x7ffc12345678;
	ev.args[2] = O_RDONLY | O_CLOEXEC;
	assert_string_equal(line(&ev, "/etc/passwd"),
		"[pid    42] openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3\n");
	ev.args[2] = O_WRONLY | O_CREAT | O_TRUNC;
	ev.args[3] = 0644;
	ev.ret = -EACCES;
	assert_string_equal(line(&ev, "/x"),
		"[pid    42] openat(AT_FDCWD, \"/x\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = "
		"-1 EACCES (Permission denied)\n");
	/* the string was not in memory */
	assert_non_null(strstr(line(&ev, NULL), "openat(AT_FDCWD, 0x7ffc12345678, O_WRONLY"));
	ev = event("read", 4096);
	ev.args[0] = 3;
	ev.args[1] = 0x1000;
	ev.args[2] = 4096;
	assert_string_equal(line(&ev, NULL), "[pid    42] read(3, 0x1000, 4096) = 4096\n");
	ev.ret = -512;
	assert_non_null(strstr(line(&ev, NULL), ") = ? ERESTARTSYS\n"));
	ev = event("getpid", 41);
	assert_string_equal(line(&ev, NULL), "[pid    42] getpid() = 41\n");
	ev = event("mmap", 0x7f0000000000);
	assert_non_null(strstr(line(&ev, NULL), ") = 0x7f0000000000\n"));
	ev = event("exit_group", 0);
	ev.flags = 0;
	assert_string_equal(line(&ev, NULL), "[pid    42] exit_group(0) = ?\n");
	ev = event("511", 0);
	assert_string_equal(line(&ev, NULL), "[pid    42] syscall_511(0, 0, 0, 0, 0, 0) = 0\n");
	ev.nr = UINT32_MAX;
	assert_non_null(strstr(line(&ev, NULL), "syscall_4294967295("));
}

/* What a process of the guest calls its files does nothing to a terminal. */
static void strings_are_printable(void **state)
{
	struct portal_event ev = event("unlink", 0);

	(void)state;
	assert_string_equal(line(&ev, "a\"\\\n\x1b[31m\xff"),
		"[pid    42] unlink(\"a\\\"\\\\\\n\\x1b[31m\\xff\") = 0\n");
	ev.flags |= PORTAL_EVENT_F_CUT;
	assert_string_equal(line(&ev, "long"), "[pid    42] unlink(\"long\"...) = 0\n");
}

static void json(void **state)
{
	struct portal_event ev = event("openat", -ENOENT);
	struct json_object *obj, *val;
	char buf[2000];
	FILE *f = fmemopen(buf, sizeof(buf), "w");

	(void)state;
	ev.args[5] = UINT64_MAX;
	memcpy(ev.comm, "\xff" "23456789abcdefg", 16);
	trace_print_json(f, &ev, "/\xff\"");
	fclose(f);
	assert_ptr_equal(strchr(buf, '\n'), buf + strlen(buf) - 1);
	obj = json_tokener_parse(buf);
	assert_non_null(obj);
	assert_true(json_object_object_get_ex(obj, "errno", &val));
	assert_string_equal(json_object_get_string(val), "ENOENT");
	assert_true(json_object_object_get_ex(obj, "string", &val));
	assert_string_equal(json_object_get_string(val), "/?\"");
	assert_true(json_object_object_get_ex(obj, "comm", &val));
	assert_string_equal(json_object_get_string(val), "?23456789abcdefg");
	assert_true(json_object_object_get_ex(obj, "args", &val));
	assert_int_equal(json_object_array_length(val), 4);
	json_object_put(obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers), cmocka_unit_test(all_formats_are_found),
		cmocka_unit_test(lines), cmocka_unit_test(strings_are_printable),
		cmocka_unit_test(json),
	};

	return cmocka_run_group_tests_name("guest_trace", tests, NULL, NULL);
}
