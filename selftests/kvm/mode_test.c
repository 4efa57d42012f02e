// SPDX-License-Identifier: GPL-2.0-only
/*
 * mode_test - hypercalls from every mode: 32 and 64 bits, kernel and user, and a
 * guest of the guest
 */
#include "portal_kvm.h"
#include "svm_util.h"

#define BOX_GPA		0x170000	/* below the page tables, above the program */
#define CODE_GPA	0x171000
#define IOPL_3		(3UL << 12)
#define KVM_ENOSYS	1000

/* Mail of the guest, which is without a page table when it has 32 bits. */
struct box {
	__u32 go, done;
	__u32 vmmcall;
	__u32 pad;
	__u64 rax, rdi, args[4];
	__u64 out;
};

/* The same code for both: what has 64 bits has a prefix. */
#define CODE(name, bits, r, box, ...)						\
extern const char name[], name##_end[];						\
asm(".pushsection .rodata\n"							\
    ".code" bits "\n"								\
    #name ":\n"									\
    "	mov $" #box ", %" r "bp\n"						\
    "	mov $1, %" r "sp\n"			/* number of the call */	\
    "1:	pause\n"								\
    "	mov (%" r "bp), %eax\n"							\
    "	cmp $-1, %eax\n"							\
    "	je 4f\n"								\
    "	cmp %esp, %eax\n"							\
    "	jne 1b\n"								\
    "	mov 16(%" r "bp), %" r "ax\n"						\
    "	mov 24(%" r "bp), %" r "di\n"						\
    "	mov 32(%" r "bp), %" r "bx\n"						\
    "	mov 40(%" r "bp), %" r "cx\n"						\
    "	mov 48(%" r "bp), %" r "dx\n"						\
    "	mov 56(%" r "bp), %" r "si\n"						\
    "	cmpl $0, 8(%" r "bp)\n"							\
    "	je 2f\n"								\
    "	vmmcall\n"								\
    "	jmp 3f\n"								\
    "2:	vmcall\n"								\
    "3:	mov %" r "ax, 64(%" r "bp)\n"						\
    "	mov %esp, 4(%" r "bp)\n"						\
    "	inc %esp\n"								\
    "	jmp 1b\n"								\
    "4:	mov $0x1004, %edx\n"							\
    "	out %al, %dx\n"								\
    "5:	jmp 5b\n"								\
    #name "_end:\n"								\
    ".code64\n"									\
    ".popsection\n")

CODE(code32, "32", "e", 0x170000);
CODE(code64, "64", "r", 0x170000);

FIXTURE(mode)
{
	struct guest g;
	volatile struct box *box;
	__u32 n;
};

FIXTURE_VARIANT(mode)
{
	bool has_64_bits;
	int cpl;
};

FIXTURE_VARIANT_ADD(mode, kernel_32) { .has_64_bits = false, .cpl = 0 };
FIXTURE_VARIANT_ADD(mode, kernel_64) { .has_64_bits = true, .cpl = 0 };
FIXTURE_VARIANT_ADD(mode, user_32) { .has_64_bits = false, .cpl = 3 };
FIXTURE_VARIANT_ADD(mode, user_64) { .has_64_bits = true, .cpl = 3 };

static void nowhere(void)
{
}

/* A page that CPL 3 may use, with all tables above it; 1:1. */
static void map_user(struct kvm_vm *vm, __u64 gpa)
{
	__u64 table = vm->pgd, *pte;
	int level;

	virt_pg_map(vm, gpa, gpa);
	for (level = 3; level >= 0; level--) {
		pte = (__u64 *)addr_gpa2hva(vm, table) + (gpa >> (12 + 9 * level) & 511);
		*pte |= 4;
		table = *pte & 0xffffffffff000ULL;
	}
}

static void segment(struct kvm_segment *s, bool code, bool has_64_bits, int cpl)
{
	*s = (struct kvm_segment){
		.limit = 0xffffffff, .selector = (code ? 0x8 : 0x10) | cpl, .present = 1, .s = 1,
		.type = code ? 11 : 3, .dpl = cpl, .g = 1, .db = !(code && has_64_bits),
		.l = code && has_64_bits,
	};
}

