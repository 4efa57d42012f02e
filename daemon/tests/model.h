/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * model.h - a disk in memory beside the one that is tested. Instead of
 * layer_rig.h; a test allocates the model, DISK bytes.
 */
#ifndef MODEL_H
#define MODEL_H

#include "layer_rig.h"

#define DISK	(8U << 20)

static char data[1 << 20], back[1 << 20];
static char *model;

static void random_io(struct portal_instance *pi, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t len = (uint64_t)(random() % 256 + 1) * 512;
		uint64_t off = (uint64_t)random() % ((DISK - len) / 512) * 512;

		switch (random() % 5) {
		case 0:
			assert_int_equal(lio(pi, PORTAL_IO_ZERO, i & 3, off, NULL, len), 0);
			memset(model + off, 0, len);
			break;
		case 1:
			assert_int_equal(lio(pi, PORTAL_IO_DISCARD, 0, off, NULL, len), 0);
			assert_int_equal(lio(pi, PORTAL_IO_READ, 0, off, model + off, len), 0);
			break;
		case 2:
			assert_int_equal(rig_io(&pi->rig, PORTAL_IO_READ, 0, off, back, len,
						4096 + (size_t)random() % 4096), 0);
			assert_memory_equal(back, model + off, len);
			break;
		default:
			rig_fill(data, len, i);
			memcpy(model + off, data, len);
			assert_int_equal(rig_io(&pi->rig, PORTAL_IO_WRITE, i & 1, off, data, len,
						4096 + (size_t)random() % 4096), 0);
		}
	}
	assert_int_equal(lio(pi, PORTAL_IO_FLUSH, 0, 0, NULL, 0), 0);
}

static void compare(struct portal_instance *pi)
{
	for (uint64_t off = 0; off < DISK; off += sizeof(back)) {
		assert_int_equal(lio(pi, PORTAL_IO_READ, 0, off, back, sizeof(back)), 0);
		assert_memory_equal(back, model + off, sizeof(back));
	}
}

#endif /* MODEL_H */
