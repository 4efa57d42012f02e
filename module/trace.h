/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - one tracepoint per stage, all with the request's id
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM portal

#if !defined(_PORTAL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _PORTAL_TRACE_H

#include <linux/tracepoint.h>
#include <linux/portal.h>

/* An access belongs to a hook or region; the request that it makes is complete. */
DECLARE_EVENT_CLASS(portal_request_class,
	TP_PROTO(const struct portal_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, addr)
		__field(u64, data)
		__field(u32, kind)
		__field(u32, flags)
		__field(u32, vcpu)
		__field(u32, hook)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->addr = req->addr;
		__entry->data = req->data[0];
		__entry->kind = req->kind;
		__entry->flags = req->flags;
		__entry->vcpu = req->vcpu;
		__entry->hook = req->hook_id;
	),
	TP_printk("id=%llu kind=%u flags=%#x vcpu=%u hook=%u addr=%#llx data=%#llx",
		  __entry->id, __entry->kind, __entry->flags, __entry->vcpu,
		  __entry->hook, __entry->addr, __entry->data)
);

DEFINE_EVENT(portal_request_class, portal_hook,
	TP_PROTO(const struct portal_request *req),
	TP_ARGS(req)
);

DEFINE_EVENT(portal_request_class, portal_request,
	TP_PROTO(const struct portal_request *req),
	TP_ARGS(req)
);

/* A request enters the ring; its owner has it. */
DECLARE_EVENT_CLASS(portal_entry_class,
	TP_PROTO(u32 queue, u64 pos, u64 id),
	TP_ARGS(queue, pos, id),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, pos)
		__field(u32, queue)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->pos = pos;
		__entry->queue = queue;
	),
	TP_printk("id=%llu queue=%u pos=%llu", __entry->id, __entry->queue, __entry->pos)
);

DEFINE_EVENT(portal_entry_class, portal_ring,
	TP_PROTO(u32 queue, u64 pos, u64 id),
	TP_ARGS(queue, pos, id)
);

DEFINE_EVENT(portal_entry_class, portal_queue,
	TP_PROTO(u32 queue, u64 pos, u64 id),
	TP_ARGS(queue, pos, id)
);

/* A vCPU sleeps for a request's answer, or for it to be consumed. */
TRACE_EVENT(portal_wait,
	TP_PROTO(u32 vcpu, u64 id, bool inplace),
	TP_ARGS(vcpu, id, inplace),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, vcpu)
		__field(bool, inplace)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->vcpu = vcpu;
		__entry->inplace = inplace;
	),
	TP_printk("id=%llu vcpu=%u inplace=%d", __entry->id, __entry->vcpu, __entry->inplace)
);

/* It left that early, its instruction comes again; its time is over. */
DECLARE_EVENT_CLASS(portal_wait_class,
	TP_PROTO(u32 vcpu, u64 id),
	TP_ARGS(vcpu, id),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->vcpu = vcpu;
	),
	TP_printk("id=%llu vcpu=%u", __entry->id, __entry->vcpu)
);

DEFINE_EVENT(portal_wait_class, portal_restart,
	TP_PROTO(u32 vcpu, u64 id),
	TP_ARGS(vcpu, id)
);

DEFINE_EVENT(portal_wait_class, portal_timeout,
	TP_PROTO(u32 vcpu, u64 id),
	TP_ARGS(vcpu, id)
);

TRACE_EVENT(portal_reply,
	TP_PROTO(const struct portal_request *req, u32 action, u64 value, u32 error),
	TP_ARGS(req, action, value, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, value)
		__field(u32, action)
		__field(u32, error)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->value = value;
		__entry->action = action;
		__entry->error = error;
	),
	TP_printk("id=%llu action=%u value=%#llx error=%u",
		  __entry->id, __entry->action, __entry->value, __entry->error)
);

TRACE_EVENT(portal_retire,
	TP_PROTO(const struct portal_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(__field(u64, id)),
	TP_fast_assign(__entry->id = req->id;),
	TP_printk("id=%llu", __entry->id)
);

TRACE_EVENT(portal_fetch,
	TP_PROTO(u32 queue, int nr),
	TP_ARGS(queue, nr),
	TP_STRUCT__entry(
		__field(u32, queue)
		__field(int, nr)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->nr = nr;
	),
	TP_printk("queue=%u nr=%d", __entry->queue, __entry->nr)
);

TRACE_EVENT(portal_orphan,
	TP_PROTO(u32 queue, u32 epoch),
	TP_ARGS(queue, epoch),
	TP_STRUCT__entry(
		__field(u32, queue)
		__field(u32, epoch)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->epoch = epoch;
	),
	TP_printk("queue=%u epoch=%u", __entry->queue, __entry->epoch)
);

#endif /* _PORTAL_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
