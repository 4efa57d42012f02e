// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent.c - commands to the guest from programs on its host: portalctl guest
 *
 * One thread per connection, one command at a time in each. The answer goes from
 * the guest's memory to the socket as it is: who asked believes it as far as he
 * believes the guest.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>
#include <portald/guest_socket.h>
#include <portald/plugin.h>

#define MAX_CONNS	32

/**
 * struct conn - a connection
 * @fd: its socket, -1: free
 * @efd: a command is over
 * @ended: its thread ended and can be joined
 */
struct conn {
	pthread_t thread;
	int fd;
	int efd;
	int ended;
};

static const struct portald_api *api;
static struct portal_instance *instance;
static struct conn conns[MAX_CONNS];

static int agent_load(const struct portald_api *a)
{
	api = a;
	for (int i = 0; i < MAX_CONNS; i++)
		conns[i].fd = conns[i].efd = -1;
	return 0;
}

static void command_done(struct portal_command *cmd)
{
	const struct conn *c = cmd->plugin_data[0];
	uint64_t one = 1;

	if (write(c->efd, &one, sizeof(one)) != sizeof(one))
		abort();	/* the thread would wait for ever */
}

/* Waits until it is over; who hangs up meanwhile cancels it. */
static int wait_for(struct conn *c, struct portal_command *cmd)
{
	struct pollfd fds[2] = { { c->efd, POLLIN, 0 }, { c->fd, POLLRDHUP, 0 } };
	int ret = 0;
	uint64_t n;

	while (read(c->efd, &n, sizeof(n)) != sizeof(n)) {
		if (poll(fds, ret ? 1 : 2, -1) < 0 && errno != EINTR)
			abort();
		if (!ret && fds[1].revents) {
			api->command_cancel(instance, cmd->txn);
			ret = -EPIPE;
		}
	}
	return ret;
}

static int reply(struct conn *c, const struct portal_command *cmd)
{
	struct portal_guest_reply rep = {
		.status = cmd->status, .flags = cmd->flags, .out_size = cmd->out_size,
		.value = cmd->value, .cursor = cmd->cursor, .count = cmd->count,
	};
	struct msghdr msg = { 0 };
	struct iovec *iov;
	ssize_t n;

	iov = calloc(cmd->out_cnt + 1, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	iov[0] = (struct iovec){ &rep, sizeof(rep) };
	if (cmd->out_cnt)
		memcpy(iov + 1, cmd->out, cmd->out_cnt * sizeof(*iov));
	msg.msg_iov = iov;
	msg.msg_iovlen = cmd->out_cnt + 1;
	do
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	free(iov);
	return n < 0 ? -errno : 0;
}

static int serve_one(struct conn *c, const struct portal_guest_request *req, size_t len)
{
	struct iovec in = { (void *)(req + 1), len - sizeof(*req) };
	struct portal_command cmd = {
		.op = req->op, .pid = req->pid, .addr = req->addr, .size = req->size,
		.in = &in, .in_cnt = in.iov_len ? 1 : 0, .out_len = req->out_len,
		.timeout_ms = req->timeout_ms, .done = command_done, .plugin_data = { c },
	};
	int ret;

	if (len < sizeof(*req) || req->out_len > PORTAL_GUEST_MAX)
		return -EBADMSG;
	ret = api->command(instance, &cmd);
	if (ret) {
		cmd.status = ret;
		return reply(c, &cmd);
	}
	ret = wait_for(c, &cmd);
	if (!ret)
		ret = reply(c, &cmd);
	api->command_end(instance, &cmd);
	return ret;
}

static void *serve(void *arg)
{
	size_t room = sizeof(struct portal_guest_request) + PORTAL_GUEST_MAX;
	struct portal_guest_request *req = malloc(room);
	struct conn *c = arg;
	ssize_t n = 0;

	while (req) {
		struct iovec iov = { req, room };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

		n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (msg.msg_flags & MSG_TRUNC) || serve_one(c, req, n))
			break;
	}
	free(req);
	/* its peer sees the end now, whenever we are joined */
	shutdown(c->fd, SHUT_RDWR);
	__atomic_store_n(&c->ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void forget(struct conn *c)
{
	pthread_join(c->thread, NULL);
	close(c->fd);
	close(c->efd);
	c->fd = c->efd = -1;
}

static int agent_connect(void *handle, int fd)
{
	struct conn *c = NULL;

	for (int i = 0; i < MAX_CONNS; i++) {
		if (conns[i].fd >= 0 && __atomic_load_n(&conns[i].ended, __ATOMIC_ACQUIRE))
			forget(&conns[i]);
		if (conns[i].fd < 0)
			c = &conns[i];
	}
	if (!c)
		return -EUSERS;
	c->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->efd < 0)
		return -errno;
	c->fd = fd;
	c->ended = 0;
	if (pthread_create(&c->thread, NULL, serve, c)) {
		close(c->efd);
		c->fd = c->efd = -1;
		return -EAGAIN;
	}
	return 0;
}

static void *agent_open(struct portal_instance *pi)
{
	instance = pi;
	return pi;
}

/* The daemon has ended all commands. */
static void agent_close(void *handle)
{
	for (int i = 0; i < MAX_CONNS; i++) {
		if (conns[i].fd < 0)
			continue;
		shutdown(conns[i].fd, SHUT_RDWR);
		forget(&conns[i]);
	}
}

static struct portald_plugin plugin = {
	.name = "agent",
	.longname = "portal agent",
	.description = "commands to the guest's agent, for portalctl guest",
	.load = agent_load,
	.open = agent_open,
	.close = agent_close,
	.commands = 1,
	.connect = agent_connect,
};

PORTALD_PLUGIN(plugin)
