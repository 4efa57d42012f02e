// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_hypercall.c - a guest makes a hypercall
 */
#include <linux/rculist.h>
#include "portal.h"

static struct portal_hook *hook_match(struct portal_vm *vm, u32 nr)
{
	struct portal_hook *hook;

	list_for_each_entry_srcu(hook, &vm->hooks, node, srcu_read_lock_held(&portal_srcu))
		if (nr >= hook->first && nr <= hook->last)
			return hook;
	return NULL;
}

/*
 * The guest says who it is. A Hyper-V guest leaves RAX undefined in its own
 * hypercalls, hence the two magics before anything is served.
 */
static enum portal_step hello(struct portal_vcpu *pv, struct portal_hypercall *hc)
{
	struct portal_vm *vm = pv->vm;
	u32 features = PORTAL_GUEST_F_64BIT | PORTAL_GUEST_F_EAGAIN;
	u64 nr;

	if ((u32)hc->args[0] != PORTAL_HELLO_MAGIC0 || (u32)hc->args[1] != PORTAL_HELLO_MAGIC1)
		return PORTAL_PASS;
	if (hc->cpl) {
		hc->value = -PORTAL_EPERM;
		return PORTAL_RETIRE;
	}
	if (!hc->args[2]) {
		hc->value = -PORTAL_EINVAL;
		return PORTAL_RETIRE;
	}
	if (hook_match(vm, PORTAL_HC_BUS))
		features |= PORTAL_GUEST_F_BUS;
	WRITE_ONCE(vm->eagain, hc->args[3] & PORTAL_GUEST_F_EAGAIN);
	WRITE_ONCE(vm->hello, true);
	nr = atomic64_inc_return(&vm->stats.hellos);
	/* a guest that booted anew has forgotten its calls */
	portal_calls_drop(vm);
	portal_syncs_forget(vm, NULL);
	portal_life_vm(vm, PORTAL_LIFE_HELLO, hc->args[2], hc->args[3], nr);
	hc->value = PORTAL_GUEST_VERSION << 24 | features;
	return PORTAL_RETIRE;
}

static enum portal_step post(struct portal_vcpu *pv, struct portal_hook *hook,
			     struct portal_request *req, struct portal_hypercall *hc)
{
	struct portal_queue *queue = portal_target_route_of(&hook->t, pv)->queue;
	struct portal_stats *s = &pv->vm->stats;
	enum portal_step step = PORTAL_RETIRE;
	u32 id = hook->t.id;
	u64 pos;
	int ret;

	/* who comes back from waiting for room has been let in */
	if (pv->admitted != hook)
		step = portal_rate_admit(pv, &hook->t, false, false);
	pv->admitted = NULL;
	if (step == PORTAL_RESTART)
		return step;
	if (step == PORTAL_PASS)
		ret = -EBUSY;
	else if (hook->t.policy == PORTAL_POLICY_COALESCE)
		ret = portal_merge_post(&hook->t, queue, req, &pos);
	else
		ret = portal_queue_post(queue, req, &pos);
	if (ret == -EAGAIN && hook->t.policy == PORTAL_POLICY_BLOCK) {
		/*
		 * pos: where head must be for the ring to have room. @hook may
		 * go while we sleep, the queue must not.
		 */
		kref_get(&queue->ref);
		portal_queue_consumed(queue);	/* calls in line may have room now */
		if (!portal_fence_wait(pv, &hook->t, queue, pos, hook, false)) {
			portal_queue_put(queue);
			pv->admitted = hook;
			return PORTAL_RESTART;
		}
		ret = portal_queue_post(queue, req, &pos);
		if (ret)
			portal_queue_drop(queue, 1);
		portal_queue_put(queue);
		hook = hook_match(pv->vm, hc->nr);	/* may be another one */
		if (hook && hook->t.id != id)
			hook = NULL;
	} else if (ret < 0) {
		portal_queue_drop(queue, 1);
	}
	if (hook) {
		atomic64_inc(&hook->t.stats.hits);
		atomic64_inc(ret < 0 ? &hook->t.stats.dropped : &hook->t.stats.posted);
	}
	if (ret >= 0)
		atomic64_inc(&s->posted);
	atomic64_inc(&s->hypercalls);
	hc->value = ret < 0 ? -PORTAL_EBUSY : 0;
	return PORTAL_RETIRE;
}

