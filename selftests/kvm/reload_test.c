// SPDX-License-Identifier: GPL-2.0-only
/*
 * reload_test - the module comes and goes while guests call all the time
 *
 * run.sh says in PORTAL_MODULE which file it is.
 */
#include "portal_kvm.h"

#define ROUNDS	8
#define GUESTS	2

static void guest_calls(void)
{
	__u64 i, value;

	for (i = 1;; i++) {
		value = guest_hc(SERVICE, i, i, 0, 0, 0);
		/* the module's or its end's, or KVM's own "no such call" */
		if (value != i + 1 && (__s64)value >= 0)
			guest_report(value);
	}
}

struct runner {
	pthread_t thread;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int stop, wrong;
	__u64 value;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct ucall uc;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		if (__vcpu_run(r->vcpu))
			continue;
		get_ucall(r->vcpu, &uc);
		r->value = uc.args[0];
		r->wrong++;
	}
	return NULL;
}

static void wake(int sig)
{
}

static int module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* The file appears a moment after the module. */
static int device(void)
{
	int dev = -1;

	WAIT_UNTIL((dev = open(PORTAL_DEV, O_RDWR | O_CLOEXEC)) >= 0);
	return dev;
}

/* Attach to each guest and answer some calls; then leave in the middle of one. */
static int serve(struct runner *runners, int dev, int nr)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .rights = PORTAL_RIGHT_ALL };
	struct queue queues[GUESTS];
	struct portal_request req;
	int fds[GUESTS], i, n, ret;

	for (i = 0; i < GUESTS; i++) {
		arg.vm_fd = runners[i].vm->fd;
		ret = portal_ioctl(dev, PORTAL_VM_ATTACH, &arg);
		if (ret)
			return ret;
		fds[i] = arg.out_fd;
		ret = queue_create(fds[i], &queues[i], (struct portal_queue_create)QUEUE(8));
		if (ret)
			return ret;
		ret = hook_add(fds[i], (struct portal_hook_add)
			       HOOK(queues[i].id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW));
		if (ret < 0)
			return ret;
	}
	for (n = 0; n < nr; n++)
		for (i = 0; i < GUESTS; i++) {
			if (!queue_next(&queues[i], &req))
				return -ETIMEDOUT;
			ret = queue_reply(&queues[i], req.id, req.data[0] + 1) ?:
			      queue_consume(&queues[i]);
			if (ret)
				return ret;
		}
	for (i = 0; i < GUESTS; i++) {
		close(fds[i]);
		queue_close(&queues[i]);
	}
	return 0;
}

FIXTURE(reload)
{
};

FIXTURE_SETUP(reload)
{
	close(portal_open(_metadata));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(_exit(HARNESS_SKIP), "no /dev/kvm");
}

FIXTURE_TEARDOWN(reload)
{
}

TEST_F_TIMEOUT(reload, module_comes_and_goes_under_running_guests, 240)
{
	const char *path = getenv("PORTAL_MODULE");
	struct runner runners[GUESTS] = { };
	int i, n, dev, ret;

	if (!path)
		SKIP(return, "no PORTAL_MODULE: only run.sh knows which one to load");
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = wake }, NULL);
	guest_has_vmmcall = !is_intel_cpu();
	for (i = 0; i < GUESTS; i++) {
		struct runner *r = &runners[i];

		r->vm = __vm_create_with_one_vcpu(&r->vcpu, RAM_PAGES, guest_calls);
		sync_global_to_guest(r->vm, guest_has_vmmcall);
		ASSERT_EQ(0, pthread_create(&r->thread, NULL, runner_main, r));
	}
	for (n = 0; n < ROUNDS; n++) {
		ret = -1;
		/* what was closed is on its way out */
		WAIT_UNTIL(!(ret = syscall(SYS_delete_module, "portal", O_NONBLOCK)) ||
			   (errno != EWOULDBLOCK && errno != EBUSY));
		ASSERT_EQ(0, ret)
			TH_LOG("round %d: rmmod: %s", n, strerror(errno));
		ASSERT_EQ(0, module_load(path));
		/* sometimes it goes before anybody used it */
		if (n % 4 == 3)
			continue;
		dev = device();
		ASSERT_LE(0, dev);
		ASSERT_EQ(0, serve(runners, dev, 1 + n))
			TH_LOG("round %d", n);
		close(dev);
	}
	for (i = 0; i < GUESTS; i++) {
		struct runner *r = &runners[i];

		__atomic_store_n(&r->stop, 1, __ATOMIC_RELEASE);
		/* until it looks: a signal may come just before KVM_RUN */
		ASSERT_TRUE(WAIT_UNTIL(!pthread_kill(r->thread, SIGUSR1) &&
				       !pthread_tryjoin_np(r->thread, NULL)));
		EXPECT_EQ(0, r->wrong)
			TH_LOG("a call gave %#llx", r->value);
		kvm_vm_free(r->vm);
	}
}

TEST_HARNESS_MAIN
