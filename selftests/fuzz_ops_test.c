// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz_ops_test - sequences of system calls that nobody would write
 *
 * Rounds: a process makes a VM with a queue, a hook and a region, and then two
 * threads do what chance says to fds and mappings they share, interrupted by
 * signals. It exits or is killed; afterwards nothing may be left of it.
 */
#include <liburing.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/kvm.h>
#include "fuzz.h"
#include "fuzz_table.h"

#define THREADS		2
#define SLOTS		32
#define ROUND_NS	(2 * NSEC_PER_SEC)
#define ARENA		(16 * 4096UL)	/* a thread's arguments */
#define NO_PAGE		((void *)16)

/* What all rounds did, in memory that outlives them. */
struct tally {
	__u64 ops;
	__u64 tried[FUZZ_COMMANDS], worked[FUZZ_COMMANDS];
	__u64 completions;
	__u32 ids;	/* the newest request's id */
};

struct slot {
	int fd;
	int kind;	/* enum fuzz_fd */
	void *map;
	size_t map_len;
};

static struct tally *tally;
static struct slot slots[SLOTS];
static char *ram;
static __u64 round_end;
static int sockets[2];

struct thread {
	pthread_t thread;
	struct rnd rnd;
	char *arena;		/* with a hole behind it */
	bool uring_ok;
	struct io_uring uring;
};

static __thread sigjmp_buf jump;
static __thread volatile bool may_jump;

static void on_fault(int sig)
{
	if (may_jump)
		siglongjmp(jump, 1);
	signal(sig, SIG_DFL);
}

static void on_alarm(int sig)
{
}

/* ---- fds ---------------------------------------------------------------- */

static struct slot *slot_of(struct thread *t, int kind)
{
	__u32 start = rnd(&t->rnd, SLOTS), i;

	if (!rnd_once(&t->rnd, 16))
		for (i = 0; i < SLOTS; i++)
			if (slots[(start + i) % SLOTS].kind == kind)
				return &slots[(start + i) % SLOTS];
	return &slots[start];
}

/* Into a slot at random; what was there is closed. */
static void slot_put(struct thread *t, int fd, int kind)
{
	struct slot *s = &slots[1 + rnd(&t->rnd, SLOTS - 1)];	/* the device stays */
	int old = s->fd;

	if (fd < 0)
		return;
	s->kind = kind;
	s->fd = fd;
	if (old > 2)
		close(old);
}

/* ---- arguments ---------------------------------------------------------- */

static void *any_buffer(struct thread *t, size_t len)
{
	struct slot *s;

	switch (rnd(&t->rnd, 16)) {
	case 0:
		return NULL;
	case 1:
		return (void *)rnd_value(&t->rnd);
	case 2:
		return t->arena + ARENA - rnd(&t->rnd, 64);	/* runs into the hole */
	case 3:
		return NO_PAGE;
	case 4:
	case 5:
		s = &slots[rnd(&t->rnd, SLOTS)];	/* a ring, a shadow, a window */
		if (s->map)
			return (char *)s->map + rnd(&t->rnd, s->map_len);
	}
	return len < ARENA / 2 ? t->arena + rnd(&t->rnd, ARENA / 2) : t->arena;
}

static void fill(struct thread *t, const struct fuzz_struct *s, char *p);

