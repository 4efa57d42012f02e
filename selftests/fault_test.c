// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault_test - every allocation and every copy of every command fails once
 *
 * By /proc/thread-self/fail-nth: the first, the second, ... until a call needs no
 * more. Each failure is ENOMEM or EFAULT, and (but for EFAULT, which may come when
 * all is done and only the caller's struct cannot be written) changes nothing.
 * What is lost anyway, kmemleak tells (run.sh). Needs CONFIG_FAULT_INJECTION.
 */
#include <dirent.h>
#include <liburing.h>
#include <linux/kvm.h>
#include "mock_util.h"

#define MAX_POINTS	500

/* What a call finds, made anew when one has left something. */
struct world {
	int dev, vm;
	char *ram;
	struct queue q;
	int hook, region, window, event;
	__u64 shadow_off, window_off, request;
	struct io_uring uring;
	int kvm;		/* a real VM, if there is KVM */
	int made;		/* fd that the call gave */
	void *map;
};

struct call {
	const char *name;
	int (*fn)(struct world *w);
	int (*prepare)(struct world *w);	/* while nothing fails */
	bool always_anew;	/* also after a failure: what fails is the first time */
	bool uring;
};

static int fail_fd = -1;

/* Ends what was set; the write itself may be what fails next. */
static void fail_clear(void)
{
	while (pwrite(fail_fd, "0", 1, 0) < 0)
		if (errno != EFAULT && errno != ENOMEM)
			abort();
}

static void fail_set(int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", nth);
	if (pwrite(fail_fd, text, strlen(text), 0) < 0)
		abort();
}

/* fail_hit: did it fail? If reading that fails, the call has left it over. */
static bool fail_hit(void)
{
	char text[16] = "";
	bool hit = pread(fail_fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	fail_clear();
	return hit;
}

static int setting(const char *dir, const char *name, const char *value)
{
	char path[100];
	int fd, ret;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* All allocations can fail, quietly: a stack dump for each would be a complaint. */
static int fault_settings(void)
{
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		return -ENOENT;
	return setting("failslab", "verbose", "0") ?:
	       setting("failslab", "ignore-gfp-wait", "N") ?:
	       setting("fail_page_alloc", "verbose", "0") ?:
	       setting("fail_page_alloc", "ignore-gfp-wait", "N") ?:
	       setting("fail_page_alloc", "min-order", "0") ?:
	       setting("fail_usercopy", "verbose", "0");
}

/* ---- the calls ---------------------------------------------------------- */

#define HC_CALL		MOCK_HC
#define HC_POSTED	(MOCK_HC + 1)
#define HC_NEW		(MOCK_HC + 2)
#define TIMEOUT		(NSEC_PER_MSEC)

static int gives_fd(struct world *w, int ret)
{
	w->made = ret;
	return ret < 0 ? ret : 0;
}

static int call_get_info(struct world *w)
{
	struct portal_info arg = { .size = sizeof(arg) };

	return portal_ioctl(w->dev, PORTAL_GET_INFO, &arg);
}

static int call_mock_vm(struct world *w)
{
	return gives_fd(w, mock_try(w->dev, PORTAL_RIGHT_ALL, 1, w->ram, 4096));
}

static int call_attach(struct world *w)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = w->kvm,
					.rights = PORTAL_RIGHT_ALL };

	return gives_fd(w, portal_ioctl(w->dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd);
}

static int call_vm_info(struct world *w)
{
	struct portal_vm_info arg = { .size = sizeof(arg) };

	return portal_ioctl(w->vm, PORTAL_VM_INFO, &arg);
}

static int call_dup(struct world *w)
{
	return gives_fd(w, portal_vm_dup(w->vm, PORTAL_RIGHT_MEM_READ));
}

static int call_hook_add(struct world *w)
{
	int ret = hook_add(w->vm, (struct portal_hook_add)
			   HOOK(w->q.id, HC_NEW, HC_NEW, .flags = PORTAL_HOOK_F_RAW));

	return ret < 0 ? ret : 0;
}

/* All that can be allocated for a target: filters, slots to merge in, a set of queues. */
#define RICH(_filter, _queues)						\
	.policy = PORTAL_POLICY_COALESCE, .filters_uptr = (uintptr_t)&(_filter),	\
	.nr_filters = 1, .queues_uptr = (uintptr_t)(_queues), .nr_queues = 2

static int call_hook_add_rich(struct world *w)
{
	struct portal_filter filter = { .action = PORTAL_FILTER_IGNORE };
	__u32 queues[2] = { w->q.id, w->q.id };
	int ret = hook_add(w->vm, (struct portal_hook_add)
			   HOOK(0, HC_NEW, HC_NEW, RICH(filter, queues),
				.flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED));

	return ret < 0 ? ret : 0;
}

static int call_region_add_rich(struct world *w)
{
	struct portal_filter filter = { .action = PORTAL_FILTER_PASS };
	__u32 queues[2] = { w->q.id, w->q.id };
	int ret = region_add(w->vm, (struct portal_region_add)
			     REGION(0, MOCK_MMIO + 0x1000, 64, NULL, 0,
				    RICH(filter, queues)));

	return ret < 0 ? ret : 0;
}

static int info_of(struct world *w, unsigned long cmd, __u32 id)
{
	__u64 hits[1];
	struct portal_target_info arg = { .size = sizeof(arg), .id = id, .nr_filters = 1,
					  .hits_uptr = (uintptr_t)hits };

	return portal_ioctl(w->vm, cmd, &arg);
}

static int call_hook_info(struct world *w)
{
	return info_of(w, PORTAL_HOOK_INFO, w->hook);
}

static int call_region_info(struct world *w)
{
	return info_of(w, PORTAL_REGION_INFO, w->region);
}

static int call_rate_set(struct world *w)
{
	struct portal_rate_set arg = { .size = sizeof(arg), .rate = 1000000, .burst = 1000 };

	return portal_ioctl(w->vm, PORTAL_RATE_SET, &arg);
}

static int call_hook_del(struct world *w)
{
	return portal_id(w->vm, PORTAL_HOOK_DEL, w->hook);
}

static int call_region_add(struct world *w)
{
	struct portal_region_range ranges[] = {
		RANGE(0, 8, FENCED), RANGE(8, 8, CALL),
		RANGE(16, 4, DOORBELL, .flags = PORTAL_RANGE_F_EVENTFD),
	};
	int ret;

	ranges[2].eventfd = w->event;
	ret = region_add(w->vm, (struct portal_region_add)
			 REGION(w->q.id, MOCK_MMIO + 0x1000, 64, ranges, 3));
	return ret < 0 ? ret : 0;
}

static int call_region_del(struct world *w)
{
	return portal_id(w->vm, PORTAL_REGION_DEL, w->region);
}

static int call_queue_create(struct world *w)
{
	struct portal_queue_create arg = QUEUE(64);

	return gives_fd(w, portal_ioctl(w->vm, PORTAL_QUEUE_CREATE, &arg) ?: arg.out_fd);
}

static int call_queue_create_life(struct world *w)
{
	struct portal_queue_create arg = QUEUE(64, .flags = PORTAL_QUEUE_F_LIFECYCLE);

	return gives_fd(w, portal_ioctl(w->vm, PORTAL_QUEUE_CREATE, &arg) ?: arg.out_fd);
}

static int call_handover(struct world *w)
{
	struct portal_queue_open arg = { .size = sizeof(arg), .queue_id = w->q.id,
					 .flags = PORTAL_QUEUE_OPEN_F_HANDOVER };

	return gives_fd(w, portal_ioctl(w->vm, PORTAL_QUEUE_OPEN, &arg) ?: arg.out_fd);
}

static int call_queue_open(struct world *w)
{
	struct portal_queue_open arg = { .size = sizeof(arg), .queue_id = w->q.id };

	return gives_fd(w, portal_ioctl(w->vm, PORTAL_QUEUE_OPEN, &arg) ?: arg.out_fd);
}

/* A queue that nobody uses. */
static int prepare_queue_del(struct world *w)
{
	struct portal_queue_create arg = QUEUE(4);
	int ret = portal_ioctl(w->vm, PORTAL_QUEUE_CREATE, &arg);

	w->made = arg.out_fd;
	w->request = arg.out_queue_id;
	return ret;
}

static int call_queue_del(struct world *w)
{
	return portal_id(w->vm, PORTAL_QUEUE_DEL, w->request);
}

static int call_mem_list(struct world *w)
{
	struct portal_mem_slot slots[4];
	struct portal_mem_list arg = { .size = sizeof(arg), .nr = 4,
				       .slots_uptr = (uintptr_t)slots };

	return portal_ioctl(w->vm, PORTAL_MEM_LIST, &arg);
}

static int call_mem_rw(struct world *w)
{
	char buf[2 * 4096];
	struct portal_mem_vec vecs[] = {
		{ .gpa = 4096, .uptr = (uintptr_t)buf, .len = 100 },
		{ .gpa = 5 * 4096 - 10, .uptr = (uintptr_t)buf + 100, .len = 4096 },
	};
	struct portal_mem_rw arg = { .size = sizeof(arg), .flags = PORTAL_MEM_F_WRITE,
				     .vecs_uptr = (uintptr_t)vecs, .nr_vecs = 2 };

	memset(buf, 1, sizeof(buf));
	/* the RAM is not there yet */
	madvise(w->ram, 8 * 4096, MADV_DONTNEED);
	return portal_ioctl(w->vm, PORTAL_MEM_RW, &arg);
}

static int call_mem_map(struct world *w)
{
	struct portal_mem_map arg = { .size = sizeof(arg), .gpa = 4096, .len = 4096 };

	return portal_ioctl(w->vm, PORTAL_MEM_MAP, &arg);
}

static int call_mem_unmap(struct world *w)
{
	return portal_id(w->vm, PORTAL_MEM_UNMAP, w->window);
}

static int call_queue_info(struct world *w)
{
	struct portal_queue_info arg = { .size = sizeof(arg) };

	return portal_ioctl(w->q.fd, PORTAL_QUEUE_INFO, &arg);
}

static int call_commit(struct world *w)
{
	struct portal_reply reply = { .id = w->request, .action = PORTAL_ACTION_VALUE };

	return queue_commit(&w->q, &reply, 1);
}

static int call_read(struct world *w)
{
	struct portal_request req[4];
	ssize_t ret = read(w->q.fd, req, sizeof(req));

	return ret < 0 ? -errno : 0;
}

static int call_write(struct world *w)
{
	struct portal_reply reply = { .id = w->request, .action = PORTAL_ACTION_VALUE };

	return write(w->q.fd, &reply, sizeof(reply)) < 0 ? -errno : 0;
}

/* Interrupts are of real VMs only. */
static int prepare_irq_bind(struct world *w)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = w->kvm,
					.rights = PORTAL_RIGHT_ALL };

	if (ioctl(w->kvm, KVM_CREATE_IRQCHIP, 0))
		return -errno;
	return gives_fd(w, portal_ioctl(w->dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd);
}

static int irq(struct world *w, unsigned long cmd)
{
	struct portal_irq_bind arg = { .size = sizeof(arg), .gsi = 5, .eventfd = w->event,
				       .resamplefd = -1 };

	return portal_ioctl(w->made, cmd, &arg);
}

static int call_irq_bind(struct world *w)
{
	return irq(w, PORTAL_IRQ_BIND);
}

static int prepare_irq_unbind(struct world *w)
{
	return prepare_irq_bind(w) ?: call_irq_bind(w);
}

static int call_irq_unbind(struct world *w)
{
	return irq(w, PORTAL_IRQ_UNBIND);
}

static int map(struct world *w, int fd, __u64 off)
{
	w->map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, off);
	return w->map == MAP_FAILED ? -errno : 0;
}

