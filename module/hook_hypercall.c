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
	struct portal_client *client;
	u32 features = PORTAL_GUEST_F_64BIT | PORTAL_GUEST_F_EAGAIN;

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
	atomic64_inc(&vm->stats.hellos);
	/* a guest that booted anew has forgotten its calls */
	portal_calls_drop(vm);
	portal_syncs_forget(vm, NULL);
	list_for_each_entry_srcu(client, &vm->clients, node, srcu_read_lock_held(&portal_srcu))
		portal_queue_lifecycle(client, PORTAL_LIFE_HELLO, hc->args[2], hc->args[3]);
	hc->value = PORTAL_GUEST_VERSION << 24 | features;
	return PORTAL_RETIRE;
}

static enum portal_step post(struct portal_vcpu *pv, struct portal_hook *hook,
			     struct portal_request *req, struct portal_hypercall *hc)
{
	struct portal_stats *s = &pv->vm->stats;
	struct portal_queue *queue = hook->t.queue;
	bool slept = false;
	u64 pos;
	int ret;

	ret = portal_queue_post(queue, req, &pos);
	if (ret == -EAGAIN && hook->t.policy == PORTAL_POLICY_BLOCK) {
		/*
		 * pos: where head must be for the ring to have room. @hook may
		 * go while we sleep, the queue must not.
		 */
		kref_get(&queue->ref);
		portal_queue_consumed(queue);	/* calls in line may have room now */
		if (!portal_fence_wait(pv, &hook->t, pos, hook, false)) {
			portal_queue_put(queue);
			return PORTAL_RESTART;
		}
		slept = true;
		ret = portal_queue_post(queue, req, &pos);
		if (ret)
			portal_queue_drop(queue);
		portal_queue_put(queue);
	} else if (ret) {
		portal_queue_drop(queue);
	}
	if (!ret)
		atomic64_inc(&s->posted);
	if (!slept || hook_match(pv->vm, req->addr) == hook)
		atomic64_inc(ret ? &hook->t.stats.dropped : &hook->t.stats.posted);
	hc->value = ret ? -PORTAL_EBUSY : 0;
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
	struct portal_call *call;
	struct portal_hook *hook;
	enum portal_step step;
	bool eagain, again = false;

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
	if (hook->flags & PORTAL_HOOK_F_POSTED) {
		atomic64_inc(&vm->stats.hypercalls);
		return post(pv, hook, &req, hc);
	}

	/* a RAW hook serves guests that may know nothing of us */
	eagain = READ_ONCE(vm->eagain) && !(hook->flags & PORTAL_HOOK_F_RAW);
	call = portal_call_get(pv, &hook->t, &req, 0, !eagain);
	if (IS_ERR(call)) {
		hc->value = PTR_ERR(call) == -ENOMEM ? -PORTAL_ENOMEM :
			    PTR_ERR(call) == -EAGAIN ? -PORTAL_EAGAIN : -PORTAL_ENODEV;
		return PORTAL_RETIRE;
	}
	/* from here on @hook may be gone, @call is ours */
	if (!(eagain ? portal_call_try(pv, call, &again) : portal_call_wait(pv, call, false))) {
		portal_call_put(call);
		hc->value = -PORTAL_EAGAIN;
		return again ? PORTAL_RETIRE : PORTAL_RESTART;
	}
	step = PORTAL_RETIRE;
	switch (call->action) {
	case PORTAL_ACTION_VALUE:
		hc->value = call->value;
		break;
	case PORTAL_ACTION_PASS:
		step = PORTAL_PASS;
		break;
	default:
		hc->value = -(s64)(call->error ?: PORTAL_EIO);
	}
	portal_call_retire(vm, call);
	portal_call_put(call);
	return step;
}
