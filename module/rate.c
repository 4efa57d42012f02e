// SPDX-License-Identifier: GPL-2.0-only
/*
 * rate.c - so many requests per second, and who comes too early waits
 *
 * The generic cell rate algorithm: one number, the time at which all requests
 * so far would have come at the steady rate, moved by compare-and-exchange.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include "portal.h"

/* A shorter wait is slept through: a guest's interrupt can wait for that. */
#define NAP_NS	(2 * NSEC_PER_MSEC)

/* Returns 0 and takes a token, or when there will be one. */
static u64 rate_take(struct portal_rate *rate, u64 now)
{
	u64 interval = READ_ONCE(rate->interval), tolerance = READ_ONCE(rate->tolerance), start;
	s64 tat = atomic64_read(&rate->tat);

	if (!interval)
		return 0;
	do {
		start = max_t(s64, tat, now);
		if (start - now > tolerance)
			return start - tolerance;
	} while (!atomic64_try_cmpxchg(&rate->tat, &tat, start + interval));
	return 0;
}

static u64 rates_take(struct portal_client *client, u64 now)
{
	struct portal_vm *vm = client->vm;
	u64 until;

	until = rate_take(&vm->rate, now);
	if (until)
		return until;
	until = rate_take(&client->rate, now);
	if (until)
		atomic64_sub(READ_ONCE(vm->rate.interval), &vm->rate.tat);
	return until;
}

static bool hold_over(struct portal_vcpu *pv, const struct portal_target *t)
{
	return READ_ONCE(pv->vm->gone) || READ_ONCE(t->dead) || fatal_signal_pending(current);
}

static void nap(struct portal_vcpu *pv, const struct portal_target *t, u64 until)
{
	ktime_t when = ns_to_ktime(until);
	DEFINE_WAIT(wait);

	/* who takes @t away wakes the queue; in place, the bus keeps @t until then */
	prepare_to_wait(&pv->vm->inplace_wq, &wait, TASK_KILLABLE);
	if (!hold_over(pv, t)) {
		portal_leave(pv);
		schedule_hrtimeout(&when, HRTIMER_MODE_ABS);
		portal_reenter(pv);
	}
	finish_wait(&pv->vm->inplace_wq, &wait);
}

static void hold(struct portal_vcpu *pv, const struct portal_target *t, u64 now, u64 until,
		 bool inplace)
{
	struct portal_vm *vm = pv->vm;

	if (inplace || until - now <= NAP_NS) {
		nap(pv, t, until);
	} else {
		WRITE_ONCE(pv->fence_deadline, until);
		spin_lock(&vm->lock);
		portal_timeout_arm(vm, until);
		spin_unlock(&vm->lock);
		portal_park(pv);
		WRITE_ONCE(pv->fence_deadline, 0);
	}
	portal_hist_add(&pv->parked, ktime_get_ns() - now);
}

/**
 * portal_rate_admit - may this request be made now?
 * @pv: the vCPU
 * @t: its hook or region
 * @call: a call, which is never dropped
 * @inplace: the instruction can't restart: wait here
 *
 * Context: the vCPU's thread, in portal_srcu, which may be left meanwhile.
 * Return: PORTAL_RETIRE: yes. PORTAL_RESTART: it has waited, come again; without
 * @inplace @t may be gone. PORTAL_PASS: no, refused and counted.
 */
enum portal_step portal_rate_admit(struct portal_vcpu *pv, struct portal_target *t, bool call,
				   bool inplace)
{
	const void *key = &t->stats.held;
	struct portal_vm *vm = pv->vm;
	struct portal_wait *wait;
	u64 now, until, rip;

	if (!READ_ONCE(vm->rate.interval) && !READ_ONCE(t->client->rate.interval))
		return PORTAL_RETIRE;
	now = ktime_get_ns();
	/* each instruction has its own patience */
	rip = vm->ops->rip(pv);
	until = rates_take(t->client, now);
	if (!until) {
		portal_wait_end(pv, key, rip);
		return PORTAL_RETIRE;
	}
	if (!call && t->policy != PORTAL_POLICY_BLOCK)
		goto refuse;
	wait = portal_wait_find(pv, key, rip);
	if (!wait) {
		wait = portal_wait_get(pv, key, rip, t->timeout_ns);
		atomic64_inc(&vm->stats.held);
		atomic64_inc(&t->stats.held);
	} else if (now >= wait->deadline || (inplace && hold_over(pv, t))) {
		portal_wait_end(pv, key, rip);
		atomic64_inc(&vm->stats.timeouts);
		atomic64_inc(&t->stats.timeouts);
		goto refuse;
	}
	hold(pv, t, now, min(until, wait->deadline), inplace);
	return PORTAL_RESTART;

refuse:
	atomic64_inc(&vm->stats.limited);
	atomic64_inc(&t->stats.limited);
	return PORTAL_PASS;
}

/* Two at once may mix their values; each is within bounds. */
static void rate_set(struct portal_rate *rate, const struct portal_rate_set *arg)
{
	u64 interval = arg->rate ? max_t(u64, div64_u64(NSEC_PER_SEC, arg->rate), 1) : 0;

	WRITE_ONCE(rate->interval, 0);
	WRITE_ONCE(rate->tolerance, interval * (arg->burst - !!arg->burst));
	atomic64_set(&rate->tat, 0);
	smp_store_release(&rate->interval, interval);
}

int portal_rate_ioctl_set(struct portal_vm_file *vf, struct portal_rate_set *arg)
{
	u32 serve = PORTAL_RIGHT_HYPERCALL | PORTAL_RIGHT_MMIO | PORTAL_RIGHT_PIO;
	struct portal_client *client = vf->client;
	bool all = arg->flags & PORTAL_RATE_F_VM;
	int ret = 0;

	if (arg->__reserved || arg->rate > PORTAL_MAX_RATE || arg->burst > PORTAL_MAX_BURST ||
	    !arg->rate != !arg->burst)
		return -EINVAL;
	if (arg->flags & ~PORTAL_RATE_F_VM)
		return -EOPNOTSUPP;
	if (!(vf->rights & (all ? PORTAL_RIGHT_PAUSE : serve)))
		return -EPERM;
	mutex_lock(&client->lock);
	if (client->dead)
		ret = -ENODEV;
	else
		rate_set(all ? &client->vm->rate : &client->rate, arg);
	mutex_unlock(&client->lock);
	portal_vm_wake_all(client->vm);
	return ret;
}
