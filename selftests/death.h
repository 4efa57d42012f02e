/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * death.h - a VMM and a daemon that die in every order
 *
 * A cycle: a VMM (a process whose guest calls all the time) and a daemon (a
 * process that serves it), then deaths in an order at random. When both are
 * reaped, nothing may be left. PORTAL_DEATH_CYCLES says how often (20),
 * PORTAL_SEED repeats a run.
 */
#ifndef DEATH_H
#define DEATH_H

#include <liburing.h>
#include "fuzz.h"

#define DEATH_CYCLES	20
#define DEATH_HC	(PORTAL_HC_SERVICE(0))
#define DEATH_LEN	64

enum { DEATH_FENCED = 0, DEATH_CALL = 8, DEATH_SYNC = 16, DEATH_PLAIN = 24 };

/* What a daemon is told, a byte each. */
#define DAEMON_ORDERS	"qvhrQoefx"

/**
 * struct vmm - a VMM's process
 * @fd: of its VM, a copy: KVM's VM fd, or portal's if it is a mock
 * @go: closing it lets it exit by itself
 */
struct vmm {
	int pid;
	int fd;
	int go;
};

struct death_ops {
	/* the VMM's: makes a guest, sends its fd, runs it until @go is at its end */
	void (*vmm_main)(int dev, int up, int go);
	/* portal's VM fd from the VMM's fd */
	int (*attach)(int dev, int fd);
	__u64 gpa;
};

struct daemon {
	int pid;
	int orders;	/* write end */
};

static inline int vmm_spawn(const struct death_ops *ops, int dev, struct vmm *v)
{
	int up[2], down[2], fd = -1;

	if (pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC))
		return -errno;
	v->pid = fork();
	if (v->pid < 0)
		return -errno;
	if (!v->pid) {
		setpgid(0, 0);
		close(up[0]);
		close(down[1]);
		ops->vmm_main(dev, up[1], down[0]);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	v->go = down[1];
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		fd = -1;
	close(up[0]);
	v->fd = fd < 0 ? -EPIPE : pidfd_take(v->pid, fd);
	return v->fd < 0 ? v->fd : 0;
}

/* ---- the daemon --------------------------------------------------------- */

struct served {
	struct queue q;
	int how;
};

/* Serves until its fd is dead: by read(), by io_uring, by the ring. */
static void *serve_main(void *arg)
{
	struct served *s = arg;
	struct portal_reply reply = { .action = PORTAL_ACTION_VALUE, .value = 1 };
	struct portal_request reqs[8];
	struct io_uring uring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	ssize_t got, i;

	if (s->how == 0) {
		while ((got = read(s->q.fd, reqs, sizeof(reqs))) > 0)
			for (i = 0; i < got / (ssize_t)sizeof(*reqs); i++) {
				reply.id = reqs[i].id;
				if (write(s->q.fd, &reply, sizeof(reply)) < 0)
					return NULL;
			}
		return NULL;
	}
	if (io_uring_queue_init(4, &uring, 0))
		return NULL;
	for (;;) {
		struct portal_uring_cmd cmd = { .seen = s->q.seen };

		sqe = io_uring_get_sqe(&uring);
		io_uring_prep_rw(IORING_OP_URING_CMD, sqe, s->q.fd, NULL, 0, 0);
		sqe->cmd_op = PORTAL_URING_FETCH;
		memcpy(sqe->cmd, &cmd, sizeof(cmd));
		if (io_uring_submit(&uring) < 0 || io_uring_wait_cqe(&uring, &cqe))
			break;
		got = cqe->res;
		io_uring_cqe_seen(&uring, cqe);
		if (got < 0 && got != -ETIME)
			break;
		/* how 2 never answers: time-outs do */
		while (queue_ready(&s->q) && queue_next(&s->q, &reqs[0])) {
			if (s->how == 1 && reqs[0].flags & PORTAL_REQ_F_CALL)
				queue_reply(&s->q, reqs[0].id, 1);
			queue_consume(&s->q);
		}
	}
	io_uring_queue_exit(&uring);
	return NULL;
}

static inline void serve(struct served *s)
{
	pthread_t thread;

	pthread_create(&thread, NULL, serve_main, s);
	pthread_detach(thread);
}

