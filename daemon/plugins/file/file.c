// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - an image file or a block device, through the worker's io_uring
 *
 * Without direct=on requests go straight between the page cache and the guest's
 * memory. Direct I/O needs memory with struct pages, which a guest's is only if
 * its RAM is a shared mapping of a file; where it is not, the block layer finds
 * out by the first -EFAULT and copies from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file.h"

/*
 * One request: in the request's own room for us, so nothing is allocated.
 * @done: bytes so far, by earlier short reads or writes
 * @sync: the rest of a ZERO with FUA, which the kernel does not have
 * @cancelled: not tried again
 */
struct file_op {
	struct portal_uring_op op;
	struct file *file;
	uint64_t done;
	bool sync;
	bool cancelled;
};

_Static_assert(sizeof(struct file_op) <= sizeof(((struct portal_io *)0)->plugin_data),
	       "a file_op must fit in plugin_data");

const struct portald_api *file_api;
struct file_opts file_opts = { .discard = true };

static struct portal_io *op_io(struct portal_uring_op *op)
{
	return (void *)((char *)op - offsetof(struct portal_io, plugin_data));
}

static int file_load(const struct portald_api *portald)
{
	file_api = portald;
	return 0;
}

static void file_unload(void)
{
	free(file_opts.path);
	file_opts = (struct file_opts) { .discard = true };
}

static int file_config(const char *key, const char *value)
{
	uint64_t size;

	if (!strcmp(key, "path")) {
		free(file_opts.path);
		file_opts.path = strdup(value);
		return file_opts.path ? 0 : -ENOMEM;
	}
	if (!strcmp(key, "readonly"))
		return file_api->parse_bool(value, &file_opts.readonly);
	if (!strcmp(key, "direct"))
		return file_api->parse_bool(value, &file_opts.direct);
	if (!strcmp(key, "discard"))
		return file_api->parse_bool(value, &file_opts.discard);
	if (!strcmp(key, "block_size")) {
		int ret = file_api->parse_size(value, &size);

		if (ret)
			return ret;
		if (size != 512 && size != 4096) {
			file_api->error("%s is neither 512 nor 4096", value);
			return -EINVAL;
		}
		file_opts.block_size = (uint32_t)size;
		return 0;
	}
	return -ENOENT;
}

static int file_config_complete(void)
{
	if (file_opts.path && *file_opts.path)
		return 0;
	file_api->error("path= is missing: the image file or block device to use");
	return -EINVAL;
}

static void *file_open(struct portal_instance *pi)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->pi = pi;
	if (!file_open_image(file))
		return file;
	free(file);
	return NULL;
}

static void file_close(void *handle)
{
	struct file *file = handle;

	close(file->fd);
	free(file);
}

static int64_t file_get_size(void *handle)
{
	struct file *file = handle;
	struct stat st;

	if (file->block_device) {
		if (ioctl(file->fd, BLKGETSIZE64, &file->size))
			return -errno;
	} else {
		if (fstat(file->fd, &st))
			return -errno;
		file->size = (uint64_t)st.st_size;
	}
	file->told_short = false;
	return (int64_t)file->size;
}

static int file_resize(void *handle, uint64_t size)
{
	struct file *file = handle;

	if (file->block_device) {
		file_api->error("%s is a block device, which has the size it has", file_opts.path);
		return -EOPNOTSUPP;
	}
	if (file_opts.readonly)
		return -EROFS;
	if (ftruncate(file->fd, (off_t)size)) {
		file_api->error("%s: %s", file_opts.path, strerror(errno));
		return -EIO;
	}
	return 0;
}

static int file_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	struct file *file = handle;

	*logical = file->logical;
	*physical = file->physical;
	return 0;
}

static int file_io_limits(void *handle, struct portal_io_limits *limits)
{
	struct file *file = handle;

	limits->mem_align = file->mem_align;
	return 0;
}

static int file_can_write(void *handle)
{
	return !file_opts.readonly;
}

static int file_can_discard(void *handle)
{
	return file_opts.discard;
}

static int file_yes(void *handle)
{
	return 1;
}

static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && io_uring_submit(ring) >= 0)
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