static enum portal_step answer(struct portal_hypercall *hc, u32 action, u64 value, u32 error)
{
	switch (action) {
	case PORTAL_ACTION_VALUE:
		hc->value = value;
		return PORTAL_RETIRE;
	case PORTAL_ACTION_PASS:
		return PORTAL_PASS;
	}
	hc->value = -(s64)(error ?: PORTAL_EIO);
	return PORTAL_RETIRE;
}

/**
 * portal_hypercall - serve one hypercall
 * @pv: the vCPU
 * @hc: number, arguments, privilege; on PORTAL_RETIRE its value
 *
 * Context: the vCPU's thread, in portal_srcu; sleeps only parked.
 * Return: PORTAL_RETIRE, PORTAL_RESTART (come again with the same registers),
 * or PORTAL_PASS (not ours).
 */
enum portal_step portal_hypercall(struct portal_vcpu *pv, struct portal_hypercall *hc)
{
	struct portal_vm *vm = pv->vm;
	struct portal_request req;
	struct portal_rule *rule;
	struct portal_call *call;
	struct portal_hook *hook;
	enum portal_step step;
	bool eagain, again = false;
	u32 action;

	if (READ_ONCE(vm->gone))
		return PORTAL_PASS;
	if (hc->nr == PORTAL_HC_HELLO)
		return hello(pv, hc);
	hook = hook_match(vm, hc->nr);
	if (!hook || (!(hook->flags & PORTAL_HOOK_F_RAW) && !READ_ONCE(vm->hello)))
		return PORTAL_PASS;
	if (hc->cpl && !(hook->flags & PORTAL_HOOK_F_USER)) {
		hc->value = -PORTAL_EPERM;
		return PORTAL_RETIRE;
	}
	portal_request_init(&req, pv, &hook->t, PORTAL_KIND_HYPERCALL);
	req.addr = hc->nr;
	req.call_id = hc->call_id;
	memcpy(req.data, hc->args, sizeof(req.data));
	if (hc->cpl)
		req.flags |= PORTAL_REQ_F_USER;
	rule = portal_filter_find(&hook->t, false, 0, 0, req.data, NULL);
	action = portal_filter_apply(&hook->t, rule);
	if (action != PORTAL_FILTER_DELIVER) {
		atomic64_inc(&vm->stats.hypercalls);
		atomic64_inc(&hook->t.stats.hits);
		hc->value = rule->f.value;	/* 0 of one that is ignored */
		return action == PORTAL_FILTER_PASS ? PORTAL_PASS : PORTAL_RETIRE;
	}
	if (hook->flags & PORTAL_HOOK_F_POSTED)
		return post(pv, hook, &req, hc);

	/* a RAW hook serves guests that may know nothing of us */
	eagain = READ_ONCE(vm->eagain) && !(hook->flags & PORTAL_HOOK_F_RAW);
	call = portal_call_get(pv, &hook->t, &req, 0, !eagain, false);
	if (call == ERR_PTR(-EAGAIN))
		return PORTAL_RESTART;
	if (call == ERR_PTR(-ETIME))
		return answer(hc, hook->t.on_timeout, hook->t.timeout_value, PORTAL_ETIME);
	if (IS_ERR(call)) {
		hc->value = PTR_ERR(call) == -ENOMEM ? -PORTAL_ENOMEM :
			    PTR_ERR(call) == -EBUSY ? -PORTAL_EAGAIN : -PORTAL_ENODEV;
		return PORTAL_RETIRE;
	}
	/* from here on @hook may be gone, @call is ours */
	if (!(eagain ? portal_call_try(pv, call, &again) : portal_call_wait(pv, call, false))) {
		portal_call_put(call);
		hc->value = -PORTAL_EAGAIN;
		return again ? PORTAL_RETIRE : PORTAL_RESTART;
	}
	step = answer(hc, call->action, call->value, call->error);
	portal_call_retire(vm, call);
	portal_call_put(call);
	return step;
}
