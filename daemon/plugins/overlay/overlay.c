// SPDX-License-Identifier: GPL-2.0-only
/*
 * overlay.c - copy-on-write over any other block plugin
 *
 * The layer below is only read. What is written goes to a file (format.h), which
 * may be thrown away or be committed to the image below: portal-overlay(1).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "overlay.h"

const struct portald_api *overlay_api;
static char *path;

static int overlay_load(const struct portald_api *portald)
{
	overlay_api = portald;
	return 0;
}

static void overlay_unload(void)
{
	free(path);
	path = NULL;
}

static int overlay_config(const char *key, const char *value)
{
	if (strcmp(key, "path"))
		return -ENOENT;
	free(path);
	path = strdup(value);
	return path ? 0 : -ENOMEM;
}

static int overlay_config_complete(void)
{
	if (path && *path)
		return 0;
	overlay_api->error("path= is missing: the file for what is written; it is made if it is not there");
	return -EINVAL;
}

static void *overlay_open(struct portal_instance *pi, struct portal_lower *lower)
{
	struct overlay *ov = calloc(1, sizeof(*ov));

	if (!ov)
		return NULL;
	ov->pi = pi;
	ov->lower = lower;
	ov->size = overlay_api->lower_info(lower)->size;
	if (!overlay_file_open(ov, path))
		return ov;
	free(ov);
	return NULL;
}

static void overlay_close(void *handle)
{
	struct overlay *ov = handle;
	struct overlay_op *op;

	while ((op = ov->free)) {
		ov->free = op->next;
		free(op->buf);
		free(op);
	}
	overlay_file_close(ov);
	free(ov);
}

static int64_t overlay_get_size(void *handle)
{
	return (int64_t)((struct overlay *)handle)->size;
}

static int overlay_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	const struct portal_lower_info *info =
		overlay_api->lower_info(((struct overlay *)handle)->lower);

	*logical = info->logical;
	*physical = info->physical > 4096 ? info->physical : 4096;
	return 0;
}

static int overlay_io_limits(void *handle, struct portal_io_limits *limits)
{
	limits->max_iovs = OVERLAY_IOVS;
	limits->max_transfer = OVERLAY_TRANSFER;
	return 0;
}

static int overlay_yes(void *handle)
{
	return 1;
}

static struct portald_plugin plugin = {
	.name = "overlay",
	.longname = "copy-on-write overlay",
	.description = "a filter: what is written goes to a file, the layer below stays",
	.config_help = "lower=PLUGIN  (required) the layer below; its keys are lower.KEY\n"
		       "path=FILE     (required) the overlay; made if it is not there",
	.load = overlay_load,
	.unload = overlay_unload,
	.config = overlay_config,
	.config_complete = overlay_config_complete,
	.open_filter = overlay_open,
	.close = overlay_close,
	.get_size = overlay_get_size,
	.block_size = overlay_block_size,
	.io_limits = overlay_io_limits,
	.can_write = overlay_yes,
	.can_flush = overlay_yes,
	.can_discard = overlay_yes,
	.can_zero = overlay_yes,
	.submit = overlay_submit,
};

PORTALD_PLUGIN(plugin)
