// SPDX-License-Identifier: GPL-2.0-only
/*
 * block_limit.c - whose turn it is: rate limits and queue depth
 *
 * Each limit is a bucket that fills at its rate up to its burst. A request may
 * go when all of its buckets hold what it costs. One that costs more than the
 * burst goes when they are full, and those after it wait until the debt is paid:
 * so the rate is right in the long run.
 *
 * Reads and writes wait in queues of their own, so that a limit of the one does
 * not hold up the other. Flushes cost nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block_int.h"

#define SECOND		1e9
#define RATE_MAX	(1ULL << 48)

static const char *const names[BLOCK_NR_LIMITS] = {
	"iops", "iops-read", "iops-write", "bps", "bps-read", "bps-write",
};

static unsigned int queue_of(const struct block_req *req)
{
	switch (req->op) {
	case PORTAL_IO_READ:
		return BLOCK_READS;
	case PORTAL_IO_FLUSH:
		return BLOCK_OTHERS;
	default:
		return BLOCK_WRITES;
	}
}

static double burst_of(const struct block *blk, unsigned int kind)
{
	double burst = (double)blk->limits.kind[kind].burst;

	if (burst < 1)
		burst = (double)blk->limits.kind[kind].rate / 10;
	return burst < 1 ? 1 : burst;
}

/* What the request takes of a limit. */
static double cost(const struct block_req *req, unsigned int kind)
{
	bool read = req->op == PORTAL_IO_READ;
	bool data = read || req->op == PORTAL_IO_WRITE;

	if (req->op == PORTAL_IO_FLUSH || (read && (kind == BLOCK_IOPS_WRITE ||
						    kind == BLOCK_BPS_WRITE)) ||
	    (!read && (kind == BLOCK_IOPS_READ || kind == BLOCK_BPS_READ)))
		return 0;
	if (kind < BLOCK_BPS)
		return 1;
	/* A discard moves no data, however long it is; zeroes by hand do. */
	return data || (req->op == PORTAL_IO_ZERO && req->blk->no_zero) ? (double)req->len : 0;
}

static void fill(struct block *blk, unsigned int kind, uint64_t now)
{
	struct block_bucket *b = &blk->bucket[kind];
	double burst = burst_of(blk, kind);

	b->level += (double)blk->limits.kind[kind].rate * (double)(now - b->filled) / SECOND;
	b->filled = now;
	if (b->level > burst)
		b->level = burst;
}

/* True: it may go, and has paid. Else *@due is when to ask again, 0: at an end. */
static bool pay(struct block *blk, const struct block_req *req, uint64_t now, uint64_t *due)
{
	uint32_t depth = blk->limits.depth, most = blk->info->limits.max_inflight;
	unsigned int kind;
	double wait = 0;

	*due = 0;
	if (most && (!depth || most < depth))
		depth = most;
	if (depth && blk->active >= depth)
		return false;
	for (kind = 0; kind < BLOCK_NR_LIMITS && !blk->draining; kind++) {
		double need = cost(req, kind), w;

		if (!blk->limits.kind[kind].rate || need <= 0)
			continue;
		fill(blk, kind, now);
		if (need > burst_of(blk, kind))
			need = burst_of(blk, kind);
		need -= 1e-6;		/* rounding */
		if (blk->bucket[kind].level >= need)
			continue;
		w = (need - blk->bucket[kind].level) / (double)blk->limits.kind[kind].rate;
		w = w * SECOND + 1;
		if (w > wait)
			wait = w;
	}
	if (wait > 0) {
		*due = now + (wait > 60 * SECOND ? (uint64_t)(60 * SECOND) : (uint64_t)wait);
		return false;
	}
	for (kind = 0; kind < BLOCK_NR_LIMITS; kind++)
		if (blk->limits.kind[kind].rate)
			blk->bucket[kind].level -= cost(req, kind);
	return true;
}

static void start(struct block_req *req)
{
	req->state = BLOCK_RUNNING;
	req->blk->active++;
	block_run(req);
}

void block_limit_admit(struct block_req *req)
{
	struct block *blk = req->blk;
	struct block_list *queue = &blk->waiting[queue_of(req)];
	uint64_t due = 0;

	if (!queue->head && pay(blk, req, req->start, &due)) {
		start(req);
		return;
	}
	if (due)
		block_timer_arm(blk, &blk->limit_timer, due);
	if (blk->limit_timer.armed)
		blk->stats.throttled++;
	block_list_add(queue, req);
}

/* Takes the first of a queue if it may go. */
static struct block_req *next_of(struct block *blk, struct block_list *queue, uint64_t now,
				 uint64_t *earliest)
{
	uint64_t due;

	if (!queue->head)
		return NULL;
	if (pay(blk, queue->head, now, &due))
		return block_list_take(queue);
	if (due && (!*earliest || due < *earliest))
		*earliest = due;
	return NULL;
}

