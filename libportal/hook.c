/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * hook.c - hooks on hypercalls
 */
#include "internal.h"

int portal_hook_hypercall(struct portal_vm *vm, uint32_t queue_id, uint32_t first,
			  uint32_t last, const struct portal_hook_opts *opts)
{
	struct portal_hook_add arg;
	struct portal_hook_opts o;
	int err;

	err = portal_opts_copy(&o, sizeof(o), opts);
	if (err)
		return err;
	arg = PORTAL_ARG(portal_hook_add,
			 .flags = o.flags,
			 .kind = PORTAL_KIND_HYPERCALL,
			 .queue_id = queue_id,
			 .first = first,
			 .last = last,
			 .cookie = o.cookie,
			 .timeout_ns = o.timeout_ns,
			 .timeout_value = o.timeout_value,
			 .on_timeout = o.on_timeout,
			 .policy = o.policy,
			 .filters_uptr = ptr_to_u64(o.filters),
			 .queues_uptr = ptr_to_u64(o.queues),
			 .nr_filters = o.nr_filters,
			 .nr_queues = o.nr_queues);
	err = portal_ioctl(vm->fd, PORTAL_HOOK_ADD, &arg);
	return err < 0 ? err : (int)arg.out_hook_id;
}

int portal_target_ioctl(int fd, unsigned long cmd, uint32_t id, struct portal_target_info *info,
			uint64_t *hits, uint32_t nr)
{
	*info = PORTAL_ARG(portal_target_info, .id = id, .nr_filters = nr,
			   .hits_uptr = ptr_to_u64(hits));
	return portal_ioctl(fd, cmd, info);
}

int portal_hook_get_info(struct portal_vm *vm, uint32_t hook_id,
			 struct portal_target_info *info, uint64_t *hits, uint32_t nr)
{
	return portal_target_ioctl(vm->fd, PORTAL_HOOK_INFO, hook_id, info, hits, nr);
}

int portal_hook_del(struct portal_vm *vm, uint32_t hook_id)
{
	return portal_id_ioctl(vm->fd, PORTAL_HOOK_DEL, hook_id);
}
