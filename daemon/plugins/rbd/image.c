// SPDX-License-Identifier: GPL-2.0-only
/*
 * image.c - from the section's keys to an open image, and back
 *
 * What is acknowledged must be in the cluster, for portald's guest goes on when
 * its worker dies: so librbd's own cache, which would hold it back, is off.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>
#include "disk.h"

/* Nothing of it may outlive this process, or speak for it. */
static const struct {
	const char *key, *value;
} fixed[] = {
	{ "rbd_cache", "false" },
	{ "rbd_plugins", "" },
	/* the guest may change a buffer that is being sent, or resent */
	{ "rbd_disable_zero_copy_writes", "true" },
	{ "rbd_blocklist_on_break_lock", "true" },
	{ "log_to_stderr", "false" }, { "err_to_stderr", "false" }, { "log_to_file", "false" },
	{ "log_to_syslog", "false" }, { "clog_to_syslog", "false" }, { "log_file", "" },
	{ "admin_socket", "" },
};

static void stage(struct rbd_disk *disk, const char *what)
{
	pthread_mutex_lock(&disk->lock);
	disk->stage = what;
	pthread_mutex_unlock(&disk->lock);
}

static bool stopped(struct rbd_disk *disk)
{
	bool stop;

	pthread_mutex_lock(&disk->lock);
	stop = disk->stop;
	pthread_mutex_unlock(&disk->lock);
	return stop;
}

/* ---- the cluster ------------------------------------------------------------ */

static int set(struct rbd_disk *disk, const char *key, const char *value)
{
	int err = value ? rados_conf_set(disk->cluster, key, value) : 0;

	if (err)
		return keeper_fails(disk, "Ceph does not take %s = %s: %s", key, value,
				    strerror(-err));
	return 0;
}

static int set_seconds(struct rbd_disk *disk, const char *key, unsigned int seconds)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", seconds);
	return set(disk, key, text);
}

