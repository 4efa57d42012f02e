/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* memory_test.c - copies of and windows on guest memory */
#include <stdlib.h>
#include "fake.h"

#define PAGE	4096ULL

static void slot(uint64_t gpa, uint64_t pages, uint32_t flags)
{
	fake.slots[fake.nr_slots] = (struct portal_mem_slot){
		.gpa = gpa, .len = pages * PAGE, .flags = flags, .slot = fake.nr_slots,
	};
	fake.nr_slots++;
	fake.generation++;
}

static struct portal_mem *map(struct portal_vm *vm, bool write)
{
	struct portal_mem *mem;

	assert_ok(portal_mem_map(vm, write, &mem));
	return mem;
}

static void test_at_boundaries(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem *mem;
	char *low, *next;

	(void)state;
	slot(0x1000, 2, 0);
	slot(0x3000, 1, 0);		/* adjoins, but is another window */
	slot(0x100000000, 4, 0);
	slot(0xfffffffffffff000, 1, 0);	/* ends where 64 bits do */
	mem = map(vm, true);
	assert_null(portal_mem_at(mem, 0, 1));
	assert_null(portal_mem_at(mem, 0xfff, 2));
	low = portal_mem_at(mem, 0x1000, 0x2000);
	assert_non_null(low);
	assert_ptr_equal(portal_mem_at(mem, 0x2fff, 1), low + 0x1fff);
	assert_null(portal_mem_at(mem, 0x2fff, 2));
	assert_null(portal_mem_at(mem, 0x1000, 0x2001));
	next = portal_mem_at(mem, 0x3000, 1);
	assert_non_null(next);
	assert_null(portal_mem_at(mem, 0x4000, 1));
	assert_null(portal_mem_at(mem, 0x4000, 0));
	assert_null(portal_mem_at(mem, 0xffffffff, 1));
	assert_non_null(portal_mem_at(mem, 0x100000000, 4 * PAGE));
	assert_null(portal_mem_at(mem, 0x100000000, 4 * PAGE + 1));
	assert_null(portal_mem_at(mem, 0x100000001, SIZE_MAX));
	assert_null(portal_mem_at(mem, 0x1000, SIZE_MAX));
	assert_non_null(portal_mem_at(mem, UINT64_MAX, 1));
	assert_null(portal_mem_at(mem, UINT64_MAX, 2));
	assert_null(portal_mem_at(mem, UINT64_MAX, SIZE_MAX));

	/* they show the memory, not something */
	low[0] = 17;
	next[0] = 18;
	assert_int_equal(fake.vm_mem[PAGE], 17);
	assert_int_equal(fake.vm_mem[2 * PAGE], 18);
	portal_mem_unmap(mem);
	portal_mem_unmap(NULL);
	assert_int_equal(fake.windows, 0);
	portal_vm_close(vm);
}

static void test_which_slots(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem *mem;

	(void)state;
	slot(0, 1, 0);
	slot(0x10000, 1, PORTAL_SLOT_F_READONLY);
	slot(0x20000, 1, 0);
	fake.map_err[2] = EOPNOTSUPP;
	mem = map(vm, true);
	assert_non_null(portal_mem_at(mem, 0, 1));
	assert_null(portal_mem_at(mem, 0x10000, 1));
	assert_null(portal_mem_at(mem, 0x20000, 1));
	portal_mem_unmap(mem);
	mem = map(vm, false);
	assert_non_null(portal_mem_at(mem, 0x10000, 1));
	portal_mem_unmap(mem);

	fake.map_err[0] = EOPNOTSUPP;
	assert_err(portal_mem_map(vm, true, &mem), EOPNOTSUPP);
	fake.map_err[0] = 0;
	fake.map_err[2] = EPERM;
	assert_err(portal_mem_map(vm, true, &mem), EPERM);
	assert_int_equal(fake.windows, 0);
	fake.nr_slots = 0;
	mem = map(vm, true);
	assert_null(portal_mem_at(mem, 0, 1));
	portal_mem_unmap(mem);
	portal_vm_close(vm);
}

