// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_ask.c - system calls that wait for the host's answer, or are changed
 *
 * A probe at the system call's function decides, by the hook's filters, whether
 * this call is the host's; then the function "returns" into hooked_call(), in
 * process context, where it may sleep. hooked_call() calls the function again, and
 * the probe lets it through, as it does for who has an entry in calls[]. So hooks of
 * one system call nest, and whatever else is at the function sees it as always.
 *
 * A task in hooked_call() holds the module. It needs the hook only under calls_lock,
 * where hook_ask_stop() takes it away; the call goes on without.
 */
#include <linux/completion.h>
#include <linux/ctype.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "agent.h"
#include "hook.h"

/* calls at a time, of all hooks; more go on unasked */
#define MAX_CALLS	64
#define MAX_NAME	48
#define TIMEOUT_MS	10000
#define MAX_TIMEOUT_MS	600000

/**
 * struct hook_call - a task in hooked_call()
 * @task: NULL: not in use
 * @hook: NULL: it has ended
 * @fn: the system call's function
 * @string_arg: of the hook
 * @entered: hooked_call() has it
 * @waiting: HOOK_ENTRY or HOOK_RETURN: for @answer
 * @seq: which one
 * @over: completed when it does not wait any more
 * @answer: it
 */
struct hook_call {
	struct task_struct *task;
	struct agent_hook *hook;
	long (*fn)(const struct pt_regs *regs);
	unsigned int string_arg;
	bool entered;
	unsigned int waiting;
	u32 seq;
	struct completion over;
	struct portal_cmd_hook_answer answer;
};

static struct hook_call calls[MAX_CALLS];
static unsigned int nr_calls;
/* Protects calls[] and nr_calls; probes take it. Around a channel's ev_lock. */
static DEFINE_RAW_SPINLOCK(calls_lock);
/* There was a hook. */
static bool used;

/* ---- answer ------------------------------------------------------------------- */

static bool is_answer(const struct portal_cmd_hook_answer *answer, unsigned int when)
{
	u32 flags = answer->flags;

	if (answer->pad || flags & ~(HOOK_ANSWER_RET | HOOK_ANSWER_ARGS | HOOK_ANSWER_SKIP))
		return false;
	if (when == HOOK_RETURN && flags & ~HOOK_ANSWER_RET)
		return false;
	/* What is not done returns something all the same. */
	if (flags & HOOK_ANSWER_SKIP && flags != (HOOK_ANSWER_SKIP | HOOK_ANSWER_RET))
		return false;
	/* Those from -512 on are the kernel's own, and no process's. */
	return !(flags & HOOK_ANSWER_RET) || answer->ret > -512 || answer->ret < -MAX_ERRNO;
}

static int take_answer(const struct agent_cmd *cmd, struct hook_call *call,
		       const struct portal_cmd_hook_answer *answer)
{
	struct agent_hook *hook = call->hook;

	if (!call->task || !call->waiting || !hook || hook->chan != cmd->chan ||
	    hook->id != cmd->req.addr || hook->cookie != cmd->req.cookie ||
	    call->seq != answer->request)
		return -ENOENT;
	if (!is_answer(answer, call->waiting))
		return -EINVAL;
	call->answer = *answer;
	call->waiting = 0;
	complete(&call->over);
	return 0;
}

int agent_op_hook_answer(struct agent_cmd *cmd)
{
	const struct portal_cmd_hook_answer *answer = (void *)cmd->in;
	int ret = -ENOENT;
	unsigned int i;

	raw_spin_lock_irq(&calls_lock);
	for (i = 0; i < MAX_CALLS && ret == -ENOENT; i++)
		ret = take_answer(cmd, &calls[i], answer);
	raw_spin_unlock_irq(&calls_lock);
	return ret;
}

/* ---- call --------------------------------------------------------------------- */

/* @call->waiting is set. Returns 0, or -ERESTARTNOINTR: it has not begun. */
static long wait_for_answer(struct hook_call *call, unsigned int when, unsigned long timeout,
			    struct portal_cmd_hook_answer *answer)
{
	long left, ret = 0;

	if (when == HOOK_ENTRY)
		left = wait_for_completion_interruptible_timeout(&call->over, timeout);
	else
		left = wait_for_completion_killable_timeout(&call->over, timeout);

	raw_spin_lock_irq(&calls_lock);
	if (!call->waiting) {
		*answer = call->answer;
	} else if (left < 0 && when == HOOK_ENTRY) {
		/* After the signal it is asked about again. */
		ret = -ERESTARTNOINTR;
	} else if (!left) {
		atomic64_inc(&call->hook->expired);
	}
	call->waiting = 0;
	raw_spin_unlock_irq(&calls_lock);
	return ret;
}

