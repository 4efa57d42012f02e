// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdabi.c - which commands mean the same here and in the guest
 *
 * If all do, one hash says so. Else the agent says for each what it is, and
 * plugins can use those that look alike: an older agent lacks some, and a newer
 * one has more.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"
#include "log.h"

static const struct {
	uint16_t op;
	uint32_t hash;
	const char *name;
} ours[] = {
#define ROW(NAME, name, CLASS, use, in, in_tail, out, out_tail, record, hash)	\
	{ PORTAL_CMD_##NAME, hash, #name },
	PORTAL_CMD_TABLE(ROW)
#undef ROW
};

#define NR_OURS	(sizeof(ours) / sizeof(ours[0]))

_Static_assert(NR_OURS <= CMD_MAX_OPS, "usable[] is too short");

const char *cmd_name(uint32_t op)
{
	for (size_t i = 0; i < NR_OURS; i++)
		if (ours[i].op == op)
			return ours[i].name;
	return "?";
}

/* One that is unknown here is the agent's to refuse. */
bool cmd_usable(const struct cmd_chan *chan, uint32_t op)
{
	for (size_t i = 0; i < NR_OURS; i++)
		if (ours[i].op == op)
			return chan->usable[i];
	return true;
}

/* By these the rest is found out; they never change. */
static bool is_fixed(uint16_t op)
{
	return op == PORTAL_CMD_PING || op == PORTAL_CMD_FEATURES || op == PORTAL_CMD_CANCEL;
}

static void compare(struct cmd_chan *chan, const struct portal_cmd_op_info *theirs, size_t nr)
{
	for (size_t i = 0; i < NR_OURS; i++) {
		bool same = is_fixed(ours[i].op);

		for (size_t j = 0; j < nr && !same; j++)
			same = theirs[j].op == ours[i].op && theirs[j].hash == ours[i].hash;
		chan->usable[i] = same;
		if (!same)
			log_notice("the guest's agent has another %s, or none: not used",
				   ours[i].name);
	}
}

static void features_done(struct portal_command *cmd)
{
	struct cmd_chan *chan = cmd->plugin_data[0];
	struct portal_cmd_features *feat = NULL;
	size_t len = 0, nr;

	if (!cmd->status)
		feat = malloc(cmd->out_size + sizeof(*feat));
	for (uint32_t i = 0; feat && i < cmd->out_cnt; len += cmd->out[i++].iov_len)
		memcpy((char *)feat + len, cmd->out[i].iov_base, cmd->out[i].iov_len);
	if (len >= sizeof(*feat)) {
		nr = (len - sizeof(*feat)) / sizeof(struct portal_cmd_op_info);
		if (nr > feat->nr_ops)
			nr = feat->nr_ops;
		pthread_mutex_lock(&chan->lock);
		compare(chan, (void *)(feat + 1), nr);
		pthread_mutex_unlock(&chan->lock);
	}
	free(feat);
	cmd_end(chan, cmd);
	free(cmd);
}

/* Until the agent has said what it has, only what never changes is used. */
struct portal_command *cmd_ask_features(struct cmd_chan *chan)
{
	struct portal_command *cmd;

	for (size_t i = 0; i < NR_OURS; i++)
		chan->usable[i] = chan->conf.abi_hash == PORTAL_CMD_ABI_HASH ||
				  is_fixed(ours[i].op);
	if (chan->conf.abi_hash == PORTAL_CMD_ABI_HASH)
		return NULL;
	log_notice("the guest's agent has another set of commands (%#llx, here %#llx)",
		   (unsigned long long)chan->conf.abi_hash, PORTAL_CMD_ABI_HASH);
	cmd = calloc(1, sizeof(*cmd));
	if (!cmd)
		return NULL;
	cmd->op = PORTAL_CMD_FEATURES;
	cmd->out_len = 65536;
	cmd->done = features_done;
	cmd->plugin_data[0] = chan;
	return cmd;
}
