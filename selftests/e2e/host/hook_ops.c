// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_ops.c - hooks with each filter, and their errors, on e2e-hook in the guest
 *
 * usage: hook_ops SOCKET VM FILE OFFSET  FILE: in the guest, of 5 bytes; OFFSET: as
 *                                        e2e-hook says
 *        hook_ops SOCKET VM              classes mem and kmem are not allowed
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "guest_connect.h"

#define MAX_EVENTS	4096
#define ARG(n)		(16 + (n))

enum { ENTRY = 1, RETURN, BOTH };
enum { CHILD = 1, FOLLOW };
enum { PID = 1, TGID, COMM, NR, RET, STRING };
enum { EQ = 1, NE, LT, LE, GT, GE, RANGE, SET, CLEAR, SUCCESS, ERROR, STR_EQ, PREFIX, SUFFIX,
       CONTAINS };

struct event {
	struct portal_event ev;
	char str[PORTAL_EVENT_STRING];
};

struct payload {
	struct portal_cmd_hook hook;
	struct portal_cmd_hook_filter filters[17];
};

static const char *sock_path, *vm, *file;
static uint64_t offset;
static int sock = -1;
static struct portal_guest_reply rep;
static char out[PORTAL_GUEST_MAX];
static struct event events[MAX_EVENTS];
static unsigned int nr_events, checks;

#define CHECK(cond)								\
	do {									\
		checks++;							\
		if (!(cond))							\
			die("line %d: %s (status %d, value %#llx, count %llu, %u events)", \
			    __LINE__, #cond, rep.status, (unsigned long long)rep.value, \
			    (unsigned long long)rep.count, nr_events);		\
	} while (0)

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void take_events(size_t len)
{
	size_t off = 0;

	CHECK(!rep.count && rep.out_size == len);
	while (off < len) {
		struct event *e = &events[nr_events++];

		if (nr_events == MAX_EVENTS)
			die("more than %d events", MAX_EVENTS);
		memcpy(&e->ev, out + off, sizeof(e->ev));
		CHECK(e->ev.len <= len - off && e->ev.len >= sizeof(e->ev) && e->ev.len % 8 == 0);
		memcpy(e, out + off, e->ev.len);
		CHECK(e->ev.version == PORTAL_EVENT_VERSION && e->ev.dropped == 0);
		off += e->ev.len;
	}
}

/* Returns the status; events on the way are kept. */
static int command(struct portal_guest_request req, const void *in, size_t len)
{
	struct iovec iov[2] = { { &req, sizeof(req) }, { (void *)in, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	req.timeout_ms = 60000;
	if (sendmsg(sock, &msg, 0) < 0)
		die("send: %s", strerror(errno));
	do {
		iov[0] = (struct iovec){ &rep, sizeof(rep) };
		iov[1] = (struct iovec){ out, sizeof(out) };
		n = recvmsg(sock, &msg, 0);
		if (n < (ssize_t)sizeof(rep))
			die("no answer");
		if (rep.flags & PORTAL_GUEST_F_EVENT)
			take_events(n - sizeof(rep));
	} while (rep.flags & PORTAL_GUEST_F_EVENT);
	return rep.status;
}

#define CMD(...) command((struct portal_guest_request){ __VA_ARGS__ }, NULL, 0)

/* The program in the guest, from beginning to end. */
static void run_program(void)
{
	struct {
		struct portal_cmd_exec how;
		char text[200];
	} in = { .how = { .argc = 2 } };
	int len = snprintf(in.text, sizeof(in.text), "/bin/e2e-hook%c%s", 0, file) + 1;

	CHECK(!command((struct portal_guest_request){ .op = PORTAL_CMD_EXEC, .out_len = 4096 },
		       &in, sizeof(in.how) + len));
	CHECK(rep.value == 3 << 8);
}

static struct payload syscall_hook(int nr, int when)
{
	struct payload p = { .hook = { .kind = PORTAL_EVENT_SYSCALL, .when = (__u16)when,
				       .flags = CHILD } };

	p.hook.nrs[nr / 8] = (__u8)(1 << nr % 8);
	return p;
}

static int add(const struct payload *p)
{
	return command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START }, p,
		       sizeof(p->hook) + (p->hook.nr_filters % 18) * sizeof(p->filters[0]));
}

