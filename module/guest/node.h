/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * node.h - a file that a plugin serves, between agent_node.c and node_file.c
 */
#ifndef _PORTAL_NODE_H
#define _PORTAL_NODE_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/wait.h>

struct agent_chan;

/**
 * struct agent_node - a file
 * @node: in the list of all
 * @chan: whose it is; not to be used when @gone
 * @id: its handle
 * @cookie: of its node_add
 * @kind: as there
 * @timeout: jiffies that a request waits
 * @users: references: the list's, and each open file's
 * @pde: in /proc
 * @misc: in /dev
 * @mem: to be mapped, NULL: none
 * @mem_len: its bytes
 * @wait: for @ready
 * @ready: EPOLL*
 * @gone: it is ended; @lock to change it
 * @lock: protects the following
 * @last_request: the last request's number
 * @nr_waiting: requests in @waiting
 * @waiting: requests without an answer
 * @path: below /proc or /dev
 */
struct agent_node {
	struct list_head node;
	struct agent_chan *chan;
	u64 id;
	u64 cookie;
	u32 kind;
	unsigned long timeout;
	refcount_t users;
	struct proc_dir_entry *pde;
	struct miscdevice misc;
	void *mem;
	size_t mem_len;
	wait_queue_head_t wait;
	__poll_t ready;
	bool gone;
	struct mutex lock;
	u64 last_request;
	unsigned int nr_waiting;
	struct list_head waiting;
	char path[];
};

/**
 * struct node_request - a process that waits, on its stack
 * @node: in the file's list, unless @done
 * @over: completed when it is @done
 * @id: its number
 * @op: enum portal_node_request
 * @data: what is written, or room for what is read
 * @len: its bytes
 * @done: there is an answer, or the file is gone
 * @result: bytes, a number, or -errno
 */
struct node_request {
	struct list_head node;
	struct completion over;
	u64 id;
	u32 op;
	void *data;
	size_t len;
	bool done;
	s64 result;
};

/* agent_node.c */
void agent_node_put(struct agent_node *an);

/* node_file.c */
extern const struct proc_ops node_proc_ops;
extern const struct file_operations node_dev_fops;

#endif /* _PORTAL_NODE_H */
