// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_mmio.c - a guest touches a register
 *
 * Three steps: before() waits where waiting can be restarted, read() or
 * write() is the access as the bus sees it, after() says whether a write may
 * retire. Where there is no before() (string I/O, shadow paging, nested
 * guests), read() and write() wait themselves, bounded and killable.
 */
#include <linux/ktime.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include "portal.h"

/**
 * portal_region_find - the region that holds an address
 * @vm: the VM
 * @bus: enum portal_bus
 * @addr: address or port
 *
 * Context: portal_srcu.
 */
struct portal_region *portal_region_find(struct portal_vm *vm, u32 bus, u64 addr)
{
	struct portal_region *region;

	list_for_each_entry_srcu(region, &vm->regions, node, srcu_read_lock_held(&portal_srcu))
		if (region->bus_nr == bus && addr - region->gpa < region->len)
			return region;
	return NULL;
}

/* The range of a byte; of several doorbells, the first. NULL: plain SHADOW. */
static const struct portal_range *range_find(const struct portal_region *region, u32 offset)
{
	u32 i;

	for (i = 0; i < region->nr_ranges; i++)
		if (offset - region->ranges[i].offset < region->ranges[i].len)
			return &region->ranges[i];
	return NULL;
}

static u32 attr_of(const struct portal_range *range)
{
	return range ? range->attr : PORTAL_ATTR_SHADOW;
}

static bool waits_for_head(u32 attr)
{
	return attr == PORTAL_ATTR_FENCED || attr == PORTAL_ATTR_SYNC;
}

static bool is_sync(u32 attr)
{
	return attr == PORTAL_ATTR_SYNC || attr == PORTAL_ATTR_CALL;
}

/* One aligned atomic access where the width allows it. */
static void shadow_read(const struct portal_region *region, u32 offset, u32 len, void *val)
{
	const u8 *p = region->shadow + offset;

	if (IS_ALIGNED(offset, len)) {
		switch (len) {
		case 1:
			*(u8 *)val = READ_ONCE(*p);
			return;
		case 2:
			*(u16 *)val = READ_ONCE(*(u16 *)p);
			return;
		case 4:
			*(u32 *)val = READ_ONCE(*(u32 *)p);
			return;
		case 8:
			*(u64 *)val = READ_ONCE(*(u64 *)p);
			return;
		}
	}
	memcpy(val, p, len);
}

/* ---- CALL reads --------------------------------------------------------- */

static void call_key(struct portal_request *req, struct portal_vcpu *pv,
		     const struct portal_region *region, u32 offset)
{
	const struct portal_range *range = range_find(region, offset);
	u32 len = 8;

	portal_request_init(req, pv, &region->t, region->bus_nr == PORTAL_BUS_PIO ?
				     PORTAL_KIND_PIO : PORTAL_KIND_MMIO);
	req->addr = offset;
	/* before the emulator nobody knows the width: the most that can begin here */
	while (len > 1 && (offset % len || offset + len > range->offset + range->len))
		len /= 2;
	req->len = range->width ?: len;
}

static enum portal_step call_before(struct portal_vcpu *pv, struct portal_region *region,
				    u32 offset)
{
	struct portal_request req;
	struct portal_call *call;
	bool done;

	call_key(&req, pv, region, offset);
	call = portal_call_get(pv, &region->t, &req, pv->vm->ops->rip(pv), true, false);
	if (call == ERR_PTR(-EAGAIN))
		return PORTAL_RESTART;
	if (IS_ERR(call))
		return PORTAL_RETIRE;	/* read() gives all ones */
	done = portal_call_wait(pv, call, false);
	if (done)
		pv->answered = call;	/* for call_read(), or portal_region_after() */
	else
		portal_call_put(call);
	return done ? PORTAL_RETIRE : PORTAL_RESTART;
}

