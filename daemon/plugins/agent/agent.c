// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent.c - commands to the guest from programs on its host: portalctl guest
 *
 * One thread per connection, one command at a time in each. The answer goes from
 * the guest's memory to the socket as it is: who asked believes it as far as he
 * believes the guest.
 *
 * A connection's number is the cookie of its commands, so of its hooks and what
 * they start. The worker's thread waits for nobody: it puts events into the
 * connection's buffer, or counts them; the connection's thread sends them.
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
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>
#include <portald/plugin.h>

#define MAX_CONNS	32
/* of events that are not sent yet */
#define MAX_EVENTS	(512U << 10)

/**
 * struct conn - a connection
 * @fd: its socket, -1: free
 * @efd: a command is over, or there are events
 * @ended: its thread ended and can be joined
 * @cookie: of its commands, never the same again
 * @lock: protects the following; whoever writes to @efd has it
 * @over: the command is
 * @events: NULL until it has hooks
 * @used: bytes of @events
 * @lost: events that there was no room for
 */
struct conn {
	pthread_t thread;
	int fd;
	int efd;
	int ended;
	uint64_t cookie;
	pthread_mutex_t lock;
	bool over;
	char *events;
	size_t used;
	uint64_t lost;
};

static const struct portald_api *api;
static struct portal_instance *instance;
static struct conn conns[MAX_CONNS];
static uint64_t last_cookie;
/* hooks without a connection are being ended */
static int sweeping;

static int agent_load(const struct portald_api *a)
{
	api = a;
	for (int i = 0; i < MAX_CONNS; i++) {
		conns[i].fd = conns[i].efd = -1;
		pthread_mutex_init(&conns[i].lock, NULL);
	}
	return 0;
}

/* @c->lock is held. */
static void wake(struct conn *c)
{
	uint64_t one = 1;

	if (write(c->efd, &one, sizeof(one)) != sizeof(one))
		abort();	/* the thread would wait for ever */
}

static void command_done(struct portal_command *cmd)
{
	struct conn *c = cmd->plugin_data[0];

	pthread_mutex_lock(&c->lock);
	c->over = true;
	wake(c);
	pthread_mutex_unlock(&c->lock);
}

