// SPDX-License-Identifier: GPL-2.0-only
/*
 * blkreplay.c - what a disk may hold after a power cut, from plugin log's log
 *
 *	blkreplay LOG flushes		positions at which a flush had just ended
 *	blkreplay LOG records		how many positions there are
 *	blkreplay LOG cut POS SEED IMAGE [MARK]
 *
 * cut brings IMAGE, a copy of the disk as it was at the log's beginning, to what
 * it may be when the power goes after the first POS records. What a flush that
 * had ended covers, or what was written with FUA, is there. All else that had
 * begun is there (SEED 0), or by chance: whole, not at all, or some of its blocks
 * of 4096 bytes. Disks write those as a whole, and ext4's superblock, whose
 * checksum is in another sector of 512 bytes, relies on that.
 *
 * With MARK it prints the last number written to that offset: whoever writes it
 * there after his fsync() knows then what must be on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <portald/plugin.h>

#include "../../plugins/log/blklog.h"

#define BLOCK	4096U

struct req {
	const struct blklog_record *rec;
	bool done, durable;
	size_t covers;		/* FLUSH: of requests that had ended, this many in @ended */
};

static const char *log_data;
static size_t log_len;
static uint64_t state;

static void die(const char *what)
{
	fprintf(stderr, "blkreplay: %s\n", what);
	exit(1);
}

static const struct blklog_record *next_record(size_t *pos)
{
	const struct blklog_record *rec = (const void *)(log_data + *pos);

	if (*pos == log_len)
		return NULL;
	if (log_len - *pos < sizeof(*rec) || rec->magic != BLKLOG_MAGIC ||
	    rec->data_len > log_len - *pos - sizeof(*rec))
		die("the log is cut off or is none");
	*pos += sizeof(*rec) + rec->data_len;
	return rec;
}

static bool chance(unsigned int of)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 20) % of == 0;
}

static void put(int fd, const struct req *r, uint64_t from, uint64_t len)
{
	static const char zero[1 << 16];
	const char *data = (const char *)(r->rec + 1) + from;
	uint64_t off = r->rec->offset + from;

	while (len) {
		size_t n = len < sizeof(zero) ? len : sizeof(zero);
		const void *src = r->rec->op == PORTAL_IO_WRITE ? data : zero;

		if (pwrite(fd, src, n, (off_t)off) != (ssize_t)n)
			die("the image cannot be written");
		data += n;
		off += n;
		len -= n;
	}
}

static void apply(int fd, const struct req *r, bool lossy)
{
	uint64_t from, to;

	if (r->rec->op == PORTAL_IO_FLUSH)
		return;
	/* What it leaves may be anything, for ever. */
	if (r->rec->op == PORTAL_IO_DISCARD && lossy && chance(2))
		return;
	if (r->durable || !lossy || chance(2)) {
		put(fd, r, 0, r->rec->len);
		return;
	}
	if (chance(2))
		return;
	for (from = 0; from < r->rec->len; from = to) {
		to = ((r->rec->offset + from) / BLOCK + 1) * BLOCK - r->rec->offset;
		if (to > r->rec->len)
			to = r->rec->len;
		if (chance(2))
			put(fd, r, from, to - from);
	}
}

static struct req *find(struct req *reqs, size_t nr, uint64_t seq)
{
	while (nr--)		/* it began not long ago */
		if (reqs[nr].rec->seq == seq)
			return &reqs[nr];
	die("the end of a request that has no beginning");
	return NULL;
}

static void cut(uint64_t upto, const char *image, uint64_t mark, bool lossy)
{
	struct req *reqs = calloc(upto + 1, sizeof(*reqs));
	size_t *ended = calloc(upto + 1, sizeof(*ended));
	size_t nr = 0, nr_ended = 0, pos = 0, epoch = 0;
	int fd = open(image, O_RDWR | O_CLOEXEC);
	const struct blklog_record *rec;
	uint64_t i, last = 0;

	if (fd < 0 || !reqs || !ended)
		die("no image, or no memory");
	for (i = 0; i < upto && (rec = next_record(&pos)); i++) {
		struct req *r;

		if (rec->type == BLKLOG_HEAD) {
			epoch = nr;	/* numbers begin again */
			continue;
		}
		if (rec->type == BLKLOG_SUBMIT) {
			r = &reqs[nr++];
			r->rec = rec;
			r->covers = nr_ended;
			if (rec->op == PORTAL_IO_WRITE && rec->offset <= mark &&
			    mark + 8 <= rec->offset + rec->len)
				memcpy(&last, (const char *)(rec + 1) + (mark - rec->offset), 8);
			continue;
		}
		r = find(reqs + epoch, nr - epoch, rec->seq);
		r->done = true;
		ended[nr_ended++] = (size_t)(r - reqs);
		if (rec->err)
			continue;
		r->durable = r->rec->flags & PORTAL_IO_F_FUA;
		for (size_t e = 0; r->rec->op == PORTAL_IO_FLUSH && e < r->covers; e++)
			reqs[ended[e]].durable = true;
	}
	for (size_t n = 0; n < nr; n++)
		apply(fd, &reqs[n], lossy);
	if (close(fd))
		die("the image cannot be written");
	printf("%llu\n", (unsigned long long)last);
	free(reqs);
	free(ended);
}

int main(int argc, char **argv)
{
	const struct blklog_record *rec;
	int fd = argc > 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	uint64_t n = 0, *flushes, nr = 0;
	struct stat st;
	size_t pos = 0;

	if (fd < 0 || fstat(fd, &st))
		die("usage: blkreplay LOG flushes|records|cut POS SEED IMAGE [MARK]");
	log_len = (size_t)st.st_size;
	log_data = mmap(NULL, log_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (log_data == MAP_FAILED)
		die("the log cannot be read");
	if (!strcmp(argv[2], "cut") && (argc == 6 || argc == 7)) {
		state = strtoull(argv[4], NULL, 0) * 0x9e3779b97f4a7c15ULL;
		cut(strtoull(argv[3], NULL, 0), argv[5],
		    argc == 7 ? strtoull(argv[6], NULL, 0) : UINT64_MAX - 8, state != 0);
		return 0;
	}
	flushes = calloc(log_len / sizeof(*rec) + 1, sizeof(*flushes));
	while ((rec = next_record(&pos))) {
		n++;
		if (rec->type == BLKLOG_SUBMIT && rec->op == PORTAL_IO_FLUSH)
			flushes[nr++] = rec->seq;
		for (uint64_t i = 0; rec->type == BLKLOG_DONE && i < nr; i++)
			if (flushes[i] == rec->seq && !strcmp(argv[2], "flushes"))
				printf("%llu\n", (unsigned long long)n);
	}
	if (!strcmp(argv[2], "records"))
		printf("%llu\n", (unsigned long long)n);
	free(flushes);
	return 0;
}
