/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * fake.c - a kernel for unit tests, by the linker's --wrap
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fake.h"

struct fake fake;

static uint32_t read_seen;

int __real_ioctl(int fd, unsigned long cmd, void *arg);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_write(int fd, const void *buf, size_t len);
int __real_poll(struct pollfd *pfd, nfds_t nr, int timeout);
int __wrap_ioctl(int fd, unsigned long cmd, void *arg);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __wrap_poll(struct pollfd *pfd, nfds_t nr, int timeout);

/* ---- the ring ---------------------------------------------------------- */

void fake_ring(uint32_t entries, uint32_t entry_size, uint32_t start)
{
	struct portal_ring *ring = fake.ring;

	fake.ring_size = 4096 + (size_t)entries * entry_size;
	assert_ok(ftruncate(fake.queue_fd, (off_t)fake.ring_size));
	if (ring)
		munmap(ring, 1 << 20);
	ring = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fake.queue_fd, 0);
	assert_true(ring != MAP_FAILED);
	*ring = (struct portal_ring){
		.magic = PORTAL_RING_MAGIC, .version = PORTAL_RING_VERSION,
		.entries = entries, .entry_size = entry_size, .entries_off = 4096,
		.queue_id = FAKE_QUEUE_ID, .epoch = 1, .head = start, .tail = start,
	};
	fake.ring = ring;
	read_seen = start;
}

static struct portal_request *entry(uint32_t index)
{
	struct portal_ring *ring = fake.ring;

	return (void *)((char *)ring + ring->entries_off +
			(size_t)(index & (ring->entries - 1)) * ring->entry_size);
}

static void wake(void)
{
	uint64_t one = 1;

	if (!fake.parked)
		return;
	fake.parked = false;
	assert_int_equal(__real_write(fake.wake_fd, &one, sizeof(one)), sizeof(one));
}

uint64_t fake_push(void)
{
	struct portal_ring *ring = fake.ring;

	if (ring->tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) >= ring->entries)
		return 0;
	*entry(ring->tail) = (struct portal_request){
		.id = ++fake.last_id, .kind = PORTAL_KIND_HYPERCALL,
		.flags = PORTAL_REQ_F_CALL, .data = { fake.last_id * 10 },
	};
	__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
	wake();
	return fake.last_id;
}

void fake_flag(uint32_t set)
{
	__atomic_fetch_or(&fake.ring->flags, set, __ATOMIC_SEQ_CST);
	if (set & PORTAL_RING_F_STALE)
		wake();
}

static void head_seen(void)
{
	__atomic_fetch_and(&fake.ring->flags,
			   ~(PORTAL_RING_F_NEED_COMMIT | PORTAL_RING_F_OVERFLOW),
			   __ATOMIC_SEQ_CST);
}

/* Returns how many replies were taken, or -errno if not even one. */
static int take_replies(const struct portal_reply *reply, uint32_t nr)
{
	uint32_t i;

	assert_true(nr <= 256);
	for (i = 0; i < nr; i++) {
		if (fake.refused_id && reply[i].id == fake.refused_id)
			return i ? (int)i : -EOPNOTSUPP;
		assert_true(fake.nr_got < 2048);
		fake.got[fake.nr_got++] = reply[i];
	}
	return (int)nr;
}

int fake_commit(const struct portal_uring_cmd *cmd)
{
	int err = fake.commit_err, ret;

	fake.commit_err = 0;
	if (err)
		return -err;
	ret = take_replies((void *)(uintptr_t)cmd->replies_uptr, cmd->nr_replies);
	if (ret >= 0)
		head_seen();
	return ret;
}

/* ---- ioctl ------------------------------------------------------------- */

static int mem_rw(struct portal_mem_rw *arg)
{
	const struct portal_mem_vec *vec = (void *)(uintptr_t)arg->vecs_uptr;
	uint32_t i;

	fake.rw_calls++;
	fake.rw_flags = arg->flags;
	fake.rw_vcpu = arg->vcpu;
	assert_true(arg->nr_vecs >= 1 && arg->nr_vecs <= 1024);
	for (i = 0; i < arg->nr_vecs; i++, vec++) {
		void *ram = fake.vm_mem + vec->gpa, *buf = (void *)(uintptr_t)vec->uptr;

		if (vec->gpa + vec->len > fake.rw_limit)
			return -ENOENT;
		if (fake.rw_signal && arg->out_done + vec->len > fake.rw_signal) {
			/* a signal in the middle of this one */
			memcpy(buf, ram, fake.rw_signal - arg->out_done);
			arg->out_done = fake.rw_signal;
			fake.rw_signal = 0;
			return -EINTR;
		}
		if (arg->flags & PORTAL_MEM_F_WRITE)
			memcpy(ram, buf, vec->len);
		else
			memcpy(buf, ram, vec->len);
		arg->out_done += vec->len;
	}
	return 0;
}

