// SPDX-License-Identifier: GPL-2.0-only
/*
 * scale.c - does a posted hypercall keep its price when more vCPUs or VMs post?
 *
 * A thread for each vCPU, all on the CPUs in turn. A batch fits into the ring and
 * is consumed, and counted, when its time is over: what is measured is the way
 * from the guest into the ring and back, of all at once. The time of a shape is
 * from the first thread's start to the last one's end; KVM's own hypercall in the
 * same shape says what the machine itself loses.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/portal_guest.h>
#include <kvmportal/portal.h>
#include "cpu.h"
#include "stats.h"
#include "vmm.h"

#define MAX_THREADS	8
#define MAX_ROUNDS	64
#define BATCH		512
#define HC_NOBODY	63	/* neither KVM nor portal serves it */
#define HC_SHARED	PORTAL_HC_SERVICE(0)	/* one queue for all vCPUs */
#define HC_EACH		PORTAL_HC_SERVICE(1)	/* a queue for each */
#define BAR		0.9

enum { WIDE = MAX_THREADS, NR_VMS };	/* VMs of one vCPU, then one of two */

/* A VM with its queues; one of a single vCPU has no queue for each. */
struct machine {
	struct vmm vcpus[2];
	struct portal_vm *vm;
	struct portal_queue *shared;
	struct portal_queue *each[2];
};

static const struct shape {
	const char *name;
	int threads;
	uint32_t nr;
	bool wide;
} shapes[] = {
	{ "1 VM", 1, HC_SHARED, false },
	{ "1 VM, again", 1, HC_SHARED, false },
	{ "2 vCPUs, one queue", 2, HC_SHARED, true },
	{ "2 vCPUs, a queue each", 2, HC_EACH, true },
	{ "2 VMs", 2, HC_SHARED, false },
	{ "4 VMs", 4, HC_SHARED, false },
	{ "8 VMs", 8, HC_SHARED, false },
};

#define NR_SHAPES	(sizeof(shapes) / sizeof(shapes[0]))

static struct machine machines[NR_VMS];
static struct portal_dev *dev;
static sem_t over;
static int nr_cpus;

static struct thread {
	pthread_t thread;
	sem_t go;
	struct vmm *vcpu;
	uint32_t nr;
	double start, end;
	int err;
} threads[MAX_THREADS];

