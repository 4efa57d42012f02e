// SPDX-License-Identifier: GPL-2.0-only
/*
 * blkfuse.c - plugins and the block layer as a file, for a loop device
 *
 *	blkfuse FILE PLUGIN KEY=VALUE...
 *
 * FILE, which exists, becomes the disk: a real file system on a loop device over
 * it works through the block layer as in a guest, without a guest. It says "up"
 * and ends when FILE is unmounted. One request at a time, which is enough to see
 * what a file system writes before and after its flushes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "../layer_rig.h"

#define MAX_WRITE	(1U << 17)

static struct portal_instance disk;
static int fuse;
static _Alignas(4096) char in[MAX_WRITE + 8192], data[MAX_WRITE];

static void reply(uint64_t unique, int err, const void *arg, size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len), .error = err, .unique = unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)arg, len } };

	/* ENOENT: it was interrupted meanwhile */
	if (writev(fuse, iov, len ? 2 : 1) < 0 && errno != ENOENT)
		perror("blkfuse: reply");
}

static void attr_reply(uint64_t unique)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };

	out.attr.ino = 1;
	out.attr.size = block_info(disk.rig.blk)->size;
	out.attr.blocks = out.attr.size / 512;
	out.attr.mode = S_IFREG | 0600;
	out.attr.nlink = 1;
	out.attr.blksize = 4096;
	reply(unique, 0, &out, sizeof(out));
}

static void init_reply(uint64_t unique, const struct fuse_init_in *i)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = i->max_readahead, .max_write = MAX_WRITE,
		.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES, .max_pages = MAX_WRITE / 4096,
		.time_gran = 1,
	};

	reply(unique, 0, &out, sizeof(out));
}

static void read_reply(uint64_t unique, const struct fuse_read_in *r)
{
	uint64_t size = block_info(disk.rig.blk)->size;
	uint64_t len = r->offset >= size ? 0 : r->size < size - r->offset ? r->size :
		size - r->offset;
	int err = lio(&disk, PORTAL_IO_READ, 0, r->offset, data, len);

	reply(unique, err, data, err ? 0 : len);
}

static void write_reply(uint64_t unique, const struct fuse_write_in *w)
{
	struct fuse_write_out out = { .size = w->size };
	int err = lio(&disk, PORTAL_IO_WRITE, 0, w->offset, (void *)(w + 1), w->size);

	reply(unique, err, &out, err ? 0 : sizeof(out));
}

static void handle(const struct fuse_in_header *h)
{
	struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO };
	const void *arg = h + 1;

	switch (h->opcode) {
	case FUSE_INIT:
		init_reply(h->unique, arg);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		attr_reply(h->unique);
		break;
	case FUSE_OPEN:
		reply(h->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		read_reply(h->unique, arg);
		break;
	case FUSE_WRITE:
		write_reply(h->unique, arg);
		break;
	case FUSE_FSYNC:
		reply(h->unique, lio(&disk, PORTAL_IO_FLUSH, 0, 0, NULL, 0), NULL, 0);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		reply(h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(h->unique, -ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	char text[2048] = "", opts[128];
	ssize_t n;

	if (argc < 3) {
		fputs("usage: blkfuse FILE PLUGIN KEY=VALUE...\n", stderr);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		strncat(text, i > 2 ? " " : "", sizeof(text) - strlen(text) - 1);
		strncat(text, argv[i], sizeof(text) - strlen(text) - 1);
	}
	layers_open(&disk, "%s", text);
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=100600,user_id=0,group_id=0,allow_other",
		 fuse);
	if (fuse < 0 || mount("blkfuse", argv[1], "fuse", MS_NOSUID | MS_NODEV, opts)) {
		perror("blkfuse: mount");
		return 1;
	}
	puts("up");
	fflush(stdout);
	for (;;) {
		n = read(fuse, in, sizeof(in));
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n <= 0)
			break;		/* ENODEV: unmounted */
		handle((const void *)in);
	}
	layers_close(&disk);
	return 0;
}
