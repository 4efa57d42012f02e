/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rows.h - what is measured (cells) and what is compared (rows)
 */
#ifndef PERF_ROWS_H
#define PERF_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "service.h"
#include "stats.h"
#include "vmm.h"

#define MAX_ROUNDS	64
#define SLICES		32	/* batches of a visit; a round has two visits */

/* In the order of a round, which goes forth and back. */
enum phase { PHASE_NO_MODULE, PHASE_LOADED, PHASE_ATTACHED };

enum cell_id {
	BARE_HC,
	LOADED_HC, LOADED_MMIO,
	HC, HC_SPIN, OUT, MMIO_READ, MMIO_WRITE, MMIO_GAP, IOEVENTFD,
	POST_HC_POLL, POST_HC_URING,
	POST_MMIO, POST_MMIO_GATED, SHADOW, SHADOW_GATED,
	CALL_HC_POLL, CALL_HC_URING, CALL_HC_READ,
	CALL_MMIO_POLL, CALL_MMIO_URING, CALL_MMIO_READ,
	NR_CELLS
};

/**
 * struct cell - one contender
 * @phase: what portal does meanwhile
 * @twin: the base of a row: measured a second time under another name
 * @program: what the guest repeats
 * @nr: of that
 * @consumer: who consumes meanwhile, on the other CPU
 * @expect: what the guest must find in EAX
 */
struct cell {
	enum phase phase;
	bool twin;
	enum program program;
	uint32_t nr;
	enum consumer consumer;
	uint32_t expect;
};

/**
 * struct outcome - of a cell
 * @count: operations of a batch
 * @ns: per operation: the fastest batches of each round, of itself and its twin
 * @all: every batch but the twin's
 * @nr_all: how many
 * @p50: of @all
 * @p99: of @all
 * @exits: per operation, as KVM counts
 * @user_exits: per operation: returns of KVM_RUN
 * @wakeups: per operation: of a sleeping owner
 * @syscalls: per operation: of the consumer's thread
 *
 * What is not known is negative.
 */
struct outcome {
	uint32_t count;
	double ns[2][MAX_ROUNDS];
	double all[MAX_ROUNDS * 2 * SLICES];
	int nr_all;
	double p50, p99;
	double exits;
	double user_exits;
	double wakeups;
	double syscalls;
};

extern const struct cell cells[NR_CELLS];

/* Are all bases equal to themselves? */
bool rows_gate(const struct outcome *outcomes, int rounds);
/* The table to @text, JSON objects, one a line, to @json; returns how many are void. */
int rows_print(const struct outcome *outcomes, int rounds, const char *kernel, FILE *text,
	       FILE *json);

#endif /* PERF_ROWS_H */
