// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent.c - what the guest's owner allows the host's plugins to do in here
 *
 * Nothing, unless the module parameter "agent" names classes. What came from
 * the host is a copy already; here it is checked, before anything uses it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": agent: " fmt

#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "agent.h"
#include "guest.h"

/* longest payload but data to be written: paths, arguments, environment */
#define MAX_IN		(2U << 20)

static char *agent;
module_param(agent, charp, 0444);
MODULE_PARM_DESC(agent, "Classes of commands that the host may send: all, or of base,mem,kmem,task,file,exec,sym,hook,net,node (default: none, no memory is shared)");

static u64 classes;
/* Unbound: a command may take as long as a program runs. */
static struct workqueue_struct *agent_wq;

static const struct {
	const char *name;
	u64 bit;
} class_names[] = {
#define CLASS_NAME(NAME, name, bit, text) { #name, BIT_ULL(bit) },
	PORTAL_CMD_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

/**
 * struct agent_op - a row of portal_cmd.def
 * @run: executes it; the status
 * @op: its number
 * @class: bit of its class
 * @in_size: bytes that its payload has at least
 * @in_tail: what follows them, PORTAL_TAIL_*
 * @out_size: bytes that its answer has at least
 * @hash: of its layout
 */
struct agent_op {
	int (*run)(struct agent_cmd *cmd);
	u16 op;
	u16 class;
	u16 in_size;
	u16 in_tail;
	u16 out_size;
	u32 hash;
};

static const struct agent_op ops[] = {
#define OP(NAME, name, CLASS, use, in, in_tail, out, out_tail, record, hash)		\
	{ agent_op_##name, PORTAL_CMD_##NAME, PORTAL_CLASS_##CLASS, in, in_tail, out, hash },
	PORTAL_CMD_TABLE(OP)
#undef OP
};

/**
 * agent_wanted() - may the host send commands at all?
 */
bool agent_wanted(void)
{
	return classes;
}

/**
 * agent_classes() - bits of the classes that are allowed
 */
u64 agent_classes(void)
{
	return classes;
}

/**
 * agent_put() - append to the answer
 * @cmd: the command
 * @data: to append
 * @len: its bytes
 *
 * Return: 0, or -EMSGSIZE if there is no room: then nothing was appended.
 */
int agent_put(struct agent_cmd *cmd, const void *data, size_t len)
{
	if (len > agent_room(cmd))
		return -EMSGSIZE;
	memcpy(agent_out(cmd), data, len);
	cmd->out_used += len;
	return 0;
}

/**
 * agent_path() - check a path
 * @cmd: whose payload it is in
 * @str: its first byte
 * @len: bytes of it, with its NUL
 *
 * Return: 0, -EINVAL if it is not one absolute path.
 */
int agent_path(const struct agent_cmd *cmd, const char *str, size_t len)
{
	if (len < 2 || len > PATH_MAX || str[0] != '/' || strnlen(str, len) != len - 1)
		return -EINVAL;
	return 0;
}

/* Payload and answer are inside of the data region; the payload is what it should be. */
static int take_payload(struct agent_cmd *cmd, const struct agent_op *op)
{
	const struct portal_cmd *req = &cmd->req;
	u32 data_len = cmd->chan->data_len;

	if (req->in_len > data_len || req->in_off > data_len - req->in_len ||
	    req->out_len > data_len || req->out_off > data_len - req->out_len)
		return -EFAULT;
	if (req->in_len > MAX_IN || req->out_len < op->out_size)
		return -EMSGSIZE;
	if (req->in_len < op->in_size ||
	    (op->in_tail == PORTAL_TAIL_NONE && req->in_len > op->in_size))
		return -EINVAL;

	cmd->out = cmd->chan->data + req->out_off;
	cmd->in = kvmalloc((size_t)req->in_len + 1, GFP_KERNEL);
	if (!cmd->in)
		return -ENOMEM;
	memcpy(cmd->in, cmd->chan->data + req->in_off, req->in_len);
	cmd->in[req->in_len] = '\0';
	if (op->in_tail == PORTAL_TAIL_PATH)
		return agent_path(cmd, cmd->in, req->in_len);
	/* Each string has its NUL, so the last byte is one. */
	if (op->in_tail == PORTAL_TAIL_STRINGS &&
	    (!req->in_len || cmd->in[req->in_len - 1]))
		return -EINVAL;
	return 0;
}

static const struct agent_op *find_op(u16 nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		if (ops[i].op == nr)
			return &ops[i];
	}
	return NULL;
}

static int check(const struct portal_cmd *req, const struct agent_op *op, u32 epoch)
{
	if (req->version != PORTAL_CMD_VERSION)
		return -EPROTONOSUPPORT;
	if (!op)
		return -ENOSYS;
	if (!(classes & BIT_ULL(op->class)))
		return -EPERM;
	if (req->flags)
		return -EINVAL;
	if (upper_32_bits(req->txn) != epoch)
		return -ESTALE;
	return 0;
}

static int execute(struct agent_cmd *cmd)
{
	const struct agent_op *op = find_op(cmd->req.op);
	int ret;

	ret = check(&cmd->req, op, cmd->epoch);
	if (!ret)
		ret = take_payload(cmd, op);
	if (!ret && agent_cancelled(cmd))
		ret = -ECANCELED;
	if (!ret)
		ret = op->run(cmd);
	/* Those the kernel uses internally. */
	if (ret < -MAX_ERRNO || ret > 0 || (ret <= -512 && ret > -530))
		ret = -EINTR;
	return ret;
}

static void finish(struct agent_cmd *cmd)
{
	struct agent_chan *chan = cmd->chan;
	bool last;

	agent_chan_done(chan, cmd->epoch, &cmd->done);

	spin_lock(&chan->lock);
	list_del(&cmd->node);
	last = list_empty(&chan->cmds);
	/* Under the lock: chan may be freed as soon as its waiter sees the list empty. */
	if (last)
		wake_up(&chan->idle);
	spin_unlock(&chan->lock);
	kvfree(cmd->in);
	kfree(cmd);
}

static void fill_done(struct portal_cmd_done *done, const struct portal_cmd *req)
{
	*done = (struct portal_cmd_done) {
		.version = PORTAL_CMD_VERSION,
		.op = req->op,
		.txn = req->txn,
		.cookie = req->cookie,
		.seq = req->seq,
	};
}

static void cmd_work(struct work_struct *work)
{
	struct agent_cmd *cmd = container_of(work, struct agent_cmd, work);

	fill_done(&cmd->done, &cmd->req);
	cmd->done.status = execute(cmd);
	/* Half an answer is none, unless the command says how far it goes. */
	if (cmd->done.status && !(cmd->done.flags & PORTAL_DONE_F_PARTIAL))
		cmd->out_used = 0;
	if (!cmd->done.size)
		cmd->done.size = cmd->out_used;
	finish(cmd);
}

/**
 * agent_start() - begin with a command
 * @chan: where it came from
 * @req: copy of it
 *
 * Context: Process context, may sleep.
 */
void agent_start(struct agent_chan *chan, const struct portal_cmd *req)
{
	struct agent_cmd *cmd = kzalloc(sizeof(*cmd), GFP_KERNEL);
	struct portal_cmd_done done;

	if (!cmd) {
		fill_done(&done, req);
		done.status = -ENOMEM;
		agent_chan_done(chan, chan->epoch, &done);
		return;
	}
	INIT_WORK(&cmd->work, cmd_work);
	cmd->chan = chan;
	cmd->req = *req;
	spin_lock(&chan->lock);
	cmd->epoch = chan->epoch;
	list_add_tail(&cmd->node, &chan->cmds);
	spin_unlock(&chan->lock);
	queue_work(agent_wq, &cmd->work);
}

/* @chan->lock is held. */
static void cancel(struct agent_cmd *cmd)
{
	WRITE_ONCE(cmd->cancelled, true);
	if (cmd->child)
		kill_pid(cmd->child, SIGKILL, 1);
}

/**
 * agent_cancel() - tell a command to end
 * @chan: where it came from
 * @txn: its transaction id
 *
 * Return: whether there is one.
 */
bool agent_cancel(struct agent_chan *chan, u64 txn)
{
	struct agent_cmd *cmd;
	bool found = false;

	spin_lock(&chan->lock);
	list_for_each_entry(cmd, &chan->cmds, node) {
		if (cmd->req.txn == txn && cmd->req.op != PORTAL_CMD_CANCEL) {
			cancel(cmd);
			found = true;
		}
	}
	spin_unlock(&chan->lock);
	return found;
}

/**
 * agent_cancel_all() - end all commands, and wait for that
 * @chan: where they came from
 *
 * Context: Process context, may sleep.
 */
void agent_cancel_all(struct agent_chan *chan)
{
	struct agent_cmd *cmd;

	spin_lock(&chan->lock);
	list_for_each_entry(cmd, &chan->cmds, node)
		cancel(cmd);
	spin_unlock(&chan->lock);
	wait_event(chan->idle, list_empty_careful(&chan->cmds));
	/* finish() may still hold the lock. */
	spin_lock(&chan->lock);
	spin_unlock(&chan->lock);
}

int agent_op_features(struct agent_cmd *cmd)
{
	struct portal_cmd_features features = {
		.version = PORTAL_CMD_VERSION,
		.nr_ops = ARRAY_SIZE(ops),
		.abi_hash = PORTAL_CMD_ABI_HASH,
		.classes = classes,
		.data_len = cmd->chan->data_len,
	};
	unsigned int i;
	int ret;

	ret = agent_put(cmd, &features, sizeof(features));
	for (i = 0; !ret && i < ARRAY_SIZE(ops); i++) {
		struct portal_cmd_op_info info = {
			.op = ops[i].op, .op_class = ops[i].class, .hash = ops[i].hash,
		};

		ret = agent_put(cmd, &info, sizeof(info));
	}
	cmd->done.count = i;
	return ret;
}

static int parse_class(const char *name)
{
	unsigned int i;

	if (!strcmp(name, "all"))
		classes = U64_MAX;
	for (i = 0; i < ARRAY_SIZE(class_names); i++) {
		if (!strcmp(name, class_names[i].name))
			classes |= class_names[i].bit;
	}
	return classes ? 0 : -EINVAL;
}

/* A class that does not exist must not look like one that is allowed. */
static int parse_classes(void)
{
	char *copy, *rest, *name;
	u64 sum = 0, all = 0;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(class_names); i++)
		all |= class_names[i].bit;
	copy = kstrdup(agent, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	for (rest = copy; !ret && (name = strsep(&rest, ",")); ) {
		classes = 0;
		ret = *name ? parse_class(name) : 0;
		if (ret)
			pr_err("there is no class %s\n", name);
		sum |= classes;
	}
	kfree(copy);
	classes = ret || !sum ? 0 : (sum & all) | BIT_ULL(PORTAL_CLASS_BASE);
	return ret;
}

/**
 * portal_agent_init() - learn what the guest's owner allows
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int portal_agent_init(void)
{
	int ret;

	agent_hook_init();
	if (!agent || !*agent)
		return 0;
	ret = parse_classes();
	if (ret || !classes)
		return ret;
	agent_wq = alloc_workqueue("portal_agent", WQ_UNBOUND, 0);
	if (!agent_wq)
		return -ENOMEM;
	pr_info("the host may send commands of classes %s\n", agent);
	return 0;
}

/**
 * portal_agent_exit() - undo portal_agent_init()
 *
 * Context: Process context, may sleep. All channels are gone.
 */
void portal_agent_exit(void)
{
	if (agent_wq)
		destroy_workqueue(agent_wq);
	agent_hook_exit();
}
