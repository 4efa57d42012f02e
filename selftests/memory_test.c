// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_test - guest RAM: copies and windows
 */
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "mock_util.h"

#define PAGE	4096UL

FIXTURE(memory)
{
	struct mock m;
	int vm;
	char *ram;
};

FIXTURE_SETUP(memory)
{
	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	self->ram = self->m.ram;
}

FIXTURE_TEARDOWN(memory)
{
	mock_teardown(&self->m);
}

static int mem_rw(int vm, __u32 flags, struct portal_mem_vec *vecs, __u32 nr, __u64 *done)
{
	struct portal_mem_rw arg = { .size = sizeof(arg), .flags = flags, .nr_vecs = nr,
				     .vecs_uptr = (uintptr_t)vecs, .out_done = -1ULL };
	int ret = portal_ioctl(vm, PORTAL_MEM_RW, &arg);

	*done = arg.out_done;
	return ret;
}

#define VEC(_gpa, _buf, _len) { .gpa = (_gpa), .uptr = (uintptr_t)(_buf), .len = (_len) }

/* window: maps [gpa, gpa + len); *map is it or MAP_FAILED; returns id or -errno. */
static int window(int vm, __u32 flags, __u64 gpa, __u64 len, int prot, char **map)
{
	struct portal_mem_map arg = { .size = sizeof(arg), .flags = flags, .gpa = gpa,
				      .len = len };
	int ret = portal_ioctl(vm, PORTAL_MEM_MAP, &arg);

	*map = MAP_FAILED;
	if (ret)
		return ret;
	*map = mmap(NULL, len, prot, MAP_SHARED, vm, arg.out_mmap_off);
	return arg.out_window_id;
}

TEST_F(memory, list_tells_the_slots)
{
	struct portal_mem_slot slots[4] = { { .gpa = 1 } };
	struct portal_mem_list list = { .size = sizeof(list), .slots_uptr = (uintptr_t)slots,
					.nr = 4 };

	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_MEM_LIST, &list));
	ASSERT_EQ(1, list.nr);
	EXPECT_EQ(0, slots[0].gpa);
	EXPECT_EQ(MOCK_RAM_SIZE, slots[0].len);
	EXPECT_EQ(0, slots[0].flags);
	/* how many there are, also without room for them */
	list.nr = 0;
	slots[0].gpa = 99;
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_MEM_LIST, &list));
	EXPECT_EQ(1, list.nr);
	EXPECT_EQ(99, slots[0].gpa);
	list.slots_uptr = 8;
	EXPECT_ERRNO(EFAULT, portal_ioctl(self->vm, PORTAL_MEM_LIST, &list));
}

TEST_F(memory, copies_both_ways_in_pieces)
{
	char a[10000], b[3000], c[1];
	struct portal_mem_vec vecs[] = {
		VEC(PAGE - 17, a, sizeof(a)), VEC(0, b, sizeof(b)), VEC(MOCK_RAM_SIZE - 1, c, 1),
	};
	unsigned int i;
	__u64 done;

	for (i = 0; i < MOCK_RAM_SIZE; i++)
		self->ram[i] = i * 7 + i / 251;
	ASSERT_EQ(0, mem_rw(self->vm, 0, vecs, 3, &done));
	EXPECT_EQ(13001, done);
	EXPECT_EQ(0, memcmp(a, self->ram + PAGE - 17, sizeof(a)));
	EXPECT_EQ(0, memcmp(b, self->ram, sizeof(b)));
	EXPECT_EQ(c[0], self->ram[MOCK_RAM_SIZE - 1]);

	memset(a, 0x5a, sizeof(a));
	c[0] = 0x77;
	ASSERT_EQ(0, mem_rw(self->vm, PORTAL_MEM_F_WRITE, vecs, 3, &done));
	EXPECT_EQ(13001, done);
	/* in order: the second piece came over the first */
	EXPECT_EQ(0, memcmp(b, self->ram, sizeof(b)));
	EXPECT_EQ(0x5a, self->ram[PAGE - 17 + 9999]);
	EXPECT_NE(0x5a, self->ram[PAGE - 17 + 10000]);
	EXPECT_EQ(0x77, self->ram[MOCK_RAM_SIZE - 1]);
}

