// SPDX-License-Identifier: GPL-2.0-only
/*
 * disk.c - disk add, remove, resize, swap, set-limit
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portalctl.h"

#define SIZE_LIMIT	(1LL << 62)

/* "10G": as portald's own sizes */
static int parse_size(const char *str, long long *size)
{
	static const char units[] = "kmgtp";
	const char *unit;
	char *end;

	errno = 0;
	*size = strtoll(str, &end, 10);
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (errno || end == str || *size <= 0 || (*end && (!unit || end[1])))
		return usage_error("size '%s' is not a size such as 512M or 10G", str);
	if (unit && *size > SIZE_LIMIT >> (10 * (unit - units + 1)))
		return usage_error("size '%s' is too large", str);
	if (unit)
		*size <<= 10 * (unit - units + 1);
	return 0;
}

/* KEY=VALUE... to "keys" */
static int add_keys(struct json_object *req, char **args)
{
	struct json_object *keys = json_object_new_object();

	json_object_object_add(req, "keys", keys);
	for (; *args; args++) {
		char *value = strchr(*args, '=');

		if (!value || value == *args)
			return usage_error("'%s' is not KEY=VALUE", *args);
		*value++ = '\0';
		if (get_obj(keys, *args))
			return usage_error("'%s' is given twice", *args);
		set_str(keys, *args, value);
	}
	return 0;
}

/* set-limit: A=1 B=2 to "A=1,B=2" */
static int add_limits(struct json_object *req, char **args)
{
	char text[256] = "";
	size_t len = 0;

	if (!*args)
		return usage_error("disk set-limit: needs limits such as iops=1000 bps=10M, or off");
	for (; *args; args++) {
		int n = snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "", *args);

		len += (size_t)n;
		if (len >= sizeof(text))
			return usage_error("disk set-limit: too many limits");
	}
	set_str(req, "limits", text);
	return 0;
}

static int no_more(struct json_object *req, char **args)
{
	(void)req;
	return *args ? usage_error("unexpected argument '%s'", *args) : 0;
}

static int set_force(struct json_object *req, const char *arg)
{
	(void)arg;
	json_object_object_add(req, "force", json_object_new_boolean(true));
	return 0;
}

static int set_timeout(struct json_object *req, const char *arg)
{
	long long val;

	if (parse_number("timeout", arg, 3600, &val))
		return EXIT_USAGE;
	set_num(req, "timeout_ms", val * 1000);
	return 0;
}

static int set_size(struct json_object *req, const char *arg)
{
	long long val;

	if (parse_size(arg, &val))
		return EXIT_USAGE;
	set_num(req, "size", val);
	return 0;
}

static int set_sid(struct json_object *req, const char *arg)
{
	long long val;

	if (parse_number("sid", arg, 0xfffffffeLL, &val))
		return EXIT_USAGE;
	set_num(req, "sid", val);
	return 0;
}

static void print_added(struct json_object *reply)
{
	printf("%s: added to %s, slot %lld\n", get_str(reply, "instance"), get_str(reply, "vm"),
	       get_num(reply, "slot"));
}

static void print_removed(struct json_object *reply)
{
	printf("%s: removed from %s\n", get_str(reply, "instance"), get_str(reply, "vm"));
}

static void print_resized(struct json_object *reply)
{
	printf("%s: %lld bytes\n", get_str(reply, "instance"), get_num(reply, "size"));
}

static void print_swapped(struct json_object *reply)
{
	printf("%s: goes on with the new medium\n", get_str(reply, "instance"));
}

static void print_limited(struct json_object *reply)
{
	printf("%s: limits set\n", get_str(reply, "instance"));
}

/* What a command takes besides VM and DISK: options, and the rest. */
static const struct verb {
	const char *name;
	const char *cmd;
	const char *short_options;
	const char *options;	/* all of them, by their letters */
	int (*rest)(struct json_object *req, char **args);
	void (*print)(struct json_object *reply);
} verbs[] = {
	{ "add", "disk_add", "+", "", add_keys, print_added },
	{ "remove", "disk_remove", "ft:", "ft", no_more, print_removed },
	{ "resize", "disk_resize", "", "sS", no_more, print_resized },
	{ "swap", "disk_swap", "+", "", add_keys, print_swapped },
	{ "set-limit", "disk_set_limit", "+", "", add_limits, print_limited },
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static int take_options(const struct verb *v, struct json_object *req, int argc, char **argv)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "sid", required_argument, NULL, 'S' },
		{ "size", required_argument, NULL, 's' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, v->short_options, options, NULL)) != -1) {
		if (c == '?' || !strchr(v->options, c))
			ret = usage_error("disk %s: wrong option", v->name);
		else if (c == 'f')
			ret = set_force(req, NULL);
		else if (c == 't')
			ret = set_timeout(req, optarg);
		else if (c == 's')
			ret = set_size(req, optarg);
		else
			ret = set_sid(req, optarg);
	}
	return ret;
}

int cmd_disk(int argc, char **argv)
{
	const struct verb *v = NULL;
	struct json_object *req;
	int ret;

	for (size_t i = 0; argc > 1 && i < NR_VERBS; i++)
		if (!strcmp(argv[1], verbs[i].name))
			v = &verbs[i];
	if (!v)
		return usage_error("disk: first say add, remove, resize, swap or set-limit");
	req = client_request(v->cmd);
	ret = take_options(v, req, argc - 1, argv + 1);
	argc -= 1 + optind;
	argv += 1 + optind;
	if (!ret && argc < 2)
		ret = usage_error("disk %s: needs VM and DISK", v->name);
	if (!ret) {
		set_str(req, "vm", argv[0]);
		set_str(req, "instance", argv[1]);
		ret = v->rest(req, argv + 2);
	}
	if (ret) {
		json_object_put(req);
		return ret;
	}
	return client_do(req, v->print);
}