static int call_mmap_ring(struct world *w)
{
	return map(w, w->q.fd, 0);
}

static int call_mmap_shadow(struct world *w)
{
	return map(w, w->vm, w->shadow_off);
}

static int call_mmap_shadow_of_queue(struct world *w)
{
	return map(w, w->q.fd, w->shadow_off);
}

static int call_mmap_window(struct world *w)
{
	return map(w, w->vm, w->window_off);
}

static int uring(struct world *w, __u32 op, __u32 nr)
{
	struct portal_reply reply = { .id = w->request, .action = PORTAL_ACTION_VALUE };
	struct portal_uring_cmd cmd = { .replies_uptr = nr ? (uintptr_t)&reply : 0,
					.nr_replies = nr, .seen = w->q.ring->head };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->uring);
	struct io_uring_cqe *cqe;
	int ret;

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, w->q.fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	ret = io_uring_submit(&w->uring);
	/* there is a request, so the answer comes at once */
	if (ret < 0 || io_uring_peek_cqe(&w->uring, &cqe))
		return ret < 0 ? ret : -EAGAIN;
	ret = cqe->res;
	io_uring_cqe_seen(&w->uring, cqe);
	return ret < 0 ? ret : 0;
}

static int call_fetch(struct world *w)
{
	return uring(w, PORTAL_URING_FETCH, 0);
}

