// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl_test - every errno of every ioctl, and the order in which they come
 *
 * Each wrong argument is otherwise perfectly valid, so that the errno can come
 * from nowhere else. The order tests put right one mistake after the other.
 */
#include "mock_util.h"

#define NOBODY	9999	/* no object has this id */

FIXTURE(ioctl)
{
	struct mock m;
	struct queue q;
	int vm;		/* = m.vm */
	int none;	/* VM fd without any right */
	int ev;
};

FIXTURE_SETUP(ioctl)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(8)));
	self->none = portal_vm_dup(self->vm, 0);
	ASSERT_LE(0, self->none);
	self->ev = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->ev);
}

FIXTURE_TEARDOWN(ioctl)
{
	close(self->ev);
	close(self->none);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* FIXED(e): @call gives @e now; then apply the fix. */
#define FAILS_UNTIL(expected, call, fix) do {	\
	EXPECT_EQ(-(expected), (call));		\
	fix;					\
} while (0)

TEST_F(ioctl, unknown_numbers_are_enotty)
{
	struct portal_vm_info info = { .size = sizeof(info) };
	int fds[] = { self->m.dev, self->vm, self->q.fd };
	unsigned int i, nr;

	for (i = 0; i < 3; i++) {
		/* 0x3f: not given; 'V': not our magic; 0x80: for io_uring only */
		EXPECT_ERRNO(ENOTTY, portal_ioctl(fds[i], _IO(PORTAL_IOC_MAGIC, 0x3f), &info));
		EXPECT_ERRNO(ENOTTY, portal_ioctl(fds[i], _IO('V', PORTAL_CMD_VM_INFO), &info));
		EXPECT_ERRNO(ENOTTY, portal_ioctl(fds[i], PORTAL_URING_FETCH, &info));
		EXPECT_ERRNO(ENOTTY, portal_ioctl(fds[i], _IOW(PORTAL_IOC_MAGIC, 0, int), &info));
	}
	for (nr = 0; nr < 0x40; nr++) {
		/* what one kind of fd knows, the others do not */
		if (nr < 0x10 || nr >= 0x30)
			EXPECT_ERRNO(ENOTTY, nr == 0x39 || nr == 0x3a ? -ENOTTY :
				     portal_ioctl(self->vm, _IO(PORTAL_IOC_MAGIC, nr), &info));
		if (nr > 1 && nr != 0x38)
			EXPECT_ERRNO(ENOTTY, portal_ioctl(self->m.dev,
							  _IO(PORTAL_IOC_MAGIC, nr), &info));
		if (nr < 0x30 || nr > 0x32)
			EXPECT_ERRNO(ENOTTY, portal_ioctl(self->q.fd,
							  _IO(PORTAL_IOC_MAGIC, nr), &info));
	}
}

TEST_F(ioctl, bad_pointer_is_efault)
{
	static const unsigned long vm_cmds[] = {
		PORTAL_VM_INFO, PORTAL_VM_DUP, PORTAL_HOOK_ADD, PORTAL_HOOK_DEL,
		PORTAL_REGION_ADD, PORTAL_REGION_DEL, PORTAL_QUEUE_CREATE,
		PORTAL_QUEUE_OPEN, PORTAL_QUEUE_DEL, PORTAL_MEM_LIST, PORTAL_MEM_RW,
		PORTAL_MEM_MAP, PORTAL_MEM_UNMAP, PORTAL_IRQ_BIND, PORTAL_IRQ_UNBIND,
		PORTAL_IRQ_MSI,
		PORTAL_HOOK_INFO, PORTAL_REGION_INFO, PORTAL_RATE_SET,
	};
	unsigned int i;

	EXPECT_ERRNO(EFAULT, portal_ioctl(self->m.dev, PORTAL_GET_INFO, NULL));
	EXPECT_ERRNO(EFAULT, portal_ioctl(self->m.dev, PORTAL_VM_ATTACH, (void *)-4096UL));
	for (i = 0; i < sizeof(vm_cmds) / sizeof(vm_cmds[0]); i++)
		EXPECT_ERRNO(EFAULT, portal_ioctl(self->vm, vm_cmds[i], NULL)) {
			TH_LOG("command %#lx", vm_cmds[i]);
		}
	EXPECT_ERRNO(EFAULT, portal_ioctl(self->q.fd, PORTAL_QUEUE_INFO, NULL));
	EXPECT_ERRNO(EFAULT, portal_ioctl(self->q.fd, PORTAL_QUEUE_COMMIT, NULL));
	EXPECT_ERRNO(EFAULT, portal_ioctl(self->q.fd, PORTAL_QUEUE_CANCEL, NULL));
}

