// SPDX-License-Identifier: GPL-2.0-only
/* noopen.c - no open(): its handle is the instance */
#include "bad.h"

static struct portald_plugin plugin = { .name = "noopen", .fns = 1, .call = call_it };

PORTALD_PLUGIN(plugin)

static const void *const unused __attribute__((unused)) = open_it;
