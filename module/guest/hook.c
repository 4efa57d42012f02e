// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook.c - hooks: their commands, beginning and end
 *
 * hooks_lock (a mutex) protects the lists for writers, and which tracepoints are
 * on; probes read the lists under RCU. A hook is in its list before its probe is
 * on, and freed after the probe is off and a grace period.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "agent.h"
#include "hook.h"

static DEFINE_MUTEX(hooks_lock);
struct list_head hook_lists[HOOK_KINDS];
static unsigned int nr_hooks;
/* hooks that need the tracepoint of kind and moment */
static unsigned int users[HOOK_KINDS][HOOK_RETURN + 1];

static int no_set(const char *val, const struct kernel_param *kp)
{
	return -EPERM;
}

static int get_hooks(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", READ_ONCE(nr_hooks));
}

static const struct kernel_param_ops hooks_ops = { .set = no_set, .get = get_hooks };
module_param_cb(hooks, &hooks_ops, NULL, 0444);
MODULE_PARM_DESC(hooks, "Hooks that the host has now (read only)");

/* ---- begin -------------------------------------------------------------------- */

static int trace_get(unsigned int kind, unsigned int when)
{
	int ret = users[kind][when] ? 0 : hook_trace_start(kind, when);

	users[kind][when] += !ret;
	return ret;
}

static void trace_put(unsigned int kind, unsigned int when)
{
	if (!--users[kind][when])
		hook_trace_stop(kind, when);
}

static int start(struct agent_hook *hook)
{
	unsigned int when = hook->conf.when;
	int ret = 0;

	if (hook->conf.kind == PORTAL_EVENT_KPROBE)
		return hook_kprobe_start(hook);
	if (hook->conf.kind == PORTAL_EVENT_UPROBE)
		return hook_uprobe_start(hook);
	if (hook->conf.kind == PORTAL_EVENT_ASK)
		return hook_ask_start(hook);
	if (when & HOOK_ENTRY)
		ret = trace_get(hook->conf.kind, HOOK_ENTRY);
	if (!ret && (when & HOOK_RETURN)) {
		ret = trace_get(hook->conf.kind, HOOK_RETURN);
		if (ret && (when & HOOK_ENTRY))
			trace_put(hook->conf.kind, HOOK_ENTRY);
	}
	return ret;
}

static void stop(struct agent_hook *hook)
{
	if (hook->conf.kind == PORTAL_EVENT_KPROBE) {
		hook_kprobe_stop(hook);
		return;
	}
	if (hook->conf.kind == PORTAL_EVENT_UPROBE) {
		hook_uprobe_stop(hook);
		return;
	}
	if (hook->conf.kind == PORTAL_EVENT_ASK) {
		hook_ask_stop(hook);
		return;
	}
	if (hook->conf.when & HOOK_ENTRY)
		trace_put(hook->conf.kind, HOOK_ENTRY);
	if (hook->conf.when & HOOK_RETURN)
		trace_put(hook->conf.kind, HOOK_RETURN);
}

static bool has_moments(u16 kind)
{
	return kind == PORTAL_EVENT_SYSCALL || kind == PORTAL_EVENT_KPROBE ||
	       kind == PORTAL_EVENT_UPROBE || kind == PORTAL_EVENT_ASK;
}

/* The payload ends with a name. */
static bool has_target(u16 kind)
{
	return kind == PORTAL_EVENT_KPROBE || kind == PORTAL_EVENT_UPROBE ||
	       kind == PORTAL_EVENT_ASK;
}

/* What more than class hook a kind needs. */
static u64 more_classes(u16 kind)
{
	/* Its arguments, and what it returns, are often the kernel's addresses. */
	if (kind == PORTAL_EVENT_KPROBE)
		return BIT_ULL(PORTAL_CLASS_KMEM);
	/* A wrong offset, or answer, changes what the program does. */
	if (kind == PORTAL_EVENT_UPROBE || kind == PORTAL_EVENT_ASK)
		return BIT_ULL(PORTAL_CLASS_MEM);
	return 0;
}

static int check_conf(const struct portal_cmd_hook *conf)
{
	if (conf->kind == PORTAL_EVENT_PAD || conf->kind == PORTAL_EVENT_NODE ||
	    conf->kind >= HOOK_KINDS)
		return -EOPNOTSUPP;
	if (more_classes(conf->kind) & ~agent_classes())
		return -EPERM;
	if (!conf->when || conf->when > (HOOK_ENTRY | HOOK_RETURN) ||
	    (conf->when != HOOK_ENTRY && !has_moments(conf->kind)))
		return -EINVAL;
	if (conf->flags & ~(HOOK_F_CHILD | HOOK_F_FOLLOW | HOOK_F_PRESET) || conf->pad ||
	    conf->root == HOOK_NO_ROOT ||
	    ((conf->flags & HOOK_F_CHILD) && conf->root))
		return -EINVAL;
	if (conf->nr_filters > HOOK_MAX_FILTERS || conf->string_arg > 6 ||
	    (conf->string_arg && !has_moments(conf->kind)))
		return -EINVAL;
	if (conf->kind != PORTAL_EVENT_ASK && (conf->timeout_ms || conf->flags & HOOK_F_PRESET))
		return -EINVAL;
	if (conf->kind != PORTAL_EVENT_SYSCALL && memchr_inv(conf->nrs, 0, sizeof(conf->nrs)))
		return -EINVAL;
	return 0;
}