static long ask(struct hook_call *call, unsigned int when, const struct hook_hit *hit,
		struct portal_cmd_hook_answer *answer)
{
	unsigned long timeout = 0;
	struct agent_hook *hook;

	*answer = (struct portal_cmd_hook_answer) {};
	raw_spin_lock_irq(&calls_lock);
	hook = call->hook;
	if (hook && hook->conf.when & when) {
		if (hook->conf.flags & HOOK_F_PRESET) {
			*answer = hook->answer;
		} else {
			reinit_completion(&call->over);
			call->answer = *answer;
			if (hook_ask_event(hook, hit, &call->seq))
				call->waiting = when;
			timeout = msecs_to_jiffies(hook->conf.timeout_ms ?: TIMEOUT_MS);
		}
	}
	when = call->waiting;
	raw_spin_unlock_irq(&calls_lock);
	return when ? wait_for_answer(call, when, timeout, answer) : 0;
}

static void set_args(struct pt_regs *regs, const unsigned long *args)
{
	regs->di = args[0];
	regs->si = args[1];
	regs->dx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

static long do_call(struct hook_call *call, struct pt_regs *regs,
		    const struct portal_cmd_hook_answer *answer)
{
	unsigned long own[] = { regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9 };
	unsigned long other[] = { answer->arg0, answer->arg1, answer->arg2,
				  answer->arg3, answer->arg4, answer->arg5 };
	unsigned long ip = regs->ip;
	long ret;

	if (!(answer->flags & HOOK_ANSWER_ARGS))
		return call->fn(regs);
	set_args(regs, other);
	ret = call->fn(regs);
	/* The process's registers stay as they were, unless it is another program now. */
	if (regs->ip == ip)
		set_args(regs, own);
	return ret;
}

static struct hook_call *enter(void)
{
	struct hook_call *call = NULL;
	unsigned int i;

	raw_spin_lock_irq(&calls_lock);
	for (i = 0; i < MAX_CALLS; i++) {
		if (calls[i].task == current && !calls[i].entered)
			call = &calls[i];
	}
	call->entered = true;
	raw_spin_unlock_irq(&calls_lock);
	return call;
}

static void leave(struct hook_call *call)
{
	raw_spin_lock_irq(&calls_lock);
	call->task = NULL;
	call->hook = NULL;
	nr_calls--;
	raw_spin_unlock_irq(&calls_lock);
	module_put(THIS_MODULE);
}

/* In place of a system call's function, in the process's context. */
static long hooked_call(const struct pt_regs *const_regs)
{
	struct pt_regs *regs = (struct pt_regs *)const_regs;
	struct hook_call *call = enter();
	struct portal_cmd_hook_answer answer, later;
	struct hook_hit hit;
	long ret;

	hook_syscall_hit(&hit, regs, regs->orig_ax);
	/* The event has what is in memory. */
	if (call->string_arg)
		fault_in_readable((void __user *)(unsigned long)hit.args[call->string_arg - 1],
				  PORTAL_EVENT_STRING);
	ret = ask(call, HOOK_ENTRY, &hit, &answer);
	if (ret)
		goto out;
	if (!(answer.flags & HOOK_ANSWER_SKIP)) {
		ret = do_call(call, regs, &answer);
		hit.flags |= PORTAL_EVENT_F_RETURN;
		hit.ret = ret;
	}
	if (answer.flags & HOOK_ANSWER_RET) {
		ret = answer.ret;
	} else {
		ask(call, HOOK_RETURN, &hit, &later);
		if (later.flags & HOOK_ANSWER_RET)
			ret = later.ret;
	}
out:
	leave(call);
	return ret;
}

/* ---- probe -------------------------------------------------------------------- */

/* The current task is in this hook's hooked_call() already. */
static bool goes_on(const struct agent_hook *hook)
{
	unsigned long flags;
	bool found = false;
	unsigned int i;

	/* Its own it would see. */
	if (!READ_ONCE(nr_calls))
		return false;
	raw_spin_lock_irqsave(&calls_lock, flags);
	for (i = 0; i < MAX_CALLS; i++)
		found |= calls[i].task == current && calls[i].hook == hook;
	raw_spin_unlock_irqrestore(&calls_lock, flags);
	return found;
}

static bool begin(struct agent_hook *hook)
{
	struct hook_call *call = NULL;
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&calls_lock, flags);
	for (i = 0; i < MAX_CALLS; i++) {
		if (!calls[i].task)
			call = &calls[i];
	}
	if (call && try_module_get(THIS_MODULE)) {
		call->task = current;
		call->hook = hook;
		call->fn = hook->call;
		call->string_arg = hook->conf.string_arg;
		call->entered = false;
		call->waiting = 0;
		nr_calls++;
	} else {
		call = NULL;
		atomic64_inc(&hook->dropped);
	}
	raw_spin_unlock_irqrestore(&calls_lock, flags);
	return call;
}

