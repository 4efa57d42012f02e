// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_node.c - files of /proc and /dev that a plugin serves: make, end, answer
 *
 * node_file.c has what processes do with them. A process that waits is in its
 * file's list, and leaves it by an answer, its time-out, a signal, or the end of
 * the file. The process owns its request's memory: answers are copied under the
 * file's lock, to who is in the list.
 */
#include <linux/ctype.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "agent.h"
#include "node.h"

#define MAX_NODES	64
#define MAX_MEM		(1U << 20)
#define MAX_PATH	128
#define TIMEOUT_MS	10000
#define MAX_TIMEOUT_MS	600000
#define READY		(EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP)

enum { KIND_PROC = 1, KIND_DEV = 2, KIND_PROC_DIR = 3 };

static LIST_HEAD(nodes);
/* Protects nodes, and is held while one is made or ended. */
static DEFINE_MUTEX(nodes_lock);

/**
 * agent_node_put() - drop a reference
 * @an: the file
 */
void agent_node_put(struct agent_node *an)
{
	if (refcount_dec_and_test(&an->users)) {
		/* What is mapped still has its pages. */
		vfree(an->mem);
		kfree(an);
	}
}

/* Of this command's channel and cookie; with a reference, or NULL. */
static struct agent_node *get_node(const struct agent_cmd *cmd)
{
	struct agent_node *an, *found = NULL;

	mutex_lock(&nodes_lock);
	list_for_each_entry(an, &nodes, node) {
		if (an->chan == cmd->chan && an->id == cmd->req.addr &&
		    an->cookie == cmd->req.cookie)
			found = an;
	}
	if (found)
		refcount_inc(&found->users);
	mutex_unlock(&nodes_lock);
	return found;
}

/* ---- make --------------------------------------------------------------------- */

/* The payload's one path: names of harmless letters, each between slashes. */
static const char *path_in(const struct agent_cmd *cmd, size_t skip)
{
	const char *path = cmd->in + skip, *p;
	size_t len = strlen(path);

	if (!len || len > MAX_PATH || len + 1 != cmd->req.in_len - skip || path[len - 1] == '/')
		return NULL;
	for (p = path; *p; p++) {
		if (!isalnum(*p) && !strchr("_-./", *p))
			return NULL;
		/* no empty name, and none that begins with a dot */
		if ((p == path || p[-1] == '/') && (*p == '/' || *p == '.'))
			return NULL;
	}
	return path;
}

static int there_is(const char *dir, const char *name)
{
	char *full = kasprintf(GFP_KERNEL, "%s/%s", dir, name);
	struct path path;
	int ret;

	if (!full)
		return -ENOMEM;
	ret = kern_path(full, 0, &path);
	kfree(full);
	if (!ret)
		path_put(&path);
	return ret ? 0 : -EEXIST;
}

/* The kernel's own functions answer a second one of a name by a stack trace. */
static int make_proc(struct agent_node *an, u32 mode)
{
	char *slash = strrchr(an->path, '/');
	int ret;

	ret = there_is("/proc", an->path);
	if (!ret && slash) {
		*slash = '\0';
		ret = there_is("/proc", an->path) == -EEXIST ? 0 : -ENOENT;
		*slash = '/';
	}
	if (ret)
		return ret;
	if (an->kind == KIND_PROC)
		an->pde = proc_create_data(an->path, mode, NULL, &node_proc_ops, an);
	else
		an->pde = proc_mkdir_mode(an->path, mode, NULL);
	return an->pde ? 0 : -ENOMEM;
}

static int make_dev(struct agent_node *an, u32 mode)
{
	char name[MAX_PATH + 1];
	int ret;

	strscpy(name, an->path, sizeof(name));
	strreplace(name, '/', '!');
	ret = there_is("/sys/class/misc", name) ?: there_is("/dev", an->path);
	if (ret)
		return ret;
	an->misc.minor = MISC_DYNAMIC_MINOR;
	an->misc.name = an->path;
	an->misc.nodename = an->path;
	an->misc.mode = mode;
	an->misc.fops = &node_dev_fops;
	return misc_register(&an->misc);
}

static unsigned int count_of(const struct agent_chan *chan)
{
	struct agent_node *an;
	unsigned int count = 0;

	list_for_each_entry(an, &nodes, node)
		count += an->chan == chan;
	return count;
}

