// SPDX-License-Identifier: GPL-2.0-only
/*
 * request.c - calls: requests for whose answer a vCPU waits
 *
 * A call outlives the instruction that made it: an interrupt, a signal or a
 * pause lets the vCPU out, and the restarted instruction finds its call again
 * by what it repeats. The life of a call is drawn in <linux/portal.h>.
 */
#include <linux/hash.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "portal.h"
#include "trace.h"

/**
 * portal_request_init - a request with all but its own data
 * @req: to fill
 * @pv: the vCPU
 * @t: its hook or region
 * @kind: enum portal_kind
 */
void portal_request_init(struct portal_request *req, struct portal_vcpu *pv,
			 const struct portal_target *t, u32 kind)
{
	memset(req, 0, sizeof(*req));
	req->kind = kind;
	req->vcpu = pv->id;
	req->hook_id = t->id;
	req->cookie = t->cookie;
}

static u64 call_hash(const struct portal_request *r)
{
	return hash_64(r->addr ^ r->call_id << 32 ^ r->data[0] * 31 ^ r->data[1] * 37, 64);
}

/* Is @call what the instruction asks for? Without an id, a vCPU has one call. */
static bool call_matches(const struct portal_call *call, const struct portal_target *t,
			 const struct portal_request *key, u64 rip)
{
	const struct portal_request *r = &call->req;

	return call->target == t && r->kind == key->kind && r->addr == key->addr &&
	       call->rip == rip &&
	       r->call_id == key->call_id && (key->call_id || r->vcpu == key->vcpu) &&
	       !memcmp(r->data, key->data, sizeof(r->data));
}

static struct portal_call *call_find(struct portal_vm *vm, const struct portal_target *t,
				     const struct portal_request *key, u64 rip)
{
	struct portal_call *call;

	lockdep_assert_held(&vm->lock);
	hash_for_each_possible(vm->calls, call, node, call_hash(key))
		if (call_matches(call, t, key, rip))
			return call;
	return NULL;
}

static void call_unlink(struct portal_vm *vm, struct portal_call *call)
{
	lockdep_assert_held(&vm->lock);
	if (call->dead)
		return;
	call->dead = true;
	hash_del(&call->node);
	hash_del(&call->id_node);
	list_del(&call->vcpu_node);
	call->creator->nr_calls--;
	if (call->state != PORTAL_CALL_DONE)
		portal_call_finish(call, PORTAL_ACTION_ERROR, 0, PORTAL_ECANCELED);
	portal_call_put(call);		/* the tables' reference */
}

/*
 * A guest that gives up calls (rebooted without HELLO, killed a thread) must
 * not use up the table: the oldest answered one goes, else the oldest. One that
 * can be told to come again may have that many under way: of those only goes
 * what nobody has come for in PORTAL_SYNC_NS.
 */
static bool call_make_room(struct portal_vm *vm, struct portal_vcpu *pv, bool evict)
{
	struct portal_call *call, *victim = NULL;
	u64 now = ktime_get_ns();

	lockdep_assert_held(&vm->lock);
	if (pv->nr_calls < PORTAL_MAX_CALLS)
		return true;
	list_for_each_entry(call, &pv->calls, vcpu_node)
		if (call->state == PORTAL_CALL_DONE && (evict || call->deadline < now)) {
			victim = call;
			break;
		}
	if (!victim && evict)
		victim = list_first_entry(&pv->calls, struct portal_call, vcpu_node);
	if (victim)
		call_unlink(vm, victim);
	return victim;
}

/**
 * portal_call_get - the call of this instruction, a new one if it has none
 * @pv: the vCPU
 * @t: its hook or region
 * @key: the request to make, which is also what to look for
 * @rip: where the instruction is, if it has no call id: one in an interrupt
 *	handler that interrupted it is another one
 * @evict: with too many of them, an older one goes
 * @inplace: the instruction can't restart: wait for a rate limit here
 *
 * Context: the vCPU's thread, in portal_srcu, which may be left.
 * Return: a referenced call, or an ERR_PTR: -ENOMEM, -ENODEV (@t is going),
 * -EBUSY (too many), -EAGAIN (a rate limit: restart, @t may be gone), -ETIME
 * (held too long by it).
 */
