// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_filter.c - what of all that happens does the host want to know?
 *
 * All filters of a hook must hold. A comparison never fails: what a hook cannot
 * look at was refused when it was added.
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "agent.h"
#include "hook.h"

/* generations that a descendant is looked for */
#define MAX_PARENTS	64

static bool is_string_cmp(u16 cmp)
{
	return cmp >= HOOK_STR_EQ && cmp <= HOOK_STR_CONTAINS;
}

static bool is_string_field(u16 field)
{
	return field == HOOK_FIELD_COMM || field == HOOK_FIELD_STRING;
}

/**
 * hook_filter_check() - can a hook have this filter?
 * @hook: its conf is checked already
 * @filter: copy of what the host sent
 *
 * Return: 0 or -EINVAL.
 */
int hook_filter_check(const struct agent_hook *hook, const struct portal_cmd_hook_filter *filter)
{
	bool arg = filter->field >= HOOK_FIELD_ARG0 &&
		   filter->field < HOOK_FIELD_ARG0 + ARRAY_SIZE(((struct hook_hit *)0)->args);

	if (!arg && (filter->field < HOOK_FIELD_PID || filter->field > HOOK_FIELD_STRING))
		return -EINVAL;
	if (filter->cmp < HOOK_EQ || filter->cmp > HOOK_STR_CONTAINS ||
	    is_string_cmp(filter->cmp) != is_string_field(filter->field))
		return -EINVAL;
	if (filter->flags & ~HOOK_F_SIGNED)
		return -EINVAL;
	if (strnlen(filter->str, sizeof(filter->str)) == sizeof(filter->str))
		return -EINVAL;
	if (filter->field == HOOK_FIELD_STRING && !hook->conf.string_arg &&
	    hook->conf.kind != PORTAL_EVENT_EXEC)
		return -EINVAL;
	/* When a function returns, its arguments are gone. */
	if ((arg || filter->field == HOOK_FIELD_STRING) &&
	    hook->conf.kind != PORTAL_EVENT_SYSCALL && hook->conf.kind != PORTAL_EVENT_ASK &&
	    hook->conf.when != HOOK_ENTRY)
		return -EINVAL;
	/* Whether a call waits is known before it begins. */
	if (filter->field == HOOK_FIELD_RET && hook->conf.kind == PORTAL_EVENT_ASK)
		return -EINVAL;
	/* At the entry there is no result yet. */
	if (filter->field == HOOK_FIELD_RET && hook->conf.when != HOOK_RETURN &&
	    hook->conf.kind != PORTAL_EVENT_EXIT && hook->conf.kind != PORTAL_EVENT_SIGNAL)
		return -EINVAL;
	return 0;
}

static bool less(u64 a, u64 b, bool is_signed)
{
	return is_signed ? (s64)a < (s64)b : a < b;
}

static bool compare_number(const struct portal_cmd_hook_filter *f, u64 is)
{
	bool sgn = f->flags & HOOK_F_SIGNED;

	switch (f->cmp) {
	case HOOK_EQ:
		return is == f->value;
	case HOOK_NE:
		return is != f->value;
	case HOOK_LT:
		return less(is, f->value, sgn);
	case HOOK_LE:
		return !less(f->value, is, sgn);
	case HOOK_GT:
		return less(f->value, is, sgn);
	case HOOK_GE:
		return !less(is, f->value, sgn);
	case HOOK_RANGE:
		return !less(is, f->value, sgn) && !less(f->value2, is, sgn);
	case HOOK_SET:
		return (is & f->value) == f->value;
	case HOOK_CLEAR:
		return !(is & f->value);
	case HOOK_SUCCESS:
		return is < (u64)-MAX_ERRNO;
	case HOOK_ERROR:
		return is >= (u64)-MAX_ERRNO;
	}
	return false;
}

/* @len: bytes of @is, without its NUL */
static bool compare_string(const struct portal_cmd_hook_filter *f, const char *is, size_t len)
{
	size_t want = strlen(f->str);

	switch (f->cmp) {
	case HOOK_STR_EQ:
		return len == want && !memcmp(is, f->str, want);
	case HOOK_STR_PREFIX:
		return len >= want && !memcmp(is, f->str, want);
	case HOOK_STR_SUFFIX:
		return len >= want && !memcmp(is + len - want, f->str, want);
	case HOOK_STR_CONTAINS:
		return strnstr(is, f->str, len);
	}
	return false;
}

static bool pass(const struct portal_cmd_hook_filter *f, const struct hook_hit *hit,
		 const struct hook_string *string)
{
	char comm[TASK_COMM_LEN + 1] = "";

	switch (f->field) {
	case HOOK_FIELD_PID:
		return compare_number(f, task_pid_nr(current));
	case HOOK_FIELD_TGID:
		return compare_number(f, task_tgid_nr(current));
	case HOOK_FIELD_COMM:
		/* Somebody may be writing it: it is some name at any moment. */
		memcpy(comm, current->comm, TASK_COMM_LEN);
		return compare_string(f, comm, strlen(comm));
	case HOOK_FIELD_NR:
		return compare_number(f, hit->nr);
	case HOOK_FIELD_RET:
		return compare_number(f, hit->ret);
	case HOOK_FIELD_STRING:
		return string->len && compare_string(f, string->str, string->len - 1);
	}
	return compare_number(f, hit->args[f->field - HOOK_FIELD_ARG0]);
}

/**
 * hook_filter_pass() - do all filters hold?
 * @hook: the hook
 * @hit: what happened, in the current task
 * @string: its string, valid if @hook->needs_string
 *
 * Context: Any.
 */
bool hook_filter_pass(const struct agent_hook *hook, const struct hook_hit *hit,
		      const struct hook_string *string)
{
	unsigned int i;

	for (i = 0; i < hook->conf.nr_filters; i++) {
		if (!pass(&hook->filters[i], hit, string))
			return false;
	}
	return true;
}

/**
 * hook_is_about() - is the current task one of those the hook is about?
 * @hook: the hook
 *
 * Context: Any, in an RCU read-side section.
 */
bool hook_is_about(const struct agent_hook *hook)
{
	u32 root = READ_ONCE(hook->root);
	const struct task_struct *task = current;
	unsigned int i;

	if (!root)
		return true;
	if (root == HOOK_NO_ROOT)
		return false;
	if (task->tgid == root)
		return true;
	if (!(hook->conf.flags & HOOK_F_FOLLOW))
		return false;
	for (i = 0; i < MAX_PARENTS && task->pid; i++) {
		task = rcu_dereference(task->real_parent);
		if (task->tgid == root)
			return true;
	}
	return false;
}
