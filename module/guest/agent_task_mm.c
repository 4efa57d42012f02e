// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_task_mm.c - what a process executes, and has mapped and open
 */
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "agent.h"

static struct file *exe_of(struct mm_struct *mm)
{
	struct file *file;

	rcu_read_lock();
#ifdef get_file_rcu
	file = rcu_dereference(mm->exe_file);
	if (file && !get_file_rcu(file))
		file = NULL;
#else
	file = get_file_rcu(&mm->exe_file);
#endif
	rcu_read_unlock();
	return file;
}

int agent_op_task_exe(struct agent_cmd *cmd)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct file *file;
	char *buf, *path;
	int ret;

	ret = agent_task_mm(cmd->req.pid, &task, &mm);
	if (ret)
		return ret;
	put_task_struct(task);
	file = exe_of(mm);
	mmput(mm);
	if (!file)
		return -ENOENT;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!buf) {
		ret = -ENOMEM;
		goto out;
	}
	path = d_path(&file->f_path, buf, PATH_MAX);
	ret = IS_ERR(path) ? PTR_ERR(path) : agent_put(cmd, path, strlen(path) + 1);
	kfree(buf);
out:
	fput(file);
	return ret;
}

/* What is in [start, end) of @task after the bytes to skip. */
static int read_area(struct agent_cmd *cmd, struct task_struct *task, unsigned long start,
		     unsigned long end)
{
	u64 skip = cmd->req.addr;
	size_t len;
	int n;

	if (end < start || skip >= end - start)
		return 0;
	len = min_t(size_t, end - start - skip, agent_room(cmd));
	n = access_process_vm(task, start + skip, cmd->out, len, 0);
	cmd->out_used = max(n, 0);
	cmd->done.cursor = skip + cmd->out_used;
	if (cmd->out_used < len) {
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
		return -EFAULT;
	}
	if (cmd->done.cursor < end - start)
		cmd->done.flags |= PORTAL_DONE_F_MORE;
	return 0;
}

static int read_strings(struct agent_cmd *cmd, bool env)
{
	unsigned long start, end;
	struct task_struct *task;
	struct mm_struct *mm;
	int ret;

	ret = agent_task_mm(cmd->req.pid, &task, &mm);
	if (ret)
		return ret;
	spin_lock(&mm->arg_lock);
	start = env ? mm->env_start : mm->arg_start;
	end = env ? mm->env_end : mm->arg_end;
	spin_unlock(&mm->arg_lock);
	ret = read_area(cmd, task, start, end);
	mmput(mm);
	put_task_struct(task);
	return ret;
}

int agent_op_task_args(struct agent_cmd *cmd)
{
	return read_strings(cmd, false);
}

int agent_op_task_env(struct agent_cmd *cmd)
{
	return read_strings(cmd, true);
}

/* A record of @size bytes, whose last @len they tell, and @path behind it. */
static int put_with_path(struct agent_cmd *cmd, void *rec, size_t size, u32 *len,
			 const char *path)
{
	size_t str = strlen(path) + 1, all = ALIGN(size + str, 8);
	char *out = agent_out(cmd);

	if (all > agent_room(cmd))
		return -EMSGSIZE;
	*len = all;
	memcpy(out, rec, size);
	memset(out + size, 0, all - size);
	memcpy(out + size, path, str);
	cmd->out_used += all;
	cmd->done.count++;
	return 0;
}

/* Room for no more: go on at @cursor, unless there was room for none. */
static int no_room(struct agent_cmd *cmd, u64 cursor)
{
	cmd->done.flags |= PORTAL_DONE_F_MORE;
	cmd->done.cursor = cursor;
	return cmd->done.count ? 0 : -EMSGSIZE;
}

/* ---- maps --------------------------------------------------------------------- */