/* @target: a function's name, or a program's */
static int add_at(const struct portal_cmd_hook *hook, const char *target, uint64_t at)
{
	struct {
		struct portal_cmd_hook hook;
		char target[64];
	} in = { .hook = *hook };

	strcpy(in.target, target);
	return command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START, .addr = at }, &in,
		       sizeof(in.hook) + strlen(target) + 1);
}

static uint64_t must_add(const struct payload *p)
{
	CHECK(!add(p));
	CHECK(rep.value >> 32 && (uint32_t)rep.value);
	return rep.value;
}

static struct portal_cmd_hook_stat stat_of(uint64_t id)
{
	struct portal_cmd_hook_stat st;

	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STAT, .addr = id, .out_len = sizeof(st)));
	memcpy(&st, out, sizeof(st));
	return st;
}

static void all_gone(void)
{
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STOP));
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STAT, .out_len = sizeof(struct portal_cmd_hook_stat)));
	CHECK(!rep.value);
}

static unsigned int count(uint64_t id)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nr_events; i++)
		n += events[i].ev.hook == id;
	return n;
}

static const struct event *find(uint64_t id, unsigned int nth)
{
	for (unsigned int i = 0; i < nr_events; i++)
		if (events[i].ev.hook == id && !nth--)
			return &events[i];
	die("hook %#llx has no such event", (unsigned long long)id);
}

/* ---- what is refused ---------------------------------------------------------- */

