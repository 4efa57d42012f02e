// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdchan.c - the life of a command
 *
 * What a plugin waits for and what the guest works at are two things: a command
 * that expired is over for the plugin, but its memory is the guest's until its
 * answer, or another guest, comes. An answer finds its command by transaction
 * id alone, which never comes again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"
#include "log.h"

/* flights that only CANCEL may have: expired commands must not use up all */
#define RESERVED(chan)	((chan)->nr_flights / 8)

uint64_t cmd_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t in_len(const struct portal_command *cmd)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < cmd->in_cnt; i++) {
		if (cmd->in[i].iov_len > UINT32_MAX)
			return UINT64_MAX;
		len += cmd->in[i].iov_len;
	}
	return len;
}

static uint32_t page_align(uint32_t len)
{
	return (len + CMD_PAGE - 1) / CMD_PAGE * CMD_PAGE;
}

/* ---- lists -------------------------------------------------------------------- */

static void append(struct cmd_chan *chan, struct portal_command *cmd)
{
	cmd->next = NULL;
	if (chan->last)
		chan->last->next = cmd;
	else
		chan->first = cmd;
	chan->last = cmd;
}

static void prepend(struct cmd_chan *chan, struct portal_command *cmd)
{
	cmd->next = chan->first;
	chan->first = cmd;
	if (!chan->last)
		chan->last = cmd;
}

static void unlink_after(struct cmd_chan *chan, struct portal_command *prev,
			 struct portal_command *cmd)
{
	if (prev)
		prev->next = cmd->next;
	else
		chan->first = cmd->next;
	if (chan->last == cmd)
		chan->last = prev;
}

/* ---- end ---------------------------------------------------------------------- */

/* @over: list of those whose done() is to be called without the lock */
static void finish(struct cmd_chan *chan, struct portal_command *cmd, int status,
		   struct portal_command **over)
{
	cmd->status = status;
	cmd->deadline = 0;
	if (!cmd->done) {
		cmd->over = 1;
		pthread_cond_broadcast(&chan->over);
		return;
	}
	cmd->next = *over;
	*over = cmd;
}

static void call_done(struct portal_command *over)
{
	struct portal_command *ordered = NULL, *next;

	for (; over; over = next) {
		next = over->next;
		over->next = ordered;
		ordered = over;
	}
	for (; ordered; ordered = next) {
		next = ordered->next;	/* done() may free it */
		ordered->over = 1;
		ordered->done(ordered);
	}
}

static void free_flight(struct cmd_chan *chan, struct cmd_flight *fl)
{
	uint32_t len = fl->out_off + fl->out_len - fl->off;

	ring_free(chan, fl->off, len);
	fl->txn = 0;
	fl->cmd = NULL;
	fl->answered = false;
	chan->in_use--;
}

static struct cmd_flight *find_flight(const struct cmd_chan *chan, uint64_t txn)
{
	struct cmd_flight *fl;

	if (!chan->open || !txn)
		return NULL;
	fl = &chan->flights[txn & (chan->nr_flights - 1)];
	return fl->txn == txn ? fl : NULL;
}

/* ---- to the guest ------------------------------------------------------------- */

static void signal_guest(struct cmd_chan *chan)
{
	if (chan->signalled || !chan->open)
		return;
	chan->signalled = cmd_now();
	chan->env.signal(chan->env.arg);
}

static void set_timer(struct cmd_chan *chan)
{
	uint64_t first = chan->first && chan->signalled ? chan->signalled + CMD_SIGNAL_NS : 0;

	for (struct portal_command *cmd = chan->first; cmd; cmd = cmd->next)
		if (cmd->deadline && (!first || cmd->deadline < first))
			first = cmd->deadline;
	for (uint32_t i = 0; i < chan->nr_flights; i++) {
		const struct portal_command *cmd = chan->flights[i].cmd;

		/* that of an answered one is 0 */
		if (cmd && cmd->deadline && (!first || cmd->deadline < first))
			first = cmd->deadline;
	}
	chan->env.timer(chan->env.arg, first);
}

static struct cmd_flight *new_flight(struct cmd_chan *chan)
{
	for (uint32_t i = 0; i < chan->nr_flights; i++) {
		struct cmd_flight *fl = &chan->flights[i];

		if (fl->txn)
			continue;
		/* number: how often any began, and which this is */
		fl->txn = (uint64_t)chan->epoch << 32 |
			  (uint32_t)(++chan->next_gen * chan->nr_flights + i);
		chan->in_use++;
		return fl;
	}
	return NULL;
}