TEST_F(ioctl, info_tells_features_and_limits)
{
	struct portal_info info = { .size = sizeof(info) };

	memset(&info.out_api_version, 0x5a, sizeof(info) - 8);
	info.__reserved = 0;
	ASSERT_EQ(0, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
	EXPECT_EQ(PORTAL_API_VERSION, info.out_api_version);
	EXPECT_EQ(0, info.out_errata);
	EXPECT_NE(0, info.out_features & PORTAL_FEAT_HYPERCALL);
	EXPECT_EQ(0, info.out_features & ~(((PORTAL_FEAT_MEM_GVA << 1) - 1) |
					   PORTAL_FEAT_POLICY | PORTAL_FEAT_MOCK));
	EXPECT_NE(0, info.out_features & PORTAL_FEAT_POLICY);
	EXPECT_LE(1, info.out_vms);
	EXPECT_GT(0x5a5a5a5a, info.out_max_queues);
	EXPECT_LT(0, info.out_max_hooks);
	EXPECT_EQ(0, info.out_max_entries & (info.out_max_entries - 1));
	EXPECT_LE(64, info.out_max_calls);
	EXPECT_LT(0, info.out_max_ranges);
	EXPECT_LE(4096, info.out_max_region);
	EXPECT_LT(0, info.out_max_windows);
	EXPECT_EQ(0, info.__reserved);

	info.flags = 1;
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
}

TEST_F(ioctl, attach_checks_in_order)
{
	struct portal_vm_attach a = { .size = sizeof(a), .flags = 1, .vm_fd = -1,
				      .rights = PORTAL_RIGHT_ALL, .__reserved = 1 };
	int dev = self->m.dev;

	FAILS_UNTIL(EINVAL, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.__reserved = 0);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.flags = 0);
	a.rights = PORTAL_RIGHT_ALL + 1;
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.rights = 1);
	FAILS_UNTIL(EBADF, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.vm_fd = self->ev);
	FAILS_UNTIL(ENXIO, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.vm_fd = self->vm);
	FAILS_UNTIL(ENXIO, portal_ioctl(dev, PORTAL_VM_ATTACH, &a), a.vm_fd = dev);
	EXPECT_ERRNO(ENXIO, portal_ioctl(dev, PORTAL_VM_ATTACH, &a));
}

TEST_F(ioctl, dup_only_takes_rights_away)
{
	__u32 some = PORTAL_RIGHT_HYPERCALL | PORTAL_RIGHT_MEM_READ;
	struct portal_vm_dup a = { .size = sizeof(a), .flags = 1, .rights = some };
	int fd, less;

	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_VM_DUP, &a));
	EXPECT_ERRNO(EOPNOTSUPP, portal_vm_dup(self->vm, PORTAL_RIGHT_ALL + 1));
	fd = portal_vm_dup(self->vm, some);
	ASSERT_LE(0, fd);
	EXPECT_EQ(some, portal_vm_info(fd).out_rights);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_ERRNO(EPERM, portal_vm_dup(fd, some | PORTAL_RIGHT_MMIO));
	less = portal_vm_dup(fd, PORTAL_RIGHT_MEM_READ);
	ASSERT_LE(0, less);
	EXPECT_ERRNO(EPERM, portal_vm_dup(less, some));
	/* the same client */
	EXPECT_EQ(1, portal_vm_info(less).out_queues);
	close(fd);
	close(less);
}

