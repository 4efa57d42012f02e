// SPDX-License-Identifier: GPL-2.0-only
/*
 * rows.c - what is measured, what is compared, and how it is printed
 */
#include "rows.h"

#define ENOSYS_VALUE	((uint32_t)-1000)	/* KVM's own answer to a hypercall */

#define CELL(_id, _phase, _program, _nr, _consumer, _expect, _twin)			\
	[_id] = {									\
		.phase = _phase, .program = _program, .nr = _nr, .consumer = _consumer,	\
		.expect = _expect, .twin = _twin,					\
	}
#define BASE(_id, _phase, _program, _nr, _expect) \
	CELL(_id, _phase, _program, _nr, CONSUMER_NONE, _expect, true)
#define OURS(_id, _program, _nr, _consumer, _expect) \
	CELL(_id, PHASE_ATTACHED, _program, _nr, _consumer, _expect, false)

const struct cell cells[NR_CELLS] = {
	BASE(BARE_HC, PHASE_NO_MODULE, GUEST_HYPERCALL, HC_NOBODY, ENOSYS_VALUE),
	BASE(LOADED_HC, PHASE_LOADED, GUEST_HYPERCALL, HC_NOBODY, ENOSYS_VALUE),
	BASE(LOADED_MMIO, PHASE_LOADED, GUEST_READ, MMIO_VMM, VMM_VALUE),
	BASE(HC, PHASE_ATTACHED, GUEST_HYPERCALL, HC_NOBODY, ENOSYS_VALUE),
	OURS(HC_SPIN, GUEST_HYPERCALL, HC_NOBODY, CONSUMER_POLL, ENOSYS_VALUE),
	BASE(OUT, PHASE_ATTACHED, GUEST_OUT, 0x10, 0),
	BASE(MMIO_READ, PHASE_ATTACHED, GUEST_READ, MMIO_VMM, VMM_VALUE),
	BASE(MMIO_WRITE, PHASE_ATTACHED, GUEST_WRITE, MMIO_VMM, 0),
	OURS(MMIO_GAP, GUEST_READ, MMIO_BETWEEN, CONSUMER_NONE, VMM_VALUE),
	BASE(IOEVENTFD, PHASE_ATTACHED, GUEST_WRITE, MMIO_IOEVENTFD, 0),
	OURS(POST_HC_POLL, GUEST_HYPERCALL, HC_POST(CONSUMER_POLL), CONSUMER_POLL, 0),
	OURS(POST_HC_URING, GUEST_HYPERCALL, HC_POST(CONSUMER_URING), CONSUMER_URING, 0),
	OURS(POST_MMIO, GUEST_WRITE, MMIO_PLAIN + REG_SHADOW, CONSUMER_POLL, 0),
	OURS(POST_MMIO_GATED, GUEST_WRITE, MMIO_REGION(CONSUMER_POLL) + REG_SHADOW,
	     CONSUMER_POLL, 0),
	OURS(SHADOW, GUEST_READ, MMIO_PLAIN + REG_SHADOW, CONSUMER_NONE, SHADOW_VALUE),
	OURS(SHADOW_GATED, GUEST_READ, MMIO_REGION(CONSUMER_POLL) + REG_SHADOW, CONSUMER_NONE,
	     SHADOW_VALUE),
	OURS(CALL_HC_POLL, GUEST_HYPERCALL, HC_CALL(CONSUMER_POLL), CONSUMER_POLL, CALL_VALUE),
	OURS(CALL_HC_URING, GUEST_HYPERCALL, HC_CALL(CONSUMER_URING), CONSUMER_URING, CALL_VALUE),
	OURS(CALL_HC_READ, GUEST_HYPERCALL, HC_CALL(CONSUMER_READ), CONSUMER_READ, CALL_VALUE),
	OURS(CALL_MMIO_POLL, GUEST_READ, MMIO_REGION(CONSUMER_POLL) + REG_CALL, CONSUMER_POLL,
	     CALL_VALUE),
	OURS(CALL_MMIO_URING, GUEST_READ, MMIO_REGION(CONSUMER_URING) + REG_CALL, CONSUMER_URING,
	     CALL_VALUE),
	OURS(CALL_MMIO_READ, GUEST_READ, MMIO_REGION(CONSUMER_READ) + REG_CALL, CONSUMER_READ,
	     CALL_VALUE),
};