/* A FETCH that parks, as nothing is left to read. */
static int prepare_cancel(struct world *w)
{
	struct portal_uring_cmd cmd = { .seen = w->q.ring->tail };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->uring);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, w->q.fd, NULL, 0, 0);
	sqe->cmd_op = PORTAL_URING_FETCH;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	return io_uring_submit(&w->uring) == 1 ? 0 : -EIO;
}

static int call_cancel(struct world *w)
{
	struct portal_queue_cancel arg = { .size = sizeof(arg) };

	return portal_ioctl(w->q.fd, PORTAL_QUEUE_CANCEL, &arg);
}

static int call_commit_and_fetch(struct world *w)
{
	return uring(w, PORTAL_URING_COMMIT_AND_FETCH, 1);
}

static int access_on(struct world *w, struct portal_mock_access a)
{
	a.vcpu = 1;	/* one that has done nothing yet */
	return portal_ioctl(w->vm, PORTAL_MOCK_ACCESS, &a);
}

static int call_hypercall(struct world *w)
{
	return access_on(w, mock_hc(HC_CALL, 7, 1));
}

static int call_posted(struct world *w)
{
	return access_on(w, mock_hc(HC_POSTED, 7, 1));
}

static int call_register(struct world *w)
{
	return access_on(w, mock_read(MOCK_MMIO + 8, 4));
}

