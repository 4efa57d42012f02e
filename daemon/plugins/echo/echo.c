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
	return pi;	/* the handle; what we need of it is the instance */
}

static int echo_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	(void)handle;
	served++;
	*value = call->args[0];
	for (int i = 1; call->fn == 1 && i < 4; i++)
		*value += call->args[i];
	return 0;
}

static int echo_reg_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)handle, (void)offset, (void)len;	/* there is only one CALL register */
	*value = served;
	return 0;
}

static int echo_reg_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	uint32_t *shadow = api->shadow(handle, NULL);

	(void)len;
	if (offset == 0x00 || offset == 0x10)
		__atomic_store_n(&shadow[offset ? 0x14 / 4 : 0], value, __ATOMIC_RELEASE);
	return 0;
}

static const struct portal_register registers[] = {
	{ .offset = 0x08, .len = 4, .attr = PORTAL_ATTR_CALL },
	{ .offset = 0x10, .len = 4, .attr = PORTAL_ATTR_SYNC },
};	/* the rest is PORTAL_ATTR_SHADOW */

static struct portald_plugin plugin = {
	.name = "echo", .longname = "portal echo",
	.description = "answers hypercalls and registers with what it was given",
	.load = echo_load, .open = echo_open,
	.fns = 2, .call = echo_call,
	.region_len = 0x100, .registers = registers, .nr_registers = 2,
	.reg_read = echo_reg_read, .reg_write = echo_reg_write,
};

PORTALD_PLUGIN(plugin)
