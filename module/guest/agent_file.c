// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_file.c - files, by path and by handle
 *
 * Paths are absolute, as the first process sees them, and everything is done as
 * root. A handle is a number with a generation; the kernel's pointer stays here.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "agent.h"

#define MAX_HANDLES	1024
#define STEP		(256U << 10)
#define WRITE_CREATE	1U
#define WRITE_TRUNCATE	2U
#define WRITE_APPEND	4U
#define OPEN_FLAGS	(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY | O_NOFOLLOW)

/**
 * struct agent_file - what a handle stands for
 * @file: the file
 * @handle: with its generation
 * @lock: one reads or writes at a time: there is one position
 * @users: references; with the table's own
 */
struct agent_file {
	struct file *file;
	u64 handle;
	struct mutex lock;
	refcount_t users;
};

/* Never the same again, over all channels. */
static atomic_t handle_generation = ATOMIC_INIT(0);

int agent_op_file_stat(struct agent_cmd *cmd)
{
	struct portal_cmd_stat out;
	struct kstat st;
	struct path path;
	int ret;

	ret = kern_path(cmd->in, LOOKUP_FOLLOW, &path);
	if (ret)
		return ret;
	ret = vfs_getattr(&path, &st, STATX_BASIC_STATS, AT_STATX_SYNC_AS_STAT);
	path_put(&path);
	if (ret)
		return ret;
	out = (struct portal_cmd_stat) {
		.size = st.size,
		.inode = st.ino,
		.mtime_ns = timespec64_to_ns(&st.mtime),
		.mode = st.mode,
		.nlink = st.nlink,
		.uid = from_kuid(&init_user_ns, st.uid),
		.gid = from_kgid(&init_user_ns, st.gid),
		.dev_major = MAJOR(st.dev),
		.dev_minor = MINOR(st.dev),
	};
	return agent_put(cmd, &out, sizeof(out));
}

/* Status of a read that began at @pos; *@pos is moved on. */
static int read_file(struct agent_cmd *cmd, struct file *file, loff_t *pos)
{
	size_t want, size = cmd->req.size;
	ssize_t n = 0;

	if (size > agent_room(cmd))
		return -EMSGSIZE;
	/* kernel_read() warns of each of these. */
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (S_ISDIR(file_inode(file)->i_mode))
		return -EISDIR;
	/* Some of /proc can give their bytes only to a process. */
	if (!file->f_op->read_iter || file->f_op->read)
		return -EOPNOTSUPP;
	while (cmd->out_used < size && !agent_cancelled(cmd)) {
		want = min_t(size_t, size - cmd->out_used, STEP);
		n = kernel_read(file, agent_out(cmd), want, pos);
		if (n <= 0)
			break;
		cmd->out_used += n;
	}
	cmd->done.cursor = *pos;
	if (agent_cancelled(cmd))
		n = -ECANCELED;
	if (n < 0 && cmd->out_used)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	if (n > 0)
		cmd->done.flags |= PORTAL_DONE_F_MORE;
	return min_t(ssize_t, n, 0);
}

