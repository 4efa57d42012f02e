// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_base.c - commands that every agent has
 */
#include <linux/nsproxy.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "agent.h"

int agent_op_ping(struct agent_cmd *cmd)
{
	cmd->done.value = cmd->req.addr;
	return 0;
}

int agent_op_cancel(struct agent_cmd *cmd)
{
	cmd->done.value = agent_cancel(cmd->chan, cmd->req.addr);
	return 0;
}

int agent_op_uname(struct agent_cmd *cmd)
{
	struct portal_cmd_uname out = {};
	struct new_utsname *uts = &init_uts_ns.name;

	/* uts_sem is not for modules; each is a string at any moment. */
	strscpy(out.sysname, uts->sysname, sizeof(out.sysname));
	strscpy(out.nodename, uts->nodename, sizeof(out.nodename));
	strscpy(out.release, uts->release, sizeof(out.release));
	strscpy(out.version, uts->version, sizeof(out.version));
	strscpy(out.machine, uts->machine, sizeof(out.machine));
	strscpy(out.domainname, uts->domainname, sizeof(out.domainname));
	return agent_put(cmd, &out, sizeof(out));
}

int agent_op_time(struct agent_cmd *cmd)
{
	struct portal_cmd_time out = {
		.realtime_ns = ktime_get_real_ns(),
		.boottime_ns = ktime_get_boottime_ns(),
		.monotonic_ns = ktime_get_ns(),
	};

	return agent_put(cmd, &out, sizeof(out));
}