/* nodes_lock is held. */
static int add(struct agent_cmd *cmd, struct agent_node *an, u32 mode)
{
	int ret;

	if (count_of(cmd->chan) >= MAX_NODES)
		return -EMFILE;
	an->id = (u64)cmd->epoch << 32 | ++cmd->chan->next_node;
	ret = an->kind == KIND_DEV ? make_dev(an, mode) : make_proc(an, mode);
	if (ret)
		return ret;
	list_add(&an->node, &nodes);
	cmd->done.value = an->id;
	return 0;
}

int agent_op_node_add(struct agent_cmd *cmd)
{
	const struct portal_cmd_node_add *in = (void *)cmd->in;
	const char *path = path_in(cmd, sizeof(*in));
	struct agent_node *an;
	int ret = -ENOMEM;

	if (!path || in->kind < KIND_PROC || in->kind > KIND_PROC_DIR || !in->mode || in->mode & ~0777 ||
	    in->timeout_ms > MAX_TIMEOUT_MS || in->mem_len > MAX_MEM ||
	    in->mem_len % PAGE_SIZE || (in->kind == KIND_PROC_DIR && in->mem_len))
		return -EINVAL;
	if (!cmd->chan->events)
		return -EOPNOTSUPP;
	an = kzalloc(struct_size(an, path, strlen(path) + 1), GFP_KERNEL);
	if (!an)
		return -ENOMEM;
	strcpy(an->path, path);
	an->chan = cmd->chan;
	an->cookie = cmd->req.cookie;
	an->kind = in->kind;
	an->timeout = msecs_to_jiffies(in->timeout_ms ?: TIMEOUT_MS);
	an->mem_len = in->mem_len;
	an->ready = EPOLLIN | EPOLLOUT;
	refcount_set(&an->users, 1);
	init_waitqueue_head(&an->wait);
	mutex_init(&an->lock);
	INIT_LIST_HEAD(&an->waiting);
	if (in->mem_len)
		an->mem = vmalloc_user(in->mem_len);
	if (!in->mem_len || an->mem) {
		mutex_lock(&nodes_lock);
		ret = add(cmd, an, in->mode);
		mutex_unlock(&nodes_lock);
	}
	if (ret)
		agent_node_put(an);
	return ret;
}

/* ---- end ---------------------------------------------------------------------- */

/* @an->lock is held. */
static void answer(struct agent_node *an, struct node_request *req, s64 result)
{
	list_del(&req->node);
	an->nr_waiting--;
	req->result = result;
	req->done = true;
	complete(&req->over);
}

/* nodes_lock is held. Waits for who is in the middle of a call to a file of /proc. */
static void del(struct agent_node *an)
{
	struct node_request *req, *next;

	mutex_lock(&an->lock);
	WRITE_ONCE(an->gone, true);
	list_for_each_entry_safe(req, next, &an->waiting, node)
		answer(an, req, -EIO);
	mutex_unlock(&an->lock);
	wake_up_all(&an->wait);
	if (an->kind == KIND_DEV)
		misc_deregister(&an->misc);
	else
		proc_remove(an->pde);
	list_del(&an->node);
	agent_node_put(an);
}

static bool has_others(const struct agent_node *dir)
{
	size_t len = strlen(dir->path);
	struct agent_node *an;

	list_for_each_entry(an, &nodes, node) {
		if (dir->kind == KIND_PROC_DIR && an->kind != KIND_DEV &&
		    !strncmp(an->path, dir->path, len) && an->path[len] == '/')
			return true;
	}
	return false;
}

int agent_op_node_del(struct agent_cmd *cmd)
{
	struct agent_node *an, *next;
	u64 id = cmd->req.addr;
	int ret = 0;

	mutex_lock(&nodes_lock);
	/* The newest first, so what is in a directory before it. */
	list_for_each_entry_safe(an, next, &nodes, node) {
		if (an->chan != cmd->chan || an->cookie != cmd->req.cookie ||
		    (id && an->id != id))
			continue;
		if (has_others(an)) {
			ret = -ENOTEMPTY;
			continue;
		}
		del(an);
		cmd->done.count++;
	}
	mutex_unlock(&nodes_lock);
	return id && !cmd->done.count && !ret ? -ENOENT : ret;
}

