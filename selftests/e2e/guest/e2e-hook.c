// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-hook.c - a process with system calls that hooks look for
 *
 * usage: e2e-hook FILE; ends with status 3
 *        e2e-hook        prints where probed() is in the program's file
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_signal(int sig)
{
	(void)sig;
}

int probed(int a, int b, const char *str);

__attribute__((noinline, noclone)) int probed(int a, int b, const char *str)
{
	return a + b + (str[0] == 'x');
}

static int print_offset(void)
{
	const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
	uintptr_t addr = (uintptr_t)probed;

	/* static, and not moved */
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		if (ph[i].p_type == PT_LOAD && addr >= ph[i].p_vaddr &&
		    addr - ph[i].p_vaddr < ph[i].p_filesz)
			return printf("%lu\n", addr - ph[i].p_vaddr + ph[i].p_offset) < 0;
	return 1;
}

int main(int argc, char **argv)
{
	char buf[100];
	int fd, status;
	pid_t child;

	if (argc != 2)
		return print_offset();
	if (probed(7, argc + 33, "probed string") != 42)
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
