/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Answers hypercall 0x1234 of a running KVM guest with its first argument. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <kvmportal/portal.h>

int main(int argc, char **argv)	/* PID of the VMM */
{
	struct portal_hook_opts raw = { .sz = sizeof(raw), .flags = PORTAL_HOOK_F_RAW };
	const struct portal_request *req;
	struct portal_dev *dev;
	struct portal_vm *vm;
	struct portal_queue *queue;
	int err, fd = portal_vm_fd_of_pid(argc > 1 ? atoi(argv[1]) : -1);

	if ((err = fd) < 0 || (err = portal_dev_open(NULL, &dev)) < 0 ||
	    (err = portal_vm_attach(dev, fd, PORTAL_RIGHT_HYPERCALL, &vm)) < 0 ||
	    (err = portal_queue_create(vm, NULL, &queue)) < 0 ||
	    (err = portal_hook_hypercall(vm, portal_queue_id(queue), 0x1234, 0x1234, &raw)) < 0)
		goto out;
	close(fd);	/* it would keep the VM alive */
	while ((err = portal_queue_wait(queue, -1)) >= 0)
		while ((req = portal_queue_next(queue)))
			portal_reply_value(queue, req->id, req->data[0]);
out:
	fprintf(stderr, "%s\n", portal_strerror(err));
	return 1;
}
