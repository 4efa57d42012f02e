// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev_test - the device and its fds as files
 */
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "mock_util.h"

FIXTURE(chardev)
{
	struct mock m;
	int vm;
};

FIXTURE_SETUP(chardev)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
}

FIXTURE_TEARDOWN(chardev)
{
	mock_teardown(&self->m);
}

/* The fd that @sock passes on, or -1. */
static int pass_fd(int from, int to, int fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
			      .msg_controllen = sizeof(c.buf) };
	int got = -1;

	c.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	c.hdr.cmsg_level = SOL_SOCKET;
	c.hdr.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&c.hdr), &fd, sizeof(fd));
	if (sendmsg(from, &msg, 0) != 1)
		return -1;
	memset(&c, 0, sizeof(c));
	if (recvmsg(to, &msg, MSG_CMSG_CLOEXEC) != 1 || c.hdr.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&got, CMSG_DATA(&c.hdr), sizeof(got));
	return got;
}

TEST_F(chardev, node_is_for_root_and_its_group)
{
	struct stat st;

	ASSERT_EQ(0, stat(PORTAL_DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 0777);
	EXPECT_EQ(0, st.st_uid);
}

TEST_F(chardev, others_cannot_open_it)
{
	int pid, status;

	if (geteuid())
		SKIP(return, "needs root to become somebody else");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(1);
		if (open(PORTAL_DEV, O_RDWR) >= 0 || errno != EACCES)
			_exit(2);
		if (open(PORTAL_DEV, O_RDONLY) >= 0 || errno != EACCES)
			_exit(3);
		/* an fd that was handed over is the right to use it */
		if (portal_features(self->m.dev) == 0)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(chardev, device_is_no_file_to_read)
{
	struct pollfd pfd = { .fd = self->m.dev, .events = POLLIN };
	char c;

	EXPECT_EQ(-1, read(self->m.dev, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->m.dev, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->m.dev, 0));
	EXPECT_EQ(1, poll(&pfd, 1, 0));	/* the default: always ready */
	EXPECT_EQ(-1, read(self->vm, &c, 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(chardev, every_fd_is_close_on_exec)
{
	struct queue q, again;
	int dup;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(4)));
	ASSERT_EQ(0, queue_open(self->vm, &again, q.id));
	dup = portal_vm_dup(self->vm, PORTAL_RIGHT_ALL);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->vm, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(dup, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(q.fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(again.fd, F_GETFD));
	close(dup);
	queue_close(&q);
	queue_close(&again);
}

TEST_F(chardev, exec_closes_all)
{
	struct queue q;
	int pid, pipes[2];

	/* the child owns the queue; its exec'ed image knows nothing of it */
	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)
				  QUEUE(4, .orphan = PORTAL_ORPHAN_FAIL)));
	ASSERT_LT(0, hook_add(self->vm, (struct portal_hook_add)
			      HOOK(q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		dup2(pipes[0], STDIN_FILENO);
		execl("/bin/cat", "cat", NULL);
		_exit(1);
	}
	queue_close(&q);
	/* it runs, and the queue is nobody's: calls fail at once */
	EXPECT_TRUE(WAIT_UNTIL(({
		struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);

		!mock_run(self->vm, &a) && (__s64)a.out_value == -PORTAL_EIO;
	})));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	close(pipes[1]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(chardev, fds_can_be_passed_on)
{
	struct portal_request req;
	struct queue q;
	int socks[2], vm, fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks));
	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(4)));
	vm = pass_fd(socks[0], socks[1], self->vm);
	ASSERT_LE(0, vm);
	ASSERT_LT(0, hook_add(vm, (struct portal_hook_add)
			      HOOK(q.id, MOCK_HC, MOCK_HC,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	fd = pass_fd(socks[0], socks[1], q.fd);
	ASSERT_LE(0, fd);
	close(q.fd);	/* still owned, by the copy */
	q.fd = fd;
	EXPECT_FALSE(mock_passed(self->vm, mock_hc(MOCK_HC, 1, 0)));
	ASSERT_EQ(sizeof(req), read(q.fd, &req, sizeof(req)));
	EXPECT_EQ(MOCK_HC, req.addr);
	close(vm);
	queue_close(&q);
	close(socks[0]);
	close(socks[1]);
}

TEST_F(chardev, open_and_close_many_times)
{
	struct portal_info info = { .size = sizeof(info) };
	int i, fd, vm;

	for (i = 0; i < 200; i++) {
		fd = open(PORTAL_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		vm = mock_try(fd, PORTAL_RIGHT_ALL, 1, self->m.ram, 4096);
		ASSERT_LE(0, vm);
		close(fd);	/* the VM does not need it */
		EXPECT_EQ(1, portal_vm_info(vm).out_vcpus);
		close(vm);
	}
	EXPECT_TRUE(WAIT_UNTIL(!portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info) &&
			       info.out_vms == 1));
}

TEST_F(chardev, mock_vm_checks_its_argument)
{
	int dev = self->m.dev;
	char *ram = self->m.ram;

	EXPECT_ERRNO(EOPNOTSUPP, mock_try(dev, PORTAL_RIGHT_ALL + 1, 1, ram, 4096));
	EXPECT_ERRNO(EINVAL, mock_try(dev, PORTAL_RIGHT_ALL, 0, ram, 4096));
	EXPECT_ERRNO(EINVAL, mock_try(dev, PORTAL_RIGHT_ALL, 65, ram, 4096));
	EXPECT_ERRNO(EINVAL, mock_try(dev, PORTAL_RIGHT_ALL, 1, ram + 1, 4096));
}

TEST_HARNESS_MAIN
