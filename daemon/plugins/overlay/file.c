// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - opens an overlay file, or makes one
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "overlay.h"

#define LOCK_TRIES	100
#define LOCK_WAIT_MS	20

static int fail(const char *path)
{
	overlay_api->error("%s: %s", path, strerror(errno));
	return -1;
}

/* As plugin file does: the last requests of a killed worker hold the lock, too. */
static int lock(const struct overlay *ov, const char *path)
{
	struct timespec ts = { .tv_nsec = LOCK_WAIT_MS * 1000000L };
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!fcntl(ov->fd, F_OFD_SETLK, &fl))
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return fail(path);
		nanosleep(&ts, NULL);
	}
	overlay_api->error("%s is in use by another process (see: lslocks)", path);
	return -1;
}

static int write_header(const struct overlay *ov)
{
	char page[OVERLAY_CHUNK] = { 0 };

	memcpy(page, &ov->header, sizeof(ov->header));
	if (pwrite(ov->fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) || fdatasync(ov->fd))
		return -1;
	return 0;
}

/*
 * The tables get room at once: they are mapped, and a full disk must not be found
 * out by a fault. The header comes last: without it the file is still empty.
 */
static int make(struct overlay *ov, const char *path)
{
	const struct overlay_header *h = &ov->header;

	overlay_layout(&ov->header, ov->size);
	if (ftruncate(ov->fd, (off_t)(h->data_off + ov->size)) ||
	    fallocate(ov->fd, 0, 0, (off_t)(h->working_off + h->table_len)) ||
	    fsync(ov->fd) || write_header(ov))
		return fail(path);
	return 0;
}

static bool is_zero(const void *p, size_t len)
{
	const char *c = p;

	return !*c && !memcmp(c, c + 1, len - 1);
}

static int read_header(struct overlay *ov, const char *path)
{
	struct stat st;
	ssize_t n;

	n = pread(ov->fd, &ov->header, sizeof(ov->header), 0);
	if (n < 0 || fstat(ov->fd, &st))
		return fail(path);
	if (!S_ISREG(st.st_mode)) {
		overlay_api->error("%s is not a regular file", path);
		return -1;
	}
	if (!n || (n == (ssize_t)sizeof(ov->header) && is_zero(&ov->header, sizeof(ov->header))))
		return make(ov, path);
	if (n != (ssize_t)sizeof(ov->header) || !overlay_header_ok(&ov->header)) {
		overlay_api->error("%s is not an overlay of portal's; path= must name one, or a new file",
				   path);
		return -1;
	}
	if (ov->header.size != ov->size) {
		overlay_api->error("%s was made for a lower layer of %llu bytes, this one has %llu",
				   path, (unsigned long long)ov->header.size,
				   (unsigned long long)ov->size);
		return -1;
	}
	return 0;
}

/* Maps the working table; after a boot, or at first, it begins as the table. */
static int map_tables(struct overlay *ov, const char *path)
{
	struct overlay_header *h = &ov->header;
	uint64_t chunks = h->table_len / OVERLAY_CHUNK;
	char boot_id[sizeof(h->boot_id)] = "";

	ov->staged = malloc(h->table_len);
	ov->dirty = calloc(chunks, 1);
	ov->fresh = calloc(chunks, 1);
	ov->work = mmap(NULL, h->table_len, PROT_READ | PROT_WRITE, MAP_SHARED, ov->fd,
			(off_t)h->working_off);
	if (ov->work == MAP_FAILED)
		ov->work = NULL;
	if (!ov->staged || !ov->dirty || !ov->fresh || !ov->work)
		return fail(path);
	if (pread(ov->fd, ov->staged, h->table_len, (off_t)h->table_off) !=
	    (ssize_t)h->table_len || overlay_boot_id(boot_id, sizeof(boot_id)))
		return fail(path);
	if (strncmp(boot_id, h->boot_id, sizeof(boot_id))) {
		memcpy(ov->work, ov->staged, h->table_len);
		memcpy(h->boot_id, boot_id, sizeof(boot_id));
		if (fdatasync(ov->fd) || write_header(ov))
			return fail(path);
	}
	for (uint64_t i = 0; i < chunks; i++)
		ov->dirty[i] = memcmp(ov->work + i * OVERLAY_CHUNK, ov->staged + i * OVERLAY_CHUNK,
				      OVERLAY_CHUNK) != 0;
	return 0;
}

int overlay_file_open(struct overlay *ov, const char *path)
{
	ov->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ov->fd < 0)
		return fail(path);
	if (!lock(ov, path) && !read_header(ov, path) && !map_tables(ov, path)) {
		ov->cluster = 1ULL << ov->header.cluster_bits;
		return 0;
	}
	overlay_file_close(ov);
	return -1;
}

void overlay_file_close(struct overlay *ov)
{
	if (ov->work)
		munmap(ov->work, ov->header.table_len);
	free(ov->staged);
	free(ov->dirty);
	free(ov->fresh);
	close(ov->fd);
}
