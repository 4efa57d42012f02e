// SPDX-License-Identifier: GPL-2.0-only
/*
 * lifetime_test - VMs, their owners and the module go in every order
 */
#include "mock_util.h"

FIXTURE(lifetime)
{
	struct mock m;
	int vm;
};

FIXTURE_SETUP(lifetime)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
}

FIXTURE_TEARDOWN(lifetime)
{
	mock_teardown(&self->m);
}

static __u32 vms(int dev)
{
	struct portal_info info = { .size = sizeof(info) };

	return portal_ioctl(dev, PORTAL_GET_INFO, &info) ? -1U : info.out_vms;
}

/* A VM of a child process, as others see it. */
struct other {
	int pid;
	int vm;
	struct queue q;
};

static int other_start(struct other *o, int dev, bool call)
{
	struct portal_hook_add h;
	int pipes[2], fd, ret;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	o->pid = fork();
	if (o->pid < 0)
		return -errno;
	if (!o->pid) {
		struct portal_mock_access a = mock_hc(MOCK_HC, 1, 0);
		char *ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		fd = mock_try(dev, PORTAL_RIGHT_ALL, 1, ram, 4096);
		if (write(pipes[1], &fd, sizeof(fd)) != sizeof(fd))
			_exit(1);
		/* until the parent has a hook */
		if (call)
			while (mock_passed(fd, a))
				poll(NULL, 0, 1);
		pause();
		_exit(0);
	}
	ret = read(pipes[0], &fd, sizeof(fd)) == sizeof(fd) ? fd : -EPIPE;
	close(pipes[0]);
	close(pipes[1]);
	if (ret < 0)
		return ret;
	o->vm = pidfd_take(o->pid, fd);
	if (o->vm < 0)
		return o->vm;
	ret = queue_create(o->vm, &o->q, (struct portal_queue_create)
			   QUEUE(16, .flags = PORTAL_QUEUE_F_LIFECYCLE));
	if (ret)
		return ret;
	h = (struct portal_hook_add)HOOK(o->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW,
					 .timeout_ns = 600 * NSEC_PER_SEC);
	ret = hook_add(o->vm, h);
	return ret < 0 ? ret : 0;
}

static int other_kill(struct other *o)
{
	int status;

	kill(o->pid, SIGKILL);
	return WAIT_UNTIL(waitpid(o->pid, &status, WNOHANG) == o->pid) ? 0 : -ETIMEDOUT;
}

/* The next request that does not only say that something is there. */
static bool next_event(struct queue *q, struct portal_request *req)
{
	do {
		if (!queue_next(q, req))
			return false;
	} while (req->kind == PORTAL_KIND_LIFECYCLE &&
		 (req->addr == PORTAL_LIFE_VCPU || req->addr == PORTAL_LIFE_ATTACHED));
	return true;
}

TEST_F(lifetime, last_close_detaches)
{
	__u32 before = vms(self->m.dev);
	int a, b;

	a = mock_try(self->m.dev, PORTAL_RIGHT_ALL, 1, self->m.ram, 4096);
	ASSERT_LE(0, a);
	EXPECT_EQ(before + 1, vms(self->m.dev));
	b = portal_vm_dup(a, PORTAL_RIGHT_ALL);
	ASSERT_LE(0, b);
	close(a);
	EXPECT_EQ(PORTAL_VM_RUNNING, portal_vm_info(b).out_state);
	EXPECT_EQ(before + 1, vms(self->m.dev));
	close(b);
	EXPECT_TRUE(WAIT_UNTIL(vms(self->m.dev) == before));
}

