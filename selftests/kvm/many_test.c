// SPDX-License-Identifier: GPL-2.0-only
/*
 * many_test - many vCPUs, many VMs, many requests
 */
#include "portal_kvm.h"

#define MANY_VCPUS	64
#define MOST_VCPUS	288	/* more than an xAPIC has ids for */
#define MANY_VMS	32
#define FLOOD		400

struct runner {
	pthread_t thread;
	struct kvm_vcpu *vcpu;
	__u64 value;
	int ended;
};

static void guest_call(__u64 nr)
{
	__u64 value = guest_hc(SERVICE, nr + 1, nr, 0, 0, 0);

	guest_report(value);
	GUEST_DONE();
}

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct ucall uc;

	while (!r->ended) {
		if (__vcpu_run(r->vcpu)) {
			if (errno == EINTR)
				continue;
			break;
		}
		switch (get_ucall(r->vcpu, &uc)) {
		case UCALL_SYNC:
			r->value = uc.args[0];
			break;
		case UCALL_DONE:
			__atomic_store_n(&r->ended, 1, __ATOMIC_RELEASE);
			break;
		default:
			__atomic_store_n(&r->ended, -1, __ATOMIC_RELEASE);
		}
	}
	return NULL;
}

static int attach(int dev, int vm_fd)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = vm_fd,
					.rights = PORTAL_RIGHT_ALL };

	return portal_ioctl(dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd;
}

FIXTURE(many)
{
	int dev;
};

FIXTURE_SETUP(many)
{
	self->dev = portal_open(_metadata);
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(_exit(HARNESS_SKIP), "no /dev/kvm");
	guest_has_vmmcall = !is_intel_cpu();
}

FIXTURE_TEARDOWN(many)
{
	close(self->dev);
}

/* All of @nr vCPUs wait at once; each gets its own answer. */
static void vcpus_wait_at_once(struct __test_metadata *_metadata, int dev, unsigned int nr)
{
	static struct kvm_vcpu *vcpus[MOST_VCPUS];
	static struct runner runners[MOST_VCPUS];
	static struct portal_request reqs[MOST_VCPUS];
	static bool seen[MOST_VCPUS];
	struct kvm_vm *vm;
	struct queue q;
	unsigned int i;
	int fd;

	memset(seen, 0, sizeof(seen));
	memset(runners, 0, sizeof(runners));
	vm = vm_create_with_vcpus(nr, guest_call, vcpus);
	sync_global_to_guest(vm, guest_has_vmmcall);
	fd = attach(dev, vm->fd);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, queue_create(fd, &q, (struct portal_queue_create)QUEUE(512)));
	ASSERT_LT(0, hook_add(fd, (struct portal_hook_add)
			      HOOK(q.id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW,
				   .timeout_ns = 600 * NSEC_PER_SEC)));
	for (i = 0; i < nr; i++) {
		vcpu_args_set(vcpus[i], 1, (__u64)i);
		runners[i].vcpu = vcpus[i];
		ASSERT_EQ(0, pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]));
	}
	for (i = 0; i < nr; i++)
		ASSERT_TRUE(queue_next(&q, &reqs[i]));
	ASSERT_EQ(0, queue_consume(&q));
	EXPECT_EQ(nr, portal_vm_info(fd).out_vcpus);
	EXPECT_EQ(nr, portal_vm_info(fd).out_calls);
	/* the last one first */
	while (i--) {
		ASSERT_GT(nr, reqs[i].data[0]);
		EXPECT_EQ(reqs[i].data[0], reqs[i].vcpu);
		EXPECT_FALSE(seen[reqs[i].data[0]]);
		seen[reqs[i].data[0]] = true;
		EXPECT_EQ(0, runners[reqs[i].data[0]].ended);
		ASSERT_EQ(0, queue_reply(&q, reqs[i].id, 1000 + reqs[i].data[0]));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&runners[i].ended, __ATOMIC_ACQUIRE)));
		pthread_join(runners[i].thread, NULL);
		EXPECT_EQ(1, runners[i].ended);
		EXPECT_EQ(1000 + i, runners[i].value);
	}
	EXPECT_EQ(nr, queue_info(&q).out_replies);
	queue_close(&q);
	close(fd);
	kvm_vm_free(vm);
}