static int mem_map(struct portal_mem_map *arg)
{
	void (*hook)(void) = fake.on_map;
	uint32_t i;

	fake.on_map = NULL;
	if (hook)
		hook();
	for (i = 0; i < fake.nr_slots; i++)
		if (fake.slots[i].gpa == arg->gpa && fake.slots[i].len == arg->len)
			break;
	if (i == fake.nr_slots)
		return -ENOENT;
	if (fake.map_err[fake.slots[i].slot])
		return -fake.map_err[fake.slots[i].slot];
	fake.windows++;
	fake.map_flags = arg->flags;
	arg->out_window_id = ++fake.maps;
	arg->out_mmap_off = 4096 * (1 + fake.slots[i].slot);
	return 0;
}

static int vm_ioctl(unsigned long cmd, void *arg)
{
	switch (cmd) {
	case PORTAL_GET_INFO:
		((struct portal_info *)arg)->out_api_version = PORTAL_API_VERSION;
		return 0;
	case PORTAL_VM_ATTACH:
		((struct portal_vm_attach *)arg)->out_fd = dup(fake.vm_fd);
		return 0;
	case PORTAL_VM_INFO:
		return 0;
	case PORTAL_VM_DUP:
		((struct portal_vm_dup *)arg)->out_fd = dup(fake.vm_fd);
		return 0;
	case PORTAL_HOOK_ADD:
		fake.hook = *(struct portal_hook_add *)arg;
		((struct portal_hook_add *)arg)->out_hook_id = 5;
		return 0;
	case PORTAL_HOOK_INFO:
	case PORTAL_REGION_INFO:
		fake.target = *(struct portal_target_info *)arg;
		((struct portal_target_info *)arg)->out_hits = cmd == PORTAL_HOOK_INFO ? 41 : 42;
		return 0;
	case PORTAL_RATE_SET:
		fake.rate = *(struct portal_rate_set *)arg;
		return 0;
	case PORTAL_REGION_ADD:
		fake.region = *(struct portal_region_add *)arg;
		((struct portal_region_add *)arg)->out_region_id = 6;
		((struct portal_region_add *)arg)->out_shadow_size = 4096;
		return 0;
	case PORTAL_QUEUE_CREATE:
		fake.create = *(struct portal_queue_create *)arg;
		((struct portal_queue_create *)arg)->out_queue_id = FAKE_QUEUE_ID;
		((struct portal_queue_create *)arg)->out_fd = dup(fake.queue_fd);
		return 0;
	case PORTAL_QUEUE_OPEN:
		fake.open = *(struct portal_queue_open *)arg;
		((struct portal_queue_open *)arg)->out_epoch = ++fake.ring->epoch;
		((struct portal_queue_open *)arg)->out_fd = dup(fake.queue_fd);
		return 0;
	case PORTAL_QUEUE_DEL:
		fake.queue_dels++;
		return 0;
	case PORTAL_MEM_LIST: {
		struct portal_mem_list *list = arg;

		if (list->nr)
			memcpy((void *)(uintptr_t)list->slots_uptr, fake.slots,
			       (list->nr < fake.nr_slots ? list->nr : fake.nr_slots) *
			       sizeof(fake.slots[0]));
		list->nr = fake.nr_slots;
		list->out_generation = fake.generation;
		return 0;
	}
	case PORTAL_MEM_RW:
		return mem_rw(arg);
	case PORTAL_MEM_MAP:
		return mem_map(arg);
	case PORTAL_MEM_UNMAP:
		fake.windows--;
		return 0;
	case PORTAL_HOOK_DEL:
	case PORTAL_REGION_DEL:
		fake.deleted = ((struct portal_id *)arg)->id;
		return 0;
	case PORTAL_IRQ_MSI:
		fake.msi = *(struct portal_irq_msi *)arg;
		return 0;
	case PORTAL_IRQ_BIND:
	case PORTAL_IRQ_UNBIND:
		fake.irq = *(struct portal_irq_bind *)arg;
		return 0;
	}
	return -ENOTTY;
}

