// SPDX-License-Identifier: GPL-2.0-only
/*
 * python_chan_test.c - plugin python over the worker's real channel: threads of
 * a script, the worker's thread, and a guest that answers at once
 */
/* LINK: cmdabi.o cmdchan.o cmdevent.o cmdring.o log.o -ldl -lpthread */
#include "python_world.h"

#include <pthread.h>
#include <semaphore.h>

#include "cmdchan.h"
#include "log.h"

#define RAM	(2U << 20)	/* the second half is the data region */
#define HEAD	0x1000U
#define CHUNK	65536U
#define NR_CHUNKS	16U
#define ENTRIES	16U

static unsigned char *ram;
static struct portal_channel *head;
static uint32_t sq_head, cq_tail;
static sem_t kick;
static int stop;
static struct cmd_chan chan;

static void *at(void *arg, uint64_t gpa, size_t len)
{
	return gpa < RAM && len <= RAM - gpa ? ram + gpa : NULL;
}

static void on_signal(void *arg)
{
	sem_post(&kick);
}

static void on_timer(void *arg, uint64_t ns)
{
}

static int chan_command(struct portal_instance *pi, struct portal_command *cmd)
{
	return cmd_start(&chan, cmd);
}

static void chan_end(struct portal_instance *pi, struct portal_command *cmd)
{
	cmd_end(&chan, cmd);
}

static int chan_cancel(struct portal_instance *pi, uint64_t txn)
{
	return cmd_cancel(&chan, txn);
}

static int chan_info(struct portal_instance *pi, struct portal_command_info *info)
{
	cmd_info(&chan, info);
	return 0;
}

static const struct portald_api chan_api = {
	.struct_size = sizeof(chan_api), .error = fake_error, .log = fake_log,
	.queue_interrupt = fake_queue_interrupt, .command = chan_command,
	.command_end = chan_end, .command_cancel = chan_cancel, .command_info = chan_info,
};

static void open_chan(void)
{
	static const struct cmd_env env = { NULL, at, on_signal, on_timer, NULL };
	uint64_t *chunks;

	ram = calloc(1, RAM);
	head = (void *)(ram + HEAD);
	*head = (struct portal_channel) {
		.magic = PORTAL_CHANNEL_MAGIC, .version = PORTAL_CHANNEL_VERSION,
		.len = 32768, .count = 1, .abi_hash = PORTAL_CMD_ABI_HASH, .classes = 1,
		.data_len = RAM / 2, .chunk_len = CHUNK, .nr_chunks = NR_CHUNKS,
		.sq_off = 256, .sq_entries = ENTRIES,
		.cq_off = 256 + ENTRIES * 64, .cq_entries = ENTRIES,
		.chunks_off = 256 + ENTRIES * 128,
	};
	chunks = (void *)((char *)head + head->chunks_off);
	for (uint32_t i = 0; i < NR_CHUNKS; i++)
		chunks[i] = RAM / 2 + i * CHUNK;
	cmd_init(&chan, &env);
	assert_int_equal(cmd_open(&chan, HEAD, 1), 0);
}

/* Answers whatever there is: the address, also as bytes. How many. */
static unsigned int serve(void)
{
	const struct portal_cmd *sq = (void *)((char *)head + head->sq_off);
	struct portal_cmd_done *cq = (void *)((char *)head + head->cq_off);
	unsigned int nr = 0;

	for (; sq_head != head->sq_tail; nr++) {
		struct portal_cmd cmd = sq[sq_head++ % ENTRIES];
		struct portal_cmd_done done = {
			.version = PORTAL_CMD_VERSION, .op = cmd.op, .txn = cmd.txn,
			.value = cmd.addr, .size = cmd.out_len,
		};

		if (cmd.out_len)
			memset(ram + RAM / 2 + cmd.out_off, (int)cmd.addr, cmd.out_len);
		cq[cq_tail++ % ENTRIES] = done;
	}
	__atomic_store_n(&head->sq_head, sq_head, __ATOMIC_RELEASE);
	__atomic_store_n(&head->cq_tail, cq_tail, __ATOMIC_RELEASE);
	return nr;
}

/* The worker's thread in a guest's SYNC; the GIL is only in done(). */
static void *worker(void *arg)
{
	uint64_t value, epoch = 0;

	int last;

	do {
		sem_wait(&kick);
		last = __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
		do {
			if (cmd_sync(&chan, epoch, 0, &value))
				return "cmd_sync failed";
			if (value & PORTAL_SYNC_RESET)
				epoch = (uint32_t)value;
		} while (value || serve());
	} while (!last);
	return NULL;
}

static void threads_and_cancels(void **state)
{
	struct portal_command_info info = { .struct_size = sizeof(info) };
	pthread_t thread;
	void *why;

	(void)state;
	run("import errno, sys, threading\n"
	    "sys.setswitchinterval(1e-5)\n"
	    "right = []\n"
	    "cancelled = []\n"
	    "def ask(n):\n"
	    "    total = 0\n"
	    "    for i in range(n, n + 5):\n"
	    "        data = yield PortalCmd('mem_read', i, 4 + n % 7)\n"
	    "        assert data == bytes([i % 256]) * (4 + n % 7), data\n"
	    "        total += (yield PortalCmd('ping', i)).value - i\n"
	    "    return total\n"
	    "def many(base):\n"
	    "    for n in range(base, base + 100):\n"
	    "        tasks = [portal.start(ask(n + k)) for k in range(5)]\n"
	    "        if n % 3 == 0:\n"
	    "            tasks[n % 5].cancel()\n"
	    "        for task in tasks:\n"
	    "            try:\n"
	    "                assert task.wait(60) == 0\n"
	    "                right.append(task)\n"
	    "            except PortalError as e:\n"
	    "                assert e.errno == errno.ECANCELED, e\n"
	    "                cancelled.append(task)\n"
	    "threads = [threading.Thread(target=many, args=(i * 1000,)) for i in range(3)]\n"
	    "@portal.call(0)\n"
	    "def begin(call):\n"
	    "    for thread in threads: thread.start()\n"
	    "@portal.call(1)\n"
	    "def end(call):\n"
	    "    for thread in threads: thread.join()\n"
	    "    print('of', len(right) + len(cancelled), 'right at least', len(right) >= 1390)\n");
	assert_int_equal(pthread_create(&thread, NULL, worker, NULL), 0);
	assert_int_equal(call(0, 0), 0);
	assert_int_equal(call(1, 0), 0);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	sem_post(&kick);
	pthread_join(thread, &why);
	assert_null(why);
	if (!strstr(said, "of 1500 right at least True"))
		fail_msg("%s", said);
	cmd_info(&chan, &info);
	assert_int_equal(info.credits, ENTRIES - ENTRIES / 8);
	assert_true(info.answered >= 13900);
}

static int setup_chan(void **state)
{
	sem_init(&kick, 0, 0);
	open_chan();
	return plugin->load(&chan_api);
}

static int teardown_chan(void **state)
{
	cmd_close(&chan, -ECONNRESET);
	if (handle)
		plugin->close(handle);
	handle = NULL;
	plugin->unload();
	cmd_destroy(&chan);
	free(ram);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(threads_and_cancels, setup_chan, teardown_chan),
	};

	log_open(0, "python_chan_test");
	return is_built() ? cmocka_run_group_tests(tests, world_setup, world_teardown) : 0;
}
