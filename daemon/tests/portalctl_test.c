// SPDX-License-Identifier: GPL-2.0-only
/* portalctl_test.c - what portalctl makes of traces and counters */
/* LINK: ctl/trace_line.o ctl/tracefs.o ctl/rate.o ctl/client.o -ljson-c */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "portalctl/portalctl.h"

struct globals globals;

/* ---- lines of a trace ------------------------------------------------------ */

static void takes_a_line_apart(void **state)
{
	struct trace_line l;

	(void)state;
	assert_int_equal(trace_parse("     qemu-system-x86-160     [001] d..1.    26.108124: portal_request: id=7 kind=1 flags=0x1 vcpu=0 hook=2 addr=0x50520100 data=0x2a", &l), 0);
	assert_string_equal(l.event, "request");
	assert_int_equal(l.task, 160);
	assert_true(l.time > 26.1 && l.time < 26.2);
	assert_int_equal(trace_field(&l, "id"), 7);
	assert_int_equal(trace_field(&l, "flags"), 1);
	assert_int_equal(trace_field(&l, "addr"), 0x50520100);
	assert_int_equal(trace_field(&l, "nosuch"), -1);
	/* a vCPU's thread has a name with a slash, and may have brackets and colons */
	assert_int_equal(trace_parse(" CPU 0/KVM [x]: -2-4711  [000] ..... 1.5: portal_retire: id=9", &l), 0);
	assert_int_equal(l.task, 4711);
	assert_string_equal(l.event, "retire");
	assert_int_equal(l.nr, 1);
}

static void knows_no_event_by_name(void **state)
{
	struct trace_line l;

	(void)state;
	assert_int_equal(trace_parse("x-1 [000] ..... 1.5: portal_new_one: vm=ab12 free text id=3", &l), 0);
	assert_string_equal(l.event, "new_one");
	assert_string_equal(l.field[0].val, "ab12");
	assert_int_equal(trace_field(&l, "id"), 3);
	assert_int_equal(l.nr, 2);
	assert_int_equal(trace_parse("x-1 [000] ..... 1.5: portal_empty:", &l), 0);
	assert_int_equal(l.nr, 0);
}

static void refuses_other_lines(void **state)
{
	struct trace_line l;
	char big[4000] = "x-1 [000] ..... 1.5: portal_request:";

	(void)state;
	assert_int_equal(trace_parse("", &l), -1);
	assert_int_equal(trace_parse("x-1 [000] ..... 1.5: kvm_exit: reason HLT", &l), -1);
	assert_int_equal(trace_parse("CPU:1 [LOST 12 EVENTS]", &l), -1);
	assert_int_equal(trace_parse(": portal_request: id=1", &l), -1);
	assert_int_equal(trace_parse("x-1 [000] 1.5: portal_request", &l), -1);
	for (int i = 0; i < 100; i++)
		sprintf(big + strlen(big), " key%d-of-more-than-24-characters=%d", i, i);
	assert_int_equal(trace_parse(big, &l), 0);
	assert_true(l.nr <= TRACE_FIELDS);
}

/* ---- tracefs, as far as files are like it ---------------------------------- */

static void put(const char *dir, const char *file)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void get(const char *dir, const char *file, const char *wanted)
{
	char path[256], buf[128] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0);
	assert_string_equal(buf, wanted);
	close(fd);
}

