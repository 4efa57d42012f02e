/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cmdchan.h - the host's end of a channel: commands of a plugin to its guest
 *
 *	command() -> pending -> in flight -> over -> command_end()
 *
 * cmdchan.c has the life of a command, cmdring.c the memory shared with the
 * guest, cmdevent.c what its hooks tell, cmdabi.c which commands both know. None
 * writes to the guest but in cmd_sync(): see portal_channel.h.
 */
#ifndef PORTALD_CMDCHAN_H
#define PORTALD_CMDCHAN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/portal_channel.h>
#include <portald/plugin.h>

#define CMD_TIMEOUT_MS	10000
/* An interrupt that the guest did not follow is raised again. */
#define CMD_SIGNAL_NS	1000000000ULL
#define CMD_PAGE	4096U
#define CMD_MAX_OPS	256

/**
 * struct cmd_flight - a command that the guest has
 * @cmd: NULL: nobody waits for it any more
 * @answered: @cmd is over, and its plugin looks at the answer
 * @txn: 0: free
 * @op: enum portal_cmd_op
 * @off: its memory in the data region
 * @in_len: payload, at @off
 * @out_off: answer
 * @out_len: its room
 */
struct cmd_flight {
	struct portal_command *cmd;
	bool answered;
	uint64_t txn;
	uint16_t op;
	uint32_t off;
	uint32_t in_len;
	uint32_t out_off;
	uint32_t out_len;
};

/* What a channel needs of the world. */
struct cmd_env {
	void *arg;
	/* Where [gpa, gpa + len) is here, NULL if it is no RAM. */
	void *(*at)(void *arg, uint64_t gpa, size_t len);
	/* Raises the guest's interrupt. */
	void (*signal)(void *arg);
	/* cmd_expire() is to be called at @ns of CLOCK_MONOTONIC; 0: never. */
	void (*timer)(void *arg, uint64_t ns);
	/*
	 * A hook tells something; @ev is a copy, NULL: there are no hooks any more.
	 * Without the lock. May be NULL: nobody hears.
	 */
	void (*event)(void *arg, const struct portal_event *ev);
};

/**
 * struct cmd_chan - a channel
 * @lock: protects all but @env
 * @over: a command that somebody waits for is over
 * @conf: copy of what the guest wrote, checked; @head is its memory
 * @chunks: where the pieces of the data region are
 * @epoch: of this worker and this agent
 * @open: the guest gave us memory
 * @synced: and is at our epoch
 * @signalled: when it was told to call SYNC, which it has not done since; 0 else
 * @sq_tail: published
 * @cq_head: taken
 * @ev_head: bytes of events taken (cmd_sync() only)
 * @flights: by number & (nr_flights - 1)
 * @in_use: of them
 * @next_gen: for the next transaction id of the guest's
 * @next_txn: for the next one of the plugin's
 * @pages: bit set of the data region's used pages
 * @usable: commands that mean the same to the agent, in the table's order
 * @first, @last: commands that are not sent yet
 */
struct cmd_chan {
	struct cmd_env env;
	pthread_mutex_t lock;
	pthread_cond_t over;
	struct portal_channel conf;
	struct portal_channel *head;
	void **chunks;
	uint32_t epoch;
	bool open;
	bool synced;
	bool broken;
	uint64_t signalled;
	uint32_t sq_tail;
	uint32_t cq_head;
	uint32_t ev_head;
	struct cmd_flight *flights;
	uint32_t nr_flights;
	uint32_t in_use;
	uint32_t next_gen;
	uint64_t next_txn;
	uint8_t *pages;
	bool usable[CMD_MAX_OPS];
	struct portal_command *first;
	struct portal_command *last;
	struct portal_command_info stats;
};

/* cmdchan.c */
void cmd_init(struct cmd_chan *chan, const struct cmd_env *env);
void cmd_destroy(struct cmd_chan *chan);
/* The guest's memory is at @gpa; @epoch: never used for this slot before. */
int cmd_open(struct cmd_chan *chan, uint64_t gpa, uint32_t epoch);
/* Every command ends with @status; the guest's memory is not used any more. */
void cmd_close(struct cmd_chan *chan, int status);
/* The guest calls: -errno, or *@value is the answer. */
int cmd_sync(struct cmd_chan *chan, uint64_t epoch, uint64_t number, uint64_t *value);
/* @now: ns of CLOCK_MONOTONIC */
void cmd_expire(struct cmd_chan *chan, uint64_t now);
int cmd_start(struct cmd_chan *chan, struct portal_command *cmd);
int cmd_wait(struct cmd_chan *chan, struct portal_command *cmd);
void cmd_end(struct cmd_chan *chan, struct portal_command *cmd);
int cmd_cancel(struct cmd_chan *chan, uint64_t txn);
void cmd_info(struct cmd_chan *chan, struct portal_command_info *info);
uint64_t cmd_now(void);

/* cmdabi.c; @chan->lock is held */
/* NULL, or a command to be sent first; it frees itself. */
struct portal_command *cmd_ask_features(struct cmd_chan *chan);
bool cmd_usable(const struct cmd_chan *chan, uint32_t op);
const char *cmd_name(uint32_t op);

/* cmdring.c; @chan->lock is held */
int ring_open(struct cmd_chan *chan, uint64_t gpa);
void ring_close(struct cmd_chan *chan);
void ring_reset(struct cmd_chan *chan);
/* Offset of @len bytes of the data region, or -1. */
int64_t ring_alloc(struct cmd_chan *chan, uint32_t len);
void ring_free(struct cmd_chan *chan, uint32_t off, uint32_t len);
void ring_fill(struct cmd_chan *chan, uint32_t off, const struct iovec *iov, uint32_t cnt);
/* Where @len bytes from @off on are: allocated, NULL if there is no memory. */
struct iovec *ring_iov(const struct cmd_chan *chan, uint32_t off, uint32_t len, uint32_t *cnt);
bool ring_has_room(const struct cmd_chan *chan);
void ring_publish(struct cmd_chan *chan, const struct portal_cmd *cmd);
/* 1: an answer, 0: none, -EPROTO: the guest's ring makes no sense. */
int ring_take(struct cmd_chan *chan, struct portal_cmd_done *done);

/* cmdevent.c; without the lock, in cmd_sync()'s thread. 0, or -EPROTO: it makes no sense. */
int ring_events(struct cmd_chan *chan);

#endif /* PORTALD_CMDCHAN_H */
