// SPDX-License-Identifier: GPL-2.0-only
/*
 * options.c - the command line of portald
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "options.h"

enum {
	OPT_CHECK = 256, OPT_DUMP, OPT_HELP, OPT_VERSION, OPT_WORKER, OPT_PLUGIN_DIR, OPT_LEVEL,
	OPT_KEEP, OPT_KEEPER,
};

static const struct option long_options[] = {
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "config", required_argument, NULL, 'c' },
	{ "dump-plugin", required_argument, NULL, OPT_DUMP },
	{ "foreground", no_argument, NULL, 'f' },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "keeper", no_argument, NULL, OPT_KEEPER },
	{ "help", no_argument, NULL, 'h' },
	{ "log-level", required_argument, NULL, OPT_LEVEL },
	{ "plugin-dir", required_argument, NULL, OPT_PLUGIN_DIR },
	{ "socket", required_argument, NULL, 's' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "worker", no_argument, NULL, OPT_WORKER },
	{ 0 }
};

static const char usage[] =
"Usage: portald [OPTION]...\n"
"Serve devices and services to KVM guests; portalctl(1) attaches them.\n"
"\n"
"  -c, --config FILE      configuration, default " PORTALD_SYSCONFDIR "/portald.conf\n"
"                         and " PORTALD_SYSCONFDIR "/portald.conf.d/*.conf\n"
"  -s, --socket PATH      control socket, default /run/portald/control\n"
"      --plugin-dir DIR   plugins, default " PORTALD_PLUGINDIR "\n"
"      --keep WHO         keeps the attachments if portald is killed: process (an own\n"
"                         one, default), systemd (its file descriptor store), no\n"
"      --log-level LEVEL  err, warning, notice, info, debug\n"
"  -v, --verbose          the same as --log-level debug\n"
"  -f, --foreground       accepted; portald never goes to the background\n"
"      --check-config     read the configuration, say what is wrong, exit\n"
"      --dump-plugin NAME print what a plugin is and can do, exit\n"
"  -h, --help             this text\n"
"  -V, --version          version\n"
"\n"
"Exit status: 0 good, 1 failed, 2 wrong command line.\n";

static int bad(const char *what, const char *arg)
{
	fprintf(stderr, "portald: %s '%s'; see portald --help\n", what, arg);
	return -EINVAL;
}

static int parse_keep(struct options *opts, const char *arg)
{
	static const char *const names[] = {
		[KEEP_PROCESS] = "process", [KEEP_SYSTEMD] = "systemd", [KEEP_NO] = "no",
	};

	for (int i = 0; i < 3; i++) {
		if (strcmp(arg, names[i]))
			continue;
		opts->keep = i;
		return 0;
	}
	return bad("--keep is one of process, systemd, no; not", arg);
}

int options_parse(struct options *opts, int argc, char **argv)
{
	int c;

	memset(opts, 0, sizeof(*opts));
	opts->log_level = -1;
	while ((c = getopt_long(argc, argv, "c:fhs:vV", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			opts->config = optarg;
			break;
		case 'f':
			opts->foreground = true;
			break;
		case 's':
			opts->socket = optarg;
			break;
		case 'v':
			opts->log_level = LOG_DEBUG;
			break;
		case OPT_LEVEL:
			opts->log_level = log_parse_level(optarg);
			if (opts->log_level < 0)
				return bad("no such log level", optarg);
			break;
		case OPT_PLUGIN_DIR:
			opts->plugin_dir = optarg;
			break;
		case OPT_CHECK:
			opts->mode = MODE_CHECK_CONFIG;
			break;
		case OPT_DUMP:
			opts->mode = MODE_DUMP_PLUGIN;
			opts->plugin = optarg;
			break;
		case OPT_WORKER:
			opts->mode = MODE_WORKER;
			break;
		case OPT_KEEPER:
			opts->mode = MODE_KEEPER;
			break;
		case OPT_KEEP:
			if (parse_keep(opts, optarg))
				return -EINVAL;
			break;
		case 'h':
			fputs(usage, stdout);
			opts->mode = MODE_EXIT;
			return 0;
		case 'V':
			puts("portald " PORTALD_VERSION);
			opts->mode = MODE_EXIT;
			return 0;
		default:
			fputs("Try 'portald --help'.\n", stderr);
			return -EINVAL;
		}
	}
	if (optind < argc)
		return bad("unexpected argument", argv[optind]);
	return 0;
}
