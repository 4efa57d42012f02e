// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdevent_test.c - events of a guest that is played here, honestly or not
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

#define RAM		(2U << 20)
#define HEAD		0x1000U
#define CHUNK		(1U << 20)
#define ENTRIES		16U
#define EV_OFF		8192U
#define EV_LEN		4096U
#define EPOCH		7U

static struct world {
	unsigned char *ram;
	struct portal_channel *head;
	uint32_t tail;
	struct cmd_chan chan;
	unsigned int told, ended;
	uint64_t sum;
	union {
		struct portal_event ev;
		char bytes[PORTAL_EVENT_MAX];
	} last;
	struct portal_command *waiting;	/* for the order of events and answers */
} w;

static void *at(void *arg, uint64_t gpa, size_t len)
{
	(void)arg;
	return gpa < RAM && len <= RAM - gpa ? w.ram + gpa : NULL;
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
	if (!ev) {
		w.ended++;
		return;
	}
	assert_in_range(ev->len, sizeof(*ev), PORTAL_EVENT_MAX);
	assert_int_equal(ev->hook >> 32, EPOCH);
	/* not while the lock is held: a plugin may start a command here */
	assert_int_equal(pthread_mutex_trylock(&w.chan.lock), 0);
	pthread_mutex_unlock(&w.chan.lock);
	if (w.waiting)
		assert_false(w.waiting->over);
	memcpy(&w.last, ev, ev->len);
	w.told++;
	w.sum += ev->nr;
}

static void write_head(void)
{
	*w.head = (struct portal_channel) {
		.magic = PORTAL_CHANNEL_MAGIC, .version = PORTAL_CHANNEL_VERSION,
		.len = EV_OFF + EV_LEN, .count = 1, .abi_hash = PORTAL_CMD_ABI_HASH, .classes = 129,
		.data_len = CHUNK, .chunk_len = CHUNK, .nr_chunks = 1,
		.sq_off = 256, .sq_entries = ENTRIES,
		.cq_off = 256 + ENTRIES * 64, .cq_entries = ENTRIES,
		.chunks_off = 256 + ENTRIES * 128, .ev_off = EV_OFF, .ev_len = EV_LEN,
	};
	*(uint64_t *)((char *)w.head + w.head->chunks_off) = CHUNK;
	w.tail = 0;
}

static int setup(void **state)
{
	static const struct cmd_env env = {
		.at = at, .signal = nothing, .timer = no_timer, .event = on_event,
	};

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

static int sync_chan(void)
{
	uint64_t value;

	return cmd_sync(&w.chan, EPOCH, 0, &value);
}

static void open_chan(void)
{
	assert_int_equal(cmd_open(&w.chan, HEAD, EPOCH), 0);
	assert_int_equal(sync_chan(), 0);
}

static void reopen(void)
{
	cmd_close(&w.chan, -ECONNRESET);
	write_head();
	open_chan();
}

static struct portal_event *slot(void)
{
	return (void *)((char *)w.head + EV_OFF + w.tail % EV_LEN);
}

static void publish(uint32_t len)
{
	w.tail += len;
	__atomic_store_n(&w.head->ev_tail, w.tail, __ATOMIC_RELEASE);
}

/* As an agent does it. */
static struct portal_event *put(uint32_t nr, const char *str)
{
	uint32_t str_len = str ? (uint32_t)strlen(str) + 1 : 0;
	uint32_t len = (sizeof(struct portal_event) + str_len + 7) / 8 * 8;
	uint32_t rest = EV_LEN - w.tail % EV_LEN;
	struct portal_event *ev = slot();

	if (rest < len) {
		ev->version = PORTAL_EVENT_VERSION;
		ev->kind = PORTAL_EVENT_PAD;
		ev->len = rest;
		w.tail += rest;
		ev = slot();
	}
	*ev = (struct portal_event) {
		.version = PORTAL_EVENT_VERSION, .kind = PORTAL_EVENT_SYSCALL, .len = len,
		.hook = (uint64_t)EPOCH << 32 | 1, .nr = nr, .str_len = str_len,
	};
	if (str)
		memcpy(ev + 1, str, str_len);
	publish(len);
	return ev;
}

static struct portal_command_info info(void)
{
	struct portal_command_info i = { .struct_size = sizeof(i) };

	cmd_info(&w.chan, &i);
	return i;
}

/* ---- */

static void layout(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct portal_channel), 256);
	assert_int_equal(offsetof(struct portal_channel, ev_off), 76);
	assert_int_equal(offsetof(struct portal_channel, ev_tail), 136);
	assert_int_equal(offsetof(struct portal_channel, ev_head), 208);
	assert_int_equal(sizeof(struct portal_event), 136);
	assert_int_equal(offsetof(struct portal_event, hook), 8);
	assert_int_equal(offsetof(struct portal_event, flags), 24);
	assert_int_equal(offsetof(struct portal_event, time_ns), 40);
	assert_int_equal(offsetof(struct portal_event, comm), 56);
	assert_int_equal(offsetof(struct portal_event, ret), 80);
	assert_int_equal(offsetof(struct portal_event, args), 88);
}

