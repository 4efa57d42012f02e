// SPDX-License-Identifier: GPL-2.0-only
/*
 * restart.c - when a worker that died is started again
 *
 * At once, as its guest waits. Who dies five times in ten seconds is delayed,
 * 100 ms first and then twice as long each time, at most 5 s; who dies ten
 * times in a minute is left dead.
 */
#include "restart.h"

#define SECOND	1000000ULL

static unsigned int deaths_since(const struct restart *r, uint64_t since)
{
	uint64_t known = r->nr < RESTART_GIVE_UP ? r->nr : RESTART_GIVE_UP;
	unsigned int n = 0;

	for (uint64_t i = 0; i < known; i++)
		n += r->when[i] >= since;
	return n;
}

int64_t restart_after_death(struct restart *r, uint64_t now)
{
	unsigned int recent;
	uint64_t delay;

	r->when[r->nr++ % RESTART_GIVE_UP] = now;
	if (deaths_since(r, now > 60 * SECOND ? now - 60 * SECOND : 0) >= RESTART_GIVE_UP)
		return -1;
	recent = deaths_since(r, now > 10 * SECOND ? now - 10 * SECOND : 0);
	if (recent < RESTART_FAST)
		return 0;
	delay = SECOND / 10 << (recent - RESTART_FAST);
	return delay < RESTART_MAX_DELAY ? delay : RESTART_MAX_DELAY;
}
