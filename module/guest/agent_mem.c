// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_mem.c - memory of processes and of the kernel
 *
 * What cannot be read is never zeros: the answer ends before it, and says so.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "agent.h"

/* Others want the mm's locks, and cancel must not wait long. */
#define STEP		(256U << 10)
#define MAX_COPY	(16U << 20)

/*
 * Up to @len bytes between @buf and address @addr of @task, as far as it goes.
 */
static size_t access(struct agent_cmd *cmd, struct task_struct *task, u64 addr, void *buf,
		     size_t len, unsigned int gup)
{
	size_t done = 0, want;
	int n;

	while (done < len && !agent_cancelled(cmd)) {
		want = min_t(size_t, len - done, STEP);
		n = access_process_vm(task, addr + done, buf + done, want, gup);
		done += max(n, 0);
		if (n != want)
			break;
		cond_resched();
	}
	return done;
}

/* The status of a copy that did @done of @want bytes. */
static int partial(struct agent_cmd *cmd, size_t done, size_t want)
{
	if (done == want)
		return 0;
	if (done)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	return agent_cancelled(cmd) ? -ECANCELED : -EFAULT;
}

/* There is room for @size bytes, and the addresses do not wrap. */
static int check_range(const struct agent_cmd *cmd)
{
	if (cmd->req.size > agent_room(cmd))
		return -EMSGSIZE;
	if (cmd->req.addr + cmd->req.size < cmd->req.addr)
		return -EFAULT;
	return 0;
}

/* A process with memory of its own. */
static int get_task(const struct agent_cmd *cmd, struct task_struct **task)
{
	struct mm_struct *mm;
	int ret;

	ret = agent_task_mm(cmd->req.pid, task, &mm);
	if (!ret)
		mmput(mm);
	return ret;
}

int agent_op_mem_read(struct agent_cmd *cmd)
{
	struct task_struct *task;
	int ret;

	ret = check_range(cmd);
	if (!ret)
		ret = get_task(cmd, &task);
	if (ret)
		return ret;
	cmd->out_used = access(cmd, task, cmd->req.addr, cmd->out, cmd->req.size, 0);
	put_task_struct(task);
	return partial(cmd, cmd->out_used, cmd->req.size);
}

int agent_op_mem_write(struct agent_cmd *cmd)
{
	struct task_struct *task;
	int ret;

	if (cmd->req.addr + cmd->req.in_len < cmd->req.addr)
		return -EFAULT;
	ret = get_task(cmd, &task);
	if (ret)
		return ret;
	cmd->done.size = access(cmd, task, cmd->req.addr, cmd->in, cmd->req.in_len, FOLL_WRITE);
	put_task_struct(task);
	return partial(cmd, cmd->done.size, cmd->req.in_len);
}

/* From @from to @to, by way of @buf of STEP bytes. What was copied. */
static size_t copy(struct agent_cmd *cmd, struct task_struct *from, struct task_struct *to,
		   const struct portal_cmd_mem_copy *in, void *buf)
{
	size_t done = 0, want, n;

	while (done < in->size && !agent_cancelled(cmd)) {
		want = min_t(size_t, in->size - done, STEP);
		n = access(cmd, from, cmd->req.addr + done, buf, want, 0);
		n = access(cmd, to, in->to_addr + done, buf, n, FOLL_WRITE);
		done += n;
		if (n != want)
			break;
	}
	return done;
}

int agent_op_mem_copy(struct agent_cmd *cmd)
{
	const struct portal_cmd_mem_copy *in = (void *)cmd->in;
	struct task_struct *from, *to;
	struct mm_struct *mm;
	void *buf;
	int ret;

	if (in->pad)
		return -EINVAL;
	if (in->size > MAX_COPY)
		return -E2BIG;
	if (cmd->req.addr + in->size < cmd->req.addr || in->to_addr + in->size < in->to_addr)
		return -EFAULT;
	ret = get_task(cmd, &from);
	if (ret)
		return ret;
	ret = agent_task_mm(in->to_pid, &to, &mm);
	if (ret)
		goto put_from;
	mmput(mm);
	buf = kvmalloc(STEP, GFP_KERNEL);
	if (buf)
		cmd->done.size = copy(cmd, from, to, in, buf);
	ret = buf ? partial(cmd, cmd->done.size, in->size) : -ENOMEM;
	kvfree(buf);
	put_task_struct(to);
put_from:
	put_task_struct(from);
	return ret;
}

