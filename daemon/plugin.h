/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * plugin.h - the daemon's side of the plugin ABI (portald/plugin.h)
 */
#ifndef PORTALD_DAEMON_PLUGIN_H
#define PORTALD_DAEMON_PLUGIN_H

#include <stdio.h>
#include <portald/plugin.h>

#include "log.h"

/**
 * struct plugin - a loaded plugin
 * @ops: our copy: callbacks that the plugin was built without are NULL
 * @dl: of dlopen()
 * @path: of the file, for messages
 * @copy: memfd it was loaded from, for it was loaded already; -1
 */
struct plugin {
	struct portald_plugin ops;
	void *dl;
	char *path;
	int copy;
};

/* Loads @dir/@name.so and calls its load(). */
int plugin_load(struct plugin *plugin, const char *dir, const char *name,
		const struct portald_api *api, struct err *err);
/*
 * The same in a copy of its own: what is static in it is not shared with the
 * plugin of the same name that this process has loaded already.
 */
int plugin_load_copy(struct plugin *plugin, const char *dir, const char *name,
		     const struct portald_api *api, struct err *err);
void plugin_unload(struct plugin *plugin);
bool plugin_is_block(const struct plugin *plugin);
/* key=value lines, for scripts */
void plugin_dump(const struct plugin *plugin, FILE *out);

/* api.c: what plugins may call */
extern const struct portald_api plugin_api;
/* What the plugin told error() since the last call; "" if nothing. */
const char *api_take_error(void);

#endif /* PORTALD_DAEMON_PLUGIN_H */
