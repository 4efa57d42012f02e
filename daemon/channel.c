// SPDX-License-Identifier: GPL-2.0-only
/*
 * channel.c - messages and file descriptors between supervisor and worker
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/portal_guest.h>

#include "channel.h"

#define MAX_REGION	(1U << 20)
#define MAX_STATE	(64U << 20)

int chan_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) ? -errno : 0;
}

void chan_close_fds(int *fds, unsigned int nr)
{
	while (nr--) {
		if (fds[nr] >= 0)
			close(fds[nr]);
		fds[nr] = -1;
	}
}

int chan_send(int sock, struct chan_msg *msg, const char *text, const int *fds,
	      unsigned int nr_fds, int flags)
{
	char control[CMSG_SPACE(CHAN_MAX_FDS * sizeof(int))] = { 0 };
	struct iovec iov[2] = { { msg, sizeof(*msg) }, { (void *)text, text ? strlen(text) : 0 } };
	struct msghdr hdr = { .msg_iov = iov, .msg_iovlen = text ? 2 : 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (nr_fds > CHAN_MAX_FDS || iov[1].iov_len > CHAN_MAX_TEXT)
		return -EMSGSIZE;
	msg->text_len = iov[1].iov_len;
	if (nr_fds) {
		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &hdr, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static unsigned int take_fds(struct msghdr *hdr, int fds[CHAN_MAX_FDS])
{
	unsigned int nr = 0, n;
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (nr + n > CHAN_MAX_FDS)	/* cannot be: the buffer holds no more */
			n = CHAN_MAX_FDS - nr;
		memcpy(fds + nr, CMSG_DATA(cmsg), n * sizeof(int));
		nr += n;
	}
	return nr;
}

int chan_recv(int sock, struct chan_msg *msg, char **text, int fds[CHAN_MAX_FDS],
	      unsigned int *nr_fds, int flags)
{
	char control[CMSG_SPACE(CHAN_MAX_FDS * sizeof(int))] = { 0 };
	struct msghdr hdr = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct iovec iov[2];
	char *buf;
	ssize_t n;

	*text = NULL;
	*nr_fds = 0;
	buf = malloc(CHAN_MAX_TEXT + 1);
	if (!buf)
		return -ENOMEM;
	iov[0] = (struct iovec){ msg, sizeof(*msg) };
	iov[1] = (struct iovec){ buf, CHAN_MAX_TEXT };
	hdr.msg_iov = iov;
	hdr.msg_iovlen = 2;
	do
		n = recvmsg(sock, &hdr, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		free(buf);
		if (!n)
			return -EPIPE;
		return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	}
	*nr_fds = take_fds(&hdr, fds);
	if ((hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n < (ssize_t)sizeof(*msg) ||
	    msg->text_len != n - sizeof(*msg) || !msg->type || msg->type >= CHAN_NR) {
		chan_close_fds(fds, *nr_fds);
		*nr_fds = 0;
		free(buf);
		return -EBADMSG;
	}
	buf[msg->text_len] = '\0';
	if (msg->text_len)
		*text = buf;
	else
		free(buf);
	return 1;
}

const char *chan_type_name(uint32_t type)
{
	static const char *const names[CHAN_NR] = {
		"?", "setup", "describe", "start", "ready", "failed", "enable", "disable",
		"ack", "stat", "stats", "stop", "ping", "pong",
		"admin", "done",
	};

	return type < CHAN_NR ? names[type] : "?";
}

int chan_check_describe(const struct chan_describe *d, const char **why)
{
	*why = NULL;
	if (d->slot_type < PORTAL_SLOT_SERVICE || d->slot_type > PORTAL_SLOT_VIRTIO_MMIO)
		*why = "unknown slot type";
	else if (d->region_len > MAX_REGION)
		*why = "registers of more than 1 MiB";
	else if ((d->slot_type == PORTAL_SLOT_SERVICE) != !d->region_len)
		*why = "slot type does not fit its registers";
	else if (d->fns > PORTAL_FN_INTERRUPT)
		*why = "more than 255 functions";
	else if (d->state_len > MAX_STATE)
		*why = "state of more than 64 MiB";
	else if (d->nr_ranges > CHAN_MAX_RANGES)
		*why = "more than 64 register ranges";
	else if (d->bus > PORTAL_BUS_PIO || (d->bus && !d->fixed) || (d->fixed && !d->region_len))
		*why = "registers nowhere";
	else if (d->fixed && d->gpa + d->region_len < d->gpa)
		*why = "registers beyond the last address";
	for (uint32_t i = 0; !*why && i < d->nr_ranges; i++) {
		const struct portal_region_range *r = &d->ranges[i];

		if (r->flags & PORTAL_RANGE_F_EVENTFD)
			*why = "a register range with an eventfd";
		else if (!r->len || r->offset >= d->region_len ||
			 r->len > d->region_len - r->offset)
			*why = "a register range outside its registers";
	}
	return *why ? -EBADMSG : 0;
}
