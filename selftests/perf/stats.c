// SPDX-License-Identifier: GPL-2.0-only
/*
 * stats.c - medians, and intervals by bootstrap
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "stats.h"

#define MAX		256
#define RESAMPLES	4000
#define TOLERANCE	0.03

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of_sorted(const double *v, int nr)
{
	return nr % 2 ? v[nr / 2] : (v[nr / 2 - 1] + v[nr / 2]) / 2;
}

double stats_median(const double *values, int nr)
{
	double v[MAX];

	if (nr < 1 || nr > MAX)
		return 0;
	memcpy(v, values, nr * sizeof(*v));
	qsort(v, nr, sizeof(*v), compare);
	return median_of_sorted(v, nr);
}

double stats_quantile(double *values, int nr, double part)
{
	qsort(values, nr, sizeof(*values), compare);
	return nr ? values[(int)(part * (nr - 1))] : 0;
}

/* The same numbers each time: a table can be made again from the same rounds. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

struct ratio stats_ratio(const double *num, const double *den, int nr)
{
	static double medians[RESAMPLES];
	double ratios[MAX], drawn[MAX];
	struct ratio r = { 0 };
	uint64_t seed = 1;
	int i, j;

	if (nr < 1 || nr > MAX)
		return r;
	for (i = 0; i < nr; i++)
		ratios[i] = num[i] / den[i];
	for (i = 0; i < RESAMPLES; i++) {
		for (j = 0; j < nr; j++)
			drawn[j] = ratios[next_random(&seed) % nr];
		medians[i] = stats_median(drawn, nr);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), compare);
	r.median = stats_median(ratios, nr);
	r.low = medians[RESAMPLES * 25 / 1000];
	r.high = medians[RESAMPLES - 1 - RESAMPLES * 25 / 1000];
	return r;
}

bool stats_gate(const struct ratio *ratio)
{
	return ratio->low >= 1 - TOLERANCE && ratio->high <= 1 + TOLERANCE;
}
