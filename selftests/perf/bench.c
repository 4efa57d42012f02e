// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench.c - what portal costs, as ratios to what KVM itself costs
 *
 * One vCPU on CPU 0, one consumer on CPU 1. Each round goes through all cells
 * forth and back: no module, module loaded, attached, loaded, no module. Of
 * a round, a cell's time is the mean of its two batches, so that what drifts
 * steadily cancels out.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "count.h"
#include "cpu.h"
#include "rows.h"

#define MIN_COUNT	8
#define MAX_COUNT	50000
#define NSEC_PER_USEC	1e3

static struct vmm vmm;
static struct outcome outcomes[NR_CELLS];
static const char *module_file, *json_file, *text_file, *kernel = "";
static FILE *raw;
static int min_rounds = 12, batch_us = 1000, max_seconds = 180;

static void die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err < 0)
		die(what, err);
}

/* ---- phases ------------------------------------------------------------- */

static void module_load(void)
{
	static void *image;
	static size_t size;
	struct stat st;
	int fd;

	if (!image) {
		fd = open(module_file, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st))
			die(module_file, -errno);
		image = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
		if (image == MAP_FAILED)
			die(module_file, -errno);
		size = st.st_size;
		close(fd);
	}
	if (syscall(SYS_init_module, image, size, ""))
		die("init_module", -errno);
}

