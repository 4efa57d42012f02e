// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace.c - requests as they pass, from the module's tracepoints
 *
 * An event belongs to a VM if it happens in a thread of its VMM or in a worker
 * of its, or in portald. To an instance belong the requests of its hook and
 * region, later events with the id of such a request, and its queue's.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "portalctl.h"

#define TRACEFS		"/sys/kernel/tracing"
#define MAX_IDS		4096	/* requests under way, more than rings have */
#define REFRESH_MS	1000	/* threads and workers come and go */
#define MAX_PIDS	16384

struct filter {
	const char *vm;
	const char *instance;
	long long hook, region, queue;
	long long ids[MAX_IDS];
	char pids[MAX_PIDS];
};

static struct filter filter;
static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- whose events --------------------------------------------------------- */

static void add_pid(char *pids, long long pid)
{
	size_t len = strlen(pids);

	if (pid > 0)
		snprintf(pids + len, MAX_PIDS - len, "%s%lld", len ? " " : "", pid);
}

static void add_threads(char *pids, long long pid)
{
	char path[64];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%lld/task", pid);
	dir = opendir(path);
	while (dir && (de = readdir(dir)))
		add_pid(pids, atoll(de->d_name));
	if (dir)
		closedir(dir);
}

/* 0; -1 after a message */
static int look(struct tracefs *tfs)
{
	static char pids[MAX_PIDS];
	struct json_object *reply = client_stat(filter.vm), *vm, *list;
	bool found = !filter.instance;

	if (!reply)
		return -1;
	pids[0] = '\0';
	vm = json_object_array_get_idx(get_obj(reply, "vms"), 0);
	list = vm ? get_obj(vm, "instances") : NULL;
	add_pid(pids, get_num(reply, "portald_pid"));
	if (vm)
		add_threads(pids, get_num(vm, "pid"));
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *inst = json_object_array_get_idx(list, i);

		if (filter.instance && strcmp(get_str(inst, "name"), filter.instance))
			continue;
		found = true;
		filter.hook = get_num(inst, "hook");
		filter.region = get_num(inst, "region");
		filter.queue = get_num(inst, "queue");
		add_threads(pids, get_num(inst, "pid"));
	}
	json_object_put(reply);
	if (!found) {
		fprintf(stderr, "portalctl: VM %s has no instance %s; see portalctl stat %s\n",
			filter.vm, filter.instance, filter.vm);
		return -1;
	}
	if (!strcmp(pids, filter.pids))
		return 0;
	strcpy(filter.pids, pids);
	if (tracefs_pids(tfs, pids) < 0)
		fprintf(stderr, "portalctl: trace: cannot choose threads: %s\n", strerror(errno));
	return 0;
}

static bool remembered(long long id)
{
	return id > 0 && filter.ids[id % MAX_IDS] == id;
}

/* hooks and regions count apart: kind 1 is a hypercall */
static bool is_of_instance(const struct trace_line *line)
{
	long long id = trace_field(line, "id"), hook = trace_field(line, "hook");
	long long queue = trace_field(line, "queue"), kind = trace_field(line, "kind");

	if (!filter.instance)
		return true;
	if (hook > 0) {
		if (hook != (kind == 1 ? filter.hook : filter.region))
			return false;
		if (id > 0)
			filter.ids[id % MAX_IDS] = id;
		return true;
	}
	if (id > 0)
		return remembered(id);
	return queue > 0 && queue == filter.queue;
}

/* ---- what is shown -------------------------------------------------------- */

static void print_json(const struct trace_line *line)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "time", json_object_new_double(line->time));
	set_str(obj, "event", line->event);
	set_num(obj, "task", line->task);
	for (unsigned int i = 0; i < line->nr; i++) {
		const char *val = line->field[i].val;
		char *end;
		unsigned long long n = strtoull(val, &end, 0);

		if (*val && !*end)
			json_object_object_add(obj, line->field[i].key,
					       json_object_new_uint64(n));
		else
			set_str(obj, line->field[i].key, val);
	}
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
	json_object_put(obj);
}

static void print_line(const struct trace_line *line)
{
	static double first;

	if (!first)
		first = line->time;
	printf("%12.6f  %-8s %7ld ", line->time - first, line->event, line->task);
	for (unsigned int i = 0; i < line->nr; i++)
		printf(" %s=%s", line->field[i].key, line->field[i].val);
	putchar('\n');
}

static int follow(struct tracefs *tfs, long long count, long long until)
{
	long long next = now_ms() + REFRESH_MS;
	struct trace_line line;
	const char *text;
	int ret = 0;

	if (!globals.json)
		printf("%12s  %-8s %7s  FIELDS\n", "SECONDS", "EVENT", "THREAD");
	while (!ended && !ret && count && (!until || now_ms() < until)) {
		long long ms = next - now_ms();

		if (filter.vm && ms <= 0) {
			ret = look(tfs);
			next = now_ms() + REFRESH_MS;
			continue;
		}
		if (ms <= 0)
			next = now_ms() + REFRESH_MS;
		if (fflush(stdout))
			break;		/* nobody reads it any more */
		if (until && until - now_ms() < ms)
			ms = until - now_ms();
		text = tracefs_line(tfs, ms < 0 ? 0 : ms);
		if (!text || trace_parse(text, &line) || !is_of_instance(&line))
			continue;
		if (globals.json)
			print_json(&line);
		else
			print_line(&line);
		if (count > 0)
			count--;
	}
	fflush(stdout);
	return ret ? EXIT_FAILED : 0;
}

int cmd_trace(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	struct sigaction act = { .sa_handler = on_signal };	/* ends poll() */
	long long count = -1, seconds = 0;
	struct tracefs *tfs;
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, "n:t:", options, NULL)) != -1) {
		if (c == 'n')
			ret = parse_number("count", optarg, 1000000000, &count);
		else if (c == 't')
			ret = parse_number("timeout", optarg, 86400, &seconds);
		else
			ret = usage_error("wrong option");
	}
	if (!ret && optind < argc)
		filter.vm = argv[optind++];
	if (!ret && optind < argc)
		filter.instance = argv[optind++];
	if (!ret && optind < argc)
		ret = usage_error("trace: unexpected argument '%s'", argv[optind]);
	if (ret)
		return ret;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	tfs = tracefs_open(TRACEFS);
	if (!tfs)
		return EXIT_FAILED;
	ret = filter.vm && look(tfs) ? EXIT_FAILED : 0;
	if (!ret && tracefs_start(tfs))
		ret = EXIT_FAILED;
	if (!ret)
		ret = follow(tfs, count, seconds ? now_ms() + seconds * 1000 : 0);
	tracefs_close(tfs);
	return ret;
}