static void errors(void)
{
	struct payload p;

#define WRONG(err, member, is)							\
	do {									\
		p = syscall_hook(SYS_lseek, RETURN);				\
		p.hook.nr_filters = 1;						\
		p.filters[0].field = NR;					\
		p.filters[0].cmp = EQ;						\
		p.member = (is);						\
		CHECK(add(&p) == -(err));					\
	} while (0)
	WRONG(EOPNOTSUPP, hook.kind, 0);
	WRONG(EOPNOTSUPP, hook.kind, 99);
	WRONG(EINVAL, hook.when, 0);
	WRONG(EINVAL, hook.when, 4);
	WRONG(EINVAL, hook.flags, 4);
	WRONG(EINVAL, hook.root, 1);	/* and CHILD */
	WRONG(EINVAL, hook.string_arg, 7);
	WRONG(EINVAL, hook.nr_filters, 17);
	WRONG(EINVAL, filters[0].field, 0);
	WRONG(EINVAL, filters[0].field, 7);
	WRONG(EINVAL, filters[0].field, 22);
	WRONG(EINVAL, filters[0].field, STRING);
	WRONG(EINVAL, filters[0].field, COMM);	/* with a number's comparison */
	WRONG(EINVAL, filters[0].cmp, 0);
	WRONG(EINVAL, filters[0].cmp, 16);
	WRONG(EINVAL, filters[0].cmp, PREFIX);
	WRONG(EINVAL, filters[0].flags, 2);
	p = syscall_hook(SYS_lseek, ENTRY);
	p.hook.nr_filters = 1;
	p.filters[0].field = RET;	/* which is not known yet */
	p.filters[0].cmp = ERROR;
	CHECK(add(&p) == -EINVAL);
	p = syscall_hook(SYS_lseek, RETURN);
	p.hook.kind = PORTAL_EVENT_EXIT;	/* which has neither numbers nor a return */
	CHECK(add(&p) == -EINVAL);
	p.hook.when = ENTRY;
	CHECK(add(&p) == -EINVAL);
	memset(p.hook.nrs, 0, sizeof(p.hook.nrs));
	p.hook.kind = PORTAL_EVENT_KPROBE;
	p.hook.when = BOTH;	/* when it returns, it has no arguments */
	p.hook.nr_filters = 1;
	p.filters[0].field = ARG(0);
	p.filters[0].cmp = EQ;
	CHECK(add(&p) == -EINVAL);
	p = syscall_hook(SYS_lseek, RETURN);
	p.hook.nr_filters = 1;
	p.filters[0].field = COMM;
	p.filters[0].cmp = STR_EQ;
	memset(p.filters[0].str, 'x', sizeof(p.filters[0].str));
	CHECK(add(&p) == -EINVAL);
	/* a payload that ends too early, and one that goes on */
	p = syscall_hook(SYS_lseek, RETURN);
	p.hook.nr_filters = 2;
	CHECK(command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START }, &p,
		      sizeof(p.hook) + sizeof(p.filters[0])) == -EINVAL);
	p.hook.nr_filters = 0;
	CHECK(command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START }, &p,
		      sizeof(p.hook) + 1) == -EINVAL);
	CHECK(command((struct portal_guest_request){ .op = PORTAL_CMD_HOOK_START }, &p,
		      sizeof(p.hook) - 1) == -EINVAL);
	p = (struct payload) { .hook = { .kind = PORTAL_EVENT_KPROBE, .when = ENTRY } };
	CHECK(add(&p) == -EINVAL);	/* of which function? */
	CHECK(add_at(&p.hook, "", 0) == -EINVAL);
	CHECK(add_at(&p.hook, "no_such_function", 0) == -ENOENT);
	CHECK(add_at(&p.hook, "do_sys_openat2", 1ULL << 32) == -EINVAL);
	p.hook.kind = PORTAL_EVENT_UPROBE;
	CHECK(add_at(&p.hook, "relative", 0) == -EINVAL);
	CHECK(add_at(&p.hook, "/no/such/program", 0) == -ENOENT);
	CHECK(add_at(&p.hook, "/bin", 0) == -EINVAL);
	CHECK(add_at(&p.hook, "/bin/e2e-hook", UINT64_MAX) == -EINVAL);
	CHECK(add_at(&p.hook, "/bin/e2e-hook", 1ULL << 40) == -EINVAL);
	CHECK(CMD(.op = PORTAL_CMD_HOOK_STOP, .addr = 12345) == -ENOENT);
	CHECK(CMD(.op = PORTAL_CMD_HOOK_STAT, .addr = 12345, .out_len = sizeof(struct portal_cmd_hook_stat)) == -ENOENT);
	all_gone();
}

static void probes_refused(void)
{
	struct payload p = { .hook = { .kind = PORTAL_EVENT_KPROBE, .when = ENTRY } };

	CHECK(add(&p) == -EPERM);
	p.hook.kind = PORTAL_EVENT_UPROBE;
	CHECK(add(&p) == -EPERM);
	all_gone();
}

/* ---- filters: all at once, on one run of the program --------------------------- */

