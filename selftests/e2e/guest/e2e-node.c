// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-node.c - a process that uses the files which node_ops serves
 *
 * usage: e2e-node      each way to use them, and each error; then node_ops ends
 *        e2e-node hold  has them open when they end
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../host/node_ioctl.h"

#define TEXT	"/proc/e2e-node/text"
#define MUTE	"/proc/e2e-node/mute"
#define HANG	"/proc/e2e-node/hang"
#define DEV	"/dev/e2e/node"
#define PAGE	4096

static unsigned int checks;

#define CHECK(cond)								\
	do {									\
		checks++;							\
		if (!(cond)) {							\
			printf("line %d: %s (%s)\n", __LINE__, #cond, strerror(errno)); \
			exit(1);						\
		}								\
	} while (0)

#define FAILS(err, call)	CHECK((call) == -1 && errno == (err))

static char buf[256 * 1024];
static void *volatile nowhere = (void *)16;

static void text(void)
{
	int fd = open(TEXT, O_RDWR);

	CHECK(fd >= 0);
	CHECK(write(fd, "a text", 6) == 6);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 6 && !memcmp(buf, "a text", 6));
	CHECK(pread(fd, buf, 3, 2) == 3 && !memcmp(buf, "tex", 3));
	CHECK(pread(fd, buf, sizeof(buf), 6) == 0);
	CHECK(lseek(fd, 2, SEEK_SET) == 2);
	CHECK(read(fd, buf, 2) == 2 && read(fd, buf, 2) == 2 && !memcmp(buf, "xt", 2));
	/* what it refuses, it says itself */
	FAILS(EILSEQ, pwrite(fd, "bad", 3, 0));
	CHECK(write(fd, "", 0) == 0 && read(fd, buf, 0) == 0);
	/* one call is 64 KiB at most, each byte is there */
	memset(buf, 'z', sizeof(buf));
	CHECK(pwrite(fd, buf, sizeof(buf), 0) == 64 * 1024);
	memset(buf, 0, sizeof(buf));
	CHECK(pread(fd, buf, sizeof(buf), 0) == 64 * 1024);
	CHECK(buf[0] == 'z' && buf[64 * 1024 - 1] == 'z' && !buf[64 * 1024]);
	FAILS(EFAULT, pread(fd, nowhere, 1, 0));
	FAILS(EFAULT, pwrite(fd, nowhere, 1, 0));
	FAILS(ENODEV, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	CHECK(ioctl(fd, NODE_ADD_ONE, 41) == 42);
	CHECK(write(fd, "last", 4) == 4);
	close(fd);
}

static void dev_poll(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT }, got;
	struct pollfd pfd = { fd, POLLIN | POLLOUT, 0 };
	int ep = epoll_create1(0), status;
	pid_t child;

	/* its one message, then nothing */
	CHECK(poll(&pfd, 1, 0) == 1 && pfd.revents == (POLLIN | POLLOUT));
	CHECK(read(fd, buf, sizeof(buf)) == 8 && !memcmp(buf, "message\n", 8));
	CHECK(poll(&pfd, 1, 0) == 1 && pfd.revents == POLLOUT);
	FAILS(EAGAIN, read(fd, buf, sizeof(buf)));
	ev.events = EPOLLIN;
	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	CHECK(epoll_wait(ep, &got, 1, 0) == 0);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		usleep(100000);
		_exit(write(fd, "again", 5) != 5);
	}
	/* another process's write makes it ready */
	CHECK(epoll_wait(ep, &got, 1, 20000) == 1 && got.events == EPOLLIN);
	CHECK(read(fd, buf, sizeof(buf)) == 8);
	CHECK(wait(&status) == child && !status);
	/* and a read that is waiting for it goes on */
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		usleep(100000);
		_exit(write(fd, "again", 5) != 5);
	}
	CHECK(!fcntl(fd, F_SETFL, 0));
	CHECK(read(fd, buf, sizeof(buf)) == 8);
	CHECK(wait(&status) == child && !status);
	close(ep);
}

static void dev_mmap(int fd)
{
	char *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(mem != MAP_FAILED);
	CHECK(!strcmp(mem + PAGE, "from the host") && !mem[0]);
	strcpy(mem + 100, "from the guest");
	CHECK(ioctl(fd, NODE_LOOK, 100) == 1);
	FAILS(EINVAL, mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	FAILS(EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE) == MAP_FAILED ? -1 : 0);
	CHECK(!munmap(mem, 2 * PAGE));
}

static void nothing(int sig)
{
	(void)sig;
}

static void dev_ioctl(int fd)
{
	struct sigaction act = { .sa_handler = nothing };
	struct itimerval soon = { .it_value.tv_usec = 200000 };
	char name[16] = "";
	int mute;

	CHECK(ioctl(fd, NODE_ADD_ONE, 41) == 42);
	FAILS(ENOTTY, ioctl(fd, 0x5401, 0));
	/* into the memory of who asks */
	CHECK(ioctl(fd, NODE_NAME, name) == 0 && !strcmp(name, "node_ops"));
	FAILS(EFAULT, ioctl(fd, NODE_NAME, 16));
	CHECK(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &soon, NULL));
	FAILS(EINTR, ioctl(fd, NODE_NEVER, 0));
	/* what nobody has answered is asked again, if the program wants that */
	act.sa_flags = SA_RESTART;
	mute = open(MUTE, O_RDONLY);
	CHECK(mute >= 0);
	CHECK(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &soon, NULL));
	FAILS(ETIMEDOUT, read(mute, buf, 10));
	close(mute);
}

static int hold(void)
{
	int fd = open(DEV, O_RDWR), text_fd = open(TEXT, O_RDWR);
	struct pollfd pfd = { fd, POLLIN | POLLOUT, 0 };
	char *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t child = fork();
	int status;

	CHECK(fd >= 0 && text_fd >= 0 && mem != MAP_FAILED && child >= 0);
	if (!child) {
		int hang = open(HANG, O_RDONLY);

		CHECK(hang >= 0);
		FAILS(EIO, read(hang, buf, 10));
		_exit(0);
	}
	puts("open");
	fflush(stdout);
	FAILS(EIO, ioctl(fd, NODE_NEVER, 0));
	CHECK(wait(&status) == child && !status);
	CHECK(poll(&pfd, 1, 0) == 1 && pfd.revents == (POLLERR | POLLHUP));
	FAILS(EIO, read(fd, buf, 10));
	FAILS(EIO, ioctl(fd, NODE_ADD_ONE, 1));
	/* of /proc it is no file any more */
	FAILS(EIO, read(text_fd, buf, 10));
	/* memory stays as long as it is mapped */
	strcpy(mem, "still there");
	CHECK(!strcmp(mem, "still there"));
	puts("gone");
	fflush(stdout);
	close(fd);
	close(text_fd);
	printf("%u checks passed\n", checks);
	return 0;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	text();
	fd = open(DEV, O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	dev_poll(fd);
	dev_mmap(fd);
	dev_ioctl(fd);
	close(fd);
	FAILS(ENOENT, open("/proc/e2e-node/other", O_RDONLY));
	printf("%u checks passed\n", checks);
	return 0;
}