FIXTURE_SETUP(mode)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_init(_metadata, g, nowhere);
	map_user(g->vm, BOX_GPA);
	map_user(g->vm, CODE_GPA);
	self->box = addr_gpa2hva(g->vm, BOX_GPA);
	self->box->vmmcall = guest_has_vmmcall;
	memcpy(addr_gpa2hva(g->vm, CODE_GPA), variant->has_64_bits ? code64 : code32,
	       variant->has_64_bits ? code64_end - code64 : code32_end - code32);

	vcpu_sregs_get(g->vcpu, &sregs);
	segment(&sregs.cs, true, variant->has_64_bits, variant->cpl);
	segment(&sregs.ss, false, variant->has_64_bits, variant->cpl);
	sregs.ds = sregs.es = sregs.ss;
	if (!variant->has_64_bits) {
		sregs.cr0 = X86_CR0_PE | X86_CR0_NE | X86_CR0_ET;
		sregs.cr4 = 0;
		sregs.efer = 0;
	}
	vcpu_sregs_set(g->vcpu, &sregs);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip = CODE_GPA;
	regs.rflags |= IOPL_3;
	vcpu_regs_set(g->vcpu, &regs);
}

FIXTURE_TEARDOWN(mode)
{
	guest_end(&self->g);
}

/* put: the guest makes a call; call ids are in RAX or EDI */
static void put(FIXTURE_DATA(mode) *self, bool has_64_bits, __u32 nr, __u32 id, __u64 a0, __u64 a1)
{
	volatile struct box *box = self->box;

	box->rax = has_64_bits ? (__u64)id << 32 | nr : nr;
	box->rdi = has_64_bits ? 0xbad : id;
	box->args[0] = a0;
	box->args[1] = a1;
	box->args[2] = nr == PORTAL_HC_HELLO ? PORTAL_GUEST_VERSION : 0x80000003;
	box->args[3] = nr == PORTAL_HC_HELLO ? 0 : 0xffffffffffffffff;
	box->out = 0;
	__atomic_store_n(&box->go, ++self->n, __ATOMIC_RELEASE);
}

static bool done(FIXTURE_DATA(mode) *self)
{
	return __atomic_load_n(&self->box->done, __ATOMIC_ACQUIRE) == self->n;
}

static __s64 value(FIXTURE_DATA(mode) *self, bool has_64_bits)
{
	if (!WAIT_UNTIL(done(self)))
		return -ETIMEDOUT;
	return has_64_bits ? (__s64)self->box->out : (__s32)self->box->out;
}

static int leave(FIXTURE_DATA(mode) *self)
{
	__atomic_store_n(&self->box->go, ~0U, __ATOMIC_RELEASE);
	return guest_join(&self->g);
}

static __s64 hello(FIXTURE_DATA(mode) *self, bool has_64_bits)
{
	put(self, has_64_bits, PORTAL_HC_HELLO, 0, PORTAL_HELLO_MAGIC0, PORTAL_HELLO_MAGIC1);
	return value(self, has_64_bits);
}

TEST_F(mode, arguments_id_and_value_have_its_width)
{
	bool wide = variant->has_64_bits;
	__u64 m = wide ? ~0ULL : 0xffffffff;
	struct portal_request req;
	struct guest *g = &self->g;
	int i;

	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_USER | PORTAL_HOOK_F_RAW));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_signals(g, 3));
	for (i = 0; i < 20; i++) {
		__u64 start = now_ns();

		put(self, wide, SERVICE + i, 0xf0000000 + i, 0xf1f2f3f4f5f6f700 + i, i);
		ASSERT_TRUE(queue_next(&g->q, &req));
		EXPECT_EQ(SERVICE + i, req.addr);
		EXPECT_EQ(0xf0000000 + i, req.call_id);
		EXPECT_EQ((0xf1f2f3f4f5f6f700 + i) & m, req.data[0]);
		EXPECT_EQ(i, req.data[1]);
		EXPECT_EQ(0x80000003, req.data[2]);
		EXPECT_EQ(m, req.data[3]);
		EXPECT_EQ(PORTAL_REQ_F_CALL | (variant->cpl ? PORTAL_REQ_F_USER : 0), req.flags);
		while (now_ns() - start < 10 * NSEC_PER_MSEC)
			sched_yield();
		EXPECT_FALSE(done(self));
		ASSERT_EQ(0, queue_consume(&g->q));
		ASSERT_EQ(0, queue_reply(&g->q, req.id, 0x1234567876543210 + i));
		EXPECT_EQ(wide ? 0x1234567876543210 + i : 0x76543210 + i, value(self, wide));
	}
	ASSERT_EQ(0, guest_signals(g, 0));
	ASSERT_EQ(0, leave(self));
	EXPECT_EQ(20, portal_vm_info(g->fd).out_calls);
	EXPECT_EQ(0, queue_info(&g->q).out_stale);
	TH_LOG("%d EINTR, %llu restarts", g->eintr, portal_vm_info(g->fd).out_restarts);
}

