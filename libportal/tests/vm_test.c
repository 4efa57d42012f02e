/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* vm_test.c - device, VM, hooks, regions, interrupts, processes */
#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fake.h"

static void test_device(void **state)
{
	struct portal_dev *dev = NULL;
	struct portal_info info;
	struct portal_vm *vm;
	int fd;

	(void)state;
	assert_err(portal_dev_open("/nonexistent/portal", &dev), ENOENT);
	assert_null(dev);
	assert_ok(portal_dev_open("/dev/null", &dev));
	assert_true(fcntl(portal_dev_fd(dev), F_GETFD) & FD_CLOEXEC);
	assert_ok(portal_dev_info(dev, &info));
	assert_int_equal(info.out_api_version, PORTAL_API_VERSION);
	fake.next_err = ENXIO;
	assert_err(portal_vm_attach(dev, 0, PORTAL_RIGHT_ALL, &vm), ENXIO);
	assert_ok(portal_vm_attach(dev, 0, PORTAL_RIGHT_ALL, &vm));
	fd = portal_vm_dup(vm, PORTAL_RIGHT_IRQ);
	assert_true(fd >= 0 && fd != portal_vm_fd(vm));
	close(fd);
	portal_vm_close(vm);
	portal_vm_close(NULL);
	portal_dev_close(dev);
	portal_dev_close(NULL);
}

static void test_vm_from_fd(void **state)
{
	struct portal_vm_info info;
	struct portal_vm *vm;

	(void)state;
	assert_err(portal_vm_from_fd(fake.queue_fd, &vm), ENXIO);
	fake.next_err = ENODEV;
	assert_err(portal_vm_from_fd(fake.vm_fd, &vm), ENODEV);
	assert_ok(portal_vm_from_fd(dup(fake.vm_fd), &vm));
	assert_ok(portal_vm_get_info(vm, &info));
	portal_vm_close(vm);
}

static void test_rate(void **state)
{
	struct portal_vm *vm = fake_vm();

	(void)state;
	assert_ok(portal_vm_set_rate(vm, PORTAL_RATE_F_VM, 1000, 10));
	assert_int_equal(fake.rate.flags, PORTAL_RATE_F_VM);
	assert_int_equal(fake.rate.rate, 1000);
	assert_int_equal(fake.rate.burst, 10);
	fake.next_err = EPERM;
	assert_err(portal_vm_set_rate(vm, 0, 1, 1), EPERM);
	portal_vm_close(vm);
}

static void test_filters_and_sets(void **state)
{
	const struct portal_filter filters[2] = { { .action = PORTAL_FILTER_PASS } };
	const uint32_t queues[3] = { 1, 2, 3 };
	struct portal_hook_opts h = {
		.sz = sizeof(h), .filters = filters, .nr_filters = 2, .queues = queues,
		.nr_queues = 3,
	};
	struct portal_region_opts r = {
		.sz = sizeof(r), .filters = filters, .nr_filters = 1, .queues = queues,
		.nr_queues = 2,
	};
	struct portal_vm *vm = fake_vm();
	struct portal_target_info info;
	struct portal_region *reg;
	uint64_t hits[2];

	(void)state;
	assert_int_equal(portal_hook_hypercall(vm, 0, 0x100, 0x1ff, &h), 5);
	assert_int_equal(fake.hook.filters_uptr, (uintptr_t)filters);
	assert_int_equal(fake.hook.nr_filters, 2);
	assert_int_equal(fake.hook.queues_uptr, (uintptr_t)queues);
	assert_int_equal(fake.hook.nr_queues, 3);
	assert_ok(portal_region_add(vm, 0, 0xd0000000, 0x200, NULL, 0, &r, &reg));
	assert_int_equal(fake.region.nr_filters, 1);
	assert_int_equal(fake.region.filters_uptr, (uintptr_t)filters);
	assert_int_equal(fake.region.nr_queues, 2);
	assert_int_equal(fake.region.queues_uptr, (uintptr_t)queues);
	portal_region_unmap(reg);

	assert_ok(portal_hook_get_info(vm, 5, &info, hits, 2));
	assert_int_equal(info.out_hits, 41);
	assert_int_equal(fake.target.id, 5);
	assert_int_equal(fake.target.nr_filters, 2);
	assert_int_equal(fake.target.hits_uptr, (uintptr_t)hits);
	assert_ok(portal_region_get_info(vm, 6, &info, NULL, 0));
	assert_int_equal(info.out_hits, 42);
	assert_int_equal(fake.target.id, 6);
	portal_vm_close(vm);
}

