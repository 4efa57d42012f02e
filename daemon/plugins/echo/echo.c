// SPDX-License-Identifier: GPL-2.0-only
/*
 * echo.c - the smallest useful plugin: hypercalls and registers
 *
 * fn 0 (a): a; fn 1 (a, b, c, d): their sum. Registers, 32 bits each:
 *
 *	0x00  scratch: keeps what the guest writes (posted), read in the kernel
 *	0x08  CALL: how many hypercalls were served; the guest waits for us
 *	0x10  SYNC: a write shows at 0x14 before the guest's next instruction
 */
#include <errno.h>
#include <linux/portal.h>
#include <portald/plugin.h>

static const struct portald_api *api;
static uint32_t served;

static int echo_load(const struct portald_api *a)
{
	api = a;
	return 0;
}

static void *echo_open(struct portal_instance *pi)
{
	return pi;	/* one handle: the instance is all we need */
}

static int echo_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	const uint64_t *a = call->args;

	(void)handle;
	*value = call->fn ? a[0] + a[1] + a[2] + a[3] : a[0];
	served++;
	return 0;
}

static int echo_reg_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)handle;
	(void)len;
	*value = served;
	return offset == 0x08 ? 0 : -EINVAL;
}

static int echo_reg_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	uint32_t *shadow = api->shadow(handle, NULL);

	if (len != 4 || (offset != 0x00 && offset != 0x10))
		return -EINVAL;
	__atomic_store_n(&shadow[offset == 0x10 ? 0x14 / 4 : 0], value, __ATOMIC_RELEASE);
	return 0;
}

static const struct portal_register registers[] = {
	{ .offset = 0x00, .len = 4, .attr = PORTAL_ATTR_SHADOW },
	{ .offset = 0x08, .len = 4, .attr = PORTAL_ATTR_CALL },
	{ .offset = 0x10, .len = 4, .attr = PORTAL_ATTR_SYNC },
};

static struct portald_plugin plugin = {
	.name = "echo",
	.longname = "portal echo",
	.description = "answers hypercalls and registers with what it was given",
	.load = echo_load,
	.open = echo_open,
	.fns = 2,
	.call = echo_call,
	.region_len = 0x100,
	.registers = registers,
	.nr_registers = sizeof(registers) / sizeof(registers[0]),
	.reg_read = echo_reg_read,
	.reg_write = echo_reg_write,
};

PORTALD_PLUGIN(plugin)
