/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kstats.h - what portal.ko shows in debugfs, as JSON
 */
#ifndef PORTALD_KSTATS_H
#define PORTALD_KSTATS_H

#include <json-c/json.h>
#include <stdint.h>

#define KSTATS_ROOT	"/sys/kernel/debug/portal"

/*
 * Adds to @obj what is in @root/@vm/stats, and as "per_queue", "per_hook" and
 * "per_region", by number, what is in @root/@vm/@client/. What @obj has already
 * stays. Without debugfs there is nothing to add.
 */
void kstats_add(struct json_object *obj, const char *root, uint32_t vm, uint32_t client);

#endif /* PORTALD_KSTATS_H */
