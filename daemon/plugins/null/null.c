// SPDX-License-Identifier: GPL-2.0-only
/*
 * null.c - a disk of zeroes that forgets what is written to it
 *
 * The smallest block plugin: a size, a read and a write. portald checks bounds
 * and calls pread and pwrite from threads of its own.
 */
#include <errno.h>
#include <string.h>

/* Nothing here is shared between requests. */
#define PORTALD_THREAD_MODEL PORTALD_THREAD_PARALLEL
#include <portald/plugin.h>

static const struct portald_api *api;
static uint64_t size;

static int null_load(const struct portald_api *portald)
{
	api = portald;
	return 0;
}

static int null_config(const char *key, const char *value)
{
	if (strcmp(key, "size"))
		return -ENOENT;
	return api->parse_size(value, &size);
}

static int null_config_complete(void)
{
	if (size)
		return 0;
	api->error("size= is missing, such as size=1G");
	return -EINVAL;
}

static void *null_open(struct portal_instance *pi)
{
	return &size;
}

static int64_t null_get_size(void *handle)
{
	return (int64_t)*(uint64_t *)handle;
}

static int null_yes(void *handle)
{
	return 1;
}

static int null_pread(void *handle, void *buf, uint64_t len, uint64_t offset)
{
	memset(buf, 0, len);
	return 0;
}

static int null_pwrite(void *handle, const void *buf, uint64_t len, uint64_t offset,
		       uint32_t flags)
{
	return 0;
}

static int null_range(void *handle, uint64_t len, uint64_t offset)
{
	return 0;
}

static int null_zero(void *handle, uint64_t len, uint64_t offset, uint32_t flags)
{
	return 0;	/* it is zero already */
}

static struct portald_plugin plugin = {
	.name = "null",
	.longname = "null disk",
	.description = "reads zeroes, forgets writes; for measuring portald itself",
	.config_help = "size=SIZE  (required) size of the disk",
	.load = null_load,
	.config = null_config,
	.config_complete = null_config_complete,
	.open = null_open,
	.get_size = null_get_size,
	.can_write = null_yes,
	.can_discard = null_yes,
	.can_zero = null_yes,
	.pread = null_pread,
	.pwrite = null_pwrite,
	.discard = null_range,
	.zero = null_zero,
};

PORTALD_PLUGIN(plugin)
