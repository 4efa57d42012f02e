/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * agent.h - commands of the host, and who executes them
 *
 * agent_chan.c takes a command out of a channel; agent.c checks it and runs the
 * agent_op_NAME() that portal_cmd.def asks for, in a thread of its own; the
 * answer goes back to agent_chan.c. To add a command: the table, the function.
 */
#ifndef _PORTAL_AGENT_H
#define _PORTAL_AGENT_H

#include <linux/atomic.h>
#include <linux/idr.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>

struct mm_struct;
struct task_struct;

/**
 * struct agent_chan - memory shared with the host, and the commands in it
 * @node: in the list of those that an event may concern
 * @slot: of the bus
 * @head: command region
 * @len: its bytes
 * @pages: of the data region
 * @nr_pages: of them
 * @chunk_order: they belong together by 1 << @chunk_order
 * @data: data region, mapped in one piece
 * @data_len: its bytes
 * @sync_work: asks the host
 * @lock: protects the following, but @sq_head
 * @stopping: no command is taken any more
 * @epoch: of the host's worker, 0 none
 * @sq_head: commands taken (@sync_work only)
 * @cq_tail: answers given
 * @cmds: list of commands that are not over
 * @idle: woken when @cmds becomes empty
 * @files_lock: protects @files
 * @files: open files by handle
 * @ev_lock: protects the next two; taken in any context
 * @events: ring of events, NULL: there is none
 * @ev_tail: bytes published
 * @ev_len: bytes of the ring
 * @kicked: @kick was queued, and no SYNC began since
 * @urgent: the same, for half of the ring is full
 * @kick: has @ev_work done, from any context
 * @ev_work: has @sync_work done, for many events at a time
 * @next_hook: number of the last hook (hooks_lock)
 * @next_node: number of the last file of node_add
 */
struct agent_chan {
	struct list_head node;
	unsigned int slot;
	struct portal_channel *head;
	size_t len;
	struct page **pages;
	unsigned int nr_pages;
	unsigned int chunk_order;
	void *data;
	u32 data_len;
	struct work_struct sync_work;
	spinlock_t lock;
	bool stopping;
	u32 epoch;
	u32 sq_head;
	u32 cq_tail;
	struct list_head cmds;
	wait_queue_head_t idle;
	struct mutex files_lock;
	struct idr files;
	raw_spinlock_t ev_lock;
	char *events;
	u32 ev_tail;
	u32 ev_len;
	atomic_t kicked;
	atomic_t urgent;
	struct irq_work kick;
	struct delayed_work ev_work;
	u32 next_hook;
	u32 next_node;
};

/**
 * struct agent_cmd - a command at work
 * @work: executes it
 * @node: in @chan->cmds
 * @chan: where it came from
 * @epoch: of @chan then
 * @req: copy of what the host wrote
 * @in: copy of its payload, with a NUL behind
 * @out: room for the answer, @req.out_len bytes
 * @out_used: of it
 * @done: the answer
 * @cancelled: end soon
 * @child: process to be killed then (@chan->lock)
 */
struct agent_cmd {
	struct work_struct work;
	struct list_head node;
	struct agent_chan *chan;
	u32 epoch;
	struct portal_cmd req;
	char *in;
	char *out;
	u32 out_used;
	struct portal_cmd_done done;
	bool cancelled;
	struct pid *child;
};

static inline bool agent_cancelled(const struct agent_cmd *cmd)
{
	return READ_ONCE(cmd->cancelled);
}

static inline u32 agent_room(const struct agent_cmd *cmd)
{
	return cmd->req.out_len - cmd->out_used;
}

static inline void *agent_out(struct agent_cmd *cmd)
{
	return cmd->out + cmd->out_used;
}

/* agent.c */
bool agent_wanted(void);
u64 agent_classes(void);
void agent_start(struct agent_chan *chan, const struct portal_cmd *req);
void agent_cancel_all(struct agent_chan *chan);
bool agent_cancel(struct agent_chan *chan, u64 txn);
int agent_put(struct agent_cmd *cmd, const void *data, size_t len);
int agent_path(const struct agent_cmd *cmd, const char *str, size_t len);

/* agent_chan.c */
void agent_chan_done(struct agent_chan *chan, u32 epoch, const struct portal_cmd_done *done);

/* hook.c */
void agent_hook_init(void);
void agent_hook_exit(void);
unsigned int agent_hook_del_all(struct agent_chan *chan);
void agent_hook_child(struct agent_chan *chan, u64 cookie, u32 tgid);
void agent_hook_child_ended(struct agent_chan *chan, u64 cookie);

/* hook_event.c */
void agent_event_init(struct agent_chan *chan);
void agent_event_sync(struct agent_chan *chan);
void agent_event_stop(struct agent_chan *chan);
int agent_event_node(struct agent_chan *chan, u64 id, u64 cookie, u32 nr, const u64 *args);

/* agent_task.c */
struct task_struct *agent_task_get(u32 pid);
int agent_task_mm(u32 pid, struct task_struct **task, struct mm_struct **mm);

/* agent_sym.c */
unsigned long agent_sym_start(unsigned long addr);

/* agent_file.c */
void agent_file_close_all(struct agent_chan *chan);

/* agent_node.c */
unsigned int agent_node_del_all(struct agent_chan *chan);

/* agent_net.c */
void agent_net_del_all(struct agent_chan *chan);

#define AGENT_OP(NAME, name, ...) int agent_op_##name(struct agent_cmd *cmd);
PORTAL_CMD_TABLE(AGENT_OP)
#undef AGENT_OP

#endif /* _PORTAL_AGENT_H */