static void module_unload(void)
{
	const struct timespec pause = { .tv_nsec = 10000 * NSEC_PER_USEC };
	int i;

	/* what a detach leaves to a worker may take a moment */
	for (i = 0; i < 1000; i++) {
		if (!syscall(SYS_delete_module, "portal", O_NONBLOCK))
			return;
		if (errno != EAGAIN && errno != EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	die("delete_module", -errno);
}

static void phase_set(enum phase phase)
{
	static enum phase now = PHASE_NO_MODULE;

	for (; now < phase; now++) {
		if (now == PHASE_NO_MODULE)
			module_load();
		else
			must("attach", service_up(vmm.vm));
	}
	for (; now > phase; now--) {
		if (now == PHASE_LOADED) {
			module_unload();
			continue;
		}
		if (service_dropped())
			die("requests were dropped or timed out", -EIO);
		service_down();
		/* the hooks stay for some seconds, but not beyond the module */
		module_unload();
		module_load();
	}
}

/* ---- cells -------------------------------------------------------------- */

/* What a batch of nothing takes: the way into the guest and out. */
static double empty_ns(void)
{
	const struct job job = { .program = GUEST_NOTHING };
	static double best = 1e12;
	struct result result;

	must("KVM", vmm_run(&vmm, &job, &result));
	if (result.ns < best)
		best = result.ns;
	return best;
}

/* Nanoseconds per operation. */
static double batch(const struct cell *cell, uint32_t count, struct result *res)
{
	struct job job = { .program = cell->program, .nr = cell->nr, .count = count };
	struct result result;

	must("KVM", vmm_run(&vmm, &job, &result));
	if (result.eax != cell->expect) {
		fprintf(stderr, "bench: cell %td: EAX is %#x, not %#x\n", cell - cells, result.eax,
			cell->expect);
		exit(1);
	}
	if (res)
		*res = result;
	return (result.ns - empty_ns()) / count;
}

static void consumer_stop(const struct cell *cell)
{
	struct job job = {
		.program = GUEST_HYPERCALL, .nr = HC_CALL(cell->consumer), .arg = SERVICE_STOP,
		.count = 1,
	};
	struct result result;

	must("KVM", vmm_run(&vmm, &job, &result));
	must("consumer", service_stopped());
}

/* What disturbs a batch is not its contender's: the quietest ones count. */
static double slices_ns(const double *ns)
{
	double best = ns[0];
	int i;

	for (i = 1; i < SLICES; i++)
		if (ns[i] < best)
			best = ns[i];
	return best;
}

/* How many fill the time of a batch, and what one costs in events. */
static void cell_count(const struct cell *cell, struct outcome *out)
{
	uint64_t wakeups = service_wakeups();
	struct result result;
	int64_t exits, calls;
	double ns[SLICES];
	int fd, i;

	for (i = 0; i < SLICES; i++)
		ns[i] = batch(cell, MIN_COUNT, NULL);
	out->count = batch_us * NSEC_PER_USEC / slices_ns(ns);
	if (out->count < MIN_COUNT)
		out->count = MIN_COUNT;
	if (out->count > MAX_COUNT)
		out->count = MAX_COUNT;

	fd = count_syscalls(service_tid());
	wakeups = service_wakeups();
	exits = vmm_stat(&vmm, "exits");
	batch(cell, out->count, &result);
	calls = count_end(fd);
	/* the batch's end and the empty one */
	out->exits = exits < 0 ? -1 : (double)(vmm_stat(&vmm, "exits") - exits - 2) / out->count;
	out->user_exits = (double)result.user_exits / out->count;
	out->wakeups = out->syscalls = -1;
	if (cell->consumer == CONSUMER_NONE)
		return;
	out->wakeups = (double)(service_wakeups() - wakeups) / out->count;
	out->syscalls = calls < 0 ? -1 : (double)calls / out->count;
}

static void cell_done(int id, int twin, int round, bool back, const double *ns)
{
	struct outcome *out = &outcomes[id];
	int i;

	out->ns[twin][round] += slices_ns(ns) / 2;
	for (i = 0; i < SLICES; i++) {
		if (!twin)
			out->all[out->nr_all++] = ns[i];
		if (raw)
			fprintf(raw, "%d,%d,%d,%d,%d,%.0f\n", id, twin, round, back, i, ns[i]);
	}
}

/* One visit; @round < 0 is the warm-up. */
static void cell_visit(int id, int round, bool back)
{
	const struct cell *cell = &cells[id];
	struct outcome *out = &outcomes[id];
	double ns[2][SLICES];
	int i, twin;

	phase_set(cell->phase);
	if (cell->consumer != CONSUMER_NONE)
		service_start(cell->consumer);
	if (round < 0 && !back)
		cell_count(cell, out);
	batch(cell, out->count, NULL);
	for (i = 0; i < SLICES * (1 + cell->twin); i++) {
		/* a b b a ..., so that neither is always first */
		twin = cell->twin ? ((i + 1) / 2 + back) % 2 : 0;
		ns[twin][i / (1 + cell->twin)] = batch(cell, out->count, NULL);
	}
	for (twin = 0; round >= 0 && twin <= cell->twin; twin++)
		cell_done(id, twin, round, back, ns[twin]);
	if (cell->consumer != CONSUMER_NONE)
		consumer_stop(cell);
}

static void round_do(int round)
{
	int id;

	for (id = 0; id < NR_CELLS; id++)
		cell_visit(id, round, false);
	for (id = NR_CELLS - 1; id >= 0; id--)
		cell_visit(id, round, true);
}

/* ---- all of it ---------------------------------------------------------- */

/*
 * As many rounds as asked for; more while a base differs from itself, which is
 * asked of nothing but the bases.
 */
static int rounds_do(void)
{
	time_t start = time(NULL);
	int round = 0;

	round_do(-1);
	do {
		round_do(round++);
	} while (round < min_rounds ||
		 (round < MAX_ROUNDS && time(NULL) - start < max_seconds &&
		  !rows_gate(outcomes, round)));
	return round;
}

static void setup(void)
{
	if (cpu_count() < 2)
		die("two CPUs are needed", -ENODEV);
	must("consumer", service_thread(1));
	must("CPU", cpu_pin(0));
	must("VM", vmm_create(&vmm));
	must("ioeventfd", vmm_ioeventfd(&vmm, MMIO_IOEVENTFD));
}

static FILE *output(const char *file)
{
	FILE *f = fopen(file, "we");

	if (!f)
		die(file, -errno);
	return f;
}

static int usage(void)
{
	fputs("usage: bench --module portal.ko --json FILE --text FILE [--kernel NAME]\n"
	      "             [--rounds N] [--batch-us N] [--seconds N] [--raw FILE]\n"
	      "Status: 0, 1 error, 3 a base differs from itself: rows are void\n", stderr);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "module", required_argument, NULL, 'm' },
		{ "json", required_argument, NULL, 'j' },
		{ "text", required_argument, NULL, 't' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "batch-us", required_argument, NULL, 'b' },
		{ "seconds", required_argument, NULL, 's' },
		{ "raw", required_argument, NULL, 'w' },
		{ }
	};
	FILE *json, *text;
	int c, rounds, nr_void;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm': module_file = optarg; break;
		case 'j': json_file = optarg; break;
		case 't': text_file = optarg; break;
		case 'k': kernel = optarg; break;
		case 'r': min_rounds = atoi(optarg); break;
		case 'b': batch_us = atoi(optarg); break;
		case 's': max_seconds = atoi(optarg); break;
		case 'w': raw = output(optarg); break;
		default: return usage();
		}
	}
	if (!module_file || !json_file || !text_file || optind != argc || min_rounds < 1 ||
	    min_rounds > MAX_ROUNDS || batch_us < 1)
		return usage();
	setup();
	rounds = rounds_do();
	for (c = 0; c < NR_CELLS; c++) {
		outcomes[c].p50 = stats_quantile(outcomes[c].all, outcomes[c].nr_all, 0.5);
		outcomes[c].p99 = stats_quantile(outcomes[c].all, outcomes[c].nr_all, 0.99);
	}
	json = output(json_file);
	text = output(text_file);
	nr_void = rows_print(outcomes, rounds, kernel, text, json);
	if (fclose(json) || fclose(text))
		die("output", -errno);
	printf("bench: %d rounds, %d rows void\n", rounds, nr_void);
	return nr_void ? 3 : 0;
}