struct portal_call *portal_call_get(struct portal_vcpu *pv, struct portal_target *t,
				    const struct portal_request *key, u64 rip, bool evict,
				    bool inplace)
{
	struct portal_vm *vm = pv->vm;
	struct portal_call *call, *new;
	enum portal_step step;
	int ret;

	spin_lock(&vm->lock);
	call = call_find(vm, t, key, rip);
	if (call)
		refcount_inc(&call->ref);
	spin_unlock(&vm->lock);
	if (call)
		return call;

	do {
		step = portal_rate_admit(pv, t, true, inplace);
	} while (step == PORTAL_RESTART && inplace);
	if (step != PORTAL_RETIRE)
		return ERR_PTR(step == PORTAL_RESTART ? -EAGAIN : -ETIME);

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return ERR_PTR(-ENOMEM);
	refcount_set(&new->ref, 2);	/* tables, caller */
	new->creator = pv;
	new->queue = portal_target_route_of(t, pv)->queue;
	kref_get(&new->queue->ref);
	new->target = t;
	new->rip = rip;
	new->on_timeout = t->on_timeout;
	new->timeout_value = t->timeout_value;
	new->req = *key;
	new->req.id = atomic64_inc_return(&vm->next_id);
	new->req.flags |= PORTAL_REQ_F_CALL;
	new->req.time_ns = ktime_get_ns();
	new->deadline = new->req.time_ns + t->timeout_ns;
	trace_portal_hook(&new->req);

	spin_lock(&vm->lock);
	ret = 0;
	if (READ_ONCE(t->dead) || READ_ONCE(vm->gone))
		ret = -ENODEV;
	else if (!call_make_room(vm, pv, evict))
		ret = -EBUSY;
	if (ret) {
		spin_unlock(&vm->lock);
		portal_queue_put(new->queue);
		kfree(new);
		return ERR_PTR(ret);
	}
	hash_add(vm->calls, &new->node, call_hash(key));
	hash_add(vm->ids, &new->id_node, new->req.id);
	list_add_tail(&new->vcpu_node, &pv->calls);
	pv->nr_calls++;
	trace_portal_request(&new->req);
	ret = portal_queue_call(new->queue, new);
	if (ret)
		portal_call_finish(new, PORTAL_ACTION_ERROR, 0, PORTAL_EIO);
	else
		portal_timeout_arm(vm, new->deadline);
	atomic64_inc(&t->stats.calls);
	if (key->kind == PORTAL_KIND_HYPERCALL)
		atomic64_inc(&t->stats.hits);	/* once, however often it restarts */
	spin_unlock(&vm->lock);
	atomic64_inc(&vm->stats.calls);
	if (key->kind == PORTAL_KIND_HYPERCALL)
		atomic64_inc(&vm->stats.hypercalls);
	return new;
}

/**
 * portal_call_wait - wait for the answer
 * @pv: the vCPU
 * @call: referenced
 * @inplace: the instruction can't restart: wait on, until the deadline or death
 *
 * Context: the vCPU's thread, in portal_srcu, which is left meanwhile.
 * Return: true if it is there.
 */
bool portal_call_wait(struct portal_vcpu *pv, struct portal_call *call, bool inplace)
{
	struct portal_vm *vm = pv->vm;
	u64 start;
	bool done;

	spin_lock(&vm->lock);
	done = call->state == PORTAL_CALL_DONE;
	if (!done) {
		/* a guest may give one id to two vCPUs; both sleep then */
		call->shared |= call->waiter && call->waiter != pv;
		call->waiter = pv;	/* before the answer can come: no lost wake-up */
	}
	spin_unlock(&vm->lock);
	if (done)
		return true;

	trace_portal_wait(pv->id, call->req.id, inplace);
	start = ktime_get_ns();
	if (inplace) {
		portal_leave(pv);
		/* the timeout work ends the call; a second more only if it can't */
		wait_event_killable_timeout(vm->inplace_wq,
					    READ_ONCE(call->state) == PORTAL_CALL_DONE,
					    nsecs_to_jiffies(PORTAL_MAX_TIMEOUT_NS) + HZ);
		portal_reenter(pv);
	} else {
		portal_park(pv);
	}
	portal_hist_add(&pv->parked, ktime_get_ns() - start);

	spin_lock(&vm->lock);
	if (call->waiter == pv)
		call->waiter = NULL;
	done = call->state == PORTAL_CALL_DONE;
	spin_unlock(&vm->lock);
	if (!done) {
		atomic64_inc(&vm->stats.restarts);
		trace_portal_restart(pv->id, call->req.id);
	}
	return done;
}

