// SPDX-License-Identifier: GPL-2.0-only
/*
 * echo.c - the smallest useful plugin: hypercalls and registers
 *
 * fn 0 (a): a; fn 1 (a, b, c, d): their sum. Registers, 32 bits each:
 *
 *	0x08  CALL: how many hypercalls were served; the guest waits for us
 *	0x10  SYNC: what is written is there before the guest's next instruction
 *	else  posted: what is written is there a little later
 */
#include <linux/portal.h>
#include <portald/plugin.h>

static const struct portald_api *api;
static uint32_t served;

static int echo_load(const struct portald_api *a)
{
	api = a;
	return 0;
}

static int echo_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	served++;
	*value = call->args[0];
	for (int i = 1; call->fn == 1 && i < 4; i++)
		*value += call->args[i];
	return 0;
}

static int echo_reg_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	*value = served;	/* there is only one CALL register */
	return 0;
}

static int echo_reg_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	uint32_t *shadow = api->shadow(handle, NULL);

	__atomic_store_n(&shadow[offset / 4], value, __ATOMIC_RELEASE);
	return 0;
}

static const struct portal_register registers[] = {
	{ .offset = 0x08, .len = 4, .attr = PORTAL_ATTR_CALL },
	{ .offset = 0x10, .len = 4, .attr = PORTAL_ATTR_SYNC },
};	/* the rest is PORTAL_ATTR_SHADOW */

static struct portald_plugin plugin = {
	.name = "echo", .description = "gives hypercalls and registers what it was given",
	.load = echo_load, .fns = 2, .call = echo_call,
	.region_len = 0x100, .registers = registers, .nr_registers = 2,
	.reg_read = echo_reg_read, .reg_write = echo_reg_write,
};

PORTALD_PLUGIN(plugin)
