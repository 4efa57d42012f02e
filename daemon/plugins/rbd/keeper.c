// SPDX-License-Identifier: GPL-2.0-only
/*
 * keeper.c - the thread that opens an image, looks after it, and closes it
 *
 * Much of librbd has no limit of time. So whoever needs it asks the keeper, and
 * waits as long as it likes; what the keeper holds stays until it is done.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "disk.h"

#define CHECK_SECONDS	5

int keeper_fails(struct rbd_disk *disk, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&disk->lock);
	vsnprintf(disk->why, sizeof(disk->why), fmt, ap);
	pthread_mutex_unlock(&disk->lock);
	va_end(ap);
	return -1;
}

static struct timespec seconds_from_now(unsigned int seconds)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += seconds;
	return ts;
}

/* Unlocks. */
static void put(struct rbd_disk *disk)
{
	bool last = !--disk->refs;

	pthread_mutex_unlock(&disk->lock);
	if (!last)
		return;
	if (disk->event_fd >= 0)
		close(disk->event_fd);
	opts_free(&disk->opts);
	pthread_cond_destroy(&disk->changed);
	pthread_cond_destroy(&disk->work);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static void set_state(struct rbd_disk *disk, enum rbd_state state)
{
	disk->state = state;
	pthread_cond_broadcast(&disk->changed);
}

/* Somebody else may have resized it, or we. */
static void look_at_size(struct rbd_disk *disk)
{
	uint64_t size;
	int err = rbd_get_size(disk->img, &size);

	if (err) {
		rbd_api->log(LOG_WARNING, "%s: its size cannot be read: %s", disk->name,
			     strerror(-err));
		return;
	}
	if (atomic_exchange(&disk->size, (long long)size) == (long long)size)
		return;
	rbd_api->log(LOG_NOTICE, "%s: has %llu bytes now", disk->name, (unsigned long long)size);
	/* the instance is there until somebody says stop */
	pthread_mutex_lock(&disk->lock);
	if (!disk->stop)
		rbd_api->size_changed(disk->pi);
	pthread_mutex_unlock(&disk->lock);
}

/* Without its header librbd would go on: reads give zeroes, writes go nowhere. */
static void look_at_header(struct rbd_disk *disk)
{
	uint64_t size;
	time_t mtime;

	if (rados_stat(disk->ioctx, disk->header, &size, &mtime) != -ENOENT ||
	    atomic_exchange(&disk->gone, true))
		return;
	rbd_api->log(LOG_ERR, "%s: the image has been removed; its requests fail", disk->name);
}

static int progress(uint64_t offset, uint64_t total, void *arg)
{
	return 0;
}

static void keep(struct rbd_disk *disk)
{
	struct timespec due = seconds_from_now(CHECK_SECONDS);
	int err;

	while (!disk->stop) {
		if (disk->update) {
			disk->update = false;
			pthread_mutex_unlock(&disk->lock);
			look_at_size(disk);
			pthread_mutex_lock(&disk->lock);
		} else if (disk->resize) {
			uint64_t size = disk->new_size;

			pthread_mutex_unlock(&disk->lock);
			err = rbd_resize2(disk->img, size, false, progress, NULL);
			pthread_mutex_lock(&disk->lock);
			disk->resize_err = err;
			disk->resize = false;
			pthread_cond_broadcast(&disk->changed);
		} else if (pthread_cond_timedwait(&disk->work, &disk->lock, &due) == ETIMEDOUT) {
			pthread_mutex_unlock(&disk->lock);
			look_at_header(disk);
			pthread_mutex_lock(&disk->lock);
			due = seconds_from_now(CHECK_SECONDS);
		}
	}
}

static void *keeper(void *arg)
{
	struct rbd_disk *disk = arg;
	int err = image_open(disk);

	pthread_mutex_lock(&disk->lock);
	set_state(disk, err ? RBD_FAILED : RBD_OPEN);
	if (!err)
		keep(disk);
	pthread_mutex_unlock(&disk->lock);
	image_close(disk);
	pthread_mutex_lock(&disk->lock);
	set_state(disk, RBD_CLOSED);
	put(disk);
	return NULL;
}

static int create_thread(struct rbd_disk *disk)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	disk->refs = 2;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, keeper, disk);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		disk->refs = 1;
	else
		pthread_detach(thread);
	return err;
}

/* Locked. While the state is @state, and for so many seconds. */
static void wait_while(struct rbd_disk *disk, enum rbd_state state, unsigned int seconds)
{
	struct timespec end = seconds_from_now(seconds);

	while (disk->state == state &&
	       pthread_cond_timedwait(&disk->changed, &disk->lock, &end) != ETIMEDOUT)
		;
}

static void init(struct rbd_disk *disk)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&disk->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&disk->changed, &attr);
	pthread_cond_init(&disk->work, &attr);
	pthread_condattr_destroy(&attr);
	snprintf(disk->name, sizeof(disk->name), "%s/%s%s%s%s%s", disk->opts.pool,
		 disk->opts.ns ? : "", disk->opts.ns ? "/" : "", disk->opts.image,
		 disk->opts.snapshot ? "@" : "", disk->opts.snapshot ? : "");
	disk->stage = "the monitors do not answer";
}

struct rbd_disk *keeper_start(struct portal_instance *pi, struct rbd_opts *opts)
{
	struct rbd_disk *disk = calloc(1, sizeof(*disk));
	int err;

	if (!disk)
		return NULL;
	disk->pi = pi;
	disk->event_fd = -1;
	disk->opts = *opts;
	memset(opts, 0, sizeof(*opts));
	init(disk);
	err = create_thread(disk);
	pthread_mutex_lock(&disk->lock);
	if (!err)
		wait_while(disk, RBD_OPENING, disk->opts.connect);
	if (disk->state == RBD_OPEN) {
		pthread_mutex_unlock(&disk->lock);
		return disk;
	}
	if (err)
		rbd_api->error("%s: no thread: %s", disk->name, strerror(err));
	else if (*disk->why)
		rbd_api->error("%s: %s", disk->name, disk->why);
	else
		rbd_api->error("%s: not open after %u s (connect_timeout): %s", disk->name,
			       disk->opts.connect, disk->stage);
	disk->stop = true;
	pthread_cond_signal(&disk->work);
	put(disk);
	return NULL;
}

void keeper_stop(struct rbd_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->stop = true;
	pthread_cond_signal(&disk->work);
	wait_while(disk, RBD_OPEN, disk->opts.deadline);
	if (disk->state != RBD_CLOSED)
		rbd_api->log(LOG_WARNING, "%s: not closed after %u s; its lock stays until the cluster misses us",
			     disk->name, disk->opts.deadline);
	put(disk);
}

int keeper_resize(struct rbd_disk *disk, uint64_t size)
{
	struct timespec end = seconds_from_now(disk->opts.deadline + 1);
	int err = 0;

	pthread_mutex_lock(&disk->lock);
	if (disk->resize) {
		err = -EBUSY;
	} else {
		disk->new_size = size;
		disk->resize = true;
		pthread_cond_signal(&disk->work);
	}
	while (!err && disk->resize)
		if (pthread_cond_timedwait(&disk->changed, &disk->lock, &end) == ETIMEDOUT)
			err = -ETIMEDOUT;
	if (!err)
		err = disk->resize_err;
	/* of one that ends later the watch tells */
	if (!err)
		atomic_store(&disk->size, (long long)size);
	pthread_mutex_unlock(&disk->lock);
	return err;
}