static const struct {
	int nr, field, cmp;
	bool sgn;
	long long value, value2;
	const char *str;
	unsigned int passed;
} filters[] = {
	{ SYS_lseek, ARG(0), EQ, 0, 99, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), EQ, 0, 98, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), NE, 0, 98, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), NE, 0, 99, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), LT, 0, 100, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), LT, 0, 99, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), LE, 0, 99, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), LE, 0, 98, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), GT, 0, 98, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), GT, 0, 99, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), GE, 0, 99, 0, NULL, 1 },
	{ SYS_lseek, ARG(0), GE, 0, 100, 0, NULL, 0 },
	{ SYS_lseek, ARG(0), RANGE, 0, 99, 99, NULL, 1 },
	{ SYS_lseek, ARG(0), RANGE, 0, 100, 200, NULL, 0 },
	{ SYS_lseek, ARG(1), LT, 1, 0, 0, NULL, 1 },
	{ SYS_lseek, ARG(1), LT, 0, 0, 0, NULL, 0 },
	{ SYS_lseek, ARG(1), GT, 0, 0, 0, NULL, 1 },
	{ SYS_lseek, ARG(1), GE, 1, -1, 0, NULL, 0 },
	{ SYS_lseek, ARG(1), LE, 1, -2, 0, NULL, 1 },
	{ SYS_lseek, ARG(1), RANGE, 1, -5, 5, NULL, 1 },
	{ SYS_lseek, ARG(1), RANGE, 0, -5, 5, NULL, 0 },
	{ SYS_lseek, ARG(2), SET, 0, 0x5a, 0, NULL, 1 },
	{ SYS_lseek, ARG(2), SET, 0, 0x5b, 0, NULL, 0 },
	{ SYS_lseek, ARG(2), CLEAR, 0, 0xa5, 0, NULL, 1 },
	{ SYS_lseek, ARG(2), CLEAR, 0, 0x02, 0, NULL, 0 },
	{ SYS_lseek, RET, ERROR, 0, 0, 0, NULL, 1 },
	{ SYS_lseek, RET, SUCCESS, 0, 0, 0, NULL, 0 },
	{ SYS_lseek, RET, EQ, 0, -EBADF, 0, NULL, 1 },
	{ SYS_lseek, NR, EQ, 0, SYS_lseek, 0, NULL, 1 },
	{ SYS_lseek, PID, GT, 0, 1, 0, NULL, 1 },
	{ SYS_lseek, TGID, EQ, 0, 1, 0, NULL, 0 },
	{ SYS_lseek, COMM, STR_EQ, 0, 0, 0, "e2e-hook", 1 },
	{ SYS_lseek, COMM, STR_EQ, 0, 0, 0, "e2e-hoo", 0 },
	{ SYS_lseek, COMM, PREFIX, 0, 0, 0, "e2e", 1 },
	{ SYS_lseek, COMM, SUFFIX, 0, 0, 0, "hook", 1 },
	{ SYS_lseek, COMM, CONTAINS, 0, 0, 0, "2e-h", 1 },
	{ SYS_lseek, COMM, CONTAINS, 0, 0, 0, "hook2", 0 },
	/* opened: the file, and one that is not there */
	{ SYS_openat, STRING, STR_EQ, 0, 0, 0, "/nosuch/file", 1 },
	{ SYS_openat, STRING, STR_EQ, 0, 0, 0, "/nosuch/fil", 0 },
	{ SYS_openat, STRING, PREFIX, 0, 0, 0, "/nosuch", 1 },
	{ SYS_openat, STRING, PREFIX, 0, 0, 0, "nosuch", 0 },
	{ SYS_openat, STRING, SUFFIX, 0, 0, 0, "such/file", 1 },
	{ SYS_openat, STRING, SUFFIX, 0, 0, 0, "/nosuch/file/longer", 0 },
	{ SYS_openat, STRING, CONTAINS, 0, 0, 0, "such/", 1 },
	{ SYS_openat, STRING, CONTAINS, 0, 0, 0, "file/", 0 },
	{ SYS_openat, RET, SUCCESS, 0, 0, 0, NULL, 1 },
	{ SYS_openat, RET, ERROR, 0, 0, 0, NULL, 1 },
};

#define NR_FILTERS	(sizeof(filters) / sizeof(filters[0]))

static void each_filter(void)
{
	uint64_t ids[NR_FILTERS];

	nr_events = 0;
	for (size_t i = 0; i < NR_FILTERS; i++) {
		struct payload p = syscall_hook(filters[i].nr, RETURN);
		struct portal_cmd_hook_filter *f = &p.filters[0];

		p.hook.nr_filters = 1;
		p.hook.string_arg = filters[i].nr == SYS_openat ? 2 : 0;
		f->field = (__u16)filters[i].field;
		f->cmp = (__u16)filters[i].cmp;
		f->flags = filters[i].sgn;
		f->value = (__u64)filters[i].value;
		f->value2 = (__u64)filters[i].value2;
		if (filters[i].str)
			strcpy((char *)f->str, filters[i].str);
		ids[i] = must_add(&p);
	}
	run_program();
	for (size_t i = 0; i < NR_FILTERS; i++) {
		struct portal_cmd_hook_stat st = stat_of(ids[i]);

		checks++;
		if (st.passed != filters[i].passed || st.hits < 1 || st.sent != st.passed ||
		    st.dropped || st.skipped)
			die("filter %zu: %llu hits, %llu passed, %llu sent", i,
			    (unsigned long long)st.hits, (unsigned long long)st.passed,
			    (unsigned long long)st.sent);
	}
	all_gone();
	for (size_t i = 0; i < NR_FILTERS; i++)
		CHECK(count(ids[i]) == filters[i].passed);
}

