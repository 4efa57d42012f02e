// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdchan_fuzz_test.c - a guest that writes anything anywhere, while commands go
 *
 * Whatever it does, each command that was started is over exactly once, its answer
 * lies in the guest's memory, and the channel can be opened again.
 */
/* LINK: cmdabi.o cmdchan.o cmdevent.o cmdring.o log.o -lpthread */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <cmocka.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"
#include "log.h"

#define RAM		(3U << 20)
#define HEAD		0x10000U
#define DATA_AT		(1U << 20)
#define CHUNK		16384U
#define NR_CHUNKS	64U
#define ENTRIES		16U
#define NR_CMDS		64U
#define ROUNDS		200000U
#define EV_OFF		32768U
#define EV_LEN		8192U

static unsigned char *ram;
static struct portal_channel *head;
static struct cmd_chan chan;
static struct portal_command cmds[NR_CMDS];
static bool busy[NR_CMDS];
static uint64_t rng = 88172645463325252ULL, now, started, over, answered, events;
static uint32_t sq_head, cq_tail, ev_tail, epoch;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % below;
}

static void *at(void *arg, uint64_t gpa, size_t len)
{
	(void)arg;
	return gpa < RAM && len <= RAM - gpa ? ram + gpa : NULL;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void no_timer(void *arg, uint64_t ns)
{
	(void)arg;
	(void)ns;
}

static void on_event(void *arg, const struct portal_event *ev)
{
	(void)arg;
	if (!ev)
		return;
	assert_in_range(ev->len, sizeof(*ev), PORTAL_EVENT_MAX);
	assert_true(ev->str_len <= ev->len - sizeof(*ev));
	if (ev->str_len)
		assert_int_equal(((const char *)(ev + 1))[ev->str_len - 1], 0);
	events++;
}

static void done(struct portal_command *cmd)
{
	uint64_t bytes = 0;

	assert_true(cmd >= cmds && cmd < cmds + NR_CMDS);
	assert_true(busy[cmd - cmds]);
	assert_in_range(-(int64_t)cmd->status, 0, 4095);
	for (uint32_t i = 0; i < cmd->out_cnt; i++) {
		unsigned char *p = cmd->out[i].iov_base;

		assert_true(p >= ram && p + cmd->out[i].iov_len <= ram + RAM);
		bytes += cmd->out[i].iov_len;
	}
	assert_true(bytes <= cmd->out_len);
	over++;
	answered += !cmd->status;
	busy[cmd - cmds] = false;
	cmd_end(&chan, cmd);
}

static void write_head(void)
{
	uint64_t *table;

	memset(head, 0, 65536);
	*head = (struct portal_channel) {
		.magic = PORTAL_CHANNEL_MAGIC, .version = PORTAL_CHANNEL_VERSION,
		.len = 65536, .count = 1,
		.abi_hash = PORTAL_CMD_ABI_HASH + !rnd(4),
		.data_len = CHUNK * NR_CHUNKS, .chunk_len = CHUNK, .nr_chunks = NR_CHUNKS,
		.sq_off = 256, .sq_entries = ENTRIES, .cq_off = 256 + ENTRIES * 64,
		.cq_entries = ENTRIES, .chunks_off = 256 + ENTRIES * 128,
		.ev_off = EV_OFF, .ev_len = EV_LEN,
	};
	table = (void *)((char *)head + head->chunks_off);
	/* they may be the same memory */
	for (uint32_t i = 0; i < NR_CHUNKS; i++)
		table[i] = rnd(50) ? DATA_AT + i * CHUNK : rnd(RAM / 4096) * 4096;
	if (!rnd(8))
		((uint32_t *)head)[rnd(32)] = rnd(2) ? rnd(65536) : (uint32_t)rng;
	sq_head = cq_tail = ev_tail = 0;
}

/* An event as it should be, more or less. */
static void tell_one(void)
{
	uint32_t len = (sizeof(struct portal_event) + rnd(PORTAL_EVENT_STRING)) & ~7U;
	uint32_t rest = EV_LEN - ev_tail % EV_LEN;
	struct portal_event *ev = (void *)((char *)head + EV_OFF + ev_tail % EV_LEN);

	if (ev_tail - head->ev_head > EV_LEN - 2 * PORTAL_EVENT_MAX)
		return;
	ev->version = PORTAL_EVENT_VERSION;
	if (rest < len) {
		ev->kind = PORTAL_EVENT_PAD;
		ev->len = rest;
		ev_tail += rest;
	} else {
		memset(ev + 1, 1, len - sizeof(*ev));
		ev->kind = (uint16_t)(1 + rnd(6));
		ev->len = len;
		ev->hook = (uint64_t)epoch << 32 | rnd(8);
		ev->str_len = len - sizeof(*ev);
		ev_tail += len;
	}
	if (!rnd(400))
		((uint32_t *)ev)[rnd(34)] = rnd(2) ? rnd(1000) : (uint32_t)rng;
	head->ev_tail = ev_tail;
}

/* A command answered as it should be, more or less. */
static void answer_one(void)
{
	const struct portal_cmd *sq = (void *)((char *)head + 256);
	struct portal_cmd_done *cq = (void *)((char *)head + 256 + ENTRIES * 64);
	struct portal_cmd cmd = sq[sq_head++ % ENTRIES];
	struct portal_cmd_done *d = &cq[cq_tail++ % ENTRIES];

	*d = (struct portal_cmd_done) { .op = cmd.op, .txn = cmd.txn, .size = cmd.out_len };
	if (!rnd(8))
		d->size = rnd(2) ? rng : rnd(100000);
	if (!rnd(8))
		d->status = rnd(2) ? -(int)rnd(5000) : (int)rng;
	if (!rnd(16))
		d->txn += rnd(64);
	head->sq_head = sq_head;
	head->cq_tail = cq_tail;
}

static void start_one(void)
{
	static const char payload[20000];
	static struct iovec in[NR_CMDS];
	uint32_t i = rnd(NR_CMDS);

	if (busy[i])
		return;
	in[i] = (struct iovec){ (void *)payload, rnd(sizeof(payload)) };
	cmds[i] = (struct portal_command) {
		.op = rnd(4) ? PORTAL_CMD_PING : PORTAL_CMD_MEM_READ, .in = &in[i],
		.in_cnt = rnd(2), .out_len = rnd(4) ? rnd(40000) : rnd(CHUNK * NR_CHUNKS * 2),
		.timeout_ms = 1 + rnd(60000), .done = done,
	};
	busy[i] = true;
	if (cmd_start(&chan, &cmds[i]))
		busy[i] = false;
	else
		started++;
}

static void scribble(void)
{
	uint32_t off = rnd(2) ? rnd(256) : rnd(65536);

	ram[HEAD + off] ^= 1U << rnd(8);
}

static void step(void)
{
	uint64_t value;

	switch (rnd(16)) {
	case 0:
		if (chan.open && !chan.broken && rnd(100))
			break;
		cmd_close(&chan, -ECONNRESET);
		write_head();
		cmd_open(&chan, HEAD, ++epoch);
		break;
	case 1:
		if (!rnd(20))
			scribble();
		break;
	case 2:
		cmd_cancel(&chan, rnd(2) ? cmds[rnd(NR_CMDS)].txn : rnd(1000));
		break;
	case 3:
		now = cmd_now() + rnd(60000) * 1000000ULL;
		cmd_expire(&chan, now);
		break;
	case 4:
		cmd_sync(&chan, rnd(4) ? epoch : rnd(epoch + 2), !rnd(16), &value);
		break;
	case 5 ... 8:
		if (head->sq_tail - sq_head <= ENTRIES && head->sq_tail != sq_head)
			answer_one();
		break;
	case 9 ... 11:
		cmd_sync(&chan, epoch, 0, &value);
		break;
	case 12:
		tell_one();
		break;
	default:
		start_one();
	}
}

static void any_guest(void **state)
{
	static const struct cmd_env env = { NULL, at, nothing, no_timer, on_event };

	(void)state;
	ram = calloc(1, RAM);
	head = (void *)(ram + HEAD);
	cmd_init(&chan, &env);
	for (uint32_t i = 0; i < ROUNDS; i++)
		step();
	cmd_destroy(&chan);
	assert_int_equal(started, over);
	/* it was no fuzzing of a closed door */
	assert_true(started > ROUNDS / 50 && answered > ROUNDS / 500 && events > ROUNDS / 500);
	printf("%llu commands, %llu answered, %llu events\n", (unsigned long long)started,
	       (unsigned long long)answered, (unsigned long long)events);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_guest) };

	log_open(0, "cmdchan_fuzz_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
