// SPDX-License-Identifier: GPL-2.0-only
/*
 * ask_ops.c - answers the system calls of e2e-ask in the guest
 *
 * usage: ask_ops SOCKET VM   first each error; then it says "serving", until it is
 *                            killed or the guest's agent ends
 */
#include "guest_cmd.h"

enum { ENTRY = 1, RETURN, BOTH };
enum { PRESET = 4 };
enum { RET = 1, ARGS = 2, SKIP = 4 };
enum { FIELD_COMM = 3, FIELD_RET = 5, EQ = 1, STR_EQ = 12 };

static uint64_t openat_id, ppid_id, sid_id, yield_id, pgid_id[2], exec_id;
static struct portal_cmd_hook_filter comm = { .field = FIELD_COMM, .cmp = STR_EQ,
					      .str = "e2e-ask" };

/* Of e2e-ask alone. @answer: to be given at once, or NULL. */
static int add(struct portal_cmd_hook hook, const struct portal_cmd_hook_answer *answer,
	       const char *name)
{
	struct {
		struct portal_cmd_hook hook;
		struct portal_cmd_hook_filter filter;
		char rest[sizeof(*answer) + 100];
	} in;
	size_t len = answer ? sizeof(*answer) : 0;

	hook.kind = PORTAL_EVENT_ASK;
	hook.nr_filters = 1;
	in.hook = hook;
	in.filter = comm;
	if (answer)
		memcpy(in.rest, answer, len);
	strcpy(in.rest + len, name);
	len += strlen(name) + 1;
	return command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START }, &in,
		       sizeof(in.hook) + sizeof(in.filter) + len);
}

#define ADD(name, ...) add((struct portal_cmd_hook){ __VA_ARGS__ }, NULL, name)

static int preset(const char *name, struct portal_cmd_hook_answer answer)
{
	return add((struct portal_cmd_hook){ .when = ENTRY, .flags = PRESET }, &answer, name);
}

static int answer(const struct portal_event *ev, struct portal_cmd_hook_answer a)
{
	a.request = ev->seq;
	return command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_ANSWER,
						      .addr = ev->hook }, &a, sizeof(a));
}

#define ANSWER(ev, ...) answer(ev, (struct portal_cmd_hook_answer){ __VA_ARGS__ })

static uint64_t must(int status)
{
	CHECK(!status && rep.value);
	return rep.value;
}

/* ---- what is refused ---------------------------------------------------------- */

static void errors(void)
{
	struct portal_cmd_hook_answer a = { .flags = RET };
	struct portal_event none = { .hook = 12345 };

	CHECK(ADD("getppid", .when = 0) == -EINVAL);
	CHECK(ADD("getppid", .when = ENTRY, .rate = 1) == -EINVAL);
	CHECK(ADD("getppid", .when = ENTRY, .pad = 1) == -EINVAL);
	CHECK(ADD("getppid", .when = ENTRY, .flags = 8) == -EINVAL);
	CHECK(ADD("getppid", .when = ENTRY, .timeout_ms = 600001) == -EINVAL);
	CHECK(ADD("getppid", .when = ENTRY, .nrs = { 1 }) == -EINVAL);
	CHECK(ADD("", .when = ENTRY) == -EINVAL);
	CHECK(ADD("Getppid", .when = ENTRY) == -EINVAL);
	CHECK(ADD("get.ppid", .when = ENTRY) == -EINVAL);
	/* whoever calls them never comes back */
	CHECK(ADD("exit", .when = ENTRY) == -EINVAL);
	CHECK(ADD("exit_group", .when = ENTRY) == -EINVAL);
	CHECK(ADD("rt_sigreturn", .when = ENTRY) == -EINVAL);
	CHECK(ADD("no_such_call", .when = ENTRY) == -ENOENT);
	/* answers that are none */
	CHECK(add((struct portal_cmd_hook){ .when = BOTH, .flags = PRESET }, &a, "getppid") == -EINVAL);
	CHECK(add((struct portal_cmd_hook){ .when = ENTRY }, &a, "getppid") == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = 0 }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = SKIP }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = SKIP | ARGS | RET }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = 8 | RET }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = RET, .pad = 1 }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = RET, .request = 1 }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = RET, .ret = -512 }) == -EINVAL);
	CHECK(preset("getppid", (struct portal_cmd_hook_answer){ .flags = RET, .ret = -4095 }) == -EINVAL);
	/* its result is not known yet */
	comm.field = FIELD_RET;
	comm.cmp = EQ;
	CHECK(ADD("getppid", .when = BOTH) == -EINVAL);
	comm.field = FIELD_COMM;
	comm.cmp = STR_EQ;
	CHECK(ANSWER(&none, .flags = RET) == -ENOENT);
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STOP) && !rep.count);
	/* begins and ends while everybody calls it */
	for (int i = 0; i < 20; i++)
		CHECK(!ADD("read", .when = BOTH) && !CMD(.op = PORTAL_CMD_HOOK_STOP) && rep.count == 1);
}