static int call_sync(struct world *w)
{
	return access_on(w, mock_write(MOCK_MMIO + 16, 4, 1));
}

static int call_poll(struct world *w)
{
	struct pollfd pfd = { .fd = w->q.fd, .events = POLLIN };

	return poll(&pfd, 1, 0) < 0 ? -errno : 0;
}

#define CALL(_name, ...)	{ .name = #_name, .fn = call_##_name, ##__VA_ARGS__ }

static const struct call calls[] = {
	CALL(get_info), CALL(mock_vm), CALL(attach), CALL(vm_info), CALL(dup),
	CALL(hook_add), CALL(hook_add_rich), CALL(hook_info), CALL(hook_del),
	CALL(region_add), CALL(region_add_rich), CALL(region_info), CALL(region_del),
	CALL(rate_set), CALL(queue_create), CALL(queue_create_life),
	CALL(queue_open), CALL(handover),
	CALL(queue_del, .prepare = prepare_queue_del),
	CALL(mem_list), CALL(mem_rw), CALL(mem_map), CALL(mem_unmap),
	CALL(irq_bind, .prepare = prepare_irq_bind),
	CALL(irq_unbind, .prepare = prepare_irq_unbind),
	CALL(queue_info), CALL(commit), CALL(read), CALL(write), CALL(poll),
	CALL(mmap_ring), CALL(mmap_shadow), CALL(mmap_shadow_of_queue), CALL(mmap_window),
	CALL(cancel, .prepare = prepare_cancel, .always_anew = true),
	CALL(fetch, .always_anew = true, .uring = true),
	CALL(commit_and_fetch, .always_anew = true, .uring = true),
	CALL(hypercall, .always_anew = true), CALL(posted, .always_anew = true),
	CALL(register, .always_anew = true), CALL(sync, .always_anew = true),
};

/* ---- worlds ------------------------------------------------------------- */

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