static void wrong_rings(void **state)
{
	static const struct { uint32_t off, len; } wrong[] = {
		{ EV_OFF, EV_LEN / 2 }, { EV_OFF, EV_LEN + 8 }, { EV_OFF, 2 * EV_LEN },
		{ EV_OFF, 0x80000000 }, { 0, EV_LEN }, { EV_OFF + 4, EV_LEN },
		{ EV_OFF + 8, EV_LEN }, { 0xfffff000, EV_LEN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_head();
		w.head->ev_off = wrong[i].off;
		w.head->ev_len = wrong[i].len;
		assert_int_equal(cmd_open(&w.chan, HEAD, EPOCH), -EINVAL);
	}
}

/* An agent of old: what is in these fields is not looked at. */
static void no_ring(void **state)
{
	(void)state;
	w.head->ev_off = w.head->ev_len = 0;
	w.head->ev_tail = 12345;
	open_chan();
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 0);
}

static void told_in_order(void **state)
{
	(void)state;
	open_chan();
	put(1, NULL);
	put(2, "/etc/passwd");
	assert_int_equal(w.told, 0);
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 2);
	assert_int_equal(w.last.ev.nr, 2);
	assert_string_equal((char *)(&w.last.ev + 1), "/etc/passwd");
	assert_int_equal(w.head->ev_head, w.tail);
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 2);
	assert_int_equal(info().events, 2);
}

/* Around the ring many times, with every length; the indices overflow, too. */
static void wraps(void **state)
{
	char str[PORTAL_EVENT_STRING];
	uint64_t sum = 0;

	(void)state;
	open_chan();
	w.tail = w.chan.ev_head = w.head->ev_head = w.head->ev_tail = 0U - 3 * EV_LEN;
	for (unsigned int i = 1; i <= 5000; i++) {
		memset(str, 'a', sizeof(str));
		str[i % (sizeof(str) - 1)] = '\0';
		put(i, str);
		sum += i;
		if (i % 7 == 0)
			assert_int_equal(sync_chan(), 0);
	}
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 5000);
	assert_int_equal(w.sum, sum);
	assert_true(w.tail < 0U - 3 * EV_LEN);
}

static void full_to_the_last_byte(void **state)
{
	(void)state;
	open_chan();
	for (unsigned int i = 0; i < EV_LEN / 512; i++) {
		/* 136 + 376 is too much for one */
		put(i, NULL)->len = 256;
		publish(120);
		put(i, NULL)->len = 256;
		publish(120);
	}
	assert_int_equal(w.tail, EV_LEN);
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, EV_LEN / 256);
}

static void another_epoch(void **state)
{
	(void)state;
	open_chan();
	put(1, NULL)->hook = (uint64_t)(EPOCH - 1) << 32 | 1;
	put(2, NULL)->hook = 1;
	put(3, NULL);
	put(4, NULL)->hook = UINT64_MAX;
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 1);
	assert_int_equal(w.sum, 3);
	assert_int_equal(info().stale_events, 3);
}

