/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Answers hypercall 0x1234 of a running KVM guest with its first argument. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/portal.h>

int main(int argc, char **argv)	/* PID of the VMM, number of its kvm-vm fd */
{
	struct portal_vm_attach vm = { .size = sizeof(vm), .rights = PORTAL_RIGHT_HYPERCALL };
	struct portal_queue_create queue = { .size = sizeof(queue), .entries = 64 };
	struct portal_hook_add hook = { .size = sizeof(hook), .flags = PORTAL_HOOK_F_RAW,
		.kind = PORTAL_KIND_HYPERCALL, .first = 0x1234, .last = 0x1234 };
	struct portal_request req;
	int portal = open("/dev/portal", O_RDWR | O_CLOEXEC);
	int pid = syscall(SYS_pidfd_open, argc > 2 ? atoi(argv[1]) : -1, 0);

	vm.vm_fd = pid < 0 ? -1 : syscall(SYS_pidfd_getfd, pid, atoi(argv[2]), 0);
	if (vm.vm_fd < 0 || ioctl(portal, PORTAL_VM_ATTACH, &vm) ||
	    ioctl(vm.out_fd, PORTAL_QUEUE_CREATE, &queue))
		return perror("attach"), 1;
	close(vm.vm_fd);	/* it would keep the VM alive */
	hook.queue_id = queue.out_queue_id;
	if (ioctl(vm.out_fd, PORTAL_HOOK_ADD, &hook))
		return perror("hook"), 1;
	while (read(queue.out_fd, &req, sizeof(req)) == sizeof(req)) {
		struct portal_reply reply = { .id = req.id, .action = PORTAL_ACTION_VALUE,
			.value = req.data[0] };

		printf("hypercall %#llx(%llu)\n", req.addr, req.data[0]);
		if (write(queue.out_fd, &reply, sizeof(reply)) < 0)
			break;
	}
	return perror("queue"), 1;
}