TEST_F(mode, user_is_refused_unless_its_hook_allows_it)
{
	bool wide = variant->has_64_bits, user = variant->cpl;
	struct portal_request req;
	struct guest *g = &self->g;
	__s64 ret;

	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_RAW));
	ASSERT_LT(0, hook_add(g->fd, (struct portal_hook_add)
			      HOOK(g->q.id, 0x1000, 0x1000,
				   .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_USER)));
	ASSERT_EQ(0, guest_start(g));
	ret = hello(self, wide);
	EXPECT_TRUE(user ? ret == -PORTAL_EPERM : ret > 0);
	EXPECT_EQ(!user, portal_vm_info(g->fd).out_hellos);
	put(self, wide, SERVICE, 1, 0, 0);
	if (!user)
		ASSERT_EQ(0, queue_answer(&g->q, &req, 7));
	EXPECT_EQ(user ? -PORTAL_EPERM : 7, value(self, wide));
	EXPECT_EQ(0, queue_ready(&g->q));
	/* the hook next to it allows it, KVM refuses what is its */
	put(self, wide, 0x1000, 2, 0, 0);
	ASSERT_EQ(0, queue_answer(&g->q, &req, 8));
	EXPECT_EQ(8, value(self, wide));
	put(self, wide, 0x2000, 3, 0, 0);
	EXPECT_EQ(user ? -PORTAL_EPERM : -KVM_ENOSYS, value(self, wide));
	ASSERT_EQ(0, leave(self));
}

/* ---- a guest of the guest ----------------------------------------------- */

static void inner_guest(void)
{
	asm volatile("vmmcall" : : "a"((__u64)SERVICE | 5ULL << 32), "b"(1), "c"(2) : "memory");
	guest_writel(MMIO_GPA, 77);
	asm volatile("vmmcall" : : "a"(0xdead) : "memory");
}

static void outer_guest(struct svm_test_data *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	static unsigned long stack[64];

	generic_svm_setup(svm, inner_guest, &stack[64]);
	run_guest(vmcb, svm->vmcb_gpa);
	guest_report(vmcb->control.exit_code);
	guest_report(vmcb->save.rax);
	vmcb->save.rip += 3;
	run_guest(vmcb, svm->vmcb_gpa);
	guest_report(vmcb->control.exit_code);
	guest_report(vmcb->save.rax);
	guest_report(guest_hc(SERVICE, 6, 1, 2, 0, 0));
	GUEST_DONE();
}

TEST(calls_of_a_guest_of_the_guest_are_its_own)
{
	struct portal_region_range range = RANGE(0, 4, SYNC);
	struct portal_request req;
	struct region r;
	struct guest guest, *g = &guest;
	vm_vaddr_t svm;

	guest_init(_metadata, g, outer_guest);
	if (!kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "nested guests are tested on AMD only");
	vcpu_alloc_svm(g->vm, &svm);
	vcpu_args_set(g->vcpu, 1, svm);
	ASSERT_LT(0, guest_hook(g, PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_USER));
	ASSERT_EQ(0, region_map(g->fd, &r, (struct portal_region_add)
				REGION(g->q.id, MMIO_GPA, 0x100, &range, 1)));
	ASSERT_EQ(0, guest_start(g));
	ASSERT_EQ(0, guest_signals(g, 3));
	/* its registers are ours, once, though nothing can restart there */
	ASSERT_TRUE(queue_next(&g->q, &req));
	EXPECT_EQ(PORTAL_KIND_MMIO, req.kind);
	EXPECT_EQ(77, req.data[0]);
	EXPECT_EQ(2, __atomic_load_n(&g->nr, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, queue_consume(&g->q));
	ASSERT_EQ(0, queue_answer(&g->q, &req, 9));
	EXPECT_EQ(PORTAL_KIND_HYPERCALL, req.kind);
	EXPECT_EQ(6, req.call_id);
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(0, guest_signals(g, 0));
	EXPECT_EQ(SVM_EXIT_VMMCALL, g->value[0]);
	EXPECT_EQ((__u64)SERVICE | 5ULL << 32, g->value[1]);
	EXPECT_EQ(SVM_EXIT_VMMCALL, g->value[2]);
	EXPECT_EQ(0xdead, g->value[3]);
	EXPECT_EQ(9, g->value[4]);
	EXPECT_EQ(1, portal_vm_info(g->fd).out_calls);
	EXPECT_EQ(2, queue_info(&g->q).out_requests);
	guest_end(g);
}

TEST_HARNESS_MAIN
