// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_ram.c - copies between buffers of ours and the guest's RAM
 *
 * For front ends that bounce: what they have begun on the medium may end late,
 * but nothing lands in the guest after they have said so. Addresses come from
 * the guest. Windows end where slots do, so a range may be in several.
 */
#include <errno.h>
#include <string.h>

#include "guest_ram.h"

/* How much of a range from @gpa on is in one window: exact for the last part. */
static void *part_at(const struct portal_mem *mem, uint64_t gpa, uint64_t len, uint64_t *part)
{
	void *p = portal_mem_at(mem, gpa, len);
	uint64_t low = 0, high = len;

	if (p) {
		*part = len;
		return p;
	}
	while (high - low > 1) {
		uint64_t mid = low + (high - low) / 2;
		void *q = portal_mem_at(mem, gpa, mid);

		if (q) {
			p = q;
			low = mid;
		} else {
			high = mid;
		}
	}
	*part = low;
	return p;
}

static int copy(const struct portal_mem *mem, uint64_t gpa, void *to, const void *from,
		uint64_t len)
{
	if (gpa + len < gpa)
		return -EFAULT;
	while (len) {
		uint64_t part;
		char *ram = part_at(mem, gpa, len, &part);

		if (!ram)
			return -EFAULT;
		if (to) {
			memcpy(to, ram, part);
			to = (char *)to + part;
		} else if (from) {
			memcpy(ram, from, part);
			from = (const char *)from + part;
		}
		gpa += part;
		len -= part;
	}
	return 0;
}

bool guest_ram_check(struct portal_mem *mem, uint64_t gpa, uint64_t len)
{
	if (!copy(mem, gpa, NULL, NULL, len))
		return true;
	return portal_mem_refresh(mem) > 0 && !copy(mem, gpa, NULL, NULL, len);
}

int guest_ram_read(const struct portal_mem *mem, uint64_t gpa, void *buf, uint64_t len)
{
	return copy(mem, gpa, buf, NULL, len);
}

int guest_ram_write(const struct portal_mem *mem, uint64_t gpa, const void *buf, uint64_t len)
{
	return copy(mem, gpa, NULL, buf, len);
}