/**
 * struct row - one line of the table
 * @id: of peers' figures, see README.md
 * @variant: what it says
 * @num: contender
 * @den: its base, a cell with a twin
 * @bar: the ratio should not be above; 0: none
 */
static const struct row {
	const char *id;
	const char *variant;
	enum cell_id num;
	enum cell_id den;
	double bar;
} rows[] = {
	{ "CAL", "user exit (OUT) / hypercall", OUT, HC, 0 },
	{ "CAL", "user exit (MMIO read) / hypercall", MMIO_READ, HC, 0 },
	{ "CAL", "user exit (MMIO write) / hypercall", MMIO_WRITE, HC, 0 },
	{ "CAL", "ioeventfd / hypercall", IOEVENTFD, HC, 0 },
	{ "CAL", "hypercall, other CPU polls / hypercall", HC_SPIN, HC, 0 },
	{ "F1", "hypercall, module loaded / no module", LOADED_HC, BARE_HC, 1.02 },
	{ "F2", "hypercall, attached / not", HC, LOADED_HC, 1.05 },
	{ "F2", "MMIO user exit, attached / not", MMIO_READ, LOADED_MMIO, 1.05 },
	{ "F2", "the same between two regions / not attached", MMIO_GAP, LOADED_MMIO, 1.05 },
	{ "F3", "posted hypercall, polling / hypercall", POST_HC_POLL, HC, 1.25 },
	{ "F3", "posted hypercall, sleeping uring / hypercall", POST_HC_URING, HC, 0 },
	{ "F4", "posted write, polling / ioeventfd", POST_MMIO, IOEVENTFD, 1.2 },
	{ "F4", "posted write, polling / MMIO user exit", POST_MMIO, MMIO_WRITE, 0.7 },
	{ "F4", "the same beside a CALL register / ioeventfd", POST_MMIO_GATED, IOEVENTFD, 1.2 },
	{ "F4", "the same beside a CALL register / user exit", POST_MMIO_GATED, MMIO_WRITE, 0.7 },
	{ "F5", "shadow read / MMIO user exit", SHADOW, MMIO_READ, 0.7 },
	{ "F5", "the same beside a CALL register / user exit", SHADOW_GATED, MMIO_READ, 0.7 },
	{ "F6", "CALL hypercall, polling / OUT user exit", CALL_HC_POLL, OUT, 1.0 },
	{ "F6", "CALL hypercall, uring / OUT user exit", CALL_HC_URING, OUT, 3.0 },
	{ "F6", "CALL hypercall, read+write / OUT user exit", CALL_HC_READ, OUT, 3.0 },
	{ "F6", "CALL register, polling / MMIO user exit", CALL_MMIO_POLL, MMIO_READ, 1.0 },
	{ "F6", "CALL register, uring / MMIO user exit", CALL_MMIO_URING, MMIO_READ, 3.0 },
	{ "F6", "CALL register, read+write / MMIO user exit", CALL_MMIO_READ, MMIO_READ, 3.0 },
};

#define NR_ROWS	(sizeof(rows) / sizeof(rows[0]))

static const char *const base_names[NR_CELLS] = {
	[BARE_HC] = "hypercall, no module",
	[LOADED_HC] = "hypercall, module loaded",
	[LOADED_MMIO] = "MMIO user exit, module loaded",
	[HC] = "hypercall, attached",
	[OUT] = "OUT user exit, attached",
	[MMIO_READ] = "MMIO read user exit, attached",
	[MMIO_WRITE] = "MMIO write user exit, attached",
	[IOEVENTFD] = "ioeventfd, attached",
};

static struct ratio twin_ratio(const struct outcome *outcomes, enum cell_id id, int rounds)
{
	return stats_ratio(outcomes[id].ns[1], outcomes[id].ns[0], rounds);
}

static bool base_good(const struct outcome *outcomes, enum cell_id id, int rounds)
{
	struct ratio r = twin_ratio(outcomes, id, rounds);

	return stats_gate(&r);
}

