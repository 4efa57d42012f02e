// SPDX-License-Identifier: GPL-2.0-only
/*
 * lockfile.c - what another user of an image does: lockfile FILE
 *
 * Locks FILE for writing, prints "locked" and waits until it is killed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &fl)) {
		perror("lockfile");
		return 1;
	}
	puts("locked");
	fflush(stdout);
	for (;;)
		pause();
}