/* ---- answers ------------------------------------------------------------------ */

static void make(void)
{
	openat_id = must(ADD("openat", .when = ENTRY, .string_arg = 2));
	ppid_id = must(ADD("getppid", .when = BOTH));
	sid_id = must(ADD("getsid", .when = ENTRY, .timeout_ms = 300));
	yield_id = must(ADD("sched_yield", .when = ENTRY, .timeout_ms = 600000));
	for (int i = 0; i < 2; i++)
		pgid_id[i] = must(ADD("getpgid", .when = RETURN));
	exec_id = must(ADD("execve", .when = BOTH, .string_arg = 1));
	must(preset("geteuid", (struct portal_cmd_hook_answer){ .flags = SKIP | RET, .ret = 12345 }));
	must(preset("umask", (struct portal_cmd_hook_answer){ .flags = RET, .ret = 0666 }));
}

static struct portal_cmd_hook_stat stat_of(uint64_t id)
{
	struct portal_cmd_hook_stat st;

	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STAT, .addr = id, .out_len = sizeof(st)));
	memcpy(&st, out, sizeof(st));
	return st;
}

static void opens(const struct portal_event *ev, const char *path)
{
	struct portal_event other = *ev;

	if (!strcmp(path, "/ask/refused")) {
		/* not these, and then only once */
		CHECK(ANSWER(ev, .flags = SKIP) == -EINVAL);
		CHECK(ANSWER(ev, .flags = RET, .ret = -516) == -EINVAL);
		other.seq++;
		CHECK(ANSWER(&other, .flags = 0) == -ENOENT);
		CHECK(!ANSWER(ev, .flags = SKIP | RET, .ret = -EPERM));
		CHECK(ANSWER(ev, .flags = SKIP | RET, .ret = -EPERM) == -ENOENT);
	} else if (!strcmp(path, "/ask/value")) {
		CHECK(!ANSWER(ev, .flags = RET, .ret = 1234567));
	} else if (!strcmp(path, "/ask/other")) {
		CHECK(ev->args[3] == 4 && ev->args[5] == 6);
		CHECK(!ANSWER(ev, .flags = ARGS, .arg0 = ev->args[0], .arg1 = ev->args[1] + 64,
			      .arg2 = ev->args[2], .arg3 = 0));
	} else {
		CHECK(!ANSWER(ev, .flags = 0));
	}
}

static void serve(void)
{
	unsigned int yields = 0;

	for (;;) {
		struct event e = next_event();
		bool returns = e.ev.flags & PORTAL_EVENT_F_RETURN;

		CHECK(e.ev.kind == PORTAL_EVENT_ASK);
		CHECK(!strcmp((char *)e.ev.comm, e.ev.hook == exec_id && returns ? "true" : "e2e-ask"));
		if (e.ev.hook == openat_id) {
			CHECK(e.ev.nr == 257 && !returns);
			opens(&e.ev, e.ev.str_len ? e.str : "");
		} else if (e.ev.hook == ppid_id) {
			if (returns)
				CHECK(ANSWER(&e.ev, .flags = SKIP | RET) == -EINVAL);
			CHECK(!returns || e.ev.ret > 0);
			CHECK(!ANSWER(&e.ev, .flags = returns ? RET : 0, .ret = 4711));
		} else if (e.ev.hook == pgid_id[0] || e.ev.hook == pgid_id[1]) {
			CHECK(returns);
			CHECK(!ANSWER(&e.ev, .flags = RET,
				      .ret = e.ev.ret + (e.ev.hook == pgid_id[0] ? 1 : 2)));
		} else if (e.ev.hook == exec_id) {
			CHECK(returns ? e.ev.ret == 0 : !strcmp(e.str, "/bin/true"));
			CHECK(!ANSWER(&e.ev, .flags = 0));
			CHECK(stat_of(sid_id).expired == 1 && stat_of(sid_id).passed == 1);
			CHECK(stat_of(ppid_id).passed == 2 && !stat_of(ppid_id).expired);
		} else if (e.ev.hook == yield_id) {
			if (++yields == 2)
				CHECK(!ANSWER(&e.ev, .flags = SKIP | RET, .ret = 77));
		} else if (e.ev.hook != sid_id) {
			/* what was answered beforehand is told all the same */
			CHECK(e.ev.nr == 107 || e.ev.nr == 95);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	sock = guest_connect(argv[1], argv[2]);
	if (sock < 0)
		return 1;
	errors();
	make();
	printf("%u checks passed\nserving\n", checks);
	fflush(stdout);
	serve();
	return 0;
}
