// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdchan_test.c - commands to a guest that is played here, honestly or not
 */
/* LINK: cmdabi.o cmdchan.o cmdevent.o cmdring.o log.o -lpthread */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <cmocka.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"
#include "log.h"

#define RAM		(4U << 20)
#define CHUNK		65536U
#define NR_CHUNKS	16U	/* 1 MiB */
#define DATA		(CHUNK * NR_CHUNKS)
#define HEAD		0x1000U
#define ENTRIES		16U
#define EPOCH		7U
#define OPEN_GPA	HEAD

/* The guest's memory; its data region is every other 64 KiB from 1 MiB on, backwards. */
static struct world {
	unsigned char *ram;
	struct portal_channel *head;
	uint32_t sq_head;
	uint32_t cq_tail;
	unsigned int signals;
	uint64_t timer;
	struct cmd_chan chan;
} w;

static void *at(void *arg, uint64_t gpa, size_t len)
{
	(void)arg;
	return gpa < RAM && len <= RAM - gpa ? w.ram + gpa : NULL;
}

static void on_signal(void *arg)
{
	(void)arg;
	w.signals++;
}

static void on_timer(void *arg, uint64_t ns)
{
	(void)arg;
	w.timer = ns;
}

static uint64_t chunk_gpa(uint32_t nr)
{
	return (1U << 20) + (NR_CHUNKS - 1 - nr) * 2 * CHUNK;
}

static unsigned char *data(uint32_t off)
{
	return w.ram + chunk_gpa(off / CHUNK) + off % CHUNK;
}

static void write_head(void)
{
	uint64_t *table;

	*w.head = (struct portal_channel) {
		.magic = PORTAL_CHANNEL_MAGIC, .version = PORTAL_CHANNEL_VERSION,
		.len = 32768, .count = 1, .abi_hash = PORTAL_CMD_ABI_HASH, .classes = 1,
		.data_len = DATA, .chunk_len = CHUNK, .nr_chunks = NR_CHUNKS,
		.sq_off = 256, .sq_entries = ENTRIES,
		.cq_off = 256 + ENTRIES * 64, .cq_entries = ENTRIES,
		.chunks_off = 256 + ENTRIES * 128,
	};
	table = (void *)((char *)w.head + w.head->chunks_off);
	for (uint32_t i = 0; i < NR_CHUNKS; i++)
		table[i] = chunk_gpa(i);
	w.sq_head = w.cq_tail = 0;
}

static int setup(void **state)
{
	static const struct cmd_env env = { NULL, at, on_signal, on_timer, NULL };

	(void)state;
	memset(&w, 0, sizeof(w));
	w.ram = calloc(1, RAM);
	w.head = (void *)(w.ram + HEAD);
	cmd_init(&w.chan, &env);
	write_head();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cmd_destroy(&w.chan);
	free(w.ram);
	return 0;
}

static uint64_t sync_once(void)
{
	uint64_t value = 0;

	assert_int_equal(cmd_sync(&w.chan, w.chan.epoch, 0, &value), 0);
	return value;
}

static void open_chan(void)
{
	uint64_t value = 0;

	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), 0);
	assert_int_equal(cmd_sync(&w.chan, 0, 0, &value), 0);
	assert_int_equal(value, PORTAL_SYNC_RESET | EPOCH);
	assert_int_equal(sync_once(), 0);
}

/* The guest takes the next command; false: there is none. */
static bool take(struct portal_cmd *cmd)
{
	const struct portal_cmd *ring = (void *)((char *)w.head + w.head->sq_off);

	if (w.head->sq_tail == w.sq_head)
		return false;
	*cmd = ring[w.sq_head++ % ENTRIES];
	w.head->sq_head = w.sq_head;
	return true;
}

static void put_done(const struct portal_cmd_done *done)
{
	struct portal_cmd_done *ring = (void *)((char *)w.head + w.head->cq_off);

	ring[w.cq_tail++ % ENTRIES] = *done;
	__atomic_store_n(&w.head->cq_tail, w.cq_tail, __ATOMIC_RELEASE);
}

static void answer(const struct portal_cmd *cmd, int status, uint64_t size)
{
	struct portal_cmd_done done = {
		.version = PORTAL_CMD_VERSION, .op = cmd->op, .txn = cmd->txn,
		.status = status, .size = size, .value = cmd->addr + 1,
	};

	put_done(&done);
}

static void count_done(struct portal_command *cmd)
{
	++*(int *)cmd->plugin_data[0];
}

static struct portal_command ping(int *over, uint64_t addr)
{
	return (struct portal_command) { .op = PORTAL_CMD_PING, .addr = addr, .done = count_done,
					 .plugin_data = { over } };
}

static struct portal_command_info info(void)
{
	struct portal_command_info i = { .struct_size = sizeof(i) };

	cmd_info(&w.chan, &i);
	return i;
}

/* ---- open --------------------------------------------------------------------- */

