/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_cmd.h - a program that sends a guest commands, and answers its events
 */
#ifndef E2E_GUEST_CMD_H
#define E2E_GUEST_CMD_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "guest_connect.h"

#define MAX_EVENTS	64

struct event {
	struct portal_event ev;
	char str[PORTAL_EVENT_STRING];
};

static int sock;
static struct portal_guest_reply rep;
static char out[PORTAL_GUEST_MAX];
static struct event events[MAX_EVENTS];
static unsigned int nr_events, checks;

#define CHECK(cond)								\
	do {									\
		checks++;							\
		if (!(cond))							\
			die("line %d: %s (status %d, value %#llx, count %llu)",	\
			    __LINE__, #cond, rep.status, (unsigned long long)rep.value, \
			    (unsigned long long)rep.count);			\
	} while (0)

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

/* A message: events are kept. Returns whether it was the reply. */
static bool take(void)
{
	struct iovec iov[2] = { { &rep, sizeof(rep) }, { out, sizeof(out) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = recvmsg(sock, &msg, 0);

	if (n < (ssize_t)sizeof(rep))
		die("the guest's agent ended");
	if (!(rep.flags & PORTAL_GUEST_F_EVENT))
		return true;
	n -= sizeof(rep);
	CHECK(!rep.count);
	for (size_t off = 0, len; off < (size_t)n; off += len) {
		struct event *e = &events[nr_events++];

		CHECK(nr_events <= MAX_EVENTS);
		memcpy(&e->ev, out + off, sizeof(e->ev));
		len = e->ev.len;
		CHECK(e->ev.version == PORTAL_EVENT_VERSION && len % 8 == 0);
		CHECK(len >= sizeof(e->ev) && len <= sizeof(*e) && len <= n - off);
		memcpy(e, out + off, len);
	}
	return false;
}

/* The next event, whenever it comes. */
static struct event next_event(void)
{
	struct event e;

	while (!nr_events)
		take();
	e = events[0];
	memmove(events, events + 1, --nr_events * sizeof(*events));
	return e;
}

/* Returns the status. */
static int command(struct portal_guest_request req, const void *in, size_t len)
{
	struct iovec iov[2] = { { &req, sizeof(req) }, { (void *)in, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (sendmsg(sock, &msg, 0) < 0)
		die("send: %s", strerror(errno));
	while (!take())
		;
	return rep.status;
}

#define CMD(...) command((struct portal_guest_request){ __VA_ARGS__ }, NULL, 0)

#endif /* E2E_GUEST_CMD_H */
