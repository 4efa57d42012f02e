// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_test.c - plugin agent and portald/guest.h, with a daemon and a guest that
 * are played here
 */
/* LINK: -lpthread */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdbool.h>

#include "../plugins/agent/agent.c"

#include <portald/guest.h>

/* ---- the daemon: one thread answers ------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct portal_command *cmds[64];
	unsigned int nr, started, ended, cancelled, stopped;
	uint64_t cookie;	/* of the last HOOK_STOP */
	bool hold;	/* answer nothing but what is cancelled */
	bool stop;
	int refuse;
} d = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static uint64_t next_txn;
static pthread_t guest_thread;

/* Bytes of the answer are the payload's, or counted; op says how it ends. */
static void answer(struct portal_command *cmd)
{
	static char bytes[PORTAL_GUEST_MAX * 2];
	static struct iovec iov[2];

	cmd->status = cmd->op == PORTAL_CMD_EXEC ? 0 : -(int)cmd->addr;
	cmd->value = cmd->pid;
	if (cmd->out_len) {
		for (unsigned int i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(i % 127);
		cmd->out_size = cmd->size < cmd->out_len ? cmd->size : cmd->out_len;
		/* in two pieces, as it may be in the guest */
		iov[0] = (struct iovec){ bytes, cmd->out_size / 3 };
		iov[1] = (struct iovec){ bytes + iov[0].iov_len, cmd->out_size - iov[0].iov_len };
		cmd->out = iov;
		cmd->out_cnt = cmd->out_size ? 2 : 0;
	} else {
		for (uint32_t i = 0; i < cmd->in_cnt; i++)
			cmd->out_size += cmd->in[i].iov_len;
	}
}

static void *play_guest(void *arg)
{
	pthread_mutex_lock(&d.lock);
	while (!d.stop) {
		struct portal_command *cmd = NULL;

		for (unsigned int i = 0; i < d.nr && !cmd; i++) {
			if (d.hold && d.cmds[i]->status != -ECANCELED)
				continue;
			cmd = d.cmds[i];
			d.cmds[i] = d.cmds[--d.nr];
		}
		if (!cmd) {
			pthread_cond_wait(&d.more, &d.lock);
			continue;
		}
		if (cmd->status != -ECANCELED)
			answer(cmd);
		pthread_mutex_unlock(&d.lock);
		cmd->done(cmd);
		pthread_mutex_lock(&d.lock);
	}
	pthread_mutex_unlock(&d.lock);
	return NULL;
}

static int fake_command(struct portal_instance *pi, struct portal_command *cmd)
{
	int ret;

	pthread_mutex_lock(&d.lock);
	ret = d.refuse;
	if (!ret) {
		cmd->txn = ++next_txn;
		d.cmds[d.nr++] = cmd;
		d.started++;
		if (cmd->op == PORTAL_CMD_HOOK_STOP) {
			d.stopped++;
			d.cookie = cmd->cookie;
		}
		pthread_cond_broadcast(&d.more);
	}
	pthread_mutex_unlock(&d.lock);
	return ret;
}

static int fake_wait(struct portal_instance *pi, struct portal_command *cmd)
{
	d.started++;
	answer(cmd);
	return cmd->status;
}

static void fake_end(struct portal_instance *pi, struct portal_command *cmd)
{
	pthread_mutex_lock(&d.lock);
	d.ended++;
	pthread_cond_broadcast(&d.more);
	pthread_mutex_unlock(&d.lock);
}

static int fake_cancel(struct portal_instance *pi, uint64_t txn)
{
	pthread_mutex_lock(&d.lock);
	for (unsigned int i = 0; i < d.nr; i++)
		if (d.cmds[i]->txn == txn)
			d.cmds[i]->status = -ECANCELED;
	d.cancelled++;
	pthread_cond_broadcast(&d.more);
	pthread_mutex_unlock(&d.lock);
	return 0;
}

static const struct portald_api fake = {
	.struct_size = sizeof(fake), .command = fake_command, .command_wait = fake_wait,
	.command_end = fake_end, .command_cancel = fake_cancel,
};

static void wait_ended(unsigned int nr)
{
	pthread_mutex_lock(&d.lock);
	while (d.ended < nr)
		pthread_cond_wait(&d.more, &d.lock);
	pthread_mutex_unlock(&d.lock);
}

static int setup(void **state)
{
	d.nr = d.started = d.ended = d.cancelled = d.stopped = 0;
	d.cookie = 0;
	d.hold = d.stop = false;
	d.refuse = 0;
	agent_load(&fake);
	agent_open((void *)0x1000);
	return pthread_create(&guest_thread, NULL, play_guest, NULL);
}

static int teardown(void **state)
{
	agent_close(NULL);
	pthread_mutex_lock(&d.lock);
	d.stop = true;
	pthread_cond_broadcast(&d.more);
	pthread_mutex_unlock(&d.lock);
	return pthread_join(guest_thread, NULL);
}

/* ---- a program of the host ---------------------------------------------------- */

static int dial(void)
{
	int socks[2], ret;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks), 0);
	ret = agent_connect(NULL, socks[1]);
	if (ret) {
		close(socks[0]);
		close(socks[1]);
		return ret;
	}
	return socks[0];
}