static void layouts(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct portal_channel), 256);
	assert_int_equal(offsetof(struct portal_channel, sq_head), 128);
	assert_int_equal(offsetof(struct portal_channel, sq_tail), 192);
	assert_int_equal(sizeof(struct portal_cmd), 64);
	assert_int_equal(offsetof(struct portal_cmd, pid), 24);
	assert_int_equal(offsetof(struct portal_cmd, in_off), 48);
	assert_int_equal(sizeof(struct portal_cmd_done), 64);
	assert_int_equal(offsetof(struct portal_cmd_done, status), 24);
#define SIZE(type, bytes) assert_int_equal(sizeof(type), bytes);
	PORTAL_CMD_STRUCTS(SIZE)
#undef SIZE
}

/* Each of these says something that cannot be. */
static void wrong_heads(void **state)
{
#define WRONG(field, value, err)						\
	do {									\
		write_head();							\
		w.head->field = (value);					\
		assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), err);	\
	} while (0)
	(void)state;
	WRONG(magic, 1, -EINVAL);
	WRONG(version, 2, -EPROTO);
	WRONG(flags, 1, -EINVAL);
	WRONG(number, 1, -EINVAL);
	WRONG(count, 2, -EINVAL);
	WRONG(len, PORTAL_CHANNEL_MAX_LEN + 1, -EINVAL);
	WRONG(len, 256, -EINVAL);
	WRONG(data_len, DATA + CHUNK, -EINVAL);
	WRONG(data_len, 0, -EINVAL);
	WRONG(chunk_len, CHUNK + 1, -EINVAL);
	WRONG(chunk_len, 0, -EINVAL);
	WRONG(nr_chunks, 0, -EINVAL);
	WRONG(nr_chunks, 0xffffffff, -EINVAL);
	WRONG(sq_entries, 17, -EINVAL);
	WRONG(sq_entries, 0, -EINVAL);
	WRONG(sq_entries, 0x80000000, -EINVAL);
	WRONG(cq_entries, 8192, -EINVAL);
	WRONG(sq_off, 0, -EINVAL);
	WRONG(sq_off, 260, -EINVAL);
	WRONG(sq_off, 0xfffffff8, -EINVAL);
	WRONG(cq_off, 32768 - 8, -EINVAL);
	WRONG(chunks_off, 32768, -EINVAL);
	write_head();
	*(uint64_t *)((char *)w.head + w.head->chunks_off + 8) = RAM;
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), -EFAULT);
	*(uint64_t *)((char *)w.head + w.head->chunks_off + 8) = chunk_gpa(1) + 8;
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), -EFAULT);
	write_head();
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA + 8, EPOCH), -EFAULT);
	assert_int_equal(cmd_open(&w.chan, RAM, EPOCH), -EFAULT);
	assert_int_equal(cmd_open(&w.chan, RAM - 4096, EPOCH), -EINVAL);
	assert_false(info().connected);
	open_chan();
	assert_true(info().connected);
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), -EBUSY);
}

static void not_open(void **state)
{
	int over = 0;
	struct portal_command cmd = ping(&over, 1);
	uint64_t value;

	(void)state;
	assert_int_equal(cmd_start(&w.chan, &cmd), -ENOTCONN);
	assert_int_equal(cmd_sync(&w.chan, 0, 0, &value), -ENODEV);
	assert_int_equal(over, 0);
	open_chan();
	assert_int_equal(cmd_sync(&w.chan, EPOCH, 1, &value), -EINVAL);
}

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

/* ---- a guest that lies -------------------------------------------------------- */

static void lies(void **state)
{
	struct portal_cmd_done done;
	struct portal_command cmds[4];
	struct portal_cmd req[4];
	int over = 0;

	(void)state;
	open_chan();
	for (int i = 0; i < 4; i++) {
		cmds[i] = ping(&over, i);
		cmds[i].out_len = 100;
		cmd_start(&w.chan, &cmds[i]);
	}
	sync_once();
	for (int i = 0; i < 4; i++)
		assert_true(take(&req[i]));
	/* unknown, another op, twice */
	done = (struct portal_cmd_done) { .op = PORTAL_CMD_PING, .txn = req[0].txn + ENTRIES };
	put_done(&done);
	done = (struct portal_cmd_done) { .op = PORTAL_CMD_EXEC, .txn = req[0].txn };
	put_done(&done);
	done = (struct portal_cmd_done) { .op = PORTAL_CMD_PING, .txn = 0 };
	put_done(&done);
	answer(&req[0], 0, 10);
	answer(&req[0], -EIO, 0);
	sync_once();
	assert_int_equal(over, 1);
	assert_int_equal(cmds[0].status, 0);
	assert_int_equal(info().stale, 4);
	answer(&req[1], 0, 101);
	answer(&req[2], 5, 0);
	answer(&req[3], -5000, 0);
	sync_once();
	assert_int_equal(over, 4);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(cmds[i].status, -EPROTO);
		assert_null(cmds[i].out);
		assert_int_equal(cmds[i].out_size, 0);
	}
	for (int i = 0; i < 4; i++)
		cmd_end(&w.chan, &cmds[i]);
	assert_int_equal(info().credits, ENTRIES - ENTRIES / 8);
}

