// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-hook.c - a process with system calls that hooks look for
 *
 * usage: e2e-hook FILE; ends with status 3
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_signal(int sig)
{
	(void)sig;
}

int main(int argc, char **argv)
{
	char buf[100];
	int fd, status;
	pid_t child;

	if (argc != 2)
		return 1;
	fd = open(argv[1], O_RDONLY);
	if (read(fd, buf, sizeof(buf)) <= 0 || read(fd, buf, sizeof(buf)) != 0)
		return 1;
	if (open("/nosuch/file", O_RDONLY) >= 0)
		return 1;
	syscall(SYS_lseek, 99, -2L, 0x5aL);
	for (int i = 0; i < 10; i++)
		syscall(SYS_getppid);
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	child = fork();
	if (!child) {
		fd = open(argv[1], O_RDONLY);
		_exit(fd < 0);
	}
	if (waitpid(child, &status, 0) != child || status)
		return 1;
	return 3;
}
