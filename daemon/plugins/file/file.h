/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * file.h - between the files of plugin file
 */
#ifndef FILE_H
#define FILE_H

#include <portald/plugin.h>

#ifndef LOCK_TRIES
#define LOCK_TRIES	100
#endif
#define LOCK_WAIT_MS	20

/**
 * struct file_opts - the section's keys
 * @path: image file or block device
 * @readonly: nothing is written, and others may read it too
 * @direct: past the page cache
 * @discard: discards make holes
 * @block_size: what the guest sees; 0: 512, or the device's own
 */
struct file_opts {
	char *path;
	bool readonly;
	bool direct;
	bool discard;
	uint32_t block_size;
};

/**
 * struct file - an open image
 * @pi: the instance
 * @fd: locked
 * @block_device: or a regular file
 * @logical: what requests must be multiples of
 * @physical: what costs no read-modify-write
 * @mem_align: of direct I/O
 * @size: when it was last asked for
 * @told_gone, @told_short: the log has the line
 */
struct file {
	struct portal_instance *pi;
	int fd;
	bool block_device;
	uint32_t logical;
	uint32_t physical;
	uint32_t mem_align;
	uint64_t size;
	bool told_gone;
	bool told_short;
};

extern const struct portald_api *file_api;
extern struct file_opts file_opts;

/* image.c: opens, checks and locks it; api->error() says what is wrong */
int file_open_image(struct file *file);
/* Logs it, once, when the image is not what it was when it was opened. */
void file_look(struct file *file);

#endif /* FILE_H */