/* ---- what events say ---------------------------------------------------------- */

static void add_kinds(uint64_t *ids)
{
	struct payload p;

	p = syscall_hook(SYS_openat, BOTH);
	p.hook.string_arg = 2;
	ids[0] = must_add(&p);
	p = syscall_hook(SYS_read, RETURN);
	ids[1] = must_add(&p);
	p = syscall_hook(SYS_openat, RETURN);
	p.hook.flags |= FOLLOW;
	p.hook.string_arg = 2;
	ids[2] = must_add(&p);
	p = (struct payload) { .hook = { .kind = PORTAL_EVENT_EXIT, .when = ENTRY,
					 .flags = CHILD | FOLLOW } };
	ids[3] = must_add(&p);
	p.hook.kind = PORTAL_EVENT_EXEC;
	ids[4] = must_add(&p);
	p.hook.kind = PORTAL_EVENT_SIGNAL;
	p.hook.flags = CHILD;
	ids[5] = must_add(&p);
	p.hook.kind = PORTAL_EVENT_KPROBE;
	p.hook.when = BOTH;
	p.hook.string_arg = 2;
	CHECK(!add_at(&p.hook, "do_sys_openat2", 0));
	ids[6] = rep.value;
	p.hook.kind = PORTAL_EVENT_UPROBE;
	p.hook.string_arg = 3;
	CHECK(!add_at(&p.hook, "/bin/e2e-hook", offset));
	ids[9] = rep.value;
	p = syscall_hook(SYS_getppid, RETURN);
	p.hook.every = 3;
	ids[7] = must_add(&p);
	p.hook.every = 0;
	p.hook.rate = 4;
	ids[8] = must_add(&p);
}

