/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * blklog.h - what plugin log writes, and blkreplay reads
 *
 * Records in the order of what happened: SUBMIT when a request begins, with the
 * data of a write; DONE when it has ended. Little endian, as the machine.
 */
#ifndef BLKLOG_H
#define BLKLOG_H

#include <stdint.h>

#define BLKLOG_MAGIC	0x676f6c6b6c62ULL	/* "blklog" */

enum { BLKLOG_HEAD = 1, BLKLOG_SUBMIT, BLKLOG_DONE };

/**
 * struct blklog_record - followed by data_len bytes
 * @magic: BLKLOG_MAGIC
 * @type: BLKLOG_*
 * @op: SUBMIT: PORTAL_IO_*
 * @flags: SUBMIT: PORTAL_IO_F_*
 * @err: DONE: 0 or -errno
 * @seq: of the request; HEAD: 0
 * @offset: SUBMIT
 * @len: SUBMIT: of the request; HEAD: size of the disk
 * @data_len: what follows: of a write, its data
 */
struct blklog_record {
	uint64_t magic;
	uint32_t type;
	uint32_t op;
	uint32_t flags;
	int32_t err;
	uint64_t seq;
	uint64_t offset;
	uint64_t len;
	uint64_t data_len;
};

#endif /* BLKLOG_H */