static int take_filters(struct agent_hook *hook, const char *rest, const char *end)
{
	size_t len;
	int ret;
	u16 i;

	len = hook->conf.nr_filters * sizeof(*hook->filters);
	if (len > end - rest)
		return -EINVAL;
	hook->filters = kmemdup(rest, len, GFP_KERNEL);
	if (!hook->filters)
		return -ENOMEM;
	for (i = 0; i < hook->conf.nr_filters; i++) {
		ret = hook_filter_check(hook, &hook->filters[i]);
		if (ret)
			return ret;
		hook->needs_string |= hook->filters[i].field == HOOK_FIELD_STRING;
	}
	return len;
}

/* The payload: the struct, filters, answer, and the name of what is hooked. */
static int take_payload(struct agent_hook *hook, const struct agent_cmd *cmd)
{
	const char *rest = cmd->in + sizeof(hook->conf), *end = cmd->in + cmd->req.in_len;
	int ret;

	memcpy(&hook->conf, cmd->in, sizeof(hook->conf));
	ret = check_conf(&hook->conf);
	if (!ret)
		ret = take_filters(hook, rest, end);
	if (ret < 0)
		return ret;
	rest += ret;
	if (hook->conf.flags & HOOK_F_PRESET) {
		if (sizeof(hook->answer) > end - rest)
			return -EINVAL;
		memcpy(&hook->answer, rest, sizeof(hook->answer));
		rest += sizeof(hook->answer);
	}

	if (!has_target(hook->conf.kind))
		return rest == end && !cmd->req.addr ? 0 : -EINVAL;
	if (end - rest < 2 || strnlen(rest, end - rest) != end - rest - 1)
		return -EINVAL;
	if (hook->conf.kind == PORTAL_EVENT_UPROBE && agent_path(cmd, rest, end - rest))
		return -EINVAL;
	hook->offset = cmd->req.addr;
	hook->target = kstrdup(rest, GFP_KERNEL);
	if (!hook->target)
		return -ENOMEM;
	return hook->conf.kind == PORTAL_EVENT_ASK ? hook_ask_check(hook) : 0;
}

static void hook_free(struct agent_hook *hook)
{
	kfree(hook->target);
	kfree(hook->filters);
	kfree(hook);
}

static unsigned int count(const struct agent_chan *chan)
{
	const struct agent_hook *hook;
	unsigned int kind, nr = 0;

	for (kind = 0; kind < HOOK_KINDS; kind++) {
		list_for_each_entry(hook, &hook_lists[kind], node)
			nr += hook->chan == chan;
	}
	return nr;
}

/* hooks_lock is held. */
static int add(struct agent_hook *hook)
{
	int ret;

	if (count(hook->chan) >= HOOK_MAX)
		return -EMFILE;
	list_add_tail_rcu(&hook->node, &hook_lists[hook->conf.kind]);
	ret = start(hook);
	if (ret) {
		list_del_rcu(&hook->node);
		/* Others' probes may be in the list. */
		synchronize_rcu();
		return ret;
	}
	WRITE_ONCE(nr_hooks, nr_hooks + 1);
	return 0;
}

int agent_op_hook_start(struct agent_cmd *cmd)
{
	struct agent_chan *chan = cmd->chan;
	struct agent_hook *hook;
	int ret;

	if (!chan->events)
		return -EOPNOTSUPP;
	hook = kzalloc(sizeof(*hook), GFP_KERNEL);
	if (!hook)
		return -ENOMEM;
	ret = take_payload(hook, cmd);
	if (ret)
		goto out_free;
	hook->chan = chan;
	hook->cookie = cmd->req.cookie;
	hook->root = hook->conf.flags & HOOK_F_CHILD ? HOOK_NO_ROOT : hook->conf.root;
	hook->all_nrs = !memchr_inv(hook->conf.nrs, 0, sizeof(hook->conf.nrs));

	mutex_lock(&hooks_lock);
	hook->id = (u64)cmd->epoch << 32 | ++chan->next_hook;
	ret = add(hook);
	mutex_unlock(&hooks_lock);
	if (ret)
		goto out_free;
	cmd->done.value = hook->id;
	return 0;

out_free:
	hook_free(hook);
	return ret;
}

