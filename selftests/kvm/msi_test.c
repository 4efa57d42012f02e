// SPDX-License-Identifier: GPL-2.0-only
/*
 * msi_test - messages to the vCPUs of a real guest, and what each kind of
 * irqchip allows
 */
#include "portal_kvm.h"

#define NR_VCPUS	2
#define PAGES		1024
#define GSI		5
#define MSI_ADDRESS	0xfee00000ULL

static __u32 taken[NR_VCPUS];
static __u32 wanted[NR_VCPUS];

static void on_irq(struct ex_regs *regs)
{
	__u32 id = x2apic_read_reg(APIC_ID);

	__atomic_add_fetch(&taken[id], 1, __ATOMIC_SEQ_CST);
	guest_eoi();
}

/* Sleeps until it has taken its interrupts. */
static void guest_idle(void)
{
	__u32 id;

	x2apic_enable();
	id = x2apic_read_reg(APIC_ID);
	guest_report(1);
	for (;;) {
		asm volatile("cli");
		if (__atomic_load_n(&taken[id], __ATOMIC_SEQ_CST) >=
		    __atomic_load_n(&wanted[id], __ATOMIC_SEQ_CST))
			break;
		asm volatile("sti; hlt");
	}
	GUEST_DONE();
}

static void guest_nothing(void)
{
	GUEST_DONE();
}

enum chip { CHIP_FULL, CHIP_SPLIT, CHIP_NONE };

FIXTURE(msi)
{
	struct guest g[NR_VCPUS];	/* portal is g[0]'s */
	int ev;
};

FIXTURE_SETUP(msi)
{
	self->ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

FIXTURE_TEARDOWN(msi)
{
	if (!self->g[1].started)
		guest_end(&self->g[0]);
	close(self->ev);
}

static void init(struct __test_metadata *_metadata, FIXTURE_DATA(msi) *self, enum chip chip,
		 void *code)
{
	struct portal_vm_attach attach = { .size = sizeof(attach), .rights = PORTAL_RIGHT_ALL };
	struct guest *g = self->g;
	struct kvm_vm *vm;
	int i, kvm;

	g[0] = (struct guest){ .dev = portal_open(_metadata), .fd = -1 };
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		SKIP(_exit(HARNESS_SKIP), "no /dev/kvm");
	close(kvm);
	vm = ____vm_create(VM_MODE_DEFAULT, PAGES);
	kvm_vm_elf_load(vm, program_invocation_name);
	if (chip == CHIP_FULL)
		vm_create_irqchip(vm);
	if (chip == CHIP_SPLIT)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	for (i = 0; i < NR_VCPUS; i++) {
		g[i].vm = vm;
		g[i].vcpu = vm_vcpu_add(vm, i, code);
	}
	if (chip != CHIP_NONE) {
		vm_init_descriptor_tables(vm);
		for (i = 0; i < NR_VCPUS; i++)
			vcpu_init_descriptor_tables(g[i].vcpu);
		vm_install_exception_handler(vm, IRQ_VECTOR, on_irq);
	}
	attach.vm_fd = vm->fd;
	ASSERT_EQ(0, portal_ioctl(g->dev, PORTAL_VM_ATTACH, &attach));
	g->fd = attach.out_fd;
	ASSERT_EQ(0, queue_create(g->fd, &g->q, (struct portal_queue_create)QUEUE(64)));
}

/* start: both vCPUs idle until they have taken @nr0 and @nr1 interrupts. */
static int start(FIXTURE_DATA(msi) *self, __u32 nr0, __u32 nr1)
{
	int i;

	SHARED(&self->g[0], wanted[0]) = nr0;
	SHARED(&self->g[0], wanted[1]) = nr1;
	for (i = 0; i < NR_VCPUS; i++)
		if (guest_start(&self->g[i]) ||
		    !WAIT_UNTIL(__atomic_load_n(&self->g[i].nr, __ATOMIC_ACQUIRE)))
			return -EAGAIN;
	return 0;
}

static bool took(FIXTURE_DATA(msi) *self, int vcpu, __u32 nr)
{
	return WAIT_UNTIL(SHARED(&self->g[0], taken[vcpu]) == nr);
}

static int join(FIXTURE_DATA(msi) *self)
{
	return guest_join(&self->g[0]) ?: guest_join(&self->g[1]);
}

static int msi(int fd, __u32 apic_id, __u32 vector)
{
	struct portal_irq_msi arg = { .size = sizeof(arg), .data = vector,
				      .address = MSI_ADDRESS | apic_id << 12 };

	return portal_ioctl(fd, PORTAL_IRQ_MSI, &arg);
}

static struct portal_irq_bind msi_bind(int ev, __u32 apic_id)
{
	return (struct portal_irq_bind){
		.size = sizeof(struct portal_irq_bind), .flags = PORTAL_IRQ_F_MSI,
		.eventfd = ev, .resamplefd = -1, .data = IRQ_VECTOR,
		.address = MSI_ADDRESS | apic_id << 12,
	};
}

static int bind(int fd, struct portal_irq_bind arg)
{
	return portal_ioctl(fd, PORTAL_IRQ_BIND, &arg);
}

static int unbind(int fd, struct portal_irq_bind arg)
{
	return portal_ioctl(fd, PORTAL_IRQ_UNBIND, &arg);
}

/* Ten to one idle vCPU, five to the other, each of which wakes it. */
static void messages(struct __test_metadata *_metadata, FIXTURE_DATA(msi) *self)
{
	int fd = self->g[0].fd;
	__u32 i;

	ASSERT_EQ(0, start(self, 10, 5));
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, msi(fd, 0, IRQ_VECTOR));
		ASSERT_TRUE(took(self, 0, i));
		if (i > 5)
			continue;
		ASSERT_EQ(0, msi(fd, 1, IRQ_VECTOR));
		ASSERT_TRUE(took(self, 1, i));
	}
	ASSERT_EQ(0, join(self));
	EXPECT_EQ(10, SHARED(&self->g[0], taken[0]));
	EXPECT_EQ(5, SHARED(&self->g[0], taken[1]));
}

