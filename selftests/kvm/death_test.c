// SPDX-License-Identifier: GPL-2.0-only
/*
 * death_test - real VMs and their daemons die in every order
 */
#include "portal_kvm.h"
#include "death.h"

static void guest_load(void)
{
	__u32 i;

	/* without a daemon KVM answers the calls, and the VMM the accesses */
	for (i = 0;; i++) {
		guest_hc(DEATH_HC, i & 7, i, 0, 0, 0);
		guest_writel(MMIO_GPA + (i & 1 ? DEATH_SYNC : DEATH_PLAIN), i);
		guest_readl(MMIO_GPA + (i & 1 ? DEATH_CALL : DEATH_FENCED));
	}
}

static void *run_main(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!__vcpu_run(vcpu) || errno == EINTR)
		;
	return NULL;
}

static void kvm_vmm(int dev, int up, int go)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	char c;

	close(dev);
	vm = __vm_create_with_one_vcpu(&vcpu, RAM_PAGES, guest_load);
	guest_has_vmmcall = !is_intel_cpu();
	sync_global_to_guest(vm, guest_has_vmmcall);
	virt_map(vm, MMIO_GPA, MMIO_GPA, 1);
	if (write(up, &vm->fd, sizeof(vm->fd)) != sizeof(vm->fd))
		_exit(1);
	pthread_create(&thread, NULL, run_main, vcpu);
	while (read(go, &c, 1) > 0)
		;
}

static int kvm_attach(int dev, int fd)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = fd,
					.rights = PORTAL_RIGHT_ALL };

	return portal_ioctl(dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd;
}

static const struct death_ops kvm_ops = {
	.vmm_main = kvm_vmm, .attach = kvm_attach, .gpa = MMIO_GPA,
};

FIXTURE(death)
{
	int dev;
};

FIXTURE_SETUP(death)
{
	self->dev = portal_open(_metadata);
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(_exit(HARNESS_SKIP), "no /dev/kvm");
}

FIXTURE_TEARDOWN(death)
{
	close(self->dev);
}

TEST_F_TIMEOUT(death, nothing_is_left_in_any_order, FUZZ_TIMEOUT)
{
	death_cycles(_metadata, &kvm_ops, self->dev);
}

int main(int argc, char **argv)
{
	return death_main(argc, argv);
}
