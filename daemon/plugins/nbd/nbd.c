// SPDX-License-Identifier: GPL-2.0-only
/*
 * nbd.c - a disk on an NBD server: nbdkit, qemu-nbd, and all they can serve
 *
 * Each connection has a thread (conn.c); requests go to them in turn. More than
 * one only with a server for which a flush on one is a flush for all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include "conn.h"

#define OPEN_MS		10000

const struct portald_api *nbd_api;
struct nbd_opts nbd_opts = { .connections = 1, .deadline = 30 };

static int nbd_load(const struct portald_api *portald)
{
	nbd_api = portald;
	return 0;
}

static void nbd_unload(void)
{
	free(nbd_opts.uri);
	free(nbd_opts.tls_certificates);
	free(nbd_opts.tls_psk);
	free(nbd_opts.tls_username);
}

static int set_string(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -ENOMEM;
}

static int set_number(unsigned int *to, const char *value, unsigned int most)
{
	uint64_t n;

	if (nbd_api->parse_size(value, &n))
		return -EINVAL;
	if (!n || n > most) {
		nbd_api->error("'%s' is not a number of 1 to %u", value, most);
		return -EINVAL;
	}
	*to = (unsigned int)n;
	return 0;
}

static int nbd_config(const char *key, const char *value)
{
	if (!strcmp(key, "uri"))
		return set_string(&nbd_opts.uri, value);
	if (!strcmp(key, "connections"))
		return set_number(&nbd_opts.connections, value, CONN_MAX);
	if (!strcmp(key, "deadline"))
		return set_number(&nbd_opts.deadline, value, 86400);
	if (!strcmp(key, "readonly"))
		return nbd_api->parse_bool(value, &nbd_opts.readonly);
	if (!strcmp(key, "tls_certificates"))
		return set_string(&nbd_opts.tls_certificates, value);
	if (!strcmp(key, "tls_psk"))
		return set_string(&nbd_opts.tls_psk, value);
	if (!strcmp(key, "tls_username"))
		return set_string(&nbd_opts.tls_username, value);
	return -ENOENT;
}

static int nbd_config_complete(void)
{
	if (nbd_opts.uri && *nbd_opts.uri)
		return 0;
	nbd_api->error("uri= is missing, such as uri=nbd://host or uri=nbd+unix:///?socket=/run/x");
	return -EINVAL;
}

static int conn_open(struct nbd_disk *disk, struct nbd_conn *conn)
{
	conn->disk = disk;
	conn->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (conn->wake_fd < 0)
		return -1;
	pthread_mutex_init(&conn->lock, NULL);
	disk->nr_conns++;
	conn->nbd = conn_connect(OPEN_MS);
	atomic_store(&conn->ready, conn->nbd != NULL);
	return conn->nbd ? 0 : -1;
}

static int ask_export(struct nbd_disk *disk)
{
	struct nbd_handle *nbd = disk->conns[0].nbd;
	int64_t size = nbd_get_size(nbd);
	int64_t least = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);
	int64_t best = nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED);
	int64_t most = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);

	if (size < 0) {
		nbd_api->error("%s: %s", nbd_opts.uri, nbd_get_error());
		return -1;
	}
	if (least > 4096) {
		nbd_api->error("%s: blocks of %lld bytes are more than a page", nbd_opts.uri,
			       (long long)least);
		return -1;
	}
	atomic_store(&disk->size, size);
	disk->logical = least > 512 ? (uint32_t)least : 512;
	disk->physical = best > disk->logical && best <= 65536 ? (uint32_t)best : disk->logical;
	/* what every server takes */
	disk->max_transfer = most > 0 && most < 32 << 20 ? (uint64_t)most : 32 << 20;
	disk->writable = !nbd_opts.readonly && nbd_is_read_only(nbd) == 0;
	disk->flush = nbd_can_flush(nbd) > 0;
	disk->fua = nbd_can_fua(nbd) > 0;
	disk->discard = nbd_can_trim(nbd) > 0;
	disk->zero = nbd_can_zero(nbd) > 0;
	disk->multi = nbd_can_multi_conn(nbd) > 0;
	return 0;
}

static void nbd_close_disk(void *handle)
{
	struct nbd_disk *disk = handle;

	while (disk->nr_conns)
		conn_stop(&disk->conns[--disk->nr_conns]);
	free(disk);
}