static int range_mode(const struct portal_io *io)
{
	/* Of a block device's, too: zeroes that may be unmapped. */
	if (io->op == PORTAL_IO_DISCARD || io->flags & PORTAL_IO_F_UNMAP)
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

/* What is left of a read or write after some of it. */
static void prep_data(struct io_uring_sqe *sqe, const struct portal_io *io)
{
	const struct file_op *fop = (const void *)io->plugin_data;
	uint64_t offset = io->offset + fop->done;
	uint64_t skip = fop->done;
	bool in = io->op == PORTAL_IO_READ;
	uint32_t i = 0;

	while (i < io->iovcnt && skip >= io->iov[i].iov_len)
		skip -= io->iov[i++].iov_len;
	if (skip) {
		/* A short one ended inside this iovec: its rest goes alone. */
		char *base = (char *)io->iov[i].iov_base + skip;
		size_t len = io->iov[i].iov_len - skip;

		if (len > INT32_MAX)
			len = INT32_MAX;
		if (in)
			io_uring_prep_read(sqe, fop->file->fd, base, (unsigned int)len, offset);
		else
			io_uring_prep_write(sqe, fop->file->fd, base, (unsigned int)len, offset);
	} else if (in) {
		io_uring_prep_readv(sqe, fop->file->fd, &io->iov[i], io->iovcnt - i, offset);
	} else {
		io_uring_prep_writev(sqe, fop->file->fd, &io->iov[i], io->iovcnt - i, offset);
	}
	if (!in && io->flags & PORTAL_IO_F_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

/* Queues what is left of @io. Submission is the worker's, with all the rest. */
static int queue_sqe(struct portal_io *io)
{
	struct file_op *fop = (void *)io->plugin_data;
	struct io_uring_sqe *sqe = get_sqe(file_api->uring(fop->file->pi));

	if (!sqe)
		return -EAGAIN;
	if (io->op == PORTAL_IO_FLUSH || fop->sync)
		io_uring_prep_fsync(sqe, fop->file->fd, IORING_FSYNC_DATASYNC);
	else if (io->op == PORTAL_IO_DISCARD || io->op == PORTAL_IO_ZERO)
		io_uring_prep_fallocate(sqe, fop->file->fd, range_mode(io),
					(off_t)io->offset, (off_t)io->len);
	else
		prep_data(sqe, io);
	io_uring_sqe_set_data(sqe, fop);
	return 0;
}

/* Of the operation @fop has gone through: more to do, 0, or an error. */
#define MORE	1

static int progress(struct file_op *fop, const struct portal_io *io, int res)
{
	if (res == -EAGAIN || res == -EINTR)
		return fop->cancelled ? -ECANCELED : MORE;
	if (res < 0)
		return res;
	if (io->op == PORTAL_IO_FLUSH || fop->sync)
		return 0;
	if (io->op == PORTAL_IO_DISCARD || io->op == PORTAL_IO_ZERO) {
		if (io->op == PORTAL_IO_DISCARD || !(io->flags & PORTAL_IO_F_FUA))
			return 0;
		fop->sync = true;
		return MORE;
	}
	if (!res) {
		file_look(fop->file);
		return -EIO;		/* the image was cut off behind our back */
	}
	fop->done += (uint64_t)res;
	if (fop->done >= io->len)
		return 0;
	return fop->cancelled ? -ECANCELED : MORE;
}

static void op_done(struct portal_uring_op *op, int res)
{
	struct portal_io *io = op_io(op);
	int err = progress((struct file_op *)op, io, res);

	if (err == MORE) {
		err = queue_sqe(io);
		if (!err)
			return;
	}
	file_api->io_done(io, err);
}

static int file_submit(void *handle, struct portal_io *io)
{
	struct file_op *fop = (void *)io->plugin_data;

	if (io->op > PORTAL_IO_ZERO)
		return -EOPNOTSUPP;
	fop->op.done = op_done;
	fop->file = handle;
	fop->done = 0;
	fop->sync = false;
	fop->cancelled = false;
	if (io->op == PORTAL_IO_FLUSH)
		file_look(handle);
	return queue_sqe(io);
}

/* The kernel may still finish it; either way its completion comes. */
static void file_cancel(void *handle, struct portal_io *io)
{
	struct file_op *fop = (void *)io->plugin_data;
	struct io_uring_sqe *sqe = get_sqe(file_api->uring(fop->file->pi));

	fop->cancelled = true;
	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, fop, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static struct portald_plugin plugin = {
	.name = "file",
	.longname = "image file or block device",
	.description = "a raw image, by io_uring",
	.config_help = "path=FILE        (required) image file or block device\n"
		       "readonly=BOOL    default off\n"
		       "direct=BOOL      past the page cache; default off\n"
		       "discard=BOOL     discards make holes; default on\n"
		       "block_size=SIZE  512 or 4096; default 512, or the device's",
	.load = file_load,
	.unload = file_unload,
	.config = file_config,
	.config_complete = file_config_complete,
	.open = file_open,
	.close = file_close,
	.get_size = file_get_size,
	.block_size = file_block_size,
	.io_limits = file_io_limits,
	.can_write = file_can_write,
	.can_flush = file_yes,
	.can_fua = file_yes,
	.can_discard = file_can_discard,
	.can_zero = file_yes,
	.submit = file_submit,
	.cancel = file_cancel,
	.resize = file_resize,
};

PORTALD_PLUGIN(plugin)
