// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach_test - portal comes to a VM and goes again, and so does the VM
 */
#include "portal_kvm.h"

static void guest_calls(void)
{
	guest_hello();
	for (;;)
		guest_report(guest_hc(SERVICE, 1, 0, 0, 0, 0));
}

static void guest_one_call(void)
{
	guest_hello();
	guest_report(guest_hc(SERVICE, 1, 0, 0, 0, 0));
	GUEST_DONE();
}

FIXTURE(attach)
{
	struct guest g;
};

FIXTURE_SETUP(attach)
{
	guest_init(_metadata, &self->g, guest_one_call);
}

FIXTURE_TEARDOWN(attach)
{
	guest_end(&self->g);
}

static int attach(int dev, int vm_fd, __u32 rights)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = vm_fd, .rights = rights };

	return portal_ioctl(dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd;
}

static __u32 vms(int dev)
{
	struct portal_info info = { .size = sizeof(info) };

	return portal_ioctl(dev, PORTAL_GET_INFO, &info) ? -1U : info.out_vms;
}

/* A VMM in another process: its KVM VM fd here, and what it does. */
struct vmm {
	int pid;
	int vm_fd;	/* KVM's, a copy */
	int go;		/* closing it lets the child close its VM */
};

static int vmm_start(struct vmm *v, bool run)
{
	int up[2], down[2], fd, ret;
	char c;

	if (pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC))
		return -errno;
	v->pid = fork();
	if (v->pid < 0)
		return -errno;
	if (!v->pid) {
		struct kvm_vcpu *vcpu;
		struct kvm_vm *vm;

		close(down[1]);
		vm = __vm_create_with_one_vcpu(&vcpu, RAM_PAGES, guest_calls);
		sync_global_to_guest(vm, guest_has_vmmcall);
		if (write(up[1], &vm->fd, sizeof(vm->fd)) < 0)
			_exit(1);
		/* until its VM fd is portal's too */
		if (run && read(down[0], &c, 1) == 1)
			for (;;) {
				struct ucall uc;

				if (!__vcpu_run(vcpu))
					get_ucall(vcpu, &uc);
			}
		while (read(down[0], &c, 1) > 0)
			;
		/* the VM goes, the process stays */
		kvm_vm_free(vm);
		pause();
		_exit(0);
	}
	close(down[0]);
	v->go = down[1];
	ret = read(up[0], &fd, sizeof(fd)) == sizeof(fd) ? 0 : -EPIPE;
	close(up[0]);
	close(up[1]);
	v->vm_fd = ret ?: pidfd_take(v->pid, fd);
	return v->vm_fd < 0 ? v->vm_fd : 0;
}

static int vmm_kill(struct vmm *v)
{
	int status;

	kill(v->pid, SIGKILL);
	return WAIT_UNTIL(waitpid(v->pid, &status, WNOHANG) == v->pid) ? 0 : -ETIMEDOUT;
}

/* no_irqs: what asks for the VM's interrupts finds none */
static bool no_irqs(int fd)
{
	struct portal_irq_bind bind = {
		.size = sizeof(bind), .gsi = 5, .resamplefd = -1, .eventfd = eventfd(0, EFD_CLOEXEC),
	};
	struct portal_irq_msi msi = { .size = sizeof(msi), .address = 0xfee00000 };
	bool ok;

	ok = portal_ioctl(fd, PORTAL_IRQ_BIND, &bind) && errno == ENODEV &&
	     portal_ioctl(fd, PORTAL_IRQ_UNBIND, &bind) && errno == ENODEV &&
	     portal_ioctl(fd, PORTAL_IRQ_MSI, &msi) && errno == ENODEV;
	close(bind.eventfd);
	return ok;
}

/* gone: the queue and the VM fd say that the VM is gone, and the queue why. */
static bool gone(int fd, struct queue *q, __u64 why)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
	struct portal_request req;

	do {
		if (!queue_next(q, &req))
			return false;
	} while (req.kind != PORTAL_KIND_LIFECYCLE || req.addr != PORTAL_LIFE_VM_GONE);
	return req.data[0] == why && WAIT_UNTIL(poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP) &&
	       portal_vm_info(fd).out_state == PORTAL_VM_GONE && no_irqs(fd);
}

