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
	const char *details;
} commands[] = {
	{ "attach", cmd_attach, "NAME | PID", "attach a running VM",
	"  NAME                 QEMU's -name, or libvirt's domain\n"
	"  -p, --pid PID        the VMM's process\n"
	"      --vm-name NAME   the same as NAME\n"
	"      --domain NAME    libvirt's domain\n"
	"      --vm-fd N        if the process has several VMs: fd N of it\n"
	"  -n, --name NAME      what it is called here\n"
	"  -i, --instances A,B  of portald.conf; default: all\n"
	"Example: portalctl attach web1 --instances disk0,hello\n" },
	{ "detach", cmd_detach, "VM | --pid PID", "take all devices away and let the VM go",
	"  -t, --timeout SECONDS  that the guest has to let go of them; default 10\n"
	"  -f, --force            do not ask it\n"
	"Example: portalctl detach web1\n" },
	{ "disk", cmd_disk, "VERB VM DISK ...", "add, remove and change disks of an attached VM",
	"  add VM DISK [KEY=VALUE]...   keys as in portald.conf; default: plugin=file\n"
	"                               frontend=virtio-blk; none: [instance DISK]\n"
	"  remove VM DISK [-t SECONDS] [-f]  when the guest lets go; -f: without asking\n"
	"  resize VM DISK [--size SIZE] [--sid N]  without SIZE: look at the medium again\n"
	"  swap VM DISK KEY=VALUE...    another medium under the same disk\n"
	"  set-limit VM DISK LIMIT...   iops, iops-read, iops-write, bps, bps-read,\n"
	"                               bps-write, each also with -burst; depth; or off\n"
	"Example: portalctl disk add web1 scratch path=/var/lib/portald/scratch.img\n"
	"         portalctl disk set-limit web1 scratch iops=500 bps=20M\n" },
	{ "guest", cmd_guest, "VM ps | cp | exec | info | trace ...", "look into a guest, by its agent",
	"  ps             its processes\n"
	"  cp SRC DST     copy a file; the one in the guest is :/PATH\n"
	"  exec -- CMD    run a program there; its output and exit status are ours\n"
	"  info           what its owner allows\n"
	"  trace [-p PID] [-c COMM] [-e CALL,...] [-f] [-z | -Z] [--count N]\n"
	"        [--every N] [--rate N] [-- CMD]   system calls, as strace shows them\n"
	"  -I, --instance NAME    of plugin agent, if the VM has several\n"
	"  -t, --timeout SECONDS  for each command; default 10, of exec 60\n"
	"The guest's owner decides: modprobe portal_guest agent=task,file,exec,hook\n"
	"Example: portalctl guest web1 cp :/var/log/dmesg dmesg\n" },
	{ "interrupt", cmd_interrupt, "VM INSTANCE", "queue an interrupt for an instance",
	"The guest's driver is woken and runs the plugin's interrupt handler.\n"
	"Example: portalctl interrupt web1 hello\n" },
	{ "list", cmd_list, "", "attached VMs and their instances",
	"GUEST: offered (not in use), enabled, leaving. WORKER: failed ones come back by\n"
	"portalctl restart.\n" },
	{ "restart", cmd_restart, "VM INSTANCE", "a new worker, also for a failed instance",
	"A failed instance comes back to the guest. A running worker first ends what it\n"
	"has begun; the next one goes on, with the plugin that is installed now.\n"
	"Example: portalctl restart web1 disk0\n" },
	{ "stat", cmd_stat, "[VM]", "counters",
	"Of the kernel, the workers and the devices; what went wrong last.\n"
	"Example: portalctl stat web1 --json\n" },
	{ "top", cmd_top, "[VM]", "rates, refreshed",
	"  -d, --delay SECONDS  between two looks; default 2\n"
	"  -n, --count N        end after N tables\n"
	"With --json once: as stat, but each counter is a rate per second.\n"
	"Example: portalctl top web1 --delay 5\n" },
	{ "trace", cmd_trace, "[VM [INSTANCE]]", "requests as they pass",
	"  -n, --count N          end after N events\n"
	"  -t, --timeout SECONDS  end then\n"
	"From the module's tracepoints, by an own instance of tracefs; needs root. With\n"
	"--json each line is an object.\n"
	"Example: portalctl trace web1 hello --count 20\n" },
	{ "version", cmd_version, "", "versions of portalctl, portald and the module", "" },
	{ "help", cmd_help, "[COMMAND]", "this text, or a command's", "" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct cmd *find(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static int help_of(const struct cmd *cmd)
{
	printf("Usage: portalctl [OPTION]... %s %s\n\n%s.\n%s\nSee portalctl(1).\n", cmd->name,
	       cmd->args, cmd->help, cmd->details);
	return 0;
}

static int cmd_help(int argc, char **argv)
{
	const struct cmd *cmd = argc > 1 ? find(argv[1]) : NULL;

	if (cmd)
		return help_of(cmd);
	if (argc > 1)
		return usage_error("help: no command '%s'", argv[1]);
	printf("Usage: portalctl [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n");
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s %s", commands[i].name, commands[i].args);
		printf("  %-40s %s\n", line, commands[i].help);
	}
	printf("\nOptions, also after the command:\n"
	       "  -j, --json          print portald's answer as JSON\n"
	       "  -s, --socket PATH   portald's socket, default %s\n"
	       "  -h, --help          this text, or the command's\n"
	       "  -V, --version       version\n"
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
	const struct cmd *cmd;
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
	cmd = find(name);
	for (int i = 2; cmd && i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			return help_of(cmd);
	if (cmd)
		return cmd->run(argc - 1, argv + 1);
	if (name[0] == '-')
		return usage_error("unknown option '%s'", name);
	return usage_error("unknown command '%s'", name);
}
