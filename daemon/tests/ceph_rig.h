/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ceph_rig.h - a test's own Ceph cluster, by rbd_cluster.sh beside its source.
 * Included once, after layer_rig.h.
 */
#ifndef CEPH_RIG_H
#define CEPH_RIG_H

#include <stdarg.h>
#include <stdio.h>

static char ceph_dir[64], ceph_conf_path[96];
static const char *ceph_conf = ceph_conf_path;
static FILE *ceph_to, *ceph_from;
static pid_t ceph_script;
static const char *ceph_why_not = "PORTAL_CEPH is not 1";

static void ceph_need_plugin(void)
{
	const char *build = getenv("TEST_BUILD");
	char so[512];

	snprintf(so, sizeof(so), "%s/plugins/rbd.so", build ? build : "../build/daemon");
	if (!access(so, F_OK))
		return;
	print_message("skipped: built without librbd\n");
	skip();
}

static void ceph_need(void)
{
	ceph_need_plugin();
	if (!ceph_why_not)
		return;
	print_message("skipped: %s\n", ceph_why_not);
	skip();
}

/* One command of rbd_cluster.sh's. */
static int ceph_ask(const char *fmt, va_list ap)
{
	char line[64];

	vfprintf(ceph_to, fmt, ap);
	fputc('\n', ceph_to);
	fflush(ceph_to);
	if (!fgets(line, sizeof(line), ceph_from))
		return -1;
	return strcmp(line, "ok\n");
}

static __attribute__((format(printf, 1, 2))) int ceph_try(const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = ceph_ask(fmt, ap);
	va_end(ap);
	return ret;
}

static __attribute__((format(printf, 1, 2))) void ceph_do(const char *fmt, ...)
{
	char cmd[128];
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = ceph_ask(fmt, ap);
	va_end(ap);
	if (!ret)
		return;
	snprintf(cmd, sizeof(cmd), "cat %s/command.out >&2", ceph_dir);
	fail_msg("'%s' failed, %d", fmt, system(cmd));
}

static void ceph_image(const char *name, unsigned int mib)
{
	ceph_do("rbd create --size %uM rbd/%s", mib, name);
}

static int ceph_start(void **state)
{
	const char *on = getenv("PORTAL_CEPH");
	int in[2], out[2];
	char line[64];

	(void)state;
	if (!on || strcmp(on, "1"))
		return 0;
	if (system("for p in ceph ceph-mon ceph-mgr ceph-osd rbd; do command -v $p || exit 1; done >/dev/null")) {
		ceph_why_not = "no Ceph (selftests/rig/deps.sh ceph)";
		return 0;
	}
	strcpy(ceph_dir, "/tmp/portald-rbd-XXXXXX");
	if (!mkdtemp(ceph_dir) || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -1;
	snprintf(ceph_conf_path, sizeof(ceph_conf_path), "%s/ceph.conf", ceph_dir);
	ceph_script = fork();
	if (!ceph_script) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("tests/rbd_cluster.sh", "rbd_cluster.sh", ceph_dir, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	ceph_to = fdopen(in[1], "w");
	ceph_from = fdopen(out[0], "r");
	if (!ceph_to || !ceph_from || !fgets(line, sizeof(line), ceph_from) ||
	    strcmp(line, "ready\n"))
		return -1;
	ceph_why_not = NULL;
	return ceph_try("ceph osd pool create rbd 8") || ceph_try("mgr-start");
}

static int ceph_stop(void **state)
{
	(void)state;
	if (!ceph_script)
		return 0;
	fclose(ceph_to);
	waitpid(ceph_script, NULL, 0);
	fclose(ceph_from);
	return 0;
}

#endif /* CEPH_RIG_H */
