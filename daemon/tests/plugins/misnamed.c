// SPDX-License-Identifier: GPL-2.0-only
/* misnamed.c - file and name differ */
#include "bad.h"

static struct portald_plugin plugin = { GOOD("othername") };

PORTALD_PLUGIN(plugin)
