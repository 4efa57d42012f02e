// SPDX-License-Identifier: GPL-2.0-only
/*
 * gva.c - virtual addresses of a vCPU
 *
 * KVM walks the guest's page tables in the VMM's address space and with the
 * vCPU's registers at hand: only the vCPU's own thread may. It can be asked
 * while it is parked: it wakes up, translates, and goes back to its call by way
 * of the restarted instruction.
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "portal.h"

/**
 * struct portal_gva - a question to a vCPU
 * @ref: of who asks, and of portal_vcpu.gva or the vCPU's thread
 * @done: answered
 * @gva: first page
 * @nr: pages
 * @got: translated
 * @write: for writing
 * @gpa: the answers
 */
struct portal_gva {
	struct kref ref;
	struct completion done;
	u64 gva;
	u32 nr;
	u32 got;
	bool write;
	u64 gpa[PORTAL_GVA_PAGES];
};

/* In portal_vcpu.gva: parked, and nobody asks. */
static struct portal_gva parked;

static void gva_free(struct kref *ref)
{
	kfree(container_of(ref, struct portal_gva, ref));
}

/**
 * portal_gva_open - the vCPU is about to park: it may be asked
 * @pv: the vCPU
 *
 * Context: the vCPU's thread.
 */
void portal_gva_open(struct portal_vcpu *pv)
{
	xchg(&pv->gva, &parked);	/* a full barrier before looking for sleepers */
	if (waitqueue_active(&pv->vm->inplace_wq))
		wake_up_all(&pv->vm->inplace_wq);
}

/**
 * portal_gva_close - it is not parked any more; answers who asked
 * @pv: the vCPU
 *
 * Context: the vCPU's thread, as on a VM exit: kvm->srcu held, portal_srcu not.
 */
void portal_gva_close(struct portal_vcpu *pv)
{
	struct portal_gva *req = xchg(&pv->gva, NULL);
	u64 gpa;

	if (req == &parked)
		return;
	for (; req->got < req->nr; req->got++) {
		gpa = pv->vm->ops->gva(pv, req->gva + (u64)req->got * PAGE_SIZE, req->write);
		if (gpa == U64_MAX)
			break;
		req->gpa[req->got] = gpa;
	}
	complete(&req->done);
	kref_put(&req->ref, gva_free);
}

/* Will it be parked soon? It is on its way to or from the wait of a call. */
static bool waits(struct portal_vcpu *pv)
{
	u64 now = ktime_get_ns();
	struct portal_wait *w;
	struct portal_call *call;
	bool open = false;

	for (w = pv->waits; w < pv->waits + PORTAL_WAITS; w++)
		open |= READ_ONCE(w->key) && now < READ_ONCE(w->deadline);
	spin_lock(&pv->vm->lock);
	list_for_each_entry(call, &pv->calls, vcpu_node)
		open |= call->state != PORTAL_CALL_DONE;
	spin_unlock(&pv->vm->lock);
	return open;
}

/* Puts @req where the vCPU will find it. */
static bool ask(struct portal_vcpu *pv, struct portal_gva *req)
{
	return cmpxchg(&pv->gva, &parked, req) == &parked;
}

static int ask_and_wait(struct portal_vcpu *pv, struct portal_gva *req)
{
	struct portal_vm *vm = pv->vm;
	bool asked = false;
	long left;

	kref_get(&req->ref);	/* the vCPU's */
	left = wait_event_interruptible_timeout(vm->inplace_wq,
						(asked = ask(pv, req)) || !waits(pv) ||
						READ_ONCE(vm->gone), HZ);
	if (!asked) {
		kref_put(&req->ref, gva_free);
		return left < 0 ? -EINTR : READ_ONCE(vm->gone) ? -ENODEV : -EBUSY;
	}
	if (portal_vm_enter(vm)) {
		vm->ops->wake(pv);
		portal_vm_exit(vm);
	}
	left = wait_for_completion_interruptible_timeout(&req->done, HZ);
	if (left > 0)
		return 0;
	/* its thread does not run; it must not find this later */
	if (cmpxchg(&pv->gva, req, &parked) == req)
		kref_put(&req->ref, gva_free);
	return left < 0 ? -EINTR : -EBUSY;
}

/**
 * portal_gva_translate - where a parked vCPU sees its pages
 * @vm: the VM
 * @vcpu: index
 * @gva: page aligned
 * @nr: pages, at most PORTAL_GVA_PAGES
 * @write: as it may write them, else read
 * @gpa: (out) of each page
 *
 * Context: process, no lock held; waits up to two seconds.
 * Return: how many, from the first on; -EFAULT: not even that one; -EBUSY: the
 * vCPU waits in none of our calls; -ENOENT, -EINTR, -ENODEV, -ENOMEM.
 */
int portal_gva_translate(struct portal_vm *vm, u32 vcpu, u64 gva, u32 nr, bool write, u64 *gpa)
{
	struct portal_vcpu *pv = xa_load(&vm->vcpus, vcpu);
	struct portal_gva *req;
	int ret = -ENOENT;

	if (!portal_vm_enter(vm))
		return -ENODEV;
	if (vcpu < vm->ops->nr_vcpus(vm))
		ret = pv ? 0 : -EBUSY;
	portal_vm_exit(vm);
	if (ret)
		return ret;
	req = kzalloc(sizeof(*req), GFP_KERNEL_ACCOUNT);
	if (!req)
		return -ENOMEM;
	kref_init(&req->ref);
	init_completion(&req->done);
	req->gva = gva;
	req->nr = nr;
	req->write = write;
	ret = ask_and_wait(pv, req);
	if (!ret) {
		memcpy(gpa, req->gpa, req->got * sizeof(*gpa));
		ret = req->got ?: -EFAULT;
	}
	kref_put(&req->ref, gva_free);
	return ret;
}