static __u64 member_value(struct thread *t, const struct fuzz_member *m)
{
	struct rnd *r = &t->rnd;
	const struct fuzz_struct *array;
	__u32 nr, i;
	char *p;

	if (rnd_once(r, 128))
		return rnd_value(r);
	switch (m->kind) {
	case K_FLAGS:
		return rnd_once(r, 3) ? rnd(r, m->arg + 1) & m->arg :
		       rnd_once(r, 2) ? m->arg : rnd_once(r, 8) ? 1U << rnd(r, 32) : 0;
	case K_ENUM:
		return rnd(r, m->arg + rnd_once(r, 16));
	case K_SELDOM:
		return rnd_once(r, 4) ? rnd(r, m->arg) : 0;
	case K_CHOICE:
		return rnd_once(r, 32) ? rnd_value(r) : rnd(r, m->arg);
	case K_ID:
		return rnd_once(r, 2) ? 1 : rnd(r, 6);
	case K_REQUEST:
		return tally->ids - rnd(r, 4);
	case K_ONE:
		return !rnd_once(r, 16);
	case K_ADDR:
		if (rnd_once(r, 4))
			return rnd_once(r, 16) ? PORTAL_HC_HELLO : MOCK_HC + rnd(r, 8);
		return (rnd_once(r, 3) ? MOCK_PORT : MOCK_MMIO) +
		       (rnd_once(r, 2) ? 64 * rnd(r, 16) : rnd(r, 1024));
	case K_NR:
		return rnd_once(r, 8) ? PORTAL_HC_HELLO + 1 + rnd(r, 4) : MOCK_HC + rnd(r, 8);
	case K_GPA:
		return rnd_once(r, 2) ? 4096 * rnd(r, MOCK_RAM_SIZE / 4096) :
		       (rnd_once(r, 3) ? MOCK_PORT : MOCK_MMIO) + 64 * rnd(r, 16);
	case K_LEN:
		return rnd(r, rnd_once(r, 4) ? 8192 : 64);
	case K_POWER:
		return 1U << rnd(r, __builtin_ctz(m->arg) + 1);
	case K_TIME:
		return rnd(r, 20) * NSEC_PER_MSEC;
	case K_FD_SELDOM:
		if (!rnd_once(r, 4))
			return -1;
		/* fall through */
	case K_FD:
		return slot_of(t, m->arg)->fd;
	case K_RAM:
		return (uintptr_t)ram;
	case K_BUF:
		return (uintptr_t)any_buffer(t, 4096);
	case K_ARRAY_SELDOM:
		if (!rnd_once(r, 8))
			return 0;
		/* fall through */
	case K_ARRAY:
		if (rnd_once(r, 16))
			return (uintptr_t)any_buffer(t, 4096);
		array = &fuzz_arrays[m->arg];
		nr = 1 + rnd(r, 6);
		p = t->arena + ARENA / 2 + 4096 * rnd(r, 4);
		for (i = 0; i < nr; i++)
			fill(t, array, p + i * array->size);
		return (uintptr_t)p;
	}
	return rnd_value(r);
}

static void fill(struct thread *t, const struct fuzz_struct *s, char *p)
{
	const struct fuzz_member *m;
	__u64 value;
	__u32 word;

	memset(p, 0, s->size);
	for (m = s->members; m->kind; m++) {
		value = member_value(t, m);
		memcpy(p + m->offset, &value, m->size);
	}
	while (rnd_once(&t->rnd, 16)) {
		word = rnd_value(&t->rnd);
		memcpy(p + 4 * rnd(&t->rnd, s->size / 4), &word, 4);
	}
}

/* ---- what can be done --------------------------------------------------- */

static void do_ioctl(struct thread *t)
{
	__u32 nr = rnd(&t->rnd, FUZZ_COMMANDS + 12);
	const struct fuzz_struct *s;
	__u32 size;
	char *p;
	int ret, fd;

	/* the last row is the guest: it has the most to do; VMs are slow to go */
	if (nr >= FUZZ_COMMANDS ||
	    (fuzz_commands[nr].on == FD_DEV && fuzz_commands[nr].gives && !rnd_once(&t->rnd, 4)))
		nr = FUZZ_COMMANDS - 1;
	s = &fuzz_commands[nr];
	size = s->size;
	/* the argument ends where memory ends */
	p = t->arena + ARENA - s->size;
	fill(t, s, p);
	if (rnd_once(&t->rnd, 16))
		size = rnd_once(&t->rnd, 2) ? rnd(&t->rnd, 200) : rnd_value(&t->rnd);
	if (s->cmd != PORTAL_QUEUE_COMMIT)
		memcpy(p, &size, 4);
	if (rnd_once(&t->rnd, 64))
		p = any_buffer(t, 64);
	ret = ioctl(slot_of(t, s->on)->fd, s->cmd, p);
	__atomic_add_fetch(&tally->tried[nr], 1, __ATOMIC_RELAXED);
	if (ret < 0)
		return;
	__atomic_add_fetch(&tally->worked[nr], 1, __ATOMIC_RELAXED);
	if (s->gives) {
		memcpy(&fd, t->arena + ARENA - s->size + s->out, sizeof(fd));
		if (p == t->arena + ARENA - s->size)
			slot_put(t, fd, s->gives);
	}
}

static void do_garbage(struct thread *t)
{
	unsigned int cmd = rnd_once(&t->rnd, 2) ? rnd_value(&t->rnd) :
			   _IOC(rnd(&t->rnd, 4), PORTAL_IOC_MAGIC, rnd(&t->rnd, 256),
				rnd_once(&t->rnd, 2) ? rnd(&t->rnd, 128) : 0);

	ioctl(slots[rnd(&t->rnd, SLOTS)].fd, cmd, any_buffer(t, 64));
}