/* Everything that a daemon can have, and then what it is told. */
static void daemon_main(const struct death_ops *ops, int dev, int fd, int orders, __u64 seed)
{
	struct portal_region_range ranges[] = {
		RANGE(DEATH_FENCED, 8, FENCED), RANGE(DEATH_CALL, 8, CALL),
		RANGE(DEATH_SYNC, 8, SYNC),
	};
	struct portal_mem_map window = { .size = sizeof(window), .len = 4096 };
	struct rnd r = { seed };
	struct served s[2] = { };
	struct region region;
	int vm, hook = 0, ret;
	char order;

	vm = ops->attach(dev, fd);
	if (fd != vm)
		close(fd);
	/* the VMM may be dead already: then there is nothing to have */
	ret = vm < 0 ? vm : queue_create(vm, &s[0].q, (struct portal_queue_create)
			QUEUE(8, .flags = PORTAL_QUEUE_F_LIFECYCLE, .orphan = rnd(&r, 3),
			      .hold_ns = NSEC_PER_SEC));
	if (!ret) {
		s[0].how = rnd(&r, 3);
		hook = hook_add(vm, (struct portal_hook_add)
				HOOK(s[0].q.id, DEATH_HC, DEATH_HC, .flags = PORTAL_HOOK_F_RAW,
				     .timeout_ns = 100 * NSEC_PER_MSEC));
		ret = region_map(vm, &region, (struct portal_region_add)
				 REGION(s[0].q.id, ops->gpa, DEATH_LEN, ranges, 3,
					.timeout_ns = 100 * NSEC_PER_MSEC));
		if (!portal_ioctl(vm, PORTAL_MEM_MAP, &window)) {
			volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm,
						window.out_mmap_off);

			if (p != MAP_FAILED && rnd(&r, 2))
				(void)*p;	/* or SIGBUS, if the VM has just died */
		}
		serve(&s[0]);
	}
	while (read(orders, &order, 1) == 1) {
		switch (order) {
		case 'q':
			close(s[0].q.fd);
			break;
		case 'v':
			close(vm);
			break;
		case 'h':
			portal_id(vm, PORTAL_HOOK_DEL, hook);
			break;
		case 'r':
			portal_id(vm, PORTAL_REGION_DEL, region.arg.out_region_id);
			break;
		case 'Q':
			portal_id(vm, PORTAL_QUEUE_DEL, s[0].q.id);
			break;
		case 'o':
			if (!s[1].how && !queue_open(vm, &s[1].q, s[0].q.id)) {
				s[1].how = 1;
				serve(&s[1]);
			}
			break;
		case 'e':
			execl("/proc/self/exe", "death_test", "exit", NULL);
			_exit(1);
		case 'f':
			if (!fork()) {
				/* holds all of it, until it is killed with its group */
				for (;;)
					pause();
			}
			break;
		case 'x':
			_exit(0);
		}
	}
	_exit(0);
}

static inline int daemon_spawn(const struct death_ops *ops, int dev, const struct vmm *v,
			       struct daemon *d, __u64 seed)
{
	int down[2];

	if (pipe2(down, O_CLOEXEC))
		return -errno;
	d->pid = fork();
	if (d->pid < 0)
		return -errno;
	if (!d->pid) {
		setpgid(0, 0);
		close(down[1]);
		close(v->go);
		daemon_main(ops, dev, v->fd, down[0], seed);
	}
	setpgid(d->pid, d->pid);
	close(down[0]);
	d->orders = down[1];
	return 0;
}

static inline bool reaped(int pid)
{
	return WAIT_UNTIL(waitpid(pid, NULL, WNOHANG) == pid);
}

/* ---- a cycle ------------------------------------------------------------ */

