// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_cp.c - portalctl guest VM cp: a file into the guest or out of it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "portalctl.h"

/* room for the path and its struct beside it */
#define PIECE	(PORTAL_GUEST_MAX - 8192)

static int local_error(const char *path)
{
	fprintf(stderr, "portalctl: %s: %s\n", path, strerror(errno));
	return EXIT_FAILED;
}

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		buf += n;
		len -= n;
	}
	return 0;
}

/* As long as reading goes, so that a file that grows meanwhile is copied to its end. */
static int copy_out(struct guest *g, const char *from, int fd, const char *to)
{
	struct iovec in = { (void *)from, strlen(from) + 1 };
	struct portal_guest_request req = { .op = PORTAL_CMD_FILE_READ, .size = PIECE,
					    .out_len = PIECE };
	struct portal_guest_reply rep;

	do {
		if (guest_command(g, &req, &in, 1, &rep))
			return EXIT_FAILED;
		if (rep.status)
			return guest_failed(g, from, rep.status);
		if (write_all(fd, g->out, rep.out_size))
			return local_error(to);
		req.addr += rep.out_size;
	} while (rep.out_size);
	return 0;
}

static int get_file(struct guest *g, const char *from, const char *to)
{
	int fd, ret;

	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return local_error(to);
	ret = copy_out(g, from, fd, to);
	if (close(fd) && !ret)
		ret = local_error(to);
	return ret;
}

static int copy_in(struct guest *g, int fd, const char *from, const char *to, mode_t mode)
{
	struct portal_cmd_file_write how = { .flags = 3, .mode = mode & 0777,
					     .path_len = (uint32_t)strlen(to) + 1 };
	struct portal_guest_request req = { .op = PORTAL_CMD_FILE_WRITE };
	struct portal_guest_reply rep;
	static char buf[PIECE];
	ssize_t n;

	do {
		struct iovec in[3] = { { &how, sizeof(how) }, { (void *)to, how.path_len },
				       { buf, 0 } };

		n = read(fd, buf, sizeof(buf));
		if (n < 0)
			return local_error(from);
		/* nothing: the file is to be made anyway */
		if (!n && req.addr)
			break;
		in[2].iov_len = n;
		if (guest_command(g, &req, in, 3, &rep))
			return EXIT_FAILED;
		if (rep.status)
			return guest_failed(g, to, rep.status);
		how.flags = 0;
		req.addr += n;
	} while (n);
	return 0;
}

static int put_file(struct guest *g, const char *from, const char *to)
{
	struct stat st;
	int fd, ret;

	fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		ret = local_error(from);
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = copy_in(g, fd, from, to, st.st_mode);
	close(fd);
	return ret;
}

int guest_cp(struct guest *g, int argc, char **argv)
{
	const char *src = argc == 3 ? argv[1] : "", *dst = argc == 3 ? argv[2] : "";

	if (argc != 3 || (*src == ':') == (*dst == ':'))
		return usage_error("guest cp: SRC DST; one of them is in the guest, as :/PATH");
	if ((*src == ':' ? src[1] : dst[1]) != '/')
		return usage_error("guest cp: the path in the guest is not absolute");
	if (strlen(src) > 4000 || strlen(dst) > 4000)
		return usage_error("guest cp: a path is longer than 4000 bytes");
	return *src == ':' ? get_file(g, src + 1, dst) : put_file(g, src, dst + 1);
}
