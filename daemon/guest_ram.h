/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_ram.h - copies between buffers of ours and the guest's RAM
 */
#ifndef PORTALD_GUEST_RAM_H
#define PORTALD_GUEST_RAM_H

#include <stdbool.h>
#include <stdint.h>
#include <kvmportal/portal.h>

/*
 * Is all of [@gpa, @gpa + @len) RAM that may be written? Looks again if the VMM
 * may have changed it: nobody may use pointers into @mem meanwhile.
 */
bool guest_ram_check(struct portal_mem *mem, uint64_t gpa, uint64_t len);
/* 0, or -EFAULT: a part is not RAM; what was copied before it stays. */
int guest_ram_read(const struct portal_mem *mem, uint64_t gpa, void *buf, uint64_t len);
int guest_ram_write(const struct portal_mem *mem, uint64_t gpa, const void *buf, uint64_t len);

#endif /* PORTALD_GUEST_RAM_H */