TEST_F(ioctl, hook_add_checks_in_order)
{
	struct portal_hook_add h = HOOK(NOBODY, MOCK_HC, MOCK_HC, .__reserved = 1,
					.flags = 1U << 31);
	int id;

	EXPECT_ERRNO(EINVAL, hook_add(self->none, h));
	h.__reserved = 0;
	EXPECT_ERRNO(EOPNOTSUPP, hook_add(self->none, h));
	h.flags = PORTAL_HOOK_F_RAW;
	EXPECT_ERRNO(EPERM, hook_add(self->none, h));
	EXPECT_ERRNO(ENOENT, hook_add(self->vm, h));
	h.queue_id = self->q.id;
	id = hook_add(self->vm, h);
	ASSERT_LT(0, id);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_hooks);
	EXPECT_ERRNO(EEXIST, hook_add(self->vm, h));
	EXPECT_EQ(1, portal_vm_info(self->vm).out_hooks);
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_hooks);
	EXPECT_ERRNO(ENOENT, portal_id(self->vm, PORTAL_HOOK_DEL, id));
}

TEST_F(ioctl, hook_add_refuses_what_it_cannot_do)
{
	const struct portal_hook_add ok = HOOK(self->q.id, MOCK_HC, MOCK_HC,
					       .flags = PORTAL_HOOK_F_RAW);
	struct portal_hook_add h;

#define WITH(err, ...) do {					\
	h = ok;							\
	__VA_ARGS__;						\
	EXPECT_ERRNO(err, hook_add(self->vm, h));		\
} while (0)
	WITH(EOPNOTSUPP, h.kind = PORTAL_KIND_MMIO);
	WITH(EOPNOTSUPP, h.kind = 0);
	WITH(EOPNOTSUPP, h.on_timeout = 3);
	WITH(EOPNOTSUPP, h.policy = 3);
	WITH(EOPNOTSUPP, h.state_mask = 1);
	WITH(EINVAL, h.last = h.first - 1);
	WITH(EINVAL, h.last = 1ULL << 32);
	WITH(EINVAL, h.first = 63);			/* KVM's */
	WITH(EINVAL, h.first = 0);
	WITH(EINVAL, h.flags = 0);			/* needs RAW */
	WITH(EINVAL, h.first = h.last = PORTAL_HC_HELLO); /* the module's own */
	WITH(EINVAL, h.flags = 0, h.first = PORTAL_HC_LAST, h.last = PORTAL_HC_LAST + 1);
	WITH(EINVAL, h.timeout_ns = -1ULL);
#undef WITH
	EXPECT_LT(0, hook_add(self->vm, ok));
}

TEST_F(ioctl, del_checks_in_order)
{
	static const unsigned long cmds[] = {
		PORTAL_HOOK_DEL, PORTAL_REGION_DEL, PORTAL_QUEUE_DEL, PORTAL_MEM_UNMAP,
	};
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct portal_id a = { .size = sizeof(a), .flags = 1, .id = NOBODY,
				       .__reserved = 1 };

		FAILS_UNTIL(EINVAL, portal_ioctl(self->vm, cmds[i], &a), a.__reserved = 0);
		FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->vm, cmds[i], &a), a.flags = 0);
		FAILS_UNTIL(ENOENT, portal_ioctl(self->vm, cmds[i], &a), a.id = 0);
		EXPECT_ERRNO(ENOENT, portal_ioctl(self->vm, cmds[i], &a));
	}
	EXPECT_ERRNO(EPERM, portal_id(self->none, PORTAL_HOOK_DEL, NOBODY));
}

TEST_F(ioctl, region_add_checks_in_order)
{
	struct portal_region_range range = { .len = 4, .eventfd = -1 };
	struct portal_region_add r = REGION(NOBODY, -16ULL, 32, &range, 1,
					    .__reserved = 1, .flags = 1);
	int id;

	EXPECT_ERRNO(EINVAL, region_add(self->none, r));
	r.__reserved = 0;
	EXPECT_ERRNO(EOPNOTSUPP, region_add(self->none, r));
	r.flags = 0;
	EXPECT_ERRNO(EOVERFLOW, region_add(self->none, r));
	r.gpa = MOCK_MMIO;
	EXPECT_ERRNO(EPERM, region_add(self->none, r));
	EXPECT_ERRNO(ENOENT, region_add(self->vm, r));
	r.queue_id = self->q.id;
	r.gpa = 0;
	EXPECT_ERRNO(EEXIST, region_add(self->vm, r));	/* RAM */
	r.gpa = MOCK_RAM_SIZE - 4;
	EXPECT_ERRNO(EEXIST, region_add(self->vm, r));
	r.gpa = MOCK_MMIO;
	id = region_add(self->vm, r);
	ASSERT_LT(0, id);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_regions);
	EXPECT_ERRNO(EEXIST, region_add(self->vm, r));
	EXPECT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, id));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_regions);
	EXPECT_ERRNO(ENOENT, portal_id(self->vm, PORTAL_REGION_DEL, id));
	EXPECT_LT(0, region_add(self->vm, r));
}

