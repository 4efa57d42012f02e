// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-ask.c - a process whose system calls ask_ops answers
 *
 * usage: e2e-ask       what each answer does to it
 *        e2e-ask hold  waits for an answer that does not come
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned int checks, alarms;

#define CHECK(cond)								\
	do {									\
		checks++;							\
		if (!(cond)) {							\
			printf("line %d: %s (%s)\n", __LINE__, #cond, strerror(errno)); \
			exit(1);						\
		}								\
	} while (0)

/* Where the host's answer finds the other path: 64 bytes behind. */
static char paths[2][64] = { "/ask/other", "/proc/version" };

/* The call alone, and its registers after it. */
static long raw(long nr, long *a)
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long ret = nr;

	__asm__ volatile("syscall" : "+a"(ret), "+D"(a[0]), "+S"(a[1]), "+d"(a[2]), "+r"(r10),
			 "+r"(r8), "+r"(r9) :: "rcx", "r11", "memory");
	a[3] = r10;
	a[4] = r8;
	a[5] = r9;
	return ret;
}

static void other_args(void)
{
	long args[6] = { AT_FDCWD, (long)paths[0], O_RDONLY, 4, 5, 6 }, after[6];
	char buf[100] = "";
	int fd;

	memcpy(after, args, sizeof(args));
	fd = (int)raw(SYS_openat, after);
	CHECK(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 && !strncmp(buf, "Linux version", 13));
	CHECK(!memcmp(args, after, sizeof(args)));
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void interrupted(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value.tv_usec = 200000 };

	/* after the handler the call is asked about again, whatever SA_RESTART says */
	CHECK(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &soon, NULL));
	CHECK(syscall(SYS_sched_yield) == 77 && alarms == 1);
}

static unsigned int umask_is(void)
{
	char line[100];
	unsigned int mask = 0;
	FILE *f = fopen("/proc/self/status", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	fclose(f);
	return mask;
}

static void others(void)
{
	long ppid = getppid();
	int status;
	pid_t child;

	/* real or not, a child's parent is not its own */
	CHECK(syscall(SYS_getppid) == 4711 && ppid == 4711);
	/* answered beforehand: not done; and done, with another result */
	CHECK(geteuid() == 12345);
	CHECK(umask(027) == 0666 && umask_is() == 027);
	/* nobody answers in time */
	CHECK(getsid(0) >= 0);
	/* two hooks: 1 and 2 are added */
	CHECK(getpgid(0) == getpgrp() + 3);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	CHECK(wait(&status) == child && !status);
}

static int hold(void)
{
	puts("waiting");
	fflush(stdout);
	CHECK(syscall(SYS_sched_yield) == 0);
	puts("goes on");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	CHECK(open("/ask/refused", O_RDONLY) == -1 && errno == EPERM);
	CHECK(open("/ask/value", O_RDONLY) == 1234567);
	CHECK(open("/ask/none", O_RDONLY) == -1 && errno == ENOENT);
	other_args();
	others();
	interrupted();
	printf("%u checks passed\n", checks);
	return 0;
}
