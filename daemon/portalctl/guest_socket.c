// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_socket.c - commands to the guest, through portald's plugin agent
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <portald/guest_socket.h>

#include "portalctl.h"

#define MAX_VECS	8

int guest_open(struct guest *g, const char *vm, const char *instance)
{
	struct json_object *req = client_request("guest"), *reply;

	g->vm = vm;
	g->out = NULL;
	g->events = NULL;
	set_str(req, "vm", vm);
	if (instance)
		set_str(req, "instance", instance);
	reply = client_ask_fd(req, &g->fd);
	if (!reply)
		return -1;
	if (g->fd < 0)
		fprintf(stderr, "portalctl: %s\n", get_str(reply, "error"));
	json_object_put(reply);
	if (g->fd < 0)
		return -1;
	g->out = malloc(PORTAL_GUEST_MAX);
	if (!g->out) {
		fprintf(stderr, "portalctl: out of memory\n");
		close(g->fd);
		return -1;
	}
	return 0;
}

void guest_close(struct guest *g)
{
	close(g->fd);
	free(g->out);
}

static int lost(const struct guest *g, const char *what, ssize_t n)
{
	if (n < 0 && errno == EMSGSIZE)
		fprintf(stderr, "portalctl: %s: too much for one command\n", g->vm);
	else
		fprintf(stderr, "portalctl: %s: portald's worker for it ended: %s\n", g->vm, what);
	return -1;
}

int guest_receive(struct guest *g, struct portal_guest_reply *rep)
{
	struct iovec in[2] = { { rep, sizeof(*rep) }, { g->out, PORTAL_GUEST_MAX } };
	struct msghdr msg = { .msg_iov = in, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = recvmsg(g->fd, &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(*rep))
		return lost(g, "no answer to the command", 0);
	g->out_len = n - sizeof(*rep);
	if (rep->flags & PORTAL_GUEST_F_EVENT && rep->out_size != g->out_len)
		return lost(g, "events of the wrong size", 0);
	return 0;
}

int guest_command(struct guest *g, const struct portal_guest_request *req, const struct iovec *in,
		  unsigned int cnt, struct portal_guest_reply *rep)
{
	struct portal_guest_request head = *req;
	struct iovec out[MAX_VECS + 1] = { { &head, sizeof(head) } };
	struct msghdr msg = { .msg_iov = out, .msg_iovlen = cnt + 1 };
	ssize_t n;

	if (cnt > MAX_VECS)
		return lost(g, "too many pieces", 0);
	if (!head.timeout_ms)
		head.timeout_ms = g->timeout_ms;
	for (unsigned int i = 0; i < cnt; i++)
		out[i + 1] = in[i];
	n = sendmsg(g->fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return lost(g, "it takes no command", n);
	do {
		if (guest_receive(g, rep))
			return -1;
		if (rep->flags & PORTAL_GUEST_F_EVENT && g->events)
			g->events(g, rep);
	} while (rep->flags & PORTAL_GUEST_F_EVENT);
	/* what was written has a size, and no answer */
	if (req->out_len && rep->out_size != g->out_len)
		return lost(g, "an answer of the wrong size", 0);
	return 0;
}

int guest_failed(const struct guest *g, const char *what, int status)
{
	if (status == -EPERM)
		fprintf(stderr,
			"portalctl: %s: %s: EPERM: the guest's owner does not allow this class of commands\n",
			g->vm, what);
	else
		fprintf(stderr, "portalctl: %s: %s: %s: %s\n", g->vm, what,
			strerrorname_np(-status) ? : "?", strerror(-status));
	return EXIT_FAILED;
}