/**
 * portal_call_try - as portal_call_wait(), but for PORTAL_PATIENCE_NS at most
 * @pv: the vCPU
 * @call: referenced
 * @again: (out) that time is over: let the guest do something else meanwhile
 *
 * Restarts for interrupts and signals do not start it anew: a guest whose timer
 * ticks would never get there.
 *
 * Return: true if the answer is there.
 */
bool portal_call_try(struct portal_vcpu *pv, struct portal_call *call, bool *again)
{
	struct portal_vm *vm = pv->vm;
	u64 now = ktime_get_ns();

	*again = false;
	spin_lock(&vm->lock);
	if (!call->patience)
		call->patience = now + PORTAL_PATIENCE_NS;
	else if (now >= call->patience)
		*again = call->state != PORTAL_CALL_DONE;
	if (!*again)
		portal_timeout_arm(vm, call->patience);
	spin_unlock(&vm->lock);
	if (!*again && portal_call_wait(pv, call, false))
		return true;

	spin_lock(&vm->lock);
	*again = *again || ktime_get_ns() >= call->patience;
	if (*again)
		call->patience = 0;
	spin_unlock(&vm->lock);
	return false;
}

/**
 * portal_call_finish - the answer, from whoever gives it first
 * @call: not DONE
 * @action: enum portal_action
 * @value: for PORTAL_ACTION_VALUE
 * @error: for PORTAL_ACTION_ERROR
 *
 * Context: vm->lock held.
 */
void portal_call_finish(struct portal_call *call, u32 action, u64 value, u32 error)
{
	struct portal_queue *queue = call->queue;
	struct portal_vm *vm = call->creator->vm;
	u64 now = ktime_get_ns();

	lockdep_assert_held(&vm->lock);
	call->action = action;
	call->value = value;
	call->error = error;
	spin_lock(&queue->lock);
	if (!list_empty(&call->queue_node)) {
		if (call->state == PORTAL_CALL_NEW)
			queue->backlog--;
		else
			portal_ring_done(queue, call, now);
		list_del_init(&call->queue_node);
	}
	spin_unlock(&queue->lock);
	/* for its instruction to take it: a paused VM, or an interrupt first */
	call->deadline = now + PORTAL_SYNC_NS;
	portal_hist_add(&call->target->stats.latency, now - call->req.time_ns);
	/* pairs with the look of an in-place waiter, which takes no lock */
	smp_store_release(&call->state, PORTAL_CALL_DONE);
	trace_portal_reply(&call->req, action, value, error);
	if (call->shared)
		portal_vm_wake_all(vm);
	else if (call->waiter)
		vm->ops->wake(call->waiter);
	if (wq_has_sleeper(&vm->inplace_wq))
		wake_up_all(&vm->inplace_wq);
}

/**
 * portal_call_retire - the instruction took the answer
 * @vm: the VM
 * @call: DONE
 */
void portal_call_retire(struct portal_vm *vm, struct portal_call *call)
{
	trace_portal_retire(&call->req);
	spin_lock(&vm->lock);
	call_unlink(vm, call);
	spin_unlock(&vm->lock);
}

void portal_call_put(struct portal_call *call)
{
	if (refcount_dec_and_test(&call->ref)) {
		portal_queue_put(call->queue);
		kfree(call);
	}
}

/* Ends @call, and forgets it unless somebody sleeps for it. */
static void call_cancel(struct portal_vm *vm, struct portal_call *call, u32 error)
{
	if (call->state != PORTAL_CALL_DONE)
		portal_call_finish(call, PORTAL_ACTION_ERROR, 0, error);
	call_unlink(vm, call);
}

/**
 * portal_calls_cancel - end calls with an error
 * @vm: the VM
 * @t: those of this hook or region, or NULL
 * @queue: those of this queue, or NULL
 * @error: PORTAL_E*
 */
void portal_calls_cancel(struct portal_vm *vm, const struct portal_target *t,
			 const struct portal_queue *queue, u32 error)
{
	struct portal_call *call;
	struct hlist_node *tmp;
	int bkt;

	spin_lock(&vm->lock);
	hash_for_each_safe(vm->ids, bkt, tmp, call, id_node)
		if ((!t || call->target == t) && (!queue || call->queue == queue))
			call_cancel(vm, call, error);
	spin_unlock(&vm->lock);
}