/*
 * Starts whatever may go now. The queues take turns. What ends inside it comes
 * here again, and is left to the loop that runs already.
 */
void block_limit_kick(struct block *blk)
{
	uint64_t now, earliest;
	struct block_req *req;
	unsigned int i;

	if (blk->kicking || (!blk->waiting[0].head && !blk->waiting[1].head &&
			     !blk->waiting[2].head))
		return;
	blk->kicking = true;
	do {
		now = block_now(blk);
		earliest = 0;
		req = NULL;
		for (i = 0; i < BLOCK_NR_QUEUES && !req; i++) {
			req = next_of(blk, &blk->waiting[blk->turn], now, &earliest);
			blk->turn = (blk->turn + 1) % BLOCK_NR_QUEUES;
		}
		if (req)
			start(req);
	} while (req);
	blk->kicking = false;
	if (earliest)
		block_timer_arm(blk, &blk->limit_timer, earliest);
}

bool block_limit_forget(struct block_req *req)
{
	return block_list_remove(&req->blk->waiting[queue_of(req)], req);
}

void block_limit_init(struct block *blk)
{
	unsigned int i;

	for (i = 0; i < BLOCK_NR_QUEUES; i++)
		block_list_init(&blk->waiting[i]);
}

/**
 * block_set_limits() - new limits, from now on
 * @blk: the block layer
 * @limits: copied; debts of limits that change are forgiven
 *
 * Return: 0, or -EINVAL: a number is out of range.
 */
int block_set_limits(struct block *blk, const struct block_limits *limits)
{
	uint64_t now = block_now(blk);
	unsigned int i;

	for (i = 0; i < BLOCK_NR_LIMITS; i++)
		if (limits->kind[i].rate > RATE_MAX || limits->kind[i].burst > RATE_MAX)
			return -EINVAL;
	for (i = 0; i < BLOCK_NR_LIMITS; i++) {
		if (!memcmp(&blk->limits.kind[i], &limits->kind[i], sizeof(limits->kind[i])))
			continue;
		blk->limits.kind[i] = limits->kind[i];
		blk->bucket[i].level = burst_of(blk, i);
		blk->bucket[i].filled = now;
	}
	blk->limits.depth = limits->depth;
	block_limit_kick(blk);
	return 0;
}

const struct block_limits *block_limits(const struct block *blk)
{
	return &blk->limits;
}

/* "10M", at most @max; the whole of it. */
static int number(const char *text, uint64_t max, uint64_t *val)
{
	static const char units[] = "kMGT";
	unsigned long long n;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return -EINVAL;
	for (; unit && unit >= units; unit--) {
		if (n > max >> 10)
			return -EINVAL;
		n <<= 10;
	}
	*val = n;
	return n > max ? -EINVAL : 0;
}

static int parse_one(struct block_limits *limits, const char *key, const char *value)
{
	size_t len = strlen(key);
	bool burst = len > 6 && !strcmp(key + len - 6, "-burst");
	uint64_t val;
	unsigned int i;

	if (!strcmp(key, "depth")) {
		if (number(value, UINT32_MAX, &val))
			return -EINVAL;
		limits->depth = (uint32_t)val;
		return 0;
	}
	if (burst)
		len -= 6;
	for (i = 0; i < BLOCK_NR_LIMITS; i++) {
		if (strlen(names[i]) != len || strncmp(names[i], key, len))
			continue;
		if (number(value, RATE_MAX, &val))
			return -EINVAL;
		if (burst)
			limits->kind[i].burst = val;
		else
			limits->kind[i].rate = val;
		return 0;
	}
	return -ENOENT;
}

int block_limits_parse(struct block_limits *limits, const char *text, const char **why)
{
	struct block_limits new = *limits;
	char *copy = strdup(text), *rest = copy, *word, *value;
	int err = 0;

	*why = "out of memory";
	if (!copy)
		return -ENOMEM;
	while (!err && (word = strsep(&rest, ","))) {
		if (!strcmp(word, "off")) {
			memset(&new, 0, sizeof(new));
			continue;
		}
		value = strchr(word, '=');
		if (!value) {
			*why = "not a list of KEY=NUMBER, nor off";
			err = -EINVAL;
			break;
		}
		*value++ = '\0';
		err = parse_one(&new, word, value);
		*why = err == -ENOENT ?
			"a key is not iops, iops-read, iops-write, bps, bps-read, bps-write, one of these with -burst, or depth" :
			"a value is not a number such as 1000 or 10M";
	}
	free(copy);
	if (err)
		return -EINVAL;
	*limits = new;
	return 0;
}