TEST_F_TIMEOUT(many, vcpus_wait_at_once_64, 120)
{
	vcpus_wait_at_once(_metadata, self->dev, MANY_VCPUS);
}

TEST_F_TIMEOUT(many, vcpus_wait_at_once_288, 120)
{
	if (kvm_check_cap(KVM_CAP_MAX_VCPUS) < MOST_VCPUS ||
	    kvm_check_cap(KVM_CAP_MAX_VCPU_ID) < MOST_VCPUS)
		SKIP(return, "this kernel gives fewer");
	vcpus_wait_at_once(_metadata, self->dev, MOST_VCPUS);
}

TEST_F_TIMEOUT(many, vms_attached_at_once_32, 120)
{
	static struct kvm_vcpu *vcpus[MANY_VMS];
	static struct kvm_vm *vms[MANY_VMS];
	static struct runner runners[MANY_VMS];
	static struct queue queues[MANY_VMS];
	struct portal_request req;
	__u32 before = portal_vms(self->dev);
	int fds[MANY_VMS], i;

	for (i = 0; i < MANY_VMS; i++) {
		vms[i] = __vm_create_with_one_vcpu(&vcpus[i], RAM_PAGES, guest_call);
		sync_global_to_guest(vms[i], guest_has_vmmcall);
		vcpu_args_set(vcpus[i], 1, (__u64)i);
		fds[i] = attach(self->dev, vms[i]->fd);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, queue_create(fds[i], &queues[i],
					  (struct portal_queue_create)QUEUE(4)));
		ASSERT_LT(0, hook_add(fds[i], (struct portal_hook_add)
				      HOOK(queues[i].id, SERVICE, SERVICE,
					   .flags = PORTAL_HOOK_F_RAW,
					   .timeout_ns = 600 * NSEC_PER_SEC)));
		runners[i] = (struct runner){ .vcpu = vcpus[i] };
	}
	EXPECT_EQ(before + MANY_VMS, portal_vms(self->dev));
	for (i = 0; i < MANY_VMS; i++)
		ASSERT_EQ(0, pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]));
	/* each VM's request in its own queue, and nothing else there */
	for (i = MANY_VMS - 1; i >= 0; i--) {
		ASSERT_TRUE(queue_next(&queues[i], &req));
		EXPECT_EQ(i, req.data[0]);
		EXPECT_EQ(0, queue_ready(&queues[i]));
		/* half of them lose their daemon instead */
		if (i & 1) {
			ASSERT_EQ(0, queue_reply(&queues[i], req.id, 1000 + i));
		} else {
			queue_close(&queues[i]);
			close(fds[i]);
		}
	}
	for (i = 0; i < MANY_VMS; i++) {
		ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&runners[i].ended, __ATOMIC_ACQUIRE)));
		pthread_join(runners[i].thread, NULL);
		EXPECT_EQ(1, runners[i].ended);
		if (i & 1) {
			EXPECT_EQ(1000 + i, runners[i].value);
			queue_close(&queues[i]);
			close(fds[i]);
		} else {
			/* an error, ours or KVM's own */
			EXPECT_GT(0, (__s64)runners[i].value);
		}
		kvm_vm_free(vms[i]);
	}
	EXPECT_TRUE(WAIT_UNTIL(portal_vms(self->dev) == before));
}

/* ---- a guest that floods every hook -------------------------------------- */

enum { F_SHADOW = 0, F_FENCED = 8, F_SYNC = 16, F_CALL = 24, F_BELL = 32, F_ACK = 40,
       AUX_BELL = 256, AUX_ACK = 260 };
#define POSTED	(SERVICE + 1)

