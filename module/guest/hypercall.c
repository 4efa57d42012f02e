// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypercall.c - the one instruction by which a guest talks to portal
 *
 * A call may take as long as the host wants. The instruction is restartable:
 * while the host has no answer this vCPU still takes interrupts, and after
 * each of them executes the instruction again, maybe on another vCPU. After a
 * while the host says "repeat", and other tasks get the vCPU in between. The
 * call id tells the host that it is still the same call.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "guest.h"

/* A 32-bit guest has its call id in another register, and no readq(). */
#ifndef CONFIG_X86_64
#error "portal_guest needs a 64-bit x86 kernel"
#endif

/* KVM's answer to a hypercall it does not know: portal is not attached */
#define KVM_NO_SUCH_CALL	(-1000)
/* the highest errno of x86 Linux, EHWPOISON */
#define PORTAL_LAST_ERRNO	133
/* longest sleep between two tries of a call */
#define PORTAL_MAX_PAUSE_US	10000

/*
 * Nothing but this number separates our calls, so it must not come back while
 * a call is open: 2^32 calls later that call is long over, for every one has a
 * time-out in the host.
 */
static atomic_t portal_call_id = ATOMIC_INIT(0);

/*
 * KVM patches the wrong vendor's instruction, and our text may be read-only:
 * ALTERNATIVE, as in the kernel's KVM_HYPERCALL. Where no hypervisor takes the
 * instruction it is an invalid opcode; the fixup then leaves RAX as it was,
 * which no caller takes for an answer to HELLO.
 */
static u64 hypercall(u32 nr, u32 id, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u64 ret;

	asm volatile("1: " ALTERNATIVE("vmcall", "vmmcall", X86_FEATURE_VMMCALL)
		     "\n2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : "=a" (ret)
		     : "a" (nr | (u64)id << 32), "b" (a0), "c" (a1), "d" (a2),
		       "S" (a3)
		     : "memory");
	return ret;
}

/*
 * -PORTAL_EAGAIN: the host has had this vCPU for some 10 ms, or cannot wait at
 * all. In proportion to how long the call takes, others may have it now: a
 * parked hypercall looks to the scheduler like a task that computes.
 */
static void pause_between_tries(ktime_t start)
{
	s64 us = min_t(s64, ktime_us_delta(ktime_get(), start) / 4, PORTAL_MAX_PAUSE_US);

	if (us < 20)
		cond_resched();
	else
		usleep_range(us, us + us / 4);
}

static s64 hypercall_retry(u32 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u32 id = atomic_inc_return(&portal_call_id);
	ktime_t start = ktime_get();
	s64 ret;

	might_sleep();

	/*
	 * Not killable: the call is open in the host until it is answered, and
	 * most callers own something that the host uses meanwhile.
	 */
	while ((ret = hypercall(nr, id, a0, a1, a2, a3)) == -PORTAL_EAGAIN)
		pause_between_tries(start);
	return ret;
}

/*
 * The host's errors are Linux's, but it may send any number. Those the kernel
 * uses internally (ERESTARTSYS) must not reach a program or a driver.
 */
static s64 sane_error(s64 ret)
{
	if (ret == KVM_NO_SUCH_CALL)
		return -ENOTCONN;
	if (portal_is_error(ret) && ret < -PORTAL_LAST_ERRNO)
		return -EIO;
	return ret;
}

/**
 * portal_hypercall() - call portal
 * @nr: PORTAL_HC_*
 * @a0: argument 0
 * @a1: argument 1
 * @a2: argument 2
 * @a3: argument 3
 *
 * Context: Process context, may sleep. Takes as long as the host wants, in
 *	which time this vCPU takes interrupts; so hold no lock that others need.
 * Return: the value. Errors are -133 to -1; -ENOTCONN if nobody takes the call:
 *	portal does not know us any more.
 */
s64 portal_hypercall(u32 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	return sane_error(hypercall_retry(nr, a0, a1, a2, a3));
}

/**
 * portal_guest_call() - call a function of a service
 * @slot: slot of the service, by portal_guest_find()
 * @fn: number of the function
 * @a0: argument 0
 * @a1: argument 1
 * @a2: argument 2
 * @a3: argument 3
 *
 * Context: As portal_hypercall().
 * Return: what the service answered; portal_is_error() tells whether that is
 *	an error. -EINVAL: no such number of slot or function. -ENODEV: there
 *	is no service.
 */
s64 portal_guest_call(unsigned int slot, unsigned int fn, u64 a0, u64 a1,
		      u64 a2, u64 a3)
{
	s64 ret;

	if (slot >= PORTAL_BUS_SLOTS || fn >= PORTAL_HC_SERVICE_FNS)
		return -EINVAL;

	ret = hypercall_retry(PORTAL_HC_SERVICE(slot) + fn, a0, a1, a2, a3);
	if (ret == KVM_NO_SUCH_CALL) {
		/* The host lost us: no interrupt will tell the bus. */
		portal_bus_scan();
		return -ENODEV;
	}
	return sane_error(ret);
}
EXPORT_SYMBOL_GPL(portal_guest_call);

/**
 * portal_hello() - open the conversation with portal
 *
 * May be repeated when the host seems to have lost us.
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENODEV if this machine cannot have portal; -ENOTCONN if nobody
 *	answers; -ENXIO if no daemon serves the bus; -EPROTO if the host speaks
 *	another version.
 */
int portal_hello(void)
{
	u32 features = PORTAL_GUEST_F_64BIT | PORTAL_GUEST_F_EAGAIN;
	s64 ret;

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR) ||
	    !hypervisor_cpuid_base("KVMKVMKVM\0\0\0", 0)) {
		pr_debug("this machine is not a KVM guest\n");
		return -ENODEV;
	}
	/* There VMCALL belongs to the TDX module and never reaches KVM. */
	if (boot_cpu_has(X86_FEATURE_TDX_GUEST)) {
		pr_debug("not possible in a TDX guest\n");
		return -ENODEV;
	}

	ret = portal_hypercall(PORTAL_HC_HELLO, PORTAL_HELLO_MAGIC0,
			       PORTAL_HELLO_MAGIC1, PORTAL_GUEST_VERSION,
			       features);
	/* An invalid opcode, or a hypervisor that left RAX alone: our number. */
	if (ret < 0 || (u32)ret == PORTAL_HC_HELLO || ret > S32_MAX) {
		pr_debug("the host answers %lld\n", ret);
		return -ENOTCONN;
	}
	if (PORTAL_HELLO_VERSION(ret) != PORTAL_GUEST_VERSION) {
		pr_err_once("the host speaks version %lld, this module version %d\n",
			    PORTAL_HELLO_VERSION(ret), PORTAL_GUEST_VERSION);
		return -EPROTO;
	}
	if (!(ret & PORTAL_GUEST_F_64BIT)) {
		pr_err_once("the host serves only 32-bit calls\n");
		return -EPROTO;
	}
	return ret & PORTAL_GUEST_F_BUS ? 0 : -ENXIO;
}
