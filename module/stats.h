/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stats.h - counters and histograms
 *
 * A histogram is written under a lock that its writer holds anyway, or by one
 * thread only; who reads it without may see a count without its sum.
 */
#ifndef _PORTAL_STATS_H
#define _PORTAL_STATS_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/types.h>

#define PORTAL_HIST_BUCKETS	40

/**
 * struct portal_hist - how long something took, by powers of two
 * @nr: [0]: 0 ns, [n]: from 2^(n-1) ns on, and the last one without end
 * @sum: of all, ns
 */
struct portal_hist {
	u64 nr[PORTAL_HIST_BUCKETS];
	u64 sum;
};

/* Of a VM. */
struct portal_stats {
	atomic64_t hellos;
	atomic64_t hypercalls;
	atomic64_t calls;
	atomic64_t posted;
	atomic64_t restarts;
	atomic64_t timeouts;
	atomic64_t dropped;
	atomic64_t shadow_reads;
	atomic64_t wakeups;
	atomic64_t filtered;
	atomic64_t merged;
	atomic64_t held;
	atomic64_t limited;
};

/**
 * struct portal_target_stats - what came to a hook or region
 * @hits: hypercalls, or accesses
 * @filtered: of those, what a filter passed, answered or ignored
 * @passed: of those, passed
 * @ignored: of those, ignored
 * @calls: requests that a vCPU waited for
 * @posted: requests that nobody waits for
 * @merged: of those, merged into an earlier one
 * @held: requests that waited for a rate limit
 * @limited: and those that it refused
 * @timeouts: calls and waits that ended by their time-out
 * @dropped: posted requests that were given up
 * @shadow_reads: reads that the kernel answered
 * @latency: of calls, from the access to its answer; under portal_vm.lock
 */
struct portal_target_stats {
	atomic64_t hits;
	atomic64_t filtered;
	atomic64_t passed;
	atomic64_t ignored;
	atomic64_t calls;
	atomic64_t posted;
	atomic64_t merged;
	atomic64_t held;
	atomic64_t limited;
	atomic64_t timeouts;
	atomic64_t dropped;
	atomic64_t shadow_reads;
	struct portal_hist latency;
};

static inline void portal_hist_add(struct portal_hist *hist, u64 ns)
{
	hist->nr[min_t(u32, fls64(ns), PORTAL_HIST_BUCKETS - 1)]++;
	hist->sum += ns;
}

#endif /* _PORTAL_STATS_H */
