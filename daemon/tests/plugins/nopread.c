// SPDX-License-Identifier: GPL-2.0-only
/* nopread.c - a size but no data */
#include "bad.h"

static int64_t size(void *handle)
{
	(void)handle;
	return 512;
}

static struct portald_plugin plugin = { GOOD("nopread"), .get_size = size };

PORTALD_PLUGIN(plugin)