/* Each of these ends the channel, and nothing after it is told. */
static void nonsense(void **state)
{
#define WRONG(change)								\
	do {									\
		struct portal_event *ev;					\
										\
		reopen();							\
		w.told = w.ended = 0;						\
		put(1, NULL);							\
		ev = put(2, "string");						\
		change;								\
		put(3, NULL);							\
		assert_int_equal(sync_chan(), -EPROTO);				\
		assert_int_equal(w.told, 1);					\
		assert_int_equal(w.ended, 1);					\
		assert_int_equal(sync_chan(), -ENODEV);				\
		assert_int_equal(w.told, 1);					\
	} while (0)
	(void)state;
	open_chan();
	WRONG(ev->len = 0);
	WRONG(ev->len = 4);
	WRONG(ev->len = 8);
	WRONG(ev->len = 128);
	WRONG(ev->len = 137);
	WRONG(ev->len = 0xfffffff8);
	WRONG(ev->len = PORTAL_EVENT_MAX + 8);
	WRONG(ev->version = 2);
	WRONG(ev->str_len = 9);
	WRONG(ev->str_len = 0xffffffff);
	WRONG(ev->kind = PORTAL_EVENT_PAD);	/* in the middle of the ring */
#undef WRONG
}

static void tail_runs_away(void **state)
{
	static const uint32_t wrong[] = { EV_LEN + 8, 0x80000000, 0xfffffff8, 4, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		reopen();
		w.head->ev_tail = wrong[i];
		assert_int_equal(sync_chan(), -EPROTO);
		assert_int_equal(w.told, 0);
	}
	/* an event that only begins in what was published */
	reopen();
	put(1, NULL);
	w.head->ev_tail -= 8;
	assert_int_equal(sync_chan(), -EPROTO);
	/* one that would go on at the ring's begin */
	reopen();
	w.tail = w.head->ev_tail = w.chan.ev_head = EV_LEN - 8;
	slot()->version = PORTAL_EVENT_VERSION;
	slot()->kind = PORTAL_EVENT_SYSCALL;
	slot()->len = sizeof(struct portal_event);
	publish(sizeof(struct portal_event));
	assert_int_equal(sync_chan(), -EPROTO);
	assert_int_equal(w.told, 0);
}

/* Whoever looks at the string finds its end, whatever the guest wrote. */
static void strings_end(void **state)
{
	struct portal_event *ev;

	(void)state;
	open_chan();
	ev = put(1, "1234567");
	memset(ev + 1, 'x', 8);
	assert_int_equal(sync_chan(), 0);
	assert_string_equal((char *)(&w.last.ev + 1), "xxxxxxx");
}

/* All that was published before an answer is told before it. */
static void events_before_answers(void **state)
{
	struct portal_cmd_done *cq = (void *)((char *)w.head + 256 + ENTRIES * 64);
	struct portal_command cmd = { .op = PORTAL_CMD_HOOK_STOP };
	const struct portal_cmd *sq = (void *)((char *)w.head + 256);

	(void)state;
	open_chan();
	cmd.done = (void (*)(struct portal_command *))nothing;
	assert_int_equal(cmd_start(&w.chan, &cmd), 0);
	assert_int_equal(sync_chan(), 0);
	w.waiting = &cmd;
	put(1, NULL);
	cq[0] = (struct portal_cmd_done) { .op = sq[0].op, .txn = sq[0].txn };
	__atomic_store_n(&w.head->cq_tail, 1, __ATOMIC_RELEASE);
	assert_int_equal(sync_chan(), 0);
	assert_int_equal(w.told, 1);
	assert_true(cmd.over);
	cmd_end(&w.chan, &cmd);
}

/* The ring's memory is written only by the guest, the head only in SYNC. */
static void only_the_index_is_written(void **state)
{
	unsigned char *before = malloc(RAM);

	(void)state;
	open_chan();
	put(1, "string");
	memcpy(before, w.ram, RAM);
	assert_int_equal(sync_chan(), 0);
	((struct portal_channel *)(before + HEAD))->ev_head = w.tail;
	assert_memory_equal(before, w.ram, RAM);
	free(before);
}

static void hooks_end_with_the_channel(void **state)
{
	(void)state;
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(w.ended, 0);
	open_chan();
	put(1, NULL);
	cmd_close(&w.chan, -ECONNRESET);
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.told, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),
		TEST(wrong_rings), TEST(no_ring), TEST(told_in_order), TEST(wraps),
		TEST(full_to_the_last_byte), TEST(another_epoch), TEST(nonsense),
		TEST(tail_runs_away), TEST(strings_end), TEST(events_before_answers),
		TEST(only_the_index_is_written), TEST(hooks_end_with_the_channel),
	};

	log_open(0, "cmdevent_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
