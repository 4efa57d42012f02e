/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fuzz.h - random numbers that can be repeated, and how long to go on
 *
 * A run is named by its seed: --seed N or PORTAL_SEED=N does it again (as far as
 * threads can). --seconds N or PORTAL_FUZZ_SECONDS=N says how long.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <getopt.h>
#include "mock_util.h"

#define FUZZ_SECONDS	4
#define FUZZ_TIMEOUT	7200	/* of the harness; the time is ours to keep */

static __u64 fuzz_seed;
static unsigned int fuzz_seconds = FUZZ_SECONDS;

struct rnd {
	__u64 state;
};

/* splitmix64 */
static inline __u64 rnd64(struct rnd *r)
{
	__u64 z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0 to @n - 1 */
static inline __u32 rnd(struct rnd *r, __u32 n)
{
	return (__u32)(rnd64(r) >> 32) % n;
}

/* true once in @n */
static inline bool rnd_once(struct rnd *r, __u32 n)
{
	return !rnd(r, n);
}

/* Values at which code changes its mind, and a little beside them. */
static inline __u64 rnd_value(struct rnd *r)
{
	static const __u64 values[] = {
		0, 1, 2, 4, 8, 16, 63, 64, 255, 256, 1024, 4096, 8192, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32, 1ULL << 44, 1ULL << 52,
		1ULL << 60, 1ULL << 63, ~0ULL, ~0xfffULL, 0x7fffffffffffffffULL,
		0xffff888000000000ULL, PORTAL_HC_HELLO, MOCK_MMIO, MOCK_RAM_SIZE,
	};

	switch (rnd(r, 8)) {
	case 0:
		return rnd64(r);
	case 1:
		return 1ULL << rnd(r, 64);
	case 2:
		return values[rnd(r, sizeof(values) / sizeof(*values))] + rnd(r, 5) - 2;
	default:
		return values[rnd(r, sizeof(values) / sizeof(*values))];
	}
}

static int fuzz_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ }
	};
	const char *seed = getenv("PORTAL_SEED"), *seconds = getenv("PORTAL_FUZZ_SECONDS");
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (opt == 's')
			seed = optarg;
		else if (opt == 't')
			seconds = optarg;
		else
			return 2;
	}
	fuzz_seed = seed ? strtoull(seed, NULL, 0) : now_ns() ^ (__u64)getpid() << 32;
	if (seconds)
		fuzz_seconds = atoi(seconds);
	printf("# seed %llu, %u seconds\n", (unsigned long long)fuzz_seed, fuzz_seconds);
	fflush(stdout);
	return test_harness_run(1, argv);
}

#endif /* FUZZ_H */
