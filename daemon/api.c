// SPDX-License-Identifier: GPL-2.0-only
/*
 * api.c - what plugins may call: struct portald_api
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

/* Per thread: block functions of parallel plugins run in several. */
static _Thread_local char last_error[512];
static _Thread_local char taken_error[512];

static void api_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
	log_debug("%s", last_error);
}

const char *api_take_error(void)
{
	memcpy(taken_error, last_error, sizeof(taken_error));
	last_error[0] = '\0';
	return taken_error;
}

static void api_log(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(level, fmt, ap);
	va_end(ap);
}

static int api_parse_size(const char *str, uint64_t *size)
{
	unsigned long long val;
	int ret = config_parse_size(str, &val);

	if (ret) {
		api_error("'%s' is not a size such as 512, 64k or 10G", str);
		return ret;
	}
	*size = val;
	return 0;
}

static int api_parse_bool(const char *str, bool *val)
{
	int ret = config_parse_bool(str, val);

	if (ret)
		api_error("'%s' is neither on nor off", str);
	return ret;
}

static int signal_fd(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: 2^64 - 2 signals nobody took; one more says nothing new */
	if (write(fd, &one, sizeof(one)) != sizeof(one) && errno != EAGAIN)
		return -errno;
	return 0;
}

/* A further storage has the ring, the guest and the interrupts of its instance. */
static struct portal_instance *whole(struct portal_instance *pi)
{
	return pi->main ? : pi;
}

/* Publish, then signal: who sees the signal sees the count. */
static int api_queue_interrupt(struct portal_instance *pi)
{
	pi = whole(pi);
	if (!pi->page)
		return -ENODEV;
	__atomic_fetch_add(&pi->page->queued, 1, __ATOMIC_SEQ_CST);
	return signal_fd(pi->bus_fd);
}

static void *api_shadow(struct portal_instance *pi, size_t *len)
{
	pi = whole(pi);
	if (!pi->region)
		return NULL;
	if (len)
		*len = portal_region_shadow_size(pi->region);
	return portal_region_shadow(pi->region);
}

static int api_raise_irq(struct portal_instance *pi)
{
	pi = whole(pi);
	if (pi->env.irqfd < 0)
		return -ENODEV;
	return signal_fd(pi->env.irqfd);
}

static int64_t api_mem_read(struct portal_instance *pi, uint64_t gpa, void *buf, size_t len)
{
	return portal_mem_read(whole(pi)->vm, gpa, buf, len);
}

static int64_t api_mem_write(struct portal_instance *pi, uint64_t gpa, const void *buf,
			     size_t len)
{
	return portal_mem_write(whole(pi)->vm, gpa, buf, len);
}

static struct io_uring *api_uring(struct portal_instance *pi)
{
	return &whole(pi)->ring;
}

static void api_size_changed(struct portal_instance *pi)
{
	if (pi->backend)
		backend_size_changed(pi->backend);
}

static int api_command(struct portal_instance *pi, struct portal_command *cmd)
{
	return pi->cmds ? cmd_start(pi->cmds, cmd) : -ENOTCONN;
}

static int api_command_wait(struct portal_instance *pi, struct portal_command *cmd)
{
	cmd->status = -ENOTCONN;
	if (!pi->cmds)
		return -ENOTCONN;
	/* who waits here would wait for itself */
	cmd->status = -EDEADLK;
	return pthread_equal(pi->thread, pthread_self()) ? -EDEADLK : cmd_wait(pi->cmds, cmd);
}

static void api_command_end(struct portal_instance *pi, struct portal_command *cmd)
{
	if (pi->cmds)
		cmd_end(pi->cmds, cmd);
}

static int api_command_cancel(struct portal_instance *pi, uint64_t txn)
{
	return pi->cmds ? cmd_cancel(pi->cmds, txn) : -ENOENT;
}

static int api_command_info(struct portal_instance *pi, struct portal_command_info *info)
{
	if (!pi->cmds)
		return -ENOTCONN;
	cmd_info(pi->cmds, info);
	return 0;
}

const struct portald_api plugin_api = {
	.struct_size = sizeof(plugin_api),
	.error = api_error,
	.log = api_log,
	.parse_size = api_parse_size,
	.parse_bool = api_parse_bool,
	.queue_interrupt = api_queue_interrupt,
	.shadow = api_shadow,
	.raise_irq = api_raise_irq,
	.mem_read = api_mem_read,
	.mem_write = api_mem_write,
	.uring = api_uring,
	.io_done = backend_io_done,
	.size_changed = api_size_changed,
	.command = api_command,
	.command_wait = api_command_wait,
	.command_end = api_command_end,
	.command_cancel = api_command_cancel,
	.command_info = api_command_info,
	.lower_info = lower_info,
	.lower_submit = lower_submit,
	.lower_cancel = lower_cancel,
	.lower_resize = lower_resize,
};