/* ---- end ---------------------------------------------------------------------- */

/* Those of @chan, with @id and @cookie if they are not NULL; how many. */
static unsigned int del(const struct agent_chan *chan, const u64 *id, const u64 *cookie)
{
	struct agent_hook *hook, *next;
	unsigned int kind, nr = 0;
	LIST_HEAD(gone);

	mutex_lock(&hooks_lock);
	for (kind = 0; kind < HOOK_KINDS; kind++) {
		list_for_each_entry_safe(hook, next, &hook_lists[kind], node) {
			if (hook->chan != chan || (id && hook->id != *id) ||
			    (cookie && hook->cookie != *cookie))
				continue;
			list_del_rcu(&hook->node);
			stop(hook);
			list_add(&hook->gone, &gone);
			nr++;
		}
	}
	WRITE_ONCE(nr_hooks, nr_hooks - nr);
	mutex_unlock(&hooks_lock);
	/* Others' probes may be at them. */
	if (nr)
		synchronize_rcu();
	list_for_each_entry_safe(hook, next, &gone, gone)
		hook_free(hook);
	return nr;
}

/**
 * agent_hook_del_all() - end all hooks of a channel
 * @chan: the channel; no command of it adds any
 *
 * Context: Process context, may sleep.
 * Return: how many there were.
 */
unsigned int agent_hook_del_all(struct agent_chan *chan)
{
	return del(chan, NULL, NULL);
}

int agent_op_hook_stop(struct agent_cmd *cmd)
{
	const u64 *id = cmd->req.addr ? &cmd->req.addr : NULL;

	cmd->done.count = del(cmd->chan, id, &cmd->req.cookie);
	return id && !cmd->done.count ? -ENOENT : 0;
}

int agent_op_hook_stat(struct agent_cmd *cmd)
{
	struct portal_cmd_hook_stat out = {};
	const struct agent_hook *hook;
	int ret = cmd->req.addr ? -ENOENT : 0;
	unsigned int kind;

	mutex_lock(&hooks_lock);
	cmd->done.value = nr_hooks;
	for (kind = 0; kind < HOOK_KINDS; kind++) {
		list_for_each_entry(hook, &hook_lists[kind], node) {
			if (hook->chan != cmd->chan || hook->id != cmd->req.addr ||
			    hook->cookie != cmd->req.cookie)
				continue;
			out.hits = atomic64_read(&hook->hits);
			out.passed = atomic64_read(&hook->passed);
			out.skipped = atomic64_read(&hook->skipped);
			out.sent = atomic64_read(&hook->sent);
			out.dropped = atomic64_read(&hook->dropped);
			out.expired = atomic64_read(&hook->expired);
			ret = 0;
		}
	}
	mutex_unlock(&hooks_lock);
	return ret ?: agent_put(cmd, &out, sizeof(out));
}

/* ---- programs that the host starts -------------------------------------------- */

static void set_root(struct agent_chan *chan, u64 cookie, u32 root)
{
	struct agent_hook *hook;
	unsigned int kind;

	mutex_lock(&hooks_lock);
	for (kind = 0; kind < HOOK_KINDS; kind++) {
		list_for_each_entry(hook, &hook_lists[kind], node) {
			if (hook->chan == chan && hook->cookie == cookie &&
			    (hook->conf.flags & HOOK_F_CHILD))
				WRITE_ONCE(hook->root, root);
		}
	}
	mutex_unlock(&hooks_lock);
}

/**
 * agent_hook_child() - a program is about to start
 * @chan: whose command starts it
 * @cookie: of that command: hooks with the same are about the program
 * @tgid: its process
 *
 * Context: Process context, may sleep.
 */
void agent_hook_child(struct agent_chan *chan, u64 cookie, u32 tgid)
{
	set_root(chan, cookie, tgid);
}

/**
 * agent_hook_child_ended() - its number may be another's now
 * @chan: as agent_hook_child()
 * @cookie: as agent_hook_child()
 *
 * Context: Process context, may sleep.
 */
void agent_hook_child_ended(struct agent_chan *chan, u64 cookie)
{
	set_root(chan, cookie, HOOK_NO_ROOT);
}

/**
 * agent_hook_init() - there are no hooks
 */
void agent_hook_init(void)
{
	unsigned int kind;

	for (kind = 0; kind < HOOK_KINDS; kind++)
		INIT_LIST_HEAD(&hook_lists[kind]);
	hook_ask_init();
}

/**
 * agent_hook_exit() - nobody runs what hooks called any more
 *
 * Context: Process context, may sleep. There are no hooks.
 */
void agent_hook_exit(void)
{
	hook_ask_exit();
}