static void call_forget(struct portal_vcpu *pv, bool for_good)
{
	struct portal_call *call = pv->answered;

	pv->answered = NULL;
	if (!call)
		return;
	if (for_good)
		portal_call_retire(pv->vm, call);
	portal_call_put(call);
}

static int call_read(struct portal_vcpu *pv, struct portal_region *region, u32 offset, u32 len,
		     void *val)
{
	struct portal_vm *vm = pv->vm;
	struct portal_request req;
	struct portal_call *call;
	int ret = 0;

	memset(val, 0xff, len);
	call_key(&req, pv, region, offset);
	call = portal_call_get(pv, &region->t, &req, vm->ops->rip(pv), true, true);
	if (call == ERR_PTR(-ETIME)) {
		if (region->t.on_timeout == PORTAL_ACTION_VALUE)
			memcpy(val, &region->t.timeout_value, min_t(u32, len, 8));
		return region->t.on_timeout == PORTAL_ACTION_PASS ? -EOPNOTSUPP : 0;
	}
	if (IS_ERR(call))
		return 0;
	if (portal_call_wait(pv, call, true)) {
		if (call->action == PORTAL_ACTION_VALUE)
			memcpy(val, &call->value, min_t(u32, len, 8));
		else if (call->action == PORTAL_ACTION_PASS)
			ret = -EOPNOTSUPP;
	}
	/* killed: the call has no taker any more either */
	portal_call_retire(vm, call);
	portal_call_put(call);
	if (pv->answered == call) {
		pv->answered = NULL;
		portal_call_put(call);
	}
	return ret;
}

/* ---- writes that retire when they are consumed -------------------------- */

/*
 * A restarted store may come from another vCPU, or never (its thread was
 * killed): slots are the VM's, known by what was stored, and expire.
 */
static bool sync_live(const struct portal_sync *sync, const struct portal_region *region,
		      u32 offset, u64 now)
{
	return sync->region == region && sync->offset == offset && sync->until > now;
}

/* Up to where the stores to a register that are under way must be consumed in @queue. */
static u64 sync_pos(struct portal_vm *vm, const struct portal_region *region,
		    const struct portal_queue *queue, u32 offset)
{
	u64 now = ktime_get_ns(), pos = 0;
	int i;

	spin_lock(&vm->lock);
	for (i = 0; i < PORTAL_SYNC_SLOTS; i++)
		if (sync_live(&vm->syncs[i], region, offset, now) &&
		    (!queue || vm->syncs[i].queue == queue))
			pos = max(pos, vm->syncs[i].pos);
	spin_unlock(&vm->lock);
	return pos;
}

static void sync_add(struct portal_vm *vm, const struct portal_sync *sync)
{
	struct portal_sync *slot = &vm->syncs[0];
	int i;

	spin_lock(&vm->lock);
	for (i = 0; i < PORTAL_SYNC_SLOTS && slot->region; i++)
		if (!vm->syncs[i].region || vm->syncs[i].until < slot->until)
			slot = &vm->syncs[i];	/* a free one, else the oldest */
	*slot = *sync;
	spin_unlock(&vm->lock);
}

/* Takes a slot: by position, or any of the same store with @pos 0. */
static bool sync_take(struct portal_vm *vm, const struct portal_sync *sync, u64 pos)
{
	u64 now = ktime_get_ns();
	bool found = false;
	int i;

	spin_lock(&vm->lock);
	for (i = 0; i < PORTAL_SYNC_SLOTS && !found; i++) {
		struct portal_sync *s = &vm->syncs[i];

		found = sync_live(s, sync->region, sync->offset, now) && s->len == sync->len &&
			s->value == sync->value && (!pos || s->pos == pos);
		if (found)
			s->region = NULL;
	}
	spin_unlock(&vm->lock);
	return found;
}

/**
 * portal_syncs_forget - nobody comes for these stores any more
 * @vm: the VM
 * @region: those of this region, which goes; NULL: all
 */
