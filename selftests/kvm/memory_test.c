// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_test - the RAM of a real guest, by copies and windows
 */
#include "portal_kvm.h"

#define PAGE		4096UL
#define EXTRA_GPA	0x40000000ULL
#define EXTRA_PAGES	16
#define EXTRA_SLOT	10

/* One step each time the host says so; the page is mapped at its own GPA. */
static void guest_writer(void)
{
	volatile __u64 *page = (void *)EXTRA_GPA;

	page[0] = 0x1111;
	guest_report(1);
	/* the host has written page[1] */
	guest_report(page[1]);
	page[2] = 0x3333;
	guest_report(page[0]);
	GUEST_DONE();
}

static void guest_idle(void)
{
	GUEST_DONE();
}

/* A page of its own in the guest's image, at no address of guest RAM's. */
static __u64 message[512] __attribute__((aligned(4096))) = { 0x1234 };

/* Gives the daemon a pointer, as programs do. */
static void guest_points(void)
{
	guest_hello();
	guest_report(guest_hc(SERVICE, 1, (__u64)message, sizeof(message), 0, 0));
	guest_report(message[1]);
	GUEST_DONE();
}

FIXTURE(memory)
{
	struct guest g;
	char *ram;	/* of the extra slot, in the VMM */
};

FIXTURE_SETUP(memory)
{
}

FIXTURE_TEARDOWN(memory)
{
	guest_end(&self->g);
}

/* step: lets the guest run up to its next report or its end. */
static int step(struct guest *g)
{
	struct ucall uc;

	if (__vcpu_run(g->vcpu))
		return -errno;
	switch (get_ucall(g->vcpu, &uc)) {
	case UCALL_SYNC:
		g->value[g->nr++] = uc.args[0];
		return 1;
	case UCALL_DONE:
		return 0;
	}
	return -EIO;
}

static int mem_rw(int fd, __u32 flags, __u64 gpa, void *buf, __u64 len)
{
	struct portal_mem_vec vec = { .gpa = gpa, .uptr = (uintptr_t)buf, .len = len };
	struct portal_mem_rw arg = { .size = sizeof(arg), .flags = flags, .nr_vecs = 1,
				     .vecs_uptr = (uintptr_t)&vec };
	int ret = portal_ioctl(fd, PORTAL_MEM_RW, &arg);

	return ret ?: arg.out_done == len ? 0 : -EMSGSIZE;
}

static char *window(int fd, __u32 flags, __u64 gpa, __u64 len)
{
	struct portal_mem_map arg = { .size = sizeof(arg), .flags = flags, .gpa = gpa,
				      .len = len };

	if (portal_ioctl(fd, PORTAL_MEM_MAP, &arg))
		return MAP_FAILED;
	return mmap(NULL, len, PROT_READ | (flags ? PROT_WRITE : 0), MAP_SHARED, fd,
		    arg.out_mmap_off);
}

#define SETUP(code, src) do {							\
	guest_init(_metadata, &self->g, code);					\
	vm_userspace_mem_region_add(self->g.vm, src, EXTRA_GPA, EXTRA_SLOT,	\
				    EXTRA_PAGES, KVM_MEM_LOG_DIRTY_PAGES);	\
	virt_map(self->g.vm, EXTRA_GPA, EXTRA_GPA, EXTRA_PAGES);		\
	self->ram = addr_gpa2hva(self->g.vm, EXTRA_GPA);			\
} while (0)

TEST_F(memory, list_follows_the_slots)
{
	struct portal_mem_slot slots[8] = { 0 };
	struct portal_mem_list list = { .size = sizeof(list), .nr = 8,
					.slots_uptr = (uintptr_t)slots };
	struct guest *g = &self->g;
	__u64 generation;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_MEM_LIST, &list));
	ASSERT_EQ(2, list.nr);
	EXPECT_EQ(0, slots[0].gpa);
	EXPECT_EQ(0, slots[0].slot);
	EXPECT_EQ(EXTRA_GPA, slots[1].gpa);
	EXPECT_EQ(EXTRA_PAGES * PAGE, slots[1].len);
	EXPECT_EQ(EXTRA_SLOT, slots[1].slot);
	generation = list.out_generation;
	vm_mem_region_delete(g->vm, EXTRA_SLOT);
	list.nr = 8;
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_MEM_LIST, &list));
	EXPECT_EQ(1, list.nr);
	EXPECT_NE(generation, list.out_generation);
}

