// SPDX-License-Identifier: GPL-2.0-only
/* newer.c - a plugin for the portald of another age */
#include <portald/plugin.h>

static void *newer_open(struct portal_instance *pi)
{
	return pi;
}

static int newer_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	(void)handle, (void)call;
	*value = 0;
	return 0;
}

static struct portald_plugin plugin = {
	.struct_size = sizeof(plugin), .api_version = 999,
	.name = "newer", .open = newer_open, .fns = 1, .call = newer_call,
};

PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void);
PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void)
{
	return &plugin;
}
