// SPDX-License-Identifier: GPL-2.0-only
/*
 * stat.c - stat, interrupt, restart, version
 */
#include <stdio.h>

#include "portalctl.h"

static void print_pairs(const char *title, struct json_object *obj)
{
	int width = 0;

	if (!obj)
		return;
	json_object_object_foreach(obj, key, val) {
		int len;

		if (json_object_is_type(val, json_type_object))
			continue;	/* histograms and the like: --json */
		len = snprintf(NULL, 0, "%s %s", key, json_object_get_string(val));

		if (!width)
			width = printf("  %-8s", title);
		else if (width + len + 2 > 90)
			width = printf("\n  %-8s", "") - 1;
		width += printf("  %s %s", key, json_object_get_string(val));
	}
	if (width)
		putchar('\n');
}

/* What a disk's queues cost, if it counts that. */
static void print_per_request(struct json_object *device)
{
	double nr = device ? (double)get_num(device, "requests") : 0;

	if (nr <= 0)
		return;
	printf("  %-8s  per request: notifications %.3f  interrupts %.3f\n", "",
	       (double)get_num(device, "notifications") / nr,
	       (double)get_num(device, "interrupts") / nr);
}

static void print_instances(struct json_object *list)
{
	static const char *const head[] = {
		"  INSTANCE", "WORKER", "PID", "DEATHS", "REQUESTS", "CALLS", "WRITES", "DOORBELLS",
		"ERRORS", "IRQ-QUEUED", "IRQ-SERVED", NULL,
	};
	struct table t;

	table_init(&t, ~3U, head);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *inst = json_object_array_get_idx(list, i);
		char name[64];

		snprintf(name, sizeof(name), "  %s", get_str(inst, "name"));
		table_row(&t, name, get_str(inst, "worker"), num(get_num(inst, "pid")),
			  num(get_num(inst, "deaths")), num(get_num(inst, "requests")),
			  num(get_num(inst, "calls")), num(get_num(inst, "writes")),
			  num(get_num(inst, "doorbells")), num(get_num(inst, "errors")),
			  num(get_num(inst, "interrupts_queued")),
			  num(get_num(inst, "interrupts_served")));
	}
	table_print(&t);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *inst = json_object_array_get_idx(list, i);

		print_pairs(get_str(inst, "name"), get_obj(inst, "device"));
		print_per_request(get_obj(inst, "device"));
		if (get_obj(inst, "error"))
			printf("  %-8s  last error: %s\n", get_str(inst, "name"),
			       get_str(inst, "error"));
	}
}

static void print_stat(struct json_object *reply)
{
	struct json_object *vms = get_obj(reply, "vms");

	if (!vms || !json_object_array_length(vms)) {
		puts("no VM is attached");
		return;
	}
	for (size_t v = 0; v < json_object_array_length(vms); v++) {
		struct json_object *vm = json_object_array_get_idx(vms, v);
		struct json_object *kernel = get_obj(vm, "kernel");

		if (kernel)
			json_object_object_del(kernel, "pid");	/* told with the name */
		printf("%s%s: pid %lld, %s\n", v ? "\n" : "", get_str(vm, "name"),
		       get_num(vm, "pid"), get_str(vm, "state"));
		print_pairs("kernel", kernel);
		if (get_obj(vm, "instances"))
			print_instances(get_obj(vm, "instances"));
	}
}

int cmd_stat(int argc, char **argv)
{
	struct json_object *req;

	if (argc > 2)
		return usage_error("stat: unexpected argument '%s'", argv[2]);
	req = client_request("stat");
	if (argc == 2)
		set_str(req, "vm", argv[1]);
	return client_do(req, print_stat);
}

static void print_interrupt(struct json_object *reply)
{
	printf("queued, %lld so far\n", get_num(reply, "queued"));
}

int cmd_interrupt(int argc, char **argv)
{
	struct json_object *req;

	if (argc != 3)
		return usage_error("interrupt: needs VM and INSTANCE");
	req = client_request("interrupt");
	set_str(req, "vm", argv[1]);
	set_str(req, "instance", argv[2]);
	return client_do(req, print_interrupt);
}

static void print_restart(struct json_object *reply)
{
	printf("%s: restarted, worker %lld\n", get_str(reply, "instance"),
	       get_num(reply, "pid"));
}

int cmd_restart(int argc, char **argv)
{
	struct json_object *req;

	if (argc != 3)
		return usage_error("restart: needs VM and INSTANCE");
	req = client_request("restart");
	set_str(req, "vm", argv[1]);
	set_str(req, "instance", argv[2]);
	return client_do(req, print_restart);
}

static void print_version(struct json_object *reply)
{
	printf("portalctl     %s\n", PORTALD_VERSION);
	printf("portald       %s\n", get_str(reply, "portald"));
	printf("libkvmportal  %s\n", get_str(reply, "libkvmportal"));
	if (get_obj(reply, "api_version"))
		printf("portal.ko     API %lld, features 0x%llx\n", get_num(reply, "api_version"),
		       (unsigned long long)get_num(reply, "features"));
	else
		printf("portal.ko     not loaded (modprobe portal)\n");
}

int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return usage_error("version: unexpected argument '%s'", argv[1]);
	return client_do(client_request("version"), print_version);
}