/*
 * Up to @max bytes of a string, with its NUL, page by page: it may end where the
 * memory does. Returns its bytes, or -EFAULT, -E2BIG; *@used are there anyway.
 */
static int read_str(struct agent_cmd *cmd, struct task_struct *task, u64 addr, char *buf,
		    size_t max, size_t *used)
{
	size_t want, n;
	char *nul;

	for (*used = 0; *used < max && !agent_cancelled(cmd); *used += n) {
		want = min_t(size_t, max - *used, PAGE_SIZE - offset_in_page(addr + *used));
		if (task)
			n = access(cmd, task, addr + *used, buf + *used, want, 0);
		else
			n = copy_from_kernel_nofault(buf + *used, (void *)(addr + *used), want) ?
				0 : want;
		nul = memchr(buf + *used, '\0', n);
		if (nul) {
			*used = nul + 1 - buf;
			return 0;
		}
		if (n != want) {
			*used += n;
			return -EFAULT;
		}
	}
	return agent_cancelled(cmd) ? -ECANCELED : -E2BIG;
}

static int answer_str(struct agent_cmd *cmd, struct task_struct *task)
{
	size_t used;
	int ret;

	ret = read_str(cmd, task, cmd->req.addr, cmd->out, cmd->req.size, &used);
	cmd->out_used = used;
	if (ret && used)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	return ret;
}

int agent_op_mem_read_str(struct agent_cmd *cmd)
{
	struct task_struct *task;
	int ret;

	ret = check_range(cmd);
	if (!ret)
		ret = get_task(cmd, &task);
	if (ret)
		return ret;
	ret = answer_str(cmd, task);
	put_task_struct(task);
	return ret;
}

/* The next string; 1: there is none. */
static int read_next(struct agent_cmd *cmd, struct task_struct *task, bool wide)
{
	u64 ptr = 0;
	size_t used;
	int ret;

	if (access(cmd, task, cmd->done.cursor, &ptr, wide ? 8 : 4, 0) != (wide ? 8 : 4))
		return -EFAULT;
	if (!ptr)
		return 1;
	ret = read_str(cmd, task, ptr, agent_out(cmd), agent_room(cmd), &used);
	if (!ret)
		cmd->out_used += used;
	return ret;
}

/* Pointers are as wide as the process has them. */
static bool is_wide(struct task_struct *task)
{
#ifdef TIF_ADDR32
	return !test_tsk_thread_flag(task, TIF_ADDR32);
#else
	return true;
#endif
}

static int read_strv(struct agent_cmd *cmd, struct task_struct *task)
{
	bool wide = is_wide(task);
	int ret = 0;

	cmd->done.cursor = cmd->req.addr;
	while (cmd->done.count < cmd->req.size && !agent_cancelled(cmd)) {
		ret = read_next(cmd, task, wide);
		if (ret)
			break;
		cmd->done.count++;
		cmd->done.cursor += wide ? 8 : 4;
	}
	if (ret == 1)
		return 0;
	/* No room for this one, but there was for others. */
	if (ret == -E2BIG && cmd->done.count)
		ret = 0;
	if (!ret)
		cmd->done.flags |= PORTAL_DONE_F_MORE;
	else if (cmd->done.count)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	return ret;
}

int agent_op_mem_read_strv(struct agent_cmd *cmd)
{
	struct task_struct *task;
	int ret;

	ret = get_task(cmd, &task);
	if (ret)
		return ret;
	ret = read_strv(cmd, task);
	put_task_struct(task);
	return ret;
}

int agent_op_kmem_read(struct agent_cmd *cmd)
{
	size_t done = 0, want;
	int ret;

	ret = check_range(cmd);
	if (ret)
		return ret;
	while (done < cmd->req.size && !agent_cancelled(cmd)) {
		u64 addr = cmd->req.addr + done;

		want = min_t(size_t, cmd->req.size - done, PAGE_SIZE - offset_in_page(addr));
		if (copy_from_kernel_nofault(cmd->out + done, (void *)addr, want))
			break;
		done += want;
		cond_resched();
	}
	cmd->out_used = done;
	return partial(cmd, done, cmd->req.size);
}

int agent_op_kmem_read_str(struct agent_cmd *cmd)
{
	int ret = check_range(cmd);

	return ret ?: answer_str(cmd, NULL);
}
