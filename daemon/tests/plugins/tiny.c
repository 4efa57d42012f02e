// SPDX-License-Identifier: GPL-2.0-only
/* tiny.c - a struct that ends before open() */
#include "bad.h"

static struct portald_plugin plugin = { GOOD("tiny") };

BAD_PLUGIN(plugin, offsetof(struct portald_plugin, open), PORTALD_API_VERSION)
