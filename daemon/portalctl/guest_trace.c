// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_trace.c - portalctl guest VM trace: system calls of processes in the guest
 *
 * One hook for each argument that can be a string: a call is told when it returns,
 * for then its string is in memory. Those that may not return, or return in another
 * program, are told when they begin.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "guest_trace.h"
#include "portalctl.h"

/* of struct portal_cmd_hook and its filters: see commands.rst */
enum { ENTRY = 1, RETURN = 2 };
enum { F_CHILD = 1, F_FOLLOW = 2 };
enum { FIELD_COMM = 3, FIELD_RET = 5 };
enum { CMP_SUCCESS = 10, CMP_ERROR = 11, CMP_STR_EQ = 12 };

#define MAX_HOOKS	14	/* a moment, and which argument is a string */
#define MAX_EXECS	64

/**
 * struct trace - what is traced, and how it goes
 * @hook: as it is for all hooks
 * @comm: name of the threads, or NULL
 * @result: 0, CMP_SUCCESS or CMP_ERROR
 * @nrs: bit set of the calls told at moment and with string argument
 * @out: where lines go
 * @left: lines to come, -1: any number
 * @execs: programs that threads are about to become
 * @hooks: handles and how many events each dropped
 * @lost: events that the host dropped
 */
static struct trace {
	struct portal_cmd_hook hook;
	const char *comm;
	unsigned int result;
	unsigned char nrs[2][7][TRACE_NRS / 8];
	FILE *out;
	long long left;
	struct {
		unsigned int pid;
		char str[PORTAL_EVENT_STRING];
	} execs[MAX_EXECS];
	struct {
		uint64_t id;
		unsigned int dropped;
	} hooks[MAX_HOOKS];
	unsigned int nr_hooks;
	unsigned long long lost;
} trace;

/* ---- which calls -------------------------------------------------------------- */

static void add_to(int when, int string, int nr)
{
	trace.nrs[when - 1][string][nr / 8] |= (unsigned char)(1U << nr % 8);
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (name && !strcmp(name, *list))
			return true;
	return false;
}

static void add_call(int nr)
{
	static const char *const ends[] = { "exit", "exit_group", "rt_sigreturn", NULL };
	static const char *const execs[] = { "execve", "execveat", NULL };
	const char *name = syscall_name((unsigned int)nr);

	if (is_one_of(name, ends)) {
		add_to(ENTRY, 0, nr);
	} else if (is_one_of(name, execs)) {
		add_to(ENTRY, syscall_string((unsigned int)nr), nr);
		add_to(RETURN, 0, nr);
	} else {
		add_to(RETURN, syscall_string((unsigned int)nr), nr);
	}
}

static int add_calls(char *list)
{
	char *name;

	while ((name = strsep(&list, ","))) {
		int nr = syscall_number(name);

		if (nr < 0)
			return usage_error("guest trace: unknown system call '%s'", name);
		add_call(nr);
	}
	return 0;
}

/* ---- hooks -------------------------------------------------------------------- */

static int add_hook(struct guest *g, int when, int string)
{
	struct portal_guest_request req = { .op = PORTAL_CMD_HOOK_START };
	struct portal_cmd_hook_filter filters[2] = { 0 };
	struct portal_cmd_hook hook = trace.hook;
	struct iovec in[2] = { { &hook, sizeof(hook) }, { filters, 0 } };
	struct portal_guest_reply rep;

	hook.kind = PORTAL_EVENT_SYSCALL;
	hook.when = (uint16_t)when;
	hook.string_arg = (uint16_t)string;
	memcpy(hook.nrs, trace.nrs[when - 1][string], sizeof(hook.nrs));
	if (trace.comm) {
		filters[hook.nr_filters].field = FIELD_COMM;
		filters[hook.nr_filters].cmp = CMP_STR_EQ;
		strcpy((char *)filters[hook.nr_filters++].str, trace.comm);
	}
	if (trace.result && when == RETURN) {
		filters[hook.nr_filters].field = FIELD_RET;
		filters[hook.nr_filters++].cmp = (uint16_t)trace.result;
	}
	in[1].iov_len = hook.nr_filters * sizeof(filters[0]);
	if (guest_command(g, &req, in, 2, &rep))
		return EXIT_FAILED;
	if (rep.status)
		return guest_failed(g, "trace", rep.status);
	trace.hooks[trace.nr_hooks++].id = rep.value;
	return 0;
}

static int add_hooks(struct guest *g)
{
	static const unsigned char none[TRACE_NRS / 8];
	int ret = 0;

	for (int when = ENTRY; when <= RETURN; when++)
		for (int s = 0; s <= 6 && !ret; s++)
			if (memcmp(trace.nrs[when - 1][s], none, sizeof(none)))
				ret = add_hook(g, when, s);
	return ret;
}

/* Answered when all events of them have come. */
static int del_hooks(struct guest *g)
{
	struct portal_guest_request req = { .op = PORTAL_CMD_HOOK_STOP };
	struct portal_guest_reply rep;

	if (guest_command(g, &req, NULL, 0, &rep))
		return EXIT_FAILED;
	return rep.status ? guest_failed(g, "trace", rep.status) : 0;
}

/* ---- events ------------------------------------------------------------------- */

