// SPDX-License-Identifier: GPL-2.0-only
/* nothing.c - offers nothing */
#include "bad.h"

static struct portald_plugin plugin = { .name = "nothing", .open = open_it, .call = call_it };

PORTALD_PLUGIN(plugin)
