// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_kprobe.c - hooks at functions of the kernel
 */
#include <linux/kprobes.h>
#include <linux/ptrace.h>
#include <linux/slab.h>

#include "agent.h"
#include "hook.h"

static void fire(struct agent_hook *hook, const struct hook_hit *hit)
{
	/* Not where the idle task has told RCU to look away. */
	if (!rcu_is_watching())
		return;
	rcu_read_lock();
	hook_fire(hook, hit);
	rcu_read_unlock();
}

static int function_entered(struct kprobe *kp, struct pt_regs *regs)
{
	struct agent_hook *hook = container_of(kp, struct agent_hook, kp);
	struct hook_hit hit = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hit.args); i++)
		hit.args[i] = regs_get_kernel_argument(regs, i);
	fire(hook, &hit);
	return 0;
}

static int function_returns(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kretprobe *krp = get_kretprobe(ri);
	struct hook_hit hit = {
		.flags = PORTAL_EVENT_F_RETURN, .ret = regs_return_value(regs), .no_args = true,
	};

	/* It may be about to be unregistered. */
	if (krp)
		fire(container_of(krp, struct agent_hook, krp), &hit);
	return 0;
}

/**
 * hook_kprobe_start() - be told when a function runs, or returns
 * @hook: the hook, with @target and @offset
 *
 * Context: Process context, may sleep.
 * Return: 0 or -errno.
 */
int hook_kprobe_start(struct agent_hook *hook)
{
	int ret = 0;

	if (hook->offset > U32_MAX || (hook->offset && (hook->conf.when & HOOK_RETURN)))
		return -EINVAL;
	if (hook->conf.when & HOOK_ENTRY) {
		hook->kp.symbol_name = hook->target;
		hook->kp.offset = hook->offset;
		hook->kp.pre_handler = function_entered;
		ret = register_kprobe(&hook->kp);
	}
	if (!ret && (hook->conf.when & HOOK_RETURN)) {
		hook->krp.kp.symbol_name = hook->target;
		hook->krp.handler = function_returns;
		ret = register_kretprobe(&hook->krp);
		if (ret && (hook->conf.when & HOOK_ENTRY))
			unregister_kprobe(&hook->kp);
	}
	return ret;
}

/**
 * hook_kprobe_stop() - undo hook_kprobe_start(), and wait until nobody is in it
 * @hook: the hook
 *
 * Context: Process context, may sleep.
 */
void hook_kprobe_stop(struct agent_hook *hook)
{
	if (hook->conf.when & HOOK_ENTRY)
		unregister_kprobe(&hook->kp);
	if (hook->conf.when & HOOK_RETURN)
		unregister_kretprobe(&hook->krp);
}
