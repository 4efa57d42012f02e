// SPDX-License-Identifier: GPL-2.0-only
/* crash.c - dies in fn 1, at the guest's wish */
#include <stdlib.h>
#include "bad.h"

static int call(void *handle, const struct portal_call *call, uint64_t *value)
{
	if (call->fn)
		abort();
	return call_it(handle, call, value);
}

static struct portald_plugin plugin = {
	.name = "crash", .open = open_it, .fns = 2, .call = call,
};

PORTALD_PLUGIN(plugin)