int agent_op_file_read(struct agent_cmd *cmd)
{
	struct file *file;
	loff_t pos;
	int ret;

	if (cmd->req.addr > MAX_LFS_FILESIZE)
		return -EINVAL;
	pos = cmd->req.addr;
	file = filp_open(cmd->in, O_RDONLY | O_LARGEFILE | O_NONBLOCK, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = read_file(cmd, file, &pos);
	filp_close(file, NULL);
	return ret;
}

static int write_file(struct agent_cmd *cmd, struct file *file, const char *data, size_t len,
		      loff_t *pos)
{
	ssize_t n = 0;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (!file->f_op->write_iter || file->f_op->write)
		return -EOPNOTSUPP;
	while (cmd->done.size < len && !agent_cancelled(cmd)) {
		n = kernel_write(file, data + cmd->done.size,
				 min_t(size_t, len - cmd->done.size, STEP), pos);
		if (n <= 0)
			break;
		cmd->done.size += n;
	}
	cmd->done.cursor = *pos;
	if (cmd->done.size == len)
		return 0;
	if (cmd->done.size)
		cmd->done.flags |= PORTAL_DONE_F_PARTIAL;
	if (agent_cancelled(cmd))
		return -ECANCELED;
	return n < 0 ? n : -EIO;
}

int agent_op_file_write(struct agent_cmd *cmd)
{
	const struct portal_cmd_file_write *in = (void *)cmd->in;
	const char *path = cmd->in + sizeof(*in);
	size_t rest = cmd->req.in_len - sizeof(*in);
	int flags = O_WRONLY | O_LARGEFILE | O_NONBLOCK, ret, err;
	struct file *file;
	loff_t pos;

	if (in->path_len > rest || in->pad || cmd->req.addr > MAX_LFS_FILESIZE ||
	    in->flags & ~(WRITE_CREATE | WRITE_TRUNCATE | WRITE_APPEND))
		return -EINVAL;
	ret = agent_path(cmd, path, in->path_len);
	if (ret)
		return ret;
	flags |= (in->flags & WRITE_CREATE ? O_CREAT : 0) |
		 (in->flags & WRITE_TRUNCATE ? O_TRUNC : 0) |
		 (in->flags & WRITE_APPEND ? O_APPEND : 0);
	file = filp_open(path, flags, in->mode & 07777);
	if (IS_ERR(file))
		return PTR_ERR(file);
	pos = cmd->req.addr;
	ret = write_file(cmd, file, path + in->path_len, rest - in->path_len, &pos);
	err = filp_close(file, NULL);
	return ret ?: err;
}

/* ---- handles ------------------------------------------------------------------ */

static void put_file(struct agent_file *af)
{
	if (refcount_dec_and_test(&af->users)) {
		filp_close(af->file, NULL);
		kfree(af);
	}
}

static struct agent_file *get_file_of(struct agent_cmd *cmd)
{
	struct agent_chan *chan = cmd->chan;
	struct agent_file *af;

	mutex_lock(&chan->files_lock);
	af = idr_find(&chan->files, lower_32_bits(cmd->req.addr));
	if (af && af->handle != cmd->req.addr)
		af = NULL;
	if (af)
		refcount_inc(&af->users);
	mutex_unlock(&chan->files_lock);
	return af;
}

int agent_op_file_open(struct agent_cmd *cmd)
{
	struct agent_chan *chan = cmd->chan;
	struct agent_file *af;
	int id;

	if (cmd->req.addr & ~(u64)OPEN_FLAGS || cmd->req.size > 07777)
		return -EINVAL;
	af = kzalloc(sizeof(*af), GFP_KERNEL);
	if (!af)
		return -ENOMEM;
	mutex_init(&af->lock);
	refcount_set(&af->users, 1);
	af->file = filp_open(cmd->in, cmd->req.addr | O_LARGEFILE | O_NONBLOCK, cmd->req.size);
	if (IS_ERR(af->file)) {
		id = PTR_ERR(af->file);
		kfree(af);
		return id;
	}
	mutex_lock(&chan->files_lock);
	id = idr_alloc(&chan->files, af, 1, MAX_HANDLES + 1, GFP_KERNEL);
	if (id > 0)
		af->handle = (u64)(u32)atomic_inc_return(&handle_generation) << 32 | id;
	cmd->done.value = af->handle;
	mutex_unlock(&chan->files_lock);
	if (id < 0) {
		put_file(af);
		return id == -ENOSPC ? -EMFILE : id;
	}
	return 0;
}

int agent_op_file_handle_read(struct agent_cmd *cmd)
{
	struct agent_file *af = get_file_of(cmd);
	int ret;

	if (!af)
		return -EBADF;
	mutex_lock(&af->lock);
	ret = read_file(cmd, af->file, &af->file->f_pos);
	mutex_unlock(&af->lock);
	put_file(af);
	return ret;
}

int agent_op_file_handle_write(struct agent_cmd *cmd)
{
	struct agent_file *af = get_file_of(cmd);
	int ret;

	if (!af)
		return -EBADF;
	mutex_lock(&af->lock);
	ret = write_file(cmd, af->file, cmd->in, cmd->req.in_len, &af->file->f_pos);
	mutex_unlock(&af->lock);
	put_file(af);
	return ret;
}

int agent_op_file_close(struct agent_cmd *cmd)
{
	struct agent_file *af = get_file_of(cmd);
	int ret;

	if (!af)
		return -EBADF;
	mutex_lock(&cmd->chan->files_lock);
	/* Another close may have been faster. */
	if (idr_find(&cmd->chan->files, lower_32_bits(cmd->req.addr)) == af) {
		idr_remove(&cmd->chan->files, lower_32_bits(cmd->req.addr));
		ret = 0;
	} else {
		ret = -EBADF;
	}
	mutex_unlock(&cmd->chan->files_lock);
	if (!ret) {
		ret = filemap_check_wb_err(af->file->f_mapping, af->file->f_wb_err);
		put_file(af);
	}
	put_file(af);
	return ret;
}

/**
 * agent_file_close_all() - end all handles of a channel
 * @chan: it has no commands any more
 */
void agent_file_close_all(struct agent_chan *chan)
{
	struct agent_file *af;
	int id;

	mutex_lock(&chan->files_lock);
	idr_for_each_entry(&chan->files, af, id) {
		idr_remove(&chan->files, id);
		put_file(af);
	}
	mutex_unlock(&chan->files_lock);
}
