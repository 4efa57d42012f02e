/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * transport_read.c - read(), write() and poll(): no mapping, no io_uring
 *
 * read() gives copies of requests and tells the kernel that those of the read
 * before are consumed. So it comes before each poll(): the guest may wait for
 * exactly that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "transport.h"

#define BATCH_MAX	64

struct reader {
	uint32_t nr;
	uint32_t next;
	uint32_t room;
	struct portal_request req[];
};

static int read_open(struct portal_queue *q, const struct portal_queue_opts *opts)
{
	uint32_t room = q->entries < BATCH_MAX ? q->entries : BATCH_MAX;
	int flags;

	(void)opts;
	flags = fcntl(q->fd, F_GETFL);
	if (flags < 0 || fcntl(q->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	q->reader = calloc(1, sizeof(*q->reader) + room * sizeof(q->reader->req[0]));
	if (!q->reader)
		return -ENOMEM;
	q->reader->room = room;
	return 0;
}

static void read_close(struct portal_queue *q)
{
	free(q->reader);
	q->reader = NULL;
}

/* The kernel takes what comes before a reply it refuses: leave that one out. */
static int read_send(struct portal_queue *q)
{
	struct replies *replies = q->replies;
	uint32_t sent = 0;
	int first = 0;

	while (sent < replies->nr) {
		const struct portal_reply *reply = &replies->reply[sent];
		ssize_t ret = write(q->fd, reply, (replies->nr - sent) * sizeof(*reply));

		if (ret >= (ssize_t)sizeof(*reply)) {
			sent += (uint32_t)((size_t)ret / sizeof(*reply));
		} else if (ret >= 0) {
			return -EPROTO;
		} else if (errno == ENODEV) {
			sent = replies->nr;	/* read() says so when drained */
		} else if (errno == EINVAL || errno == EOPNOTSUPP) {
			if (!first)
				first = -errno;
			sent++;
		} else if (errno != EINTR) {
			first = -errno;
			break;
		}
	}
	replies->nr -= sent;
	memmove(replies->reply, replies->reply + sent, replies->nr * sizeof(replies->reply[0]));
	return first;
}

/* 1: requests are in the buffer. */
static int read_fill(struct portal_queue *q)
{
	struct reader *r = q->reader;
	ssize_t ret = read(q->fd, r->req, r->room * sizeof(r->req[0]));

	if (ret < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (ret == 0)
		return -ENODEV;
	if ((size_t)ret % sizeof(r->req[0]))
		return -EPROTO;
	r->next = 0;
	r->nr = (uint32_t)((size_t)ret / sizeof(r->req[0]));
	return 1;
}

static int read_wait(struct portal_queue *q, int timeout_ms)
{
	uint64_t deadline = deadline_ns(timeout_ms);
	int ret;

	if (q->replies->nr) {
		ret = read_send(q);
		if (ret)
			return ret;
	}
	if (q->reader->next < q->reader->nr)
		return 1;
	for (;;) {
		struct pollfd pfd = { .fd = q->fd, .events = POLLIN };

		ret = read_fill(q);
		if (ret)
			return ret;
		ret = poll(&pfd, 1, remaining_ms(deadline));
		if (ret < 0)
			return -errno;
		if (ret == 0)
			return 0;
	}
}

static const struct portal_request *read_next(struct portal_queue *q)
{
	struct reader *r = q->reader;

	return r->next < r->nr ? &r->req[r->next++] : NULL;
}

const struct transport_ops transport_read = {
	.open = read_open,
	.close = read_close,
	.wait = read_wait,
	.send = read_send,
	.next = read_next,
	.unmapped = true,
};