static void broken_ring(void **state)
{
	int over = 0;
	struct portal_command sent = ping(&over, 1), waits = ping(&over, 2);
	uint64_t value = 0;

	(void)state;
	open_chan();
	cmd_start(&w.chan, &sent);
	sync_once();
	/* a head that makes no sense: nothing more is sent */
	w.head->sq_head = 0x80000000;
	cmd_start(&w.chan, &waits);
	assert_int_equal(sync_once(), 0);
	w.head->cq_tail = ENTRIES + 1;
	assert_int_equal(cmd_sync(&w.chan, EPOCH, 0, &value), -EPROTO);
	assert_int_equal(over, 2);
	assert_int_equal(sent.status, -EPROTO);
	assert_int_equal(waits.status, -EPROTO);
	assert_int_equal(cmd_start(&w.chan, &sent), -ENOTCONN);
	assert_int_equal(cmd_sync(&w.chan, EPOCH, 0, &value), -ENODEV);
}

/* What was checked is what is used: the head changes after it was opened. */
static void head_changes(void **state)
{
	struct portal_cmd req;
	int over = 0;
	struct portal_command cmd = ping(&over, 1);

	(void)state;
	open_chan();
	w.head->len = w.head->sq_off = w.head->cq_off = w.head->chunk_len = 0xffffffff;
	w.head->nr_chunks = w.head->sq_entries = w.head->cq_entries = 0;
	*(uint64_t *)((char *)w.head + w.head->chunks_off) = UINT64_MAX;
	cmd.out_len = DATA;
	cmd_start(&w.chan, &cmd);
	assert_int_equal(sync_once(), 1);
	write_head();
	w.head->sq_tail = 1;
	assert_true(take(&req));
	answer(&req, 0, DATA);
	sync_once();
	assert_int_equal(over, 1);
	assert_int_equal(cmd.out_size, DATA);
	cmd_end(&w.chan, &cmd);
}

/* An agent that lacks one command, has another one changed, and one that is new. */
static void another_agent(void **state)
{
#define INFO(NAME, name, CLASS, use, in, in_tail, o, out_tail, record, hash)	\
	{ PORTAL_CMD_##NAME, PORTAL_CLASS_##CLASS, hash },
	struct portal_cmd_op_info ops[] = { PORTAL_CMD_TABLE(INFO) { 0x999, 0, 1 } };
#undef INFO
	enum { NR = sizeof(ops) / sizeof(ops[0]) };
	struct portal_cmd_features feat = { .version = 1, .nr_ops = NR };
	struct portal_command cmd;
	struct portal_cmd req;
	uint64_t value;
	int over = 0;

	(void)state;
	for (int i = 0; i < NR; i++) {
		if (ops[i].op == PORTAL_CMD_EXEC)
			ops[i].op = 0x998;
		if (ops[i].op == PORTAL_CMD_TASK_LIST)
			ops[i].hash++;
	}
	w.head->abi_hash++;
	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), 0);
	cmd_sync(&w.chan, 0, 0, &value);
	cmd = ping(&over, 1);
	cmd.op = PORTAL_CMD_MEM_READ;
	assert_int_equal(cmd_start(&w.chan, &cmd), -EPROTONOSUPPORT);
	assert_int_equal(sync_once(), 1);
	assert_true(take(&req));
	assert_int_equal(req.op, PORTAL_CMD_FEATURES);
	memcpy(data(req.out_off), &feat, sizeof(feat));
	memcpy(data(req.out_off) + sizeof(feat), ops, sizeof(ops));
	answer(&req, 0, sizeof(feat) + sizeof(ops));
	sync_once();
	assert_int_equal(cmd_start(&w.chan, &cmd), 0);
	sync_once();
	assert_true(take(&req));
	answer(&req, 0, 0);
	sync_once();
	assert_int_equal(over, 1);
	cmd.op = PORTAL_CMD_EXEC;
	assert_int_equal(cmd_start(&w.chan, &cmd), -EPROTONOSUPPORT);
	cmd.op = PORTAL_CMD_TASK_LIST;
	assert_int_equal(cmd_start(&w.chan, &cmd), -EPROTONOSUPPORT);
	assert_int_equal(info().credits, ENTRIES - ENTRIES / 8);
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
		cmocka_unit_test(layouts),
		TEST(wrong_heads), TEST(not_open), TEST(one_command), TEST(writes_only_in_sync),
		TEST(credits), TEST(memory), TEST(lost_interrupt), TEST(time_out), TEST(cancel), TEST(close_ends_all),
		TEST(lies), TEST(broken_ring), TEST(head_changes), TEST(another_agent),
		TEST(waiters),
	};

	log_open(0, "cmdchan_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
