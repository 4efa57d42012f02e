// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracefs.c - an instance of its own in tracefs
 *
 * Others who trace do not see ours, nor we theirs, and its end leaves nothing.
 * What a killed portalctl left is removed by the next one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "portalctl.h"

#define PREFIX	"portalctl-"

struct tracefs {
	char dir[256];
	int pipe;
	char buf[8192];
	size_t len, used;
};

static int write_file(const struct tracefs *tfs, const char *file, const char *text)
{
	char path[320];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", tfs->dir, file);
	/* not O_TRUNC: without any pid, set_event_pid lets all pass */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (*text && write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static void remove_old(const char *instances)
{
	DIR *dir = opendir(instances);
	char path[512];
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		pid_t pid;

		if (strncmp(de->d_name, PREFIX, strlen(PREFIX)))
			continue;
		pid = atoi(de->d_name + strlen(PREFIX));
		snprintf(path, sizeof(path), "%s/%s", instances, de->d_name);
		if (pid > 0 && kill(pid, 0) && errno == ESRCH)
			rmdir(path);
	}
	if (dir)
		closedir(dir);
}

static void explain(int err)
{
	if (err == ENOENT)
		fprintf(stderr,
			"portalctl: the kernel has no events of portal: modprobe portal; if it is loaded, this kernel was built without tracepoints, or tracefs is missing: mount -t tracefs tracefs /sys/kernel/tracing\n");
	else if (err == EACCES || err == EPERM)
		fprintf(stderr, "portalctl: trace: run as root (tracefs is root's)\n");
	else
		fprintf(stderr, "portalctl: trace: tracefs: %s\n", strerror(err));
}

int tracefs_start(struct tracefs *tfs)
{
	char path[320];
	int ret;

	/* without it the times are another clock's */
	write_file(tfs, "trace_clock", "boot");
	snprintf(path, sizeof(path), "%s/trace_pipe", tfs->dir);
	tfs->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ret = tfs->pipe < 0 ? -errno : write_file(tfs, "events/portal/enable", "1");
	if (ret)
		explain(-ret);
	return ret;
}

struct tracefs *tracefs_open(const char *root)
{
	struct tracefs *tfs = calloc(1, sizeof(*tfs));
	char path[256];
	int ret;

	if (!tfs)
		return NULL;
	tfs->pipe = -1;
	snprintf(path, sizeof(path), "%s/instances", root);
	remove_old(path);
	snprintf(tfs->dir, sizeof(tfs->dir), "%s/instances/" PREFIX "%d", root, getpid());
	snprintf(path, sizeof(path), "%s/events/portal", root);
	ret = access(path, F_OK) || mkdir(tfs->dir, 0700) ? -errno : 0;
	if (ret) {
		explain(-ret);
		free(tfs);
		return NULL;
	}
	return tfs;
}

int tracefs_pids(struct tracefs *tfs, const char *pids)
{
	return write_file(tfs, "set_event_pid", pids);
}

const char *tracefs_line(struct tracefs *tfs, int ms)
{
	struct pollfd p = { .fd = tfs->pipe, .events = POLLIN };
	char *start, *end;
	ssize_t n;

	for (;;) {
		start = tfs->buf + tfs->used;
		end = memchr(start, '\n', tfs->len - tfs->used);
		if (end) {
			*end = '\0';
			tfs->used = end + 1 - tfs->buf;
			return start;
		}
		memmove(tfs->buf, start, tfs->len - tfs->used);
		tfs->len -= tfs->used;
		tfs->used = 0;
		if (tfs->len == sizeof(tfs->buf))
			tfs->len = 0;	/* no line is that long */
		n = read(tfs->pipe, tfs->buf + tfs->len, sizeof(tfs->buf) - tfs->len);
		if (n > 0) {
			tfs->len += n;
			continue;
		}
		if (n < 0 && errno != EAGAIN)
			return NULL;
		if (poll(&p, 1, ms) <= 0)
			return NULL;
	}
}

void tracefs_close(struct tracefs *tfs)
{
	if (!tfs)
		return;
	if (tfs->pipe >= 0)
		close(tfs->pipe);
	rmdir(tfs->dir);
	free(tfs);
}
