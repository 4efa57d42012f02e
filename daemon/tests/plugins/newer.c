// SPDX-License-Identifier: GPL-2.0-only
/* newer.c - of a portald to come */
#include "bad.h"

static struct portald_plugin plugin = { GOOD("newer") };

BAD_PLUGIN(plugin, sizeof(plugin), PORTALD_API_VERSION + 1)