TEST_F(memory, where_there_is_no_ram_is_enoent)
{
	char buf[64];
	struct portal_mem_vec vecs[] = { VEC(0, buf, 8), VEC(MOCK_RAM_SIZE - 4, buf + 8, 16),
					 VEC(16, buf + 32, 8) };
	__u64 done;

	memset(self->ram, 0x11, 4096);
	memset(self->ram + MOCK_RAM_SIZE - PAGE, 0x22, PAGE);
	memset(buf, 0x33, sizeof(buf));
	EXPECT_ERRNO(ENOENT, mem_rw(self->vm, 0, vecs, 3, &done));
	/* all that is there, and not one byte more */
	EXPECT_EQ(12, done);
	EXPECT_EQ(0x11, buf[7]);
	EXPECT_EQ(0x22, buf[11]);
	EXPECT_EQ(0x33, buf[12]);
	EXPECT_EQ(0x33, buf[32]);

	vecs[0].gpa = 1ULL << 40;
	EXPECT_ERRNO(ENOENT, mem_rw(self->vm, 0, vecs, 1, &done));
	EXPECT_EQ(0, done);
}

TEST_F(memory, bad_caller_memory_is_efault_with_what_was_done)
{
	char *buf = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	struct portal_mem_vec vec = VEC(100, buf + PAGE - 5, 50);
	__u64 done;

	ASSERT_NE(MAP_FAILED, buf);
	munmap(buf + PAGE, PAGE);
	memset(self->ram, 0x44, PAGE);
	EXPECT_ERRNO(EFAULT, mem_rw(self->vm, 0, &vec, 1, &done));
	EXPECT_LE(done, 5);
	memset(buf + PAGE - 5, 0x55, 5);
	EXPECT_ERRNO(EFAULT, mem_rw(self->vm, PORTAL_MEM_F_WRITE, &vec, 1, &done));
	EXPECT_LE(done, 5);
	/* nothing is made up: no zeros in the guest */
	EXPECT_EQ(0x44, self->ram[105]);
	EXPECT_EQ(0x44, self->ram[149]);
	EXPECT_ERRNO(EFAULT, mem_rw(self->vm, 0, (void *)8, 1, &done));
	EXPECT_EQ(0, done);
}

