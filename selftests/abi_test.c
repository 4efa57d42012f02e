// SPDX-License-Identifier: GPL-2.0-only
/*
 * abi_test - the structs do not change, and longer and shorter ones are taken
 * as portal.h promises
 */
#include <stddef.h>
#include "mock_util.h"

TEST(layout_is_frozen)
{
#define SIZE(type, bytes)	EXPECT_EQ(bytes, sizeof(struct type));
#define OFFSET(type, member, bytes) EXPECT_EQ(bytes, offsetof(struct type, member));
#include "abi_layout.h"
}

TEST(command_numbers_are_frozen)
{
	EXPECT_EQ(0xbd00, PORTAL_GET_INFO);
	EXPECT_EQ(0xbd01, PORTAL_VM_ATTACH);
	EXPECT_EQ(0xbd10, PORTAL_VM_INFO);
	EXPECT_EQ(0xbd11, PORTAL_VM_DUP);
	EXPECT_EQ(0xbd12, PORTAL_HOOK_ADD);
	EXPECT_EQ(0xbd13, PORTAL_HOOK_DEL);
	EXPECT_EQ(0xbd14, PORTAL_REGION_ADD);
	EXPECT_EQ(0xbd15, PORTAL_REGION_DEL);
	EXPECT_EQ(0xbd16, PORTAL_QUEUE_CREATE);
	EXPECT_EQ(0xbd17, PORTAL_QUEUE_OPEN);
	EXPECT_EQ(0xbd18, PORTAL_QUEUE_DEL);
	EXPECT_EQ(0xbd19, PORTAL_HOOK_INFO);
	EXPECT_EQ(0xbd1a, PORTAL_REGION_INFO);
	EXPECT_EQ(0xbd1b, PORTAL_RATE_SET);
	EXPECT_EQ(0xbd20, PORTAL_MEM_LIST);
	EXPECT_EQ(0xbd21, PORTAL_MEM_RW);
	EXPECT_EQ(0xbd22, PORTAL_MEM_MAP);
	EXPECT_EQ(0xbd23, PORTAL_MEM_UNMAP);
	EXPECT_EQ(0xbd28, PORTAL_IRQ_BIND);
	EXPECT_EQ(0xbd29, PORTAL_IRQ_UNBIND);
	EXPECT_EQ(0xbd2a, PORTAL_IRQ_MSI);
	EXPECT_EQ(0xbd30, PORTAL_QUEUE_INFO);
	EXPECT_EQ(0xbd31, PORTAL_QUEUE_COMMIT);
	EXPECT_EQ(0xbd32, PORTAL_QUEUE_CANCEL);
	EXPECT_EQ(0xc010bd82, PORTAL_URING_CANCEL);
	EXPECT_EQ(0xc010bd80, PORTAL_URING_FETCH);
	EXPECT_EQ(0xc010bd81, PORTAL_URING_COMMIT_AND_FETCH);
	EXPECT_EQ(0x504f5254, PORTAL_HC_BASE);
}

/* What is on the other end of a command, and what a valid argument gives. */
FIXTURE(length)
{
	struct mock m;
	struct queue q;
};

FIXTURE_VARIANT(length)
{
	enum { DEV, VM, QUEUE_FD } on;
	unsigned long cmd;
	__u32 size;
	__u32 first;		/* size of the first version, 0: this is it */
	int valid;		/* what a valid argument of zeros gives */
	__u32 words[48];	/* a valid argument; [0] is set to its size */
};

#define LENGTH(_name, _on, _cmd, _struct, _valid, ...)			\
	GREW(_name, _on, _cmd, _struct, 0, _valid, __VA_ARGS__)
#define GREW(_name, _on, _cmd, _struct, _first, _valid, ...)		\
FIXTURE_VARIANT_ADD(length, _name) {					\
	.on = _on, .cmd = _cmd, .size = sizeof(struct _struct), .first = _first, \
	.valid = _valid, .words = { __VA_ARGS__ } }

LENGTH(get_info, DEV, PORTAL_GET_INFO, portal_info, 0);
LENGTH(vm_attach, DEV, PORTAL_VM_ATTACH, portal_vm_attach, -EBADF, [2] = -1, [3] = 1);
GREW(vm_info, VM, PORTAL_VM_INFO, portal_vm_info, 112, 0);
LENGTH(vm_dup, VM, PORTAL_VM_DUP, portal_vm_dup, 0, [2] = 1);
GREW(hook_add, VM, PORTAL_HOOK_ADD, portal_hook_add, 80, -ENOENT,
       [1] = PORTAL_HOOK_F_RAW, [2] = PORTAL_KIND_HYPERCALL, [3] = 9999, [4] = 100, [6] = 100);
LENGTH(hook_del, VM, PORTAL_HOOK_DEL, portal_id, -ENOENT, [2] = 9999);
GREW(region_add, VM, PORTAL_REGION_ADD, portal_region_add, 96, -ENOENT,
       [3] = 9999, [4] = MOCK_MMIO, [6] = 16);
