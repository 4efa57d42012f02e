/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * restart.h - when a worker that died is started again
 */
#ifndef PORTALD_RESTART_H
#define PORTALD_RESTART_H

#include <stdint.h>

#define RESTART_FAST		5	/* deaths in 10 s that are restarted at once */
#define RESTART_GIVE_UP		10	/* deaths in 60 s */
#define RESTART_MAX_DELAY	5000000ULL

/* The last deaths, newest at [(nr - 1) % RESTART_GIVE_UP]; microseconds. */
struct restart {
	uint64_t when[RESTART_GIVE_UP];
	uint64_t nr;
};

/* Notes a death; returns the delay in microseconds, or -1: give up. */
int64_t restart_after_death(struct restart *r, uint64_t now);

#endif /* PORTALD_RESTART_H */