void portal_syncs_forget(struct portal_vm *vm, const struct portal_region *region)
{
	int i;

	spin_lock(&vm->lock);
	for (i = 0; i < PORTAL_SYNC_SLOTS; i++)
		if (!region || vm->syncs[i].region == region)
			vm->syncs[i].region = NULL;
	spin_unlock(&vm->lock);
}

/**
 * portal_region_guess - which way does an access go, if KVM does not know?
 * @pv: the vCPU
 * @region: the region
 * @offset: of the access
 * @write: (out) it is a write
 *
 * An EPT misconfiguration (Intel) says nothing of the direction. A store that
 * was posted and restarted is known; else waiting as for a read does no harm,
 * except that asking a plugin for a value would: that waits in the access.
 *
 * Return: false: don't call portal_region_before().
 */
bool portal_region_guess(struct portal_vcpu *pv, const struct portal_region *region, u32 offset,
			 bool *write)
{
	*write = sync_pos(pv->vm, region, NULL, offset);
	return *write || attr_of(range_find(region, offset)) != PORTAL_ATTR_CALL;
}

/*
 * Wait until the queues of the region are where they must be: all of them, as a
 * thread may have moved here from a vCPU with another queue.
 */
static bool queues_wait(struct portal_vcpu *pv, struct portal_region *region, u32 offset,
			bool write)
{
	struct portal_target *t = &region->t;
	u64 pos;
	u32 i;

	for (i = 0; i < t->nr_routes; i++) {
		pos = write ? sync_pos(pv->vm, region, t->routes[i].queue, offset) :
			      atomic64_read(&t->routes[i].posted_pos);
		if (!pos || (t->nr_routes > 1 && portal_fence_passed(t->routes[i].queue, pos)))
			continue;
		/* a SYNC write that was restarted goes on with the same deadline */
		if (!portal_fence_wait(pv, t, t->routes[i].queue, pos, &t->routes[i], false))
			return false;
	}
	return true;
}

/* The same where the instruction can't restart. */
static void queues_wait_inplace(struct portal_vcpu *pv, struct portal_region *region)
{
	struct portal_target *t = &region->t;
	u32 i;

	for (i = 0; i < t->nr_routes; i++)
		portal_fence_wait(pv, t, t->routes[i].queue,
				  atomic64_read(&t->routes[i].posted_pos), &t->routes[i], true);
}

/* Must a filter that decides about a read know more than where it is? */
static bool read_is_filtered(const struct portal_region *region, u32 offset)
{
	static const u64 none[4];
	struct portal_rule *rule;
	bool maybe = false;

	rule = portal_filter_find(&region->t, false, offset, 0, none, &maybe);
	return rule && (maybe || rule->f.action != PORTAL_FILTER_DELIVER);
}

/**
 * portal_region_before - wait for what an access must wait for
 * @pv: the vCPU
 * @region: the region
 * @offset: of the access
 * @write: it is a write
 *
 * Context: the vCPU's thread, in portal_srcu, before the emulator. On
 * PORTAL_RETIRE go on with the access and then portal_region_after(); on
 * PORTAL_RESTART @region may be gone.
 */
enum portal_step portal_region_before(struct portal_vcpu *pv, struct portal_region *region,
				      u32 offset, bool write)
{
	u32 attr = attr_of(range_find(region, offset));
	enum portal_step step = PORTAL_RETIRE;

	pv->posted = NULL;
	pv->once = false;
	pv->may_undo = is_sync(attr);	/* @write may be a guess */
	pv->fenced = NULL;
	if (READ_ONCE(region->t.dead))
		return PORTAL_RETIRE;
	/* a read that is filtered waits for nothing; a width decides in the access */
	if (!write && read_is_filtered(region, offset))
		return PORTAL_RETIRE;
	if (write ? is_sync(attr) : waits_for_head(attr))
		step = queues_wait(pv, region, offset, write) ? PORTAL_RETIRE : PORTAL_RESTART;
	else if (!write && attr == PORTAL_ATTR_CALL)
		step = call_before(pv, region, offset);
	pv->gated = step == PORTAL_RETIRE;
	if (pv->gated && !write && waits_for_head(attr))
		pv->fenced = region;
	return step;
}

