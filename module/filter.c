// SPDX-License-Identifier: GPL-2.0-only
/*
 * filter.c - events that are dealt with before anybody is told
 */
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "portal.h"

#define FILTER_F_ALL	(PORTAL_FILTER_F_READ | PORTAL_FILTER_F_WRITE)
#define SIZES_ALL	(1U | 2U | 4U | 8U)

static int hook_filter_check(const struct portal_filter *f, bool posted)
{
	if (f->flags || f->offset || f->len || f->sizes)
		return -EINVAL;
	if (f->action == (posted ? PORTAL_FILTER_VALUE : PORTAL_FILTER_IGNORE))
		return -EINVAL;
	return 0;
}

static int region_filter_check(const struct portal_filter *f)
{
	bool args = f->mask[0] | f->mask[1] | f->mask[2] | f->mask[3];
	u32 last;

	if (f->sizes & ~SIZES_ALL || (!f->len && f->offset))
		return -EINVAL;
	if (f->mask[1] | f->mask[2] | f->mask[3])
		return -EINVAL;
	/* what a read gives is not known, and an ignored one has no value */
	if ((args || f->action == PORTAL_FILTER_IGNORE) && f->flags != PORTAL_FILTER_F_WRITE)
		return -EINVAL;
	if (f->action == PORTAL_FILTER_VALUE && f->flags != PORTAL_FILTER_F_READ)
		return -EINVAL;
	if (check_add_overflow(f->offset, f->len, &last))
		return -EOVERFLOW;
	return 0;
}

static int filter_check(const struct portal_filter *f, bool region, bool posted)
{
	int i;

	if (f->__reserved)
		return -EINVAL;
	if (f->action > PORTAL_FILTER_IGNORE || f->flags & ~FILTER_F_ALL)
		return -EOPNOTSUPP;
	if (f->value && f->action != PORTAL_FILTER_VALUE)
		return -EINVAL;
	for (i = 0; i < 4; i++)
		if (f->match[i] & ~f->mask[i])
			return -EINVAL;		/* could never match */
	return region ? region_filter_check(f) : hook_filter_check(f, posted);
}

/**
 * portal_filters_get - copy and check the filters of a target
 * @t: gets them
 * @filters_uptr: user memory
 * @nr: how many
 * @region: a region's, else a hook's
 * @posted: the hook is posted
 *
 * Return: 0, -EFAULT, -EINVAL, -EOPNOTSUPP, -EOVERFLOW, -ENOSPC, -ENOMEM.
 */
int portal_filters_get(struct portal_target *t, u64 filters_uptr, u32 nr, bool region, bool posted)
{
	const struct portal_filter __user *ufilters = u64_to_user_ptr(filters_uptr);
	u32 i;
	int ret;

	if (nr > PORTAL_MAX_FILTERS)
		return -ENOSPC;
	if (!nr)
		return 0;
	t->rules = kcalloc(nr, sizeof(*t->rules), GFP_KERNEL_ACCOUNT);
	if (!t->rules)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (copy_from_user(&t->rules[i].f, &ufilters[i], sizeof(t->rules[i].f)))
			return -EFAULT;
		ret = filter_check(&t->rules[i].f, region, posted);
		if (ret)
			return ret;
	}
	t->nr_rules = nr;
	return 0;
}

static bool access_matches(const struct portal_filter *f, bool write, u32 offset, u32 len)
{
	if (f->flags && !(f->flags & (write ? PORTAL_FILTER_F_WRITE : PORTAL_FILTER_F_READ)))
		return false;
	if (f->len && offset - f->offset >= f->len)
		return false;
	return !f->sizes || !len || f->sizes & len;
}

static bool data_matches(const struct portal_filter *f, const u64 *data)
{
	int i;

	for (i = 0; i < 4; i++)
		if ((data[i] & f->mask[i]) != f->match[i])
			return false;
	return true;
}

/**
 * portal_filter_find - the filter that decides about an event
 * @t: its hook or region
 * @write: regions: it is a write
 * @offset: regions: where
 * @len: regions: bytes, 0 if not known yet
 * @data: the four arguments, or the value written and three zeros
 * @maybe: (out) the width would have to be known; NULL if it is
 *
 * Return: the filter, or NULL: deliver.
 */
struct portal_rule *portal_filter_find(const struct portal_target *t, bool write, u32 offset,
				       u32 len, const u64 *data, bool *maybe)
{
	struct portal_rule *rule;
	u32 i;

	for (i = 0; i < t->nr_rules; i++) {
		rule = &t->rules[i];
		if (!access_matches(&rule->f, write, offset, len) || !data_matches(&rule->f, data))
			continue;
		if (maybe && rule->f.sizes)
			*maybe = true;
		return rule;
	}
	return NULL;
}

/**
 * portal_filter_apply - count what a filter does to an event
 * @t: its hook or region
 * @rule: from portal_filter_find(), or NULL
 *
 * Return: enum portal_filter_action.
 */
u32 portal_filter_apply(struct portal_target *t, struct portal_rule *rule)
{
	u32 action = rule ? rule->f.action : PORTAL_FILTER_DELIVER;

	if (rule)
		atomic64_inc(&rule->hits);
	if (action == PORTAL_FILTER_DELIVER)
		return action;
	atomic64_inc(&t->stats.filtered);
	atomic64_inc(&t->client->vm->stats.filtered);
	if (action == PORTAL_FILTER_PASS)
		atomic64_inc(&t->stats.passed);
	else if (action == PORTAL_FILTER_IGNORE)
		atomic64_inc(&t->stats.ignored);
	return action;
}