TEST_F(memory, ram_the_vmm_does_not_have_is_efault)
{
	char buf[2 * PAGE];
	struct portal_mem_vec vec = VEC(3 * PAGE, buf, sizeof(buf));
	__u64 done;

	memset(self->ram + 3 * PAGE, 0x66, PAGE);
	munmap(self->ram + 4 * PAGE, PAGE);
	EXPECT_ERRNO(EFAULT, mem_rw(self->vm, 0, &vec, 1, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(0x66, buf[PAGE - 1]);
}

/* mem_gva: copies by the addresses of @vcpu, in one piece. */
static int mem_gva(int vm, __u32 flags, __u32 vcpu, __u64 gva, void *buf, __u64 len, __u64 *done)
{
	struct portal_mem_vec vec = VEC(gva, buf, len);
	struct portal_mem_rw arg = { .size = sizeof(arg), .flags = flags | PORTAL_MEM_F_GVA,
				     .nr_vecs = 1, .vecs_uptr = (uintptr_t)&vec,
				     .vcpu = vcpu, .out_done = -1ULL };
	int ret = portal_ioctl(vm, PORTAL_MEM_RW, &arg);

	*done = arg.out_done;
	return ret;
}

TEST_F(memory, virtual_addresses_of_a_waiting_vcpu)
{
	static char buf[40 * PAGE];
	struct portal_request req;
	struct portal_hook_add hook;
	struct queue q;
	unsigned int i;
	struct vcpu v = { };
	__u64 done;

	ASSERT_EQ(0, queue_create(self->vm, &q, (struct portal_queue_create)QUEUE(16)));
	hook = (struct portal_hook_add)HOOK(q.id, MOCK_HC, MOCK_HC, .flags = PORTAL_HOOK_F_RAW);
	ASSERT_LT(0, hook_add(self->vm, hook));
	for (i = 0; i < MOCK_RAM_SIZE; i++)
		self->ram[i] = i * 7 + i / 251;
	/* nobody ever saw it, or it is not there */
	EXPECT_ERRNO(EBUSY, mem_gva(self->vm, 0, 2, PORTAL_MOCK_GVA(2), buf, 8, &done));
	EXPECT_ERRNO(ENOENT, mem_gva(self->vm, 0, MOCK_VCPUS, 0, buf, 8, &done));

	v.a = mock_hc(MOCK_HC, 7, 1);
	v.a.vcpu = 1;
	ASSERT_EQ(0, vcpu_start(&v, self->vm, v.a));
	ASSERT_TRUE(queue_next(&q, &req));
	/* more than is asked for at once, off the page; no other wait is needed */
	ASSERT_EQ(0, mem_gva(self->vm, 0, 1, PORTAL_MOCK_GVA(1) + 100, buf, sizeof(buf), &done));
	EXPECT_EQ(sizeof(buf), done);
	EXPECT_EQ(0, memcmp(buf, self->ram + 100, sizeof(buf)));
	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(0, mem_gva(self->vm, PORTAL_MEM_F_WRITE, 1, PORTAL_MOCK_GVA(1) + PAGE - 4, buf,
			     8, &done));
	EXPECT_EQ(0x5a, self->ram[PAGE + 3]);
	EXPECT_NE(0x5a, self->ram[PAGE + 4]);

	/* where its page tables end, and what it may not write */
	EXPECT_ERRNO(EFAULT, mem_gva(self->vm, 0, 1, PORTAL_MOCK_GVA(2), buf, 8, &done));
	EXPECT_EQ(0, done);
	EXPECT_ERRNO(EFAULT, mem_gva(self->vm, 0, 1, PORTAL_MOCK_GVA(1) + MOCK_RAM_SIZE - 5, buf,
				     8, &done));
	EXPECT_EQ(5, done);
	EXPECT_ERRNO(EFAULT, mem_gva(self->vm, PORTAL_MEM_F_WRITE, 1,
				     PORTAL_MOCK_GVA(1) + MOCK_RAM_SIZE - PAGE - 5, buf, 8, &done));
	EXPECT_EQ(5, done);

	/* its call is none the worse for it */
	EXPECT_FALSE(vcpu_done(&v));
	ASSERT_EQ(0, queue_consume(&q));
	ASSERT_EQ(0, queue_reply(&q, req.id, 99));
	ASSERT_EQ(0, vcpu_join(&v));
	EXPECT_EQ(99, v.a.out_value);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_calls);
	/* and now it waits no more */
	EXPECT_ERRNO(EBUSY, mem_gva(self->vm, 0, 1, PORTAL_MOCK_GVA(1), buf, 8, &done));
	queue_close(&q);
}

TEST_F(memory, lengths_that_cannot_be_right)
{
	struct portal_mem_vec vecs[1025] = { VEC(0, vecs, 0) };
	__u64 done;

	EXPECT_ERRNO(EINVAL, mem_rw(self->vm, 0, vecs, 1, &done));
	vecs[0].len = 1;
	EXPECT_ERRNO(EINVAL, mem_rw(self->vm, 0, vecs, 0, &done));
	EXPECT_ERRNO(EINVAL, mem_rw(self->vm, 0, vecs, 1025, &done));
	vecs[0].uptr = -4ULL;
	vecs[0].len = 8;
	EXPECT_ERRNO(EOVERFLOW, mem_rw(self->vm, 0, vecs, 1, &done));
}

TEST_F(memory, window_shows_what_the_guest_sees)
{
	char *map;
	int id;

	strcpy(self->ram + 5 * PAGE, "guest");
	id = window(self->vm, PORTAL_MEM_F_WRITE, 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		    &map);
	ASSERT_LT(0, id);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(1, portal_vm_info(self->vm).out_windows);
	EXPECT_STREQ("guest", map + PAGE);
	strcpy(map + PAGE, "owner");
	EXPECT_STREQ("owner", self->ram + 5 * PAGE);
	strcpy(self->ram + 5 * PAGE, "again");
	EXPECT_STREQ("again", map + PAGE);
	/* a page nobody had touched */
	EXPECT_EQ(0, map[2 * PAGE]);
	self->ram[6 * PAGE] = 3;
	EXPECT_EQ(3, map[2 * PAGE]);
	map[3 * PAGE] = 4;
	EXPECT_EQ(4, self->ram[7 * PAGE]);
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_MEM_UNMAP, id));
	EXPECT_EQ(0, portal_vm_info(self->vm).out_windows);
	munmap(map, 4 * PAGE);
}