static void each_kind(void)
{
	struct portal_cmd_hook_stat st;
	const struct event *e, *last;
	uint64_t ids[10];

	nr_events = 0;
	add_kinds(ids);
	run_program();
	st = stat_of(ids[7]);
	CHECK(st.hits == 10 && st.passed == 10 && st.sent == 3 && st.skipped == 7);
	st = stat_of(ids[8]);
	/* the second may end meanwhile */
	CHECK(st.passed == 10 && st.sent >= 4 && st.sent <= 8 && st.sent + st.skipped == 10);
	all_gone();

	/* the second openat of the program is that of /nosuch/file */
	CHECK(count(ids[0]) == 4);
	e = find(ids[0], 0);
	CHECK(!(e->ev.flags & PORTAL_EVENT_F_RETURN) && e->ev.nr == SYS_openat);
	e = find(ids[0], 1);
	CHECK(e->ev.flags == PORTAL_EVENT_F_RETURN && e->ev.ret == 3 && !strcmp(e->str, file));
	CHECK((int)e->ev.args[0] == -100 && e->ev.args[1] && !e->ev.args[2]);
	CHECK(e->ev.pid == e->ev.tgid && e->ev.pid > 1 && !strcmp((char *)e->ev.comm, "e2e-hook"));
	last = find(ids[0], 3);
	CHECK(last->ev.ret == -ENOENT && !strcmp(last->str, "/nosuch/file"));
	CHECK(last->ev.time_ns > e->ev.time_ns && last->ev.seq == 3 && e->ev.seq == 1);
	CHECK(count(ids[1]) >= 2);
	last = find(ids[1], count(ids[1]) - 1);
	CHECK(last->ev.ret == 0 && last->ev.args[0] == 3 && last->ev.args[2] == 100);
	CHECK(find(ids[1], count(ids[1]) - 2)->ev.ret == 5);
	/* its child, too */
	CHECK(count(ids[2]) == 3);
	CHECK(find(ids[2], 2)->ev.tgid != e->ev.tgid && !strcmp(find(ids[2], 2)->str, file));
	CHECK(count(ids[3]) == 2);
	CHECK(find(ids[3], 0)->ev.ret == 0 && find(ids[3], 1)->ev.ret == 3 << 8);
	CHECK(find(ids[3], 1)->ev.pid == e->ev.pid);
	CHECK(count(ids[4]) == 1 && !strcmp(find(ids[4], 0)->str, "/bin/e2e-hook"));
	/* SIGUSR1 by tgkill(); SIGCHLD is ignored */
	CHECK(count(ids[5]) >= 1 && find(ids[5], 0)->ev.nr == 10 && find(ids[5], 0)->ev.ret == -6);
	CHECK(count(ids[6]) == 4);
	CHECK(find(ids[6], 1)->ev.flags == PORTAL_EVENT_F_RETURN && find(ids[6], 1)->ev.ret == 3);
	CHECK(find(ids[6], 3)->ev.ret == -ENOENT);
	CHECK(count(ids[9]) == 2 && !strcmp(find(ids[9], 0)->str, "probed string"));
	CHECK(find(ids[9], 0)->ev.args[0] == 7 && find(ids[9], 0)->ev.args[1] == 35);
	CHECK(find(ids[9], 1)->ev.flags == PORTAL_EVENT_F_RETURN && find(ids[9], 1)->ev.ret == 42);
	CHECK(count(ids[7]) == 3 && find(ids[7], 0)->ev.ret > 0);
}

/* ---- whose hooks -------------------------------------------------------------- */

static void others_hooks(void)
{
	struct payload p = syscall_hook(SYS_lseek, RETURN);
	int first = sock, second = guest_connect(sock_path, vm);
	uint64_t id = must_add(&p);

	/* another connection neither sees nor ends it, and its programs are not meant */
	sock = second;
	CHECK(CMD(.op = PORTAL_CMD_HOOK_STAT, .addr = id, .out_len = sizeof(struct portal_cmd_hook_stat)) == -ENOENT);
	CHECK(CMD(.op = PORTAL_CMD_HOOK_STOP, .addr = id) == -ENOENT);
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STOP) && !rep.count);
	run_program();
	must_add(&p);
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STAT, .out_len = sizeof(struct portal_cmd_hook_stat)) && rep.value == 2);
	close(second);
	sock = first;
	CHECK(stat_of(id).passed == 0);
	/* who hangs up loses its hooks */
	for (int i = 0; i < 1000; i++) {
		CHECK(!CMD(.op = PORTAL_CMD_HOOK_STAT, .out_len = sizeof(struct portal_cmd_hook_stat)));
		if (rep.value == 1)
			break;
		usleep(10000);
	}
	CHECK(rep.value == 1);
	for (int i = 1; i < 64; i++)
		must_add(&p);
	CHECK(add(&p) == -EMFILE);
	CHECK(!CMD(.op = PORTAL_CMD_HOOK_STOP, .addr = id) && rep.count == 1);
	CHECK(CMD(.op = PORTAL_CMD_HOOK_STOP, .addr = id) == -ENOENT);
	CHECK(must_add(&p) != id);
	all_gone();
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	sock_path = argv[1];
	vm = argv[2];
	file = argv[3];
	if (file && argc < 5)
		return 2;
	offset = file ? strtoull(argv[4], NULL, 0) : 0;
	sock = guest_connect(sock_path, vm);
	if (sock < 0)
		return 1;
	if (file) {
		errors();
		each_filter();
		each_kind();
		others_hooks();
	} else {
		probes_refused();
	}
	printf("%u checks passed\n", checks);
	return 0;
}
