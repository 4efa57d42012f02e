// SPDX-License-Identifier: GPL-2.0-only
/*
 * dispatch.c - a request of the guest becomes a call of the plugin, and its
 * result a reply
 *
 * No allocation, lock or log here in the good case. A guest can send anything:
 * whatever has no reader is an error to it, never to us.
 */
#include <errno.h>
#include <linux/portal_guest.h>

#include "errmap.h"
#include "worker.h"

#define MAX_TRIES	3

static void count(uint64_t *counter)
{
	/* read by the supervisor at any time, written by this thread only */
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void answer(struct portal_instance *pi, const struct portal_request *req, int ret,
		   uint64_t value)
{
	if (ret < 0)
		count(&pi->page->errors);
	if (!(req->flags & PORTAL_REQ_F_CALL))
		return;
	if (ret < 0)
		portal_reply_error(pi->queue, req->id, guest_errno(ret));
	else
		portal_reply_value(pi->queue, req->id, value);
}

/*
 * The thread model of a plugin that is a block backend too: its functions run
 * in block.c's threads. A service has no backend and no lock.
 */
static void enter(struct portal_instance *pi)
{
	if (pi->backend)
		backend_lock(pi->backend);
}

static void leave(struct portal_instance *pi)
{
	if (pi->backend)
		backend_unlock(pi->backend);
}

/*
 * The count is taken before the handler runs: what is queued meanwhile signals
 * the guest again. It is "served" only afterwards, so a handler that dies gets
 * the same count when the next worker sees the call again.
 */
static int run_interrupt(struct portal_instance *pi, uint64_t *value)
{
	struct chan_page *page = pi->page;
	uint64_t queued = __atomic_load_n(&page->queued, __ATOMIC_SEQ_CST);
	uint64_t nr = queued - page->taken;
	int ret;

	if (!nr)
		return -ENOENT;
	__atomic_store_n(&page->taken, queued, __ATOMIC_SEQ_CST);
	ret = pi->plugin.ops.interrupt ?
		pi->plugin.ops.interrupt(pi->handle, nr, value) : -ENOSYS;
	__atomic_store_n(&page->served, queued, __ATOMIC_SEQ_CST);
	return ret;
}

/*
 * The kernel hands a dead worker's calls out again. A call that kills its
 * worker each time would take down the instance, so after MAX_TRIES it is over.
 */
static bool is_poison(struct chan_page *page, const struct portal_request *req)
{
	if (page->running != req->id) {
		page->tries = 0;
		page->running = req->id;
	}
	return ++page->tries > MAX_TRIES;
}

static void dispatch_hypercall(struct portal_instance *pi, const struct portal_request *req)
{
	struct portal_call call = {
		/* the numbers do not begin at a multiple of 0x100 */
		.fn = (uint32_t)(req->addr - PORTAL_HC_SERVICE(0)) % PORTAL_HC_SERVICE_FNS,
		.vcpu = req->vcpu,
		.args = { req->data[0], req->data[1], req->data[2], req->data[3] },
	};
	uint64_t value = 0;
	int ret = -ENOSYS;

	count(&pi->page->calls);
	if (is_poison(pi->page, req)) {
		log_err("a call of function %u killed %d workers; answered by an error", call.fn,
			MAX_TRIES);
		answer(pi, req, -EIO, 0);
		return;
	}
	if (pi->fe && pi->ops->call && call.fn < pi->ops->fns) {
		ret = pi->ops->call(pi->fe, call.fn, call.args, &value);
		if (ret != FRONTEND_LATER)
			answer(pi, req, ret, value);
		return;
	}
	enter(pi);
	if (call.fn == PORTAL_FN_SYNC && pi->cmds)
		ret = cmd_sync(pi->cmds, call.args[0], call.args[1], &value);
	else if (call.fn == PORTAL_FN_INTERRUPT)
		ret = run_interrupt(pi, &value);
	else if (call.fn < pi->plugin.ops.fns)
		ret = pi->plugin.ops.call(pi->handle, &call, &value);
	leave(pi);
	answer(pi, req, ret, value);
}

/* The doorbell that a counted write hit, as the kernel chose it. */
static const struct portal_region_range *doorbell(const struct portal_instance *pi,
						  const struct portal_request *req)
{
	for (uint32_t i = 0; i < pi->desc.nr_ranges; i++) {
		const struct portal_region_range *r = &pi->desc.ranges[i];

		if (!(r->flags & PORTAL_RANGE_F_COUNT) || req->addr < r->offset ||
		    req->addr - r->offset >= r->len || (r->width && r->width != req->len))
			continue;
		if (!(r->flags & PORTAL_RANGE_F_DATAMATCH) || r->datamatch == req->data[0])
			return r;
	}
	return NULL;
}

static int write_doorbell(struct portal_instance *pi, const struct portal_request *req)
{
	const struct portal_region_range *r = doorbell(pi, req);
	uint32_t rung;

	count(&pi->page->doorbells);
	if (!r)
		return -EINVAL;
	rung = portal_region_take(pi->region, r->aux);
	if (!rung)
		return 0;	/* an earlier request took this one's too */
	if (pi->fe && pi->ops->doorbell) {
		pi->ops->doorbell(pi->fe, (uint32_t)(r - pi->desc.ranges), rung);
		return 0;
	}
	if (pi->fe) {
		pi->ops->write(pi->fe, req->addr, req->len, rung);
		return 0;
	}
	if (!pi->plugin.ops.reg_write)
		return 0;
	return pi->plugin.ops.reg_write(pi->handle, req->addr, req->len, rung);
}

static int write_register(struct portal_instance *pi, const struct portal_request *req)
{
	uint64_t value = req->data[0];

	if (req->flags & PORTAL_REQ_F_COUNTED)
		return write_doorbell(pi, req);
	count(&pi->page->writes);
	if (pi->fe) {
		pi->ops->write(pi->fe, req->addr, req->len, value);
		return 0;
	}
	if (!pi->plugin.ops.reg_write)
		return 0;
	return pi->plugin.ops.reg_write(pi->handle, req->addr, req->len, value);
}

static void dispatch_register(struct portal_instance *pi, const struct portal_request *req)
{
	uint64_t value = 0;
	int ret = -ENOSYS;

	/* a write that was on its way when the guest took the device off */
	if (!pi->region || portal_region_id(pi->region) != req->hook_id) {
		count(&pi->page->dropped);
		answer(pi, req, -ENODEV, 0);
		return;
	}
	if (req->flags & PORTAL_REQ_F_WRITE) {
		ret = write_register(pi, req);
	} else {
		count(&pi->page->reads);
		if (pi->fe && pi->ops->read)
			ret = pi->ops->read(pi->fe, req->addr, req->len, &value);
		else if (!pi->fe && pi->plugin.ops.reg_read)
			ret = pi->plugin.ops.reg_read(pi->handle, req->addr, req->len, &value);
	}
	answer(pi, req, ret, value);
}

void dispatch(struct portal_instance *pi, const struct portal_request *req)
{
	count(&pi->page->requests);
	pi->env.req_id = req->id;
	pi->env.req_time = req->time_ns;
	pi->env.redelivered = req->flags & PORTAL_REQ_F_REDELIVERED || req->epoch != pi->epoch;
	switch (req->kind) {
	case PORTAL_KIND_HYPERCALL:
		dispatch_hypercall(pi, req);
		break;
	case PORTAL_KIND_MMIO:
	case PORTAL_KIND_PIO:
		dispatch_register(pi, req);
		break;
	default:
		answer(pi, req, -ENOSYS, 0);
	}
}
