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

TRACE_EVENT(portal_request,
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