static void do_read(struct thread *t)
{
	struct slot *s = slot_of(t, FD_QUEUE);
	struct portal_request *req = (void *)(t->arena + ARENA / 2);
	void *buf = rnd_once(&t->rnd, 8) ? any_buffer(t, 4096) : req;

	/* now and then it sleeps until a signal comes */
	fcntl(s->fd, F_SETFL, rnd_once(&t->rnd, 8) ? 0 : O_NONBLOCK);
	if (read(s->fd, buf, rnd_once(&t->rnd, 8) ? rnd_value(&t->rnd) % ARENA : 1024) >=
	    (ssize_t)sizeof(*req) && buf == req && s->kind == FD_QUEUE)
		tally->ids = req->id;
}

static void do_write(struct thread *t)
{
	char *p = t->arena + ARENA / 2;
	__u32 nr = 1 + rnd(&t->rnd, 4), i;

	for (i = 0; i < nr; i++)
		fill(t, &fuzz_arrays[ARRAY_REPLIES], p + i * sizeof(struct portal_reply));
	if (rnd_once(&t->rnd, 16))
		p = any_buffer(t, 4096);
	if (write(slot_of(t, FD_QUEUE)->fd, p, nr * sizeof(struct portal_reply)) < 0)
		return;
}

static void do_poll(struct thread *t)
{
	struct pollfd fds[3];
	int i;

	for (i = 0; i < 3; i++)
		fds[i] = (struct pollfd){ .fd = slot_of(t, FD_QUEUE)->fd,
					  .events = rnd64(&t->rnd) };
	poll(fds, 3, rnd(&t->rnd, 2));
}

static void do_mmap(struct thread *t)
{
	struct slot *s = slot_of(t, rnd_once(&t->rnd, 2) ? FD_QUEUE : FD_VM);
	size_t len = 4096UL << rnd(&t->rnd, 4);
	__u64 off = 0;
	void *map;

	if (s->kind == FD_VM)
		off = (1ULL + rnd(&t->rnd, 2)) << 60 | (__u64)rnd(&t->rnd, 5) << 44;
	if (rnd_once(&t->rnd, 4))
		off += 4096 * rnd(&t->rnd, 8);
	if (rnd_once(&t->rnd, 16))
		off = rnd_value(&t->rnd) & ~0xfffULL;
	map = mmap(NULL, len, rnd_once(&t->rnd, 3) ? PROT_READ : PROT_READ | PROT_WRITE,
		   rnd_once(&t->rnd, 16) ? MAP_PRIVATE : MAP_SHARED, s->fd, off);
	if (map == MAP_FAILED)
		return;
	/* what was mapped before stays until the process ends, or is cut to pieces */
	if (s->map && rnd_once(&t->rnd, 2))
		munmap(s->map, s->map_len >> rnd(&t->rnd, 2));
	s->map_len = len;
	s->map = map;
}

static void do_touch(struct thread *t)
{
	struct slot *s = &slots[rnd(&t->rnd, SLOTS)];
	volatile __u64 *p;
	__u32 i;

	if (!s->map)
		return;
	p = (void *)((uintptr_t)s->map & ~7UL);
	may_jump = true;
	if (!sigsetjmp(jump, 1))
		for (i = 0; i < 8; i++) {
			__u32 at = rnd(&t->rnd, s->map_len / 8);

			if (rnd_once(&t->rnd, 2))
				p[at] = rnd_value(&t->rnd);
			else
				(void)p[at];
		}
	may_jump = false;
}