static void die(const char *what, int err)
{
	fprintf(stderr, "scale: %s: %s\n", what, portal_strerror(err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err < 0)
		die(what, err);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* ---- VMs ----------------------------------------------------------------- */

static void queue_up(struct machine *m, struct portal_queue **queue)
{
	struct portal_queue_opts opts = {
		.sz = sizeof(opts), .entries = 4 * BATCH, .transport = PORTAL_TRANSPORT_POLL,
	};

	must("queue", portal_queue_create(m->vm, &opts, queue));
}

static void machine_up(struct machine *m, bool wide)
{
	struct portal_hook_opts opts = {
		.sz = sizeof(opts), .flags = PORTAL_HOOK_F_RAW | PORTAL_HOOK_F_POSTED,
	};
	uint32_t ids[2];

	must("VM", vmm_create(&m->vcpus[0]));
	if (wide)
		must("vCPU", vmm_add_vcpu(&m->vcpus[0], &m->vcpus[1]));
	must("attach", portal_vm_attach(dev, m->vcpus[0].vm, PORTAL_RIGHT_ALL, &m->vm));
	queue_up(m, &m->shared);
	must("hook", portal_hook_hypercall(m->vm, portal_queue_id(m->shared), HC_SHARED, HC_SHARED,
					   &opts));
	if (!wide)
		return;
	queue_up(m, &m->each[0]);
	queue_up(m, &m->each[1]);
	ids[0] = portal_queue_id(m->each[0]);
	ids[1] = portal_queue_id(m->each[1]);
	opts.queues = ids;
	opts.nr_queues = 2;
	must("hook", portal_hook_hypercall(m->vm, 0, HC_EACH, HC_EACH, &opts));
}

static int drain(struct portal_queue *queue)
{
	int err, n = 0;

	if (!queue)
		return 0;
	while ((err = portal_queue_wait(queue, 0)) > 0)
		while (portal_queue_next(queue))
			n++;
	must("queue", err);
	return n;
}

/* All that was posted, and nothing else, is there. */
static void drain_all(int want)
{
	int i, n = 0;

	for (i = 0; i < NR_VMS; i++) {
		n += drain(machines[i].shared);
		n += drain(machines[i].each[0]);
		n += drain(machines[i].each[1]);
	}
	if (n == want)
		return;
	fprintf(stderr, "scale: %d requests in the queues, not %d\n", n, want);
	exit(1);
}

/* ---- batches --------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct result result;

	t->err = cpu_pin(t - threads);
	for (;;) {
		struct job job = { .program = GUEST_HYPERCALL, .count = BATCH };

		sem_wait(&t->go);
		job.nr = t->nr;
		t->start = now_ns();
		if (!t->err)
			t->err = vmm_run(t->vcpu, &job, &result);
		t->end = now_ns();
		sem_post(&over);
	}
	return NULL;
}

/* Nanoseconds that a batch of each of the shape's vCPUs takes together. */
static double batch(const struct shape *shape, bool posted)
{
	double start = 1e300, end = 0;
	int i;

	for (i = 0; i < shape->threads; i++) {
		threads[i].vcpu = shape->wide ? &machines[WIDE].vcpus[i] : &machines[i].vcpus[0];
		threads[i].nr = posted ? shape->nr : HC_NOBODY;
		sem_post(&threads[i].go);
	}
	for (i = 0; i < shape->threads; i++)
		sem_wait(&over);
	for (i = 0; i < shape->threads; i++) {
		must("KVM", threads[i].err);
		if (threads[i].start < start)
			start = threads[i].start;
		if (threads[i].end > end)
			end = threads[i].end;
	}
	drain_all(posted ? shape->threads * BATCH : 0);
	return end - start;
}

/* The quicker one of a few: what disturbs a batch is not its contender's. */
static double visit(const struct shape *shape, bool posted)
{
	double ns, best = 1e300;
	int i;

	for (i = 0; i < 6; i++) {
		ns = batch(shape, posted);
		if (ns < best)
			best = ns;
	}
	return best;
}

/* ---- all of it ------------------------------------------------------------- */

static double ns[NR_SHAPES][2][MAX_ROUNDS];

static void round_do(int round)
{
	size_t s, i;
	int posted;

	/* forth and back, so that what drifts steadily cancels out */
	for (i = 0; i < 2 * NR_SHAPES; i++) {
		s = i < NR_SHAPES ? i : 2 * NR_SHAPES - 1 - i;
		for (posted = 0; posted < 2; posted++) {
			double t = visit(&shapes[s], posted);

			if (round >= 0)
				ns[s][posted][round] += t / 2;
		}
	}
}

static void row(size_t s, int posted, int rounds, const char *kernel, FILE *text, FILE *json)
{
	int n = shapes[s].threads, cpus = n < nr_cpus ? n : nr_cpus, i;
	double linear[MAX_ROUNDS];
	const char *id = s == 1 ? "A/A" : "F14";
	/* a machine that is not equal to itself says nothing of others */
	struct ratio r = stats_ratio(ns[0][posted], ns[1][posted], rounds);
	bool is_void = !stats_gate(&r);
	char name[80];

	for (i = 0; i < rounds; i++)
		linear[i] = ns[0][posted][i] * n / cpus;
	r = stats_ratio(linear, ns[s][posted], rounds);
	snprintf(name, sizeof(name), "%s hypercall, %s / %d x 1 VM", posted ? "posted" : "plain",
		 shapes[s].name, cpus);
	fprintf(text, "%-3s  %-52s %6.3f  [%.3f, %.3f] %5s  %-4s\n", id, name, r.median, r.low,
		r.high, posted && s > 1 ? "0.90" : "-",
		is_void ? "void" : !posted || s == 1 ? "" : r.median >= BAR ? "ok" : "under");
	fprintf(json, "{\"id\": \"%s\", \"variant\": \"%s\", \"kernel\": \"%s\", \"ratio\": %.4f, "
		"\"ci_low\": %.4f, \"ci_high\": %.4f, \"bar\": %s, \"better\": \"higher\", "
		"\"void\": %s, \"rounds\": %d}\n", id, name, kernel, r.median, r.low, r.high,
		posted && s > 1 ? "0.9" : "null", is_void ? "true" : "false", rounds);
}

int main(int argc, char **argv)
{
	const char *kernel = argc > 1 ? argv[1] : "";
	FILE *json, *text;
	int i, posted, rounds = argc > 4 ? atoi(argv[4]) : 12;
	size_t s;

	if (argc < 4 || argc > 5 || rounds < 1 || rounds > MAX_ROUNDS) {
		fputs("usage: scale KERNEL JSON TEXT [ROUNDS]; portal.ko is loaded\n", stderr);
		return 1;
	}
	json = fopen(argv[2], "we");
	text = fopen(argv[3], "we");
	if (!json || !text)
		die("output", -errno);
	nr_cpus = cpu_count();
	if (nr_cpus < 2)
		die("two CPUs are needed", -ENODEV);
	must("/dev/portal", portal_dev_open(NULL, &dev));
	for (i = 0; i < NR_VMS; i++)
		machine_up(&machines[i], i == WIDE);
	sem_init(&over, 0, 0);
	for (i = 0; i < MAX_THREADS; i++) {
		sem_init(&threads[i].go, 0, 0);
		must("thread", -pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]));
	}
	for (i = -1; i < rounds; i++)
		round_do(i);
	for (posted = 0; posted < 2; posted++)
		for (s = 1; s < NR_SHAPES; s++)
			row(s, posted, rounds, kernel, text, json);
	if (fclose(json) || fclose(text))
		die("output", -errno);
	return 0;
}
