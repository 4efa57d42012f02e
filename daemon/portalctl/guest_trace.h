/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_trace.h - system calls of a guest, as lines or JSON
 */
#ifndef PORTALCTL_GUEST_TRACE_H
#define PORTALCTL_GUEST_TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <linux/portal_channel.h>

#define TRACE_NRS	512

/* guest_syscalls.c */
/* NULL: it has none. */
const char *syscall_name(unsigned int nr);
/* A name, or digits; -1: there is no such call. */
int syscall_number(const char *name);
/* A letter for each argument, see there. */
const char *syscall_format(unsigned int nr);
/* Which argument is a string, 1 to 6; 0: none. */
int syscall_string(unsigned int nr);

/* guest_line.c: @ev's string, or what was seen of it before, is in @str (NULL: none) */
void trace_print_line(FILE *out, const struct portal_event *ev, const char *str);
void trace_print_json(FILE *out, const struct portal_event *ev, const char *str);

#endif /* PORTALCTL_GUEST_TRACE_H */
