// SPDX-License-Identifier: GPL-2.0-only
/*
 * top.c - what happens per second, again and again
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "portalctl.h"

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double rate(struct json_object *obj, const char *key)
{
	struct json_object *val = obj ? get_obj(obj, key) : NULL;

	return val ? json_object_get_double(val) : 0;
}

/* For a few at a time, in one row; short, as a column is narrow. */
static const char *per_second(double val)
{
	static char bufs[TABLE_COLUMNS][24];
	static unsigned int next;
	char *buf = bufs[next++ % TABLE_COLUMNS];

	if (val <= 0)
		return "-";
	snprintf(buf, sizeof(bufs[0]), val < 10 ? "%.1f" : "%.0f", val);
	return buf;
}

static void print_vm(struct json_object *vm)
{
	static const char *const head[] = {
		"  INSTANCE", "WORKER", "REQ/s", "CALL/s", "WRITE/s", "BELL/s", "IRQ/s", "ERR/s",
		"DISK-RD/s", "DISK-WR/s", "RD-KiB/s", "WR-KiB/s", NULL,
	};
	struct json_object *k = get_obj(vm, "kernel"), *list = get_obj(vm, "instances");
	struct table t;

	printf("%s: pid %lld, %s; per second: hypercalls %s, calls %s, posted %s, shadow reads %s, wakeups %s, time-outs %s\n",
	       get_str(vm, "name"), get_num(vm, "pid"), get_str(vm, "state"),
	       per_second(rate(k, "hypercalls")), per_second(rate(k, "calls")),
	       per_second(rate(k, "posted")), per_second(rate(k, "shadow_reads")),
	       per_second(rate(k, "wakeups")), per_second(rate(k, "timeouts")));
	table_init(&t, ~3U, head);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *inst = json_object_array_get_idx(list, i);
		struct json_object *dev = get_obj(inst, "device");
		char name[64];

		snprintf(name, sizeof(name), "  %s", get_str(inst, "name"));
		table_row(&t, name, get_str(inst, "worker"), per_second(rate(inst, "requests")),
			  per_second(rate(inst, "calls")), per_second(rate(inst, "writes")),
			  per_second(rate(inst, "doorbells")),
			  per_second(rate(inst, "interrupts_served")),
			  per_second(rate(inst, "errors")), per_second(rate(dev, "reads")),
			  per_second(rate(dev, "writes")),
			  per_second(rate(dev, "read_bytes") / 1024),
			  per_second(rate(dev, "write_bytes") / 1024));
	}
	table_print(&t);
}

static void print_rates(struct json_object *rates)
{
	struct json_object *vms = get_obj(rates, "vms");

	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);	/* home, clear */
	if (globals.json) {
		puts(json_object_to_json_string_ext(rates, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	} else if (!vms || !json_object_array_length(vms)) {
		puts("no VM is attached");
	} else {
		for (size_t v = 0; v < json_object_array_length(vms); v++) {
			if (v)
				putchar('\n');
			print_vm(json_object_array_get_idx(vms, v));
		}
	}
	fflush(stdout);
}

static void nap(double seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	ts.tv_nsec = (seconds - ts.tv_sec) * 1e9;
	nanosleep(&ts, NULL);
}

static int run(const char *vm, double delay, long long count)
{
	struct json_object *old = client_stat(vm), *new, *rates;
	double since = now(), at;

	while (old && count--) {
		nap(delay);
		if (ended)
			break;
		new = client_stat(vm);
		if (!new)
			break;
		at = now();
		rates = rate_of(old, new, at - since);
		json_object_object_add(rates, "seconds", json_object_new_double(at - since));
		print_rates(rates);
		json_object_put(rates);
		json_object_put(old);
		old = new;
		since = at;
		if (!count)
			break;
	}
	if (!old || (!ended && count > 0)) {
		json_object_put(old);
		return EXIT_FAILED;
	}
	json_object_put(old);
	return 0;
}

int cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "delay", required_argument, NULL, 'd' },
		{ 0 }
	};
	struct sigaction act = { .sa_handler = on_signal };	/* ends nanosleep() */
	const char *vm = NULL;
	long long count = -1;
	double delay = 2;
	char *end;
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, "d:n:", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			delay = strtod(optarg, &end);
			if (*end || !(delay >= 0.1 && delay <= 3600))
				ret = usage_error("top: delay '%s' is not 0.1 to 3600 seconds",
						  optarg);
			break;
		case 'n':
			ret = parse_number("count", optarg, 1000000, &count);
			if (!ret && !count)
				ret = usage_error("top: count 0 shows nothing");
			break;
		default:
			ret = usage_error("wrong option");
		}
	}
	if (!ret && optind < argc)
		vm = argv[optind++];
	if (!ret && optind < argc)
		ret = usage_error("top: unexpected argument '%s'", argv[optind]);
	if (ret)
		return ret;
	if (globals.json && count < 0)
		count = 1;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	return run(vm, delay, count);
}
