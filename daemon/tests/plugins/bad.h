/* SPDX-License-Identifier: GPL-2.0-only */
/* bad.h - a good plugin, for the bad ones to break in one place */
#include <errno.h>
#include <portald/plugin.h>

static inline void *open_it(struct portal_instance *pi)
{
	return pi;
}

static inline int call_it(void *handle, const struct portal_call *call, uint64_t *value)
{
	(void)handle;
	*value = call->args[0];
	return 0;
}

#define GOOD(plugin_name) .name = plugin_name, .open = open_it, .fns = 1, .call = call_it

/* As PORTALD_PLUGIN(), with other numbers. */
#define BAD_PLUGIN(plugin, size, version)					\
	PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void);	\
	PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void)		\
	{									\
		(plugin).struct_size = size;					\
		(plugin).api_version = version;					\
		return &(plugin);						\
	}
