/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portald.h - a portald of the test's own, which serves the test's guest
 *
 * From the build tree: ../../daemon, seen from the test program. It has a directory
 * in /tmp for its socket, its log and its images, and ends with the test.
 */
#ifndef PORTALD_TEST_H
#define PORTALD_TEST_H

#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "portal_kvm.h"

struct portald {
	pid_t pid;
	char bin[4000];		/* directory of portald and portalctl */
	char dir[64];
};

static inline FILE *portald_file(const struct portald *d, const char *name, const char *mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	return fopen(path, mode);
}

/* portald_init: a directory; *_file() may fill it. -ENOENT: portald is not built. */
static inline int portald_init(struct portald *d)
{
	char self[2000], path[4100];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	memset(d, 0, sizeof(*d));
	if (n < 0)
		return -errno;
	self[n] = '\0';
	snprintf(d->bin, sizeof(d->bin), "%s/../../daemon", dirname(self));
	snprintf(path, sizeof(path), "%s/portald", d->bin);
	if (access(path, X_OK))
		return -ENOENT;
	strcpy(d->dir, "/tmp/portald-kvm-XXXXXX");
	return mkdtemp(d->dir) ? 0 : -errno;
}

/* portald_ctl: portalctl's status; what it says is in the file "ctl". */
__attribute__((format(printf, 2, 3)))
static inline int portald_ctl(const struct portald *d, const char *fmt, ...)
{
	char args[512], cmd[8000];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "timeout 60 %s/portalctl -s %s/control %s >%s/ctl 2>&1",
		 d->bin, d->dir, args, d->dir);
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* portald_show: for a failure, a file of it */
static inline void portald_show(const struct portald *d, const char *name)
{
	FILE *f = portald_file(d, name, "r");
	char line[500];

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "# %s: %s", name, line);
	if (f)
		fclose(f);
}

/* portald_start: runs it with the file "conf", until it answers */
static inline int portald_start(struct portald *d)
{
	char cmd[8500];

	snprintf(cmd, sizeof(cmd),
		 "exec %s/portald -c %s/conf -s %s/control --plugin-dir %s/plugins >%s/log 2>&1",
		 d->bin, d->dir, d->dir, d->bin, d->dir);
	d->pid = fork();
	if (!d->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sh", "sh", "-c", cmd, NULL);
		_exit(127);
	}
	return WAIT_UNTIL(!portald_ctl(d, "list")) ? 0 : -ETIMEDOUT;
}

/* portald_attach: this process's VM, as "bare" */
static inline int portald_attach(const struct portald *d, const struct guest *g)
{
	return portald_ctl(d, "attach --pid %d --vm-fd %d --name bare", getpid(), g->vm->fd);
}

/* portald_worker: the process that serves @instance, 0 none */
static inline pid_t portald_worker(const struct portald *d, const char *instance)
{
	char line[500], name[64];
	pid_t pid = 0;
	FILE *f;

	if (portald_ctl(d, "stat bare"))
		return 0;
	f = portald_file(d, "ctl", "r");
	while (f && fgets(line, sizeof(line), f)) {
		int n;

		if (sscanf(line, " %63s running %d", name, &n) == 2 && !strcmp(name, instance))
			pid = n;
	}
	if (f)
		fclose(f);
	return pid;
}

static inline void portald_end(struct portald *d)
{
	char cmd[200];

	if (d->pid > 0) {
		kill(d->pid, SIGTERM);
		waitpid(d->pid, NULL, 0);
	}
	if (!d->dir[0])
		return;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", d->dir);
	if (system(cmd))
		fprintf(stderr, "# %s stays\n", d->dir);
}

#endif /* PORTALD_TEST_H */
