/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * service.h - portal's side: hooks and registers, and a thread that answers
 */
#ifndef PERF_SERVICE_H
#define PERF_SERVICE_H

#include <stdint.h>
#include <linux/portal_guest.h>

/* How the consumer waits; each has a queue, hooks and a region of its own. */
enum consumer { CONSUMER_POLL, CONSUMER_URING, CONSUMER_READ, NR_CONSUMERS, CONSUMER_NONE };

/* hypercall numbers */
#define HC_CALL(consumer)	(PORTAL_HC_SERVICE(0) + 2 * (consumer))
#define HC_POST(consumer)	(HC_CALL(consumer) + 1)
#define HC_NOBODY		63	/* neither KVM nor portal serves it */

/* offsets from MMIO_BASE; what is not listed is the VMM's */
#define MMIO_VMM		0x0000
#define MMIO_IOEVENTFD		0x1000
#define MMIO_REGION(consumer)	(0x2000 + 0x1000 * (consumer))
#define MMIO_BETWEEN		0x2800	/* the VMM's, between two regions */
#define MMIO_PLAIN		0x8000	/* a region without registers that wait */
#define REGION_LEN		0x100
#define REG_SHADOW		0x00	/* read: from the shadow page; write: posted */
#define REG_CALL		0x20

#define SHADOW_VALUE		0x5ad05ad0U
#define CALL_VALUE		0xca11ca11U

/* Attached, nobody consumes yet; 0 or -errno, as all that return an int */
int service_up(int kvm_vm_fd);
void service_down(void);
/* From here until service_stop() a thread on another CPU consumes. */
void service_start(enum consumer consumer);
/* To be called with a guest that makes HC_CALL(consumer) of SERVICE_STOP. */
#define SERVICE_STOP		0x53544f50U
int service_stopped(void);
/* Threads and counters */
int service_thread(int cpu);
int service_tid(void);
uint64_t service_wakeups(void);
uint64_t service_dropped(void);

#endif /* PERF_SERVICE_H */