/**
 * portal_region_after - may the write retire?
 * @pv: the vCPU
 * @can_restart: the caller can undo the instruction
 * @executed: it was executed, not only looked at (KVM may mend a stale mapping)
 *
 * Context: after the access; the region may be gone.
 * Return: PORTAL_RETIRE, or PORTAL_RESTART: undo, the instruction comes again.
 */
enum portal_step portal_region_after(struct portal_vcpu *pv, bool can_restart, bool executed)
{
	struct portal_target *t = pv->posted;
	struct portal_sync sync = pv->sync;

	pv->gated = false;
	pv->fenced = NULL;
	pv->posted = NULL;
	/* the access was not the read we took it for, or it comes again */
	call_forget(pv, executed);
	if (!t)
		return PORTAL_RETIRE;
	/* until we sleep, the bus keeps the region that @t is part of */
	if (!READ_ONCE(t->dead) &&
	    !portal_fence_wait(pv, t, sync.queue, sync.pos, portal_target_route_of(t, pv),
			       !can_restart || pv->once))
		return PORTAL_RESTART;
	sync_take(pv->vm, &sync, sync.pos);
	return PORTAL_RETIRE;
}

/**
 * portal_region_read - the guest reads a register
 * @pv: the vCPU
 * @region: the region
 * @offset: of the access, which lies in the region
 * @len: bytes
 * @val: (out) the value
 *
 * Return: 0, or -EOPNOTSUPP: let the VMM answer.
 */
int portal_region_read(struct portal_vcpu *pv, struct portal_region *region, u32 offset,
		       u32 len, void *val)
{
	u32 attr = attr_of(range_find(region, offset));
	static const u64 none[4];
	struct portal_rule *rule;

	/* a read-modify-write would read what the plugin has made of it by then */
	pv->once = true;
	if (READ_ONCE(region->t.dead)) {
		memset(val, 0xff, len);
		return 0;
	}
	atomic64_inc(&region->t.stats.hits);
	rule = portal_filter_find(&region->t, false, offset, len, none, NULL);
	switch (portal_filter_apply(&region->t, rule)) {
	case PORTAL_FILTER_PASS:
		return -EOPNOTSUPP;
	case PORTAL_FILTER_VALUE:
		memcpy(val, &rule->f.value, min_t(u32, len, 8));
		return 0;
	}
	if (attr == PORTAL_ATTR_CALL)
		return call_read(pv, region, offset, len, val);
	/* a read-modify-write passes the gate as a write */
	if (waits_for_head(attr) && pv->fenced != region)
		queues_wait_inplace(pv, region);
	atomic64_inc(&pv->vm->stats.shadow_reads);
	atomic64_inc(&region->t.stats.shadow_reads);
	shadow_read(region, offset, len, val);
	return 0;
}

/* Returns the position that head must pass for it to be consumed, 0 if dropped. */
static u64 region_post(struct portal_vcpu *pv, struct portal_region *region,
		       struct portal_request *req)
{
	struct portal_route *route = portal_target_route_of(&region->t, pv);
	struct portal_stats *stats = &pv->vm->stats;
	struct portal_queue *queue = route->queue;
	u64 pos = 0, deadline = 0;
	enum portal_step step;
	int ret;

