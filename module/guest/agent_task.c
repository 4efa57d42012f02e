// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_task.c - which processes there are
 *
 * Numbers are those of the first PID namespace. 0 is process 0, nothing else.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "agent.h"

/* walks until two in a row see the same processes */
#define LIST_TRIES	16
#define LIST_MARGIN	64

/**
 * agent_task_get() - find a process or thread
 * @pid: its number; 0 is the idle task of the first CPU
 *
 * Return: with a reference, or NULL.
 */
struct task_struct *agent_task_get(u32 pid)
{
	struct task_struct *task;
	struct pid *ref;

	if (!pid)
		return get_task_struct(&init_task);
	if (pid > INT_MAX)
		return NULL;
	ref = find_get_pid(pid);
	task = get_pid_task(ref, PIDTYPE_PID);
	put_pid(ref);
	return task;
}

/**
 * agent_task_mm() - find a process and its memory
 * @pid: its number
 * @task: (out) with a reference
 * @mm: (out) with a reference
 *
 * Return: 0; -ESRCH if there is no such process; -ENXIO if it has no memory.
 */
int agent_task_mm(u32 pid, struct task_struct **task, struct mm_struct **mm)
{
	*task = agent_task_get(pid);
	if (!*task)
		return -ESRCH;
	*mm = get_task_mm(*task);
	if (*mm)
		return 0;
	put_task_struct(*task);
	return -ENXIO;
}

static void fill_times(struct task_struct *p, struct portal_cmd_task *rec)
{
	struct task_struct *t;

	rec->utime_ns = READ_ONCE(p->signal->utime);
	rec->stime_ns = READ_ONCE(p->signal->stime);
	for_each_thread(p, t) {
		rec->utime_ns += READ_ONCE(t->utime);
		rec->stime_ns += READ_ONCE(t->stime);
	}
}

/* Under rcu_read_lock(). */
static void fill(struct task_struct *p, struct portal_cmd_task *rec)
{
	const struct cred *cred = __task_cred(p);

	*rec = (struct portal_cmd_task) {
		.pid = p->tgid,
		.ppid = pid_alive(p) ? rcu_dereference(p->real_parent)->tgid : 0,
		.threads = get_nr_threads(p),
		.uid = from_kuid(&init_user_ns, cred->uid),
		.gid = from_kgid(&init_user_ns, cred->gid),
		.euid = from_kuid(&init_user_ns, cred->euid),
		.flags = !!(p->flags & PF_KTHREAD),
		.state = task_state_to_char(p),
		.start_ns = p->start_boottime,
	};
	task_lock(p);
	if (p->mm && !(p->flags & PF_KTHREAD)) {
		rec->vm_pages = p->mm->total_vm;
		rec->rss_pages = get_mm_rss(p->mm);
	}
	memcpy(rec->comm, p->comm, sizeof(rec->comm));
	task_unlock(p);
	rec->comm[sizeof(rec->comm) - 1] = '\0';
	fill_times(p, rec);
}

/* The processes now; how many there are, maybe more than there was room for. */
static u32 walk(struct portal_cmd_task *recs, u32 room)
{
	struct task_struct *p;
	u32 nr = 0;

	rcu_read_lock();
	for_each_process(p) {
		if (nr < room)
			fill(p, &recs[nr]);
		nr++;
	}
	rcu_read_unlock();
	return nr;
}

/* Are they still the same, with the same parents? */
static bool unchanged(const struct portal_cmd_task *recs, u32 nr)
{
	struct task_struct *p;
	bool same = true;
	u32 i = 0;

	rcu_read_lock();
	for_each_process(p) {
		same = i < nr && recs[i].pid == p->tgid && recs[i].start_ns == p->start_boottime &&
		       (!pid_alive(p) || recs[i].ppid == rcu_dereference(p->real_parent)->tgid);
		if (!same)
			break;
		i++;
	}
	rcu_read_unlock();
	return same && i == nr;
}

