// SPDX-License-Identifier: GPL-2.0-only
/*
 * frozen.c - a block plugin built with portald 0.1's header
 *
 * That header's structs are written out here, and are never changed: what this
 * file compiles to is a plugin of that time. It includes nothing of portald's.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct api_0_1 {
	uint64_t struct_size;
	void (*error)(const char *fmt, ...);
	void (*log)(int level, const char *fmt, ...);
	int (*parse_size)(const char *str, uint64_t *size);
	int (*parse_bool)(const char *str, bool *val);
	void *later[8];
};

struct plugin_0_1 {
	uint64_t struct_size;
	uint32_t api_version;
	uint32_t thread_model;
	const char *name, *longname, *version, *description, *config_help;
	int (*load)(const struct api_0_1 *api);
	void (*unload)(void);
	int (*config)(const char *key, const char *value);
	int (*config_complete)(void);
	void *(*open)(void *pi);
	void (*close)(void *handle);
	uint32_t fns;
	uint32_t region_len;
	const void *registers;
	uint32_t nr_registers;
	void *call, *reg_read, *reg_write, *interrupt;
	int64_t (*get_size)(void *handle);
	void *block_size;
	int (*can_write)(void *handle);
	void *can_flush, *can_fua, *can_discard, *can_zero;
	int (*pread)(void *handle, void *buf, uint64_t len, uint64_t offset);
	int (*pwrite)(void *handle, const void *buf, uint64_t len, uint64_t offset,
		      uint32_t flags);
	void *flush, *discard, *zero, *submit;
};

_Static_assert(sizeof(struct api_0_1) == 104, "frozen");
_Static_assert(sizeof(struct plugin_0_1) == 264, "frozen");

static const struct api_0_1 *api;
static char data[1 << 16];
static uint64_t size;

static int load(const struct api_0_1 *a)
{
	api = a;
	return a->struct_size >= sizeof(*a) ? 0 : -EINVAL;
}

static int config(const char *key, const char *value)
{
	return strcmp(key, "size") ? -ENOENT : api->parse_size(value, &size);
}

static int64_t get_size(void *handle)
{
	(void)handle;
	return (int64_t)size;
}

static int can_write(void *handle)
{
	(void)handle;
	return 1;
}

static int do_pread(void *handle, void *buf, uint64_t len, uint64_t offset)
{
	(void)handle;
	memcpy(buf, data + offset, len);
	return 0;
}

static int do_pwrite(void *handle, const void *buf, uint64_t len, uint64_t offset,
		     uint32_t flags)
{
	(void)handle;
	(void)flags;
	memcpy(data + offset, buf, len);
	return 0;
}

/* What stood behind the struct in memory: must never be called. */
static struct {
	struct plugin_0_1 plugin;
	uint64_t beyond[16];
} frozen = {
	.plugin = {
		.struct_size = sizeof(struct plugin_0_1), .api_version = 1, .name = "frozen",
		.load = load, .config = config, .get_size = get_size, .can_write = can_write,
		.pread = do_pread, .pwrite = do_pwrite,
	},
	.beyond = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
};

void *portald_plugin_init(void);

__attribute__((visibility("default"))) void *portald_plugin_init(void)
{
	return &frozen.plugin;
}