static int call_entered(struct kprobe *kp, struct pt_regs *regs)
{
	struct agent_hook *hook = container_of(kp, struct agent_hook, kp);
	struct pt_regs *user = (void *)regs_get_kernel_argument(regs, 0);
	struct hook_hit hit;
	bool pass;

	if (goes_on(hook))
		return 0;
	hook_syscall_hit(&hit, user, user->orig_ax);
	rcu_read_lock();
	pass = hook_fire(hook, &hit);
	rcu_read_unlock();
	if (!pass || !begin(hook))
		return 0;
	instruction_pointer_set(regs, (unsigned long)hooked_call);
	return 1;
}

/* A probe that has one is never made a jump, which could not go elsewhere. */
static void call_done(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

/* ---- begin and end ------------------------------------------------------------ */

static bool is_name(const char *name)
{
	/* They do not come back. */
	static const char *const never[] = { "exit", "exit_group", "rt_sigreturn" };
	const char *p;

	if (strlen(name) > MAX_NAME || match_string(never, ARRAY_SIZE(never), name) >= 0)
		return false;
	for (p = name; *p; p++) {
		if (!islower(*p) && !isdigit(*p) && *p != '_')
			return false;
	}
	return true;
}

/**
 * hook_ask_check() - can there be such a hook?
 * @hook: its conf, answer and target are the host's
 *
 * Return: 0 or -EINVAL.
 */
int hook_ask_check(const struct agent_hook *hook)
{
	const struct portal_cmd_hook *conf = &hook->conf;
	bool preset = conf->flags & HOOK_F_PRESET;

	if (hook->offset || !is_name(hook->target) || conf->timeout_ms > MAX_TIMEOUT_MS)
		return -EINVAL;
	if (!preset)
		return conf->rate ? -EINVAL : 0;
	if (conf->when != HOOK_ENTRY || conf->timeout_ms || hook->answer.request ||
	    !hook->answer.flags || !is_answer(&hook->answer, HOOK_ENTRY))
		return -EINVAL;
	return 0;
}

/**
 * hook_ask_start() - have a system call ask
 * @hook: the hook, checked
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENOENT: no such system call; -EBUSY: something else replaces it.
 */
int hook_ask_start(struct agent_hook *hook)
{
	char *symbol = kasprintf(GFP_KERNEL, "__x64_sys_%s", hook->target);
	struct kprobe off = { .symbol_name = symbol, .flags = KPROBE_FLAG_DISABLED };
	int ret;

	if (!symbol)
		return -ENOMEM;
	used = true;
	kfree(hook->target);
	hook->target = symbol;
	/* The probe's own place may be behind an instruction or two. */
	ret = register_kprobe(&off);
	if (ret)
		return ret;
	hook->call = (void *)agent_sym_start((unsigned long)off.addr);
	unregister_kprobe(&off);

	hook->kp.symbol_name = symbol;
	hook->kp.pre_handler = call_entered;
	hook->kp.post_handler = call_done;
	return register_kprobe(&hook->kp);
}

/**
 * hook_ask_stop() - undo hook_ask_start(); who waits goes on
 * @hook: the hook
 *
 * Context: Process context, may sleep.
 */
void hook_ask_stop(struct agent_hook *hook)
{
	unsigned int i;

	unregister_kprobe(&hook->kp);
	raw_spin_lock_irq(&calls_lock);
	for (i = 0; i < MAX_CALLS; i++) {
		if (calls[i].hook != hook)
			continue;
		calls[i].hook = NULL;
		if (calls[i].waiting) {
			calls[i].waiting = 0;
			complete(&calls[i].over);
		}
	}
	raw_spin_unlock_irq(&calls_lock);
}

/**
 * hook_ask_init() - nobody asks
 */
void hook_ask_init(void)
{
	unsigned int i;

	for (i = 0; i < MAX_CALLS; i++)
		init_completion(&calls[i].over);
}

/**
 * hook_ask_exit() - wait until nobody runs hooked_call()
 *
 * Who has put the module may be a few instructions before its end.
 *
 * Context: Process context, may sleep. There are no hooks.
 */
void hook_ask_exit(void)
{
	if (used)
		synchronize_rcu_tasks();
}
