// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_event.c - events: from a probe, in any context, into the channel's ring
 *
 * A full ring drops what comes, and the hook counts it. The host takes events
 * while we call SYNC; of the events since the last SYNC only the first, and the
 * one that makes the ring half full, has the next one done: at most one call in
 * a tick, but for floods.
 */
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "agent.h"
#include "guest.h"
#include "hook.h"

/* Of a CPU whose interrupts are off; @busy: it is in use. */
struct hook_cpu {
	unsigned int busy;
	struct hook_string string;
};

static DEFINE_PER_CPU(struct hook_cpu, hook_cpus);

/* ---- signal ------------------------------------------------------------------- */

static void ev_work(struct work_struct *work)
{
	struct agent_chan *chan = container_of(to_delayed_work(work), struct agent_chan, ev_work);

	/* Another SYNC may have been first. */
	agent_event_sync(chan);
	if (READ_ONCE(chan->head->ev_head) != READ_ONCE(chan->ev_tail))
		queue_work(portal_wq, &chan->sync_work);
}

/* Hard interrupt, with no lock of anybody's. */
static void kick(struct irq_work *work)
{
	struct agent_chan *chan = container_of(work, struct agent_chan, kick);

	if (atomic_read(&chan->urgent))
		queue_work(portal_wq, &chan->sync_work);
	else
		queue_delayed_work(portal_wq, &chan->ev_work, 1);
}

/**
 * agent_event_init() - prepare a channel for events
 * @chan: the channel; its ring may be added later
 */
void agent_event_init(struct agent_chan *chan)
{
	raw_spin_lock_init(&chan->ev_lock);
	init_irq_work(&chan->kick, kick);
	INIT_DELAYED_WORK(&chan->ev_work, ev_work);
}

/**
 * agent_event_sync() - SYNC begins: later events need another one
 * @chan: the channel
 */
void agent_event_sync(struct agent_chan *chan)
{
	atomic_set(&chan->urgent, 0);
	atomic_set(&chan->kicked, 0);
	/* before the host looks at the ring */
	smp_mb();
}

/**
 * agent_event_stop() - no more signals
 * @chan: the channel, without hooks
 *
 * Context: Process context, may sleep.
 */
void agent_event_stop(struct agent_chan *chan)
{
	irq_work_sync(&chan->kick);
	cancel_delayed_work_sync(&chan->ev_work);
}

/* ---- ring --------------------------------------------------------------------- */

static void put_pad(struct agent_chan *chan, u32 pos, u32 len)
{
	struct portal_event *pad = (void *)chan->events + pos;

	pad->version = PORTAL_EVENT_VERSION;
	pad->kind = PORTAL_EVENT_PAD;
	pad->len = len;
}

/* Where the next @len bytes go, NULL: there is no room. @chan->ev_lock is held. */
static void *reserve(struct agent_chan *chan, u32 len, u32 *used)
{
	u32 pos = chan->ev_tail & (chan->ev_len - 1), rest = chan->ev_len - pos, need = len;

	*used = chan->ev_tail - smp_load_acquire(&chan->head->ev_head);
	if (rest < len)
		need += rest;
	/* One that makes no sense looks full. */
	if (*used > chan->ev_len || need > chan->ev_len - *used)
		return NULL;
	*used += need;
	if (rest < len) {
		put_pad(chan, pos, rest);
		chan->ev_tail += rest;
		pos = 0;
	}
	return chan->events + pos;
}

static void fill(struct portal_event *ev, struct agent_hook *hook, const struct hook_hit *hit,
		 const struct hook_string *string)
{
	*ev = (struct portal_event) {
		.version = PORTAL_EVENT_VERSION,
		.kind = hook->conf.kind,
		.len = ALIGN(sizeof(*ev) + string->len, 8),
		.hook = hook->id,
		.cookie = hook->cookie,
		.flags = hit->flags | string->flags,
		.cpu = raw_smp_processor_id(),
		.pid = task_pid_nr(current),
		.tgid = task_tgid_nr(current),
		.seq = hook->seq,
		.dropped = atomic64_read(&hook->dropped),
		.nr = hit->nr,
		.str_len = string->len,
		.ret = hit->ret,
	};
	memcpy(ev->comm, current->comm, sizeof(ev->comm));
	memcpy(ev->args, hit->args, sizeof(ev->args));
	memcpy(ev + 1, string->str, string->len);
	memset((char *)(ev + 1) + string->len, 0, ev->len - sizeof(*ev) - string->len);
}

