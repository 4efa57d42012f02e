/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cmdchan_world.h - a guest with a channel, played by a test
 */
#ifndef TESTS_CMDCHAN_WORLD_H
#define TESTS_CMDCHAN_WORLD_H

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

static inline void *at(void *arg, uint64_t gpa, size_t len)
{
	(void)arg;
	return gpa < RAM && len <= RAM - gpa ? w.ram + gpa : NULL;
}

static inline void on_signal(void *arg)
{
	(void)arg;
	w.signals++;
}

static inline void on_timer(void *arg, uint64_t ns)
{
	(void)arg;
	w.timer = ns;
}

static inline uint64_t chunk_gpa(uint32_t nr)
{
	return (1U << 20) + (NR_CHUNKS - 1 - nr) * 2 * CHUNK;
}

static inline unsigned char *data(uint32_t off)
{
	return w.ram + chunk_gpa(off / CHUNK) + off % CHUNK;
}

static inline void write_head(void)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	(void)state;
	cmd_destroy(&w.chan);
	free(w.ram);
	return 0;
}

static inline uint64_t sync_once(void)
{
	uint64_t value = 0;

	assert_int_equal(cmd_sync(&w.chan, w.chan.epoch, 0, &value), 0);
	return value;
}

static inline void open_chan(void)
{
	uint64_t value = 0;

	assert_int_equal(cmd_open(&w.chan, OPEN_GPA, EPOCH), 0);
	assert_int_equal(cmd_sync(&w.chan, 0, 0, &value), 0);
	assert_int_equal(value, PORTAL_SYNC_RESET | EPOCH);
	assert_int_equal(sync_once(), 0);
}

/* The guest takes the next command; false: there is none. */
static inline bool take(struct portal_cmd *cmd)
{
	const struct portal_cmd *ring = (void *)((char *)w.head + w.head->sq_off);

	memset(cmd, 0, sizeof(*cmd));
	if (w.head->sq_tail == w.sq_head)
		return false;
	*cmd = ring[w.sq_head++ % ENTRIES];
	w.head->sq_head = w.sq_head;
	return true;
}

static inline void put_done(const struct portal_cmd_done *done)
{
	struct portal_cmd_done *ring = (void *)((char *)w.head + w.head->cq_off);

	ring[w.cq_tail++ % ENTRIES] = *done;
	__atomic_store_n(&w.head->cq_tail, w.cq_tail, __ATOMIC_RELEASE);
}

static inline void answer(const struct portal_cmd *cmd, int status, uint64_t size)
{
	struct portal_cmd_done done = {
		.version = PORTAL_CMD_VERSION, .op = cmd->op, .txn = cmd->txn,
		.status = status, .size = size, .value = cmd->addr + 1,
	};

	put_done(&done);
}

static inline void count_done(struct portal_command *cmd)
{
	++*(int *)cmd->plugin_data[0];
}

static inline struct portal_command ping(int *over, uint64_t addr)
{
	return (struct portal_command) { .op = PORTAL_CMD_PING, .addr = addr, .done = count_done,
					 .plugin_data = { over } };
}

static inline struct portal_command_info info(void)
{
	struct portal_command_info i = { .struct_size = sizeof(i) };

	cmd_info(&w.chan, &i);
	return i;
}

#endif /* TESTS_CMDCHAN_WORLD_H */
