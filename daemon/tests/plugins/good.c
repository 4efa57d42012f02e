// SPDX-License-Identifier: GPL-2.0-only
/* good.c - nothing is wrong with it */
#include "bad.h"

static struct portald_plugin plugin = { GOOD("good") };

PORTALD_PLUGIN(plugin)