/* @chan->ev_lock is held. */
static bool over_rate(struct agent_hook *hook, u64 now)
{
	u64 second = div_u64(now, NSEC_PER_SEC);

	if (!hook->conf.rate)
		return false;
	if (second != hook->second) {
		hook->second = second;
		hook->in_second = 0;
	}
	return hook->in_second++ >= hook->conf.rate;
}

/* The event's number is @hook->seq then. @urgent: somebody waits. */
static bool publish(struct agent_hook *hook, const struct hook_hit *hit,
		    const struct hook_string *string, bool urgent, u32 *seq)
{
	struct agent_chan *chan = hook->chan;
	u64 now = ktime_get_mono_fast_ns();
	struct portal_event *ev;
	u32 used;

	raw_spin_lock(&chan->ev_lock);
	if (over_rate(hook, now)) {
		raw_spin_unlock(&chan->ev_lock);
		atomic64_inc(&hook->skipped);
		return false;
	}
	ev = reserve(chan, ALIGN(sizeof(*ev) + string->len, 8), &used);
	if (ev) {
		fill(ev, hook, hit, string);
		ev->time_ns = now;
		chan->ev_tail += ALIGN(sizeof(*ev) + string->len, 8);
		smp_store_release(&chan->head->ev_tail, chan->ev_tail);
		atomic64_inc(&hook->sent);
		urgent |= used > chan->ev_len / 2;
	} else {
		atomic64_inc(&hook->dropped);
	}
	*seq = hook->seq++;
	raw_spin_unlock(&chan->ev_lock);

	if (urgent ? !atomic_xchg(&chan->urgent, 1) : !atomic_xchg(&chan->kicked, 1))
		irq_work_queue(&chan->kick);
	return ev;
}

/**
 * agent_event_node() - a process waits for the plugin that serves a file
 * @chan: the plugin's
 * @id: the file's handle
 * @cookie: of its node_add
 * @nr: enum portal_node_request
 * @args: the event's six
 *
 * Context: Process context.
 * Return: 0, -EBUSY: the ring is full.
 */
int agent_event_node(struct agent_chan *chan, u64 id, u64 cookie, u32 nr, const u64 *args)
{
	struct portal_event *ev;
	unsigned long flags;
	u32 used;

	raw_spin_lock_irqsave(&chan->ev_lock, flags);
	ev = reserve(chan, sizeof(*ev), &used);
	if (ev) {
		*ev = (struct portal_event) {
			.version = PORTAL_EVENT_VERSION,
			.kind = PORTAL_EVENT_NODE,
			.len = sizeof(*ev),
			.hook = id,
			.cookie = cookie,
			.cpu = raw_smp_processor_id(),
			.pid = task_pid_nr(current),
			.tgid = task_tgid_nr(current),
			.time_ns = ktime_get_mono_fast_ns(),
			.nr = nr,
		};
		memcpy(ev->comm, current->comm, sizeof(ev->comm));
		memcpy(ev->args, args, sizeof(ev->args));
		chan->ev_tail += sizeof(*ev);
		smp_store_release(&chan->head->ev_tail, chan->ev_tail);
	}
	raw_spin_unlock_irqrestore(&chan->ev_lock, flags);
	if (!ev)
		return -EBUSY;
	/* Somebody waits: not a tick later. */
	if (!atomic_xchg(&chan->urgent, 1))
		irq_work_queue(&chan->kick);
	return 0;
}

/* ---- what happened ------------------------------------------------------------ */

