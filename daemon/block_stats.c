// SPDX-License-Identifier: GPL-2.0-only
/*
 * block_stats.c - what became of all requests, and how long they took
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "block_int.h"

static void count_error(struct block_stats *st, int err)
{
	unsigned int i;

	for (i = 0; i < BLOCK_ERRNOS - 1; i++) {
		if (!st->errnos[i].err)
			st->errnos[i].err = -err;
		if (st->errnos[i].err == -err)
			break;
	}
	if (i == BLOCK_ERRNOS - 1)
		st->errnos[i].err = -1;
	st->errnos[i].count++;
}

static unsigned int log2_us(uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned int n = us ? 64 - (unsigned int)__builtin_clzll(us) : 0;

	return n < BLOCK_LATENCIES ? n : BLOCK_LATENCIES - 1;
}

void block_stats_end(struct block *blk, const struct block_req *req)
{
	struct block_stats *st = &blk->stats;
	uint64_t good = req->err ? 0 : req->len;

	if (req->err) {
		st->errors++;
		count_error(st, req->err);
	}
	switch (req->op) {
	case PORTAL_IO_READ:
		st->reads++;
		st->read_bytes += good;
		break;
	case PORTAL_IO_WRITE:
		st->writes++;
		st->write_bytes += good;
		break;
	case PORTAL_IO_FLUSH:
		st->flushes++;
		break;
	default:
		st->others++;
	}
	if (req->op >= BLOCK_NR_OPS)
		return;
	st->count[req->op]++;
	st->bytes[req->op] += good;
	st->latency[req->op][log2_us(block_now(blk) - req->start)]++;
}

const struct block_stats *block_stats(const struct block *blk)
{
	return &blk->stats;
}

typedef void (*emit_fn)(void *arg, const char *key, uint64_t val);

static void report_latency(const struct block_stats *st, emit_fn emit, void *arg)
{
	static const char *const ops[] = { "read", "write", "flush", "discard", "zero" };
	unsigned int op, n;
	char key[64];

	for (op = 0; op < BLOCK_NR_OPS; op++) {
		for (n = 0; n < BLOCK_LATENCIES; n++) {
			if (!st->latency[op][n])
				continue;
			snprintf(key, sizeof(key), "latency_us.%s.%llu", ops[op], 1ULL << n);
			emit(arg, key, st->latency[op][n]);
		}
	}
}

static void report_errors(const struct block_stats *st, emit_fn emit, void *arg)
{
	unsigned int i;
	char key[64];

	for (i = 0; i < BLOCK_ERRNOS && st->errnos[i].err; i++) {
		const char *name = strerrorname_np(st->errnos[i].err);

		if (st->errnos[i].err < 0)
			snprintf(key, sizeof(key), "error_others");
		else if (name)
			snprintf(key, sizeof(key), "error_%s", name);
		else
			snprintf(key, sizeof(key), "error_%d", st->errnos[i].err);
		emit(arg, key, st->errnos[i].count);
	}
}

/**
 * block_report() - a device's numbers for portalctl
 * @blk: the block layer
 * @emit: called for each; "latency_us.OP.N": requests of less than N us, and
 *	not of less than N / 2
 * @arg: its argument
 */
void block_report(const struct block *blk,
		  void (*emit)(void *arg, const char *key, uint64_t val), void *arg)
{
	const struct block_stats *st = &blk->stats;
	const struct {
		const char *key;
		uint64_t val;
	} rare[] = {
		{ "discards", st->count[PORTAL_IO_DISCARD] },
		{ "discard_bytes", st->bytes[PORTAL_IO_DISCARD] },
		{ "zeroes", st->count[PORTAL_IO_ZERO] },
		{ "zero_bytes", st->bytes[PORTAL_IO_ZERO] },
		{ "throttled", st->throttled },
		{ "bounced", st->bounced },
		{ "split", st->split },
		{ "timeouts", st->timeouts },
		{ "cancelled", st->cancelled },
		{ "ignored", st->ignored },
		{ "emulated", st->emulated },
	};
	size_t i;

	emit(arg, "reads", st->reads);
	emit(arg, "read_bytes", st->read_bytes);
	emit(arg, "writes", st->writes);
	emit(arg, "write_bytes", st->write_bytes);
	emit(arg, "flushes", st->flushes);
	emit(arg, "errors", st->errors);
	emit(arg, "inflight_max", st->inflight_max);
	for (i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		if (rare[i].val)
			emit(arg, rare[i].key, rare[i].val);
	report_errors(st, emit, arg);
	report_latency(st, emit, arg);
}
