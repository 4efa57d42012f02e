// SPDX-License-Identifier: GPL-2.0-only
/*
 * image.c - opens an image, locks it, finds out what it wants
 *
 * The image is locked as long as it is open (OFD lock). The kernel keeps it
 * locked until the last request of a killed worker has ended, so the next
 * worker, which waits for the lock, never overtakes one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "file.h"

static int open_path(void)
{
	const char *path = file_opts.path;
	int flags = (file_opts.readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	int fd = open(path, flags | (file_opts.direct ? O_DIRECT : 0));

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
		file_api->error("%s: there is no such image; create it (truncate -s 10G %s) or correct path=",
				path, path);
		break;
	case EISDIR:
		file_api->error("%s is a directory; path= must name an image file or a block device",
				path);
		break;
	case EACCES:
	case EPERM:
		if (!file_opts.readonly && access(path, R_OK) == 0)
			file_api->error("%s is not writable for portald; change its permissions or set readonly=on",
					path);
		else
			file_api->error("%s: portald has no permission to open it; change its owner or mode",
					path);
		break;
	case EROFS:
		file_api->error("%s is on a read-only filesystem; set readonly=on", path);
		break;
	case EINVAL:
		file_api->error("%s: its file system has no direct I/O; set direct=off", path);
		break;
	default:
		file_api->error("%s: %s", path, strerror(errno));
	}
	return -1;
}

static int check_kind(struct file *file)
{
	struct stat st;

	if (fstat(file->fd, &st)) {
		file_api->error("%s: %s", file_opts.path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		file_api->error("%s is a directory; path= must name an image file or a block device",
				file_opts.path);
		return -1;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		file_api->error("%s is neither a regular file nor a block device", file_opts.path);
		return -1;
	}
	file->block_device = S_ISBLK(st.st_mode);
	return 0;
}

/* Does this process hold a lock by one of its fds on that file? */
static bool holds_lock(const char *pid, const struct stat *image)
{
	char path[600], line[128];
	bool found = false;
	struct dirent *de;
	struct stat st;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	while (fds && !found && (de = readdir(fds))) {
		FILE *info;

		if (fstatat(dirfd(fds), de->d_name, &st, 0) || st.st_dev != image->st_dev ||
		    st.st_ino != image->st_ino)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, de->d_name);
		info = fopen(path, "re");
		while (info && !found && fgets(line, sizeof(line), info))
			found = !strncmp(line, "lock:", 5) && strstr(line, "OFDLCK");
		if (info)
			fclose(info);
	}
	if (fds)
		closedir(fds);
	return found;
}

/*
 * Who has the image. F_OFD_GETLK knows the process of an ordinary lock; for one
 * like ours it says -1, for it belongs to whoever has the open file.
 */
static pid_t find_holder(const struct file *file)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct dirent *de;
	pid_t pid = 0;
	struct stat st;
	DIR *proc;

	if (fcntl(file->fd, F_OFD_GETLK, &fl) || fl.l_type == F_UNLCK)
		return 0;
	if (fl.l_pid > 0)
		return fl.l_pid;
	proc = opendir("/proc");
	if (!proc || fstat(file->fd, &st)) {
		if (proc)
			closedir(proc);
		return 0;
	}
	while (!pid && (de = readdir(proc)))
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9' && holds_lock(de->d_name, &st))
			pid = (pid_t)atoi(de->d_name);
	closedir(proc);
	return pid;
}

static int lock_image(const struct file *file)
{
	struct timespec ts = { .tv_nsec = LOCK_WAIT_MS * 1000000L };
	struct flock fl = {
		.l_type = file_opts.readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	const char *advice = file_opts.readonly ? "it is open for writing there" :
		"use it once, or with readonly=on everywhere";
	pid_t pid;
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!fcntl(file->fd, F_OFD_SETLK, &fl))
			return 0;
		if (errno != EAGAIN && errno != EACCES) {
			file_api->error("%s cannot be locked: %s", file_opts.path, strerror(errno));
			return -1;
		}
		/* Perhaps by a killed worker's last requests. */
		nanosleep(&ts, NULL);
	}
	pid = find_holder(file);
	if (pid)
		file_api->error("%s is in use by another process, pid %d; %s", file_opts.path,
				(int)pid, advice);
	else
		file_api->error("%s is in use by another process (see: lslocks); %s",
				file_opts.path, advice);
	return -1;
}

/* Direct I/O on a file: what its file system wants. False: it does not say. */
static bool ask_alignment(const struct file *file, uint32_t *mem, uint32_t *offset)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    stx.stx_mask & STATX_DIOALIGN && stx.stx_dio_offset_align) {
		*mem = stx.stx_dio_mem_align;
		*offset = stx.stx_dio_offset_align;
		return true;
	}
#endif
	(void)file;
	(void)mem;
	(void)offset;
	return false;
}

static int find_alignment(struct file *file)
{
	static _Alignas(4096) char buf[512];
	uint32_t mem = 4096, offset = 512;

	/* An older kernel is tried out: one sector, or a page. */
	if (!ask_alignment(file, &mem, &offset) && !file->block_device &&
	    pread(file->fd, buf, sizeof(buf), 0) < 0)
		offset = 4096;
	if (offset > file->logical && file->block_device)
		offset = file->logical;
	if (offset > file->logical) {
		file_api->error("%s: direct I/O needs blocks of %u bytes here; set block_size=%u, or direct=off",
				file_opts.path, offset, offset);
		return -1;
	}
	/* Lengths of iovecs are multiples of sectors, addresses of what it says. */
	file->mem_align = mem > offset ? mem : offset;
	if (file->mem_align > 4096)
		file->mem_align = 4096;
	return 0;
}

static int find_blocks(struct file *file)
{
	unsigned int phys = 4096;
	int log = 512;

	if (file->block_device &&
	    (ioctl(file->fd, BLKSSZGET, &log) || ioctl(file->fd, BLKPBSZGET, &phys))) {
		file_api->error("%s: %s", file_opts.path, strerror(errno));
		return -1;
	}
	file->logical = file_opts.block_size ? file_opts.block_size : (uint32_t)log;
	file->physical = phys > file->logical ? phys : file->logical;
	if (file->logical < (uint32_t)log) {
		file_api->error("%s has blocks of %d bytes: block_size=%u is too small",
				file_opts.path, log, file->logical);
		return -1;
	}
	return file_opts.direct ? find_alignment(file) : 0;
}

int file_open_image(struct file *file)
{
	file->fd = open_path();
	if (file->fd < 0)
		return -1;
	if (!check_kind(file) && !lock_image(file) && !find_blocks(file))
		return 0;
	close(file->fd);
	return -1;
}

void file_look(struct file *file)
{
	struct stat st;

	if (file->block_device || fstat(file->fd, &st))
		return;
	if (!st.st_nlink && !file->told_gone) {
		file->told_gone = true;
		file_api->log(LOG_ERR,
			      "%s was deleted or replaced; the guest goes on with the old file, which will be lost",
			      file_opts.path);
	}
	if ((uint64_t)st.st_size < file->size && !file->told_short) {
		file->told_short = true;
		file_api->log(LOG_ERR,
			      "%s was cut off: %lld bytes, %llu when it was opened; reads beyond fail",
			      file_opts.path, (long long)st.st_size,
			      (unsigned long long)file->size);
	}
}
