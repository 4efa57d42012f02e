/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * options.h - the command line of portald
 */
#ifndef PORTALD_OPTIONS_H
#define PORTALD_OPTIONS_H

#include <stdbool.h>

#include "keep.h"

enum options_mode {
	MODE_DAEMON,
	MODE_WORKER,
	MODE_KEEPER,
	MODE_CHECK_CONFIG,
	MODE_DUMP_PLUGIN,
	MODE_EXIT,		/* --help, --version: done */
};

struct options {
	enum options_mode mode;
	const char *config;	/* NULL: the default, which may be missing */
	const char *socket;	/* over the configuration's */
	const char *plugin_dir;	/* over the configuration's */
	const char *plugin;	/* --dump-plugin */
	enum keep_mode keep;
	int log_level;		/* -1: the configuration's */
	bool foreground;
};

/* 0, or -EINVAL after a message on stderr */
int options_parse(struct options *opts, int argc, char **argv);

#endif /* PORTALD_OPTIONS_H */
