// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-target.c - a process whose memory commands look at
 *
 * Prints its PID and addresses, and waits until somebody else writes "stop" into
 * its memory. Two pages, the second of which is taken away again; a string that
 * ends with the first page, one that does not end; an array of strings.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const strings[] = { "first", "second", "third", NULL };
static volatile char flag[16] = "go";

int main(void)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *mem = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/tmp/e2e-target.file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (mem == MAP_FAILED || munmap(mem + page, page) || fd < 0 || write(fd, "12345", 5) != 5)
		return 1;
	for (long i = 0; i < page; i++)
		mem[i] = (unsigned char)(i % 251 + 1);
	memcpy(mem + page - 5, "tail", 5);
	memset(mem + 2 * page, 'x', page);
	if (mprotect(mem + 2 * page, page, PROT_READ))
		return 1;
	printf("%d %p %p %p %d\n", getpid(), (void *)mem, (const void *)strings, (void *)flag, fd);
	fflush(stdout);
	while (strcmp((const char *)flag, "stop"))
		usleep(20000);
	puts("stopped");
	return 0;
}
