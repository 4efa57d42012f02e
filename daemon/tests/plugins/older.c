// SPDX-License-Identifier: GPL-2.0-only
/* older.c - built before interrupts: what follows is not its own */
#include "bad.h"

static int never(void *handle, uint64_t count, uint64_t *value)
{
	(void)handle;
	(void)count;
	(void)value;
	return -EIO;
}

static struct portald_plugin plugin = { GOOD("older"), .interrupt = never };

BAD_PLUGIN(plugin, offsetof(struct portald_plugin, interrupt), PORTALD_API_VERSION)