TEST_F(ioctl, region_add_refuses_what_it_cannot_do)
{
	const struct portal_region_range good = { .len = 4, .eventfd = -1 };
	struct portal_region_range g, two[2];
	const struct portal_region_add ok = REGION(self->q.id, MOCK_MMIO, 64, &g, 1);
	struct portal_info info = { .size = sizeof(info) };
	struct portal_region_add r;

	ASSERT_EQ(0, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
#define WITH(err, ...) do {					\
	r = ok;							\
	g = good;						\
	__VA_ARGS__;						\
	EXPECT_ERRNO(err, region_add(self->vm, r));		\
} while (0)
	WITH(EINVAL, r.len = 0);
	WITH(EINVAL, r.len = info.out_max_region + 1ULL);
	WITH(ENOSPC, r.nr_ranges = info.out_max_ranges + 1);
	WITH(EFAULT, r.ranges_uptr = 8);
	WITH(EINVAL, r.bus = PORTAL_BUS_PIO, r.gpa = 0xfff0);	/* ends past port 65535 */
	WITH(EOPNOTSUPP, r.bus = 2);
	WITH(EOPNOTSUPP, r.on_timeout = 3);
	WITH(EOPNOTSUPP, r.policy = 3);
	WITH(EOPNOTSUPP, g.flags = 1U << 31);
	WITH(EOPNOTSUPP, g.attr = 6);
	WITH(EINVAL, g.__reserved = 1);
	WITH(EINVAL, g.len = 0);
	WITH(EINVAL, g.offset = 62);			/* ends past the region */
	WITH(EINVAL, g.attr = PORTAL_ATTR_ACK, g.aux = 2);	/* misaligned */
	WITH(EINVAL, g.attr = PORTAL_ATTR_ACK, g.aux = 4096);	/* past the page */
	WITH(EINVAL, g.attr = PORTAL_ATTR_DOORBELL, g.width = 3);
	WITH(EINVAL, g.eventfd = self->ev);		/* for nothing */
	WITH(EINVAL, g.flags = PORTAL_RANGE_F_POST);	/* only of an ACK */
	WITH(EBADF, g.attr = PORTAL_ATTR_DOORBELL, g.flags = PORTAL_RANGE_F_EVENTFD,
	     g.eventfd = NOBODY);
	WITH(ENXIO, g.attr = PORTAL_ATTR_DOORBELL, g.flags = PORTAL_RANGE_F_EVENTFD,
	     g.eventfd = self->vm);
	/* two ranges on the same byte */
	two[0] = two[1] = good;
	two[1].offset = 3;
	WITH(EEXIST, r.ranges_uptr = (uintptr_t)two, r.nr_ranges = 2);
	two[1].offset = 4;
	r.ranges_uptr = (uintptr_t)two;
	EXPECT_LT(0, region_add(self->vm, r));
#undef WITH
}

TEST_F(ioctl, region_rights_follow_the_bus)
{
	struct portal_region_add mmio = REGION(self->q.id, MOCK_MMIO, 16, NULL, 0);
	struct portal_region_add pio = REGION(self->q.id, MOCK_PORT, 16, NULL, 0,
					      .bus = PORTAL_BUS_PIO);
	int only_mmio = portal_vm_dup(self->vm, PORTAL_RIGHT_MMIO);
	int only_pio = portal_vm_dup(self->vm, PORTAL_RIGHT_PIO);

	EXPECT_ERRNO(EPERM, region_add(only_mmio, pio));
	EXPECT_ERRNO(EPERM, region_add(only_pio, mmio));
	EXPECT_LT(0, region_add(only_mmio, mmio));
	EXPECT_LT(0, region_add(only_pio, pio));
	close(only_mmio);
	close(only_pio);
}

