// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e_hc.c - in the guest: one hypercall of any number, when loaded
 *
 *	modprobe e2e_hc nr=0x1234 arg=42; cat /sys/module/e2e_hc/parameters/result
 */
#include <linux/kvm_para.h>
#include <linux/module.h>

static uint nr;
module_param(nr, uint, 0444);

static ulong arg;
module_param(arg, ulong, 0444);

static long result;
module_param(result, long, 0444);

static int __init e2e_hc_init(void)
{
	result = kvm_hypercall1(nr, arg);
	return 0;
}
module_init(e2e_hc_init);

static void __exit e2e_hc_exit(void)
{
}
module_exit(e2e_hc_exit);

MODULE_DESCRIPTION("portal selftest: one hypercall");
MODULE_LICENSE("GPL");