static void ask(int fd, const struct portal_guest_request *req, size_t payload)
{
	static char buf[sizeof(*req) + PORTAL_GUEST_MAX + 1];

	memcpy(buf, req, sizeof(*req));
	assert_int_equal(send(fd, buf, sizeof(*req) + payload, 0), sizeof(*req) + payload);
}

static char got[PORTAL_GUEST_MAX];

static ssize_t hear(int fd, struct portal_guest_reply *rep)
{
	struct iovec iov[2] = { { rep, sizeof(*rep) }, { got, sizeof(got) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = recvmsg(fd, &msg, 0);

	return n < (ssize_t)sizeof(*rep) ? -1 : n - (ssize_t)sizeof(*rep);
}

static void asks_and_answers(void **state)
{
	struct portal_guest_request req = { .op = 1, .pid = 77, .size = 100000,
					    .out_len = PORTAL_GUEST_MAX };
	struct portal_guest_reply rep;
	int fd = dial();

	ask(fd, &req, 0);
	assert_int_equal(hear(fd, &rep), 100000);
	assert_int_equal(rep.status, 0);
	assert_int_equal(rep.value, 77);
	assert_int_equal(rep.out_size, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(got[i], i % 127);
	/* the largest payload; what it says it took is no answer */
	req = (struct portal_guest_request) { .op = 2, .addr = 5 };
	ask(fd, &req, PORTAL_GUEST_MAX);
	assert_int_equal(hear(fd, &rep), 0);
	assert_int_equal(rep.status, -5);
	assert_int_equal(rep.out_size, PORTAL_GUEST_MAX);
	assert_int_equal(d.ended, 2);
	close(fd);
}

static void refusals_are_answers(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	struct portal_guest_reply rep;
	int fd = dial();

	d.refuse = -ENOTCONN;
	ask(fd, &req, 0);
	assert_int_equal(hear(fd, &rep), 0);
	assert_int_equal(rep.status, -ENOTCONN);
	d.refuse = 0;
	ask(fd, &req, 0);
	assert_int_equal(hear(fd, &rep), 0);
	assert_int_equal(rep.status, 0);
	close(fd);
}

static void nonsense_ends_the_connection(void **state)
{
	struct portal_guest_request req = { .op = 1, .out_len = PORTAL_GUEST_MAX + 1 };
	struct portal_guest_reply rep;
	int fd = dial();

	ask(fd, &req, 0);
	assert_int_equal(hear(fd, &rep), -1);
	close(fd);
	fd = dial();
	assert_int_equal(send(fd, "short", 5, 0), 5);
	assert_int_equal(hear(fd, &rep), -1);
	close(fd);
	fd = dial();
	req.out_len = 0;
	ask(fd, &req, PORTAL_GUEST_MAX + 1);
	assert_int_equal(hear(fd, &rep), -1);
	close(fd);
	assert_int_equal(d.started, 0);
}

static void who_hangs_up_cancels(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	int fd = dial();

	d.hold = true;
	ask(fd, &req, 0);
	close(fd);
	wait_ended(1);
	assert_int_equal(d.cancelled, 1);
}

static void so_does_the_end(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	struct portal_guest_reply rep;
	int fd = dial();

	d.hold = true;
	ask(fd, &req, 0);
	agent_close(NULL);
	assert_int_equal(d.ended, d.started);
	assert_int_equal(hear(fd, &rep), -1);
	close(fd);
}

static void as_many_as_there_is_room_for(void **state)
{
	struct portal_guest_request req = { .op = 1, .size = 10, .out_len = 10 };
	struct portal_guest_reply rep;
	int fds[MAX_CONNS];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MAX_CONNS; i++) {
			/* a thread may still be about to end */
			while ((fds[i] = dial()) == -EUSERS)
				sched_yield();
			assert_true(fds[i] >= 0);
		}
		assert_int_equal(dial(), -EUSERS);
		for (int i = 0; i < MAX_CONNS; i++)
			ask(fds[i], &req, 0);
		for (int i = 0; i < MAX_CONNS; i++) {
			assert_int_equal(hear(fds[i], &rep), 10);
			close(fds[i]);
		}
	}
	wait_ended(3 * MAX_CONNS);
}

/* ---- hooks -------------------------------------------------------------------- */

static uint64_t hook(int fd)
{
	struct portal_guest_request req = { .op = PORTAL_CMD_HOOK_START };
	struct portal_guest_reply rep;

	ask(fd, &req, 0);
	assert_int_equal(hear(fd, &rep), 0);
	return last_cookie;
}

static void tell(uint64_t cookie, uint32_t nr)
{
	struct portal_event ev = { .len = sizeof(ev), .cookie = cookie, .nr = nr };

	agent_event(NULL, &ev);
}

static void wait_stopped(unsigned int nr)
{
	pthread_mutex_lock(&d.lock);
	while (d.stopped < nr)
		pthread_cond_wait(&d.more, &d.lock);
	pthread_mutex_unlock(&d.lock);
}

static void events_reach_their_connection(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	const struct portal_event *ev = (void *)got;
	struct portal_guest_reply rep;
	int first = dial(), second;
	uint64_t one = hook(first), two;

	second = dial();
	two = hook(second);
	assert_int_not_equal(one, two);
	tell(two, 22);
	tell(one, 11);
	assert_int_equal(hear(first, &rep), sizeof(*ev));
	assert_int_equal(rep.flags, PORTAL_GUEST_F_EVENT);
	assert_int_equal(rep.out_size, sizeof(*ev));
	assert_int_equal(ev->nr, 11);
	assert_int_equal(hear(second, &rep), sizeof(*ev));
	assert_int_equal(ev->nr, 22);
	/* commands go on between them */
	ask(first, &req, 0);
	assert_int_equal(hear(first, &rep), 0);
	assert_int_equal(rep.flags, 0);
	close(first);
	close(second);
}

/* What came before an answer is sent before it. */
static void events_come_before_the_answer(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	const struct portal_event *ev = (void *)got;
	struct portal_guest_reply rep;
	unsigned int heard = 0;
	int fd = dial();
	uint64_t cookie = hook(fd);

	d.hold = true;
	ask(fd, &req, 0);
	for (uint32_t i = 0; i < 100; i++)
		tell(cookie, i);
	pthread_mutex_lock(&d.lock);
	d.hold = false;
	pthread_cond_broadcast(&d.more);
	pthread_mutex_unlock(&d.lock);
	for (;;) {
		ssize_t n = hear(fd, &rep);

		if (!(rep.flags & PORTAL_GUEST_F_EVENT))
			break;
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(*ev); i++)
			assert_int_equal(ev[i].nr, heard++);
	}
	assert_int_equal(heard, 100);
	close(fd);
}

