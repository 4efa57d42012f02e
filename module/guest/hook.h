/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hook.h - what the host wants to be told of, and how it is told
 *
 *	hook.c		commands, the list of hooks, their beginning and end
 *	hook_trace.c	tracepoints	> what happened,
 *	hook_kprobe.c	functions	> as a struct hook_hit
 *	hook_uprobe.c	programs	>
 *	hook_ask.c	system calls that wait, or are changed
 *	hook_filter.c	does it matter?
 *	hook_event.c	into the ring
 *
 * Probes run in any context, even in that of an NMI: nothing in them sleeps,
 * allocates or waits for anybody but a CPU that is publishing.
 */
#ifndef _PORTAL_HOOK_H
#define _PORTAL_HOOK_H

#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/path.h>
#include <linux/rculist.h>
#include <linux/types.h>
#include <linux/uprobes.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>

struct agent_chan;

/* struct portal_cmd_hook: @kind is PORTAL_EVENT_* */
#define HOOK_KINDS		(PORTAL_EVENT_ASK + 1)
#define HOOK_ENTRY		1
#define HOOK_RETURN		2
#define HOOK_F_CHILD		1U
#define HOOK_F_FOLLOW		2U
#define HOOK_F_PRESET		4U
#define HOOK_MAX_FILTERS	16
#define HOOK_MAX		64	/* of a channel */

/* struct portal_cmd_hook_answer */
#define HOOK_ANSWER_RET		1U
#define HOOK_ANSWER_ARGS	2U
#define HOOK_ANSWER_SKIP	4U

/* struct portal_cmd_hook_filter */
enum hook_field {
	HOOK_FIELD_PID = 1, HOOK_FIELD_TGID, HOOK_FIELD_COMM, HOOK_FIELD_NR, HOOK_FIELD_RET,
	HOOK_FIELD_STRING,
	HOOK_FIELD_ARG0 = 16,
};

enum hook_cmp {
	HOOK_EQ = 1, HOOK_NE, HOOK_LT, HOOK_LE, HOOK_GT, HOOK_GE, HOOK_RANGE, HOOK_SET, HOOK_CLEAR,
	HOOK_SUCCESS, HOOK_ERROR, HOOK_STR_EQ, HOOK_STR_PREFIX, HOOK_STR_SUFFIX, HOOK_STR_CONTAINS,
};

#define HOOK_F_SIGNED		1U

/**
 * struct agent_hook - a hook
 * @node: in the list of its kind (RCU)
 * @gone: in a list of those that are about to be freed
 * @chan: who is told
 * @id: handle
 * @cookie: of the command that added it
 * @conf: copy of what the host wants, checked
 * @filters: @conf.nr_filters of them
 * @answer: HOOK_F_PRESET: to each call
 * @root: process, 0: any; HOOK_F_CHILD: none before exec started it
 * @all_nrs: any system call
 * @needs_string: a filter looks at it
 * @hits: it was reached
 * @passed: and let through
 * @skipped: but not told
 * @sent: events
 * @dropped: events that found no room, calls that were not asked about
 * @expired: calls that got no answer in time
 * @seq: of the next event (@chan->ev_lock)
 * @second: in which @in_second events were told (@chan->ev_lock)
 * @kp: for PORTAL_EVENT_KPROBE and PORTAL_EVENT_ASK
 * @krp: for the return
 * @uc: for PORTAL_EVENT_UPROBE
 * @uprobe: what the kernel gave for it, where it does
 * @path: of the program
 * @offset: in the function or the program
 * @target: the function's name or the program's
 * @call: the system call
 */
struct agent_hook {
	struct list_head node;
	struct list_head gone;
	struct agent_chan *chan;
	u64 id;
	u64 cookie;
	struct portal_cmd_hook conf;
	struct portal_cmd_hook_filter *filters;
	struct portal_cmd_hook_answer answer;
	u32 root;
	bool all_nrs;
	bool needs_string;
	atomic64_t hits;
	atomic64_t passed;
	atomic64_t skipped;
	atomic64_t sent;
	atomic64_t dropped;
	atomic64_t expired;
	u32 seq;
	u64 second;
	u32 in_second;
	struct kprobe kp;
	struct kretprobe krp;
	struct uprobe_consumer uc;
	struct uprobe *uprobe;
	struct path path;
	u64 offset;
	char *target;
	long (*call)(const struct pt_regs *regs);
};

/**
 * struct hook_hit - what happened
 * @flags: PORTAL_EVENT_F_*
 * @nr: number
 * @ret: result
 * @args: arguments
 * @path: string that is not the process's, or NULL
 * @no_args: they are gone
 */
struct hook_hit {
	u32 flags;
	u32 nr;
	s64 ret;
	u64 args[6];
	const char *path;
	bool no_args;
};

/* A string that an event has, and that filters look at. */
struct hook_string {
	char str[PORTAL_EVENT_STRING];
	u32 len;	/* with its NUL; 0: none */
	u32 flags;	/* PORTAL_EVENT_F_CUT, PORTAL_EVENT_F_FAULT */
};

#define HOOK_NO_ROOT	U32_MAX	/* nothing was started yet */

/* hook.c */
extern struct list_head hook_lists[HOOK_KINDS];

/* hook_filter.c */
int hook_filter_check(const struct agent_hook *hook,
		      const struct portal_cmd_hook_filter *filter);
bool hook_filter_pass(const struct agent_hook *hook, const struct hook_hit *hit,
		      const struct hook_string *string);
bool hook_is_about(const struct agent_hook *hook);

/* hook_event.c */
bool hook_fire(struct agent_hook *hook, const struct hook_hit *hit);
bool hook_ask_event(struct agent_hook *hook, const struct hook_hit *hit, u32 *seq);

/* hook_trace.c: @kind's tracepoints, with the first hook and after the last */
int hook_trace_start(unsigned int kind, unsigned int when);
void hook_trace_stop(unsigned int kind, unsigned int when);
void hook_syscall_hit(struct hook_hit *hit, struct pt_regs *regs, long nr);

/* hook_kprobe.c, hook_uprobe.c, hook_ask.c */
int hook_kprobe_start(struct agent_hook *hook);
void hook_kprobe_stop(struct agent_hook *hook);
int hook_uprobe_start(struct agent_hook *hook);
void hook_uprobe_stop(struct agent_hook *hook);
int hook_ask_check(const struct agent_hook *hook);
int hook_ask_start(struct agent_hook *hook);
void hook_ask_stop(struct agent_hook *hook);
void hook_ask_init(void);
void hook_ask_exit(void);

#endif /* _PORTAL_HOOK_H */
