// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest.c - portalctl guest VM COMMAND
 *
 * To add one: a function, a row in commands[].
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "portalctl.h"

#define MAX_TIMEOUT	86400
#define NS		1000000000ULL

/* A name is whatever a process in the guest likes: not for a terminal as it is. */
static void make_printable(char *str)
{
	for (; *str; str++)
		if (!isprint((unsigned char)*str))
			*str = '?';
}

static struct json_object *task_json(const struct portal_cmd_task *task, const char *comm)
{
	struct json_object *obj = json_object_new_object();
	char state[2] = { (char)task->state, 0 };

	make_printable(state);
	set_num(obj, "pid", task->pid);
	set_num(obj, "ppid", task->ppid);
	set_num(obj, "threads", task->threads);
	set_num(obj, "uid", task->uid);
	set_num(obj, "euid", task->euid);
	set_num(obj, "gid", task->gid);
	set_str(obj, "state", state);
	json_object_object_add(obj, "kernel", json_object_new_boolean(task->flags & 1));
	json_object_object_add(obj, "start_ns", json_object_new_uint64(task->start_ns));
	set_num(obj, "vm_pages", task->vm_pages);
	set_num(obj, "rss_pages", task->rss_pages);
	json_object_object_add(obj, "utime_ns", json_object_new_uint64(task->utime_ns));
	json_object_object_add(obj, "stime_ns", json_object_new_uint64(task->stime_ns));
	set_str(obj, "comm", comm);
	return obj;
}

static void add_task(struct table *t, struct json_object *list, const struct portal_cmd_task *task)
{
	char comm[sizeof(task->comm) + 1] = "", state[2] = { (char)task->state, 0 }, cpu[32];
	uint64_t ms = (task->utime_ns + task->stime_ns) / 1000000;

	memcpy(comm, task->comm, sizeof(task->comm));
	make_printable(comm);
	make_printable(state);
	if (list) {
		json_object_array_add(list, task_json(task, comm));
		return;
	}
	snprintf(cpu, sizeof(cpu), "%llu.%02llu", (unsigned long long)ms / 1000,
		 (unsigned long long)ms % 1000 / 10);
	if (task->flags & 1)
		snprintf(comm, sizeof(comm), "[%.*s]", 14, task->comm);
	make_printable(comm);
	table_row(t, num(task->pid), num(task->ppid), num(task->uid), state, num(task->threads),
		  num(task->rss_pages * 4), cpu, comm);
}

static int list_tasks(struct guest *g, struct table *t, struct json_object *list)
{
	struct portal_guest_request req = { .op = PORTAL_CMD_TASK_LIST,
					    .out_len = PORTAL_GUEST_MAX };
	struct portal_cmd_task task;
	struct portal_guest_reply rep;

	do {
		if (guest_command(g, &req, NULL, 0, &rep))
			return EXIT_FAILED;
		if (rep.status)
			return guest_failed(g, "ps", rep.status);
		for (size_t off = 0; off + sizeof(task) <= rep.out_size; off += sizeof(task)) {
			memcpy(&task, g->out + off, sizeof(task));
			add_task(t, list, &task);
		}
		if (rep.flags & PORTAL_DONE_F_MORE && rep.cursor <= req.addr)
			return guest_failed(g, "ps", -EPROTO);
		req.addr = rep.cursor;
	} while (rep.flags & PORTAL_DONE_F_MORE);
	return 0;
}

static int guest_ps(struct guest *g, int argc, char **argv)
{
	static const char *const head[] = {
		"PID", "PPID", "UID", "S", "THR", "RSS-KiB", "CPU-s", "NAME", NULL,
	};
	struct json_object *obj = NULL, *list = NULL;
	struct table t;
	int ret;

	if (argc > 1)
		return usage_error("guest ps: unexpected argument '%s'", argv[1]);
	table_init(&t, 0x77, head);
	if (globals.json) {
		obj = json_object_new_object();
		list = json_object_new_array();
		json_object_object_add(obj, "processes", list);
	}
	ret = list_tasks(g, &t, list);
	if (!ret && obj)
		puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!ret)
		table_print(&t);
	json_object_put(obj);
	return ret;
}

static const struct {
	const char *name;
	unsigned int bit;
} classes[] = {
#define CLASS(NAME, name, bit, text) { #name, bit },
	PORTAL_CMD_CLASSES(CLASS)
#undef CLASS
};