/* Nobody waits for a listener that does not listen: it is told what it missed. */
static void a_slow_listener_loses_events(void **state)
{
	const struct portal_event *ev = (void *)got;
	uint32_t most = 2 * (MAX_EVENTS + PORTAL_GUEST_MAX) / sizeof(*ev) + 5000, heard = 0;
	struct portal_guest_reply rep = { 0 };
	int fd = dial();
	uint64_t cookie = hook(fd);
	ssize_t n;

	for (uint32_t i = 0; i < most; i++)
		tell(cookie, i);
	do {
		n = hear(fd, &rep);
		assert_true(n > 0);
		heard += n / sizeof(*ev);
		assert_true(ev->nr < most);
	} while (heard + rep.count < most);
	assert_int_equal(heard + rep.count, most);
	assert_true(rep.count > 0);
	close(fd);
}

static void who_hangs_up_loses_its_hooks(void **state)
{
	struct portal_guest_request req = { .op = 1 };
	struct portal_guest_reply rep;
	int fd = dial(), other = dial();
	uint64_t cookie = hook(fd);

	/* one without hooks leaves nothing */
	ask(other, &req, 0);
	assert_int_equal(hear(other, &rep), 0);
	close(other);
	close(fd);
	wait_stopped(1);
	assert_int_equal(d.stopped, 1);
	assert_int_equal(d.cookie, cookie - 1);	/* @other was dialed after it */
}

