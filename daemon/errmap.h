/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * errmap.h - the host's errno as one that portal_guest.h defines
 */
#ifndef PORTALD_ERRMAP_H
#define PORTALD_ERRMAP_H

#include <stdint.h>

/* @err: a negative errno; returns PORTAL_E* */
uint32_t guest_errno(int err);

#endif /* PORTALD_ERRMAP_H */
