// SPDX-License-Identifier: GPL-2.0-only
/* keep_test.c - fds given to systemd and to the keeper, and got back */
/* LINK: keep.o keeper.o log.o -lsystemd -lpthread */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "keep.h"

static char dir[64], control[80], keeper[96];
static struct keep *k;
static int listen_fd;

/* A file that can be told from others when it comes back. */
static int file(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void is_file(int fd, const char *text)
{
	char buf[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, sizeof(buf) - 1, 0), strlen(text));
	assert_string_equal(buf, text);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/portald-keep-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(control, sizeof(control), "%s/control", dir);
	snprintf(keeper, sizeof(keeper), "%s.keeper", control);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(keeper);
	return rmdir(dir);
}

/* ---- systemd -------------------------------------------------------------- */

static struct {
	int sock;
	pthread_t thread;
	char text[32][160];
	int fds[32];
	unsigned int nr;
} manager;

/* As service managers do: takes all that comes, and closes a barrier's fd. */
static void *serve(void *arg)
{
	for (;;) {
		char buf[CMSG_SPACE(4 * sizeof(int))] = { 0 }, text[160];
		struct iovec iov = { text, sizeof(text) - 1 };
		struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
				      .msg_controllen = sizeof(buf) };
		ssize_t n = recvmsg(manager.sock, &hdr, MSG_CMSG_CLOEXEC);
		struct cmsghdr *cmsg;
		int fd = -1;

		if (n <= 0)
			return arg;
		text[n] = '\0';
		for (cmsg = CMSG_FIRSTHDR(&hdr); cmsg; cmsg = CMSG_NXTHDR(&hdr, cmsg))
			if (cmsg->cmsg_type == SCM_RIGHTS)
				memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
		if (!strcmp(text, "END"))
			return arg;
		if (!strncmp(text, "BARRIER=1", 9)) {
			close(fd);
			continue;
		}
		strcpy(manager.text[manager.nr], text);
		manager.fds[manager.nr++] = fd;
	}
}

static void start_manager(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memset(&manager, 0, sizeof(manager));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", dir);
	manager.sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager.sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	assert_int_equal(pthread_create(&manager.thread, NULL, serve, NULL), 0);
}

static void stop_manager(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, getenv("NOTIFY_SOCKET"));
	assert_int_equal(sendto(fd, "END", 3, 0, (struct sockaddr *)&addr, sizeof(addr)), 3);
	pthread_join(manager.thread, NULL);
	close(fd);
	close(manager.sock);
	unlink(addr.sun_path);
	unsetenv("NOTIFY_SOCKET");
}

static void systemd_is_told(void **state)
{
	int fd = file("vm");

	(void)state;
	start_manager();
	assert_int_equal(keep_create(KEEP_SYSTEMD, &k, &listen_fd), 0);
	keep_connect(k, control, 30);
	assert_int_equal(keep_fd(k), -1);
	assert_int_equal(keep_add(k, "v1.vm", fd), 0);
	keep_sync(k);
	assert_int_equal(manager.nr, 1);	/* sync() waited for it */
	assert_string_equal(manager.text[0], "FDSTORE=1\nFDPOLL=0\nFDNAME=v1.vm");
	is_file(manager.fds[0], "vm");
	keep_remove(k, "v1.vm");
	keep_sync(k);
	assert_int_equal(manager.nr, 2);
	assert_string_equal(manager.text[1], "FDSTOREREMOVE=1\nFDNAME=v1.vm");
	assert_int_equal(manager.fds[1], -1);
	keep_destroy(k, true);
	assert_int_equal(manager.nr, 2);
	close(fd);
	stop_manager();
	/* without it nothing is kept, and that is no secret */
	assert_int_equal(keep_create(KEEP_SYSTEMD, &k, &listen_fd), 0);
	assert_int_equal(keep_add(k, "v1.vm", 0), -ENOTCONN);
	keep_destroy(k, true);
}

/* In a process of its own: what systemd passes begins at 3. */
static int passed(void)
{
	int sock = socket(AF_UNIX, SOCK_STREAM, 0), text = file("text"), vm = file("vm");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char pid[16];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/socket", dir);
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) || listen(sock, 1))
		return 1;
	unlink(addr.sun_path);
	sock = fcntl(sock, F_DUPFD, 100);
	text = fcntl(text, F_DUPFD, 100);
	vm = fcntl(vm, F_DUPFD, 100);
	dup2(vm, 3);
	dup2(sock, 4);
	dup2(text, 5);
	dup2(vm, 6);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "4", 1);
	setenv("LISTEN_FDNAMES", "v7.vm:portald.socket:v7.text:v8.vm", 1);
	if (keep_create(KEEP_SYSTEMD, &k, &listen_fd) || listen_fd != 4)
		return 2;
	if (strcmp(keep_search(k, ".text") ? : "", "v7.text"))
		return 3;
	if (keep_take(k, "v7.text") != 5 || keep_search(k, ".text"))
		return 4;
	if (keep_take(k, "v7.vm") != 3 || keep_take(k, "v7.vm") != -ENOENT)
		return 5;
	keep_discard_rest(k);
	if (fcntl(6, F_GETFD) != -1 || fcntl(3, F_GETFD) != FD_CLOEXEC)
		return 6;
	return 0;
}

