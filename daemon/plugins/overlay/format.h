/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * format.h - the overlay file
 *
 *	header | table | working table | data
 *
 * A table has two bits for each cluster of the disk: enum overlay_state. Data of
 * a cluster is at its place in the disk, after data_off; the file is sparse.
 *
 * The table is what a power cut leaves: it is written by a flush, after the data
 * that it speaks of is stable, so it never promises what is not there. What a
 * killed worker leaves is the working table, mapped and up to date, but on the
 * medium older or newer than the data: only the boot that wrote it may read it,
 * and the header says which one that was.
 */
#ifndef OVERLAY_FORMAT_H
#define OVERLAY_FORMAT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define OVERLAY_MAGIC		0x59414c5245564f50ULL
#define OVERLAY_VERSION		1
#define OVERLAY_CLUSTER_BITS	16
#define OVERLAY_CHUNK		4096U		/* of a table, written at once */
#define OVERLAY_PER_BYTE	4

enum overlay_state {
	OVERLAY_LOWER = 0,	/* never written: as the layer below */
	OVERLAY_HERE = 1,
	OVERLAY_ZERO = 2,	/* zeroes; what the file has there is of no meaning */
};

/**
 * struct overlay_header - the first 4096 bytes, the rest of them zero
 * @magic: OVERLAY_MAGIC
 * @version: OVERLAY_VERSION
 * @cluster_bits: log2 of the bytes of a cluster
 * @size: of the disk, which is the lower layer's
 * @table_off: bytes from the file's start
 * @working_off: of the working table
 * @table_len: of each table, a multiple of OVERLAY_CHUNK
 * @data_off: of the first cluster
 * @boot_id: boot whose working table that is, of /proc/sys/kernel/random/boot_id
 */
struct overlay_header {
	uint64_t magic;
	uint32_t version;
	uint32_t cluster_bits;
	uint64_t size;
	uint64_t table_off;
	uint64_t working_off;
	uint64_t table_len;
	uint64_t data_off;
	char boot_id[40];
};

static inline uint64_t overlay_clusters(const struct overlay_header *h)
{
	return (h->size + (1ULL << h->cluster_bits) - 1) >> h->cluster_bits;
}

static inline enum overlay_state overlay_get(const uint8_t *table, uint64_t cluster)
{
	return (enum overlay_state)(table[cluster / 4] >> (cluster % 4 * 2) & 3);
}

static inline void overlay_put(uint8_t *table, uint64_t cluster, enum overlay_state state)
{
	uint8_t *p = &table[cluster / 4];

	*p = (uint8_t)((*p & ~(3 << (cluster % 4 * 2))) | state << (cluster % 4 * 2));
}

static inline void overlay_layout(struct overlay_header *h, uint64_t size)
{
	memset(h, 0, sizeof(*h));
	h->magic = OVERLAY_MAGIC;
	h->version = OVERLAY_VERSION;
	h->cluster_bits = OVERLAY_CLUSTER_BITS;
	h->size = size;
	h->table_len = (overlay_clusters(h) / OVERLAY_PER_BYTE + OVERLAY_CHUNK) &
		       ~(uint64_t)(OVERLAY_CHUNK - 1);
	h->table_off = OVERLAY_CHUNK;
	h->working_off = h->table_off + h->table_len;
	h->data_off = (h->working_off + h->table_len + 0xfffff) & ~0xfffffULL;
}

/* Is it one that we made? The offsets follow from the size. */
static inline int overlay_header_ok(const struct overlay_header *h)
{
	struct overlay_header want;

	if (h->magic != OVERLAY_MAGIC || h->version != OVERLAY_VERSION || h->size > 1ULL << 56)
		return 0;
	overlay_layout(&want, h->size);
	memcpy(want.boot_id, h->boot_id, sizeof(want.boot_id));
	return !memcmp(&want, h, sizeof(want));
}

static inline int overlay_boot_id(char *id, size_t len)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	int ok = f && fgets(id, (int)len, f);

	if (f)
		fclose(f);
	return ok ? 0 : -1;
}

#endif /* OVERLAY_FORMAT_H */
