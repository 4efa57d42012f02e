// SPDX-License-Identifier: GPL-2.0-only
/*
 * portalctl.c - the command line of portald
 *
 * To add a command: a function, a row in commands[].
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portalctl.h"

struct globals globals = { .socket = "/run/portald/control" };

static int cmd_help(int argc, char **argv);

static const struct cmd {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *args;
	const char *help;
} commands[] = {
	{ "attach", cmd_attach, "NAME | PID", "attach a running VM" },
	{ "detach", cmd_detach, "VM | --pid PID", "take all devices away and let the VM go" },
	{ "interrupt", cmd_interrupt, "VM INSTANCE", "queue an interrupt for an instance" },
	{ "list", cmd_list, "", "attached VMs and their instances" },
	{ "restart", cmd_restart, "VM INSTANCE", "a new worker, also for a failed instance" },
	{ "stat", cmd_stat, "[VM]", "counters" },
	{ "top", cmd_top, "[VM]", "rates, refreshed" },
	{ "trace", cmd_trace, "[VM [INSTANCE]]", "requests as they pass" },
	{ "version", cmd_version, "", "versions of portalctl, portald and the module" },
	{ "help", cmd_help, "", "this text" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: portalctl [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n");
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s %s", commands[i].name, commands[i].args);
		printf("  %-40s %s\n", line, commands[i].help);
	}
	printf("\nOptions, also after the command:\n"
	       "  -j, --json          print portald's answer as JSON\n"
	       "  -s, --socket PATH   portald's socket, default %s\n"
	       "  -h, --help          this text\n"
	       "  -V, --version       version\n"
	       "\nattach: NAME is QEMU's -name or libvirt's domain; also -p, --pid PID;\n"
	       "        --vm-name NAME; --domain NAME; -n, --name NAME (its name here);\n"
	       "        -i, --instances A,B (default: all); --vm-fd N\n"
	       "top:    -d, --delay SECONDS (default 2); -n, --count N; with --json once\n"
	       "trace:  -n, --count N events; -t, --timeout SECONDS\n"
	       "detach: -p, --pid PID; -t, --timeout SECONDS (default 10); -f, --force\n"
	       "\nExit status: 0 good, 1 failed, 2 wrong command line. See portalctl(1).\n",
	       globals.socket);
	return 0;
}

int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("portalctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; see portalctl help\n", stderr);
	return EXIT_USAGE;
}

int parse_number(const char *what, const char *str, long long max, long long *val)
{
	char *end;

	errno = 0;
	*val = strtoll(str, &end, 10);
	if (errno || end == str || *end || *val < 0 || *val > max)
		return usage_error("%s '%s' is not a number from 0 to %lld", what, str, max);
	return 0;
}

/* -j, -s PATH, --socket=PATH wherever they stand: takes them out of argv. */
static int take_globals(int *argc, char **argv)
{
	int out = 1;

	for (int in = 1; in < *argc; in++) {
		char *arg = argv[in];

		if (!strcmp(arg, "--")) {
			while (in < *argc)
				argv[out++] = argv[in++];
		} else if (!strcmp(arg, "-j") || !strcmp(arg, "--json")) {
			globals.json = true;
		} else if (!strncmp(arg, "--socket=", 9)) {
			globals.socket = arg + 9;
		} else if (!strcmp(arg, "-s") || !strcmp(arg, "--socket")) {
			if (++in == *argc)
				return usage_error("%s needs a path", arg);
			globals.socket = argv[in];
		} else {
			argv[out++] = arg;
		}
	}
	argv[out] = NULL;
	*argc = out;
	return 0;
}

int main(int argc, char **argv)
{
	const char *name;

	if (take_globals(&argc, argv))
		return EXIT_USAGE;
	if (argc < 2) {
		cmd_help(0, NULL);
		return EXIT_USAGE;
	}
	name = argv[1];
	if (!strcmp(name, "-h") || !strcmp(name, "--help"))
		return cmd_help(0, NULL);
	if (!strcmp(name, "-V") || !strcmp(name, "--version")) {
		puts("portalctl " PORTALD_VERSION);
		return 0;
	}
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (name[0] == '-')
		return usage_error("unknown option '%s'", name);
	return usage_error("unknown command '%s'", name);
}
