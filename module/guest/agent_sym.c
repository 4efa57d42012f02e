// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_sym.c - names and addresses of the kernel's functions
 *
 * The kernel gives modules no kallsyms_lookup_name(). A probe by name does the
 * same for functions; it is registered disabled, so no text is changed.
 */
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "agent.h"

/**
 * agent_sym_start() - where a function begins
 * @addr: in it
 *
 * Return: its address; @addr if there is no name for it.
 */
unsigned long agent_sym_start(unsigned long addr)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned long off;
	char *plus;

	sprint_symbol(name, addr);
	plus = strchr(name, '+');
	return plus && sscanf(plus, "+0x%lx", &off) == 1 ? addr - off : addr;
}

int agent_op_sym_lookup(struct agent_cmd *cmd)
{
	struct kprobe kp = { .symbol_name = cmd->in, .flags = KPROBE_FLAG_DISABLED };
	int ret;

	if (strlen(cmd->in) + 1 != cmd->req.in_len || strlen(cmd->in) >= KSYM_NAME_LEN)
		return -EINVAL;
	ret = register_kprobe(&kp);
	if (ret)
		return ret == -EINVAL || ret == -EOPNOTSUPP ? -ENOENT : ret;
	/* The probe is behind the ENDBR that a function may begin with. */
	cmd->done.value = agent_sym_start((unsigned long)kp.addr);
	unregister_kprobe(&kp);
	return 0;
}

int agent_op_sym_name(struct agent_cmd *cmd)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, cmd->req.addr);
	/* It prints the number where there is no name. */
	if (!strchr(name, '+'))
		return -ENOENT;
	return agent_put(cmd, name, strlen(name) + 1);
}