static int world_make(struct world *w, int dev)
{
	struct portal_region_range ranges[] = {
		RANGE(0, 8, FENCED), RANGE(8, 8, CALL), RANGE(16, 8, SYNC),
	};
	struct portal_region_add region = REGION(0, MOCK_MMIO, 64, ranges, 3,
						 .timeout_ns = TIMEOUT);
	struct portal_mem_map window = { .size = sizeof(window), .gpa = 0, .len = 4096 };
	struct portal_mock_access a = mock_hc(HC_CALL, 1, 1);
	struct portal_request req;
	int ret;

	*w = (struct world){ .dev = dev, .made = -1, .kvm = -1, .map = MAP_FAILED };
	w->ram = mmap(NULL, MOCK_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	w->vm = mock_try(dev, PORTAL_RIGHT_ALL, MOCK_VCPUS, w->ram, MOCK_RAM_SIZE);
	if (w->vm < 0)
		return w->vm;
	ret = queue_create(w->vm, &w->q, (struct portal_queue_create)QUEUE(16));
	if (ret)
		return ret;
	w->hook = hook_add(w->vm, (struct portal_hook_add)
			   HOOK(w->q.id, HC_CALL, HC_CALL, .flags = PORTAL_HOOK_F_RAW,
				.timeout_ns = TIMEOUT));
	ret = hook_add(w->vm, (struct portal_hook_add)
		       HOOK(w->q.id, HC_POSTED, HC_POSTED,
			    .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED));
	if (w->hook < 0 || ret < 0)
		return -EINVAL;
	region.queue_id = w->q.id;
	ret = portal_ioctl(w->vm, PORTAL_REGION_ADD, &region) ?:
	      portal_ioctl(w->vm, PORTAL_MEM_MAP, &window);
	if (ret)
		return ret;
	w->region = region.out_region_id;
	w->shadow_off = region.out_shadow_off;
	w->window = window.out_window_id;
	w->window_off = window.out_mmap_off;
	w->event = eventfd(0, EFD_CLOEXEC);
	/* requests to read, one of them a call that is over */
	mock_run(w->vm, &a);
	a = mock_hc(HC_POSTED, 1, 1);
	mock_run(w->vm, &a);
	if (!queue_next(&w->q, &req))
		return -ETIME;
	w->request = req.id;
	ret = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (ret >= 0) {
		w->kvm = ioctl(ret, KVM_CREATE_VM, 0);
		close(ret);
	}
	return io_uring_queue_init(4, &w->uring, 0);
}

static void world_end(struct world *w, int first_fd)
{
	if (w->map != MAP_FAILED)
		munmap(w->map, 4096);
	munmap(w->q.ring, w->q.size);
	io_uring_queue_exit(&w->uring);
	/* also those whose number got lost by EFAULT */
	close_range(first_fd, ~0U, 0);
	munmap(w->ram, MOCK_RAM_SIZE);
}

FIXTURE(fault)
{
	struct mock m;
};

FIXTURE_SETUP(fault)
{
	mock_setup(_metadata, &self->m);
	if (fault_settings() == -ENOENT)
		SKIP(_exit(HARNESS_SKIP), "this kernel has no fault injection");
}

FIXTURE_TEARDOWN(fault)
{
	mock_teardown(&self->m);
}

static bool same(const struct portal_vm_info *a, const struct portal_vm_info *b)
{
	return a->out_hooks == b->out_hooks && a->out_regions == b->out_regions &&
	       a->out_queues == b->out_queues && a->out_windows == b->out_windows;
}

/* Sweeps one call; returns how many points of failure it has. */
static int sweep(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
		 const struct call *c, int first_fd, int *failed)
{
	struct portal_vm_info before, after;
	__u32 vms = portal_vms(self->m.dev), inside;
	int nth, ret, fds, users;
	bool anew = true, hit;
	struct world w;

	users = portal_users();
	for (nth = 1; nth < MAX_POINTS; nth++) {
		if (anew) {
			ret = world_make(&w, self->m.dev);
			if (!ret && c->prepare)
				ret = c->prepare(&w);
			if (ret) {
				TH_LOG("%s: no world: %d", c->name, ret);
				_metadata->passed = 0;
				return nth;
			}
			inside = portal_vms(self->m.dev);
		}
		before = portal_vm_info(w.vm);
		fds = open_fds();
		fail_set(nth);
		ret = c->fn(&w);
		hit = fail_hit();
		after = portal_vm_info(w.vm);
		*failed += ret < 0;
		/* io_uring has its own word for no memory */
		EXPECT_TRUE(!ret || ret == -ENOMEM || ret == -EFAULT ||
			    (ret == -EAGAIN && c->uring))
			TH_LOG("%s: failure %d gives %d", c->name, nth, ret);
		if (ret == -ENOMEM)
			EXPECT_TRUE(same(&before, &after) && open_fds() == fds &&
				    portal_vms(self->m.dev) == inside)
				TH_LOG("%s: failure %d leaves something", c->name, nth);
		/* without a failure it works: the sweep is of the right path */
		if (!hit)
			EXPECT_EQ(0, ret)
				TH_LOG("%s", c->name);
		anew = ret != -ENOMEM || c->always_anew;
		if (anew || !hit) {
			world_end(&w, first_fd);
			EXPECT_TRUE(WAIT_UNTIL(portal_vms(self->m.dev) == vms))
				TH_LOG("%s: a VM is left after failure %d", c->name, nth);
			EXPECT_TRUE(WAIT_UNTIL(portal_users() == users))
				TH_LOG("%s: a file is left after failure %d", c->name, nth);
		}
		if (!hit)
			break;
	}
	EXPECT_GT(MAX_POINTS, nth);
	return nth - 1;
}

TEST_F_TIMEOUT(fault, every_failure_of_every_command_is_clean, 600)
{
	int first_fd = dup(self->m.dev), i, points, failed;

	close(first_fd);
	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if ((calls[i].fn == call_attach || calls[i].fn == call_irq_bind ||
		     calls[i].fn == call_irq_unbind) && access("/dev/kvm", R_OK | W_OK)) {
			printf("# %s: no KVM here\n", calls[i].name);
			continue;
		}
		failed = 0;
		points = sweep(_metadata, self, &calls[i], first_fd, &failed);
		printf("# %-16s %3d points, %3d errors\n", calls[i].name, points, failed);
		fflush(stdout);
	}
}

TEST_HARNESS_MAIN