static const char *name_of(struct vm_area_struct *vma, char *buf)
{
	const char *name = NULL;

	if (vma->vm_file) {
		name = d_path(&vma->vm_file->f_path, buf, PATH_MAX);
		return IS_ERR(name) ? "?" : name;
	}
	if (vma->vm_ops && vma->vm_ops->name)
		name = vma->vm_ops->name(vma);
	if (name)
		return name;
	if (vma->vm_start <= vma->vm_mm->brk && vma->vm_end > vma->vm_mm->start_brk)
		return "[heap]";
	if (vma->vm_start <= vma->vm_mm->start_stack && vma->vm_end > vma->vm_mm->start_stack)
		return "[stack]";
	return "";
}

static int put_map(struct agent_cmd *cmd, struct vm_area_struct *vma, char *buf)
{
	struct portal_cmd_map rec = {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.prot = (vma->vm_flags & VM_READ ? 1 : 0) | (vma->vm_flags & VM_WRITE ? 2 : 0) |
			(vma->vm_flags & VM_EXEC ? 4 : 0) | (vma->vm_flags & VM_SHARED ? 8 : 0),
	};

	if (vma->vm_file) {
		const struct inode *inode = file_inode(vma->vm_file);

		rec.offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
		rec.inode = inode->i_ino;
		rec.dev_major = MAJOR(inode->i_sb->s_dev);
		rec.dev_minor = MINOR(inode->i_sb->s_dev);
	}
	return put_with_path(cmd, &rec, sizeof(rec), &rec.len, name_of(vma, buf));
}

static int put_maps(struct agent_cmd *cmd, struct mm_struct *mm, char *buf)
{
	VMA_ITERATOR(vmi, mm, cmd->req.addr);
	struct vm_area_struct *vma;
	int ret = 0;

	mmap_read_lock(mm);
	for_each_vma(vmi, vma) {
		if (put_map(cmd, vma, buf)) {
			ret = no_room(cmd, vma->vm_start);
			break;
		}
	}
	mmap_read_unlock(mm);
	return ret;
}

int agent_op_task_maps(struct agent_cmd *cmd)
{
	struct task_struct *task;
	struct mm_struct *mm;
	char *buf;
	int ret;

	ret = agent_task_mm(cmd->req.pid, &task, &mm);
	if (ret)
		return ret;
	put_task_struct(task);
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	ret = buf ? put_maps(cmd, mm, buf) : -ENOMEM;
	kfree(buf);
	mmput(mm);
	return ret;
}

/* ---- open files --------------------------------------------------------------- */

struct fd_walk {
	struct agent_cmd *cmd;
	char *buf;
	unsigned int stopped;	/* at this one */
};

/* Under a spinlock, as iterate_fd() has it. */
static int put_fd(const void *arg, struct file *file, unsigned int fd)
{
	struct fd_walk *walk = (void *)arg;
	const struct inode *inode = file_inode(file);
	struct portal_cmd_fd rec = {
		.fd = fd,
		.mode = inode->i_mode,
		.flags = file->f_flags,
		.pos = file->f_pos,
		.inode = inode->i_ino,
	};
	char *path = d_path(&file->f_path, walk->buf, PATH_MAX);

	walk->stopped = fd;
	return put_with_path(walk->cmd, &rec, sizeof(rec), &rec.len, IS_ERR(path) ? "?" : path);
}

static int put_fds(struct agent_cmd *cmd, struct task_struct *task, char *buf)
{
	struct fd_walk walk = { .cmd = cmd, .buf = buf };
	int ret = 0;

	task_lock(task);
	if (task->files)
		ret = iterate_fd(task->files, cmd->req.addr, put_fd, &walk);
	task_unlock(task);
	return ret ? no_room(cmd, walk.stopped) : 0;
}

int agent_op_task_fds(struct agent_cmd *cmd)
{
	struct task_struct *task;
	char *buf;
	int ret;

	if (cmd->req.addr > INT_MAX)
		return -EINVAL;
	task = agent_task_get(cmd->req.pid);
	if (!task)
		return -ESRCH;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	ret = buf ? put_fds(cmd, task, buf) : -ENOMEM;
	kfree(buf);
	put_task_struct(task);
	return ret;
}