static int queue_ioctl(unsigned long cmd, void *arg)
{
	struct portal_queue_info *info = arg;

	switch (cmd) {
	case PORTAL_QUEUE_INFO:
		info->out_queue_id = FAKE_QUEUE_ID;
		info->out_epoch = fake.ring->epoch;
		info->out_entries = fake.ring->entries;
		info->out_mmap_size = fake.ring_size;
		return 0;
	case PORTAL_QUEUE_CANCEL:
		fake.cancels++;
		return 0;
	case PORTAL_QUEUE_COMMIT:
		fake.commits++;
		return fake_commit(arg);
	}
	return -ENOTTY;
}

bool fake_is_queue(int fd)
{
	struct stat a, b;

	return !fstat(fd, &a) && !fstat(fake.queue_fd, &b) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

int __wrap_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = -fake.next_err;

	if (_IOC_TYPE(cmd) != PORTAL_IOC_MAGIC)
		return __real_ioctl(fd, cmd, arg);
	if (cmd != PORTAL_QUEUE_COMMIT) {
		__u32 size;

		memcpy(&size, arg, sizeof(size));
		assert_true(size >= 8);
	}
	fake.next_err = 0;
	if (!ret)
		ret = fake_is_queue(fd) ? queue_ioctl(cmd, arg) : vm_ioctl(cmd, arg);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* ---- read, write, poll ------------------------------------------------- */

static ssize_t done(ssize_t ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	struct portal_request *req = buf;
	size_t nr = 0;

	if (!fake_is_queue(fd))
		return __real_read(fd, buf, len);
	fake.ring->head = read_seen;
	head_seen();
	for (; nr < len / sizeof(*req) && read_seen != fake.ring->tail; nr++)
		req[nr] = *entry(read_seen++);
	if (nr)
		return (ssize_t)(nr * sizeof(*req));
	/* a blocking read of an empty queue ends a test: the VM is gone then */
	if (fake.ring->flags & PORTAL_RING_F_STALE || !(fcntl(fd, F_GETFL) & O_NONBLOCK))
		return done(-ENODEV);
	return done(-EAGAIN);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	int err = fake.commit_err, ret;

	if (!fake_is_queue(fd))
		return __real_write(fd, buf, len);
	fake.commit_err = 0;
	if (err)
		return done(-err);
	ret = take_replies(buf, (uint32_t)(len / sizeof(struct portal_reply)));
	return done(ret < 0 ? ret : ret * (ssize_t)sizeof(struct portal_reply));
}

int __wrap_poll(struct pollfd *pfd, nfds_t nr, int timeout)
{
	if (!fake_is_queue(pfd->fd))
		return __real_poll(pfd, nr, timeout);
	fake.polls++;
	if (fake.on_poll)
		fake.on_poll();
	return fake.ring->tail != fake.ring->head || fake.ring->flags & PORTAL_RING_F_STALE;
}

/* ---- set-up ------------------------------------------------------------ */

int fake_setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.vm_fd = memfd_create("vm", MFD_CLOEXEC);
	fake.queue_fd = memfd_create("queue", MFD_CLOEXEC);
	fake.wake_fd = eventfd(0, EFD_CLOEXEC);
	if (fake.vm_fd < 0 || fake.queue_fd < 0 || fake.wake_fd < 0 ||
	    ftruncate(fake.vm_fd, FAKE_VM_SIZE))
		return -1;
	fake.vm_mem = mmap(NULL, FAKE_VM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fake.vm_fd, 0);
	fake.rw_limit = FAKE_VM_SIZE;
	fake_ring(8, sizeof(struct portal_request), 0);
	return fake.vm_mem == MAP_FAILED ? -1 : 0;
}

int fake_teardown(void **state)
{
	(void)state;
	munmap(fake.ring, 1 << 20);
	munmap(fake.vm_mem, FAKE_VM_SIZE);
	close(fake.vm_fd);
	close(fake.queue_fd);
	close(fake.wake_fd);
	return 0;
}

struct portal_vm *fake_vm(void)
{
	struct portal_vm *vm;

	assert_ok(portal_vm_from_fd(dup(fake.vm_fd), &vm));
	return vm;
}

struct portal_queue *fake_queue(uint32_t transport)
{
	struct portal_queue_opts opts = { .sz = sizeof(opts), .transport = transport };
	struct portal_queue *q;

	assert_ok(portal_queue_from_fd(dup(fake.queue_fd), &opts, &q));
	return q;
}