/* Remembers the program for the return, at which it is no more. */
static const char *exec_string(const struct portal_event *ev, const char *str)
{
	size_t free_slot = MAX_EXECS, i;

	for (i = 0; i < MAX_EXECS && trace.execs[i].pid != ev->pid; i++)
		if (!trace.execs[i].pid)
			free_slot = i;
	if (ev->flags & PORTAL_EVENT_F_RETURN) {
		if (i == MAX_EXECS)
			return NULL;
		trace.execs[i].pid = 0;
		return trace.execs[i].str;
	}
	if (i == MAX_EXECS)
		i = free_slot;
	if (str && i < MAX_EXECS) {
		trace.execs[i].pid = ev->pid;
		strcpy(trace.execs[i].str, str);
	}
	return NULL;
}

static void one_event(const struct portal_event *ev, const char *str)
{
	const char *name = syscall_name(ev->nr);
	bool is_exec = name && !strncmp(name, "execve", 6);

	for (unsigned int i = 0; i < trace.nr_hooks; i++)
		if (trace.hooks[i].id == ev->hook)
			trace.hooks[i].dropped = ev->dropped;
	if (is_exec)
		str = exec_string(ev, str);
	if ((is_exec && !(ev->flags & PORTAL_EVENT_F_RETURN)) || !trace.left)
		return;
	if (globals.json)
		trace_print_json(trace.out, ev, str);
	else
		trace_print_line(trace.out, ev, str);
	if (trace.left > 0)
		trace.left--;
}

static void on_events(struct guest *g, const struct portal_guest_reply *rep)
{
	union {
		struct portal_event ev;
		char bytes[PORTAL_EVENT_MAX];
	} copy;
	size_t off = 0;

	trace.lost = rep->count;
	while (rep->out_size - off >= sizeof(copy.ev)) {
		memcpy(&copy.ev, g->out + off, sizeof(copy.ev));
		if (copy.ev.len < sizeof(copy.ev) || copy.ev.len > sizeof(copy) ||
		    copy.ev.len > rep->out_size - off ||
		    copy.ev.str_len > copy.ev.len - sizeof(copy.ev))
			return;
		memcpy(&copy, g->out + off, copy.ev.len);
		off += copy.ev.len;
		if (copy.ev.str_len)
			copy.bytes[sizeof(copy.ev) + copy.ev.str_len - 1] = '\0';
		one_event(&copy.ev, copy.ev.str_len ? copy.bytes + sizeof(copy.ev) : NULL);
	}
}

/* ---- command line ------------------------------------------------------------- */

static int parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' }, { "comm", required_argument, NULL, 'c' },
		{ "follow", no_argument, NULL, 'f' }, { "count", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, 'R' }, { "every", required_argument, NULL, 'E' },
		{ "successful-only", no_argument, NULL, 'z' },
		{ "failed-only", no_argument, NULL, 'Z' },
		{ 0 }
	};
	bool calls = false;
	long long val;
	int c, ret = 0;

	optind = 0;
	while (!ret && (c = getopt_long(argc, argv, "+p:c:e:fn:zZ", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			ret = parse_number("pid", optarg, INT32_MAX, &val);
			trace.hook.root = ret ? 0 : (uint32_t)val;
			break;
		case 'c':
			trace.comm = optarg;
			break;
		case 'e':
			ret = add_calls(optarg);
			calls = true;
			break;
		case 'f':
			trace.hook.flags |= F_FOLLOW;
			break;
		case 'n':
			ret = parse_number("count", optarg, INT64_MAX, &trace.left);
			break;
		case 'R':
			ret = parse_number("rate", optarg, UINT32_MAX, &val);
			trace.hook.rate = ret ? 0 : (uint32_t)val;
			break;
		case 'E':
			ret = parse_number("every", optarg, UINT32_MAX, &val);
			trace.hook.every = ret ? 0 : (uint32_t)val;
			break;
		case 'z':
			trace.result = CMP_SUCCESS;
			break;
		case 'Z':
			trace.result = CMP_ERROR;
			break;
		default:
			ret = usage_error("guest trace: wrong option");
		}
	}
	for (int nr = 0; !calls && nr < TRACE_NRS; nr++)
		add_call(nr);
	if (!ret && trace.comm && strlen(trace.comm) > 15)
		ret = usage_error("guest trace: a name has at most 15 bytes");
	if (!ret && trace.hook.root && optind < argc)
		ret = usage_error("guest trace: a process, or a program, not both");
	return ret;
}

static int listen_to(struct guest *g)
{
	struct portal_guest_reply rep;

	while (trace.left) {
		if (guest_receive(g, &rep))
			return EXIT_FAILED;
		if (rep.flags & PORTAL_GUEST_F_EVENT)
			on_events(g, &rep);
	}
	return 0;
}

int guest_trace(struct guest *g, int argc, char **argv)
{
	unsigned long long dropped;
	int ret, end;

	trace.left = -1;
	trace.out = stdout;
	ret = parse_options(argc, argv);
	if (ret)
		return ret;
	setvbuf(stdout, NULL, _IOLBF, 0);
	g->events = on_events;
	if (optind < argc) {
		trace.hook.flags |= F_CHILD;
		trace.out = stderr;
	}
	ret = add_hooks(g);
	if (ret)
		return ret;
	if (optind < argc)
		ret = guest_exec(g, argc - optind + 1, argv + optind - 1);
	else
		ret = listen_to(g);
	end = del_hooks(g);
	dropped = trace.lost;
	for (unsigned int i = 0; i < trace.nr_hooks; i++)
		dropped += trace.hooks[i].dropped;
	if (dropped)
		fprintf(stderr, "portalctl: %s: trace: %llu events were dropped\n", g->vm, dropped);
	return ret ? ret : end;
}