TEST_F(msi, reaches_each_idle_vcpu)
{
	init(_metadata, self, CHIP_FULL, guest_idle);
	EXPECT_EQ(PORTAL_IRQCHIP_FULL, portal_vm_info(self->g[0].fd).out_irqchip);
	messages(_metadata, self);
}

TEST_F(msi, reaches_each_idle_vcpu_of_a_split_irqchip)
{
	init(_metadata, self, CHIP_SPLIT, guest_idle);
	EXPECT_EQ(PORTAL_IRQCHIP_SPLIT, portal_vm_info(self->g[0].fd).out_irqchip);
	messages(_metadata, self);
}

TEST_F(msi, every_write_of_a_bound_eventfd_is_a_message)
{
	struct portal_irq_bind b1;
	int fd;
	__u32 i;

	init(_metadata, self, CHIP_SPLIT, guest_idle);
	fd = self->g[0].fd;
	b1 = msi_bind(self->ev, 1);
	ASSERT_EQ(0, bind(fd, b1));
	EXPECT_ERRNO(EBUSY, bind(fd, b1));
	ASSERT_EQ(0, start(self, 1, 12));
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, eventfd_write(self->ev, 1));
		ASSERT_TRUE(took(self, 1, i));
	}
	/* one eventfd, two messages */
	ASSERT_EQ(0, bind(fd, msi_bind(self->ev, 0)));
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	ASSERT_TRUE(took(self, 1, 11));
	ASSERT_TRUE(took(self, 0, 1));
	/* what is not bound any more stays in the eventfd */
	ASSERT_EQ(0, unbind(fd, msi_bind(self->ev, 0)));
	ASSERT_EQ(0, unbind(fd, b1));
	EXPECT_ERRNO(ENOENT, unbind(fd, b1));
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	EXPECT_EQ(0, eventfd_read(self->ev, &(eventfd_t){ 0 }));
	EXPECT_EQ(11, SHARED(&self->g[0], taken[1]));
	/* signalled before it is bound: it comes at once */
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	ASSERT_EQ(0, bind(fd, b1));
	ASSERT_TRUE(took(self, 1, 12));
	ASSERT_EQ(0, join(self));
}