static void take_away(void)
{
	fake.nr_slots = 1;
	fake.generation++;
}

static void test_slot_goes_while_mapping(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem *mem;

	(void)state;
	slot(0, 1, 0);
	slot(0x10000, 1, 0);
	fake.on_map = take_away;
	mem = map(vm, true);
	assert_non_null(portal_mem_at(mem, 0, 1));
	assert_null(portal_mem_at(mem, 0x10000, 1));
	assert_int_equal(fake.windows, 1);
	assert_int_equal(portal_mem_refresh(mem), 0);
	portal_mem_unmap(mem);
	portal_vm_close(vm);
}

static void test_refresh(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem *mem;
	void *kept;

	(void)state;
	slot(0, 1, 0);
	slot(0x10000, 1, 0);
	mem = map(vm, true);
	kept = portal_mem_at(mem, 0, 1);
	assert_int_equal(portal_mem_refresh(mem), 0);
	assert_int_equal(fake.maps, 2);
	fake.slots[1].len = 2 * PAGE;
	slot(0x20000, 1, 0);
	assert_int_equal(portal_mem_refresh(mem), 1);
	assert_ptr_equal(portal_mem_at(mem, 0, 1), kept);
	assert_non_null(portal_mem_at(mem, 0x10000, 2 * PAGE));
	assert_non_null(portal_mem_at(mem, 0x20000, 1));
	assert_int_equal(fake.maps, 4);
	assert_int_equal(fake.windows, 3);
	assert_int_equal(portal_mem_refresh(mem), 0);

	/* an error leaves it as it was */
	slot(0x30000, 1, 0);
	fake.map_err[3] = ENOSPC;
	assert_err(portal_mem_refresh(mem), ENOSPC);
	assert_ptr_equal(portal_mem_at(mem, 0, 1), kept);
	assert_int_equal(fake.windows, 3);
	memset(kept, 1, PAGE);
	portal_mem_unmap(mem);
	assert_int_equal(fake.windows, 0);
	portal_vm_close(vm);
}

static void test_many_slots(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem_slot out[2];
	struct portal_mem *mem;
	uint64_t generation;
	unsigned int i;

	(void)state;
	for (i = 0; i < FAKE_SLOTS; i++)
		slot(i * 2 * PAGE, 1, 0);
	assert_int_equal(portal_mem_slots(vm, out, 2, &generation), FAKE_SLOTS);
	assert_int_equal(generation, FAKE_SLOTS);
	assert_int_equal(out[1].gpa, 2 * PAGE);
	mem = map(vm, true);
	for (i = 0; i < FAKE_SLOTS; i++) {
		assert_non_null(portal_mem_at(mem, i * 2 * PAGE, PAGE));
		assert_null(portal_mem_at(mem, (i * 2 + 1) * PAGE, 1));
	}
	portal_mem_unmap(mem);
	portal_vm_close(vm);
}

static void test_copy(void **state)
{
	struct portal_vm *vm = fake_vm();
	char buf[16] = "";

	(void)state;
	assert_int_equal(portal_mem_write(vm, 100, "portal", 7), 7);
	assert_int_equal(portal_mem_read(vm, 100, buf, 7), 7);
	assert_string_equal(buf, "portal");
	assert_int_equal(portal_mem_read(vm, 100, buf, 0), 0);
	assert_int_equal(portal_mem_rwv(vm, NULL, 0, false), 0);
	assert_int_equal(fake.rw_calls, 2);
	fake.rw_limit = 4096;
	assert_err((int)portal_mem_read(vm, 4096, buf, 1), ENOENT);
	portal_vm_close(vm);
}

