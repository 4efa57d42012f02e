// SPDX-License-Identifier: GPL-2.0-only
/* loadfails.c - load() says why */
#include "bad.h"

static int load(const struct portald_api *api)
{
	api->error("no %s here", "luck");
	return -ENXIO;
}

static struct portald_plugin plugin = { GOOD("loadfails"), .load = load };

PORTALD_PLUGIN(plugin)
