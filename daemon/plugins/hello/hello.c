// SPDX-License-Identifier: GPL-2.0-only
/*
 * hello.c - queued interrupts
 *
 * fn 0 queues an interrupt for this very instance, and so does `portalctl
 * interrupt VM INSTANCE`. The guest's driver is woken, lets .interrupt run
 * here, and gives its value to the programs that read /dev/portal-guest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <portald/plugin.h>

static const struct portald_api *api;
static char *greeting;
static uint64_t total;

static int hello_load(const struct portald_api *a)
{
	api = a;
	return 0;
}

static int hello_config(const char *key, const char *value)
{
	if (strcmp(key, "greeting"))
		return -ENOENT;
	free(greeting);
	greeting = strdup(value);
	return greeting ? 0 : -ENOMEM;
}

static void *hello_open(struct portal_instance *pi)
{
	return pi;
}

static void hello_close(void *handle)
{
	free(greeting);
	greeting = NULL;
}

static int hello_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	*value = total;
	return api->queue_interrupt(handle);
}

static int hello_interrupt(void *handle, uint64_t count, uint64_t *value)
{
	total += count;
	api->log(LOG_INFO, "%s: %llu interrupts, %llu in all", greeting ? greeting : "hello",
		 (unsigned long long)count, (unsigned long long)total);
	*value = count;
	return 0;
}

static struct portald_plugin plugin = {
	.name = "hello",
	.longname = "portal hello",
	.description = "counts and logs queued interrupts",
	.config_help = "greeting=TEXT  what to log (default: hello)\n",
	.load = hello_load,
	.config = hello_config,
	.open = hello_open,
	.close = hello_close,
	.fns = 1,
	.call = hello_call,
	.interrupt = hello_interrupt,
};

PORTALD_PLUGIN(plugin)