static void do_memory(struct thread *t)
{
	char *p = ram + 4096 * rnd(&t->rnd, MOCK_RAM_SIZE / 4096 - 8);

	switch (rnd(&t->rnd, 4)) {
	case 0:
		madvise(p, 8 * 4096, MADV_DONTNEED);
		break;
	case 1:
		mprotect(p, 4096, rnd_once(&t->rnd, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
		break;
	case 2:
		mmap(p, 4 * 4096, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
		break;
	default:
		munmap(p, 4096);
	}
}

static void do_uring(struct thread *t)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct portal_uring_cmd cmd;
	int i;

	if (!t->uring_ok)
		return;
	fill(t, &fuzz_uring_arg, (char *)&cmd);
	sqe = io_uring_get_sqe(&t->uring);
	if (sqe) {
		if (rnd_once(&t->rnd, 8)) {
			io_uring_prep_cancel64(sqe, rnd(&t->rnd, 4), 0);
		} else {
			io_uring_prep_rw(IORING_OP_URING_CMD, sqe, slot_of(t, FD_QUEUE)->fd, NULL,
					 0, 0);
			sqe->cmd_op = rnd_once(&t->rnd, 32) ? rnd64(&t->rnd) :
							      fuzz_uring[rnd(&t->rnd, 3)];
			memcpy(sqe->cmd, &cmd, sizeof(cmd));
			sqe->user_data = rnd(&t->rnd, 4);
			if (rnd_once(&t->rnd, 8))
				sqe->flags |= 1U << rnd(&t->rnd, 6);
		}
		io_uring_submit(&t->uring);
	}
	for (i = 0; i < 8 && !io_uring_peek_cqe(&t->uring, &cqe); i++) {
		io_uring_cqe_seen(&t->uring, cqe);
		__atomic_add_fetch(&tally->completions, 1, __ATOMIC_RELAXED);
	}
}

/* Fds take a way round: dup, or by SCM_RIGHTS, perhaps never received. */
static void do_pass(struct thread *t)
{
	struct slot *s = &slots[rnd(&t->rnd, SLOTS)];
	char byte = s->kind, control[CMSG_SPACE(sizeof(int))] = { };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd;

	switch (rnd(&t->rnd, 3)) {
	case 0:
		slot_put(t, dup(s->fd), s->kind);
		break;
	case 1:
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &s->fd, sizeof(int));
		sendmsg(sockets[0], &msg, MSG_DONTWAIT);
		break;
	default:
		if (recvmsg(sockets[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1 &&
		    (c = CMSG_FIRSTHDR(&msg)) && c->cmsg_type == SCM_RIGHTS) {
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
			slot_put(t, fd, byte);
		}
	}
}

static void do_close(struct thread *t)
{
	struct slot *s = &slots[1 + rnd(&t->rnd, SLOTS - 1)];
	int fd = s->fd;

	s->fd = -1;
	s->kind = FD_NONE;
	if (fd > 2)
		close(fd);
	if (rnd_once(&t->rnd, 4) && s->map) {
		munmap(s->map, s->map_len);
		s->map = NULL;
	}
}

static void do_new(struct thread *t)
{
	int kvm, vm;

	if (rnd_once(&t->rnd, 2)) {
		slot_put(t, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), FD_EVENT);
		return;
	}
	if (!rnd_once(&t->rnd, 8))
		return;
	/* a real VM, with neither RAM nor vCPUs */
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	close(kvm);
	if (rnd_once(&t->rnd, 2))
		ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	slot_put(t, vm, FD_KVM);
}

static void step(struct thread *t);

/* Same fds, another mm: all mappings are copied, the VM's is not this one. */
static void do_fork(struct thread *t)
{
	int pid, i;

	if (!rnd_once(&t->rnd, 8))
		return;
	pid = fork();
	if (!pid) {
		t->uring_ok = false;	/* shared with the parent, by no rule */
		for (i = 0; i < 20; i++)
			step(t);
		_exit(0);
	}
	/* reaped by whoever comes; the kernel does, as SIGCHLD is ignored */
}

static void step(struct thread *t)
{
	static const struct {
		void (*fn)(struct thread *t);
		__u8 weight;
	} ops[] = {
		{ do_ioctl, 50 }, { do_garbage, 2 }, { do_read, 6 }, { do_write, 4 },
		{ do_poll, 3 }, { do_mmap, 4 }, { do_touch, 6 }, { do_memory, 2 },
		{ do_uring, 10 }, { do_pass, 4 }, { do_close, 3 }, { do_new, 4 }, { do_fork, 1 },
	};
	__u32 total = 0, at, i;

	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		total += ops[i].weight;
	at = rnd(&t->rnd, total);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	ops[i].fn(t);
	__atomic_add_fetch(&tally->ops, 1, __ATOMIC_RELAXED);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	char *p = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED || mprotect(p + ARENA, 4096, PROT_NONE))
		_exit(2);
	t->arena = p;
	t->uring_ok = !io_uring_queue_init(8, &t->uring, 0);
	while (now_ns() < round_end)
		step(t);
	return NULL;
}

/* ---- rounds ------------------------------------------------------------- */

/* A process's start: something of everything, so that most of what comes can work. */
static void prepare(int dev)
{
	struct portal_region_range ranges[] = {
		RANGE(0, 8, SHADOW), RANGE(8, 8, FENCED), RANGE(16, 8, SYNC), RANGE(24, 8, CALL),
		RANGE(32, 4, DOORBELL, .flags = PORTAL_RANGE_F_COUNT, .aux = 128),
	};
	struct queue q = { .fd = -1 };
	int i;

	for (i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1 };
	ram = mmap(NULL, MOCK_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	slots[0] = (struct slot){ .fd = dev, .kind = FD_DEV };
	slots[2].fd = mock_try(dev, PORTAL_RIGHT_ALL, MOCK_VCPUS, ram, MOCK_RAM_SIZE);
	slots[2].kind = FD_VM;
	if (slots[2].fd < 0 ||
	    queue_create(slots[2].fd, &q, (struct portal_queue_create)
			 QUEUE(8, .flags = PORTAL_QUEUE_F_LIFECYCLE,
			       .orphan = PORTAL_ORPHAN_REQUEUE)))
		_exit(2);
	slots[3] = (struct slot){ .fd = q.fd, .kind = FD_QUEUE, .map = q.ring, .map_len = q.size };
	hook_add(slots[2].fd, (struct portal_hook_add)
		 HOOK(q.id, MOCK_HC, MOCK_HC + 3, .flags = PORTAL_HOOK_F_RAW,
		      .timeout_ns = 20 * NSEC_PER_MSEC));
	region_add(slots[2].fd, (struct portal_region_add)
		   REGION(q.id, MOCK_MMIO, 64, ranges, 5, .timeout_ns = 20 * NSEC_PER_MSEC));
}

static void round_main(__u64 seed, int dev)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };
	struct thread threads[THREADS] = { };
	struct rnd r = { seed };
	int i;

	setpgid(0, 0);
	signal(SIGCHLD, SIG_IGN);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	prepare(dev);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets))
		_exit(2);
	round_end = now_ns() + ROUND_NS;
	setitimer(ITIMER_REAL, &timer, NULL);
	for (i = 0; i < THREADS; i++) {
		threads[i].rnd.state = rnd64(&r);
		if (pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]))
			_exit(2);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	_exit(0);
}