TEST_F(memory, window_stays_coherent_when_pages_go)
{
	char *map, *again;

	self->ram[0] = 1;
	ASSERT_LT(0, window(self->vm, PORTAL_MEM_F_WRITE, 0, 2 * PAGE, PROT_READ | PROT_WRITE,
			    &map));
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(1, map[0]);
	map[1] = 2;
	/* a balloon takes the page, the guest gets a new one */
	ASSERT_EQ(0, madvise(self->ram, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, map[0]);
	EXPECT_EQ(0, map[1]);
	self->ram[0] = 5;
	EXPECT_EQ(5, map[0]);
	map[1] = 6;
	EXPECT_EQ(6, self->ram[1]);
	/* other memory in the same place */
	again = mmap(self->ram, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(self->ram, again);
	again[0] = 7;
	EXPECT_EQ(7, map[0]);
	munmap(map, 2 * PAGE);
}

TEST_F(memory, window_stays_coherent_over_copy_on_write)
{
	int pid, status;
	char *map;

	self->ram[0] = 1;
	ASSERT_LT(0, window(self->vm, PORTAL_MEM_F_WRITE, 0, PAGE, PROT_READ | PROT_WRITE, &map));
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(1, map[0]);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	self->ram[0] = 2;	/* the VMM's page is another one now */
	EXPECT_EQ(2, map[0]);
	map[0] = 3;
	EXPECT_EQ(3, self->ram[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	munmap(map, PAGE);
}

TEST_F(memory, read_only_window_stays_so)
{
	int rd = portal_vm_dup(self->vm, PORTAL_RIGHT_MEM_READ);
	struct portal_mem_map arg = { .size = sizeof(arg), .len = PAGE };
	char *map;

	ASSERT_LE(0, rd);
	EXPECT_ERRNO(EPERM, window(rd, PORTAL_MEM_F_WRITE, 0, PAGE, PROT_READ, &map));
	ASSERT_EQ(0, portal_ioctl(rd, PORTAL_MEM_MAP, &arg));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rd,
				   arg.out_mmap_off));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rd, arg.out_mmap_off);
	ASSERT_NE(MAP_FAILED, map);
	self->ram[9] = 9;
	EXPECT_EQ(9, map[9]);
	EXPECT_EQ(-1, mprotect(map, PAGE, PROT_READ | PROT_WRITE));
	/* a window made read-only is so for everybody */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, self->vm,
				   arg.out_mmap_off));
	munmap(map, PAGE);
	close(rd);
}

TEST_F(memory, windows_are_bounded)
{
	struct portal_mem_map arg = { .size = sizeof(arg), .len = PAGE };
	char *map;

	EXPECT_ERRNO(ENOENT, window(self->vm, 0, MOCK_RAM_SIZE, PAGE, PROT_READ, &map));
	EXPECT_ERRNO(ENOENT, window(self->vm, 0, MOCK_RAM_SIZE - PAGE, 2 * PAGE, PROT_READ, &map));
	EXPECT_ERRNO(EINVAL, window(self->vm, 0, 1, PAGE, PROT_READ, &map));
	EXPECT_ERRNO(EINVAL, window(self->vm, 0, 0, PAGE + 1, PROT_READ, &map));
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_MEM_MAP, &arg));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->vm,
				   arg.out_mmap_off));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->vm,
				   arg.out_mmap_off + PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->vm, 0));
}