TEST_F(ioctl, queue_create_refuses_what_it_cannot_do)
{
	struct portal_info info = { .size = sizeof(info) };
	struct queue q;

	ASSERT_EQ(0, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
#define WITH(err, entries, ...)						\
	EXPECT_ERRNO(err, queue_create(self->vm, &q,			\
				       (struct portal_queue_create)QUEUE(entries, __VA_ARGS__)))
	WITH(EINVAL, 0);
	WITH(EINVAL, 2);
	WITH(EINVAL, 6);
	WITH(EINVAL, info.out_max_entries * 2);
	WITH(EINVAL, 1U << 31);
	WITH(EOPNOTSUPP, 4, .flags = 2);
	WITH(EOPNOTSUPP, 4, .orphan = 3);
	WITH(EINVAL, 4, .hold_ns = -1ULL);
#undef WITH
	ASSERT_EQ(0, queue_create(self->vm, &q,
				  (struct portal_queue_create)QUEUE(info.out_max_entries)));
	queue_close(&q);
}

TEST_F(ioctl, queue_open_checks_in_order)
{
	struct portal_queue_open a = { .size = sizeof(a), .flags = 2, .queue_id = NOBODY };

	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_QUEUE_OPEN, &a), a.flags = 0);
	FAILS_UNTIL(ENOENT, portal_ioctl(self->vm, PORTAL_QUEUE_OPEN, &a),
		    a.queue_id = self->q.id);
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_QUEUE_OPEN, &a));
	EXPECT_EQ(FD_CLOEXEC, fcntl(a.out_fd, F_GETFD));
	EXPECT_LT(self->q.epoch, a.out_epoch);
	close(a.out_fd);
}

TEST_F(ioctl, mem_checks_in_order)
{
	char buf[8] = "";
	struct portal_mem_vec vec = { .gpa = -4ULL, .uptr = 8, .len = 8 };
	struct portal_mem_rw rw = { .size = sizeof(rw), .flags = 4, .vcpu = 1, .__reserved2 = 1,
				    .nr_vecs = 0,
				    .vecs_uptr = (uintptr_t)&vec, .__reserved = 1 };
	struct portal_mem_list list = { .size = sizeof(list), .flags = 1, .__reserved = 1 };
	struct portal_mem_map map = { .size = sizeof(map), .flags = 2, .gpa = 1, .len = 0x1000,
				      .__reserved = 1 };
	int rd = portal_vm_dup(self->vm, PORTAL_RIGHT_MEM_READ);
	int wr = portal_vm_dup(self->vm, PORTAL_RIGHT_MEM_WRITE);

	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.__reserved = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.__reserved2 = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.vcpu = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.nr_vecs = 1025);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.nr_vecs = 1);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), rw.flags = 0);
	FAILS_UNTIL(EOVERFLOW, portal_ioctl(self->none, PORTAL_MEM_RW, &rw), vec.gpa = 0);
	EXPECT_ERRNO(EPERM, portal_ioctl(self->none, PORTAL_MEM_RW, &rw));
	EXPECT_ERRNO(EPERM, portal_ioctl(wr, PORTAL_MEM_RW, &rw));
	rw.flags = PORTAL_MEM_F_WRITE;
	EXPECT_ERRNO(EPERM, portal_ioctl(rd, PORTAL_MEM_RW, &rw));
	FAILS_UNTIL(EFAULT, portal_ioctl(self->vm, PORTAL_MEM_RW, &rw),
		    vec.uptr = (uintptr_t)buf);
	EXPECT_EQ(0, portal_ioctl(wr, PORTAL_MEM_RW, &rw));
	rw.flags = 0;
	EXPECT_EQ(0, portal_ioctl(rd, PORTAL_MEM_RW, &rw));

	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_LIST, &list),
		    list.__reserved = 0);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->none, PORTAL_MEM_LIST, &list),
		    list.flags = 0);
	EXPECT_EQ(0, portal_ioctl(rd, PORTAL_MEM_LIST, &list));

	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_MAP, &map), map.__reserved = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_MAP, &map), map.gpa = -0x1000ULL);
	map.len = 0;
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_MEM_MAP, &map), map.len = 0x2000);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->none, PORTAL_MEM_MAP, &map), map.flags = 0);
	FAILS_UNTIL(EOVERFLOW, portal_ioctl(self->none, PORTAL_MEM_MAP, &map),
		    map.gpa = MOCK_RAM_SIZE - 0x1000);
	EXPECT_ERRNO(EPERM, portal_ioctl(self->none, PORTAL_MEM_MAP, &map));
	map.flags = PORTAL_MEM_F_WRITE;
	EXPECT_ERRNO(EPERM, portal_ioctl(rd, PORTAL_MEM_MAP, &map));
	EXPECT_ERRNO(ENOENT, portal_ioctl(self->vm, PORTAL_MEM_MAP, &map));
	close(rd);
	close(wr);
}