/* One command of every guest, so that its answer can be believed to be there. */
static int ask(struct guest *g, uint32_t op, void *buf, size_t len)
{
	struct portal_guest_request req = { .op = op, .out_len = 4096 };
	struct portal_guest_reply rep;

	if (guest_command(g, &req, NULL, 0, &rep))
		return EXIT_FAILED;
	if (rep.status || rep.out_size < len)
		return guest_failed(g, "info", rep.status ? : -EPROTO);
	memcpy(buf, g->out, len);
	return 0;
}

static void print_info(const struct portal_cmd_features *feat, const struct portal_cmd_uname *uts,
		       long long uptime)
{
	printf("host     %s\nrelease  %s\nuptime   %lld s\nallowed ", uts->nodename, uts->release,
	       uptime);
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (feat->classes & 1ULL << classes[i].bit)
			printf(" %s", classes[i].name);
	printf("\nagent    %u commands%s, %llu KiB for data\n", feat->nr_ops,
	       feat->abi_hash == PORTAL_CMD_ABI_HASH ? "" : " of another version",
	       (unsigned long long)feat->data_len / 1024);
}

static void print_info_json(const struct portal_cmd_features *feat,
			    const struct portal_cmd_uname *uts, long long uptime)
{
	struct json_object *obj = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (feat->classes & 1ULL << classes[i].bit)
			json_object_array_add(list, json_object_new_string(classes[i].name));
	set_str(obj, "host", (char *)uts->nodename);
	set_str(obj, "release", (char *)uts->release);
	json_object_object_add(obj, "classes", list);
	set_num(obj, "commands", feat->nr_ops);
	set_num(obj, "data_bytes", (long long)feat->data_len);
	set_num(obj, "uptime_s", uptime);
	json_object_object_add(obj, "same_abi",
			       json_object_new_boolean(feat->abi_hash == PORTAL_CMD_ABI_HASH));
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY));
	json_object_put(obj);
}

static int guest_info(struct guest *g, int argc, char **argv)
{
	struct portal_cmd_features feat;
	struct portal_cmd_uname uts;
	struct portal_cmd_time now;
	int ret;

	if (argc > 1)
		return usage_error("guest info: unexpected argument '%s'", argv[1]);
	ret = ask(g, PORTAL_CMD_FEATURES, &feat, sizeof(feat));
	if (!ret)
		ret = ask(g, PORTAL_CMD_UNAME, &uts, sizeof(uts));
	if (!ret)
		ret = ask(g, PORTAL_CMD_TIME, &now, sizeof(now));
	if (ret)
		return ret;
	uts.nodename[sizeof(uts.nodename) - 1] = uts.release[sizeof(uts.release) - 1] = '\0';
	make_printable((char *)uts.nodename);
	make_printable((char *)uts.release);
	(globals.json ? print_info_json : print_info)(&feat, &uts, now.boottime_ns / (long long)NS);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct guest *g, int argc, char **argv);
	unsigned int timeout_ms;
} commands[] = {
	{ "cp", guest_cp, 0 },
	{ "exec", guest_exec, 60000 },
	{ "info", guest_info, 0 },
	{ "ps", guest_ps, 0 },
	{ "trace", guest_trace, 60000 },
};

int cmd_guest(int argc, char **argv)
{
	static const struct option options[] = {
		{ "instance", required_argument, NULL, 'I' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	size_t i, nr = sizeof(commands) / sizeof(commands[0]);
	const char *vm, *instance = NULL;
	struct guest g = { .fd = -1 };
	long long seconds = 0;
	int c, ret;

	/* options only before VM: what follows may be another program's */
	while ((c = getopt_long(argc, argv, "+I:t:", options, NULL)) != -1) {
		if (c == 'I')
			instance = optarg;
		else if (c != 't')
			return usage_error("wrong option");
		else if (parse_number("timeout", optarg, MAX_TIMEOUT, &seconds))
			return EXIT_USAGE;
	}
	if (argc - optind < 2)
		return usage_error("guest: which VM, and what there?");
	vm = argv[optind++];
	for (i = 0; i < nr && strcmp(argv[optind], commands[i].name); i++)
		;
	if (i == nr)
		return usage_error("guest: unknown command '%s'", argv[optind]);
	if (guest_open(&g, vm, instance))
		return EXIT_FAILED;
	g.timeout_ms = seconds ? (unsigned int)seconds * 1000 : commands[i].timeout_ms;
	ret = commands[i].run(&g, argc - optind, argv + optind);
	guest_close(&g);
	return ret;
}