static void test_copy_signal(void **state)
{
	struct portal_vm *vm = fake_vm();
	char a[4] = "", b[8] = "", c[4] = "";
	struct portal_mem_vec vecs[] = {
		{ 0, (uintptr_t)a, 4 }, { 100, (uintptr_t)b, 8 },
		{ 0, 0, 0 }, { 200, (uintptr_t)c, 4 },
	};

	(void)state;
	memcpy(fake.vm_mem, "abcd", 4);
	memcpy(fake.vm_mem + 100, "efghijkl", 8);
	memcpy(fake.vm_mem + 200, "mnop", 4);
	fake.rw_signal = 7;
	assert_int_equal(portal_mem_rwv(vm, vecs, 4, false), 16);
	assert_memory_equal(a, "abcd", 4);
	assert_memory_equal(b, "efghijkl", 8);
	assert_memory_equal(c, "mnop", 4);
	portal_vm_close(vm);
}

static void test_copy_partial(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem_vec *vecs = calloc(1500, sizeof(*vecs));
	char buf[4] = "";
	unsigned int i;

	(void)state;
	for (i = 0; i < 1500; i++)
		vecs[i] = (struct portal_mem_vec){ i * 4, (uintptr_t)buf, 4 };
	assert_int_equal(portal_mem_rwv(vm, vecs, 1500, false), 6000);
	assert_int_equal(fake.rw_calls, 2);	/* 1024 at a time */
	fake.rw_limit = 4400;
	assert_int_equal(portal_mem_rwv(vm, vecs, 1500, false), 4400);
	fake.rw_limit = 400;
	assert_int_equal(portal_mem_rwv(vm, vecs, 1500, false), 400);
	assert_int_equal(fake.rw_calls, 5);	/* stops at the first failure */
	free(vecs);
	portal_vm_close(vm);
}

static void test_copy_gva(void **state)
{
	struct portal_vm *vm = fake_vm();
	char buf[16] = "";

	(void)state;
	assert_int_equal(portal_mem_write_gva(vm, 3, 200, "virtual", 8), 8);
	assert_int_equal(fake.rw_flags, PORTAL_MEM_F_GVA | PORTAL_MEM_F_WRITE);
	assert_int_equal(fake.rw_vcpu, 3);
	assert_int_equal(portal_mem_read_gva(vm, 2, 200, buf, 8), 8);
	assert_string_equal(buf, "virtual");
	assert_int_equal(fake.rw_flags, PORTAL_MEM_F_GVA);
	assert_int_equal(fake.rw_vcpu, 2);
	assert_int_equal(portal_mem_read_gva(vm, 2, 200, buf, 0), 0);
	fake.next_err = EBUSY;
	assert_err((int)portal_mem_read_gva(vm, 2, 200, buf, 8), EBUSY);
	portal_vm_close(vm);
}

static void test_direct(void **state)
{
	struct portal_vm *vm = fake_vm();
	struct portal_mem *mem;

	(void)state;
	slot(0, 1, 0);
	slot(0x10000, 1, 0);
	assert_ok(portal_mem_map_direct(vm, true, &mem));
	assert_int_equal(fake.map_flags, PORTAL_MEM_F_WRITE | PORTAL_MEM_F_DIRECT);
	assert_non_null(portal_mem_at(mem, 0x10000, 1));
	/* what is the same slot may be another file */
	fake.generation++;
	assert_int_equal(portal_mem_refresh(mem), 1);
	assert_int_equal(fake.maps, 4);
	assert_int_equal(fake.map_flags, PORTAL_MEM_F_WRITE | PORTAL_MEM_F_DIRECT);
	portal_mem_unmap(mem);
	assert_int_equal(fake.windows, 0);
	assert_ok(portal_mem_map_direct(vm, false, &mem));
	assert_int_equal(fake.map_flags, PORTAL_MEM_F_DIRECT);
	portal_mem_unmap(mem);
	portal_vm_close(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_at_boundaries), T(test_which_slots), T(test_slot_goes_while_mapping),
		T(test_refresh), T(test_many_slots), T(test_copy), T(test_copy_signal), T(test_copy_partial),
		T(test_copy_gva), T(test_direct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
