// SPDX-License-Identifier: GPL-2.0-only
/*
 * rbd.c - a disk in a Ceph cluster
 *
 * librbd's threads do the work; what they have ended is fetched in batches, by a
 * read of librbd's eventfd on the worker's ring.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include "disk.h"

#define BATCH		64
/* A discard is an operation on each object it touches. */
#define DISCARD_OBJECTS	256

const struct portald_api *rbd_api;
static struct rbd_opts opts;

/* ---- keys ------------------------------------------------------------------- */

void opts_free(struct rbd_opts *o)
{
	free(o->pool);
	free(o->ns);
	free(o->image);
	free(o->snapshot);
	free(o->cluster);
	free(o->conf);
	free(o->id);
	free(o->mon_host);
	free(o->keyring);
	memset(o, 0, sizeof(*o));
}

static int disk_load(const struct portald_api *portald)
{
	rbd_api = portald;
	opts = (struct rbd_opts) { .deadline = 30, .connect = 10, .lock = true };
	return 0;
}

static void disk_unload(void)
{
	opts_free(&opts);
}

static int set_string(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -ENOMEM;
}

static int set_seconds(unsigned int *to, const char *value)
{
	uint64_t n;

	if (rbd_api->parse_size(value, &n))
		return -EINVAL;
	if (!n || n > 3600) {
		rbd_api->error("'%s' is not a number of seconds from 1 to 3600", value);
		return -EINVAL;
	}
	*to = (unsigned int)n;
	return 0;
}

static int disk_config(const char *key, const char *value)
{
	const struct {
		const char *key;
		char **to;
	} strings[] = {
		{ "pool", &opts.pool }, { "namespace", &opts.ns }, { "image", &opts.image },
		{ "snapshot", &opts.snapshot }, { "cluster", &opts.cluster },
		{ "conf", &opts.conf }, { "id", &opts.id }, { "mon_host", &opts.mon_host },
		{ "keyring", &opts.keyring },
	};

	for (unsigned int i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		if (strcmp(key, strings[i].key))
			continue;
		if (*value)
			return set_string(strings[i].to, value);
		rbd_api->error("is empty");
		return -EINVAL;
	}
	if (!strcmp(key, "deadline"))
		return set_seconds(&opts.deadline, value);
	if (!strcmp(key, "connect_timeout"))
		return set_seconds(&opts.connect, value);
	if (!strcmp(key, "readonly"))
		return rbd_api->parse_bool(value, &opts.readonly);
	if (!strcmp(key, "lock"))
		return rbd_api->parse_bool(value, &opts.lock);
	return -ENOENT;
}

static int disk_config_complete(void)
{
	if (!opts.image) {
		rbd_api->error("image= is missing: the image to use, see: rbd ls");
		return -EINVAL;
	}
	if ((!opts.pool && set_string(&opts.pool, "rbd")) ||
	    (!opts.id && set_string(&opts.id, "admin")) ||
	    (!opts.cluster && set_string(&opts.cluster, "ceph")))
		return -ENOMEM;
	return 0;
}

/* ---- what it is --------------------------------------------------------------- */

static void *disk_open(struct portal_instance *pi)
{
	return keeper_start(pi, &opts);
}

static void disk_close(void *handle)
{
	keeper_stop(handle);
}

static int64_t disk_get_size(void *handle)
{
	return atomic_load(&((struct rbd_disk *)handle)->size);
}

static int disk_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	*logical = 512;
	*physical = 4096;	/* of an OSD's store */
	return 0;
}

static int disk_io_limits(void *handle, struct portal_io_limits *limits)
{
	limits->max_discard = ((struct rbd_disk *)handle)->object_size * DISCARD_OBJECTS;
	return 0;
}

static int disk_can_write(void *handle)
{
	const struct rbd_disk *disk = handle;

	return !disk->opts.readonly && !disk->opts.snapshot;
}

static int disk_yes(void *handle)
{
	return 1;
}

static int disk_resize(void *handle, uint64_t size)
{
	struct rbd_disk *disk = handle;
	int err;

	if (!disk_can_write(disk))
		return -EROFS;
	err = keeper_resize(disk, size);
	if (err)
		rbd_api->error("%s: cannot be resized: %s", disk->name, strerror(-err));
	return err;
}

/* ---- requests ------------------------------------------------------------------ */

static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && io_uring_submit(ring) >= 0)
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

/* There is a read of the eventfd as long as something is in flight. */
static int arm(struct rbd_disk *disk)
{
	struct io_uring_sqe *sqe;

	if (disk->armed)
		return 0;
	sqe = get_sqe(rbd_api->uring(disk->pi));
	if (!sqe)
		return -EAGAIN;
	io_uring_prep_read(sqe, disk->event_fd, &disk->count, sizeof(disk->count), 0);
	io_uring_sqe_set_data(sqe, &disk->op);
	disk->armed = true;
	return 0;
}

/* Not a passing trouble: somebody else's act. */
static const char *lost(int err)
{
	switch (err) {
	case -ESHUTDOWN:
		return "the cluster has shut us out (blocklist), somebody broke our lock";
	case -EROFS:
		return "our lock is lost, or the image is read-only now";
	case -ENOENT:
		return "the image is not there any more";
	default:
		return NULL;
	}
}

