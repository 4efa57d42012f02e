// SPDX-License-Identifier: GPL-2.0-only
/*
 * vms.c - a process with several KVM VMs: vms NUMBER
 *
 * Prints their fds and waits until it is killed.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int nr = argc > 1 ? atoi(argv[1]) : 1;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < nr; i++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, 0);

		if (vm < 0) {
			perror("KVM_CREATE_VM");
			return 1;
		}
		printf("%d\n", vm);
	}
	fflush(stdout);
	for (;;)
		pause();
}