static bool ended(int pid)
{
	siginfo_t info = { };

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

FIXTURE(fuzz_ops)
{
	struct mock m;
};

FIXTURE_SETUP(fuzz_ops)
{
	mock_setup(_metadata, &self->m);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, tally);
}

FIXTURE_TEARDOWN(fuzz_ops)
{
	mock_teardown(&self->m);
}

TEST_F_TIMEOUT(fuzz_ops, no_sequence_breaks_or_leaves_anything, FUZZ_TIMEOUT)
{
	__u64 end = now_ns() + fuzz_seconds * NSEC_PER_SEC;
	struct rnd r = { fuzz_seed };
	int users, status, pid, i;
	__u32 rounds = 0, never = 0, vms;

	vms = portal_vms(self->m.dev);
	users = portal_users();
	do {
		__u64 seed = rnd64(&r), start = now_ns();
		__u64 when = rnd_once(&r, 3) ? rnd(&r, ROUND_NS) : ROUND_NS + PATIENCE_NS;

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			round_main(seed, self->m.dev);
		/* killed in the middle, or at its own end; children of it too */
		while (!ended(pid) && now_ns() - start < when)
			poll(NULL, 0, 5);
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		ASSERT_TRUE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid))
			TH_LOG("round %u of seed %llu hangs", rounds, fuzz_seed);
		/* it may have shot itself, but it must have begun */
		ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 2);
		ASSERT_TRUE(WAIT_UNTIL(portal_vms(self->m.dev) == vms))
			TH_LOG("%u VMs left by round %u of seed %llu", portal_vms(self->m.dev) - vms,
			       rounds, fuzz_seed);
		EXPECT_TRUE(WAIT_UNTIL(portal_users() == users));
		rounds++;
	} while (now_ns() < end);

	printf("# %u rounds, %llu operations, %llu completions\n", rounds, tally->ops,
	       tally->completions);
	for (i = 0; i < FUZZ_COMMANDS; i++) {
		printf("# %-12s %8llu tried, %8llu worked\n", fuzz_commands[i].name,
		       tally->tried[i], tally->worked[i]);
		/* there is no irqchip, and perhaps no KVM */
		if (fuzz_commands[i].cmd == PORTAL_VM_ATTACH ||
		    fuzz_commands[i].cmd == PORTAL_IRQ_BIND ||
		    fuzz_commands[i].cmd == PORTAL_IRQ_UNBIND ||
		    fuzz_commands[i].cmd == PORTAL_IRQ_MSI)
			continue;
		never += tally->tried[i] > 300 && !tally->worked[i];
		if (tally->tried[i] > 1000)
			EXPECT_LT(0, tally->worked[i]);
	}
	/* else the table is wrong; of a few hundred in a short run none may be right */
	EXPECT_GE(2, never);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv);
}
