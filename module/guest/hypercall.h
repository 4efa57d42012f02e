/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hypercall.h - portal services for drivers in the guest kernel
 */
#ifndef _PORTAL_GUEST_HYPERCALL_H
#define _PORTAL_GUEST_HYPERCALL_H

#include <linux/types.h>
#include <linux/portal_guest.h>

int portal_guest_find(const char *name);
s64 portal_guest_call(unsigned int slot, unsigned int fn, u64 a0, u64 a1,
		      u64 a2, u64 a3);

/**
 * portal_is_error() - is this value of a hypercall an error?
 * @value: what portal_guest_call() returned
 *
 * Return: true for -4095 to -1. Other negative numbers are plain values.
 */
static inline bool portal_is_error(s64 value)
{
	return value >= -4095 && value <= -1;
}

#endif /* _PORTAL_GUEST_HYPERCALL_H */
