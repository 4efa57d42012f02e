// SPDX-License-Identifier: GPL-2.0-only
/*
 * rights_test - a VM fd that was passed on with fewer rights: every operation is
 * refused without its right, and done with it
 */
#include <sys/socket.h>
#include "mock_util.h"

#define H	PORTAL_RIGHT_HYPERCALL
#define M	PORTAL_RIGHT_MMIO
#define P	PORTAL_RIGHT_PIO
#define I	PORTAL_RIGHT_IRQ
#define RD	PORTAL_RIGHT_MEM_READ
#define WR	PORTAL_RIGHT_MEM_WRITE
#define PAUSE	PORTAL_RIGHT_PAUSE
#define SERVE	{ H, M, P }
#define NOBODY	9999

FIXTURE(rights)
{
	struct mock m;
	struct queue q;
	struct region r[2];	/* by bus */
	int hook;
	int other;		/* pid of who passes it on */
	int ask;		/* socket to it */
};

static int fd_send(int sock, int fd)
{
	char c = 'x', buf[CMSG_SPACE(sizeof(fd))] = "";
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int fd_receive(int sock)
{
	char c, buf[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	struct cmsghdr *cmsg;
	int fd = -EPROTO;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* A process that holds the VM fd, and passes on what it is asked for. */
static void passer(int vm, int sock)
{
	__u32 rights;
	int fd;

	while (read(sock, &rights, sizeof(rights)) == sizeof(rights)) {
		fd = portal_vm_dup(vm, rights);
		if (fd < 0 || fd_send(sock, fd))
			_exit(1);
		close(fd);
	}
	_exit(0);
}

/* passed_on: a VM fd with @rights, from the other process. */
static int passed_on(FIXTURE_DATA(rights) *self, __u32 rights)
{
	if (write(self->ask, &rights, sizeof(rights)) != sizeof(rights))
		return -errno;
	return fd_receive(self->ask);
}

FIXTURE_SETUP(rights)
{
	int sock[2];

	mock_setup(_metadata, &self->m);
	ASSERT_EQ(0, queue_create(self->m.vm, &self->q, (struct portal_queue_create)QUEUE(8)));
	self->hook = hook_add(self->m.vm, (struct portal_hook_add)
			      HOOK(self->q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW));
	ASSERT_LT(0, self->hook);
	ASSERT_EQ(0, region_map(self->m.vm, &self->r[PORTAL_BUS_MMIO], (struct portal_region_add)
				REGION(self->q.id, MOCK_MMIO, 64, NULL, 0)));
	ASSERT_EQ(0, region_map(self->m.vm, &self->r[PORTAL_BUS_PIO], (struct portal_region_add)
				REGION(self->q.id, MOCK_PORT, 64, NULL, 0,
				       .bus = PORTAL_BUS_PIO)));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	self->other = fork();
	ASSERT_LE(0, self->other);
	if (!self->other) {
		close(sock[0]);
		passer(self->m.vm, sock[1]);
	}
	close(sock[1]);
	self->ask = sock[0];
}

FIXTURE_TEARDOWN(rights)
{
	close(self->ask);
	EXPECT_EQ(self->other, waitpid(self->other, NULL, 0));
	region_unmap(&self->r[0]);
	region_unmap(&self->r[1]);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

union arg {
	__u32 size;
	struct portal_vm_info vm_info;
	struct portal_vm_dup vm_dup;
	struct portal_hook_add hook_add;
	struct portal_region_add region_add;
	struct portal_id id;
	struct portal_target_info target_info;
	struct portal_rate_set rate_set;
	struct portal_queue_create queue_create;
	struct portal_queue_open queue_open;
	struct portal_mem_list mem_list;
	struct portal_mem_rw mem_rw;
	struct portal_mem_map mem_map;
	struct portal_irq_bind irq_bind;
	struct portal_irq_msi irq_msi;
};

/*
 * Each ioctl of a VM fd. The argument is valid, but of an object that does not
 * exist, so that it may be done again and again: @with is what who may gets.
 * @any: each of these rights alone is enough; none: no right is needed.
 */
static struct op {
	const char *name;
	unsigned long cmd;
	__u32 size;
	__u32 any[4];
	int with;
	union arg arg;
} ops[] = {
#define OP(_cmd, _struct, _member, _with, ...)				\
	.name = #_cmd, .cmd = PORTAL_##_cmd, .size = sizeof(struct _struct), .with = _with, \
	.arg._member = { .size = sizeof(struct _struct), __VA_ARGS__ }
	{ OP(VM_INFO, portal_vm_info, vm_info, 0) },
	{ OP(HOOK_ADD, portal_hook_add, hook_add, -ENOENT, .kind = PORTAL_KIND_HYPERCALL,
	     .flags = PORTAL_HOOK_F_RAW, .queue_id = NOBODY, .first = 99, .last = 99), .any = { H } },
	{ OP(HOOK_DEL, portal_id, id, -ENOENT, .id = NOBODY), .any = { H } },
	{ OP(HOOK_INFO, portal_target_info, target_info, -ENOENT, .id = NOBODY), .any = { H } },
	{ OP(REGION_ADD, portal_region_add, region_add, -ENOENT, .queue_id = NOBODY,
	     .gpa = 2 * MOCK_MMIO, .len = 4), .any = { M } },
	{ OP(REGION_ADD, portal_region_add, region_add, -ENOENT, .queue_id = NOBODY,
	     .bus = PORTAL_BUS_PIO, .gpa = 0x80, .len = 4), .any = { P } },
	{ OP(REGION_INFO, portal_target_info, target_info, -ENOENT, .id = NOBODY), .any = { M, P } },
	{ OP(REGION_DEL, portal_id, id, -ENOENT, .id = NOBODY), .any = { M, P } },
	{ OP(RATE_SET, portal_rate_set, rate_set, 0), .any = SERVE },
	{ OP(RATE_SET, portal_rate_set, rate_set, 0, .flags = PORTAL_RATE_F_VM), .any = { PAUSE } },
	{ OP(QUEUE_OPEN, portal_queue_open, queue_open, -ENOENT, .queue_id = NOBODY), .any = SERVE },
	{ OP(QUEUE_DEL, portal_id, id, -ENOENT, .id = NOBODY), .any = SERVE },
	{ OP(MEM_LIST, portal_mem_list, mem_list, 0), .any = { RD, WR } },
	{ OP(MEM_RW, portal_mem_rw, mem_rw, -EFAULT, .vecs_uptr = 8, .nr_vecs = 1) },
	{ OP(MEM_MAP, portal_mem_map, mem_map, -ENOENT, .gpa = 0x70000000, .len = 0x1000),
	  .any = { RD } },
	{ OP(MEM_MAP, portal_mem_map, mem_map, -ENOENT, .gpa = 0x70000000, .len = 0x1000,
	     .flags = PORTAL_MEM_F_WRITE), .any = { RD | WR } },
	{ OP(MEM_UNMAP, portal_id, id, -ENOENT, .id = NOBODY), .any = { RD } },
	{ OP(IRQ_BIND, portal_irq_bind, irq_bind, -EOPNOTSUPP, .eventfd = -1), .any = { I } },
	{ OP(IRQ_UNBIND, portal_irq_bind, irq_bind, -EOPNOTSUPP, .eventfd = -1), .any = { I } },
	{ OP(IRQ_MSI, portal_irq_msi, irq_msi, -EOPNOTSUPP, .address = 0xfee00000), .any = { I } },
#undef OP
};

static bool may(const struct op *op, __u32 rights)
{
	unsigned int i;

	if (!op->any[0])
		return true;
	for (i = 0; i < 4; i++)
		if (op->any[i] && (rights & op->any[i]) == op->any[i])
			return true;
	return false;
}

TEST_F(rights, every_ioctl_is_refused_without_its_right)
{
	__u32 sets[] = { 0, H, M, P, I, RD, WR, PORTAL_RIGHT_VCPU_STATE, PAUSE, RD | WR,
			 PORTAL_RIGHT_ALL, ~H & PORTAL_RIGHT_ALL, ~M & PORTAL_RIGHT_ALL,
			 ~P & PORTAL_RIGHT_ALL, ~I & PORTAL_RIGHT_ALL, ~RD & PORTAL_RIGHT_ALL,
			 ~WR & PORTAL_RIGHT_ALL, ~PAUSE & PORTAL_RIGHT_ALL,
			 ~(H | M | P) & PORTAL_RIGHT_ALL };
	unsigned int s, i, asked = 0, refused = 0;
	union arg arg;
	int fd;

	for (s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		fd = passed_on(self, sets[s]);
		ASSERT_LE(0, fd);
		EXPECT_EQ(sets[s], portal_vm_info(fd).out_rights);
		for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
			int want = may(&ops[i], sets[s]) ? ops[i].with : -EPERM;

			arg = ops[i].arg;
			EXPECT_EQ(want, portal_ioctl(fd, ops[i].cmd, &arg)) {
				TH_LOG("%s with rights %#x", ops[i].name, sets[s]);
			}
			asked++;
			refused += want == -EPERM;
		}
		close(fd);
	}
	fprintf(stderr, "# %u ioctls with %u sets of rights: %u asked, %u refused\n",
	       (unsigned int)(sizeof(ops) / sizeof(ops[0])),
	       (unsigned int)(sizeof(sets) / sizeof(sets[0])), asked, refused);
}

TEST_F(rights, the_table_knows_every_ioctl)
{
	struct portal_vm_info info = { .size = sizeof(info) };
	unsigned int nr, i;

	for (nr = 0; nr < 0x38; nr++) {
		unsigned long cmd = _IO(PORTAL_IOC_MAGIC, nr);
		bool known = portal_ioctl(self->m.vm, cmd, (void *)8) != -ENOTTY;

		for (i = 0; i < sizeof(ops) / sizeof(ops[0]) && ops[i].cmd != cmd; i++)
			;
		/* these make something, and have tests of their own below */
		if (cmd == PORTAL_VM_DUP || cmd == PORTAL_QUEUE_CREATE)
			continue;
		EXPECT_EQ(known, i < sizeof(ops) / sizeof(ops[0])) {
			TH_LOG("command %#lx", cmd);
		}
	}
}

TEST_F(rights, objects_of_others_are_refused_too)
{
	static const __u32 serve[] = SERVE;
	int none = passed_on(self, PORTAL_RIGHT_ALL & ~(H | M | P));
	int mmio = passed_on(self, M), pio = passed_on(self, P), rd = passed_on(self, RD);
	struct portal_queue_create qc;
	__u64 word = 0;
	struct portal_mem_vec vec = { .uptr = (uintptr_t)&word, .len = 8 };
	struct portal_mem_rw rw = { .size = sizeof(rw), .vecs_uptr = (uintptr_t)&vec,
				    .nr_vecs = 1 };
	struct queue q;
	int i, fd;

	/* in existence, so that nothing but the right is missing */
	EXPECT_ERRNO(EPERM, portal_id(none, PORTAL_HOOK_DEL, self->hook));
	EXPECT_ERRNO(EPERM, portal_id(none, PORTAL_QUEUE_DEL, self->q.id));
	EXPECT_ERRNO(EPERM, queue_open(none, &q, self->q.id));
	EXPECT_ERRNO(EPERM, portal_id(pio, PORTAL_REGION_DEL, self->r[0].arg.out_region_id));
	EXPECT_ERRNO(EPERM, portal_id(mmio, PORTAL_REGION_DEL, self->r[1].arg.out_region_id));
	qc = (struct portal_queue_create)QUEUE(4);
	EXPECT_ERRNO(EPERM, portal_ioctl(none, PORTAL_QUEUE_CREATE, &qc));
	for (i = 0; i < 3; i++) {
		fd = passed_on(self, serve[i]);
		qc = (struct portal_queue_create)QUEUE(4);
		EXPECT_EQ(0, portal_ioctl(fd, PORTAL_QUEUE_CREATE, &qc));
		close(qc.out_fd);
		close(fd);
	}
	EXPECT_ERRNO(EPERM, portal_vm_dup(rd, RD | WR));
	EXPECT_EQ(0, portal_ioctl(rd, PORTAL_MEM_RW, &rw));
	EXPECT_ERRNO(EPERM, portal_ioctl(mmio, PORTAL_MEM_RW, &rw));
	rw.flags = PORTAL_MEM_F_WRITE;
	EXPECT_ERRNO(EPERM, portal_ioctl(rd, PORTAL_MEM_RW, &rw));
	EXPECT_EQ(3, portal_vm_info(none).out_hooks + portal_vm_info(none).out_regions);
	close(none);
	close(mmio);
	close(pio);
	close(rd);
}

/* map: 0 or -errno of mapping the shadow of a region through @fd. */
static int map(int fd, const struct region *r)
{
	void *p = mmap(NULL, r->arg.out_shadow_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       r->arg.out_shadow_off);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, r->arg.out_shadow_size);
	return 0;
}

TEST_F(rights, shadow_needs_the_right_of_its_bus_or_its_queue)
{
	int others = passed_on(self, PORTAL_RIGHT_ALL & ~(M | P));
	int mmio = passed_on(self, M), pio = passed_on(self, P);
	struct queue q, next;

	EXPECT_ERRNO(EPERM, map(others, &self->r[0]));
	EXPECT_ERRNO(EPERM, map(others, &self->r[1]));
	EXPECT_EQ(0, map(mmio, &self->r[0]));
	EXPECT_ERRNO(EPERM, map(mmio, &self->r[1]));
	EXPECT_ERRNO(EPERM, map(pio, &self->r[0]));
	EXPECT_EQ(0, map(pio, &self->r[1]));
	/* who serves them; not the owner of another queue, nor a former one */
	ASSERT_EQ(0, queue_create(self->m.vm, &q, (struct portal_queue_create)QUEUE(4)));
	EXPECT_ERRNO(EPERM, map(q.fd, &self->r[0]));
	EXPECT_EQ(0, map(self->q.fd, &self->r[0]));
	EXPECT_EQ(0, map(self->q.fd, &self->r[1]));
	ASSERT_EQ(0, queue_open(self->m.vm, &next, self->q.id));
	EXPECT_ERRNO(ESTALE, map(self->q.fd, &self->r[0]));
	EXPECT_EQ(0, map(next.fd, &self->r[0]));
	queue_close(&next);
	queue_close(&q);
	close(others);
	close(mmio);
	close(pio);
}

TEST_HARNESS_MAIN