static uint32_t credits(const struct cmd_chan *chan, const struct portal_command *cmd)
{
	uint32_t all = chan->nr_flights;

	if (!cmd || cmd->op != PORTAL_CMD_CANCEL)
		all -= RESERVED(chan);
	return chan->in_use < all ? all - chan->in_use : 0;
}

/* 0, or -EAGAIN: later */
static int publish(struct cmd_chan *chan, struct portal_command *cmd)
{
	uint32_t in = in_len(cmd), len = page_align(in) + cmd->out_len;
	struct cmd_flight *fl;
	struct portal_cmd req;
	int64_t off;

	if (!credits(chan, cmd) || !ring_has_room(chan))
		return -EAGAIN;
	off = ring_alloc(chan, len);
	if (off < 0)
		return -EAGAIN;
	fl = new_flight(chan);
	fl->cmd = cmd;
	fl->op = cmd->op;
	fl->off = off;
	fl->in_len = in;
	fl->out_off = off + page_align(in);
	fl->out_len = cmd->out_len;
	cmd->wire_txn = fl->txn;
	ring_fill(chan, off, cmd->in, cmd->in_cnt);
	req = (struct portal_cmd) {
		.version = PORTAL_CMD_VERSION, .op = cmd->op, .txn = fl->txn,
		.cookie = cmd->cookie, .pid = cmd->pid, .seq = chan->sq_tail,
		.addr = cmd->addr, .size = cmd->size,
		.in_off = fl->off, .in_len = in,
		.out_off = fl->out_off, .out_len = cmd->out_len,
	};
	ring_publish(chan, &req);
	chan->stats.sent++;
	return 0;
}

static uint64_t publish_all(struct cmd_chan *chan)
{
	uint64_t nr = 0;

	while (chan->first) {
		struct portal_command *cmd = chan->first;

		/* in order: a large one must not starve */
		if (publish(chan, cmd))
			break;
		unlink_after(chan, NULL, cmd);
		nr++;
	}
	return nr;
}

/* ---- from the guest ----------------------------------------------------------- */

static void give_answer(struct cmd_chan *chan, const struct cmd_flight *fl,
			const struct portal_cmd_done *done, struct portal_command **over)
{
	struct portal_command *cmd = fl->cmd;
	int status = done->status;

	/* What a guest says of itself: an errno, and no more bytes than there was room. */
	if (status > 0 || status < -4095 || (cmd->out_len && done->size > fl->out_len))
		status = -EPROTO;
	cmd->flags = done->flags & (PORTAL_DONE_F_PARTIAL | PORTAL_DONE_F_MORE |
				    PORTAL_DONE_F_TORN);
	cmd->out_size = status == -EPROTO ? 0 : done->size;
	cmd->value = done->value;
	cmd->cursor = done->cursor;
	cmd->count = done->count;
	if (cmd->out_len && cmd->out_size) {
		cmd->out = ring_iov(chan, fl->out_off, cmd->out_size, &cmd->out_cnt);
		if (!cmd->out) {
			status = -ENOMEM;
			cmd->out_size = 0;
		}
	}
	chan->stats.answered++;
	finish(chan, cmd, status, over);
}

static int take_answers(struct cmd_chan *chan, struct portal_command **over)
{
	uint32_t most = chan->conf.cq_entries;
	struct portal_cmd_done done;
	int ret = 0;

	while (most-- && (ret = ring_take(chan, &done)) > 0) {
		struct cmd_flight *fl = find_flight(chan, done.txn);

		if (!fl || fl->op != done.op || fl->answered) {
			chan->stats.stale++;
			continue;
		}
		if (!fl->cmd) {
			chan->stats.stale++;
			free_flight(chan, fl);
			continue;
		}
		give_answer(chan, fl, &done, over);
		/* command_end() gives back what the plugin looks at */
		if (fl->cmd->out)
			fl->answered = true;
		else
			free_flight(chan, fl);
	}
	return ret < 0 ? ret : 0;
}

/* Nothing of it is believed any more, until the guest opens it again. */
static void fail(struct cmd_chan *chan, int status, struct portal_command **over)
{
	struct portal_command *cmd;

	for (uint32_t i = 0; i < chan->nr_flights; i++) {
		struct cmd_flight *fl = &chan->flights[i];

		if (fl->cmd && !fl->answered)
			finish(chan, fl->cmd, status, over);
		fl->cmd = NULL;
	}
	while ((cmd = chan->first)) {
		unlink_after(chan, NULL, cmd);
		finish(chan, cmd, status, over);
	}
	chan->env.timer(chan->env.arg, 0);
}

static void hooks_ended(struct cmd_chan *chan)
{
	if (chan->env.event)
		chan->env.event(chan->env.arg, NULL);
}

