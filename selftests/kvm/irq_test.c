// SPDX-License-Identifier: GPL-2.0-only
/*
 * irq_test - interrupts into a real guest, through KVM's irqchip
 */
#include "portal_kvm.h"

#define GSI	5

static __u32 irqs_taken;
static __u32 irqs_wanted;

static void on_irq(struct ex_regs *regs)
{
	__atomic_add_fetch(&irqs_taken, 1, __ATOMIC_SEQ_CST);
	guest_eoi();
}

/* Sleeps until it has taken irqs_wanted interrupts. */
static void idle(bool level)
{
	guest_irq_on(GSI, level);
	guest_report(1);
	for (;;) {
		asm volatile("cli");
		if (__atomic_load_n(&irqs_taken, __ATOMIC_SEQ_CST) >=
		    __atomic_load_n(&irqs_wanted, __ATOMIC_SEQ_CST))
			break;
		asm volatile("sti; hlt");
	}
	GUEST_DONE();
}

static void guest_idle_edge(void)
{
	idle(false);
}

static void guest_idle_level(void)
{
	idle(true);
}

#define ROUNDS	2000

static __u32 posted[2], stop;

static void on_shared_irq(struct ex_regs *regs)
{
	__atomic_exchange_n(&posted[0], 0, __ATOMIC_SEQ_CST);
	__atomic_exchange_n(&posted[1], 0, __ATOMIC_SEQ_CST);
	guest_eoi();
}

/* Stays awake, so that it looks as soon as the pin is high. */
static void guest_shared_pin(void)
{
	guest_irq_on(GSI, false);
	guest_report(1);
	asm volatile("sti");
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		asm volatile("pause");
	GUEST_DONE();
}

FIXTURE(irq)
{
	struct guest g;
	struct portal_irq_bind bind;
};

FIXTURE_SETUP(irq)
{
	self->bind = (struct portal_irq_bind){
		.size = sizeof(self->bind), .gsi = GSI, .resamplefd = -1,
		.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

FIXTURE_TEARDOWN(irq)
{
	guest_end(&self->g);
}

/* start: the guest idles until it has taken @wanted interrupts. */
static int start(FIXTURE_DATA(irq) *self, __u32 wanted)
{
	struct guest *g = &self->g;

	vm_install_exception_handler(g->vm, IRQ_VECTOR, on_irq);
	SHARED(g, irqs_wanted) = wanted;
	if (guest_start(g))
		return -EAGAIN;
	return WAIT_UNTIL(__atomic_load_n(&g->nr, __ATOMIC_ACQUIRE)) ? 0 : -ETIMEDOUT;
}

static bool taken(FIXTURE_DATA(irq) *self, __u32 nr)
{
	return WAIT_UNTIL(SHARED(&self->g, irqs_taken) == nr);
}

TEST_F(irq, each_edge_wakes_an_idle_guest)
{
	struct guest *g = &self->g;
	__u32 i;

	guest_init(_metadata, g, guest_idle_edge);
	EXPECT_EQ(PORTAL_IRQCHIP_FULL, portal_vm_info(g->fd).out_irqchip);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, start(self, 20));
	for (i = 1; i <= 20; i++) {
		ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
		ASSERT_TRUE(taken(self, i));
	}
	ASSERT_EQ(0, guest_join(g));
}

TEST_F(irq, level_stays_until_eoi_and_tells_it)
{
	struct guest *g = &self->g;
	eventfd_t n;
	__u32 i;

	guest_init(_metadata, g, guest_idle_level);
	self->bind.flags = PORTAL_IRQ_F_RESAMPLE;
	self->bind.resamplefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, start(self, 3));
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
		ASSERT_TRUE(WAIT_UNTIL(!eventfd_read(self->bind.resamplefd, &n)));
		EXPECT_EQ(1, n);
		EXPECT_EQ(i, SHARED(g, irqs_taken));
	}
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(3, SHARED(g, irqs_taken));
}

