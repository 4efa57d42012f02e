// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_exec.c - programs, with what they write and how they end
 *
 * Input and outputs are unlinked files in memory, each of a file system of its own:
 * nobody has to feed or drain them, so nothing can block, and their size bounds the
 * memory. A program that writes more gets ENOSPC.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mount.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umh.h>

#include "agent.h"

#define MAX_STRINGS	4096
#define DEFAULT_OUTPUT	SZ_1M
#define MAX_OUTPUT	SZ_64M

/**
 * struct agent_exec - a program's surroundings
 * @cmd: the command
 * @files: its input, output and error output
 */
struct agent_exec {
	struct agent_cmd *cmd;
	struct file *files[3];
};

/* In the new process, before it becomes the program. */
static int prepare_child(struct subprocess_info *info, struct cred *new)
{
	struct agent_exec *exec = info->data;
	struct agent_chan *chan = exec->cmd->chan;
	bool cancelled;
	int i, fd;

	/* It has no open files, so these are 0, 1 and 2. */
	for (i = 0; i < 3; i++) {
		fd = get_unused_fd_flags(0);
		if (fd != i) {
			if (fd >= 0)
				put_unused_fd(fd);
			return -EMFILE;
		}
		fd_install(fd, get_file(exec->files[i]));
	}

	spin_lock(&chan->lock);
	cancelled = exec->cmd->cancelled;
	if (!cancelled)
		exec->cmd->child = get_pid(task_pid(current));
	spin_unlock(&chan->lock);
	if (cancelled)
		return -ECANCELED;
	agent_hook_child(chan, exec->cmd->req.cookie, task_tgid_nr(current));
	return 0;
}

static int run(struct agent_exec *exec, char **argv, char **envp)
{
	struct agent_chan *chan = exec->cmd->chan;
	struct subprocess_info *info;
	struct pid *child;
	int ret;

	info = call_usermodehelper_setup(argv[0], argv, envp, GFP_KERNEL, prepare_child, NULL,
					 exec);
	if (!info)
		return -ENOMEM;
	ret = call_usermodehelper_exec(info, UMH_WAIT_PROC);

	spin_lock(&chan->lock);
	child = exec->cmd->child;
	exec->cmd->child = NULL;
	spin_unlock(&chan->lock);
	if (child)
		agent_hook_child_ended(chan, exec->cmd->req.cookie);
	put_pid(child);
	return ret;
}

/* @nr strings from *@str on become an array that ends with NULL. */
static int split(char **array, u32 nr, char **str, const char *end)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		size_t len = strnlen(*str, end - *str);

		if (*str + len == end)
			return -EINVAL;
		array[i] = *str;
		*str += len + 1;
	}
	array[nr] = NULL;
	return 0;
}

/* How much is in @file; as much of it as fits, with @spare left, becomes answer. */
static u64 give_output(struct agent_cmd *cmd, struct file *file, u64 spare, u64 *given)
{
	u64 len = i_size_read(file_inode(file));
	loff_t pos = 0;
	ssize_t n;

	while (pos < len && agent_room(cmd) > spare) {
		n = kernel_read(file, agent_out(cmd),
				min_t(u64, len - pos, agent_room(cmd) - spare), &pos);
		if (n <= 0)
			break;
		cmd->out_used += n;
	}
	if (pos < len)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	*given = pos;
	return len;
}

static int answer(struct agent_exec *exec, int status)
{
	struct portal_cmd_exec_result res = { .wait_status = status };
	u64 spare;

	exec->cmd->out_used = sizeof(res);
	/* What went wrong is said last, and is worth more than the end of the output. */
	spare = min_t(u64, i_size_read(file_inode(exec->files[2])), agent_room(exec->cmd) / 4);
	res.out_len = give_output(exec->cmd, exec->files[1], spare, &res.out_given);
	res.err_len = give_output(exec->cmd, exec->files[2], 0, &res.err_given);
	memcpy(exec->cmd->out, &res, sizeof(res));
	exec->cmd->done.value = status;
	if (!agent_cancelled(exec->cmd))
		return 0;
	exec->cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	return -ECANCELED;
}

/* A file in memory, of at most @size bytes in whole pages. */
static struct file *open_file(u64 size)
{
	/* Built in, so there is no reference to give back. */
	struct file_system_type *type = get_fs_type("tmpfs");
	struct vfsmount *mnt;
	char options[64];
	struct file *file;

	if (!type)
		return ERR_PTR(-EOPNOTSUPP);
	/* 0 would be no limit. */
	snprintf(options, sizeof(options), "size=%llu", max_t(u64, size, PAGE_SIZE));
	mnt = vfs_kern_mount(type, 0, "portal-exec", options);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	file = shmem_file_setup_with_mnt(mnt, "portal-exec", 0, VM_NORESERVE);
	/* The file keeps it. */
	mntput(mnt);
	return file;
}

static int open_files(struct agent_exec *exec, const char *input, u32 len, u64 limit)
{
	loff_t pos = 0;
	ssize_t n = 0;
	int i;

	for (i = 0; i < 3; i++) {
		struct file *file = open_file(i ? limit : len);

		if (IS_ERR(file))
			return PTR_ERR(file);
		exec->files[i] = file;
		/* Its children write to the same file. */
		if (i)
			file->f_flags |= O_APPEND;
		file->f_flags |= O_LARGEFILE;
	}
	if (len)
		n = kernel_write(exec->files[0], input, len, &pos);
	return n == len ? 0 : n < 0 ? n : -EIO;
}

int agent_op_exec(struct agent_cmd *cmd)
{
	const struct portal_cmd_exec *in = (void *)cmd->in;
	char *str = cmd->in + sizeof(*in), *end = cmd->in + cmd->req.in_len;
	struct agent_exec exec = { .cmd = cmd };
	u64 limit = cmd->req.size ?: DEFAULT_OUTPUT;
	char **argv;
	int ret, i;

	if (!in->argc || in->argc > MAX_STRINGS || in->envc > MAX_STRINGS || in->pad ||
	    in->in_len > end - str || limit > MAX_OUTPUT)
		return -EINVAL;
	argv = kvcalloc(in->argc + in->envc + 2, sizeof(*argv), GFP_KERNEL);
	if (!argv)
		return -ENOMEM;
	ret = split(argv, in->argc, &str, end);
	if (!ret)
		ret = split(argv + in->argc + 1, in->envc, &str, end);
	if (!ret && (end - str != in->in_len || argv[0][0] != '/'))
		ret = -EINVAL;
	if (!ret)
		ret = open_files(&exec, str, in->in_len, limit);
	if (!ret)
		ret = run(&exec, argv, argv + in->argc + 1);
	/* A program's end is positive or 0, that there is none negative. */
	if (ret >= 0)
		ret = answer(&exec, ret);
	for (i = 0; i < 3; i++) {
		if (exec.files[i])
			fput(exec.files[i]);
	}
	kvfree(argv);
	return ret;
}
