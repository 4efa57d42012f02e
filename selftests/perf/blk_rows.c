// SPDX-License-Identifier: GPL-2.0-only
/*
 * blk_rows.c - what blk.sh measured, as ratios
 *
 * usage: blk_rows KERNEL JSON-FILE <VISITS
 * A visit is a line: round, contender, workload, milliseconds, requests, mean
 * latency in ns, 99th percentile, host CPU time in ticks, notifications, interrupts.
 * Of the visits of a round the mean counts; round -1 is for warming up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"

#define MAX_ROUNDS	64
#define MAX_NAMES	16
#define MAX_LINE	256

enum { PER_SECOND, LATENCY, CPU, NOTIFICATIONS, INTERRUPTS, NR_VALUES };

struct cell {
	double sum[NR_VALUES];
	int visits;
};

static char contenders[MAX_NAMES][32], workloads[MAX_NAMES][32];
static int nr_contenders, nr_workloads, nr_rounds;
static struct cell cells[MAX_NAMES][MAX_NAMES][MAX_ROUNDS];

static int index_of(char (*names)[32], int *nr, const char *name)
{
	int i;

	for (i = 0; i < *nr; i++)
		if (!strcmp(names[i], name))
			return i;
	if (i == MAX_NAMES) {
		fprintf(stderr, "blk_rows: more than %d names\n", MAX_NAMES);
		exit(1);
	}
	snprintf(names[i], sizeof(names[i]), "%s", name);
	return (*nr)++;
}

static int take(const char *line)
{
	double ms, nr, latency, p99, ticks, kicks, irqs;
	char contender[32], workload[32];
	struct cell *cell;
	int round;

	if (sscanf(line, "%d %31s %31s %lf %lf %lf %lf %lf %lf %lf", &round, contender, workload,
		   &ms, &nr, &latency, &p99, &ticks, &kicks, &irqs) != 10 ||
	    round < -1 || round >= MAX_ROUNDS || nr < 1 || ms <= 0) {
		fprintf(stderr, "blk_rows: what is this? %s", line);
		return -1;
	}
	if (round < 0)
		return 0;
	cell = &cells[index_of(contenders, &nr_contenders, contender)]
		     [index_of(workloads, &nr_workloads, workload)][round];
	cell->sum[PER_SECOND] += nr * 1000 / ms;
	cell->sum[LATENCY] += latency;
	cell->sum[CPU] += ticks / nr;
	cell->sum[NOTIFICATIONS] += kicks / nr;
	cell->sum[INTERRUPTS] += irqs / nr;
	cell->visits++;
	if (round >= nr_rounds)
		nr_rounds = round + 1;
	return 0;
}

/* Values of the rounds that have any. */
static int values(int contender, int workload, int what, double *out)
{
	int n = 0;

	for (int i = 0; i < nr_rounds; i++) {
		const struct cell *cell = &cells[contender][workload][i];

		if (cell->visits)
			out[n++] = cell->sum[what] / cell->visits;
	}
	return n;
}

static double middle(int contender, int workload, int what)
{
	double v[MAX_ROUNDS];
	int n = values(contender, workload, what, v);

	return n ? stats_median(v, n) : 0;
}

static const struct {
	const char *contender;
	const char *base;
	const char *id;
	int what;
	const char *name;
	double bar;
	const char *better;
} rows[] = {
	{ "qemu-again", "qemu", "A/A", PER_SECOND, "requests a second", 1.0, "higher" },
	{ "portal", "qemu", "F8", PER_SECOND, "requests a second", 1.0, "higher" },
	{ "portal", "qemu", "F8", LATENCY, "latency", 1.0, "lower" },
	{ "portal", "qemu", "F8", CPU, "host CPU time", 1.1, "lower" },
	{ "portal", "vhost-user", "F9", PER_SECOND, "requests a second", 0.9, "higher" },
	{ "portal", "nbd", "F9", PER_SECOND, "requests a second", 1.5, "higher" },
};

static void one(FILE *json, const char *kernel, size_t row, int workload, bool *empty)
{
	int contender = index_of(contenders, &nr_contenders, rows[row].contender);
	int base = index_of(contenders, &nr_contenders, rows[row].base);
	double a[MAX_ROUNDS], b[MAX_ROUNDS];
	int n = values(contender, workload, rows[row].what, a);
	struct ratio r;
	bool over;

	if (!n || values(base, workload, rows[row].what, b) != n)
		return;
	for (int i = 0; i < n; i++)
		if (b[i] <= 0)
			return;		/* too short for a tick */
	r = stats_ratio(a, b, n);
	over = rows[row].better[0] == 'h' ? r.median < rows[row].bar : r.median > rows[row].bar;
	printf("%-3s  %-14s %-18s / %-10s %6.2f  [%.2f, %.2f]  %4.2f %s\n", rows[row].id,
	       workloads[workload], rows[row].name, rows[row].base, r.median, r.low, r.high,
	       rows[row].bar, !strcmp(rows[row].id, "A/A") ? "" : over ? "OVER" : "ok");
	fprintf(json, "{\"id\": \"%s\", \"variant\": \"%s, %s / %s\", \"kernel\": \"%s\", "
		"\"ratio\": %.4f, \"ci_low\": %.4f, \"ci_high\": %.4f, \"bar\": %.2f, "
		"\"better\": \"%s\", \"rounds\": %d}\n", rows[row].id,
		workloads[workload], rows[row].name, rows[row].base, kernel, r.median, r.low,
		r.high, rows[row].bar, rows[row].better, n);
	*empty = false;
}

int main(int argc, char **argv)
{
	char line[MAX_LINE];
	bool empty = true;
	FILE *json;

	if (argc != 3)
		return 2;
	while (fgets(line, sizeof(line), stdin))
		if (take(line))
			return 1;
	json = fopen(argv[2], "w");
	if (!json) {
		perror(argv[2]);
		return 1;
	}
	printf("disk: kernel %s, %d rounds\n", argv[1], nr_rounds);
	printf("%-14s %-11s %12s %12s %10s %8s %8s\n", "workload", "disk", "requests/s",
	       "latency us", "ticks/1000", "kicks/io", "irqs/io");
	for (int w = 0; w < nr_workloads; w++)
		for (int c = 0; c < nr_contenders; c++)
			printf("%-14s %-11s %12.0f %12.1f %10.1f %8.3f %8.3f\n", workloads[w],
			       contenders[c], middle(c, w, PER_SECOND), middle(c, w, LATENCY) / 1000,
			       middle(c, w, CPU) * 1000, middle(c, w, NOTIFICATIONS),
			       middle(c, w, INTERRUPTS));
	printf("\n%-3s  %-14s %-18s   %-10s %6s  %-12s  %4s\n", "id", "workload", "", "base", "ratio",
	       "95 %", "bar");
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
		for (int w = 0; w < nr_workloads; w++)
			one(json, argv[1], row, w, &empty);
	return fclose(json) ? 1 : empty;
}