static int configure(struct rbd_disk *disk)
{
	const struct rbd_opts *o = &disk->opts;
	char user[200];
	int err;

	snprintf(user, sizeof(user), "client.%s", o->id);
	err = rados_create2(&disk->cluster, o->cluster, user, 0);
	if (err) {
		disk->cluster = NULL;
		return keeper_fails(disk, "librados does not take user %s of cluster %s: %s", user,
				    o->cluster, strerror(-err));
	}
	err = rados_conf_read_file(disk->cluster, o->conf);
	/* mon_host= is enough, if there is a keyring */
	if (err && (o->conf || err != -ENOENT))
		return keeper_fails(disk, "the configuration file %s cannot be read: %s",
				    o->conf ? : "of the cluster", strerror(-err));
	if (set(disk, "mon_host", o->mon_host) || set(disk, "keyring", o->keyring) ||
	    set_seconds(disk, "client_mount_timeout", o->connect) ||
	    set_seconds(disk, "rados_mon_op_timeout", o->connect) ||
	    set_seconds(disk, "rados_osd_op_timeout", o->deadline))
		return -1;
	for (unsigned int i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (set(disk, fixed[i].key, fixed[i].value))
			return -1;
	return 0;
}

/* @key: what key_take() said */
static int connect_fails(struct rbd_disk *disk, int err, int key)
{
	char mons[256] = "", keyring[512] = "";

	rados_conf_get(disk->cluster, "mon_host", mons, sizeof(mons));
	rados_conf_get(disk->cluster, "keyring", keyring, sizeof(keyring));
	if (!*mons)
		return keeper_fails(disk, "no monitor is known; set mon_host=, or conf= to a file that names some");
	if (err == -ETIMEDOUT)
		return keeper_fails(disk, "no monitor answers within %u s (mon_host %s)",
				    disk->opts.connect, mons);
	if (err != -EACCES && err != -EPERM && err != -ENOENT)
		return keeper_fails(disk, "cannot connect to the monitors %s: %s", mons,
				    strerror(-err));
	if (key == -ENODATA)
		return keeper_fails(disk, "there is no key of client.%s in the keyring %s",
				    disk->opts.id, keyring);
	if (key)
		return keeper_fails(disk, "the keyring %s cannot be read: %s", keyring,
				    strerror(-key));
	return keeper_fails(disk, "the cluster does not know client.%s by the key in %s",
			    disk->opts.id, keyring);
}

static int connect_cluster(struct rbd_disk *disk)
{
	int err = configure(disk), key;

	if (err)
		return err;
	key = key_take(disk);
	err = key_drop_rights();
	if (err)
		return keeper_fails(disk, "capabilities cannot be dropped: %s", strerror(-err));
	err = rados_connect(disk->cluster);
	if (err)
		return connect_fails(disk, err, key);
	err = rados_ioctx_create(disk->cluster, disk->opts.pool, &disk->ioctx);
	if (err) {
		disk->ioctx = NULL;
		if (err == -ENOENT)
			return keeper_fails(disk, "there is no pool '%s' in the cluster",
					    disk->opts.pool);
		return keeper_fails(disk, "pool '%s': %s", disk->opts.pool, strerror(-err));
	}
	if (disk->opts.ns)
		rados_ioctx_set_namespace(disk->ioctx, disk->opts.ns);
	/* a full pool is an error, not a reason to wait */
	rados_set_pool_full_try(disk->ioctx);
	return 0;
}

/* ---- the image -------------------------------------------------------------- */

static int open_fails(struct rbd_disk *disk, int err)
{
	switch (err) {
	case -ENOENT:
		return keeper_fails(disk, "there is no such image%s",
				    disk->opts.snapshot ? ", or no such snapshot of it" : "");
	case -EPERM:
	case -EACCES:
		return keeper_fails(disk, "client.%s may not use it; give it the capabilities mon 'profile rbd', osd 'profile rbd pool=%s'",
				    disk->opts.id, disk->opts.pool);
	case -ETIMEDOUT:
		return keeper_fails(disk, "the OSDs do not answer within %u s",
				    disk->opts.deadline);
	default:
		return keeper_fails(disk, "cannot be opened: %s", strerror(-err));
	}
}

/* The image's and the pool's own settings go before ours. */
static int check_config(struct rbd_disk *disk)
{
	static const struct {
		const char *key, *value;
	} must[] = { { "rbd_cache", "false" }, { "rbd_plugins", "" } };
	rbd_config_option_t *options;
	int max = 256, err, bad = 0;

	do {
		options = calloc((size_t)max, sizeof(*options));
		if (!options)
			return keeper_fails(disk, "out of memory");
		err = rbd_config_image_list(disk->img, options, &max);
		if (err)
			free(options);
	} while (err == -ERANGE);
	if (err)
		return keeper_fails(disk, "its settings cannot be read: %s", strerror(-err));
	for (int i = 0; i < max && !bad; i++)
		for (unsigned int j = 0; j < sizeof(must) / sizeof(must[0]) && !bad; j++)
			if (!strcmp(options[i].name, must[j].key) &&
			    strcmp(options[i].value, must[j].value))
				bad = keeper_fails(disk, "the image or its pool has %s = %s, by which writes are lost with a dead worker; remove it (rbd config image remove %s %s)",
						   must[j].key, options[i].value, disk->name,
						   must[j].key);
	rbd_config_image_list_cleanup(options, max);
	free(options);
	return bad;
}

static void updated(void *arg)
{
	struct rbd_disk *disk = arg;

	pthread_mutex_lock(&disk->lock);
	disk->update = true;
	pthread_cond_signal(&disk->work);
	pthread_mutex_unlock(&disk->lock);
}

static int ask_image(struct rbd_disk *disk)
{
	rbd_image_info_t info;
	char id[100];
	int err;

	disk->event_fd = eventfd(0, EFD_CLOEXEC);
	if (disk->event_fd < 0)
		return keeper_fails(disk, "eventfd: %s", strerror(errno));
	err = rbd_set_image_notification(disk->img, disk->event_fd, EVENT_TYPE_EVENTFD);
	if (!err)
		err = rbd_update_watch(disk->img, &disk->watch, updated, disk);
	disk->watching = !err;
	if (!err)
		err = rbd_stat(disk->img, &info, sizeof(info));
	if (!err)
		err = rbd_get_id(disk->img, id, sizeof(id));
	if (err)
		return keeper_fails(disk, "cannot be used: %s", strerror(-err));
	atomic_store(&disk->size, (long long)info.size);
	disk->object_size = info.obj_size;
	snprintf(disk->header, sizeof(disk->header), "rbd_header.%s", id);
	return 0;
}

int image_open(struct rbd_disk *disk)
{
	const struct rbd_opts *o = &disk->opts;
	int err = connect_cluster(disk);

	if (err || stopped(disk))
		return -1;
	stage(disk, "the OSDs do not answer");
	if (o->readonly || o->snapshot)
		err = rbd_open_read_only(disk->ioctx, o->image, &disk->img, o->snapshot);
	else
		err = rbd_open(disk->ioctx, o->image, &disk->img, NULL);
	if (err) {
		disk->img = NULL;
		return open_fails(disk, err);
	}
	if (check_config(disk) || stopped(disk))
		return -1;
	if (o->lock && !o->readonly && !o->snapshot) {
		stage(disk, "its lock is not to be had");
		if (lock_take(disk))
			return -1;
	}
	return ask_image(disk);
}

void image_close(struct rbd_disk *disk)
{
	if (disk->watching)
		rbd_update_unwatch(disk->img, disk->watch);
	if (disk->img)
		rbd_close(disk->img);
	if (disk->ioctx)
		rados_ioctx_destroy(disk->ioctx);
	if (disk->cluster)
		rados_shutdown(disk->cluster);
}