/* Returns what went wrong, or NULL. */
static const char *death_cycle(const struct death_ops *ops, int dev, struct rnd *r)
{
	int vmm_status = 0, i, nr = rnd(r, 8);
	struct daemon d = { };
	struct vmm v = { };
	char order;

	signal(SIGPIPE, SIG_IGN);
	if (vmm_spawn(ops, dev, &v))
		return "no VMM";
	if (daemon_spawn(ops, dev, &v, &d, rnd64(r)))
		return "no daemon";
	close(v.fd);
	/* at any moment: while it attaches, or when all is running */
	poll(NULL, 0, rnd(r, 3) ? rnd(r, 50) : 0);
	for (i = 0; i < nr; i++) {
		switch (rnd(r, 8)) {
		case 0:
			kill(d.pid, SIGKILL);
			break;
		case 1:
			kill(v.pid, SIGKILL);
			break;
		case 2:
			if (!vmm_status++)
				close(v.go);
			break;
		case 3:
			/* somebody wants the module gone: not while it is in use */
			if (!syscall(SYS_delete_module, "portal", O_NONBLOCK))
				return "the module went while it was in use";
			break;
		default:
			order = DAEMON_ORDERS[rnd(r, strlen(DAEMON_ORDERS))];
			if (write(d.orders, &order, 1) != 1)
				break;
		}
		poll(NULL, 0, rnd_once(r, 4) ? rnd(r, 20) : 0);
	}
	/* who is left, in either order, with their children */
	for (i = rnd(r, 2), nr = 0; nr < 2; nr++, i ^= 1)
		kill(-(i ? d.pid : v.pid), SIGKILL);
	if (!vmm_status)
		close(v.go);
	close(d.orders);
	if (!reaped(d.pid))
		return "the daemon does not die";
	if (!reaped(v.pid))
		return "the VMM does not die";
	return NULL;
}

/* ---- what is left ------------------------------------------------------- */

/* A field of /proc/meminfo in KiB. */
static inline long meminfo(const char *field)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char name[40];
	long kib = -1, value;

	while (file && kib < 0 && fscanf(file, "%39[^:]: %ld%*[^\n]\n", name, &value) == 2)
		if (!strcmp(name, field))
			kib = value;
	if (file)
		fclose(file);
	return kib;
}

struct memory {
	long slab, vmalloc, anon;
};

static inline struct memory memory_now(void)
{
	return (struct memory){
		meminfo("SUnreclaim"), meminfo("VmallocUsed"), meminfo("AnonPages"),
	};
}

/* Is a hook of ours still in KVM's text? They linger for 10 s. */
static inline bool hooked(bool report)
{
	FILE *file = fopen("/sys/kernel/tracing/enabled_functions", "r");
	char line[300];
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "kvm_emulate_hypercall ", 22) ||
		    !strncmp(line, "kvm_mmu_page_fault ", 19) ||
		    !strncmp(line, "kvm_vm_release ", 15)) {
			found = true;
			if (report)
				printf("# still hooked: %s", line);
		}
	if (file)
		fclose(file);
	return found;
}

static void death_cycles(struct __test_metadata *_metadata, const struct death_ops *ops, int dev)
{
	const char *env = getenv("PORTAL_DEATH_CYCLES"), *wrong;
	int cycles = env ? atoi(env) : DEATH_CYCLES, i;
	__u32 vms = portal_vms(dev);
	int users = portal_users();
	struct rnd r = { fuzz_seed };
	struct memory start = { }, end;

	for (i = 0; i < cycles; i++) {
		__u64 seed = rnd64(&r);

		wrong = death_cycle(ops, dev, &(struct rnd){ seed });
		ASSERT_EQ(NULL, wrong)
			TH_LOG("%s: cycle %d of seed %llu", wrong, i, fuzz_seed);
		ASSERT_TRUE(WAIT_UNTIL(portal_vms(dev) == vms))
			TH_LOG("a VM is left by cycle %d of seed %llu", i, fuzz_seed);
		ASSERT_TRUE(WAIT_UNTIL(portal_users() == users))
			TH_LOG("a file is left by cycle %d of seed %llu", i, fuzz_seed);
		/* caches have filled up */
		if (i == cycles / 4)
			start = memory_now();
	}
	/* and for each hook all tasks are waited for */
	for (i = 0; i < 9 && hooked(false); i++)
		WAIT_UNTIL(!hooked(false));
	EXPECT_FALSE(hooked(true));
	end = memory_now();
	printf("# %d cycles; KiB: slab %+ld, vmalloc %+ld, anonymous %+ld\n", cycles,
	       end.slab - start.slab, end.vmalloc - start.vmalloc, end.anon - start.anon);
	fflush(stdout);
	/* KASAN keeps what is freed; there kmemleak looks (run.sh) */
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		return;
	/* less than a page for each cycle, beside 1 MiB that belongs to nobody */
	EXPECT_GT(1024 + 3 * cycles, end.slab - start.slab);
	EXPECT_GT(1024 + 3 * cycles, end.vmalloc - start.vmalloc);
	EXPECT_GT(1024 + 3 * cycles, end.anon - start.anon);
}

/* main() of a death test; "exit" is what its daemons exec. */
static int death_main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	return fuzz_main(argc, argv);
}

#endif /* DEATH_H */