/**
 * portal_calls_drop - end all calls of a VM
 * @vm: the VM
 */
void portal_calls_drop(struct portal_vm *vm)
{
	portal_calls_cancel(vm, NULL, NULL, PORTAL_ECANCELED);
}

/**
 * portal_call_reply - what an owner answers
 * @qf: its file
 * @reply: checked by the caller
 *
 * Return: 0, -ENOENT: no such call of this queue, it is over; -ESTALE.
 */
int portal_call_reply(struct portal_queue_file *qf, const struct portal_reply *reply)
{
	struct portal_queue *queue = qf->queue;
	struct portal_vm *vm = queue->client->vm;
	struct portal_call *call;
	int ret = -ENOENT;

	spin_lock(&vm->lock);
	if (READ_ONCE(queue->epoch) != qf->epoch) {	/* changed under vm->lock only */
		spin_unlock(&vm->lock);
		return -ESTALE;
	}
	hash_for_each_possible(vm->ids, call, id_node, reply->id) {
		if (call->req.id != reply->id || call->queue != queue)
			continue;
		if (call->state == PORTAL_CALL_QUEUED) {
			call->replied = true;
			portal_call_finish(call, reply->action, reply->value, reply->error);
			ret = 0;
		}
		break;
	}
	spin_unlock(&vm->lock);
	return ret;
}

/**
 * portal_timeout_arm - look at deadlines by @deadline at the latest
 * @vm: the VM, its lock held
 * @deadline: CLOCK_MONOTONIC ns
 *
 * Nearly always an earlier one is armed already, so this costs a compare.
 */
void portal_timeout_arm(struct portal_vm *vm, u64 deadline)
{
	u64 now;

	lockdep_assert_held(&vm->lock);
	if (vm->timeout_at && vm->timeout_at <= deadline)
		return;
	now = ktime_get_ns();
	vm->timeout_at = deadline;
	mod_delayed_work(system_wq, &vm->timeout_work,
			 deadline > now ? nsecs_to_jiffies(deadline - now) + 1 : 0);
}

/**
 * portal_timeout_work - end calls that are over their time, wake late waiters
 * @work: vm->timeout_work
 */
void portal_timeout_work(struct work_struct *work)
{
	struct portal_vm *vm = container_of(to_delayed_work(work), struct portal_vm, timeout_work);
	u64 now = ktime_get_ns(), next = 0;
	struct portal_call *call;
	struct hlist_node *tmp;
	struct portal_vcpu *pv;
	unsigned long i;
	int bkt;

	spin_lock(&vm->lock);
	vm->timeout_at = 0;
	hash_for_each_safe(vm->ids, bkt, tmp, call, id_node) {
		if (call->state == PORTAL_CALL_DONE && call->req.call_id)
			continue;	/* only its own guest asks for it by that id */
		if (call->waiter && call->patience) {
			if (call->patience <= now)
				vm->ops->wake(call->waiter);
			else if (!next || call->patience < next)
				next = call->patience;
		}
		if (call->deadline > now) {
			if (!next || call->deadline < next)
				next = call->deadline;
		} else if (call->state == PORTAL_CALL_DONE) {
			call_unlink(vm, call);	/* must not answer a later access */
		} else {
			/* in the table, so its target is there: portal_target_kill() */
			atomic64_inc(&call->target->stats.timeouts);
			atomic64_inc(&vm->stats.timeouts);
			trace_portal_timeout(call->creator->id, call->req.id);
			portal_call_finish(call, call->on_timeout, call->timeout_value,
					   PORTAL_ETIME);
			if (!next || call->deadline < next)
				next = call->deadline;
		}
	}
	xa_for_each(&vm->vcpus, i, pv) {
		u64 deadline = READ_ONCE(pv->fence_deadline);

		if (!deadline)
			continue;
		if (deadline <= now)
			vm->ops->wake(pv);	/* it sees the time itself */
		else if (!next || deadline < next)
			next = deadline;
	}
	if (next)
		portal_timeout_arm(vm, next);
	spin_unlock(&vm->lock);
	if (wq_has_sleeper(&vm->inplace_wq))
		wake_up_all(&vm->inplace_wq);
}
