// SPDX-License-Identifier: GPL-2.0-only
/*
 * process.c - what /proc says of a VMM
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

#define CMDLINE_MAX	65536

int process_uid(pid_t pid, uid_t *uid)
{
	char path[64], line[256];
	unsigned int id;
	int ret = -ESRCH;
	FILE *f;

	/* not the owner of /proc/PID: that is root if the process is not dumpable */
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Uid:\t%u", &id) == 1) {
			*uid = id;
			ret = 0;
			break;
		}
	}
	fclose(f);
	return ret;
}

uint64_t process_started(pid_t pid)
{
	unsigned long long ticks = 0;
	char path[64], line[1024];
	char *p = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f))
		p = strrchr(line, ')');		/* the name may hold anything */
	/* the 22nd field; what follows the name is the third */
	for (int field = 3; p && field <= 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		ticks = strtoull(p, NULL, 10);
	fclose(f);
	return ticks;
}

static ssize_t read_cmdline(pid_t pid, char *buf)
{
	size_t len = 0;
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < CMDLINE_MAX - 1 && (n = read(fd, buf + len, CMDLINE_MAX - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	return len;
}

/* "NAME", "NAME,process=...", "debug-threads=on,guest=NAME": the first is guest= */
static const char *name_in_option(char *opt)
{
	const char *name = NULL;
	bool first = true;
	char *save, *part;

	for (part = strtok_r(opt, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (!strncmp(part, "guest=", 6))
			name = part + 6;
		else if (first && !strchr(part, '='))
			name = part;
		first = false;
	}
	return name;
}

/* QEMU's -name */
static const char *name_in_cmdline(char *buf, size_t len)
{
	char *arg = buf, *end = buf + len;

	for (; arg < end; arg += strlen(arg) + 1) {
		char *name = arg + strlen(arg) + 1;

		if ((strcmp(arg, "-name") && strcmp(arg, "--name")) || name >= end)
			continue;
		return name_in_option(name);
	}
	return NULL;
}

/* Whoever talks about a VM, as portalctl does, may have the same words. */
static bool may_be_vmm(pid_t pid)
{
	int fd;

	/* an error: it cannot be seen, and whoever attaches is told why */
	return portal_vm_fds_of_pid(pid, &fd, 1) != 0;
}

pid_t process_by_vm_name(const char *vm_name, char *others, size_t len_others)
{
	char *buf = malloc(CMDLINE_MAX);
	DIR *proc = opendir("/proc");
	pid_t found = -ESRCH;
	struct dirent *de;

	others[0] = '\0';
	while (buf && proc && (de = readdir(proc))) {
		const char *name;
		ssize_t len;

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		len = read_cmdline(atoi(de->d_name), buf);
		name = len > 0 ? name_in_cmdline(buf, len) : NULL;
		if (!name || !*name || !may_be_vmm(atoi(de->d_name)))
			continue;
		if (strcmp(name, vm_name)) {
			size_t used = strlen(others);

			snprintf(others + used, len_others - used, "%s%s", used ? ", " : "", name);
			continue;
		}
		if (found > 0) {
			found = -ENOTUNIQ;
			break;
		}
		found = atoi(de->d_name);
	}
	if (proc)
		closedir(proc);
	free(buf);
	return found;
}

/* libvirt's file with the pid of a domain's QEMU */
pid_t process_by_domain(const char *dir, const char *domain)
{
	char path[512], line[32];
	pid_t pid = -ENOENT;
	uid_t uid;
	FILE *f;

	if (!*domain || strchr(domain, '/') ||
	    snprintf(path, sizeof(path), "%s/%s.pid", dir, domain) >= (int)sizeof(path))
		return -EINVAL;
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fgets(line, sizeof(line), f))
		pid = atoi(line);
	fclose(f);
	/* left behind by a QEMU that is gone */
	return pid > 0 && !process_uid(pid, &uid) ? pid : -ESRCH;
}

/* The name under which we list it, if the administrator gives none. */
void process_vm_name(pid_t pid, char *buf, size_t len)
{
	char *cmdline = malloc(CMDLINE_MAX);
	const char *name = NULL;
	ssize_t n;

	if (cmdline) {
		n = read_cmdline(pid, cmdline);
		name = n > 0 ? name_in_cmdline(cmdline, n) : NULL;
	}
	if (name && *name)
		snprintf(buf, len, "%s", name);
	else
		snprintf(buf, len, "pid%d", pid);
	for (char *p = buf; *p; p++)	/* a VMM chose it; we print it */
		if (!isalnum((unsigned char)*p) && !strchr("._-:", *p))
			*p = '_';
	free(cmdline);
}
