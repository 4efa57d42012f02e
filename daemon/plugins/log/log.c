// SPDX-License-Identifier: GPL-2.0-only
/*
 * log.c - a filter that records every write, flush, discard and zeroes
 *
 * For the power-cut model: the log tells of each request when it began, with its
 * data, and when it ended. What a disk may have lost at any moment follows from
 * that; see tests/tools/blkreplay.c. A request that cannot be recorded fails, so
 * the log is whole. Its writes go to the page cache, from the event thread: this
 * is for tests, where that does not matter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <portald/plugin.h>
#include "blklog.h"

struct log {
	struct portal_lower *lower;
	int fd;
	uint64_t seq;
};

/* In plugin_data: what DONE needs. */
struct log_op {
	struct log *log;
	uint64_t seq;
};

_Static_assert(sizeof(struct log_op) <= sizeof(((struct portal_io *)0)->plugin_data),
	       "a log_op must fit in plugin_data");

static const struct portald_api *api;
static char *path;

static int log_load(const struct portald_api *portald)
{
	api = portald;
	return 0;
}

static void log_unload(void)
{
	free(path);
	path = NULL;
}

static int log_config(const char *key, const char *value)
{
	if (strcmp(key, "log"))
		return -ENOENT;
	free(path);
	path = strdup(value);
	return path ? 0 : -ENOMEM;
}

static int log_config_complete(void)
{
	if (path && *path)
		return 0;
	api->error("log= is missing: the file to record to");
	return -EINVAL;
}

static int write_all(int fd, struct iovec *iov, uint32_t cnt)
{
	while (cnt) {
		ssize_t n = writev(fd, iov, cnt > 1024 ? 1024 : (int)cnt);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; cnt && (size_t)n >= iov->iov_len; iov++, cnt--)
			n -= (ssize_t)iov->iov_len;
		if (cnt) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int record(struct log *log, struct blklog_record *rec, const struct iovec *data,
		  uint32_t cnt)
{
	struct iovec *iov = malloc((cnt + 1) * sizeof(*iov));
	off_t begin = lseek(log->fd, 0, SEEK_END);
	uint32_t i;
	int err;

	if (!iov)
		return -ENOMEM;
	rec->magic = BLKLOG_MAGIC;
	iov[0] = (struct iovec) { rec, sizeof(*rec) };
	for (i = 0; i < cnt; i++) {
		iov[i + 1] = data[i];
		rec->data_len += data[i].iov_len;
	}
	err = write_all(log->fd, iov, cnt + 1);
	free(iov);
	/* half a record would make the rest unreadable */
	if (err && ftruncate(log->fd, begin))
		api->error("%s: half a record is in the log: %s", path, strerror(errno));
	return err;
}

/* A worker that died may have left an old log: it is continued. */
static void *log_open(struct portal_instance *pi, struct portal_lower *lower)
{
	struct blklog_record rec = { .type = BLKLOG_HEAD };
	struct log *log = calloc(1, sizeof(*log));
	int err;

	if (!log)
		return NULL;
	log->lower = lower;
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log->fd < 0) {
		api->error("%s: %s", path, strerror(errno));
		free(log);
		return NULL;
	}
	rec.len = api->lower_info(lower)->size;
	err = record(log, &rec, NULL, 0);
	if (err) {
		api->error("%s: %s", path, strerror(-err));
		close(log->fd);
		free(log);
		return NULL;
	}
	return log;
}

static void log_close(void *handle)
{
	struct log *log = handle;

	close(log->fd);
	free(log);
}

static int64_t log_get_size(void *handle)
{
	return (int64_t)api->lower_info(((struct log *)handle)->lower)->size;
}

static int log_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	const struct portal_lower_info *info = api->lower_info(((struct log *)handle)->lower);

	*logical = info->logical;
	*physical = info->physical;
	return 0;
}

static int log_can_write(void *handle)
{
	return api->lower_info(((struct log *)handle)->lower)->writable;
}

static int log_yes(void *handle)
{
	return 1;
}

static void io_ended(struct portal_io *io, int err)
{
	struct log_op *op = (void *)io->plugin_data;
	struct blklog_record rec = { .type = BLKLOG_DONE, .seq = op->seq, .err = err };
	int ret = 0;

	if (io->op != PORTAL_IO_READ)
		ret = record(op->log, &rec, NULL, 0);
	api->io_done(io, err ? err : ret);
}

static int log_submit(void *handle, struct portal_io *io)
{
	struct log *log = handle;
	struct log_op *op = (void *)io->plugin_data;
	struct blklog_record rec = {
		.type = BLKLOG_SUBMIT, .op = io->op, .flags = io->flags,
		.offset = io->offset, .len = io->len,
	};
	int err;

	op->log = log;
	if (io->op != PORTAL_IO_READ) {
		rec.seq = op->seq = ++log->seq;
		err = record(log, &rec, io->iov, io->iovcnt);
		if (err)
			return err;
	}
	err = api->lower_submit(log->lower, io, io_ended);
	if (err && io->op != PORTAL_IO_READ) {
		rec = (struct blklog_record) { .type = BLKLOG_DONE, .seq = op->seq, .err = err };
		record(log, &rec, NULL, 0);
	}
	return err;
}

static void log_cancel(void *handle, struct portal_io *io)
{
	api->lower_cancel(((struct log *)handle)->lower, io);
}

static int log_resize(void *handle, uint64_t size)
{
	return api->lower_resize(((struct log *)handle)->lower, size);
}

static struct portald_plugin plugin = {
	.name = "log",
	.longname = "recorder of writes",
	.description = "a filter: writes and flushes with their data go to a log",
	.config_help = "lower=PLUGIN  (required) the layer below; its keys are lower.KEY\n"
		       "log=FILE      (required) what is recorded is appended here",
	.load = log_load,
	.unload = log_unload,
	.config = log_config,
	.config_complete = log_config_complete,
	.open_filter = log_open,
	.close = log_close,
	.get_size = log_get_size,
	.block_size = log_block_size,
	.can_write = log_can_write,
	.can_flush = log_yes,
	.can_fua = log_yes,
	.can_discard = log_yes,
	.can_zero = log_yes,
	.submit = log_submit,
	.cancel = log_cancel,
	.resize = log_resize,
};

PORTALD_PLUGIN(plugin)
