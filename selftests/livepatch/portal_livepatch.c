// SPDX-License-Identifier: GPL-2.0-only
/*
 * portal_livepatch - a live patch that sits on kvm_emulate_hypercall()
 *
 * A guest that calls meanwhile does so until the patch is gone: the test only
 * looks who gets the function.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

struct kvm_vcpu;

static int patched_emulate_hypercall(struct kvm_vcpu *vcpu)
{
	return 1;	/* into the guest again, which calls again */
}

static struct klp_func funcs[] = {
	{ .old_name = "kvm_emulate_hypercall", .new_func = patched_emulate_hypercall },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "kvm", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init portal_livepatch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit portal_livepatch_exit(void)
{
}

module_init(portal_livepatch_init);
module_exit(portal_livepatch_exit);
MODULE_DESCRIPTION("Test of portal: a live patch on a function that it hooks");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
