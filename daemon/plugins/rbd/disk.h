/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * disk.h - between the files of plugin rbd
 */
#ifndef RBD_DISK_H
#define RBD_DISK_H

#include <pthread.h>
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <portald/plugin.h>

/**
 * struct rbd_opts - the section's keys
 * @pool, @ns, @image, @snapshot: what to open; @ns and @snapshot may be NULL
 * @cluster: its name, for the configuration file's
 * @conf: configuration file; NULL: where Ceph looks for it
 * @id: who we are: client.ID
 * @mon_host, @keyring: instead of the configuration file's
 * @deadline: seconds that an operation of an OSD may take
 * @connect: seconds that opening may take
 * @readonly: nothing is written, nothing is locked
 * @lock: nobody else may write
 */
struct rbd_opts {
	char *pool;
	char *ns;
	char *image;
	char *snapshot;
	char *cluster;
	char *conf;
	char *id;
	char *mon_host;
	char *keyring;
	unsigned int deadline;
	unsigned int connect;
	bool readonly;
	bool lock;
};

enum rbd_state {
	RBD_OPENING,
	RBD_FAILED,		/* @why says it */
	RBD_OPEN,
	RBD_CLOSED,
};

/**
 * struct rbd_disk - an image and the thread that keeps it
 *
 * The keeper opens the image and closes it, resizes it and looks after it: all
 * that may wait for the cluster. Requests are started and ended in the worker's
 * event thread. Who waits for the keeper too long leaves it alone, with all of
 * this: the last one frees it.
 *
 * @pi: the instance
 * @opts: the section's, from open() on the disk's
 * @name: POOL/NAMESPACE/IMAGE@SNAPSHOT, for people
 * @lock: of what follows, up to @refs
 * @changed: of @state and @resize
 * @work: for the keeper
 * @state: where it is
 * @stage: what the keeper waits for while opening
 * @why: why opening failed
 * @stop: close it
 * @update: the image has changed
 * @resize: make it @new_size long; then @resize_err is the answer
 * @refs: event thread and keeper
 * @cluster, @ioctx, @img: NULL what is not there
 * @watch: of rbd_update_watch(), if @watching
 * @header: the object that is there as long as the image is
 * @size: bytes, as the keeper last saw it
 * @gone: the image has been removed
 * @object_size: of its data
 * @event_fd: librbd counts ended requests there
 * @op, @count: a read of it, if @armed: while there are requests in flight
 * @inflight: requests started and not ended
 * @told: the log knows that the cluster does not answer
 * @told_lost: ... that the image is not ours any more
 */
struct rbd_disk {
	struct portal_instance *pi;
	struct rbd_opts opts;
	char name[400];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_cond_t work;
	enum rbd_state state;
	const char *stage;
	char why[700];
	bool stop;
	bool update;
	bool resize;
	uint64_t new_size;
	int resize_err;
	unsigned int refs;

	rados_t cluster;
	rados_ioctx_t ioctx;
	rbd_image_t img;
	uint64_t watch;
	bool watching;
	char header[128];
	atomic_llong size;
	atomic_bool gone;
	uint64_t object_size;

	int event_fd;
	struct portal_uring_op op;
	uint64_t count;
	bool armed;
	unsigned int inflight;
	bool told;
	bool told_lost;
};

extern const struct portald_api *rbd_api;

/* keeper.c: NULL: api->error() says why. Neither waits longer than the options say. */
struct rbd_disk *keeper_start(struct portal_instance *pi, struct rbd_opts *opts);
void keeper_stop(struct rbd_disk *disk);
int keeper_resize(struct rbd_disk *disk, uint64_t size);
/* Of the keeper: why opening fails; returns -1. */
int keeper_fails(struct rbd_disk *disk, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* image.c, for the keeper */
int image_open(struct rbd_disk *disk);
void image_close(struct rbd_disk *disk);

/*
 * key.c, for the keeper. The key goes from the keyring to librados: 0, -ENODATA: it
 * is not in there, or -errno. Then the calling thread has no capabilities any more.
 */
int key_take(struct rbd_disk *disk);
int key_drop_rights(void);

/* lock.c, for the keeper: the exclusive lock is ours, or why it is not. */
int lock_take(struct rbd_disk *disk);

void opts_free(struct rbd_opts *opts);

#endif /* RBD_DISK_H */
