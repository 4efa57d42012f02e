// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdchan_test.c - the life of commands
 */
/* LINK: cmdabi.o cmdchan.o cmdevent.o cmdring.o log.o -lpthread */
#include "cmdchan_world.h"

/* ---- commands ----------------------------------------------------------------- */

static void one_command(void **state)
{
	struct iovec in[2] = { { "abc", 3 }, { "defg", 5 } };
	struct portal_command cmd = { .op = PORTAL_CMD_MEM_READ, .pid = 0, .addr = 0x1234,
				      .size = 9, .in = in, .in_cnt = 2, .out_len = 3 * CHUNK,
				      .cookie = 99, .done = count_done };
	struct portal_cmd req;
	uint32_t off;
	int over = 0;

	(void)state;
	cmd.plugin_data[0] = &over;
	open_chan();
	w.signals = 0;
	assert_int_equal(cmd_start(&w.chan, &cmd), 0);
	assert_int_equal(w.signals, 1);
	assert_false(take(&req));
	assert_int_equal(sync_once(), 1);
	assert_true(take(&req));
	assert_int_equal(req.version, PORTAL_CMD_VERSION);
	assert_int_equal(req.op, PORTAL_CMD_MEM_READ);
	assert_int_equal(req.txn >> 32, EPOCH);
	assert_int_equal(req.cookie, 99);
	assert_int_equal(req.pid, 0);
	assert_int_equal(req.addr, 0x1234);
	assert_int_equal(req.size, 9);
	assert_int_equal(req.in_len, 8);
	assert_int_equal(req.out_len, 3 * CHUNK);
	assert_memory_equal(data(req.in_off), "abcdefg", 8);
	for (off = 0; off < req.out_len; off++)
		*data(req.out_off + off) = (unsigned char)(off / 251);
	answer(&req, 0, req.out_len);
	assert_int_equal(over, 0);
	sync_once();
	assert_int_equal(over, 1);
	assert_int_equal(cmd.status, 0);
	assert_int_equal(cmd.value, 0x1235);
	assert_int_equal(cmd.out_size, 3 * CHUNK);
	/* in the guest's own memory, in pieces */
	assert_true(cmd.out_cnt >= 3);
	off = 0;
	for (uint32_t i = 0; i < cmd.out_cnt; i++) {
		const unsigned char *p = cmd.out[i].iov_base;

		assert_true(p >= w.ram && p < w.ram + RAM);
		for (size_t j = 0; j < cmd.out[i].iov_len; j++, off++)
			assert_int_equal(p[j], (unsigned char)(off / 251));
	}
	assert_int_equal(off, 3 * CHUNK);
	cmd_end(&w.chan, &cmd);
	assert_int_equal(info().credits, ENTRIES - ENTRIES / 8);
}

/* A guest that was reset finds its memory as it left it. */
static void writes_only_in_sync(void **state)
{
	unsigned char *before = malloc(RAM);
	struct iovec in = { "payload", 8 };
	struct portal_command cmds[ENTRIES];
	struct portal_cmd req;
	int over = 0;

	(void)state;
	open_chan();
	for (unsigned int i = 0; i < ENTRIES; i++) {
		cmds[i] = ping(&over, i);
		cmds[i].in = &in;
		cmds[i].in_cnt = 1;
	}
	cmd_start(&w.chan, &cmds[0]);
	sync_once();
	assert_true(take(&req));
	memcpy(before, w.ram, RAM);
	for (unsigned int i = 1; i < ENTRIES; i++)
		assert_int_equal(cmd_start(&w.chan, &cmds[i]), 0);
	cmd_cancel(&w.chan, cmds[0].txn);
	cmd_cancel(&w.chan, cmds[1].txn);
	cmd_expire(&w.chan, UINT64_MAX);
	assert_int_equal(over, ENTRIES);
	cmd_close(&w.chan, -ECONNRESET);
	assert_memory_equal(before, w.ram, RAM);
	free(before);
}