TEST_F(ioctl, irq_bind_checks_in_order)
{
	struct portal_irq_bind b = { .size = sizeof(b), .flags = 4, .gsi = 5, .eventfd = -1,
				     .resamplefd = -1, .__reserved = 1, .address = 1,
				     .data = 1, .__reserved2 = 1 };

	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.__reserved = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.__reserved2 = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.address = 0);
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.data = 0);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.flags = 0);
	EXPECT_ERRNO(EPERM, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b));
	/* the mock has no irqchip; the rest is tested with KVM's */
	b.eventfd = self->ev;
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_IRQ_BIND, &b));
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_IRQ_UNBIND, &b));
	b.flags = PORTAL_IRQ_F_MSI;
	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b), b.gsi = 0);
	EXPECT_ERRNO(EPERM, portal_ioctl(self->none, PORTAL_IRQ_BIND, &b));
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_IRQ_BIND, &b));
	b.flags |= PORTAL_IRQ_F_RESAMPLE;
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_IRQ_BIND, &b));
	EXPECT_EQ(PORTAL_IRQCHIP_NONE, portal_vm_info(self->vm).out_irqchip);
}

TEST_F(ioctl, irq_msi_checks_in_order)
{
	struct portal_irq_msi msi = { .size = sizeof(msi), .flags = 1, .address = 0xfee00000,
				      .__reserved = 1 };

	FAILS_UNTIL(EINVAL, portal_ioctl(self->none, PORTAL_IRQ_MSI, &msi), msi.__reserved = 0);
	FAILS_UNTIL(EOPNOTSUPP, portal_ioctl(self->none, PORTAL_IRQ_MSI, &msi), msi.flags = 0);
	EXPECT_ERRNO(EPERM, portal_ioctl(self->none, PORTAL_IRQ_MSI, &msi));
	EXPECT_ERRNO(EOPNOTSUPP, portal_ioctl(self->vm, PORTAL_IRQ_MSI, &msi));
}

TEST_F(ioctl, limits_are_enospc_and_as_told)
{
	struct portal_info info = { .size = sizeof(info) };
	struct portal_queue_create qc;
	unsigned int i;
	int ret = 0;

	ASSERT_EQ(0, portal_ioctl(self->m.dev, PORTAL_GET_INFO, &info));
	for (i = 0; i < info.out_max_hooks; i++) {
		ret = hook_add(self->vm, (struct portal_hook_add)HOOK(self->q.id, 1000 + i,
				1000 + i, .flags = PORTAL_HOOK_F_RAW));
		if (ret < 0)
			break;
	}
	EXPECT_LT(0, ret);
	EXPECT_ERRNO(ENOSPC, hook_add(self->vm, (struct portal_hook_add)HOOK(self->q.id,
				900, 900, .flags = PORTAL_HOOK_F_RAW)));
	/* one is there already */
	for (i = 1, ret = 0; i < info.out_max_queues && !ret; i++) {
		qc = (struct portal_queue_create)QUEUE(4);
		ret = portal_ioctl(self->vm, PORTAL_QUEUE_CREATE, &qc);
	}
	EXPECT_EQ(0, ret);
	qc = (struct portal_queue_create)QUEUE(4);
	EXPECT_ERRNO(ENOSPC, portal_ioctl(self->vm, PORTAL_QUEUE_CREATE, &qc));
	EXPECT_EQ(info.out_max_queues, portal_vm_info(self->vm).out_queues);
}

TEST_HARNESS_MAIN