TEST_F(irq, unbind_ends_it_and_it_can_be_bound_again)
{
	struct guest *g = &self->g;

	guest_init(_metadata, g, guest_idle_edge);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, start(self, 2));
	ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
	ASSERT_TRUE(taken(self, 1));
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_UNBIND, &self->bind));
	ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
	/* what KVM does not take stays in the eventfd */
	EXPECT_EQ(0, eventfd_read(self->bind.eventfd, &(eventfd_t){ 0 }));
	EXPECT_EQ(1, SHARED(g, irqs_taken));
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
	ASSERT_TRUE(taken(self, 2));
	ASSERT_EQ(0, guest_join(g));
}

struct poster {
	struct guest *g;
	__u32 nr;
	int eventfd;
	__u32 lost;
};

/* Says what it has before it signals, as every device does. */
static void *post(void *arg)
{
	struct poster *p = arg;
	__u32 i;

	for (i = 0; i < ROUNDS && !p->lost; i++) {
		__atomic_store_n(&SHARED(p->g, posted)[p->nr], 1, __ATOMIC_SEQ_CST);
		eventfd_write(p->eventfd, 1);
		p->lost = !WAIT_UNTIL(!__atomic_load_n(&SHARED(p->g, posted)[p->nr],
						       __ATOMIC_SEQ_CST));
	}
	return NULL;
}

TEST_F(irq, two_eventfds_of_a_pin_lose_no_edge)
{
	struct guest *g = &self->g;
	struct poster p[2] = { { g, 0, self->bind.eventfd, 0 }, { g, 1, -1, 0 } };
	struct portal_irq_bind second = self->bind;
	pthread_t threads[2];
	__u32 i;

	guest_init(_metadata, g, guest_shared_pin);
	second.eventfd = p[1].eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &second));
	vm_install_exception_handler(g->vm, IRQ_VECTOR, on_shared_irq);
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(WAIT_UNTIL(__atomic_load_n(&g->nr, __ATOMIC_ACQUIRE)));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, post, &p[i]));
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	SHARED(g, stop) = 1;
	EXPECT_EQ(0, p[0].lost);
	EXPECT_EQ(0, p[1].lost);
	ASSERT_EQ(0, guest_join(g));
	close(second.eventfd);
}

TEST_F(irq, bind_checks_what_it_gets)
{
	struct guest *g = &self->g;
	struct portal_irq_bind b;
	int none;

	guest_init(_metadata, g, guest_idle_edge);
	none = portal_vm_dup(g->fd, PORTAL_RIGHT_ALL & ~PORTAL_RIGHT_IRQ);
	ASSERT_LE(0, none);
#define WITH(err, ...) do {							\
	b = self->bind;								\
	__VA_ARGS__;								\
	EXPECT_ERRNO(err, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &b));		\
} while (0)
	WITH(EBADF, b.eventfd = -1);
	WITH(EBADF, b.eventfd = 9999);
	WITH(ENXIO, b.eventfd = g->fd);
	WITH(EBADF, b.flags = PORTAL_IRQ_F_RESAMPLE);
	WITH(ENXIO, b.flags = PORTAL_IRQ_F_RESAMPLE, b.resamplefd = g->fd);
	WITH(EINVAL, b.gsi = 1U << 20);
	b = self->bind;
	EXPECT_ERRNO(EPERM, portal_ioctl(none, PORTAL_IRQ_BIND, &b));
	EXPECT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &b));
	WITH(EBUSY, (void)0);
#undef WITH
	EXPECT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_UNBIND, &b));
	close(none);
}

TEST_F(irq, lives_until_the_eventfd_is_closed)
{
	struct guest *g = &self->g;
	__u32 i;

	/* more often than there is anything to leak unnoticed */
	guest_init(_metadata, g, guest_idle_edge);
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
		close(self->bind.eventfd);
		self->bind.eventfd = eventfd(0, EFD_CLOEXEC);
	}
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_IRQ_BIND, &self->bind));
	ASSERT_EQ(0, start(self, 1));
	ASSERT_EQ(0, eventfd_write(self->bind.eventfd, 1));
	ASSERT_EQ(0, guest_join(g));
}

TEST_HARNESS_MAIN
