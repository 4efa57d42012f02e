/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backend.h - a plugin's handle as a medium of blocks
 *
 * Knows what the plugin can do and which of its functions may run at the same
 * time. What the plugin lacks is made up one layer above, in block.c.
 */
#ifndef PORTALD_BACKEND_H
#define PORTALD_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <portald/plugin.h>

struct backend;

/**
 * struct backend_info - what the medium is, asked once when it is opened
 * @size: bytes, a multiple of @logical
 * @logical: smallest unit of a request, 512 to 65536, a power of two
 * @physical: smallest unit that needs no read-modify-write, >= @logical
 * @writable: else every write is -EROFS
 * @flush: FLUSH does something; without it every write is stable when it ends
 * @fua: the plugin honours PORTAL_IO_F_FUA itself
 * @discard: DISCARD is possible
 * @zero: ZERO is possible
 * @async: the plugin has submit()
 * @parallel: block functions may run at the same time
 * @limits: what requests must be like
 */
struct backend_info {
	uint64_t size;
	uint32_t logical;
	uint32_t physical;
	bool writable;
	bool flush;
	bool fua;
	bool discard;
	bool zero;
	bool async;
	bool parallel;
	struct portal_io_limits limits;
};

/**
 * struct backend_io - one request to the plugin
 * @io: what the plugin sees
 * @end: called once, in any thread, unless backend_start() failed
 */
struct backend_io {
	struct portal_io io;
	void (*end)(struct backend_io *bio, int err);
};

int backend_create(const struct portald_plugin *plugin, void *handle, struct backend **be);
void backend_destroy(struct backend *be);
const struct backend_info *backend_info(const struct backend *be);
int backend_do(struct backend *be, const struct portal_io *io);
int backend_start(struct backend *be, struct backend_io *bio);
void backend_cancel(struct backend *be, struct backend_io *bio);
int backend_update_size(struct backend *be);
/* -EOPNOTSUPP: the plugin can't. Ask for the size then. */
int backend_resize(struct backend *be, uint64_t size);
void backend_on_size_changed(struct backend *be, void (*fn)(void *arg), void *arg);
void backend_lock(struct backend *be);
void backend_unlock(struct backend *be);

/* Behind struct portald_api: its io_done and size_changed. */
void backend_io_done(struct portal_io *io, int err);
void backend_size_changed(struct backend *be);

#endif /* PORTALD_BACKEND_H */
