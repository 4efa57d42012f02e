// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - attach, detach, list
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "portalctl.h"

#define PID_LIMIT	4194304

static int bad_option(void)
{
	return usage_error("wrong option");	/* getopt said which */
}

static void add_instances(struct json_object *req, char *list)
{
	struct json_object *names = json_object_new_array();
	char *save, *name;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		json_object_array_add(names, json_object_new_string(name));
	json_object_object_add(req, "instances", names);
}

static void print_attach(struct json_object *reply)
{
	printf("%s: attached, %lld instances\n", get_str(reply, "vm"),
	       get_num(reply, "instances"));
}

int cmd_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "domain", required_argument, NULL, 'D' },
		{ "instances", required_argument, NULL, 'i' },
		{ "name", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'p' },
		{ "vm-fd", required_argument, NULL, 'F' },
		{ "vm-name", required_argument, NULL, 'N' },
		{ 0 }
	};
	struct json_object *req = client_request("attach");
	bool which = false;
	long long val;
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, "i:n:p:", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			add_instances(req, optarg);
			break;
		case 'n':
			set_str(req, "name", optarg);
			break;
		case 'D':
			set_str(req, "domain", optarg);
			which = true;
			break;
		case 'N':
			set_str(req, "vm_name", optarg);
			which = true;
			break;
		case 'p':
			ret = parse_number("pid", optarg, PID_LIMIT, &val);
			set_num(req, "pid", val);
			which = true;
			break;
		case 'F':
			ret = parse_number("fd", optarg, 1048576, &val);
			set_num(req, "vm_fd", val);
			break;
		default:
			ret = bad_option();
		}
	}
	if (!ret && !which && optind < argc) {
		const char *arg = argv[optind++];

		which = true;
		if (strspn(arg, "0123456789") == strlen(arg)) {
			ret = parse_number("pid", arg, PID_LIMIT, &val);
			set_num(req, "pid", val);
		} else {
			set_str(req, "vm_name", arg);
		}
	}
	if (!ret && optind < argc)
		ret = usage_error("attach: unexpected argument '%s'", argv[optind]);
	if (!ret && !which)
		ret = usage_error("attach: which VM? its NAME (QEMU's -name, libvirt's domain) or PID");
	if (ret) {
		json_object_put(req);
		return ret;
	}
	return client_do(req, print_attach);
}

static void print_detach(struct json_object *reply)
{
	printf("%s: detached\n", get_str(reply, "vm"));
	if (*get_str(reply, "unreleased"))
		fprintf(stderr,
			"portalctl: warning: the guest had not let go of %s; it may see I/O errors\n",
			get_str(reply, "unreleased"));
}

int cmd_detach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "pid", required_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	struct json_object *req = client_request("detach");
	bool which = false;
	long long val;
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, "fp:t:", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			json_object_object_add(req, "force", json_object_new_boolean(true));
			break;
		case 'p':
			ret = parse_number("pid", optarg, PID_LIMIT, &val);
			set_num(req, "pid", val);
			which = true;
			break;
		case 't':
			ret = parse_number("timeout", optarg, 3600, &val);
			set_num(req, "timeout_ms", val * 1000);
			break;
		default:
			ret = bad_option();
		}
	}
	if (!ret && !which && optind < argc) {
		set_str(req, "vm", argv[optind++]);
		which = true;
	}
	if (!ret && optind < argc)
		ret = usage_error("detach: unexpected argument '%s'", argv[optind]);
	if (!ret && !which)
		ret = usage_error("detach: which VM? its name or --pid PID");
	if (ret) {
		json_object_put(req);
		return ret;
	}
	return client_do(req, print_detach);
}

static void print_list(struct json_object *reply)
{
	static const char *const head[] = {
		"VM", "PID", "STATE", "SLOT", "INSTANCE", "PLUGIN", "TYPE", "WORKER", "GUEST", NULL,
	};
	struct json_object *vms = get_obj(reply, "vms");
	struct table t;

	if (!vms || !json_object_array_length(vms)) {
		puts("no VM is attached");
		return;
	}
	table_init(&t, 1U << 1 | 1U << 3, head);
	for (size_t v = 0; v < json_object_array_length(vms); v++) {
		struct json_object *vm = json_object_array_get_idx(vms, v);
		struct json_object *list = get_obj(vm, "instances");

		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			struct json_object *inst = json_object_array_get_idx(list, i);

			table_row(&t, get_str(vm, "name"), num(get_num(vm, "pid")),
				  get_str(vm, "state"), num(get_num(inst, "slot")),
				  get_str(inst, "name"), get_str(inst, "plugin"),
				  get_str(inst, "type"), get_str(inst, "worker"),
				  get_str(inst, "guest"));
		}
	}
	table_print(&t);
}

int cmd_list(int argc, char **argv)
{
	if (argc > 1)
		return usage_error("list: unexpected argument '%s'", argv[1]);
	return client_do(client_request("list"), print_list);
}