static sigjmp_buf escape;

static void on_sigbus(int sig)
{
	siglongjmp(escape, sig);
}

/* The signal that reading @map brings, or 0. */
static int touch(const volatile char *map)
{
	int sig;

	signal(SIGBUS, on_sigbus);
	sig = sigsetjmp(escape, 1);
	if (!sig)
		(void)*map;
	signal(SIGBUS, SIG_DFL);
	return sig;
}

TEST_F(memory, unmapped_window_is_sigbus)
{
	int pipes[2], id;
	char *map;

	strcpy(self->ram, "x");
	id = window(self->vm, 0, 0, PAGE, PROT_READ, &map);
	ASSERT_LT(0, id);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('x', map[0]);
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_MEM_UNMAP, id));
	EXPECT_ERRNO(ENOENT, portal_id(self->vm, PORTAL_MEM_UNMAP, id));
	/* EFAULT in a system call */
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-1, write(pipes[1], map, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(SIGBUS, touch(map));
	munmap(map, PAGE);
}

TEST_F(memory, window_of_a_vm_that_is_gone_is_sigbus)
{
	char *map;
	int pid, vm, pipes[2], status;

	/* the VM belongs to a child */
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *ram = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ram[0] = 'y';
		vm = mock_try(self->m.dev, PORTAL_RIGHT_ALL, 1, ram, 2 * PAGE);
		if (write(pipes[1], &vm, sizeof(vm)) != sizeof(vm))
			_exit(1);
		pause();
		_exit(0);
	}
	ASSERT_EQ(sizeof(vm), read(pipes[0], &vm, sizeof(vm)));
	ASSERT_LE(0, vm);
	vm = pidfd_take(pid, vm);
	ASSERT_LE(0, vm);
	ASSERT_LT(0, window(vm, 0, 0, PAGE, PROT_READ, &map));
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('y', map[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ASSERT_TRUE(WAIT_UNTIL(portal_vm_info(vm).out_state == PORTAL_VM_GONE));
	EXPECT_TRUE(WAIT_UNTIL(touch(map) == SIGBUS));
	munmap(map, PAGE);
	close(vm);
}

/* ---- kinds of RAM ------------------------------------------------------- */

FIXTURE(ram)
{
	int dev;
	int vm;
	int fd;
	char *ram;
	char *map;
	int huge;	/* in the pool before */
};

FIXTURE_VARIANT(ram)
{
	unsigned int flags;	/* of memfd_create() */
	bool private;
	bool direct;		/* can be mapped as a file */
};

FIXTURE_VARIANT_ADD(ram, anonymous) { .private = true };
FIXTURE_VARIANT_ADD(ram, memfd) { .direct = true };
FIXTURE_VARIANT_ADD(ram, private_memfd) { .private = true, .flags = MFD_CLOEXEC };
FIXTURE_VARIANT_ADD(ram, huge) { .flags = MFD_HUGETLB };

#define RAM_LEN	MOCK_RAM_SIZE	/* a huge page */

static int huge_pages(int nr)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", nr < 0 ? "r" : "w");
	int ret = nr;

	if (!file)
		return -errno;
	if (nr < 0 ? fscanf(file, "%d", &ret) != 1 : fprintf(file, "%d\n", nr) < 0)
		ret = -EIO;
	return fclose(file) ? -errno : ret;
}