/* works: a new VM can be attached to and its calls are answered. */
static bool works(struct __test_metadata *_metadata)
{
	struct portal_request req;
	struct guest g;
	bool ok;

	guest_init(_metadata, &g, guest_one_call);
	ok = guest_hook(&g, 0) > 0 && !guest_start(&g) && !queue_answer(&g.q, &req, 0x900d) &&
	     !guest_join(&g) && g.value[0] == 0x900d;
	guest_end(&g);
	return ok;
}

TEST_F(attach, only_to_a_kvm_vm)
{
	struct guest *g = &self->g;
	int fd, dev = g->dev;

	EXPECT_ERRNO(EBADF, attach(dev, -1, PORTAL_RIGHT_ALL));
	EXPECT_ERRNO(EBADF, attach(dev, 9999, PORTAL_RIGHT_ALL));
	fd = open("/dev/null", O_RDWR);
	EXPECT_ERRNO(ENXIO, attach(dev, fd, PORTAL_RIGHT_ALL));
	close(fd);
	fd = open("/dev/kvm", O_RDWR);
	EXPECT_ERRNO(ENXIO, attach(dev, fd, PORTAL_RIGHT_ALL));
	close(fd);
	EXPECT_ERRNO(ENXIO, attach(dev, g->vcpu->fd, PORTAL_RIGHT_ALL));
	EXPECT_ERRNO(ENXIO, attach(dev, g->fd, PORTAL_RIGHT_ALL));
	EXPECT_ERRNO(ENXIO, attach(dev, dev, PORTAL_RIGHT_ALL));
	fd = open("/proc/self", O_PATH);
	EXPECT_GT(0, attach(dev, fd, PORTAL_RIGHT_ALL));
	close(fd);
}

TEST_F(attach, rights_are_those_asked_for)
{
	struct guest *g = &self->g;
	struct portal_request req;
	int fd = attach(g->dev, g->vm->fd, PORTAL_RIGHT_MMIO);

	ASSERT_LE(0, fd);
	EXPECT_EQ(PORTAL_RIGHT_MMIO, portal_vm_info(fd).out_rights);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(1, portal_vm_info(fd).out_vcpus);
	EXPECT_ERRNO(EPERM, hook_add(fd, (struct portal_hook_add)HOOK(1, SERVICE, SERVICE)));
	EXPECT_ERRNO(EPERM, portal_vm_dup(fd, PORTAL_RIGHT_ALL));
	close(fd);
	/* the other client of the VM is not touched */
	ASSERT_LT(0, guest_hook(g, 0));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, queue_answer(&g->q, &req, 3));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(3, g->value[0]);
}

TEST_F(attach, two_clients_share_a_vm_but_no_number)
{
	struct guest *g = &self->g;
	struct portal_request req;
	struct queue q;
	int fd = attach(g->dev, g->vm->fd, PORTAL_RIGHT_ALL);
	__u32 before = vms(g->dev);

	ASSERT_LE(0, fd);
	EXPECT_EQ(before, vms(g->dev));
	ASSERT_EQ(0, queue_create(fd, &q, (struct portal_queue_create)QUEUE(8)));
	ASSERT_LT(0, guest_hook(g, 0));
	EXPECT_ERRNO(EEXIST, hook_add(fd, (struct portal_hook_add)HOOK(q.id, SERVICE, SERVICE)));
	/* ids of one are nothing to the other */
	EXPECT_EQ(0, portal_vm_info(fd).out_hooks);
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	queue_close(&q);
	close(fd);
	EXPECT_FALSE(guest_ended(g));
	ASSERT_EQ(0, queue_reply(&g->q, req.id, 4));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(4, g->value[0]);
}

