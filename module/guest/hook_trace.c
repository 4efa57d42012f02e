// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_trace.c - hooks at the kernel's tracepoints
 *
 * A tracepoint is on only while somebody hooks it: without hooks, and with those
 * of other kinds, a system call costs what it always does.
 */
#include <linux/binfmts.h>
#include <linux/compat.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <asm/syscall.h>

#include "agent.h"
#include "hook.h"

static void all_hooks(unsigned int kind, const struct hook_hit *hit)
{
	struct agent_hook *hook;

	rcu_read_lock();
	list_for_each_entry_rcu(hook, &hook_lists[kind], node)
		hook_fire(hook, hit);
	rcu_read_unlock();
}

/* ---- system calls ------------------------------------------------------------- */

static bool is_wanted(const struct agent_hook *hook, unsigned int when, long nr, bool compat)
{
	if (!(hook->conf.when & when))
		return false;
	if (hook->all_nrs)
		return true;
	/* A 32-bit call has other numbers. */
	return !compat && nr >= 0 && nr < BITS_PER_BYTE * sizeof(hook->conf.nrs) &&
	       hook->conf.nrs[nr / BITS_PER_BYTE] & BIT(nr % BITS_PER_BYTE);
}

/**
 * hook_syscall_hit() - the current task's system call
 * @hit: to be filled
 * @regs: the process's
 * @nr: the call's number
 */
void hook_syscall_hit(struct hook_hit *hit, struct pt_regs *regs, long nr)
{
	unsigned long args[ARRAY_SIZE(hit->args)];
	unsigned int i;

	syscall_get_arguments(current, regs, args);
	*hit = (struct hook_hit) {
		.flags = in_compat_syscall() ? PORTAL_EVENT_F_COMPAT : 0,
		.nr = nr,
	};
	for (i = 0; i < ARRAY_SIZE(args); i++)
		hit->args[i] = args[i];
}

static void syscall(struct pt_regs *regs, unsigned int when, long nr, long ret)
{
	bool compat = in_compat_syscall(), filled = false;
	struct agent_hook *hook;
	struct hook_hit hit;

	rcu_read_lock();
	list_for_each_entry_rcu(hook, &hook_lists[PORTAL_EVENT_SYSCALL], node) {
		if (!is_wanted(hook, when, nr, compat))
			continue;
		if (!filled) {
			hook_syscall_hit(&hit, regs, nr);
			hit.flags |= when == HOOK_RETURN ? PORTAL_EVENT_F_RETURN : 0;
			hit.ret = ret;
		}
		filled = true;
		hook_fire(hook, &hit);
	}
	rcu_read_unlock();
}

static void probe_sys_enter(void *data, struct pt_regs *regs, long nr)
{
	syscall(regs, HOOK_ENTRY, nr, 0);
}

static void probe_sys_exit(void *data, struct pt_regs *regs, long ret)
{
	syscall(regs, HOOK_RETURN, syscall_get_nr(current, regs), ret);
}

/* ---- others ------------------------------------------------------------------- */

static void probe_exit(void *data, struct task_struct *task)
{
	struct hook_hit hit = { .nr = task->exit_code & 0x7f, .ret = task->exit_code };

	all_hooks(PORTAL_EVENT_EXIT, &hit);
}

static void probe_exec(void *data, struct task_struct *task, pid_t old_pid,
		       struct linux_binprm *bprm)
{
	struct hook_hit hit = { .path = bprm->filename };

	all_hooks(PORTAL_EVENT_EXEC, &hit);
}

static void probe_signal(void *data, int sig, struct kernel_siginfo *info, struct k_sigaction *ka)
{
	struct hook_hit hit = { .nr = sig, .args = { (unsigned long)ka->sa.sa_handler } };

	/* Those of the kernel may have a number instead. */
	if ((unsigned long)info > (unsigned long)SEND_SIG_PRIV)
		hit.ret = info->si_code;
	all_hooks(PORTAL_EVENT_SIGNAL, &hit);
}

/* ---- on and off --------------------------------------------------------------- */

static struct hook_point {
	unsigned int kind;
	unsigned int when;
	const char *name;
	void *probe;
	struct tracepoint *tp;
} points[] = {
	{ PORTAL_EVENT_SYSCALL, HOOK_ENTRY, "sys_enter", probe_sys_enter },
	{ PORTAL_EVENT_SYSCALL, HOOK_RETURN, "sys_exit", probe_sys_exit },
	{ PORTAL_EVENT_EXIT, HOOK_ENTRY, "sched_process_exit", probe_exit },
	{ PORTAL_EVENT_EXEC, HOOK_ENTRY, "sched_process_exec", probe_exec },
	{ PORTAL_EVENT_SIGNAL, HOOK_ENTRY, "signal_deliver", probe_signal },
};

static void match(struct tracepoint *tp, void *data)
{
	struct hook_point *point = data;

	if (!strcmp(tp->name, point->name))
		point->tp = tp;
}

static struct hook_point *find_point(unsigned int kind, unsigned int when)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (points[i].kind == kind && points[i].when == when)
			return &points[i];
	}
	return NULL;
}

/**
 * hook_trace_start() - turn a tracepoint on
 * @kind: of hooks
 * @when: HOOK_ENTRY or HOOK_RETURN
 *
 * Context: Process context, may sleep.
 * Return: 0; -EOPNOTSUPP: there is none.
 */
int hook_trace_start(unsigned int kind, unsigned int when)
{
	struct hook_point *point = find_point(kind, when);

	if (point && !point->tp)
		for_each_kernel_tracepoint(match, point);
	if (!point || !point->tp)
		return -EOPNOTSUPP;
	return tracepoint_probe_register(point->tp, point->probe, NULL);
}

/**
 * hook_trace_stop() - turn a tracepoint off, and wait until nobody is in its probe
 * @kind: of hooks
 * @when: HOOK_ENTRY or HOOK_RETURN
 *
 * Context: Process context, may sleep.
 */
void hook_trace_stop(unsigned int kind, unsigned int when)
{
	struct hook_point *point = find_point(kind, when);

	tracepoint_probe_unregister(point->tp, point->probe, NULL);
	tracepoint_synchronize_unregister();
}