static void systemd_gives_them_back(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	start_manager();
	pid = fork();
	if (!pid)
		_exit(passed());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	stop_manager();
	assert_int_equal(manager.nr, 1);	/* and drops what nobody took */
	assert_string_equal(manager.text[0], "FDSTOREREMOVE=1\nFDNAME=v8.vm");
}

/* ---- the keeper ----------------------------------------------------------- */

static void begin(uint32_t seconds)
{
	assert_int_equal(keep_create(KEEP_PROCESS, &k, &listen_fd), 0);
	keep_connect(k, control, seconds);
}

/* Its end: all that it had is closed. */
static void keeper_ended(int reader)
{
	struct pollfd p = { .fd = reader };

	assert_int_equal(poll(&p, 1, 20000), 1);	/* POLLHUP */
	assert_int_equal(p.revents, POLLHUP);
	close(reader);
	while (!access(keeper, F_OK))
		usleep(1000);
}

static void the_next_one_gets_all(void **state)
{
	int a = file("a"), b = file("b"), c = file("c"), pair[2];
	struct stat st;

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	begin(30);
	assert_int_equal(keep_fd(k), -1);	/* none before there is something to keep */
	assert_int_equal(keep_add(k, "v1.vm", a), 0);
	assert_int_equal(keep_add(k, "v1.text", b), 0);
	assert_int_equal(keep_add(k, "v1.end", pair[1]), 0);
	assert_int_equal(keep_add(k, "v1.bus", a), 0);
	assert_int_equal(keep_add(k, "v1.vm", c), 0);	/* instead of the first */
	keep_remove(k, "v1.bus");
	assert_int_equal(stat(keeper, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	keep_destroy(k, true);			/* as a kill -9 */
	close(a);
	close(b);
	close(c);
	close(pair[1]);

	begin(30);
	assert_true(keep_fd(k) >= 0);
	is_file(keep_take(k, "v1.text"), "b");
	is_file(keep_take(k, "v1.vm"), "c");
	assert_int_equal(keep_take(k, "v1.bus"), -ENOENT);
	assert_false(keep_look(k));
	keep_destroy(k, true);

	begin(30);				/* they are still kept */
	is_file(keep_take(k, "v1.text"), "b");
	keep_destroy(k, false);
	keeper_ended(pair[0]);
}

static void nobody_comes(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	begin(1);
	assert_int_equal(keep_add(k, "v1.vm", pair[1]), 0);
	close(pair[1]);
	keep_destroy(k, true);
	keeper_ended(pair[0]);
	begin(1);
	assert_int_equal(keep_fd(k), -1);
	keep_destroy(k, false);
}

static void nothing_to_keep_any_more(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	begin(3600);
	assert_int_equal(keep_add(k, "v1.vm", pair[1]), 0);
	close(pair[1]);
	keep_remove(k, "v1.vm");
	keep_sync(k);				/* when it returns, it is closed there */
	assert_int_equal(poll(&(struct pollfd){ .fd = pair[0] }, 1, 0), 1);
	keep_destroy(k, true);
	keeper_ended(pair[0]);			/* and it does not stay for nothing */
}

static void a_lost_keeper_is_noticed(void **state)
{
	struct keep *first;
	int fd = file("x"), none, pair[2];

	(void)state;
	begin(30);
	assert_int_equal(keep_add(k, "v1.vm", fd), 0);
	keep_sync(k);
	first = k;
	assert_false(keep_look(first));
	begin(30);				/* the newest counts */
	is_file(keep_take(k, "v1.vm"), "x");
	assert_true(keep_look(first));
	assert_int_equal(keep_fd(first), -1);
	keep_destroy(first, true);
	keep_destroy(k, false);
	close(fd);
	while (!access(keeper, F_OK))
		usleep(1000);
	/* 0 s: none is wanted, nor what there is */
	begin(30);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(keep_add(k, "v1.vm", pair[1]), 0);
	close(pair[1]);
	keep_destroy(k, true);
	assert_int_equal(keep_create(KEEP_PROCESS, &k, &none), 0);
	keep_connect(k, control, 0);
	keeper_ended(pair[0]);
	assert_int_equal(keep_mode(k), KEEP_NO);
	assert_int_equal(keep_add(k, "v1.vm", 0), 0);
	assert_int_not_equal(access(keeper, F_OK), 0);
	keep_destroy(k, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(systemd_is_told), T(systemd_gives_them_back), T(the_next_one_gets_all),
		T(nobody_comes), T(nothing_to_keep_any_more), T(a_lost_keeper_is_noticed),
	};

	if (argc == 2 && !strcmp(argv[1], "--keeper"))
		return keeper_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
