// SPDX-License-Identifier: GPL-2.0-only
/* noversion.c - without PORTALD_PLUGIN() */
#include "bad.h"

static struct portald_plugin plugin = { GOOD("noversion") };

BAD_PLUGIN(plugin, sizeof(plugin), 0)
