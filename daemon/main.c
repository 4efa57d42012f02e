// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - which of portald's roles this process has
 */
#include <stdio.h>

#include "config.h"
#include "daemon.h"
#include "keep.h"
#include "options.h"
#include "plugin.h"
#include "worker.h"

static int check_config(const struct options *opts)
{
	struct config *cfg;

	if (config_load(opts->config, &cfg))
		return 1;
	printf("%u instances, no mistakes\n", cfg->nr_instances);
	config_free(cfg);
	return 0;
}

static int dump_plugin(const struct options *opts)
{
	const char *dir = opts->plugin_dir;
	struct config *cfg = NULL;
	struct plugin plugin;
	struct err err = { "" };
	int ret;

	if (!dir && !config_load(opts->config, &cfg))
		dir = cfg->plugin_dir;
	ret = plugin_load(&plugin, dir ? dir : PORTALD_PLUGINDIR, opts->plugin, &plugin_api,
			  &err);
	if (ret) {
		log_err("%s", err.msg);
	} else {
		plugin_dump(&plugin, stdout);
		plugin_unload(&plugin);
	}
	config_free(cfg);
	return ret ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options opts;

	if (options_parse(&opts, argc, argv))
		return 2;
	log_open(opts.log_level >= 0 ? opts.log_level : LOG_INFO, NULL);
	switch (opts.mode) {
	case MODE_WORKER:
		return worker_main();
	case MODE_KEEPER:
		return keeper_main();
	case MODE_CHECK_CONFIG:
		return check_config(&opts);
	case MODE_DUMP_PLUGIN:
		return dump_plugin(&opts);
	case MODE_EXIT:
		return 0;
	case MODE_DAEMON:
		break;
	}
	return supervisor_run(&opts);
}
