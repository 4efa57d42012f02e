// SPDX-License-Identifier: GPL-2.0-only
/* longer.c - built with members that this portald does not know */
#include "bad.h"

static struct {
	struct portald_plugin known;
	void *unknown[8];
} plugin = { { GOOD("longer") }, { (void *)1, (void *)2 } };

BAD_PLUGIN(plugin.known, sizeof(plugin), PORTALD_API_VERSION)
