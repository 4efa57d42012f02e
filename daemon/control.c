// SPDX-License-Identifier: GPL-2.0-only
/*
 * control.c - the control socket: one JSON object per line, each way
 *
 *	{"cmd":"attach","pid":42,"instances":["disk0"]}
 *	{"ok":true,"vm":"pid42","pid":42,"instances":1}
 *	{"ok":false,"error":"attach failed: instance disk0: ..."}
 *
 * What a connection may do depends on its SO_PEERCRED; command.c decides.
 */
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"

#define MAX_LINE	65536
#define MAX_OUT		(4U << 20)
#define MAX_CONNS	64

struct conn {
	struct conn *next;
	struct control *ctl;
	uint64_t id;
	uid_t uid;
	int fd;
	sd_event_source *src;
	char *in;
	size_t in_len;
	char *out;
	size_t out_len;
	int out_fd;		/* goes with @out, -1 none */
	bool waiting;		/* a command of it is under way: read no more */
	bool eof;
};

struct control {
	struct supervisor *sv;
	int fd;
	char *path;		/* to unlink, NULL if systemd's */
	sd_event_source *src;
	struct conn *conns;
	unsigned int nr_conns;
	uint64_t next_id;
};

struct json_object *control_ok(void)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "ok", json_object_new_boolean(true));
	return obj;
}

