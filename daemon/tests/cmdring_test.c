// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdring_test.c - memory that a guest shares, and how it may lie in it
 */
/* LINK: cmdabi.o cmdchan.o cmdevent.o cmdring.o log.o -lpthread */
#include "cmdchan_world.h"

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts), TEST(wrong_heads), TEST(not_open), TEST(lies), TEST(broken_ring),
		TEST(head_changes), TEST(another_agent),
	};

	log_open(0, "cmdring_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
