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

TEST_HARNESS_MAIN