struct json_object *control_error(const char *fmt, ...)
{
	struct json_object *obj = json_object_new_object();
	char msg[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	json_object_object_add(obj, "ok", json_object_new_boolean(false));
	json_object_object_add(obj, "error", json_object_new_string(msg));
	return obj;
}

/* ---- connections ---------------------------------------------------------- */

static void conn_free(struct conn *c)
{
	struct conn **p = &c->ctl->conns;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	c->ctl->nr_conns--;
	watch_off(&c->src);
	close(c->fd);
	fd_close(&c->out_fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void update_events(struct conn *c)
{
	uint32_t events = c->out_len ? EPOLLOUT : 0;

	if (!c->waiting && !c->eof && c->in_len < MAX_LINE)
		events |= EPOLLIN;
	sd_event_source_set_io_events(c->src, events);
}

static int queue_reply(struct conn *c, struct json_object *obj)
{
	const char *text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text);
	char *out = NULL;

	if (c->out_len + len + 1 <= MAX_OUT)
		out = realloc(c->out, c->out_len + len + 1);
	if (out) {
		memcpy(out + c->out_len, text, len);
		out[c->out_len + len] = '\n';
		c->out = out;
		c->out_len += len + 1;
	}
	json_object_put(obj);
	return out ? 0 : -ENOBUFS;
}

/* Takes one line out of the buffer, if there is one and nothing under way. */
static bool next_command(struct conn *c)
{
	char *end = c->in_len ? memchr(c->in, '\n', c->in_len) : NULL;
	struct json_object *reply;
	size_t len;

	if (!end || c->waiting)
		return false;
	*end = '\0';
	c->waiting = true;
	reply = control_command(c->ctl->sv, c->in, c->uid, c->id);
	len = end + 1 - c->in;
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
	if (reply) {
		c->waiting = false;
		queue_reply(c, reply);
	}
	return true;
}

static ssize_t send_out(struct conn *c)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { c->out, c->out_len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (c->out_fd >= 0) {
		hdr.msg_control = control;
		hdr.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &c->out_fd, sizeof(int));
	}
	return sendmsg(c->fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* 0, or -errno: the connection is of no more use */
static int flush_out(struct conn *c)
{
	ssize_t n;

	if (!c->out_len)
		return 0;
	n = send_out(c);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	fd_close(&c->out_fd);
	memmove(c->out, c->out + n, c->out_len - n);
	c->out_len -= n;
	return 0;
}

static int fill_in(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, MAX_LINE - c->in_len, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	c->eof = !n;
	c->in_len += n;
	return 0;
}

static int on_conn(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct conn *c = arg;
	int ret = 0;

	(void)src;
	(void)fd;
	if (revents & EPOLLIN)
		ret = fill_in(c);
	else if (revents & (EPOLLERR | EPOLLHUP))
		ret = -EPIPE;
	while (!ret && next_command(c))
		;
	if (!ret && c->in_len == MAX_LINE && !c->waiting) {
		queue_reply(c, control_error("line of more than %d bytes", MAX_LINE));
		c->eof = true;
		c->in_len = 0;
	}
	if (!ret)
		ret = flush_out(c);
	if (ret || (c->eof && !c->waiting && !c->out_len))
		conn_free(c);
	else
		update_events(c);
	return 0;
}

void control_give_fd(struct supervisor *sv, uint64_t id, int fd)
{
	struct conn *c = sv->control ? sv->control->conns : NULL;

	while (c && c->id != id)
		c = c->next;
	if (!c) {
		close(fd);
		return;
	}
	fd_close(&c->out_fd);
	c->out_fd = fd;
}

void control_reply(struct supervisor *sv, uint64_t id, struct json_object *obj)
{
	struct conn *c = sv->control && id ? sv->control->conns : NULL;

	while (c && c->id != id)
		c = c->next;
	if (!c) {
		json_object_put(obj);
		return;
	}
	c->waiting = false;
	queue_reply(c, obj);
	/* the rest, and its next command, when it can be written */
	flush_out(c);
	sd_event_source_set_io_events(c->src, EPOLLOUT | (c->eof ? 0 : EPOLLIN));
}

static int on_connect(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct control *ctl = arg;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct conn *c;
	int sock;

	(void)src;
	(void)revents;
	sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0)
		return 0;
	c = ctl->nr_conns < MAX_CONNS ? calloc(1, sizeof(*c)) : NULL;
	if (!c || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		close(sock);
		free(c);
		return 0;
	}
	c->ctl = ctl;
	c->fd = sock;
	c->out_fd = -1;
	c->uid = cred.uid;
	c->id = ++ctl->next_id;
	c->in = malloc(MAX_LINE);
	c->next = ctl->conns;
	ctl->conns = c;
	ctl->nr_conns++;
	if (!c->in || sd_event_add_io(ctl->sv->event, &c->src, sock, EPOLLIN, on_conn, c) < 0)
		conn_free(c);
	return 0;
}

/* ---- socket --------------------------------------------------------------- */

static bool alive(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && !connect(fd, (const struct sockaddr *)addr, sizeof(*addr));

	if (fd >= 0)
		close(fd);
	return yes;
}

static void make_parent(const char *path)
{
	char dir[108];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		mkdir(dir, 0755);	/* /run/portald; else bind() says what is wrong */
	}
}

static int listen_on(struct control *ctl, const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct group *grp = getgrnam("portal");
	mode_t mask;
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG, "socket %s: longer than %zu characters", path,
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (alive(&addr))
		return err_set(err, -EADDRINUSE, "another portald listens on %s already", path);
	make_parent(path);
	unlink(path);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ctl->fd < 0)
		return err_set(err, -errno, "socket: %m");
	mask = umask(0117);		/* 0660 from the first moment on */
	ret = bind(ctl->fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	umask(mask);
	if (ret)
		return err_set(err, ret, "socket %s: %s", path, strerror(-ret));
	ctl->path = strdup(path);
	if (grp && chown(path, 0, grp->gr_gid))
		log_warn("socket %s: cannot be given to group portal: %m", path);
	if (listen(ctl->fd, 16))
		return err_set(err, -errno, "socket %s: %m", path);
	return 0;
}

int control_open(struct supervisor *sv, const char *path, struct err *err)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int ret;

	if (!ctl)
		return err_set(err, -ENOMEM, "out of memory");
	ctl->sv = sv;
	ctl->fd = -1;
	if (sv->listen_fd) {
		ctl->fd = sv->listen_fd;
		ret = 0;
	} else {
		ret = listen_on(ctl, path, err);
	}
	if (!ret) {
		ret = sd_event_add_io(sv->event, &ctl->src, ctl->fd, EPOLLIN, on_connect, ctl);
		if (ret < 0)
			err_set(err, ret, "event loop: %s", strerror(-ret));
	}
	if (ret < 0) {
		control_close(ctl);
		return ret;
	}
	sv->control = ctl;
	return 0;
}

void control_close(struct control *ctl)
{
	while (ctl->conns)
		conn_free(ctl->conns);
	watch_off(&ctl->src);
	fd_close(&ctl->fd);
	if (ctl->path)
		unlink(ctl->path);
	free(ctl->path);
	free(ctl);
}
