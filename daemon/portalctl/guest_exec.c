// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_exec.c - portalctl guest VM exec: a program in the guest
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "portalctl.h"

#define MAX_STRINGS	65536

static const char *const environment[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
	"LANG=C.UTF-8",
};

struct strings {
	char buf[MAX_STRINGS];
	size_t len;
};

static int add(struct strings *s, const char *str)
{
	size_t len = strlen(str) + 1;

	if (len > sizeof(s->buf) - s->len)
		return -1;
	memcpy(s->buf + s->len, str, len);
	s->len += len;
	return 0;
}

/* A program without a directory is looked for by a shell. */
static int add_all(struct strings *s, struct portal_cmd_exec *how, int argc, char **argv)
{
	static const char *const shell[] = { "/bin/sh", "-c", "exec \"$@\"", "sh" };
	int ret = 0;

	for (size_t i = 0; argv[0][0] != '/' && i < 4; i++, how->argc++)
		ret |= add(s, shell[i]);
	for (int i = 0; i < argc; i++, how->argc++)
		ret |= add(s, argv[i]);
	for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]); i++, how->envc++)
		ret |= add(s, environment[i]);
	return ret;
}

static int print(const struct guest *g, const struct portal_guest_reply *rep)
{
	struct portal_cmd_exec_result res;
	uint64_t room;

	if (rep->out_size < sizeof(res))
		return guest_failed(g, "exec", -EPROTO);
	memcpy(&res, g->out, sizeof(res));
	room = rep->out_size - sizeof(res);
	if (res.out_given > room || res.err_given > room - res.out_given)
		return guest_failed(g, "exec", -EPROTO);
	fwrite(g->out + sizeof(res), 1, res.out_given, stdout);
	fflush(stdout);
	fwrite(g->out + sizeof(res) + res.out_given, 1, res.err_given, stderr);
	if (res.out_given < res.out_len || res.err_given < res.err_len)
		fprintf(stderr, "portalctl: %s: exec: %llu bytes of its output are missing here\n",
			g->vm, (unsigned long long)(res.out_len - res.out_given + res.err_len -
						    res.err_given));
	if (rep->status)
		return guest_failed(g, "exec", rep->status);
	return WIFEXITED(res.wait_status) ? WEXITSTATUS(res.wait_status) :
	       128 + WTERMSIG(res.wait_status);
}

int guest_exec(struct guest *g, int argc, char **argv)
{
	struct portal_guest_request req = { .op = PORTAL_CMD_EXEC, .out_len = PORTAL_GUEST_MAX };
	struct portal_cmd_exec how = { 0 };
	struct portal_guest_reply rep;
	static struct strings s;
	struct iovec in[2];
	int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;

	if (first >= argc)
		return usage_error("guest exec: which program?");
	if (add_all(&s, &how, argc - first, argv + first))
		return usage_error("guest exec: arguments of more than 64 KiB");
	in[0] = (struct iovec){ &how, sizeof(how) };
	in[1] = (struct iovec){ s.buf, s.len };
	if (guest_command(g, &req, in, 2, &rep))
		return EXIT_FAILED;
	if (rep.status && rep.out_size < sizeof(struct portal_cmd_exec_result))
		return guest_failed(g, argv[first], rep.status);
	return print(g, &rep);
}