static void *nbd_open(struct portal_instance *pi)
{
	struct nbd_disk *disk = calloc(1, sizeof(*disk));
	unsigned int wanted = nbd_opts.connections;

	if (!disk)
		return NULL;
	disk->pi = pi;
	if (conn_open(disk, &disk->conns[0]) || ask_export(disk))
		goto fail;
	if (wanted > 1 && !disk->multi) {
		nbd_api->log(LOG_NOTICE, "%s: the server cannot have several connections; one is used",
			     nbd_opts.uri);
		wanted = 1;
	}
	while (disk->nr_conns < wanted)
		if (conn_open(disk, &disk->conns[disk->nr_conns]))
			goto fail;
	return disk;

fail:
	nbd_close_disk(disk);
	return NULL;
}

static int64_t nbd_disk_size(void *handle)
{
	return atomic_load(&((struct nbd_disk *)handle)->size);
}

static int nbd_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	struct nbd_disk *disk = handle;

	*logical = disk->logical;
	*physical = disk->physical;
	return 0;
}

static int nbd_io_limits(void *handle, struct portal_io_limits *limits)
{
	struct nbd_disk *disk = handle;

	limits->mem_align = disk->logical;	/* each iovec is a command */
	limits->max_transfer = disk->max_transfer;
	return 0;
}

static int nbd_can_write(void *handle)
{
	return ((struct nbd_disk *)handle)->writable;
}

static int nbd_does_flush(void *handle)
{
	return ((struct nbd_disk *)handle)->flush;
}

static int nbd_does_fua(void *handle)
{
	return ((struct nbd_disk *)handle)->fua;
}

static int nbd_can_discard(void *handle)
{
	return ((struct nbd_disk *)handle)->discard;
}

static int nbd_does_zero(void *handle)
{
	return ((struct nbd_disk *)handle)->zero;
}

/* Threads begin here, so inside the worker's sandbox. */
static int start(struct nbd_disk *disk)
{
	int err = 0;

	for (unsigned int i = 0; i < disk->nr_conns && !err; i++)
		if (!disk->conns[i].running)
			err = conn_start(&disk->conns[i]);
	disk->started = !err;
	return err;
}

static struct nbd_conn *choose(struct nbd_disk *disk)
{
	for (unsigned int i = 0; i < disk->nr_conns; i++) {
		struct nbd_conn *conn = &disk->conns[disk->turn++ % disk->nr_conns];

		if (atomic_load(&conn->ready))
			return conn;
	}
	return &disk->conns[disk->turn++ % disk->nr_conns];
}

static int nbd_submit(void *handle, struct portal_io *io)
{
	struct nbd_disk *disk = handle;
	struct nbd_req *req;
	int err;

	if (io->op > PORTAL_IO_ZERO)
		return -EOPNOTSUPP;
	err = disk->started ? 0 : start(disk);
	if (err)
		return err;
	req = calloc(1, sizeof(*req));
	if (!req)
		return -ENOMEM;
	req->io = io;
	req->deadline = conn_now() + nbd_opts.deadline * 1000ULL;
	conn_submit(choose(disk), req);
	return 0;
}

static struct portald_plugin plugin = {
	.name = "nbd",
	.longname = "NBD client",
	.description = "a disk on an NBD server, over several connections",
	.config_help = "uri=URI               (required) nbd://, nbds://, nbd+unix://, ...\n"
		       "connections=N         default 1\n"
		       "deadline=SECONDS      a request fails after so long; default 30\n"
		       "readonly=BOOL         default off\n"
		       "tls_certificates=DIR  tls_psk=FILE  tls_username=NAME",
	.load = nbd_load,
	.unload = nbd_unload,
	.config = nbd_config,
	.config_complete = nbd_config_complete,
	.open = nbd_open,
	.close = nbd_close_disk,
	.get_size = nbd_disk_size,
	.block_size = nbd_block_size,
	.io_limits = nbd_io_limits,
	.can_write = nbd_can_write,
	.can_flush = nbd_does_flush,
	.can_fua = nbd_does_fua,
	.can_discard = nbd_can_discard,
	.can_zero = nbd_does_zero,
	.submit = nbd_submit,
};

PORTALD_PLUGIN(plugin)