FIXTURE_SETUP(ram)
{
	int flags = variant->private ? MAP_PRIVATE : MAP_SHARED;

	self->dev = portal_open(_metadata);
	if (!(portal_features(self->dev) & PORTAL_FEAT_MOCK))
		SKIP(_exit(HARNESS_SKIP), "needs PORTAL_MOCK=1 build");
	self->huge = -1;
	if (variant->flags & MFD_HUGETLB) {
		self->huge = huge_pages(-1);
		huge_pages(self->huge + 4);
		if (huge_pages(-1) < self->huge + 4)
			SKIP(_exit(HARNESS_SKIP), "no huge pages to be had");
	}
	self->fd = -1;
	if (variant->private && !variant->flags) {
		flags |= MAP_ANONYMOUS;
	} else {
		self->fd = memfd_create("ram", variant->flags);
		ASSERT_LE(0, self->fd);
		ASSERT_EQ(0, ftruncate(self->fd, RAM_LEN));
	}
	self->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, flags, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	self->vm = mock_try(self->dev, PORTAL_RIGHT_ALL, 1, self->ram, RAM_LEN);
	ASSERT_LE(0, self->vm);
	ASSERT_LT(0, window(self->vm, PORTAL_MEM_F_WRITE, 0, RAM_LEN, PROT_READ | PROT_WRITE,
			    &self->map));
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(ram)
{
	munmap(self->map, RAM_LEN);
	close(self->vm);
	close(self->dev);
	munmap(self->ram, RAM_LEN);
	close(self->fd);
	if (self->huge >= 0)
		huge_pages(self->huge);
}

TEST_F(ram, window_and_copies_show_what_the_guest_sees)
{
	char buf[8] = "copied";
	struct portal_mem_vec vec = VEC(RAM_LEN - 8, buf, 8);
	int i;
	__u64 done;

	for (i = 0; i < RAM_LEN; i += PAGE)
		self->ram[i] = i / PAGE;
	for (i = 0; i < RAM_LEN; i += PAGE)
		ASSERT_EQ((char)(i / PAGE), self->map[i]);
	self->map[5 * PAGE + 1] = 9;
	EXPECT_EQ(9, self->ram[5 * PAGE + 1]);
	ASSERT_EQ(0, mem_rw(self->vm, PORTAL_MEM_F_WRITE, &vec, 1, &done));
	EXPECT_STREQ("copied", self->map + RAM_LEN - 8);
	EXPECT_STREQ("copied", self->ram + RAM_LEN - 8);
}

TEST_F(ram, window_stays_coherent_when_the_vmm_discards_it)
{
	self->map[0] = 1;
	self->map[7 * PAGE] = 2;
	ASSERT_EQ(0, madvise(self->ram, RAM_LEN, MADV_DONTNEED));
	/* of a shared file the pages stay, of private memory they are new */
	EXPECT_EQ(variant->private ? 0 : 1, self->map[0]);
	self->ram[0] = 3;
	EXPECT_EQ(3, self->map[0]);
	self->map[7 * PAGE] = 4;
	EXPECT_EQ(4, self->ram[7 * PAGE]);
}

TEST_F(ram, window_stays_coherent_over_holes_in_the_file)
{
	if (variant->private)
		SKIP(return, "private memory has no holes");
	self->map[0] = 1;
	self->map[7 * PAGE] = 2;
	ASSERT_EQ(0, madvise(self->ram, RAM_LEN, MADV_REMOVE));
	EXPECT_EQ(0, self->map[0]);
	EXPECT_EQ(0, self->map[7 * PAGE]);
	self->ram[7 * PAGE] = 3;
	EXPECT_EQ(3, self->map[7 * PAGE]);
	self->map[0] = 4;
	EXPECT_EQ(4, self->ram[0]);
}

/* pinned: the kernel can take references to the pages of [p, p + len) */
static int pinned(char *p, size_t len)
{
	struct iovec iov = { .iov_base = p, .iov_len = len };
	int pipes[2], ret;

	if (pipe(pipes))
		return -errno;
	ret = vmsplice(pipes[1], &iov, 1, 0) == len ? 0 : -errno;
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

TEST_F(ram, direct_window_is_the_file_of_the_ram)
{
	char *map;
	int id = window(self->vm, PORTAL_MEM_F_WRITE | PORTAL_MEM_F_DIRECT, PAGE, 4 * PAGE,
			PROT_READ | PROT_WRITE, &map);

	EXPECT_EQ(-EFAULT, pinned(self->map, PAGE));
	if (!variant->direct) {
		EXPECT_ERRNO(EOPNOTSUPP, id);
		return;
	}
	ASSERT_LT(0, id);
	ASSERT_NE(MAP_FAILED, map);
	self->ram[2 * PAGE] = 5;
	EXPECT_EQ(5, map[PAGE]);
	map[2 * PAGE] = 6;
	EXPECT_EQ(6, self->ram[3 * PAGE]);
	EXPECT_EQ(6, self->map[3 * PAGE]);
	EXPECT_EQ(0, pinned(map, 4 * PAGE));
	ASSERT_EQ(0, madvise(self->ram, RAM_LEN, MADV_REMOVE));
	EXPECT_EQ(0, map[2 * PAGE]);
	/* it is a mapping like any other, and outlives us */
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_MEM_UNMAP, id));
	map[0] = 7;
	EXPECT_EQ(7, self->ram[PAGE]);
	munmap(map, 4 * PAGE);
}