TEST_F(lifetime, queue_fd_outlives_the_vm_fd)
{
	struct portal_request req;
	struct pollfd pfd;
	struct queue q;
	int vm;

	vm = mock_try(self->m.dev, PORTAL_RIGHT_ALL, 1, self->m.ram, 4096);
	ASSERT_LE(0, vm);
	ASSERT_EQ(0, queue_create(vm, &q, (struct portal_queue_create)QUEUE(8)));
	close(vm);
	pfd = (struct pollfd){ .fd = q.fd, .events = POLLIN };
	EXPECT_EQ(1, poll(&pfd, 1, 5000));
	EXPECT_NE(0, pfd.revents & POLLHUP);
	EXPECT_TRUE(queue_flag(&q, PORTAL_RING_F_STALE));
	EXPECT_EQ(-1, read(q.fd, &req, sizeof(req)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_ERRNO(ENODEV, queue_commit(&q, NULL, 0));
	queue_close(&q);
}

TEST_F(lifetime, vm_gone_is_told_and_then_all_is_enodev)
{
	struct portal_mem_vec vec = { .uptr = (uintptr_t)&vec, .len = 1 };
	struct portal_mem_rw rw = { .size = sizeof(rw), .nr_vecs = 1,
				    .vecs_uptr = (uintptr_t)&vec };
	struct portal_mem_map map = { .size = sizeof(map), .len = 4096 };
	struct portal_queue_open open = { .size = sizeof(open) };
	struct portal_request req;
	struct pollfd pfd;
	struct other o;
	struct queue q;

	ASSERT_EQ(0, other_start(&o, self->m.dev, false));
	EXPECT_EQ(0, portal_ioctl(o.vm, PORTAL_MEM_RW, &rw));
	ASSERT_EQ(0, other_kill(&o));
	ASSERT_TRUE(next_event(&o.q, &req));
	EXPECT_EQ(PORTAL_KIND_LIFECYCLE, req.kind);
	EXPECT_EQ(PORTAL_LIFE_VM_GONE, req.addr);
	EXPECT_EQ(PORTAL_GONE_EXITED, req.data[0]);
	pfd = (struct pollfd){ .fd = o.q.fd, .events = POLLIN };
	EXPECT_TRUE(WAIT_UNTIL(poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP));
	EXPECT_TRUE(queue_flag(&o.q, PORTAL_RING_F_STALE));
	EXPECT_EQ(PORTAL_VM_GONE, portal_vm_info(o.vm).out_state);
	/* what was in the ring can still be read, then it ends */
	EXPECT_EQ(sizeof(req), read(o.q.fd, &req, sizeof(req)));
	EXPECT_EQ(PORTAL_LIFE_ATTACHED, req.addr);
	EXPECT_EQ(sizeof(req), read(o.q.fd, &req, sizeof(req)));
	EXPECT_EQ(PORTAL_LIFE_VM_GONE, req.addr);
	EXPECT_EQ(-1, read(o.q.fd, &req, sizeof(req)));
	EXPECT_EQ(ENODEV, errno);

	open.queue_id = o.q.id;
	EXPECT_ERRNO(ENODEV, portal_ioctl(o.vm, PORTAL_MEM_RW, &rw));
	EXPECT_ERRNO(ENODEV, portal_ioctl(o.vm, PORTAL_MEM_MAP, &map));
	EXPECT_ERRNO(ENODEV, portal_ioctl(o.vm, PORTAL_QUEUE_OPEN, &open));
	EXPECT_ERRNO(ENODEV, queue_create(o.vm, &q, (struct portal_queue_create)QUEUE(8)));
	EXPECT_ERRNO(ENODEV, hook_add(o.vm, (struct portal_hook_add)
				      HOOK(o.q.id, 999, 999, .flags = PORTAL_HOOK_F_RAW)));
	EXPECT_ERRNO(ENODEV, region_add(o.vm, (struct portal_region_add)
					REGION(o.q.id, MOCK_MMIO, 16, NULL, 0)));
	/* the fds still close, and the module is as before */
	queue_close(&o.q);
	close(o.vm);
	EXPECT_TRUE(WAIT_UNTIL(vms(self->m.dev) == 1));
	EXPECT_TRUE(mock_passed(self->vm, mock_hc(MOCK_HC, 1, 0)));
}

TEST_F(lifetime, a_vmm_with_a_parked_vcpu_dies_at_once)
{
	struct portal_request req;
	struct other o;
	__u64 start;

	ASSERT_EQ(0, other_start(&o, self->m.dev, true));
	ASSERT_TRUE(next_event(&o.q, &req));
	ASSERT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	start = now_ns();
	ASSERT_EQ(0, other_kill(&o));
	EXPECT_GT(start + 2 * NSEC_PER_SEC, now_ns());
	ASSERT_TRUE(next_event(&o.q, &req));
	EXPECT_EQ(PORTAL_LIFE_VM_GONE, req.addr);
	queue_close(&o.q);
	close(o.vm);
}

TEST_F(lifetime, an_owner_asleep_learns_that_the_vm_is_gone)
{
	struct portal_request req;
	struct other o;
	struct queue q;

	/* no lifecycle events here: read() itself ends */
	ASSERT_EQ(0, other_start(&o, self->m.dev, false));
	ASSERT_EQ(0, queue_create(o.vm, &q, (struct portal_queue_create)QUEUE(8)));
	kill(o.pid, SIGKILL);
	EXPECT_EQ(-1, read(q.fd, &req, sizeof(req)));
	EXPECT_EQ(ENODEV, errno);
	ASSERT_EQ(0, other_kill(&o));
	queue_close(&q);
	queue_close(&o.q);
	close(o.vm);
}

TEST_F(lifetime, clients_of_one_process_do_not_disturb_each_other)
{
	struct queue q[8];
	int vm[8], i;

	for (i = 0; i < 8; i++) {
		vm[i] = mock_try(self->m.dev, PORTAL_RIGHT_ALL, 1, self->m.ram, 4096);
		ASSERT_LE(0, vm[i]);
		ASSERT_EQ(0, queue_create(vm[i], &q[i], (struct portal_queue_create)QUEUE(8)));
		ASSERT_LT(0, hook_add(vm[i], (struct portal_hook_add)
				      HOOK(q[i].id, MOCK_HC, MOCK_HC,
					   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	}
	for (i = 0; i < 8; i += 2) {
		queue_close(&q[i]);
		close(vm[i]);
	}
	for (i = 1; i < 8; i += 2) {
		EXPECT_FALSE(mock_passed(vm[i], mock_hc(MOCK_HC, 1, i)));
		EXPECT_EQ(1, queue_ready(&q[i]));
		queue_close(&q[i]);
		close(vm[i]);
	}
	EXPECT_TRUE(WAIT_UNTIL(vms(self->m.dev) == 1));
}

TEST_F(lifetime, module_stays_while_it_is_open)
{
	int i, fds[3];
	struct queue q;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(8)));
	munmap(q.ring, q.size);
	fds[0] = self->m.dev;
	fds[1] = self->vm;
	fds[2] = q.fd;
	/* each of the three alone keeps it */
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-1, syscall(SYS_delete_module, "portal", O_NONBLOCK));
		EXPECT_TRUE(errno == EWOULDBLOCK || errno == EBUSY);
		close(fds[i]);
	}
	/* unloading in earnest is run.sh's part: others may have it open now */
	self->m.dev = portal_open(_metadata);
	self->m.vm = -1;
}

TEST_HARNESS_MAIN