static void has_an_instance_of_its_own(void **state)
{
	char root[] = "/tmp/portalctl-test-XXXXXX", cmd[160], dir[80], old[80], others[80];
	struct tracefs *tfs;
	pid_t dead = fork();
	int fd;

	(void)state;
	if (!dead)
		_exit(0);
	waitpid(dead, NULL, 0);
	assert_non_null(mkdtemp(root));
	assert_null(tracefs_open(root));	/* no events of portal */
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/events/portal %s/instances/other", root, root);
	assert_int_equal(system(cmd), 0);
	snprintf(old, sizeof(old), "%s/instances/portalctl-%d", root, dead);
	snprintf(others, sizeof(others), "%s/instances/portalctl-%d", root, getppid());
	assert_int_equal(mkdir(old, 0700) | mkdir(others, 0700), 0);
	tfs = tracefs_open(root);
	assert_non_null(tfs);
	assert_int_not_equal(access(old, F_OK), 0);	/* of one that was killed */
	assert_int_equal(access(others, F_OK), 0);
	snprintf(dir, sizeof(dir), "%s/instances/portalctl-%d", root, getpid());
	assert_int_not_equal(tracefs_start(tfs), 0);	/* nothing there */
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/events/portal", dir);
	assert_int_equal(system(cmd), 0);
	put(dir, "events/portal/enable");
	put(dir, "set_event_pid");
	put(dir, "trace_clock");
	put(dir, "trace_pipe");
	assert_int_equal(tracefs_pids(tfs, "1 2 3"), 0);
	assert_int_equal(tracefs_start(tfs), 0);
	get(dir, "events/portal/enable", "1");
	get(dir, "set_event_pid", "1 2 3");
	snprintf(cmd, sizeof(cmd), "%s/trace_pipe", dir);
	fd = open(cmd, O_WRONLY);
	assert_int_equal(write(fd, "first\nsec", 9), 9);
	assert_string_equal(tracefs_line(tfs, 0), "first");
	assert_int_equal(write(fd, "ond\n\n", 5), 5);
	assert_string_equal(tracefs_line(tfs, 0), "second");
	assert_string_equal(tracefs_line(tfs, 0), "");
	close(fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s/*", dir);
	assert_int_equal(system(cmd), 0);
	tracefs_close(tfs);
	assert_int_not_equal(access(dir, F_OK), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	assert_int_equal(system(cmd), 0);
}

/* ---- rates ----------------------------------------------------------------- */

static double of(struct json_object *obj, const char *key)
{
	struct json_object *val = get_obj(obj, key);

	assert_non_null(val);
	return json_object_get_double(val);
}

static void counters_become_rates(void **state)
{
	struct json_object *old, *new, *rates, *vm, *inst;

	(void)state;
	old = json_tokener_parse("{\"vms\":[{\"name\":\"gone\",\"pid\":1},"
		"{\"name\":\"a\",\"pid\":7,\"kernel\":{\"calls\":100,\"vcpus\":2},"
		"\"instances\":[{\"name\":\"d\",\"requests\":50,\"deaths\":1,"
		"\"device\":{\"reads\":10,\"inflight\":3}}]}]}");
	new = json_tokener_parse("{\"vms\":[{\"name\":\"new\",\"pid\":9},"
		"{\"name\":\"a\",\"pid\":7,\"state\":\"running\",\"kernel\":{\"calls\":110,\"vcpus\":2},"
		"\"instances\":[{\"name\":\"e\",\"requests\":50},{\"name\":\"d\",\"requests\":51,\"deaths\":2,"
		"\"device\":{\"reads\":4,\"inflight\":5}}]}]}");
	rates = rate_of(old, new, 2);
	assert_int_equal(json_object_array_length(get_obj(rates, "vms")), 1);
	vm = json_object_array_get_idx(get_obj(rates, "vms"), 0);
	assert_string_equal(get_str(vm, "name"), "a");
	assert_string_equal(get_str(vm, "state"), "running");
	assert_int_equal(get_num(vm, "pid"), 7);
	assert_true(of(get_obj(vm, "kernel"), "calls") == 5);
	assert_int_equal(get_num(get_obj(vm, "kernel"), "vcpus"), 2);
	assert_int_equal(json_object_array_length(get_obj(vm, "instances")), 1);
	inst = json_object_array_get_idx(get_obj(vm, "instances"), 0);
	assert_true(of(inst, "requests") == 0.5);
	/* of a new worker: from nothing */
	assert_true(of(get_obj(inst, "device"), "reads") == 2);
	assert_int_equal(get_num(get_obj(inst, "device"), "inflight"), 5);
	json_object_put(rates);
	json_object_put(new);
	json_object_put(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_line_apart), cmocka_unit_test(knows_no_event_by_name),
		cmocka_unit_test(refuses_other_lines),
		cmocka_unit_test(has_an_instance_of_its_own),
		cmocka_unit_test(counters_become_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
