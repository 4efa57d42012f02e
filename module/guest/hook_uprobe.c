// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_uprobe.c - hooks at instructions of programs
 *
 * The kernel puts a breakpoint into every process that has the program's page. A
 * wrong offset breaks the program, so who wants this needs class mem, too.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/ptrace.h>
#include <linux/stat.h>
#include <linux/uprobes.h>

#include "agent.h"
#include "hook.h"

static void fire(struct agent_hook *hook, const struct hook_hit *hit)
{
	rcu_read_lock();
	hook_fire(hook, hit);
	rcu_read_unlock();
}

static int instruction_reached(struct uprobe_consumer *uc, struct pt_regs *regs)
{
	struct agent_hook *hook = container_of(uc, struct agent_hook, uc);
	struct hook_hit hit = {};
	unsigned int i;

	/* Programs pass arguments as the kernel does. */
	for (i = 0; i < ARRAY_SIZE(hit.args); i++)
		hit.args[i] = regs_get_kernel_argument(regs, i);
	fire(hook, &hit);
	return 0;
}

static int function_returns(struct uprobe_consumer *uc, unsigned long func, struct pt_regs *regs)
{
	struct hook_hit hit = {
		.flags = PORTAL_EVENT_F_RETURN, .ret = regs_return_value(regs), .no_args = true,
	};

	fire(container_of(uc, struct agent_hook, uc), &hit);
	return 0;
}

#ifdef HAVE_UPROBE_HANDLE
static int add(struct agent_hook *hook)
{
	hook->uprobe = uprobe_register(d_real_inode(hook->path.dentry), hook->offset, 0, &hook->uc);
	return PTR_ERR_OR_ZERO(hook->uprobe);
}

static void del(struct agent_hook *hook)
{
	uprobe_unregister_nosync(hook->uprobe, &hook->uc);
	uprobe_unregister_sync();
}
#else
static int add(struct agent_hook *hook)
{
	return uprobe_register(d_real_inode(hook->path.dentry), hook->offset, &hook->uc);
}

static void del(struct agent_hook *hook)
{
	uprobe_unregister(d_real_inode(hook->path.dentry), hook->offset, &hook->uc);
}
#endif

/**
 * hook_uprobe_start() - be told when a program reaches an instruction
 * @hook: the hook, with @target and @offset
 *
 * Context: Process context, may sleep.
 * Return: 0 or -errno.
 */
int hook_uprobe_start(struct agent_hook *hook)
{
	int ret;

	if (hook->offset > S64_MAX)
		return -EINVAL;
	ret = kern_path(hook->target, LOOKUP_FOLLOW, &hook->path);
	if (ret)
		return ret;
	if (hook->conf.when & HOOK_ENTRY)
		hook->uc.handler = instruction_reached;
	if (hook->conf.when & HOOK_RETURN)
		hook->uc.ret_handler = function_returns;
	ret = d_is_reg(hook->path.dentry) ? add(hook) : -EINVAL;
	if (ret)
		path_put(&hook->path);
	return ret;
}

/**
 * hook_uprobe_stop() - undo hook_uprobe_start(), and wait until nobody is in it
 * @hook: the hook
 *
 * Context: Process context, may sleep.
 */
void hook_uprobe_stop(struct agent_hook *hook)
{
	del(hook);
	path_put(&hook->path);
}