TEST_F(memory, copies_and_window_show_what_the_guest_sees)
{
	struct guest *g = &self->g;
	__u64 value;
	char *map;

	SETUP(guest_writer, VM_MEM_SRC_ANONYMOUS);
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, EXTRA_PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, *(volatile __u64 *)map);
	ASSERT_EQ(1, step(g));
	EXPECT_EQ(0x1111, *(volatile __u64 *)map);
	ASSERT_EQ(0, mem_rw(g->fd, 0, EXTRA_GPA, &value, sizeof(value)));
	EXPECT_EQ(0x1111, value);
	value = 0x2222;
	ASSERT_EQ(0, mem_rw(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA + 8, &value, sizeof(value)));
	ASSERT_EQ(1, step(g));
	EXPECT_EQ(0x2222, g->value[1]);
	/* a balloon: the guest's next write is to another page */
	ASSERT_EQ(0, madvise(self->ram, PAGE, MADV_DONTNEED));
	*(volatile __u64 *)map = 0x4444;
	ASSERT_EQ(1, step(g));
	EXPECT_EQ(0x4444, g->value[2]);
	EXPECT_EQ(0x3333, ((volatile __u64 *)map)[2]);
	ASSERT_EQ(0, step(g));
	munmap(map, EXTRA_PAGES * PAGE);
}

TEST_F(memory, shared_ram_works_like_private)
{
	struct guest *g = &self->g;
	char *map;

	SETUP(guest_writer, VM_MEM_SRC_SHMEM);
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, EXTRA_PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(1, step(g));
	EXPECT_EQ(0x1111, *(volatile __u64 *)map);
	((volatile __u64 *)map)[1] = 0x2222;
	ASSERT_EQ(1, step(g));
	EXPECT_EQ(0x2222, g->value[1]);
	munmap(map, EXTRA_PAGES * PAGE);
}

TEST_F(memory, writes_are_in_the_dirty_log)
{
	unsigned long bitmap[1] = { 0 };
	struct guest *g = &self->g;
	__u64 value = 1;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
	ASSERT_EQ(0, mem_rw(g->fd, 0, EXTRA_GPA + 2 * PAGE, &value, sizeof(value)));
	ASSERT_EQ(0, mem_rw(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA + 5 * PAGE - 4, &value,
			    sizeof(value)));
	kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
	EXPECT_EQ(1UL << 4 | 1UL << 5, bitmap[0]);
	kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
	EXPECT_EQ(0, bitmap[0]);
}

TEST_F(memory, holes_are_enoent)
{
	struct guest *g = &self->g;
	char buf[16];

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	EXPECT_ERRNO(ENOENT, mem_rw(g->fd, 0, EXTRA_GPA - 8, buf, 16));
	EXPECT_ERRNO(ENOENT, mem_rw(g->fd, 0, EXTRA_GPA + EXTRA_PAGES * PAGE - 8, buf, 16));
	EXPECT_ERRNO(ENOENT, mem_rw(g->fd, 0, 0xfee00000, buf, 16));	/* the APIC's page */
	EXPECT_EQ(MAP_FAILED, window(g->fd, 0, EXTRA_GPA, (EXTRA_PAGES + 1) * PAGE));
	/* a slot that goes takes its addresses along */
	EXPECT_EQ(0, mem_rw(g->fd, 0, EXTRA_GPA, buf, 16));
	vm_mem_region_delete(g->vm, EXTRA_SLOT);
	EXPECT_ERRNO(ENOENT, mem_rw(g->fd, 0, EXTRA_GPA, buf, 16));
}