static void credits(void **state)
{
	enum { NR = 1000 };
	static struct portal_command cmds[NR];
	struct portal_cmd req;
	unsigned int most = 0, open = 0;
	int over = 0;

	(void)state;
	open_chan();
	for (unsigned int i = 0; i < NR; i++) {
		cmds[i] = ping(&over, i);
		assert_int_equal(cmd_start(&w.chan, &cmds[i]), 0);
	}
	while (over < NR) {
		assert_true(sync_once() > 0 || over == NR);
		for (open = 0; take(&req); open++)
			answer(&req, 0, 0);
		most = open > most ? open : most;
	}
	assert_in_range(most, 2, ENTRIES);
	for (unsigned int i = 0; i < NR; i++) {
		assert_int_equal(cmds[i].status, 0);
		assert_int_equal(cmds[i].value, i + 1);
		cmd_end(&w.chan, &cmds[i]);
	}
	assert_int_equal(info().sent, NR);
	assert_int_equal(info().stale, 0);
}

/* The data region is given out again and again, in order. */
static void memory(void **state)
{
	struct portal_command cmds[8], big;
	struct portal_cmd req;
	int over = 0;

	(void)state;
	open_chan();
	big = ping(&over, 0);
	big.out_len = DATA + 1;
	assert_int_equal(cmd_start(&w.chan, &big), -EMSGSIZE);
	for (unsigned int i = 0; i < 8; i++) {
		cmds[i] = ping(&over, i);
		cmds[i].out_len = i == 4 ? DATA : DATA / 4;
		assert_int_equal(cmd_start(&w.chan, &cmds[i]), 0);
	}
	assert_int_equal(sync_once(), 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(take(&req));
		assert_int_equal(req.addr, i);
		answer(&req, 0, 1);
	}
	/* answers are there, but their memory is looked at */
	assert_int_equal(sync_once(), 0);
	assert_int_equal(over, 4);
	for (unsigned int i = 0; i < 3; i++)
		cmd_end(&w.chan, &cmds[i]);
	assert_int_equal(sync_once(), 0);
	w.signals = 0;
	cmd_end(&w.chan, &cmds[3]);
	assert_int_equal(w.signals, 1);
	/* the one that needs all of it, and none of those behind it */
	assert_int_equal(sync_once(), 1);
	assert_true(take(&req));
	assert_int_equal(req.addr, 4);
	answer(&req, -ENOENT, 0);
	assert_int_equal(sync_once(), 3);
	assert_int_equal(cmds[4].status, -ENOENT);
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(over, 8);
}

/* ---- ends --------------------------------------------------------------------- */

/* The guest's interrupt got lost: it is raised again, until the guest comes. */
static void lost_interrupt(void **state)
{
	int over = 0;
	struct portal_command cmd = ping(&over, 1);
	uint64_t due;

	(void)state;
	open_chan();
	w.signals = 0;
	cmd_start(&w.chan, &cmd);
	assert_int_equal(w.signals, 1);
	due = w.timer;
	assert_true(due < cmd.deadline);
	cmd_expire(&w.chan, due - 1);
	assert_int_equal(w.signals, 1);
	assert_int_equal(w.timer, due);
	cmd_expire(&w.chan, due);
	assert_int_equal(w.signals, 2);
	assert_int_equal(info().repeated, 1);
	assert_true(w.timer);
	assert_int_equal(sync_once(), 1);
	/* it came: nothing is left to be raised */
	cmd_expire(&w.chan, cmd.deadline - 1);
	assert_int_equal(w.signals, 2);
	assert_int_equal(w.timer, cmd.deadline);
	assert_int_equal(over, 0);
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(over, 1);
}

static void time_out(void **state)
{
	struct portal_cmd req, cancel;
	int over = 0;
	struct portal_command cmd = ping(&over, 1), next = ping(&over, 2);

	(void)state;
	open_chan();
	cmd.timeout_ms = 5;
	cmd.out_len = DATA;
	cmd_start(&w.chan, &cmd);
	assert_int_equal(w.timer, cmd.deadline);
	sync_once();
	assert_true(take(&req));
	cmd_expire(&w.chan, cmd.deadline - 1);
	assert_int_equal(over, 0);
	cmd_expire(&w.chan, cmd.deadline ? cmd.deadline : 1);
	assert_int_equal(over, 1);
	assert_int_equal(cmd.status, -ETIME);
	cmd_end(&w.chan, &cmd);
	/* the guest is told; the memory is its until it answers */
	next.out_len = 1;
	cmd_start(&w.chan, &next);
	assert_int_equal(sync_once(), 1);
	assert_true(take(&cancel));
	assert_int_equal(cancel.op, PORTAL_CMD_CANCEL);
	assert_int_equal(cancel.addr, req.txn);
	assert_false(take(&cancel));
	answer(&req, -ECANCELED, 0);
	sync_once();
	assert_int_equal(info().stale, 1);
	sync_once();
	assert_true(take(&req));
	assert_int_equal(req.addr, 2);
	assert_int_equal(over, 1);
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(over, 2);
}

