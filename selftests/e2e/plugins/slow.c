// SPDX-License-Identifier: GPL-2.0-only
/*
 * slow.c - a service that takes its time, and says when in the log
 *
 * fn 0 (ms): sleeps, then the number of this call; fn 1: how many calls of
 * fn 0 and reads of the register there were; fn 2 (n): queues n interrupts
 * back to back; fn 3: interrupts served so far.
 *
 * Register 0x0 (32 bits, CALL): a read takes as long as 0x8 says, in ms, and
 * gives the number of this call.
 */
#include <errno.h>
#include <syslog.h>
#include <time.h>
#include <linux/portal.h>
#include <portald/plugin.h>

static const struct portald_api *api;
static uint64_t calls, served;
static uint32_t delay_ms;

static int slow_load(const struct portald_api *a)
{
	api = a;
	return 0;
}

static void *slow_open(struct portal_instance *pi)
{
	return pi;
}

static uint64_t take_time(uint64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	uint64_t nr = ++calls;

	api->log(LOG_INFO, "call %llu begins", (unsigned long long)nr);
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
	api->log(LOG_INFO, "call %llu ends", (unsigned long long)nr);
	return nr;
}

static int slow_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	int ret = 0;

	switch (call->fn) {
	case 0:
		*value = take_time(call->args[0]);
		break;
	case 1:
		*value = calls;
		break;
	case 2:
		for (uint64_t i = 0; i < call->args[0] && !ret; i++)
			ret = api->queue_interrupt(handle);
		*value = call->args[0];
		break;
	default:
		*value = served;
	}
	return ret;
}

static int slow_interrupt(void *handle, uint64_t count, uint64_t *value)
{
	(void)handle;
	served += count;
	*value = count;
	return 0;
}

static int slow_reg_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)handle, (void)offset, (void)len;
	*value = take_time(delay_ms);
	return 0;
}

static int slow_reg_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	(void)handle, (void)len;
	if (offset == 0x8)
		delay_ms = value;
	return 0;
}

static const struct portal_register registers[] = {
	{ .offset = 0x0, .len = 4, .attr = PORTAL_ATTR_CALL },
	{ .offset = 0x8, .len = 4, .attr = PORTAL_ATTR_SYNC },
};

static struct portald_plugin plugin = {
	.name = "slow", .longname = "e2e test: slow",
	.load = slow_load, .open = slow_open,
	.fns = 4, .call = slow_call, .interrupt = slow_interrupt,
	.region_len = 0x10, .registers = registers, .nr_registers = 2,
	.reg_read = slow_reg_read, .reg_write = slow_reg_write,
};

PORTALD_PLUGIN(plugin)