TEST_F(memory, read_only_slots_stay_so)
{
	struct portal_mem_slot slots[4];
	struct portal_mem_list list = { .size = sizeof(list), .nr = 4,
					.slots_uptr = (uintptr_t)slots };
	struct guest *g = &self->g;
	char buf[4] = "xyz";

	guest_init(_metadata, g, guest_idle);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, EXTRA_GPA, EXTRA_SLOT,
				    EXTRA_PAGES, KVM_MEM_READONLY);
	ASSERT_EQ(0, portal_ioctl(g->fd, PORTAL_MEM_LIST, &list));
	EXPECT_EQ(PORTAL_SLOT_F_READONLY, slots[1].flags);
	EXPECT_EQ(0, mem_rw(g->fd, 0, EXTRA_GPA, buf, 4));
	EXPECT_ERRNO(EFAULT, mem_rw(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, buf, 4));
	EXPECT_EQ(MAP_FAILED, window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, PAGE));
	EXPECT_NE(MAP_FAILED, window(g->fd, 0, EXTRA_GPA, PAGE));
}

static int mem_gva(int fd, __u32 flags, __u64 gva, void *buf, __u64 len, __u64 *done)
{
	struct portal_mem_vec vec = { .gpa = gva, .uptr = (uintptr_t)buf, .len = len };
	struct portal_mem_rw arg = { .size = sizeof(arg), .flags = flags | PORTAL_MEM_F_GVA,
				     .nr_vecs = 1, .vecs_uptr = (uintptr_t)&vec };
	int ret = portal_ioctl(fd, PORTAL_MEM_RW, &arg);

	*done = arg.out_done;
	return ret;
}

TEST_F(memory, a_pointer_of_a_waiting_guest_can_be_followed)
{
	struct guest *g = &self->g;
	struct portal_request req;
	__u64 words[512], done;

	SETUP(guest_points, VM_MEM_SRC_ANONYMOUS);
	ASSERT_LT(0, guest_hook(g, 0));
	EXPECT_ERRNO(EBUSY, mem_gva(g->fd, 0, (__u64)message, words, 8, &done));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_TRUE(queue_next(&g->q, &req));
	ASSERT_EQ((__u64)message, req.data[0]);
	ASSERT_NE((__u64)message, addr_gva2gpa(g->vm, (__u64)message));
	ASSERT_EQ(0, mem_gva(g->fd, 0, req.data[0], words, sizeof(words), &done));
	EXPECT_EQ(sizeof(words), done);
	EXPECT_EQ(0x1234, words[0]);
	words[1] = 0x5678;
	ASSERT_EQ(0, mem_gva(g->fd, PORTAL_MEM_F_WRITE, req.data[0] + 8, &words[1], 8, &done));
	/* in the middle of nowhere, and from the last page before it on */
	EXPECT_ERRNO(EFAULT, mem_gva(g->fd, 0, 0x7f0000000000, words, 8, &done));
	EXPECT_EQ(0, done);
	EXPECT_ERRNO(EFAULT, mem_gva(g->fd, 0, EXTRA_GPA + EXTRA_PAGES * PAGE - 16, words, 32,
				     &done));
	EXPECT_EQ(16, done);
	ASSERT_EQ(0, queue_consume(&g->q));
	ASSERT_EQ(0, queue_reply(&g->q, req.id, 0x99));
	ASSERT_EQ(0, guest_join(g));
	EXPECT_EQ(0x99, g->value[0]);
	EXPECT_EQ(0x5678, g->value[1]);
	EXPECT_EQ(1, portal_vm_info(g->fd).out_calls);
}