TEST_F(attach, detach_ends_a_call_and_leaves_kvm_as_it_was)
{
	struct guest *g = &self->g;
	struct portal_request req;

	ASSERT_LT(0, guest_hook(g, 0));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_FALSE(guest_ended(g));
	close(g->fd);
	ASSERT_EQ(0, guest_join(g));
	/* an error of portal's, or KVM's own answer */
	EXPECT_GT(0, (__s64)g->value[0]);
	EXPECT_TRUE(queue_flag(&g->q, PORTAL_RING_F_STALE));
	EXPECT_TRUE(WAIT_UNTIL(!vms(g->dev)));
	g->fd = attach(g->dev, g->vm->fd, PORTAL_RIGHT_ALL);
	EXPECT_LE(0, g->fd);
}

TEST_F(attach, attach_and_detach_while_the_guest_runs)
{
	struct guest *g = &self->g;
	struct portal_request req;
	struct vmm v;
	struct queue q;
	int i, fd;

	/* that VM only makes calls, all the time */
	ASSERT_EQ(0, vmm_start(&v, true));
	ASSERT_EQ(1, write(v.go, "x", 1));
	for (i = 0; i < 30; i++) {
		fd = attach(g->dev, v.vm_fd, PORTAL_RIGHT_ALL);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, queue_create(fd, &q, (struct portal_queue_create)QUEUE(8)));
		ASSERT_LT(0, hook_add(fd, (struct portal_hook_add)
				      HOOK(q.id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW)));
		ASSERT_EQ(0, queue_answer(&q, &req, i));
		ASSERT_TRUE(queue_next(&q, &req));
		/* in the middle of a call, sometimes the queue first */
		if (i & 1)
			queue_close(&q);
		close(fd);
		if (!(i & 1))
			queue_close(&q);
	}
	ASSERT_EQ(0, vmm_kill(&v));
	close(v.vm_fd);
}