TEST_F(msi, a_binding_ends_with_its_eventfd_and_with_the_client)
{
	struct portal_vm_attach attach = { .size = sizeof(attach), .rights = PORTAL_RIGHT_IRQ };
	int i, ev;

	init(_metadata, self, CHIP_FULL, guest_idle);
	ASSERT_EQ(0, start(self, 1, 1));
	for (i = 0; i < 50; i++) {
		ev = eventfd(0, EFD_CLOEXEC);
		ASSERT_EQ(0, bind(self->g[0].fd, msi_bind(ev, 0)));
		close(ev);
	}
	/* the last write before the close still counts */
	ev = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, bind(self->g[0].fd, msi_bind(ev, 0)));
	ASSERT_EQ(0, eventfd_write(ev, 1));
	close(ev);
	ASSERT_TRUE(took(self, 0, 1));

	attach.vm_fd = self->g[0].vm->fd;
	ASSERT_EQ(0, portal_ioctl(self->g[0].dev, PORTAL_VM_ATTACH, &attach));
	ASSERT_EQ(0, bind(attach.out_fd, msi_bind(self->ev, 1)));
	close(attach.out_fd);
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	EXPECT_EQ(0, eventfd_read(self->ev, &(eventfd_t){ 0 }));
	EXPECT_EQ(0, SHARED(&self->g[0], taken[1]));
	ASSERT_EQ(0, msi(self->g[0].fd, 1, IRQ_VECTOR));
	ASSERT_EQ(0, join(self));
}

TEST_F(msi, edges_on_a_gsi_that_a_split_irqchip_routes)
{
	struct portal_irq_bind gsi = {
		.size = sizeof(gsi), .gsi = GSI, .eventfd = self->ev, .resamplefd = -1,
	};
	struct kvm_irq_routing *routing;
	int i, resample;

	init(_metadata, self, CHIP_SPLIT, guest_idle);
	/* as a VMM does for a pin of its IOAPIC */
	routing = calloc(1, sizeof(*routing) + sizeof(routing->entries[0]));
	routing->nr = 1;
	routing->entries[0] = (struct kvm_irq_routing_entry){
		.gsi = GSI, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = MSI_ADDRESS | 1 << 12, .data = IRQ_VECTOR },
	};
	ASSERT_EQ(0, ioctl(self->g[0].vm->fd, KVM_SET_GSI_ROUTING, routing));
	free(routing);
	ASSERT_EQ(0, bind(self->g[0].fd, gsi));
	ASSERT_EQ(0, start(self, 1, 10));
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, eventfd_write(self->ev, 1));
		ASSERT_TRUE(took(self, 1, i));
	}
	ASSERT_EQ(0, unbind(self->g[0].fd, gsi));
	resample = eventfd(0, EFD_CLOEXEC);
	gsi.flags = PORTAL_IRQ_F_RESAMPLE;
	gsi.resamplefd = resample;
	EXPECT_ERRNO(EOPNOTSUPP, bind(self->g[0].fd, gsi));
	close(resample);
	ASSERT_EQ(0, msi(self->g[0].fd, 0, IRQ_VECTOR));
	ASSERT_EQ(0, join(self));
}

TEST_F(msi, without_an_irqchip_there_are_none)
{
	struct portal_irq_bind gsi = {
		.size = sizeof(gsi), .gsi = GSI, .eventfd = self->ev, .resamplefd = -1,
	};

	init(_metadata, self, CHIP_NONE, guest_nothing);
	EXPECT_EQ(PORTAL_IRQCHIP_NONE, portal_vm_info(self->g[0].fd).out_irqchip);
	EXPECT_ERRNO(EOPNOTSUPP, msi(self->g[0].fd, 0, IRQ_VECTOR));
	EXPECT_ERRNO(EOPNOTSUPP, bind(self->g[0].fd, msi_bind(self->ev, 0)));
	EXPECT_ERRNO(EOPNOTSUPP, bind(self->g[0].fd, gsi));
}

TEST_F(msi, checks_what_it_gets)
{
	int fd, none;

	init(_metadata, self, CHIP_FULL, guest_nothing);
	fd = self->g[0].fd;
	none = portal_vm_dup(fd, PORTAL_RIGHT_ALL & ~PORTAL_RIGHT_IRQ);
	ASSERT_LE(0, none);
	EXPECT_ERRNO(EPERM, msi(none, 0, IRQ_VECTOR));
	EXPECT_ERRNO(EPERM, bind(none, msi_bind(self->ev, 0)));
	/* there is no vCPU 77: as in hardware, it is lost */
	EXPECT_EQ(0, msi(fd, 77, IRQ_VECTOR));
	EXPECT_ERRNO(EBADF, bind(fd, msi_bind(-1, 0)));
	EXPECT_ERRNO(ENXIO, bind(fd, msi_bind(fd, 0)));
	EXPECT_ERRNO(ENOENT, unbind(fd, msi_bind(self->ev, 0)));
	close(none);
}

TEST_HARNESS_MAIN