static void test_hook(void **state)
{
	struct portal_hook_opts opts = {
		.sz = sizeof(opts), .flags = PORTAL_HOOK_F_POSTED, .cookie = 1, .timeout_ns = 2,
		.timeout_value = 3, .on_timeout = PORTAL_ACTION_VALUE,
		.policy = PORTAL_POLICY_DROP,
	};
	struct portal_vm *vm = fake_vm();

	(void)state;
	assert_int_equal(portal_hook_hypercall(vm, 7, 0x100, 0x1ff, &opts), 5);
	assert_int_equal(fake.hook.kind, PORTAL_KIND_HYPERCALL);
	assert_int_equal(fake.hook.queue_id, 7);
	assert_int_equal(fake.hook.first, 0x100);
	assert_int_equal(fake.hook.last, 0x1ff);
	assert_int_equal(fake.hook.flags, PORTAL_HOOK_F_POSTED);
	assert_int_equal(fake.hook.cookie, 1);
	assert_int_equal(fake.hook.timeout_ns, 2);
	assert_int_equal(fake.hook.timeout_value, 3);
	assert_int_equal(fake.hook.on_timeout, PORTAL_ACTION_VALUE);
	assert_int_equal(fake.hook.policy, PORTAL_POLICY_DROP);
	assert_ok(portal_hook_del(vm, 5));
	assert_int_equal(fake.deleted, 5);
	fake.next_err = EEXIST;
	assert_err(portal_hook_hypercall(vm, 7, 0, 0, NULL), EEXIST);
	portal_vm_close(vm);
}

static void test_region(void **state)
{
	struct portal_region_range ranges[2] = { { .len = 4 }, { .offset = 8, .len = 4 } };
	struct portal_vm *vm = fake_vm();
	struct portal_region *reg, *twin;

	(void)state;
	assert_ok(portal_region_add(vm, 7, 0xd0000000, 0x200, ranges, 2, NULL, &reg));
	assert_int_equal(fake.region.gpa, 0xd0000000);
	assert_int_equal(fake.region.nr_ranges, 2);
	assert_ptr_equal((void *)(uintptr_t)fake.region.ranges_uptr, ranges);
	assert_int_equal(portal_region_id(reg), 6);
	assert_int_equal(portal_region_shadow_size(reg), 4096);

	portal_region_write32(reg, 4092, 0x12345678);
	assert_memory_equal(fake.vm_mem + 4092, "\x78\x56\x34\x12", 4);
	assert_int_equal(portal_region_or32(reg, 4092, 0x80000001), 0x12345678);
	assert_int_equal(portal_region_take(reg, 4092), 0x92345679);
	assert_int_equal(portal_region_read32(reg, 4092), 0);
	portal_region_write64(reg, 8, 0x1122334455667788);
	assert_int_equal(portal_region_read32(reg, 12), 0x11223344);

	/* misaligned or outside */
	portal_region_write32(reg, 4096, 1);
	portal_region_write32(reg, 0xfffffffc, 1);
	portal_region_write64(reg, 4092, 1);
	portal_region_write32(reg, 2, 0xffffffff);
	assert_int_equal(portal_region_read32(reg, 4096), 0);
	assert_int_equal(portal_region_read32(reg, 0), 0);
	assert_int_equal(portal_region_read32(reg, 4), 0);
	assert_int_equal(fake.vm_mem[4096], 0);

	assert_ok(portal_region_map(vm, 6, portal_region_shadow_off(reg), 4096, &twin));
	portal_region_write32(twin, 0, 9);
	assert_int_equal(*(uint32_t *)portal_region_shadow(reg), 9);
	portal_region_unmap(twin);
	/* by the fd of a queue, and what is there is the queue's */
	assert_ok(portal_region_map_fd(fake.queue_fd, 6, 0, 4096, &twin));
	assert_int_equal(portal_region_read32(twin, 0), PORTAL_RING_MAGIC);
	assert_err(portal_region_del(twin), EPERM);
	portal_region_unmap(NULL);
	assert_ok(portal_region_del(reg));
	assert_int_equal(fake.deleted, 6);
	portal_vm_close(vm);
}

