// SPDX-License-Identifier: GPL-2.0-only
/*
 * keep.c - file descriptors that outlive the supervisor, see keep.h
 *
 * To systemd and to the keeper alike:
 *	"FDSTORE=1\nFDPOLL=0\nFDNAME=v1.vm" and the fd
 *	"FDSTOREREMOVE=1\nFDNAME=v1.vm"
 * The keeper is spoken to by a SOCK_SEQPACKET connection: its end is the end
 * of one of both, and that is what they have to know of each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "channel.h"
#include "keep.h"
#include "log.h"

#define PATIENCE_S	5	/* the keeper has nothing else to do */
#define SYNC_US		5000000ULL

/**
 * struct kept - an fd of an earlier portald
 * @fd: -1 once it is taken
 */
struct kept {
	char name[KEEP_NAME_MAX + 1];
	int fd;
};

struct keep {
	enum keep_mode mode;
	char path[108];
	uint32_t seconds;
	int conn;
	struct kept *fds;
	unsigned int nr_fds;
};

enum keep_mode keep_mode(const struct keep *k)
{
	return k->mode;
}

int keep_fd(const struct keep *k)
{
	return k->conn;
}

static int remember(struct keep *k, const char *name, int fd)
{
	struct kept *fds;

	if (strlen(name) > KEEP_NAME_MAX || k->nr_fds >= KEEP_FDS_MAX)
		return -ENOSPC;
	fds = reallocarray(k->fds, k->nr_fds + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	k->fds = fds;
	strcpy(fds[k->nr_fds].name, name);
	fds[k->nr_fds++].fd = fd;
	return 0;
}

int keep_take(struct keep *k, const char *name)
{
	for (unsigned int i = 0; i < k->nr_fds; i++) {
		int fd = k->fds[i].fd;

		if (fd < 0 || strcmp(k->fds[i].name, name))
			continue;
		k->fds[i].fd = -1;
		return fd;
	}
	return -ENOENT;
}

const char *keep_search(const struct keep *k, const char *suffix)
{
	for (unsigned int i = 0; i < k->nr_fds; i++) {
		const char *name = k->fds[i].name;
		size_t len = strlen(name), end = strlen(suffix);

		if (k->fds[i].fd >= 0 && len > end && !strcmp(name + len - end, suffix))
			return name;
	}
	return NULL;
}

static void discard(struct keep *k, unsigned int i)
{
	if (k->fds[i].fd >= 0)
		close(k->fds[i].fd);
	keep_remove(k, k->fds[i].name);
	k->fds[i] = k->fds[--k->nr_fds];
}

void keep_discard(struct keep *k, const char *prefix)
{
	for (unsigned int i = k->nr_fds; i-- > 0;)
		if (!strncmp(k->fds[i].name, prefix, strlen(prefix)))
			discard(k, i);
}

void keep_discard_rest(struct keep *k)
{
	for (unsigned int i = k->nr_fds; i-- > 0;)
		if (k->fds[i].fd >= 0)
			discard(k, i);
}

/* ---- what is said --------------------------------------------------------- */

static int send_keeper(struct keep *k, const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (k->conn < 0)
		return -ENOTCONN;
	if (fd >= 0) {
		hdr.msg_control = control;
		hdr.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	do
		n = sendmsg(k->conn, &hdr, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	n = -errno;
	shutdown(k->conn, SHUT_RDWR);	/* one that hangs is as good as none */
	return n;
}

static int say(struct keep *k, const char *text, int fd)
{
	int ret;

	if (k->mode == KEEP_PROCESS)
		return send_keeper(k, text, fd);
	ret = fd < 0 ? sd_notify(0, text) : sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	return ret > 0 ? 0 : ret ? ret : -ENOTCONN;
}

/* ---- the keeper ----------------------------------------------------------- */

static int address(const struct keep *k, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!k->path[0] || strlen(k->path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, k->path);
	return 0;
}

static int dial(const struct keep *k)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un addr;
	int fd, ret = address(k, &addr);

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int listen_here(const struct keep *k)
{
	struct sockaddr_un addr;
	int fd, ret = address(k, &addr);
	mode_t mask;

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(k->path);
	mask = umask(0177);	/* who can connect gets the VMs */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4))
		ret = -errno;
	umask(mask);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

static _Noreturn void become_keeper(int sock)
{
	char *argv[] = { "portald", "--keeper", NULL };
	sigset_t none;
	int null;

	/* not the supervisor's child, nor of its session: ^C is not for it */
	setsid();
	if (fork())
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (sock == CHAN_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, CHAN_FD) < 0)
		_exit(127);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	execv("/proc/self/exe", argv);
	_exit(127);
}

static void set_time(struct keep *k)
{
	char text[40];

	snprintf(text, sizeof(text), "KEEP_SEC=%u", k->seconds);
	send_keeper(k, text, -1);
}

/* 1: took one, 0: that was all */
static int receive(struct keep *k)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, text[256];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = -1, ret;
	ssize_t n;

	do
		n = recvmsg(k->conn, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	text[n] = '\0';
	cmsg = CMSG_FIRSTHDR(&hdr);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	if (fd < 0)
		return strcmp(text, KEEP_END) ? -EPROTO : 0;
	ret = strncmp(text, "FDNAME=", 7) ? -EPROTO : remember(k, text + 7, fd);
	if (ret)
		close(fd);
	return ret ? ret : 1;
}

/* Connects, and takes what it has. */
static int greet(struct keep *k)
{
	int fd = dial(k), ret;

	if (fd < 0)
		return fd;
	k->conn = fd;
	while ((ret = receive(k)) > 0)
		;
	if (ret) {
		close(k->conn);
		k->conn = -1;
		return ret;
	}
	set_time(k);
	return 0;
}

static int start_keeper(struct keep *k)
{
	int sock = listen_here(k);
	pid_t pid;

	if (sock < 0)
		return sock;
	pid = fork();
	if (!pid)
		become_keeper(sock);
	close(sock);
	if (pid < 0)
		return -errno;
	waitpid(pid, NULL, 0);
	return greet(k);
}

void keep_connect(struct keep *k, const char *path, uint32_t seconds)
{
	int ret;

	if (k->mode != KEEP_PROCESS)
		return;
	k->seconds = seconds;
	if (snprintf(k->path, sizeof(k->path), "%s.keeper", path) >= (int)sizeof(k->path)) {
		log_warn("the socket's name is too long for %s.keeper: attachments end with portald",
			 path);
		k->mode = KEEP_NO;
		return;
	}
	/* none, or one that just ends: the first keep_add() starts another */
	ret = greet(k);
	if (!seconds) {
		if (!ret) {	/* what was kept is not wanted any more */
			keep_discard_rest(k);
			send_keeper(k, "STOPPING=1", -1);
			close(k->conn);
			k->conn = -1;
		}
		k->mode = KEEP_NO;
		return;
	}
	if (ret && ret != -ENOENT && ret != -ECONNREFUSED && ret != -EPIPE &&
	    ret != -ECONNRESET)
		log_err("the keeper of an earlier portald does not give what it has: %s",
			strerror(-ret));
}

bool keep_look(struct keep *k)
{
	ssize_t n;
	char c;

	if (k->conn < 0)
		return false;
	n = recv(k->conn, &c, 1, MSG_DONTWAIT);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return false;
	close(k->conn);
	k->conn = -1;
	return true;
}

/* ---- for the supervisor --------------------------------------------------- */

static bool is_ours(const char *name)
{
	return name[0] == 'v' && name[1] >= '0' && name[1] <= '9' && strchr(name, '.');
}

int keep_create(enum keep_mode mode, struct keep **keep, int *listen_fd)
{
	struct keep *k = calloc(1, sizeof(*k));
	struct rlimit files;
	char **names = NULL;
	int nr;

	if (!k)
		return -ENOMEM;
	k->mode = mode;
	k->conn = -1;
	*listen_fd = 0;
	/* a VM with all its instances is 200 fds */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	nr = sd_listen_fds_with_names(1, &names);
	for (int i = 0; i < nr; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (is_ours(names[i])) {
			if (remember(k, names[i], fd))
				close(fd);
		} else if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0 && !*listen_fd) {
			*listen_fd = fd;
		} else {
			close(fd);
		}
		free(names[i]);
	}
	free(names);
	*keep = k;
	return 0;
}

int keep_add(struct keep *k, const char *name, int fd)
{
	char text[128];
	int ret;

	if (k->mode == KEEP_NO)
		return 0;
	if (k->mode == KEEP_PROCESS && k->conn < 0) {
		ret = start_keeper(k);
		if (ret)
			return ret;
	}
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return say(k, text, fd);
}

void keep_remove(struct keep *k, const char *name)
{
	char text[128];

	if (k->mode == KEEP_NO)
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	say(k, text, -1);
}

void keep_sync(struct keep *k)
{
	if (k->mode == KEEP_SYSTEMD)
		sd_notify_barrier(0, SYNC_US);
	if (k->mode == KEEP_PROCESS && !send_keeper(k, "BARRIER=1", -1))
		receive(k);
}

void keep_destroy(struct keep *k, bool leave)
{
	if (!k)
		return;
	if (!leave)
		keep_discard_rest(k);
	if (k->conn >= 0) {
		if (!leave)
			send_keeper(k, "STOPPING=1", -1);
		close(k->conn);
	}
	while (k->nr_fds--)
		if (k->fds[k->nr_fds].fd >= 0)
			close(k->fds[k->nr_fds].fd);
	free(k->fds);
	free(k);
}
