/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * overlay.h - between the files of plugin overlay
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include <liburing.h>
#include <sys/uio.h>
#include <portald/plugin.h>
#include "format.h"

#define OVERLAY_IOVS		256U
#define OVERLAY_TRANSFER	(1U << 20)

struct overlay;

/**
 * struct overlay_op - a request
 * @uop: its operation on the ring
 * @ov: the overlay
 * @io: the request itself
 * @sub: its part on the lower layer
 * @iov: of the part under way
 * @pos: bytes before that part
 * @len: bytes of that part
 * @cow: that part is a whole cluster, built in @buf
 * @buf: a cluster's room
 * @first, @last: clusters that nobody else may change, while it is @busy
 * @next: in a list: free, waiting, or to be flushed
 * @busy_next: in the list of those that are busy
 */
struct overlay_op {
	struct portal_uring_op uop;
	struct overlay *ov;
	struct portal_io *io;
	struct portal_io sub;
	struct iovec iov[OVERLAY_IOVS];
	uint64_t pos;
	uint64_t len;
	bool cow;
	char *buf;
	uint64_t first, last;
	bool busy;
	struct overlay_op *next;
	struct overlay_op *busy_next;
};

/**
 * struct overlay - an open overlay
 * @pi: the instance
 * @lower: what was never written
 * @fd: the file, locked
 * @header: as in the file
 * @size: of the disk
 * @cluster: bytes
 * @work: the working table, mapped
 * @staged: the table, as it is in the file or is being written to it
 * @dirty: of each chunk: @work is newer than @staged
 * @free: requests to use again
 * @busy: those that change the state of clusters
 * @waiting: those that found a cluster busy
 * @flushes: waiting for the next flush
 * @flushing: served by the flush under way
 * @flush_op: its operation on the ring
 * @phase: what it does
 * @chunk: the next that it may have to write
 * @fresh: of each chunk: this flush writes it
 */
struct overlay {
	struct portal_instance *pi;
	struct portal_lower *lower;
	int fd;
	struct overlay_header header;
	uint64_t size;
	uint64_t cluster;
	uint8_t *work;
	uint8_t *staged;
	uint8_t *dirty;
	uint8_t *fresh;
	struct overlay_op *free;
	struct overlay_op *busy;
	struct overlay_op *waiting;
	struct overlay_op *flushes;
	struct overlay_op *flushing;
	struct portal_uring_op flush_op;
	enum { FLUSH_IDLE, FLUSH_DATA, FLUSH_TABLE, FLUSH_END } phase;
	uint64_t chunk;
};

extern const struct portald_api *overlay_api;

/* file.c: opens, makes, locks and maps it; api->error() says what is wrong */
int overlay_file_open(struct overlay *ov, const char *path);
void overlay_file_close(struct overlay *ov);

/* io.c */
int overlay_submit(void *handle, struct portal_io *io);
struct io_uring_sqe *overlay_sqe(struct overlay *ov);
void overlay_op_end(struct overlay_op *op, int err);

/* flush.c */
void overlay_flush(struct overlay_op *op);

#endif /* OVERLAY_H */
