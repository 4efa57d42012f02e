/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPUs this program was started on: the rig keeps VMs off CPU 0. */
#ifndef PERF_CPU_H
#define PERF_CPU_H

/* How many there are. */
int cpu_count(void);

/* Binds the calling thread to the nth, from 0, wrapping around. 0 or -errno. */
int cpu_pin(int nth);

#endif
