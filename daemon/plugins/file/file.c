// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - an image file or a block device, through the worker's io_uring
 *
 * Requests go straight between the page cache and the guest's memory. That
 * memory is mapped without struct pages, so direct I/O is not possible here.
 *
 * The image is locked as long as it is open (OFD lock). The kernel keeps it
 * locked until the last request of a killed worker has ended, so the next
 * worker, which waits for the lock, never overtakes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <portald/plugin.h>

#ifndef LOCK_TRIES
#define LOCK_TRIES	100
#endif
#define LOCK_WAIT_MS	20

struct file {
	struct portal_instance *pi;
	int fd;
	bool block_device;
};

/*
 * One request: in the request's own room for us, so nothing is allocated.
 * @done: bytes so far, by earlier short reads or writes
 */
struct file_op {
	struct portal_uring_op op;
	struct file *file;
	uint64_t done;
};

_Static_assert(sizeof(struct file_op) <= sizeof(((struct portal_io *)0)->plugin_data),
	       "a file_op must fit in plugin_data");

static const struct portald_api *api;
static char *path;
static bool readonly;

static void op_done(struct portal_uring_op *op, int res);

static struct portal_io *op_io(struct portal_uring_op *op)
{
	return (void *)((char *)op - offsetof(struct portal_io, plugin_data));
}

static int file_load(const struct portald_api *portald)
{
	api = portald;
	return 0;
}

static void file_unload(void)
{
	free(path);
	path = NULL;
}

static int file_config(const char *key, const char *value)
{
	if (!strcmp(key, "path")) {
		free(path);
		path = strdup(value);
		return path ? 0 : -ENOMEM;
	}
	if (!strcmp(key, "readonly"))
		return api->parse_bool(value, &readonly);
	return -ENOENT;
}

static int file_config_complete(void)
{
	if (path && *path)
		return 0;
	api->error("path= is missing: the image file or block device to use");
	return -EINVAL;
}

static int open_image(void)
{
	int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
		api->error("%s: there is no such image; create it (truncate -s 10G %s) or correct path=",
			   path, path);
		break;
	case EISDIR:
		api->error("%s is a directory; path= must name an image file or a block device",
			   path);
		break;
	case EACCES:
	case EPERM:
		if (!readonly && access(path, R_OK) == 0)
			api->error("%s is not writable for portald; change its permissions or set readonly=on",
				   path);
		else
			api->error("%s: portald has no permission to open it; change its owner or mode",
				   path);
		break;
	case EROFS:
		api->error("%s is on a read-only filesystem; set readonly=on", path);
		break;
	default:
		api->error("%s: %s", path, strerror(errno));
	}
	return -1;
}

static int check_kind(struct file *file)
{
	struct stat st;

	if (fstat(file->fd, &st)) {
		api->error("%s: %s", path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		api->error("%s is a directory; path= must name an image file or a block device",
			   path);
		return -1;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		api->error("%s is neither a regular file nor a block device", path);
		return -1;
	}
	file->block_device = S_ISBLK(st.st_mode);
	return 0;
}

static int lock_image(const struct file *file)
{
	struct timespec ts = { .tv_nsec = LOCK_WAIT_MS * 1000000L };
	struct flock fl = {
		.l_type = readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!fcntl(file->fd, F_OFD_SETLK, &fl))
			return 0;
		if (errno != EAGAIN && errno != EACCES) {
			api->error("%s cannot be locked: %s", path, strerror(errno));
			return -1;
		}
		/* Perhaps by a killed worker's last requests. */
		nanosleep(&ts, NULL);
	}
	api->error("%s is in use by another process (see: lslocks); %s", path,
		   readonly ? "it is open for writing there" :
			      "use it once, or with readonly=on everywhere");
	return -1;
}

static void *file_open(struct portal_instance *pi)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->pi = pi;
	file->fd = open_image();
	if (file->fd < 0)
		goto free_file;
	if (check_kind(file) || lock_image(file))
		goto close_fd;
	return file;

close_fd:
	close(file->fd);
free_file:
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
	uint64_t size;

	if (file->block_device)
		return ioctl(file->fd, BLKGETSIZE64, &size) ? -errno : (int64_t)size;
	return fstat(file->fd, &st) ? -errno : st.st_size;
}

static int file_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	struct file *file = handle;
	unsigned int phys = 0;
	int log = 0;

	*logical = 512;
	*physical = 4096;
	if (!file->block_device)
		return 0;
	if (ioctl(file->fd, BLKSSZGET, &log) || ioctl(file->fd, BLKPBSZGET, &phys))
		return -errno;
	*logical = (uint32_t)log;
	*physical = phys;
	return 0;
}

static int file_can_write(void *handle)
{
	return !readonly;
}

static int file_yes(void *handle)
{
	return 1;
}

/* Queues what is left of @io. Submission is the worker's, with all the rest. */
static int queue_sqe(struct portal_io *io)
{
	struct file_op *fop = (void *)io->plugin_data;
	struct io_uring *ring = api->uring(fop->file->pi);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	uint64_t offset = io->offset + fop->done;
	uint64_t skip = fop->done;
	bool in = io->op == PORTAL_IO_READ;
	uint32_t i = 0;

	if (!sqe) {
		io_uring_submit(ring);
		sqe = io_uring_get_sqe(ring);
	}
	if (!sqe)
		return -EAGAIN;
	if (io->op == PORTAL_IO_FLUSH) {
		io_uring_prep_fsync(sqe, fop->file->fd, IORING_FSYNC_DATASYNC);
		io_uring_sqe_set_data(sqe, fop);
		return 0;
	}
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
	io_uring_sqe_set_data(sqe, fop);
	return 0;
}

static void op_done(struct portal_uring_op *op, int res)
{
	struct portal_io *io = op_io(op);
	struct file_op *fop = (void *)op;
	int err = 0;

	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		err = res;
	} else if (io->op == PORTAL_IO_FLUSH) {
		if (!res) {
			api->io_done(io, 0);
			return;
		}
	} else if (res == 0) {
		/* The image was cut off behind our back. */
		err = -EIO;
	} else if (res > 0) {
		fop->done += (uint64_t)res;
		if (fop->done >= io->len) {
			api->io_done(io, 0);
			return;
		}
	}
	if (!err)
		err = queue_sqe(io);
	if (err)
		api->io_done(io, err);
}

static int file_submit(void *handle, struct portal_io *io)
{
	struct file_op *fop = (void *)io->plugin_data;

	if (io->op != PORTAL_IO_READ && io->op != PORTAL_IO_WRITE && io->op != PORTAL_IO_FLUSH)
		return -EOPNOTSUPP;
	fop->op.done = op_done;
	fop->file = handle;
	fop->done = 0;
	return queue_sqe(io);
}

static struct portald_plugin plugin = {
	.name = "file",
	.longname = "image file or block device",
	.description = "a raw image, by io_uring",
	.config_help = "path=FILE      (required) image file or block device\n"
		       "readonly=BOOL  default off",
	.load = file_load,
	.unload = file_unload,
	.config = file_config,
	.config_complete = file_config_complete,
	.open = file_open,
	.close = file_close,
	.get_size = file_get_size,
	.block_size = file_block_size,
	.can_write = file_can_write,
	.can_flush = file_yes,
	.can_fua = file_yes,
	.submit = file_submit,
};

PORTALD_PLUGIN(plugin)