static int send_all(struct conn *c, struct iovec *iov, size_t cnt)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = cnt };
	ssize_t n;

	do
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* As many whole events as fit a message; the bytes. */
static size_t take_events(struct conn *c, char *buf, uint64_t *lost)
{
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	while (n < c->used) {
		const struct portal_event *ev = (void *)(c->events + n);

		if (n + ev->len > PORTAL_GUEST_MAX)
			break;
		n += ev->len;
	}
	if (n) {
		memcpy(buf, c->events, n);
		memmove(c->events, c->events + n, c->used - n);
		c->used -= n;
	}
	*lost = c->lost;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static int send_events(struct conn *c, char *buf)
{
	struct portal_guest_reply rep = { .flags = PORTAL_GUEST_F_EVENT };
	int ret = 0;

	while (!ret && (rep.out_size = take_events(c, buf, &rep.count))) {
		struct iovec iov[2] = { { &rep, sizeof(rep) }, { buf, rep.out_size } };

		ret = send_all(c, iov, 2);
	}
	return ret;
}

static bool is_over(struct conn *c)
{
	bool over;

	pthread_mutex_lock(&c->lock);
	over = c->over;
	pthread_mutex_unlock(&c->lock);
	return over;
}

/* Until something is to be done; the socket's events. */
static int pause_conn(struct conn *c, int events)
{
	struct pollfd fds[2] = { { c->efd, POLLIN, 0 }, { c->fd, (short)events, 0 } };
	uint64_t n;

	if (poll(fds, events ? 2 : 1, -1) < 0 && errno != EINTR)
		abort();
	if (fds[0].revents && read(c->efd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		abort();
	return events ? fds[1].revents : 0;
}

/*
 * Waits until it is over, and sends the events that come before its answer; who
 * hangs up meanwhile cancels it. @buf: NULL: nobody hears any more.
 */
static int wait_for(struct conn *c, struct portal_command *cmd, char *buf)
{
	bool over;
	int ret = buf ? 0 : -EPIPE;

	do {
		over = is_over(c);
		if (!ret && !over && pause_conn(c, POLLRDHUP)) {
			api->command_cancel(instance, cmd->txn);
			ret = -EPIPE;
		} else if (ret && !over) {
			pause_conn(c, 0);
		}
		if (!ret)
			ret = send_events(c, buf);
	} while (!over);
	return ret;
}

static int reply(struct conn *c, const struct portal_command *cmd)
{
	struct portal_guest_reply rep = {
		.status = cmd->status, .flags = cmd->flags, .out_size = cmd->out_size,
		.value = cmd->value, .cursor = cmd->cursor, .count = cmd->count,
	};
	struct iovec *iov;
	int ret;

	iov = calloc(cmd->out_cnt + 1, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	iov[0] = (struct iovec){ &rep, sizeof(rep) };
	if (cmd->out_cnt)
		memcpy(iov + 1, cmd->out, cmd->out_cnt * sizeof(*iov));
	ret = send_all(c, iov, cmd->out_cnt + 1);
	free(iov);
	return ret;
}

static int start(struct conn *c, struct portal_command *cmd)
{
	c->over = false;
	cmd->cookie = c->cookie;
	cmd->done = command_done;
	cmd->plugin_data[0] = c;
	return api->command(instance, cmd);
}

static int want_events(struct conn *c)
{
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->events)
		c->events = malloc(MAX_EVENTS);
	if (!c->events)
		ret = -ENOMEM;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static int serve_one(struct conn *c, const struct portal_guest_request *req, size_t len, char *buf)
{
	struct iovec in = { (void *)(req + 1), len - sizeof(*req) };
	struct portal_command cmd = {
		.op = req->op, .pid = req->pid, .addr = req->addr, .size = req->size,
		.in = &in, .in_cnt = in.iov_len ? 1 : 0, .out_len = req->out_len,
		.timeout_ms = req->timeout_ms,
	};
	int ret;

	if (len < sizeof(*req) || req->out_len > PORTAL_GUEST_MAX)
		return -EBADMSG;
	if (req->op == PORTAL_CMD_HOOK_START || req->op == PORTAL_CMD_NODE_ADD)
		ret = want_events(c);
	else
		ret = 0;
	if (!ret)
		ret = start(c, &cmd);
	if (ret) {
		cmd.status = ret;
		return reply(c, &cmd);
	}
	ret = wait_for(c, &cmd, buf);
	if (!ret)
		ret = reply(c, &cmd);
	api->command_end(instance, &cmd);
	return ret;
}

/* Its hooks end with it, and its files. */
static void unhook(struct conn *c)
{
	static const uint32_t ops[] = { PORTAL_CMD_HOOK_STOP, PORTAL_CMD_NODE_DEL };

	for (int i = 0; i < 2 && c->events; i++) {
		struct portal_command cmd = { .op = ops[i] };

		if (start(c, &cmd))
			continue;
		wait_for(c, &cmd, NULL);
		api->command_end(instance, &cmd);
	}
}

static void serve_all(struct conn *c, struct portal_guest_request *req, size_t room, char *buf)
{
	for (;;) {
		struct iovec iov = { req, room };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		int events = pause_conn(c, POLLIN);
		ssize_t n;

		if (send_events(c, buf))
			return;
		if (!events)
			continue;
		n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (msg.msg_flags & MSG_TRUNC) || serve_one(c, req, n, buf))
			return;
	}
}

static void *serve(void *arg)
{
	size_t room = sizeof(struct portal_guest_request) + PORTAL_GUEST_MAX;
	struct portal_guest_request *req = malloc(room);
	char *buf = malloc(PORTAL_GUEST_MAX);
	struct conn *c = arg;

	if (req && buf)
		serve_all(c, req, room, buf);
	free(req);
	free(buf);
	unhook(c);
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
	free(c->events);
	c->events = NULL;
	c->used = 0;
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
	c->cookie = ++last_cookie;
	c->lost = 0;
	if (pthread_create(&c->thread, NULL, serve, c)) {
		close(c->efd);
		c->fd = c->efd = -1;
		return -EAGAIN;
	}
	return 0;
}

static void swept(struct portal_command *cmd)
{
	api->command_end(instance, cmd);
	free(cmd);
	__atomic_store_n(&sweeping, 0, __ATOMIC_RELEASE);
}

/* A hook or file that was added after all, when its connection had given up and gone. */
static void sweep(uint64_t cookie, uint32_t op)
{
	struct portal_command *cmd;

	if (__atomic_exchange_n(&sweeping, 1, __ATOMIC_ACQUIRE))
		return;
	cmd = calloc(1, sizeof(*cmd));
	if (cmd) {
		cmd->op = op;
		cmd->cookie = cookie;
		cmd->done = swept;
	}
	if (!cmd || api->command(instance, cmd)) {
		free(cmd);
		__atomic_store_n(&sweeping, 0, __ATOMIC_RELEASE);
	}
}

static struct conn *find_conn(uint64_t cookie)
{
	for (int i = 0; i < MAX_CONNS; i++)
		if (conns[i].fd >= 0 && conns[i].cookie == cookie &&
		    !__atomic_load_n(&conns[i].ended, __ATOMIC_ACQUIRE))
			return &conns[i];
	return NULL;
}

/* Who waits for events would wait for ever; what is in the buffer is still sent. */
static void end_listeners(void)
{
	for (int i = 0; i < MAX_CONNS; i++) {
		struct conn *c = &conns[i];

		pthread_mutex_lock(&c->lock);
		if (c->fd >= 0 && c->events)
			shutdown(c->fd, SHUT_RD);
		pthread_mutex_unlock(&c->lock);
	}
}

static void agent_event(void *handle, const struct portal_event *ev)
{
	struct conn *c;

	if (!ev) {
		end_listeners();
		return;
	}
	c = find_conn(ev->cookie);
	if (!c) {
		sweep(ev->cookie, ev->kind == PORTAL_EVENT_NODE ? PORTAL_CMD_NODE_DEL :
		      PORTAL_CMD_HOOK_STOP);
		return;
	}
	pthread_mutex_lock(&c->lock);
	if (c->events && ev->len <= MAX_EVENTS - c->used) {
		memcpy(c->events + c->used, ev, ev->len);
		c->used += ev->len;
		if (c->used == ev->len)
			wake(c);
	} else {
		c->lost++;
	}
	pthread_mutex_unlock(&c->lock);
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
	.event = agent_event,
};

PORTALD_PLUGIN(plugin)
