/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stats.h - ratios that say how sure they are
 */
#ifndef PERF_STATS_H
#define PERF_STATS_H

#include <stdbool.h>

/**
 * struct ratio - of two contenders
 * @median: of the rounds' ratios
 * @low: of its 95 % interval, by bootstrap over the rounds
 * @high: the same
 */
struct ratio {
	double median;
	double low;
	double high;
};

double stats_median(const double *values, int nr);
/* Sorts @values; @part of 0.5 is the median. */
double stats_quantile(double *values, int nr, double part);
struct ratio stats_ratio(const double *num, const double *den, int nr);
/* The A/A gate: the interval of a contender to itself is inside 1 +- 3 %. */
bool stats_gate(const struct ratio *ratio);

#endif /* PERF_STATS_H */
