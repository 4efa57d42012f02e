// SPDX-License-Identifier: GPL-2.0-only
/* nocall.c - functions without call() */
#include "bad.h"

static struct portald_plugin plugin = { .name = "nocall", .open = open_it, .fns = 1 };

PORTALD_PLUGIN(plugin)

static const void *const unused __attribute__((unused)) = call_it;