static void test_irq(void **state)
{
	struct portal_vm *vm = fake_vm();

	(void)state;
	assert_ok(portal_irq_bind(vm, 11, 3, -1));
	assert_int_equal(fake.irq.flags, 0);
	assert_int_equal(fake.irq.gsi, 11);
	assert_int_equal(fake.irq.eventfd, 3);
	assert_ok(portal_irq_bind(vm, 11, 3, 4));
	assert_int_equal(fake.irq.flags, PORTAL_IRQ_F_RESAMPLE);
	assert_int_equal(fake.irq.resamplefd, 4);
	assert_ok(portal_irq_unbind(vm, 11, 3));
	assert_int_equal(fake.irq.flags, 0);
	assert_ok(portal_irq_msi(vm, 0xfee01000, 0x4051));
	assert_int_equal(fake.msi.address, 0xfee01000);
	assert_int_equal(fake.msi.data, 0x4051);
	assert_ok(portal_irq_bind_msi(vm, 0xfee02000, 0x52, 7));
	assert_int_equal(fake.irq.flags, PORTAL_IRQ_F_MSI);
	assert_int_equal(fake.irq.gsi, 0);
	assert_int_equal(fake.irq.eventfd, 7);
	assert_int_equal(fake.irq.address, 0xfee02000);
	assert_int_equal(fake.irq.data, 0x52);
	memset(&fake.irq, 0, sizeof(fake.irq));
	assert_ok(portal_irq_unbind_msi(vm, 0xfee02000, 0x52, 7));
	assert_int_equal(fake.irq.flags, PORTAL_IRQ_F_MSI);
	assert_int_equal(fake.irq.address, 0xfee02000);
	portal_vm_close(vm);
}

static void test_process_errors(void **state)
{
	int fds[4];
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_err(portal_vm_fd_of_pid(getpid()), ENOENT);
	assert_int_equal(portal_vm_fds_of_pid(getpid(), fds, 4), 0);
	assert_err(portal_vm_fd_of_pid(child), ESRCH);
	assert_err(portal_vm_fds_of_pid(child, fds, 4), ESRCH);
	assert_err(portal_fd_of_pid(child, 0), ESRCH);
	assert_err(portal_fd_of_pid(getpid(), 9999), EBADF);
	assert_err(portal_vm_fd_of_pid(-1), EINVAL);
}

static void test_process_fd(void **state)
{
	int fd = portal_fd_of_pid(getpid(), fake.vm_fd);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

#define KVM_CREATE_VM	0xae01

static void test_process_vm(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm[2], fd, fds[2] = { -1, -1 };
	extern int __real_ioctl(int fd, unsigned long cmd, void *arg);

	(void)state;
	vm[0] = kvm < 0 ? -1 : __real_ioctl(kvm, KVM_CREATE_VM, NULL);
	if (vm[0] < 0)
		skip();		/* no usable /dev/kvm here */
	fd = portal_vm_fd_of_pid(getpid());
	assert_true(fd >= 0);
	close(fd);
	vm[1] = __real_ioctl(kvm, KVM_CREATE_VM, NULL);
	assert_err(portal_vm_fd_of_pid(getpid()), ENOTUNIQ);
	assert_int_equal(portal_vm_fds_of_pid(getpid(), fds, 1), 2);
	assert_int_equal(fds[0], vm[0]);
	assert_int_equal(fds[1], -1);
	close(vm[0]);
	close(vm[1]);
	close(kvm);
}

static void test_strings(void **state)
{
	(void)state;
	assert_string_equal(portal_version(), KVMPORTAL_VERSION);
	assert_ptr_equal(portal_strerror(EEXIST), portal_strerror(-EEXIST));
	assert_memory_equal(portal_strerror(-ESTALE), "ESTALE: ", 8);
	assert_non_null(portal_strerror(-12345));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_device), T(test_vm_from_fd), T(test_hook), T(test_region), T(test_irq),
		T(test_rate), T(test_filters_and_sets),
		T(test_process_errors), T(test_process_fd), T(test_process_vm), T(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
