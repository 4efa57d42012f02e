// SPDX-License-Identifier: GPL-2.0-only
/*
 * regs.c - registers of every kind that waits, for accesses of every width
 *
 *	0x00-0x3f  SHADOW, 0x40-0x7f FENCED, 0x80-0xbf SYNC: what was written;
 *		   a write takes 20 ms, so that a read which does not wait for it
 *		   sees the old value
 *	0xc1-0xcf  CALL: the complement of what was written; one register of 1, 2,
 *		   4 and 8 bytes each, at the offset that is its width
 *	0xe0-0xff  the same, but one range for all
 */
#include <string.h>
#include <time.h>
#include <linux/portal.h>
#include <portald/plugin.h>

#define CALLS	0xc0

static const struct portald_api *api;
static uint8_t written[0x40];

static int regs_load(const struct portald_api *a)
{
	api = a;
	return 0;
}

static void *regs_open(struct portal_instance *pi)
{
	return pi;
}

static void store(void *at, uint32_t len, uint64_t value)
{
	switch (len) {
	case 1:
		__atomic_store_n((uint8_t *)at, value, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)at, value, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)at, value, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELEASE);
	}
}

static int regs_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	const struct timespec ts = { .tv_nsec = 20 * 1000000 };
	uint8_t *shadow = api->shadow(handle, NULL);

	if (offset >= CALLS) {
		memcpy(written + offset - CALLS, &value, len);
		return 0;
	}
	nanosleep(&ts, NULL);
	store(shadow + offset, len, value);
	return 0;
}

static int regs_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)handle;
	*value = 0;
	memcpy(value, written + offset - CALLS, len);
	*value = ~*value;
	return 0;
}

static const struct portal_register registers[] = {
	{ .offset = 0x40, .len = 0x40, .attr = PORTAL_ATTR_FENCED },
	{ .offset = 0x80, .len = 0x40, .attr = PORTAL_ATTR_SYNC },
	{ .offset = CALLS + 1, .len = 1, .attr = PORTAL_ATTR_CALL },
	{ .offset = CALLS + 2, .len = 2, .attr = PORTAL_ATTR_CALL },
	{ .offset = CALLS + 4, .len = 4, .attr = PORTAL_ATTR_CALL },
	{ .offset = CALLS + 8, .len = 8, .attr = PORTAL_ATTR_CALL },
	{ .offset = CALLS + 0x20, .len = 0x20, .attr = PORTAL_ATTR_CALL },
};

static struct portald_plugin plugin = {
	.name = "regs", .longname = "e2e test: registers",
	.load = regs_load, .open = regs_open,
	.region_len = 0x100, .registers = registers, .nr_registers = 7,
	.reg_read = regs_read, .reg_write = regs_write,
};

PORTALD_PLUGIN(plugin)