static void guest_flood(void)
{
	__u64 i;

	for (i = 0; i < FLOOD; i++) {
		guest_hc(POSTED, 0, i, 0, 0, 0);
		guest_writel(MMIO_GPA + F_SHADOW, i);
		guest_writel(MMIO_GPA + F_BELL, i);
		guest_writel(MMIO_GPA + F_ACK, i);
		/* these wait */
		if (i % 16 == 0) {
			guest_hc(SERVICE, 0, i, 0, 0, 0);
			guest_writel(MMIO_GPA + F_SYNC, i);
			guest_readl(MMIO_GPA + F_FENCED);
			guest_readl(MMIO_GPA + F_CALL);
		}
	}
	GUEST_DONE();
}

TEST_F_TIMEOUT(many, guest_that_floods_every_hook, 120)
{
	struct portal_region_range ranges[] = {
		RANGE(F_FENCED, 8, FENCED), RANGE(F_SYNC, 8, SYNC), RANGE(F_CALL, 8, CALL),
		RANGE(F_BELL, 4, DOORBELL, .flags = PORTAL_RANGE_F_COUNT, .aux = AUX_BELL),
		RANGE(F_ACK, 4, ACK, .flags = PORTAL_RANGE_F_POST, .aux = AUX_ACK),
	};
	__u64 calls = 0, got = 0, rings = 0;
	struct portal_request req;
	struct portal_vm_info info;
	struct region r;
	struct guest g;

	guest_init(_metadata, &g, guest_flood);
	queue_close(&g.q);
	/* a ring that is full all the time, and an owner who is slower than the guest */
	ASSERT_EQ(0, queue_create(g.fd, &g.q, (struct portal_queue_create)QUEUE(4)));
	ASSERT_LT(0, hook_add(g.fd, (struct portal_hook_add)
			      HOOK(g.q.id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW)));
	ASSERT_LT(0, hook_add(g.fd, (struct portal_hook_add)
			      HOOK(g.q.id, POSTED, POSTED, .policy = PORTAL_POLICY_DROP,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED)));
	ASSERT_EQ(0, region_map(g.fd, &r, (struct portal_region_add)
				REGION(g.q.id, MMIO_GPA, 64, ranges, 5,
				       .policy = PORTAL_POLICY_DROP)));
	ASSERT_EQ(0, guest_start(&g));
	while (!guest_ended(&g) || queue_ready(&g.q)) {
		if (!queue_ready(&g.q)) {
			poll(&(struct pollfd){ .fd = g.q.fd, .events = POLLIN }, 1, 10);
			continue;
		}
		ASSERT_TRUE(queue_next(&g.q, &req));
		got++;
		if (req.flags & PORTAL_REQ_F_COUNTED)
			rings += __atomic_exchange_n(region_reg(&r, AUX_BELL), 0, __ATOMIC_SEQ_CST);
		if (req.flags & PORTAL_REQ_F_CALL) {
			calls++;
			ASSERT_EQ(0, queue_reply(&g.q, req.id, 1));
		}
		ASSERT_EQ(0, queue_consume(&g.q));
	}
	ASSERT_EQ(0, guest_join(&g));
	info = portal_vm_info(g.fd);
	printf("# %llu requests, %llu calls, %llu rings; %llu posted, %llu dropped\n", got, calls,
	       rings, info.out_posted, info.out_dropped);
	fflush(stdout);
	/* what waits is never lost, what is lost is counted */
	EXPECT_EQ(2 * FLOOD / 16, calls);
	EXPECT_EQ(calls, info.out_calls);
	EXPECT_EQ(got, info.out_posted + info.out_calls);
	EXPECT_LE(rings, FLOOD);
	EXPECT_EQ(info.out_dropped, queue_info(&g.q).out_dropped);
	EXPECT_EQ(0, info.out_timeouts);
	region_unmap(&r);
	guest_end(&g);
}

TEST_HARNESS_MAIN