/* A string of the process, as far as it is in memory. */
static void copy_string(struct hook_string *string, u64 addr)
{
	u32 room = sizeof(string->str), n, len;
	char *to = string->str;

	/* A kernel thread, or an interrupt, has a process's memory by chance. */
	if (!in_task() || (current->flags & PF_KTHREAD) || !current->mm) {
		string->flags = PORTAL_EVENT_F_FAULT;
		return;
	}
	while (room) {
		n = min_t(u32, room, PAGE_SIZE - offset_in_page(addr));
		if (copy_from_user_nofault(to, (void __user *)(unsigned long)addr, n)) {
			string->flags = PORTAL_EVENT_F_FAULT;
			break;
		}
		len = strnlen(to, n);
		if (len < n) {
			string->len = to - string->str + len + 1;
			return;
		}
		to += n;
		addr += n;
		room -= n;
	}
	/* There was no NUL. Nothing at all is no string. */
	if (to == string->str)
		return;
	string->flags |= PORTAL_EVENT_F_CUT;
	if (!room)
		to--;
	*to++ = '\0';
	string->len = to - string->str;
}

static void get_string(const struct agent_hook *hook, const struct hook_hit *hit,
		       struct hook_string *string)
{
	string->len = 0;
	string->flags = 0;
	if (hit->path) {
		if (strscpy(string->str, hit->path, sizeof(string->str)) < 0)
			string->flags = PORTAL_EVENT_F_CUT;
		string->len = strlen(string->str) + 1;
	} else if (hook->conf.string_arg && !hit->no_args) {
		copy_string(string, hit->args[hook->conf.string_arg - 1]);
	}
}

static bool passes(struct agent_hook *hook, const struct hook_hit *hit,
		   struct hook_string *string)
{
	u32 rest = 0;

	if (!hook_is_about(hook))
		return false;
	if (hook->needs_string)
		get_string(hook, hit, string);
	if (!hook_filter_pass(hook, hit, string))
		return false;
	div_u64_rem(atomic64_inc_return(&hook->passed), hook->conf.every ?: 1, &rest);
	if (rest) {
		atomic64_inc(&hook->skipped);
		return false;
	}
	if (!hook->needs_string)
		get_string(hook, hit, string);
	return true;
}

static bool fire(struct agent_hook *hook, const struct hook_hit *hit, struct hook_string *string)
{
	bool pass = passes(hook, hit, string);
	u32 seq;

	/* A call that waits is told when it does. */
	if (pass && (hook->conf.kind != PORTAL_EVENT_ASK || hook->conf.flags & HOOK_F_PRESET))
		publish(hook, hit, string, false, &seq);
	return pass;
}

/**
 * hook_fire() - something happened in the current task
 * @hook: whose kind, moment and number fit
 * @hit: what
 *
 * What happens because of an event itself is dropped.
 *
 * Context: Any, in an RCU read-side section.
 * Return: whether the hook's filters let it through.
 */
bool hook_fire(struct agent_hook *hook, const struct hook_hit *hit)
{
	struct hook_cpu *cpu;
	unsigned long flags;
	bool pass = false;

	local_irq_save(flags);
	cpu = this_cpu_ptr(&hook_cpus);
	atomic64_inc(&hook->hits);
	if (!cpu->busy++) {
		barrier();
		pass = fire(hook, hit, &cpu->string);
		barrier();
	} else {
		atomic64_inc(&hook->dropped);
	}
	cpu->busy--;
	local_irq_restore(flags);
	return pass;
}

/**
 * hook_ask_event() - the current task is about to wait for an answer
 * @hook: PORTAL_EVENT_ASK
 * @hit: its system call
 * @seq: by which the answer will be known
 *
 * Context: Process context; interrupts are off.
 * Return: whether the ring had room for it.
 */
bool hook_ask_event(struct agent_hook *hook, const struct hook_hit *hit, u32 *seq)
{
	struct hook_cpu *cpu = this_cpu_ptr(&hook_cpus);
	bool sent;

	cpu->busy++;
	barrier();
	get_string(hook, hit, &cpu->string);
	sent = publish(hook, hit, &cpu->string, true, seq);
	barrier();
	cpu->busy--;
	return sent;
}