/* slot_set: the extra slot at @hva, or none of @len 0. */
static int slot_set(struct guest *g, void *hva, __u64 len, __u32 flags)
{
	struct kvm_userspace_memory_region slot = {
		.slot = EXTRA_SLOT, .flags = flags, .guest_phys_addr = EXTRA_GPA,
		.memory_size = len, .userspace_addr = (uintptr_t)hva,
	};

	return ioctl(g->vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

/* readable: a system call can read @p, which else is EFAULT */
static bool readable(const void *p)
{
	int pipes[2];
	bool ok;

	if (pipe(pipes))
		return false;
	ok = write(pipes[1], p, 1) == 1;
	close(pipes[0]);
	close(pipes[1]);
	return ok;
}

TEST_F(memory, window_follows_its_slot_to_another_address)
{
	struct guest *g = &self->g;
	int i, len = EXTRA_PAGES * PAGE;
	char *other, *map;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	other = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, other);
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, len);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < EXTRA_PAGES; i++) {
		map[i * PAGE] = 'a';	/* mapped, each of them */
		other[i * PAGE] = 'b';
	}
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	EXPECT_FALSE(readable(map));
	EXPECT_FALSE(readable(map + 5 * PAGE));
	ASSERT_EQ(0, slot_set(g, other, len, 0));
	for (i = 0; i < EXTRA_PAGES; i++)
		EXPECT_EQ('b', *(volatile char *)(map + i * PAGE));
	map[3 * PAGE] = 'c';
	EXPECT_EQ('c', other[3 * PAGE]);
	EXPECT_EQ('a', self->ram[3 * PAGE]);
	/* and it is the new memory whose changes it follows */
	ASSERT_EQ(0, madvise(other, len, MADV_DONTNEED));
	EXPECT_EQ(0, *(volatile char *)(map + 3 * PAGE));
	self->ram[4 * PAGE] = 'd';
	ASSERT_EQ(0, madvise(self->ram, len, MADV_DONTNEED));
	other[4 * PAGE] = 'e';
	EXPECT_EQ('e', *(volatile char *)(map + 4 * PAGE));
	/* there and back again, with nothing mapped in between */
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	self->ram[4 * PAGE] = 'f';
	ASSERT_EQ(0, slot_set(g, self->ram, len, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ('f', *(volatile char *)(map + 4 * PAGE));
	/* a slot that does not hold all of it: only what is where it was */
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	ASSERT_EQ(0, slot_set(g, self->ram, 8 * PAGE, 0));
	EXPECT_TRUE(readable(map + 7 * PAGE));
	EXPECT_FALSE(readable(map + 8 * PAGE));
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	ASSERT_EQ(0, slot_set(g, other, 8 * PAGE, 0));
	EXPECT_FALSE(readable(map + 7 * PAGE));
	munmap(map, len);
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	ASSERT_EQ(0, slot_set(g, self->ram, len, KVM_MEM_LOG_DIRTY_PAGES));
	munmap(other, len);
}

TEST_F(memory, changes_of_other_slots_leave_a_window_alone)
{
	struct guest *g = &self->g;
	char *map;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	ASSERT_EQ(0, slot_set(g, self->ram, EXTRA_PAGES * PAGE, 0));
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, EXTRA_PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	EXPECT_NE(-1ULL, guest_memslot_ns(g));
	EXPECT_EQ(1, *(volatile char *)map);
	self->ram[0] = 2;
	EXPECT_EQ(2, *(volatile char *)map);
	munmap(map, EXTRA_PAGES * PAGE);
	ASSERT_EQ(0, slot_set(g, self->ram, EXTRA_PAGES * PAGE, KVM_MEM_LOG_DIRTY_PAGES));
}

/* A VMM that deletes the slot and makes it anew at two addresses in turn. */
struct mover {
	struct guest *g;
	char *at[2];
	int moves;
	int looks;	/* of the other thread */
	int stop;
	int failed;
};

static void *move_main(void *arg)
{
	struct mover *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		int to = __atomic_add_fetch(&m->moves, 1, __ATOMIC_ACQ_REL) % 2, looks;

		if (slot_set(m->g, NULL, 0, 0) ||
		    slot_set(m->g, m->at[to], EXTRA_PAGES * PAGE, 0))
			m->failed++;
		/* until somebody has begun to look, and ended */
		looks = __atomic_load_n(&m->looks, __ATOMIC_ACQUIRE);
		while (__atomic_load_n(&m->looks, __ATOMIC_ACQUIRE) - looks < 2 &&
		       !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	return NULL;
}

TEST_F(memory, windows_come_and_go_while_slots_change)
{
	struct guest *g = &self->g;
	struct portal_mem_map arg = { .size = sizeof(arg), .gpa = EXTRA_GPA, .len = PAGE };
	int i, p, len = EXTRA_PAGES * PAGE, seen[2] = { 0 }, wrong = 0;
	__u64 start = now_ns();
	pthread_t thread;
	struct mover m;
	char *map, *passing;
	int pipes[2];

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	m = (struct mover){ .g = g, .at = { self->ram } };
	m.at[1] = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m.at[1]);
	memset(m.at[0], 'a', len);
	memset(m.at[1], 'b', len);
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, len);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe2(pipes, O_NONBLOCK));
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_main, &m));
	for (i = 0; now_ns() - start < 2 * NSEC_PER_SEC || i < 100; i++) {
		char c;

		p = i % EXTRA_PAGES;
		/* by a system call, as it may be SIGBUS just now */
		if (write(pipes[1], map + p * PAGE, 1) == 1 && read(pipes[0], &c, 1) == 1) {
			wrong += c != 'a' && c != 'b';
			seen[c == 'b']++;
		}
		__atomic_add_fetch(&m.looks, 1, __ATOMIC_ACQ_REL);
		if (i % 8)
			continue;
		/* ENOENT just now, perhaps */
		if (portal_ioctl(g->fd, PORTAL_MEM_MAP, &arg))
			continue;
		passing = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, g->fd, arg.out_mmap_off);
		wrong += passing == MAP_FAILED;
		readable(passing);
		wrong += !!portal_id(g->fd, PORTAL_MEM_UNMAP, arg.out_window_id);
		wrong += readable(passing);
		munmap(passing, PAGE);
	}
	__atomic_store_n(&m.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, m.failed);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(0, seen[0]);
	EXPECT_LT(0, seen[1]);
	EXPECT_LT(10, m.moves);
	/* at rest it is where the last move has put it */
	EXPECT_EQ(m.moves % 2 ? 'b' : 'a', *(volatile char *)map);
	close(pipes[0]);
	close(pipes[1]);
	munmap(map, len);
	ASSERT_EQ(0, slot_set(g, NULL, 0, 0));
	ASSERT_EQ(0, slot_set(g, self->ram, len, KVM_MEM_LOG_DIRTY_PAGES));
	munmap(m.at[1], len);
}