TEST_F(ram, direct_window_keeps_rights_and_bounds)
{
	struct portal_mem_map arg = { .size = sizeof(arg), .flags = PORTAL_MEM_F_DIRECT,
				      .len = 2 * PAGE };
	char *map;
	int rd;

	if (!variant->direct)
		SKIP(return, "this RAM has no file of its own");
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_MEM_MAP, &arg));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, self->vm,
				   arg.out_mmap_off));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, self->vm,
				   arg.out_mmap_off));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->vm, arg.out_mmap_off + PAGE);
	ASSERT_NE(MAP_FAILED, map);
	self->ram[PAGE] = 8;
	EXPECT_EQ(8, map[0]);
	EXPECT_EQ(-1, mprotect(map, PAGE, PROT_READ | PROT_WRITE));
	munmap(map, PAGE);
	rd = portal_vm_dup(self->vm, PORTAL_RIGHT_MEM_READ);
	ASSERT_LE(0, rd);
	arg.flags |= PORTAL_MEM_F_WRITE;
	EXPECT_ERRNO(EPERM, portal_ioctl(rd, PORTAL_MEM_MAP, &arg));
	close(rd);
}

TEST_F(memory, rings_and_shadow_pages_are_charged)
{
	const char *const procs = "/sys/fs/cgroup/portal_test/cgroup.procs";
	const char *const now = "/sys/fs/cgroup/portal_test/memory.current";
	struct portal_queue_create create = QUEUE(32768);	/* 4 MiB */
	long long before = -1, after = -1;
	struct queue q;
	FILE *file;

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		SKIP(return, "no cgroup2");
	file = fopen("/sys/fs/cgroup/cgroup.subtree_control", "w");
	if (file)
		fputs("+memory", file);
	if (!file || fclose(file) || (mkdir("/sys/fs/cgroup/portal_test", 0700) && errno != EEXIST) ||
	    access(now, F_OK))
		SKIP(return, "no memory cgroup");
	file = fopen(procs, "w");
	ASSERT_NE(NULL, file);
	fprintf(file, "%d", getpid());
	ASSERT_EQ(0, fclose(file));
	file = fopen(now, "r");
	EXPECT_EQ(1, fscanf(file, "%lld", &before));
	ASSERT_EQ(0, queue_create(self->vm, &q, create));
	rewind(file);
	file = freopen(now, "r", file);
	EXPECT_EQ(1, fscanf(file, "%lld", &after));
	EXPECT_LE(before + (4 << 20), after);
	fclose(file);
	queue_close(&q);
	file = fopen("/sys/fs/cgroup/cgroup.procs", "w");
	fprintf(file, "%d", getpid());
	EXPECT_EQ(0, fclose(file));
	rmdir("/sys/fs/cgroup/portal_test");
}

TEST_HARNESS_MAIN