	do {
		step = portal_rate_admit(pv, &region->t, false, true);
	} while (step == PORTAL_RESTART);
	if (step == PORTAL_PASS)
		ret = -EBUSY;
	else if (region->t.merges)
		ret = portal_merge_post(&region->t, queue, req, &pos);
	else
		ret = portal_queue_post(queue, req, &pos);
	if (ret == -EAGAIN && region->t.policy == PORTAL_POLICY_BLOCK)
		deadline = ktime_get_ns() + region->t.timeout_ns;
	while (ret == -EAGAIN && ktime_get_ns() < deadline && !fatal_signal_pending(current)) {
		/* calls in line may have room now; they came before */
		portal_queue_consumed(queue);
		ret = portal_queue_post(queue, req, &pos);
		if (ret != -EAGAIN)
			break;
		portal_fence_wait(pv, &region->t, queue, pos, req, true);
		ret = portal_queue_post(queue, req, &pos);
	}
	if (ret < 0) {
		portal_target_drop(&region->t, queue);
		return 0;
	}
	atomic64_inc(&stats->posted);
	atomic64_inc(&region->t.stats.posted);
	if (!ret)
		atomic64_set(&route->posted_pos, pos);
	return pos;
}

/**
 * portal_region_write - the guest writes a register
 * @pv: the vCPU
 * @region: the region
 * @offset: of the access, which lies in the region
 * @len: bytes
 * @val: the value
 *
 * Return: 0, or -EOPNOTSUPP: let the VMM have it.
 */
int portal_region_write(struct portal_vcpu *pv, struct portal_region *region, u32 offset,
			u32 len, const void *val)
{
	const struct portal_range *range = range_find(region, offset);
	u32 attr = attr_of(range);
	struct portal_request req;
	struct portal_sync sync;
	struct portal_rule *rule;
	u64 data[4] = { }, value;

	if (READ_ONCE(region->t.dead))
		return 0;
	memcpy(data, val, min_t(u32, len, 8));
	value = data[0];
	sync = (struct portal_sync){
		.region = region, .queue = portal_target_route_of(&region->t, pv)->queue,
		.offset = offset, .len = len, .value = value,
	};
	/* a restarted store that was posted the first time, and is consumed */
	if (is_sync(attr) && pv->gated && sync_take(pv->vm, &sync, 0))
		return 0;
	/* the second part of a store, or beside one that is posted */
	if (!is_sync(attr) || pv->posted)
		pv->once = true;

	atomic64_inc(&region->t.stats.hits);
	rule = portal_filter_find(&region->t, true, offset, len, data, NULL);
	switch (portal_filter_apply(&region->t, rule)) {
	case PORTAL_FILTER_PASS:
		pv->once = true;	/* by the VMM */
		return -EOPNOTSUPP;
	case PORTAL_FILTER_IGNORE:
		return 0;
	}
	portal_request_init(&req, pv, &region->t, region->bus_nr == PORTAL_BUS_PIO ?
				      PORTAL_KIND_PIO : PORTAL_KIND_MMIO);
	req.flags |= PORTAL_REQ_F_WRITE;
	req.addr = offset;
	req.len = len;
	req.data[0] = value;

	switch (attr) {
	case PORTAL_ATTR_ACK:
		/* a part of the register clears that part */
		atomic_andnot((u32)value << (offset - range->offset) % 4 * 8,
			      (atomic_t *)(region->shadow + range->aux));
		if (range->flags & PORTAL_RANGE_F_POST)
			region_post(pv, region, &req);
		return 0;
	case PORTAL_ATTR_DOORBELL:
		portal_doorbell_ring(pv, region, &req);
		return 0;
	case PORTAL_ATTR_SYNC:
	case PORTAL_ATTR_CALL:
		sync.pos = region_post(pv, region, &req);
		if (!sync.pos)
			return 0;
		if (!pv->gated || pv->posted) {
			portal_fence_wait(pv, &region->t, sync.queue, sync.pos, &req, true);
			return 0;
		}
		sync.until = ktime_get_ns() + max_t(u64, region->t.timeout_ns, PORTAL_SYNC_NS);
		sync_add(pv->vm, &sync);
		pv->posted = &region->t;
		pv->sync = sync;
		return 0;
	}
	region_post(pv, region, &req);
	return 0;
}