static unsigned long dirty(struct guest *g)
{
	unsigned long bitmap[1] = { 0 };

	kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
	return bitmap[0];
}

TEST_F(memory, writes_through_a_window_are_in_the_dirty_log)
{
	struct guest *g = &self->g;
	volatile char *map;
	int i, len = EXTRA_PAGES * PAGE;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	ASSERT_EQ(0, slot_set(g, self->ram, len, 0));
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, len);
	ASSERT_NE(MAP_FAILED, (char *)map);
	for (i = 0; i < EXTRA_PAGES; i++)
		map[i * PAGE] = 1;
	/* logging begins with all of it mapped */
	ASSERT_EQ(0, slot_set(g, self->ram, len, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ(0, dirty(g));
	map[3 * PAGE] = 2;
	map[9 * PAGE + 5] = 2;
	EXPECT_EQ(1UL << 3 | 1UL << 9, dirty(g));
	EXPECT_EQ(0, dirty(g));
	/* a page that is mapped already, again, and once for two writes */
	for (i = 0; i < 5; i++) {
		map[3 * PAGE] = i;
		map[3 * PAGE + 1] = i;
		EXPECT_EQ(1UL << 3, dirty(g));
	}
	EXPECT_EQ(0, dirty(g));
	ASSERT_EQ(0, slot_set(g, self->ram, len, 0));
	map[4 * PAGE] = 3;
	ASSERT_EQ(0, slot_set(g, self->ram, len, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ(0, dirty(g));
	map[4 * PAGE] = 4;
	EXPECT_EQ(1UL << 4, dirty(g));
	munmap((void *)map, len);
}

TEST_F(memory, so_are_they_where_the_vmm_clears_the_log_itself)
{
	struct guest *g = &self->g;
	unsigned long bitmap[1] = { 0 };
	int i, len = EXTRA_PAGES * PAGE;
	volatile char *map;

	SETUP(guest_idle, VM_MEM_SRC_ANONYMOUS);
	/* as QEMU does */
	vm_enable_cap(g->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	map = window(g->fd, PORTAL_MEM_F_WRITE, EXTRA_GPA, len);
	ASSERT_NE(MAP_FAILED, (char *)map);
	for (i = 0; i < 3; i++) {
		map[6 * PAGE] = i;
		kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
		EXPECT_EQ(1UL << 6, bitmap[0]);
		kvm_vm_clear_dirty_log(g->vm, EXTRA_SLOT, bitmap, 0, EXTRA_PAGES);
		kvm_vm_get_dirty_log(g->vm, EXTRA_SLOT, bitmap);
		EXPECT_EQ(0, bitmap[0]);
	}
	munmap((void *)map, len);
}

TEST_HARNESS_MAIN
