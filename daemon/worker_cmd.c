// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker_cmd.c - a worker whose plugin sends commands to the guest
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "worker.h"

static void *guest_at(void *arg, uint64_t gpa, size_t len)
{
	const struct portal_instance *pi = arg;

	return portal_mem_at(pi->env.mem, gpa, len);
}

/* Without an interrupt of its own, by the bus's: a guest without one looks every second. */
static void signal_guest(void *arg)
{
	const struct portal_instance *pi = arg;
	int fd = pi->env.irqfd >= 0 ? pi->env.irqfd : pi->bus_fd;
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_debug("the guest's interrupt: %s", strerror(errno));
}

static void set_timer(void *arg, uint64_t ns)
{
	const struct portal_instance *pi = arg;
	struct itimerspec when = {
		.it_value = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 },
	};

	if (timerfd_settime(pi->cmd_timer, TFD_TIMER_ABSTIME, &when, NULL))
		log_warn("timer of commands: %s", strerror(errno));
}

static void tell_plugin(void *arg, const struct portal_event *ev)
{
	const struct portal_instance *pi = arg;

	pi->plugin.ops.event(pi->handle, ev);
}

int worker_cmd_start(struct portal_instance *pi, struct err *err)
{
	struct cmd_env env = {
		.arg = pi, .at = guest_at, .signal = signal_guest, .timer = set_timer,
		.event = pi->plugin.ops.event ? tell_plugin : NULL,
	};
	int ret;

	ret = portal_mem_map(pi->vm, true, &pi->env.mem);
	if (ret < 0)
		return err_set(err, ret, "cannot map the guest's memory: %s", strerror(-ret));
	pi->cmd_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pi->cmds = calloc(1, sizeof(*pi->cmds));
	if (pi->cmd_timer < 0 || !pi->cmds)
		return err_set(err, -ENOMEM, "no timer or no memory for commands");
	cmd_init(pi->cmds, &env);
	return 0;
}

int worker_cmd_enable(struct portal_instance *pi, uint64_t gpa, struct err *err)
{
	int ret;

	portal_mem_refresh(pi->env.mem);
	/* not this worker's alone: the guest tells the last one's from ours by it */
	ret = cmd_open(pi->cmds, gpa, ++pi->page->epoch);
	if (ret)
		return err_set(err, ret, "the guest's channel: %s", strerror(-ret));
	return 0;
}

void worker_cmd_disable(struct portal_instance *pi)
{
	cmd_close(pi->cmds, -ECONNRESET);
}

static void timer_done(struct portal_uring_op *op, int res)
{
	struct portal_instance *pi =
		(void *)((char *)op - offsetof(struct portal_instance, cmd_op));
	uint64_t ticks;

	(void)res;
	if (read(pi->cmd_timer, &ticks, sizeof(ticks)) == sizeof(ticks))
		cmd_expire(pi->cmds, cmd_now());
	worker_cmd_arm(pi);
}

int worker_cmd_arm(struct portal_instance *pi)
{
	struct io_uring_sqe *sqe;

	if (!pi->cmds)
		return 0;
	sqe = worker_sqe(&pi->ring);
	if (!sqe)
		return -EBUSY;
	pi->cmd_op.done = timer_done;
	io_uring_prep_poll_add(sqe, pi->cmd_timer, POLLIN);
	io_uring_sqe_set_data(sqe, &pi->cmd_op);
	return 0;
}

void worker_cmd_teardown(struct portal_instance *pi)
{
	if (pi->cmds)
		cmd_destroy(pi->cmds);
	free(pi->cmds);
	pi->cmds = NULL;
	if (pi->cmd_timer >= 0)
		close(pi->cmd_timer);
	pi->cmd_timer = -1;
}