/* The log has one line of each trouble, and of its end. */
static void tell(struct rbd_disk *disk, int err)
{
	const char *why = lost(err);

	if (why && !disk->told_lost) {
		disk->told_lost = true;
		rbd_api->log(LOG_ERR, "%s: %s; requests fail until the instance is started again",
			     disk->name, why);
	} else if (err == -ETIMEDOUT && !disk->told) {
		disk->told = true;
		rbd_api->log(LOG_WARNING, "%s: the cluster has not answered for %u s; requests fail",
			     disk->name, disk->opts.deadline);
	} else if (!err && disk->told) {
		disk->told = false;
		rbd_api->log(LOG_NOTICE, "%s: the cluster answers again", disk->name);
	}
}

/* librbd cuts off what lies beyond the end: of a read that shows, of a write not. */
static int result(const struct rbd_disk *disk, const struct portal_io *io, ssize_t ret)
{
	if (ret < 0)
		return (int)ret;
	if (io->op == PORTAL_IO_READ)
		return (uint64_t)ret == io->len ? 0 : -EIO;
	if (io->op == PORTAL_IO_FLUSH)
		return 0;
	return io->offset + io->len > (uint64_t)atomic_load(&disk->size) ? -EIO : 0;
}

static void ended(struct rbd_disk *disk, rbd_completion_t comp)
{
	struct portal_io *io = rbd_aio_get_arg(comp);
	int err = result(disk, io, rbd_aio_get_return_value(comp));

	rbd_aio_release(comp);
	disk->inflight--;
	tell(disk, err);
	rbd_api->io_done(io, err);
}

static void events(struct portal_uring_op *op, int res)
{
	struct rbd_disk *disk = (void *)((char *)op - offsetof(struct rbd_disk, op));
	rbd_completion_t comps[BATCH];
	int n;

	disk->armed = false;
	do {
		n = rbd_poll_io_events(disk->img, comps, BATCH);
		for (int i = 0; i < n; i++)
			ended(disk, comps[i]);
	} while (n == BATCH);
	/* without it what is in flight would never end */
	if (disk->inflight && arm(disk))
		abort();
}

static int start(struct rbd_disk *disk, const struct portal_io *io, rbd_completion_t comp)
{
	switch (io->op) {
	case PORTAL_IO_READ:
		return rbd_aio_readv(disk->img, io->iov, (int)io->iovcnt, io->offset, comp);
	case PORTAL_IO_WRITE:
		return rbd_aio_writev(disk->img, io->iov, (int)io->iovcnt, io->offset, comp);
	case PORTAL_IO_FLUSH:
		return rbd_aio_flush(disk->img, comp);
	case PORTAL_IO_DISCARD:
		return rbd_aio_discard(disk->img, io->offset, io->len, comp);
	default:
		return rbd_aio_write_zeroes(disk->img, io->offset, io->len, comp,
					    io->flags & PORTAL_IO_F_UNMAP ? 0 :
					    RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0);
	}
}

static int disk_submit(void *handle, struct portal_io *io)
{
	struct rbd_disk *disk = handle;
	rbd_completion_t comp;
	uint64_t one = 1;
	int err;

	if (io->op > PORTAL_IO_ZERO)
		return -EOPNOTSUPP;
	if (atomic_load(&disk->gone))
		return -ENOENT;
	err = rbd_aio_create_completion(io, NULL, &comp);
	if (err)
		return err;
	disk->op.done = events;
	err = arm(disk);
	if (!err)
		err = start(disk, io, comp);
	if (!err) {
		disk->inflight++;
		return 0;
	}
	rbd_aio_release(comp);
	/* let the read end: there is nothing else that would */
	if (disk->armed && !disk->inflight && write(disk->event_fd, &one, sizeof(one)) < 0)
		abort();
	return err;
}

static struct portald_plugin plugin = {
	.name = "rbd",
	.longname = "Ceph block device",
	.description = "an image in a Ceph cluster, by librbd",
	.config_help = "image=NAME               (required)\n"
		       "pool=NAME                default rbd\n"
		       "namespace=NAME  snapshot=NAME\n"
		       "id=NAME                  who we are, client.NAME; default admin\n"
		       "conf=FILE                default /etc/ceph/ceph.conf\n"
		       "cluster=NAME  mon_host=ADDRESSES  keyring=FILE\n"
		       "deadline=SECONDS         a request fails after so long; default 30\n"
		       "connect_timeout=SECONDS  default 10\n"
		       "readonly=BOOL            default off\n"
		       "lock=BOOL                nobody else writes; default on",
	.load = disk_load,
	.unload = disk_unload,
	.config = disk_config,
	.config_complete = disk_config_complete,
	.open = disk_open,
	.close = disk_close,
	.get_size = disk_get_size,
	.block_size = disk_block_size,
	.io_limits = disk_io_limits,
	.can_write = disk_can_write,
	.can_flush = disk_yes,
	.can_fua = disk_yes,	/* all is in the cluster when it is acknowledged */
	.can_discard = disk_yes,
	.can_zero = disk_yes,
	.submit = disk_submit,
	.resize = disk_resize,
};

PORTALD_PLUGIN(plugin)