static void break_off(struct cmd_chan *chan, const char *what, struct portal_command **over)
{
	log_warn("the guest's ring of %s makes no sense: its channel is closed", what);
	chan->broken = true;
	fail(chan, -EPROTO, over);
}

/*
 * Answers are taken first, then events are told, then the answers: whoever is told
 * that a hook is gone has heard all of it.
 */
int cmd_sync(struct cmd_chan *chan, uint64_t epoch, uint64_t number, uint64_t *value)
{
	struct portal_command *over = NULL;
	bool synced = false;
	int ret = 0;

	pthread_mutex_lock(&chan->lock);
	chan->signalled = 0;
	if (!chan->open || chan->broken) {
		ret = -ENODEV;
	} else if (number) {
		ret = -EINVAL;
	} else if (epoch != chan->epoch) {
		*value = PORTAL_SYNC_RESET | chan->epoch;
	} else {
		if (!chan->synced) {
			ring_reset(chan);
			chan->synced = true;
		}
		synced = true;
		ret = take_answers(chan, &over);
		if (ret)
			break_off(chan, "answers", &over);
		else
			*value = publish_all(chan);
	}
	pthread_mutex_unlock(&chan->lock);
	if (synced && !ret) {
		ret = ring_events(chan);
		if (ret) {
			pthread_mutex_lock(&chan->lock);
			break_off(chan, "events", &over);
			pthread_mutex_unlock(&chan->lock);
		}
	}
	if (ret == -EPROTO)
		hooks_ended(chan);
	call_done(over);
	return ret;
}

/* ---- time-out and cancel ------------------------------------------------------ */

static void cancel_is_over(struct portal_command *cmd)
{
	free(cmd);
}

/* Asks the guest to end it, too; without memory it ends by itself. */
static void cancel_in_guest(struct cmd_chan *chan, uint64_t txn)
{
	struct portal_command *cmd = calloc(1, sizeof(*cmd));

	if (!cmd)
		return;
	cmd->op = PORTAL_CMD_CANCEL;
	cmd->addr = txn;
	cmd->done = cancel_is_over;
	prepend(chan, cmd);
	signal_guest(chan);
}

void cmd_expire(struct cmd_chan *chan, uint64_t now)
{
	struct portal_command *over = NULL, *prev = NULL, *cmd, *next;

	pthread_mutex_lock(&chan->lock);
	for (cmd = chan->first; cmd; cmd = next) {
		next = cmd->next;
		if (cmd->deadline && cmd->deadline <= now) {
			unlink_after(chan, prev, cmd);
			chan->stats.timeouts++;
			finish(chan, cmd, -ETIME, &over);
		} else {
			prev = cmd;
		}
	}
	for (uint32_t i = 0; i < chan->nr_flights; i++) {
		struct cmd_flight *fl = &chan->flights[i];

		if (!fl->cmd || fl->answered || !fl->cmd->deadline || fl->cmd->deadline > now)
			continue;
		log_debug("%s expired", cmd_name(fl->op));
		chan->stats.timeouts++;
		finish(chan, fl->cmd, -ETIME, &over);
		fl->cmd = NULL;
		cancel_in_guest(chan, fl->txn);
	}
	/* An interrupt controller forgets an edge while the line is masked. */
	if (chan->signalled && chan->first && chan->signalled + CMD_SIGNAL_NS <= now) {
		chan->signalled = 0;
		chan->stats.repeated++;
		signal_guest(chan);
	}
	set_timer(chan);
	pthread_mutex_unlock(&chan->lock);
	call_done(over);
}

int cmd_cancel(struct cmd_chan *chan, uint64_t txn)
{
	struct portal_command *over = NULL, *prev = NULL, *cmd;
	int ret = -ENOENT;

	pthread_mutex_lock(&chan->lock);
	for (uint32_t i = 0; i < chan->nr_flights; i++) {
		const struct cmd_flight *fl = &chan->flights[i];

		if (fl->cmd && !fl->answered && fl->cmd->txn == txn) {
			chan->stats.cancelled++;
			cancel_in_guest(chan, fl->txn);
			ret = 0;
			break;
		}
	}
	for (cmd = chan->first; ret && cmd; prev = cmd, cmd = cmd->next) {
		if (cmd->txn != txn)
			continue;
		chan->stats.cancelled++;
		unlink_after(chan, prev, cmd);
		finish(chan, cmd, -ECANCELED, &over);
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&chan->lock);
	call_done(over);
	return ret;
}

/* ---- for plugins -------------------------------------------------------------- */