/**
 * agent_node_del_all() - end all files of a channel
 * @chan: it has no commands any more
 *
 * Context: Process context, may sleep.
 * Return: how many there were.
 */
unsigned int agent_node_del_all(struct agent_chan *chan)
{
	struct agent_node *an, *next;
	unsigned int nr = 0;

	mutex_lock(&nodes_lock);
	list_for_each_entry_safe(an, next, &nodes, node) {
		if (an->chan != chan)
			continue;
		del(an);
		nr++;
	}
	mutex_unlock(&nodes_lock);
	return nr;
}

/* ---- answer ------------------------------------------------------------------- */

/* @an->lock is held. */
static struct node_request *find(struct agent_node *an, u64 id)
{
	struct node_request *req;

	list_for_each_entry(req, &an->waiting, node) {
		if (req->id == id)
			return req;
	}
	return NULL;
}

int agent_op_node_data(struct agent_cmd *cmd)
{
	struct agent_node *an = get_node(cmd);
	struct node_request *req;
	int ret = -ENOENT;

	if (!an)
		return -ENOENT;
	mutex_lock(&an->lock);
	req = find(an, cmd->req.size);
	if (req)
		ret = req->op == PORTAL_NODE_WRITE ? agent_put(cmd, req->data, req->len) : 0;
	mutex_unlock(&an->lock);
	agent_node_put(an);
	return ret;
}

static bool fits(const struct node_request *req, s64 result, size_t len)
{
	if (result < 0)
		return result >= -MAX_ERRNO && !len;
	switch (req->op) {
	case PORTAL_NODE_READ:
		return result == len && len <= req->len;
	case PORTAL_NODE_WRITE:
		return result <= req->len && !len;
	default:
		return result <= INT_MAX && !len;
	}
}

int agent_op_node_answer(struct agent_cmd *cmd)
{
	const struct portal_cmd_node_answer *in = (void *)cmd->in;
	size_t len = cmd->req.in_len - sizeof(*in);
	struct agent_node *an = get_node(cmd);
	struct node_request *req;
	int ret = -ENOENT;

	if (!an)
		return -ENOENT;
	mutex_lock(&an->lock);
	req = find(an, in->request);
	if (req && !fits(req, in->result, len)) {
		ret = -ERANGE;
	} else if (req) {
		memcpy(req->data, in + 1, len);
		answer(an, req, in->result);
		ret = 0;
	}
	mutex_unlock(&an->lock);
	agent_node_put(an);
	return ret;
}

int agent_op_node_ready(struct agent_cmd *cmd)
{
	struct agent_node *an;

	if (cmd->req.size & ~(u64)(__force u32)READY)
		return -EINVAL;
	an = get_node(cmd);
	if (!an)
		return -ENOENT;
	WRITE_ONCE(an->ready, (__force __poll_t)cmd->req.size);
	wake_up_all(&an->wait);
	agent_node_put(an);
	return 0;
}

/* ---- memory ------------------------------------------------------------------- */

static int mem_range(const struct agent_node *an, u64 offset, u64 len)
{
	return offset > an->mem_len || len > an->mem_len - offset ? -EFAULT : 0;
}

int agent_op_node_mem_read(struct agent_cmd *cmd)
{
	const struct portal_cmd_node_mem *in = (void *)cmd->in;
	struct agent_node *an = get_node(cmd);
	int ret;

	if (!an)
		return -ENOENT;
	ret = mem_range(an, in->offset, cmd->req.size);
	if (!ret)
		ret = agent_put(cmd, an->mem + in->offset, cmd->req.size);
	agent_node_put(an);
	return ret;
}

int agent_op_node_mem_write(struct agent_cmd *cmd)
{
	const struct portal_cmd_node_mem *in = (void *)cmd->in;
	size_t len = cmd->req.in_len - sizeof(*in);
	struct agent_node *an = get_node(cmd);
	int ret;

	if (!an)
		return -ENOENT;
	ret = mem_range(an, in->offset, len);
	if (!ret) {
		memcpy(an->mem + in->offset, in + 1, len);
		cmd->done.size = len;
	}
	agent_node_put(an);
	return ret;
}
