// SPDX-License-Identifier: GPL-2.0-only
/*
 * portal-overlay.c - what an overlay file holds; into its image, or away with it
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/overlay/format.h"

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	fputs("portal-overlay: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static int open_locked(const char *path, bool writable)
{
	struct flock fl = { .l_type = writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (fcntl(fd, F_OFD_SETLK, &fl))
		die("%s is in use by another process (see: lslocks); detach the VM first", path);
	return fd;
}

/* What a worker of this boot left, or what a power cut did. */
static uint8_t *read_table(int fd, const char *path, struct overlay_header *h)
{
	char boot_id[sizeof(h->boot_id)] = "";
	uint8_t *table;
	uint64_t off;

	if (pread(fd, h, sizeof(*h), 0) != (ssize_t)sizeof(*h) || !overlay_header_ok(h))
		die("%s is not an overlay of portal's", path);
	if (overlay_boot_id(boot_id, sizeof(boot_id)))
		die("boot_id: %s", strerror(errno));
	off = strncmp(boot_id, h->boot_id, sizeof(boot_id)) ? h->table_off : h->working_off;
	table = malloc(h->table_len);
	if (!table)
		die("out of memory");
	if (pread(fd, table, h->table_len, (off_t)off) != (ssize_t)h->table_len)
		die("%s: its table cannot be read", path);
	return table;
}

static uint64_t count(const struct overlay_header *h, const uint8_t *table,
		      enum overlay_state state)
{
	uint64_t n = 0;

	for (uint64_t c = 0; c < overlay_clusters(h); c++)
		n += overlay_get(table, c) == state;
	return n;
}

static int info(const char *path)
{
	struct overlay_header h;
	int fd = open_locked(path, false);
	uint8_t *table = read_table(fd, path, &h);

	printf("size      %llu\ncluster   %llu\nwritten   %llu\nzero      %llu\n",
	       (unsigned long long)h.size, 1ULL << h.cluster_bits,
	       (unsigned long long)(count(&h, table, OVERLAY_HERE) << h.cluster_bits),
	       (unsigned long long)(count(&h, table, OVERLAY_ZERO) << h.cluster_bits));
	free(table);
	return 0;
}

/* Both tables, then the room of the data. */
static int empty(int fd, const char *path, const struct overlay_header *h)
{
	void *zero = calloc(1, h->table_len);

	if (!zero)
		die("out of memory");
	if (pwrite(fd, zero, h->table_len, (off_t)h->working_off) != (ssize_t)h->table_len ||
	    pwrite(fd, zero, h->table_len, (off_t)h->table_off) != (ssize_t)h->table_len ||
	    fsync(fd))
		die("%s: %s", path, strerror(errno));
	free(zero);
	/* not fatal: it may be a file system without holes */
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)h->data_off,
		      (off_t)((h->size + (1ULL << h->cluster_bits)))) && errno != EOPNOTSUPP)
		die("%s: %s", path, strerror(errno));
	return 0;
}

static int discard(const char *path)
{
	struct overlay_header h;
	int fd = open_locked(path, true);

	free(read_table(fd, path, &h));
	return empty(fd, path, &h);
}

static uint64_t size_of(int fd, const char *path)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) || (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &size)))
		die("%s: %s", path, strerror(errno));
	return S_ISBLK(st.st_mode) ? size : (uint64_t)st.st_size;
}

/*
 * The overlay is emptied when all of it is stable below: stopped at any time, it
 * can be done again.
 */
static int commit(const char *path, const char *base)
{
	struct overlay_header h;
	int fd = open_locked(path, true), to = open_locked(base, true);
	uint8_t *table = read_table(fd, path, &h);
	uint64_t cluster = 1ULL << h.cluster_bits, done = 0;
	char *buf = malloc(cluster);

	if (!buf)
		die("out of memory");
	if ((size_of(to, base) & ~511ULL) != h.size)
		die("%s has %llu bytes; the overlay was made for %llu", base,
		    (unsigned long long)size_of(to, base), (unsigned long long)h.size);
	for (uint64_t c = 0; c < overlay_clusters(&h); c++) {
		enum overlay_state state = overlay_get(table, c);
		uint64_t off = c * cluster;
		uint64_t len = h.size - off < cluster ? h.size - off : cluster;

		if (state == OVERLAY_LOWER)
			continue;
		memset(buf, 0, len);
		if (state == OVERLAY_HERE &&
		    pread(fd, buf, len, (off_t)(h.data_off + off)) != (ssize_t)len)
			die("%s: data at %llu cannot be read", path, (unsigned long long)off);
		if (pwrite(to, buf, len, (off_t)off) != (ssize_t)len)
			die("%s: %s; free some room and do it again", base, strerror(errno));
		done++;
	}
	if (fsync(to))
		die("%s: %s", base, strerror(errno));
	free(buf);
	free(table);
	printf("%llu bytes\n", (unsigned long long)(done << h.cluster_bits));
	return empty(fd, path, &h);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "info"))
		return info(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "discard"))
		return discard(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "commit"))
		return commit(argv[2], argv[3]);
	fputs("usage: portal-overlay info FILE\n"
	      "       portal-overlay commit FILE IMAGE   write it into the image below, empty it\n"
	      "       portal-overlay discard FILE        forget what was written\n", stderr);
	return 2;
}