LENGTH(region_del, VM, PORTAL_REGION_DEL, portal_id, -ENOENT, [2] = 9999);
LENGTH(hook_info, VM, PORTAL_HOOK_INFO, portal_target_info, -ENOENT, [2] = 9999);
LENGTH(region_info, VM, PORTAL_REGION_INFO, portal_target_info, -ENOENT, [2] = 9999);
LENGTH(rate_set, VM, PORTAL_RATE_SET, portal_rate_set, 0);
LENGTH(queue_create, VM, PORTAL_QUEUE_CREATE, portal_queue_create, 0, [2] = 4);
LENGTH(queue_open, VM, PORTAL_QUEUE_OPEN, portal_queue_open, -ENOENT, [2] = 9999);
LENGTH(queue_del, VM, PORTAL_QUEUE_DEL, portal_id, -ENOENT, [2] = 9999);
LENGTH(mem_list, VM, PORTAL_MEM_LIST, portal_mem_list, 0);
GREW(mem_rw, VM, PORTAL_MEM_RW, portal_mem_rw, 32, -EFAULT, [2] = 8, [4] = 1);
LENGTH(mem_map, VM, PORTAL_MEM_MAP, portal_mem_map, -ENOENT,
       [2] = 0x70000000, [4] = 0x1000);
LENGTH(mem_unmap, VM, PORTAL_MEM_UNMAP, portal_id, -ENOENT, [2] = 9999);
GREW(irq_bind, VM, PORTAL_IRQ_BIND, portal_irq_bind, 24, -EOPNOTSUPP,
       [2] = 5, [3] = -1, [4] = -1);
GREW(irq_unbind, VM, PORTAL_IRQ_UNBIND, portal_irq_bind, 24, -EOPNOTSUPP,
       [2] = 5, [3] = -1, [4] = -1);
LENGTH(irq_msi, VM, PORTAL_IRQ_MSI, portal_irq_msi, -EOPNOTSUPP, [2] = 0xfee00000);
LENGTH(queue_info, QUEUE_FD, PORTAL_QUEUE_INFO, portal_queue_info, 0);
LENGTH(queue_cancel, QUEUE_FD, PORTAL_QUEUE_CANCEL, portal_queue_cancel, -ENOENT);

FIXTURE_SETUP(length)
{
	mock_setup(_metadata, &self->m);
	ASSERT_EQ(0, queue_create(self->m.vm, &self->q, (struct portal_queue_create)QUEUE(4)));
}

FIXTURE_TEARDOWN(length)
{
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* The argument with @size told and @tail in the first byte behind it. */
static int call(FIXTURE_DATA(length) *self, const FIXTURE_VARIANT(length) *variant,
		__u32 size, __u8 tail, __u8 *after)
{
	int fd = variant->on == DEV ? self->m.dev : variant->on == VM ? self->m.vm : self->q.fd;
	union {
		__u32 words[48];
		__u8 bytes[192];
	} arg = { 0 };
	int ret;

	memcpy(arg.words, variant->words, variant->size);
	arg.words[0] = size;
	if (size > variant->size)
		arg.bytes[variant->size] = tail;
	else
		memset(arg.bytes + size, tail, sizeof(arg) - size);
	ret = portal_ioctl(fd, variant->cmd, &arg);
	*after = arg.bytes[size];
	return ret;
}

TEST_F(length, exact_size_is_taken_and_nothing_behind_it_is_touched)
{
	__u8 after;

	EXPECT_EQ(variant->valid, call(self, variant, variant->size, 0xa5, &after));
	EXPECT_EQ(0xa5, after);
}

TEST_F(length, first_version_is_taken_for_ever)
{
	__u32 first = variant->first ?: variant->size;
	__u8 after;

	/* what it does not tell is 0, and nothing behind it is touched */
	EXPECT_EQ(variant->valid, call(self, variant, first, 0xa5, &after));
	EXPECT_EQ(0xa5, after);
}

TEST_F(length, below_the_first_version_is_einval)
{
	__u8 after;

	EXPECT_EQ(-EINVAL, call(self, variant, (variant->first ?: variant->size) - 1, 0, &after));
	EXPECT_EQ(-EINVAL, call(self, variant, 4, 0, &after));
	EXPECT_EQ(-EINVAL, call(self, variant, 0, 0, &after));
}

TEST_F(length, unknown_tail_of_zeros_is_taken)
{
	__u8 after;

	EXPECT_EQ(variant->valid, call(self, variant, variant->size + 8, 0, &after));
}

TEST_F(length, unknown_tail_with_a_value_is_e2big)
{
	__u8 after;

	EXPECT_EQ(-E2BIG, call(self, variant, variant->size + 8, 1, &after));
}

TEST_HARNESS_MAIN