static int by_pid(const void *a, const void *b)
{
	const struct portal_cmd_task *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/*
 * The kernel's lock on the list is not for modules. But a walk that another walk
 * agrees with saw a moment between the two.
 */
static int snapshot(struct agent_cmd *cmd, struct portal_cmd_task **out, u32 *nr)
{
	struct portal_cmd_task *recs = NULL;
	u32 room = walk(NULL, 0) + LIST_MARGIN;
	unsigned int try;

	for (try = 0; try < LIST_TRIES; try++) {
		if (!recs)
			recs = kvmalloc_array(room, sizeof(*recs), GFP_KERNEL);
		if (!recs)
			return -ENOMEM;
		*nr = walk(recs, room);
		if (*nr > room) {
			kvfree(recs);
			recs = NULL;
			room = *nr + LIST_MARGIN;
			continue;
		}
		if (unchanged(recs, *nr))
			break;
		cond_resched();
	}
	if (!recs)
		return -EAGAIN;
	if (try == LIST_TRIES)
		cmd->done.flags |= PORTAL_DONE_F_TORN;
	sort(recs, *nr, sizeof(*recs), by_pid, NULL);
	*out = recs;
	return 0;
}

int agent_op_task_list(struct agent_cmd *cmd)
{
	struct portal_cmd_task *recs;
	u32 nr, i;
	int ret;

	ret = snapshot(cmd, &recs, &nr);
	if (ret)
		return ret;
	for (i = 0; i < nr; i++) {
		if (recs[i].pid < cmd->req.addr)
			continue;
		if (agent_put(cmd, &recs[i], sizeof(recs[i]))) {
			cmd->done.flags |= PORTAL_DONE_F_MORE;
			cmd->done.cursor = recs[i].pid;
			break;
		}
		cmd->done.count++;
	}
	cmd->done.value = nr;
	kvfree(recs);
	return cmd->done.flags & PORTAL_DONE_F_MORE && !cmd->done.count ? -EMSGSIZE : 0;
}

int agent_op_task_info(struct agent_cmd *cmd)
{
	struct task_struct *task = agent_task_get(cmd->req.pid);
	struct portal_cmd_task rec;

	if (!task)
		return -ESRCH;
	rcu_read_lock();
	fill(task, &rec);
	rcu_read_unlock();
	put_task_struct(task);
	return agent_put(cmd, &rec, sizeof(rec));
}

static bool is_running(const struct task_struct *task)
{
#ifdef CONFIG_SMP
	return READ_ONCE(task->on_cpu);
#else
	return false;	/* we are */
#endif
}

/*
 * A stack may go to another thread when its own dies, but not before exit_state
 * is set; so what is read is the thread's if it lives afterwards.
 */
static int read_regs(struct task_struct *task, struct pt_regs *regs)
{
	void *stack = READ_ONCE(task->stack);
	int ret;

	if (task->flags & PF_KTHREAD || !pid_nr(task_pid(task)))
		return -ENXIO;
	if (!stack)
		return -ESRCH;
	if (is_running(task))
		return -EBUSY;
	ret = copy_from_kernel_nofault(regs, task_pt_regs(task), sizeof(*regs));
	/* Pairs with the exit of the thread on another CPU. */
	smp_rmb();
	if (ret || READ_ONCE(task->exit_state))
		return -ESRCH;
	return is_running(task) ? -EBUSY : 0;
}

int agent_op_task_regs(struct agent_cmd *cmd)
{
	struct task_struct *task = agent_task_get(cmd->req.pid);
	struct portal_cmd_regs out;
	struct pt_regs regs;
	int ret;

	if (!task)
		return -ESRCH;
	ret = read_regs(task, &regs);
	put_task_struct(task);
	if (ret)
		return ret;
	out = (struct portal_cmd_regs) {
		.r15 = regs.r15, .r14 = regs.r14, .r13 = regs.r13, .r12 = regs.r12,
		.bp = regs.bp, .bx = regs.bx, .r11 = regs.r11, .r10 = regs.r10,
		.r9 = regs.r9, .r8 = regs.r8, .ax = regs.ax, .cx = regs.cx,
		.dx = regs.dx, .si = regs.si, .di = regs.di, .orig_ax = regs.orig_ax,
		.ip = regs.ip, .cs = regs.cs, .flags = regs.flags, .sp = regs.sp,
		.ss = regs.ss,
	};
	return agent_put(cmd, &out, sizeof(out));
}
