// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2e-events.c - add up queued interrupts: e2e-events SERVICE SUM SECONDS
 *
 * Prints "ready" when none can be missed any more, and at the end the sum of
 * the handler's values, the number of events, and how many were lost. Ends at
 * SUM, or after SECONDS without an event.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/portal_guest.h>

int main(int argc, char **argv)
{
	struct portal_guest_slot slot = { .size = sizeof(slot), .slot = -1 };
	struct pollfd pollfd = { .events = POLLIN };
	unsigned long long want, sum = 0, events = 0, lost = 0;
	struct portal_guest_event event;

	if (argc != 4 || strlen(argv[1]) >= sizeof(slot.name))
		return 2;
	want = strtoull(argv[2], NULL, 0);
	pollfd.fd = open("/dev/portal-guest", O_RDWR | O_CLOEXEC);
	strcpy((char *)slot.name, argv[1]);
	if (pollfd.fd < 0 || ioctl(pollfd.fd, PORTAL_GUEST_SLOT, &slot)) {
		perror(argv[1]);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (sum < want) {
		if (poll(&pollfd, 1, atoi(argv[3]) * 1000) <= 0)
			break;
		if (read(pollfd.fd, &event, sizeof(event)) != sizeof(event)) {
			perror("read");
			return 1;
		}
		lost += event.lost;
		if (event.slot != (__u32)slot.slot)
			continue;
		sum += event.value;
		events++;
	}
	printf("%llu %llu %llu\n", sum, events, lost);
	return sum == want && !lost ? 0 : 3;
}