TEST_F(attach, vm_of_another_process_that_is_killed)
{
	struct guest *g = &self->g;
	struct portal_request req;
	struct vmm v;
	struct queue q;
	__u64 start;
	int fd;

	ASSERT_EQ(0, vmm_start(&v, true));
	fd = attach(g->dev, v.vm_fd, PORTAL_RIGHT_ALL);
	ASSERT_LE(0, fd);
	close(v.vm_fd);	/* portal needs it no more */
	ASSERT_EQ(0, queue_create(fd, &q, (struct portal_queue_create)
				  QUEUE(16, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
	ASSERT_LT(0, hook_add(fd, (struct portal_hook_add)
			      HOOK(q.id, SERVICE, SERVICE, .timeout_ns = 600 * NSEC_PER_SEC)));
	ASSERT_EQ(1, write(v.go, "x", 1));
	do {
		ASSERT_TRUE(queue_next(&q, &req));
	} while (req.kind == PORTAL_KIND_LIFECYCLE);
	/* with its vCPU parked in a call */
	start = now_ns();
	ASSERT_EQ(0, vmm_kill(&v));
	EXPECT_GT(start + 3 * NSEC_PER_SEC, now_ns());
	EXPECT_TRUE(gone(fd, &q, PORTAL_GONE_EXITED));
	EXPECT_ERRNO(ENODEV, hook_add(fd, (struct portal_hook_add)
				      HOOK(q.id, 999, 999, .flags = PORTAL_HOOK_F_RAW)));
	queue_close(&q);
	close(fd);
	EXPECT_TRUE(works(_metadata));
}

#define MANY	32
#define EACH	8	/* hooks, and as many regions, of each VM */

TEST_F(attach, many_vms_come_and_go)
{
	struct portal_region_range sync = RANGE(0, 4, SYNC);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm[MANY], fd[MANY], i, n;
	__u32 before = vms(self->g.dev);
	__u64 start, came, ready, went;
	struct queue q[MANY];

	for (i = 0; i < MANY; i++) {
		vm[i] = ioctl(kvm, KVM_CREATE_VM, 0);
		ASSERT_LE(0, vm[i]);
	}
	start = now_ns();
	for (i = 0; i < MANY; i++) {
		fd[i] = attach(self->g.dev, vm[i], PORTAL_RIGHT_ALL);
		ASSERT_LE(0, fd[i]);
	}
	came = now_ns();
	EXPECT_EQ(before + MANY, vms(self->g.dev));
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, queue_create(fd[i], &q[i], (struct portal_queue_create)QUEUE(8)));
		for (n = 0; n < EACH; n++) {
			ASSERT_LT(0, hook_add(fd[i], (struct portal_hook_add)
					      HOOK(q[i].id, SERVICE + n, SERVICE + n)));
			ASSERT_LT(0, region_add(fd[i], (struct portal_region_add)
						REGION(q[i].id, MMIO_GPA + n * 0x1000, 0x1000,
						       &sync, 1)));
		}
	}
	ready = now_ns();
	for (i = 0; i < MANY; i++)
		close(fd[i]);
	EXPECT_TRUE(WAIT_UNTIL(vms(self->g.dev) == before));
	went = now_ns();
	fprintf(stderr, "# %d VMs: attached in %llu ms, %d hooks and %d regions each in %llu ms, detached in %llu ms\n",
		MANY, (came - start) / NSEC_PER_MSEC, EACH, EACH, (ready - came) / NSEC_PER_MSEC,
		(went - ready) / NSEC_PER_MSEC);
	for (i = 0; i < MANY; i++) {
		EXPECT_TRUE(queue_flag(&q[i], PORTAL_RING_F_STALE));
		queue_close(&q[i]);
		close(vm[i]);
	}
	close(kvm);
	EXPECT_TRUE(works(_metadata));
}

TEST_F(attach, life_of_a_vm_is_told)
{
	struct guest *g = &self->g;
	struct portal_request req;
	struct queue q;

	ASSERT_EQ(0, queue_create(g->fd, &q, (struct portal_queue_create)
				  QUEUE(16, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(PORTAL_LIFE_ATTACHED, req.addr);
	EXPECT_EQ(1, req.data[0]);
	EXPECT_EQ(0, req.data[1]);
	/* hot-plugged: it has not made a request, and need not */
	vm_vcpu_add(g->vm, 1, guest_one_call);
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(PORTAL_LIFE_VCPU, req.addr);
	EXPECT_EQ(1, req.data[0]);

	ASSERT_LT(0, guest_hook(g, 0));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, queue_answer(&g->q, &req, 3));
	ASSERT_EQ(0, guest_join(g));
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(PORTAL_LIFE_VCPU, req.addr);
	EXPECT_EQ(0, req.data[0]);
	ASSERT_TRUE(queue_next(&q, &req));
	EXPECT_EQ(PORTAL_LIFE_HELLO, req.addr);
	EXPECT_EQ(PORTAL_GUEST_VERSION, req.data[0]);
	EXPECT_EQ(1, req.data[2]);
	queue_close(&q);
}

TEST_F(attach, vm_that_its_vmm_closes)
{
	struct guest *g = &self->g;
	struct vmm v;
	struct queue q;
	int fd;

	ASSERT_EQ(0, vmm_start(&v, false));
	fd = attach(g->dev, v.vm_fd, PORTAL_RIGHT_ALL);
	ASSERT_LE(0, fd);
	close(v.vm_fd);
	ASSERT_EQ(0, queue_create(fd, &q, (struct portal_queue_create)
				  QUEUE(16, .flags = PORTAL_QUEUE_F_LIFECYCLE)));
	EXPECT_EQ(PORTAL_VM_RUNNING, portal_vm_info(fd).out_state);
	/* the process lives on, so there is no mm to tell of it */
	close(v.go);
	EXPECT_TRUE(gone(fd, &q, PORTAL_GONE_CLOSED));
	queue_close(&q);
	close(fd);
	ASSERT_EQ(0, vmm_kill(&v));
	EXPECT_TRUE(works(_metadata));
}

TEST_HARNESS_MAIN