int cmd_start(struct cmd_chan *chan, struct portal_command *cmd)
{
	uint64_t len = in_len(cmd);
	int ret = 0;

	cmd->out = NULL;
	cmd->out_cnt = cmd->over = cmd->flags = 0;
	cmd->status = 0;
	cmd->out_size = cmd->value = cmd->cursor = cmd->count = 0;
	cmd->deadline = cmd_now() + (cmd->timeout_ms ? : CMD_TIMEOUT_MS) * 1000000ULL;
	pthread_mutex_lock(&chan->lock);
	if (!chan->open || chan->broken)
		ret = -ENOTCONN;
	else if (cmd->op > UINT16_MAX)
		ret = -ENOSYS;
	else if (!cmd_usable(chan, cmd->op))
		ret = -EPROTONOSUPPORT;
	else if (len > chan->conf.data_len || cmd->out_len > chan->conf.data_len ||
		 page_align(len) + (uint64_t)cmd->out_len > chan->conf.data_len)
		ret = -EMSGSIZE;
	if (!ret) {
		cmd->txn = ++chan->next_txn;
		append(chan, cmd);
		signal_guest(chan);
		set_timer(chan);
	}
	pthread_mutex_unlock(&chan->lock);
	return ret;
}

int cmd_wait(struct cmd_chan *chan, struct portal_command *cmd)
{
	int ret;

	cmd->done = NULL;
	ret = cmd_start(chan, cmd);
	if (ret) {
		cmd->status = ret;
		return ret;
	}
	pthread_mutex_lock(&chan->lock);
	while (!cmd->over)
		pthread_cond_wait(&chan->over, &chan->lock);
	pthread_mutex_unlock(&chan->lock);
	return cmd->status;
}

void cmd_end(struct cmd_chan *chan, struct portal_command *cmd)
{
	struct cmd_flight *fl;

	pthread_mutex_lock(&chan->lock);
	fl = cmd->out ? find_flight(chan, cmd->wire_txn) : NULL;
	if (fl)
		free_flight(chan, fl);
	/* others may wait for its memory */
	if (chan->first && chan->synced)
		signal_guest(chan);
	pthread_mutex_unlock(&chan->lock);
	free((void *)cmd->out);
	cmd->out = NULL;
}

void cmd_info(struct cmd_chan *chan, struct portal_command_info *info)
{
	uint64_t size = info->struct_size;

	pthread_mutex_lock(&chan->lock);
	chan->stats.struct_size = sizeof(*info);
	chan->stats.connected = chan->synced && !chan->broken;
	chan->stats.credits = chan->open ? credits(chan, NULL) : 0;
	chan->stats.classes = chan->open ? chan->conf.classes : 0;
	chan->stats.data_len = chan->open ? chan->conf.data_len : 0;
	memcpy(info, &chan->stats, size < sizeof(*info) ? size : sizeof(*info));
	pthread_mutex_unlock(&chan->lock);
}

/* ---- open and close ----------------------------------------------------------- */

int cmd_open(struct cmd_chan *chan, uint64_t gpa, uint32_t epoch)
{
	struct portal_command *ask;
	int ret;

	pthread_mutex_lock(&chan->lock);
	ret = chan->open ? -EBUSY : ring_open(chan, gpa);
	if (!ret) {
		chan->open = true;
		chan->synced = chan->broken = false;
		chan->signalled = 0;
		chan->epoch = epoch;
		chan->in_use = 0;
		chan->stats.resets++;
		ask = cmd_ask_features(chan);
		if (ask)
			append(chan, ask);
		/* the guest must hear of the epoch */
		signal_guest(chan);
		set_timer(chan);
	}
	pthread_mutex_unlock(&chan->lock);
	return ret;
}

void cmd_close(struct cmd_chan *chan, int status)
{
	struct portal_command *over = NULL;
	bool was_open;

	pthread_mutex_lock(&chan->lock);
	was_open = chan->open;
	if (was_open) {
		fail(chan, status, &over);
		chan->open = chan->synced = false;
		ring_close(chan);
	}
	pthread_mutex_unlock(&chan->lock);
	if (was_open)
		hooks_ended(chan);
	call_done(over);
}

void cmd_init(struct cmd_chan *chan, const struct cmd_env *env)
{
	memset(chan, 0, sizeof(*chan));
	chan->env = *env;
	pthread_mutex_init(&chan->lock, NULL);
	pthread_cond_init(&chan->over, NULL);
}

void cmd_destroy(struct cmd_chan *chan)
{
	cmd_close(chan, -ECONNRESET);
	pthread_mutex_destroy(&chan->lock);
	pthread_cond_destroy(&chan->over);
}