bool rows_gate(const struct outcome *outcomes, int rounds)
{
	int id;

	for (id = 0; id < NR_CELLS; id++)
		if (cells[id].twin && !base_good(outcomes, id, rounds))
			return false;
	return true;
}

/* ---- printing ----------------------------------------------------------- */

static void json_number(FILE *json, const char *name, double value, bool known)
{
	if (known)
		fprintf(json, ", \"%s\": %.4f", name, value);
	else
		fprintf(json, ", \"%s\": null", name);
}

static void json_row(FILE *json, const char *id, const char *variant, const char *kernel,
		     const struct ratio *r, double bar, bool is_void, const struct outcome *num,
		     const struct outcome *den, int rounds)
{
	fprintf(json, "{\"id\": \"%s\", \"variant\": \"%s\", \"kernel\": \"%s\"", id, variant,
		kernel);
	json_number(json, "ratio", r->median, true);
	json_number(json, "ci_low", r->low, true);
	json_number(json, "ci_high", r->high, true);
	json_number(json, "bar", bar, bar > 0);
	fprintf(json, ", \"better\": \"lower\", \"void\": %s, \"rounds\": %d",
		is_void ? "true" : "false", rounds);
	json_number(json, "ns", stats_median(num->ns[0], rounds), true);
	json_number(json, "ns_p50", num->p50, true);
	json_number(json, "ns_p99", num->p99, true);
	json_number(json, "base_ns", stats_median(den->ns[0], rounds), true);
	json_number(json, "exits", num->exits, num->exits >= 0);
	json_number(json, "user_exits", num->user_exits, true);
	json_number(json, "wakeups", num->wakeups, num->wakeups >= 0);
	json_number(json, "syscalls", num->syscalls, num->syscalls >= 0);
	fputs("}\n", json);
}

static void text_count(FILE *text, double value)
{
	if (value < 0)
		fprintf(text, " %6s", "-");
	else
		fprintf(text, " %6.2f", value);
}

static void text_row(FILE *text, const char *id, const char *variant, const struct ratio *r,
		     double bar, bool is_void, const struct outcome *num, int rounds)
{
	char bar_text[16] = "-";

	if (bar > 0)
		snprintf(bar_text, sizeof(bar_text), "%.2f", bar);
	fprintf(text, "%-3s  %-46s %6.3f  [%.3f, %.3f] %5s  %-4s %7.0f", id, variant, r->median,
		r->low, r->high, bar_text,
		is_void ? "void" : bar <= 0 ? "" : r->median <= bar ? "ok" : "over",
		stats_median(num->ns[0], rounds));
	fprintf(text, " %7.0f", num->p50);
	text_count(text, num->exits);
	text_count(text, num->user_exits);
	text_count(text, num->wakeups);
	text_count(text, num->syscalls);
	fputc('\n', text);
}

int rows_print(const struct outcome *outcomes, int rounds, const char *kernel, FILE *text,
	       FILE *json)
{
	int id, nr_void = 0;
	struct ratio r;
	size_t i;
	bool bad;

	fprintf(text, "%-3s  %-46s %6s  %-14s %5s  %-4s %7s %7s %6s %6s %6s %6s\n", "id", kernel,
		"ratio", "[95 %]", "bar", "", "ns", "p50", "exits", "user", "wakes", "calls");
	for (id = 0; id < NR_CELLS; id++) {
		if (!cells[id].twin)
			continue;
		r = twin_ratio(outcomes, id, rounds);
		bad = !stats_gate(&r);
		text_row(text, "A/A", base_names[id], &r, 0, bad, &outcomes[id], rounds);
		json_row(json, "A/A", base_names[id], kernel, &r, 0, bad, &outcomes[id],
			 &outcomes[id], rounds);
	}
	for (i = 0; i < NR_ROWS; i++) {
		const struct row *row = &rows[i];
		const struct outcome *num = &outcomes[row->num], *den = &outcomes[row->den];

		r = stats_ratio(num->ns[0], den->ns[0], rounds);
		bad = !base_good(outcomes, row->den, rounds);
		nr_void += bad;
		text_row(text, row->id, row->variant, &r, row->bar, bad, num, rounds);
		json_row(json, row->id, row->variant, kernel, &r, row->bar, bad, num, den, rounds);
	}
	return nr_void;
}
