/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * count.h - system calls of a thread
 */
#ifndef PERF_COUNT_H
#define PERF_COUNT_H

#include <stdint.h>

/* Counts from now on; an fd, or -errno where tracefs does not say how. */
int count_syscalls(int tid);
/* The count, and the end of it; -1 if @fd is an error. */
int64_t count_end(int fd);

#endif /* PERF_COUNT_H */
