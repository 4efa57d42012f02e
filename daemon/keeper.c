// SPDX-License-Identifier: GPL-2.0-only
/*
 * keeper.c - `portald --keeper`: has copies of the fds of a portald that was
 * not started by systemd, and gives them to the next one
 *
 * It does nothing else, so that there is nothing it could die of. It ends when
 * it is told to, when it has nothing to keep and nobody is connected, and when
 * nobody comes in time: its end detaches the VMs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "keep.h"
#include "log.h"

struct kept {
	char name[KEEP_NAME_MAX + 1];
	int fd;
};

static struct kept *kept;
static unsigned int nr_kept;
static int conn = -1;
static unsigned int seconds = 30;
static bool stopping;

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void drop(const char *name)
{
	for (unsigned int i = nr_kept; i-- > 0;) {
		if (strcmp(kept[i].name, name))
			continue;
		close(kept[i].fd);
		kept[i] = kept[--nr_kept];
	}
}

static void add(const char *name, int fd)
{
	struct kept *more;

	drop(name);
	more = nr_kept < KEEP_FDS_MAX && strlen(name) <= KEEP_NAME_MAX ?
		reallocarray(kept, nr_kept + 1, sizeof(*kept)) : NULL;
	if (!more) {
		log_err("%s cannot be kept: too many", name);
		close(fd);
		return;
	}
	kept = more;
	strcpy(kept[nr_kept].name, name);
	kept[nr_kept++].fd = fd;
}

/* One message, as to systemd; true: an answer is waited for. @fd: ours, or -1 */
static bool obey(char *text, int fd)
{
	bool store = false, remove = false, barrier = false;
	const char *name = NULL;
	char *save, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strcmp(line, "FDSTORE=1"))
			store = true;
		else if (!strcmp(line, "FDSTOREREMOVE=1"))
			remove = true;
		else if (!strcmp(line, "STOPPING=1"))
			stopping = true;
		else if (!strcmp(line, "BARRIER=1"))
			barrier = true;
		else if (!strncmp(line, "FDNAME=", 7))
			name = line + 7;
		else if (!strncmp(line, "KEEP_SEC=", 9))
			seconds = strtoul(line + 9, NULL, 10);
	}
	if (store && name && fd >= 0)
		add(name, fd);
	else if (fd >= 0)
		close(fd);
	if (remove && name)
		drop(name);
	return barrier;
}

static int send_one(const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		hdr.msg_control = control;
		hdr.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	return sendmsg(conn, &hdr, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int give_all(void)
{
	char text[KEEP_NAME_MAX + 8];
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr_kept; i++) {
		snprintf(text, sizeof(text), "FDNAME=%s", kept[i].name);
		ret = send_one(text, kept[i].fd);
	}
	return ret ? ret : send_one(KEEP_END, -1);
}

static void hang_up(void)
{
	close(conn);
	conn = -1;
}

/* The newest connection counts: who can make one is portald, or root. */
static void on_connect(void)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd = accept4(CHAN_FD, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (conn >= 0)
		hang_up();
	conn = fd;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (give_all())
		hang_up();
}

static void on_message(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, text[256];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = -1;
	ssize_t n;

	n = recvmsg(conn, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up();
		return;
	}
	text[n] = '\0';
	cmsg = CMSG_FIRSTHDR(&hdr);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	if (obey(text, fd) && send_one(KEEP_END, -1))
		hang_up();
}

/* 0: the end, as the supervisor wished or because there is nothing to keep */
static int loop(void)
{
	time_t until = 0;

	for (;;) {
		struct pollfd fds[2] = { { CHAN_FD, POLLIN, 0 }, { conn, POLLIN, 0 } };
		int ms = -1;

		if (stopping)
			return 0;
		if (conn >= 0) {
			until = 0;
		} else {
			if (!until)
				until = now() + seconds;
			ms = until > now() ? (until - now()) * 1000 : 0;
		}
		if (poll(fds, 2, ms) < 0 && errno != EINTR)
			return -errno;
		/* first what was said: its sender may be the one who is gone */
		if (fds[1].revents)
			on_message();
		else if (fds[0].revents)
			on_connect();
		if (conn < 0 && (!nr_kept || (until && now() >= until)))
			return nr_kept ? -ETIME : 0;
	}
}

int keeper_main(void)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);
	struct rlimit files;
	int ret;

	prctl(PR_SET_NAME, "portald-keeper");
	log_open(LOG_INFO, "keeper");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ret = loop();
	if (ret == -ETIME)
		log_warn("no portald came back within %u s: all VMs are detached", seconds);
	else if (ret)
		log_err("%s", strerror(-ret));
	if (!getsockname(CHAN_FD, (struct sockaddr *)&addr, &len) && addr.sun_path[0])
		unlink(addr.sun_path);
	return ret ? 1 : 0;
}