static void cancel(void **state)
{
	int over = 0;
	struct portal_command sent = ping(&over, 1), waits = ping(&over, 2);
	struct portal_cmd req, told;

	(void)state;
	open_chan();
	cmd_start(&w.chan, &sent);
	sync_once();
	assert_true(take(&req));
	cmd_start(&w.chan, &waits);
	assert_int_equal(cmd_cancel(&w.chan, waits.txn), 0);
	assert_int_equal(waits.status, -ECANCELED);
	assert_int_equal(over, 1);
	assert_int_equal(cmd_cancel(&w.chan, waits.txn), -ENOENT);
	assert_int_equal(cmd_cancel(&w.chan, sent.txn), 0);
	sync_once();
	assert_true(take(&told));
	assert_int_equal(told.op, PORTAL_CMD_CANCEL);
	assert_int_equal(told.addr, req.txn);
	answer(&told, 0, 0);
	answer(&req, -ECANCELED, 0);
	sync_once();
	assert_int_equal(over, 2);
	assert_int_equal(sent.status, -ECANCELED);
	assert_int_equal(cmd_cancel(&w.chan, sent.txn), -ENOENT);
}

static void close_ends_all(void **state)
{
	int over = 0;
	struct portal_command sent = ping(&over, 1), waits = ping(&over, 2), again = ping(&over, 3);
	struct portal_cmd req;
	uint64_t value = 0;

	(void)state;
	open_chan();
	cmd_start(&w.chan, &sent);
	sync_once();
	assert_true(take(&req));
	cmd_start(&w.chan, &waits);
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(over, 2);
	assert_int_equal(sent.status, -ECONNRESET);
	assert_int_equal(waits.status, -ECONNRESET);
	assert_int_equal(cmd_start(&w.chan, &again), -ENOTCONN);

	/* What the last guest answers is nothing to the next one's commands. */
	write_head();
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH + 1), 0);
	assert_int_equal(cmd_sync(&w.chan, EPOCH, 0, &value), 0);
	assert_int_equal(value, PORTAL_SYNC_RESET | (EPOCH + 1));
	assert_int_equal(sync_once(), 0);
	assert_int_equal(cmd_start(&w.chan, &again), 0);
	sync_once();
	answer(&req, 0, 0);
	sync_once();
	assert_int_equal(over, 2);
	assert_int_equal(info().stale, 1);
	assert_true(take(&req));
	answer(&req, 0, 0);
	sync_once();
	assert_int_equal(over, 3);
	assert_int_equal(again.status, 0);
}

/* ---- threads ------------------------------------------------------------------ */

static void *waiter(void *arg)
{
	struct portal_command *cmd = arg;

	cmd_wait(&w.chan, cmd);
	return NULL;
}

static void waiters(void **state)
{
	enum { NR = 8 };
	struct portal_command cmds[NR];
	pthread_t threads[NR];
	struct portal_cmd req;
	int answered = 0;

	(void)state;
	open_chan();
	for (int i = 0; i < NR; i++) {
		cmds[i] = (struct portal_command) { .op = PORTAL_CMD_PING, .addr = i };
		assert_int_equal(pthread_create(&threads[i], NULL, waiter, &cmds[i]), 0);
	}
	while (answered < NR) {
		sync_once();
		for (; take(&req); answered++)
			answer(&req, -(int)req.addr, 0);
	}
	sync_once();
	for (int i = 0; i < NR; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(cmds[i].status, -i);
		assert_int_equal(cmds[i].value, i + 1);
		cmd_end(&w.chan, &cmds[i]);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_command), TEST(writes_only_in_sync), TEST(credits), TEST(memory),
		TEST(lost_interrupt), TEST(time_out), TEST(cancel), TEST(close_ends_all),
		TEST(waiters),
	};

	log_open(0, "cmdchan_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