static void listeners_end_with_the_agent(void **state)
{
	const struct portal_event *ev = (void *)got;
	struct portal_guest_request req = { .op = 1 };
	struct portal_guest_reply rep;
	int fd = dial(), other = dial();

	tell(hook(fd) - 1, 33);
	agent_event(NULL, NULL);
	assert_int_equal(hear(fd, &rep), sizeof(*ev));
	assert_int_equal(ev->nr, 33);
	assert_int_equal(hear(fd, &rep), -1);
	/* who has no hooks goes on */
	ask(other, &req, 0);
	assert_int_equal(hear(other, &rep), 0);
	close(fd);
	close(other);
}

/* An agent that adds one when nobody waits for it any more. */
static void a_hook_of_nobody_is_stopped(void **state)
{
	tell(0x123456789abcULL, 1);
	wait_stopped(1);
	wait_ended(1);
	assert_int_equal(d.cookie, 0x123456789abcULL);
	while (__atomic_load_n(&sweeping, __ATOMIC_ACQUIRE))
		sched_yield();
	tell(0x123456789abdULL, 1);
	wait_stopped(2);
	wait_ended(2);
	assert_int_equal(d.cookie, 0x123456789abdULL);
	while (__atomic_load_n(&sweeping, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* ---- portald/guest.h ---------------------------------------------------------- */

static void helpers(void **state)
{
	struct portal_guest g = { .api = &fake };
	struct portal_cmd_task tasks[10];
	char buf[1000];

	assert_int_equal(portal_guest_read_mem(&g, 42, 0, buf, 900), 900);
	for (int i = 0; i < 900; i++)
		assert_int_equal(buf[i], i % 127);
	assert_int_equal(g.value, 42);
	assert_int_equal(portal_guest_read_mem(&g, 42, EFAULT, buf, 900), -EFAULT);
	assert_int_equal(portal_guest_write_mem(&g, 42, 0, buf, 17), 17);
	assert_int_equal(portal_guest_read_str(&g, 1, 0, buf, 5), 5);
	assert_int_equal(portal_guest_ps(&g, 0, tasks, 10), 0);
	assert_int_equal(portal_guest_ps(&g, EPERM, tasks, 10), -EPERM);
	assert_int_equal(portal_guest_read_file(&g, "/x", 0, buf, 100), 100);
	assert_int_equal(portal_guest_write_file(&g, "/x", 0, buf, 100, 3, 0600),
			 16 + 3 + 100);
	assert_int_equal(d.started, d.ended);
}

/* What the guest says of its output is checked. */
static void exec_is_checked(void **state)
{
	const char *const argv[] = { "/bin/true", NULL };
	struct portal_guest g = { .api = &fake };
	struct portal_cmd_exec_result res;
	const char *many[80];
	char buf[100];

	assert_int_equal(portal_guest_exec(&g, argv, &res, buf, sizeof(buf)), -EPROTO);
	for (int i = 0; i < 79; i++)
		many[i] = "x";
	many[79] = NULL;
	assert_int_equal(portal_guest_exec(&g, many, &res, buf, sizeof(buf)), -E2BIG);
	assert_int_equal(d.started, d.ended);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asks_and_answers), TEST(refusals_are_answers),
		TEST(nonsense_ends_the_connection), TEST(who_hangs_up_cancels),
		TEST(so_does_the_end), TEST(as_many_as_there_is_room_for),
		TEST(events_reach_their_connection), TEST(events_come_before_the_answer),
		TEST(a_slow_listener_loses_events), TEST(who_hangs_up_loses_its_hooks),
		TEST(listeners_end_with_the_agent), TEST(a_hook_of_nobody_is_stopped),
		TEST(helpers), TEST(exec_is_checked),
	};

	(void)plugin;
	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
