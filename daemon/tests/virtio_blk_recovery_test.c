// SPDX-License-Identifier: GPL-2.0-only
/* Resets with requests in flight, and workers that die or are killed. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static struct world *the_world;
static uint16_t used_before;

/* A copy of all guest RAM, to see whether somebody touches it. */
static uint8_t *snapshot(struct world *w)
{
	uint8_t *copy = malloc(RAM_LEN);

	memcpy(copy, w->mem->w[0].va, RAM_LEN);
	return copy;
}

static void reset_waits_for_requests_in_flight(void **state)
{
	struct world *w = *state;
	uint8_t *copy;
	unsigned int s;

	driver_start(w, FEATURES);
	memset(ram.data, 0x33, DISK_SIZE);
	ram.hold = true;
	for (s = 0; s < 4; s++)
		slot_add(w, s, VIRTIO_BLK_T_IN, s, 512);
	kick(w);
	assert_int_equal(ram.nr_held, 4);
	assert_int_equal(virtio_blk_frontend.inflight(w->fe), 4);
	irqs(w);
	wr(w, VIRTIO_MMIO_STATUS, 0);
	/* They ended early while the guest waited, and nobody was told of it. */
	assert_int_equal(ram.nr_held, 0);
	assert_int_equal(ram.cancels, 4);
	assert_int_equal(virtio_blk_frontend.inflight(w->fe), 0);
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(w->d.vr.used->idx, 0);
	assert_int_equal(slot_status(w, 0), 0xaa);
	assert_int_equal(irqs(w), 0);
	/* From now on guest memory is the guest's. */
	copy = snapshot(w);
	kick(w);
	reap(w);
	assert_memory_equal(copy, w->mem->w[0].va, RAM_LEN);
	free(copy);
	ram.hold = false;
	driver_start(w, FEATURES);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

static void reset_waits_for_the_kernel_too(void **state)
{
	struct world *w = *state;
	unsigned int s, round;
	uint8_t *copy;

	for (round = 0; round < 20; round++) {
		driver_start(w, FEATURES);
		for (s = 0; s < SLOTS; s++)
			slot_add(w, s, s & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, s * 64, 32768);
		kick(w);
		assert_int_equal(virtio_blk_frontend.inflight(w->fe), SLOTS);
		wr(w, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(virtio_blk_frontend.inflight(w->fe), 0);
		memset(w->mem->w[0].va, (int)round, RAM_LEN);
		copy = snapshot(w);
		io_uring_submit(&w->ring);
		reap(w);
		usleep(1000);
		assert_memory_equal(copy, w->mem->w[0].va, RAM_LEN);
		free(copy);
	}
}

static void a_queue_taken_down_waits_as_well(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	wr(w, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(ram.nr_held, 0);
	assert_int_equal(w->d.vr.used->idx, 0);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void a_stopped_device_lets_requests_end_unseen(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	drv_avail(&w->d, QNUM);
	kick(w);
	assert_true(stopped(w));
	ram_end_all();
	assert_int_equal(w->d.vr.used->idx, 0);
	assert_int_equal(slot_status(w, 0), 0xaa);
	ram.hold = false;
	driver_start(w, FEATURES);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

/*
 * The worker is gone in the middle: what it had started may or may not reach
 * the disk, but not the used ring.
 */
static void die(struct world *w)
{
	worker_stop(w);
	memset(&w->ring, 0, sizeof(w->ring));
	ram.nr_held = 0;
	ram.started = 0;
}

static void a_new_worker_finishes_what_is_unfinished(void **state)
{
	static const unsigned int left[] = { 3, 1, 0 };
	struct world *w = *state;
	uint32_t head;
	unsigned int i;

	driver_start(w, FEATURES);
	ram.hold = true;
	for (i = 0; i < 5; i++) {
		slot_fill(w, 4 - i, (int)i, 512);
		slot_add(w, 4 - i, VIRTIO_BLK_T_OUT, i, 512);
	}
	kick(w);
	assert_int_equal(ram.nr_held, 5);
	/* 4 (first) and 2 (third) end; 3, 1, 0 are left, in this order */
	ram_end(ram.held[2]);
	ram_end(ram.held[0]);
	ram.held[0] = ram.held[1];
	ram.held[1] = ram.held[3];
	ram.held[2] = ram.held[4];
	ram.nr_held = 3;
	assert_true(drv_used(&w->d, &head, NULL));
	assert_int_equal(head, SLOT_HEAD(2));
	assert_true(drv_used(&w->d, &head, NULL));
	assert_int_equal(head, SLOT_HEAD(4));
	die(w);
	memset(ram.data, 0xff, DISK_SIZE);
	/* one more, and its notification lost with the worker */
	slot_add(w, 5, VIRTIO_BLK_T_OUT, 5, 512);

	irqs(w);
	worker_start(w, &ram_plugin, true);
	assert_int_equal(irqs(w), 1);
	assert_int_equal(ram.started, 4);
	for (i = 0; i < 3; i++)
		assert_int_equal(ram.held[i]->offset, (4 - left[i]) * 512);
	assert_int_equal(ram.held[3]->offset, 5 * 512);
	assert_int_equal(ram.held[0]->iovcnt, 1);
	ram_end_all();
	for (i = 0; i < 4; i++) {
		assert_true(drv_used(&w->d, &head, NULL));
		assert_int_equal(head, SLOT_HEAD(i < 3 ? left[i] : 5));
		assert_int_equal(slot_status(w, head / 4), VIRTIO_BLK_S_OK);
	}
	assert_false(drv_used(&w->d, &head, NULL));
	/* what had ended was not run again */
	assert_int_equal(ram.data[0], 0xff);
	assert_int_equal(ram.data[2 * 512], 0xff);
	assert_int_equal(ram.data[512], 1);
	/* and it goes on as before */
	ram.hold = false;
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

static void death_after_death_changes_nothing(void **state)
{
	struct world *w = *state;
	uint32_t head;
	unsigned int i, n;

	driver_start(w, FEATURES | F_EVENT);
	ram.hold = true;
	for (i = 0; i < SLOTS; i++)
		slot_add(w, i, VIRTIO_BLK_T_IN, i, 512);
	kick(w);
	for (n = SLOTS; n; n--) {
		die(w);
		worker_start(w, &ram_plugin, true);
		assert_int_equal(ram.started, n);
		assert_int_equal(ram.held[0]->offset, (SLOTS - n) * 512);
		ram_end(ram.held[0]);
		memmove(ram.held, ram.held + 1, (n - 1) * sizeof(ram.held[0]));
		ram.nr_held = n - 1;
		assert_true(drv_used(&w->d, &head, NULL));
		assert_int_equal(head, SLOT_HEAD(SLOTS - n));
	}
	die(w);
	worker_start(w, &ram_plugin, true);
	assert_int_equal(ram.started, 0);
	assert_int_equal(w->d.vr.used->idx, SLOTS);
}

static void a_worker_that_is_stopped_is_resumed(void **state)
{
	struct world *w = *state;
	uint32_t head;

	driver_start(w, FEATURES);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	virtio_blk_frontend.disable(w->fe);
	/* nothing is in flight any more, and the driver got its answer: no error */
	assert_int_equal(ram.nr_held, 0);
	assert_int_equal(ram.cancels, 0);
	assert_true(drv_used(&w->d, &head, NULL));
	assert_int_equal(slot_status(w, 0), VIRTIO_BLK_S_OK);
	die(w);
	ram.hold = false;
	worker_start(w, &ram_plugin, true);
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0xf);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

static void another_guest_starts_from_nothing(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	virtio_blk_frontend.disable(w->fe);
	assert_int_equal(virtio_blk_frontend.enable(w->fe, false), 0);
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 0);
	ram.hold = false;
	driver_start(w, FEATURES);
	assert_int_equal(request(w, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

/* A request in flight is not taken for the driver's word when it resumes. */
static void a_guest_that_lies_about_its_rings_only_hurts_itself(void **state)
{
	struct world *w = *state;

	driver_start(w, FEATURES);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	kick(w);
	die(w);
	/* the chain is another one now: a loop */
	drv_desc(&w->d, 1, SLOT_DATA(0), 512, VRING_DESC_F_NEXT, 0);
	worker_start(w, &ram_plugin, true);
	assert_true(stopped(w));
	assert_int_equal(ram.started, 0);
	ram.hold = false;
	driver_start(w, FEATURES);
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	finish_one(w, 0);
	ram.hold = true;
	slot_add(w, 0, VIRTIO_BLK_T_OUT, 0, 512);
	kick(w);
	die(w);
	w->d.vr.used->idx += QNUM + 1;
	worker_start(w, &ram_plugin, true);
	assert_true(stopped(w));
	used_before = w->d.vr.used->idx;
	kick(w);
	assert_int_equal(w->d.vr.used->idx, used_before);
}

/* ---- kill -9 ------------------------------------------------------------ */

static uint32_t *notify_count(struct world *w, unsigned int q)
{
	return (uint32_t *)(w->region->shadow + VIRTIO_MMIO_AUX_NOTIFY(q));
}

/* A worker of its own: takes doorbells from the shadow page, as the kernel's. */
static void child(struct world *w)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_file_plugin(w, "off"))
		_exit(2);
	worker_start(w, &plugin, true);
	for (;;) {
		bool rung = false;
		unsigned int q;

		for (q = 0; q < 4; q++) {
			uint32_t n = __atomic_exchange_n(notify_count(w, q), 0, __ATOMIC_SEQ_CST);

			if (n)
				virtio_blk_frontend.doorbell(w->fe, q, n);
			rung |= n;
		}
		io_uring_submit(&w->ring);
		if (!reap(w) && !rung)
			usleep(50);
	}
}

static pid_t start_child(struct world *w)
{
	pid_t pid = fork();

	if (!pid)
		child(w);
	assert_true(pid > 0);
	return pid;
}

static void kill_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* It did not end by itself. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct job {
	bool busy, out;
	uint64_t sector;
	uint32_t len;
};

static uint8_t model[DISK_SIZE];

static void new_job(struct world *w, struct job *job, unsigned int s)
{
	uint64_t area = DISK_SECTORS / SLOTS;

	job->busy = true;
	job->out = random() & 1;
	job->len = ((uint32_t)random() % 16 + 1) * 512;
	job->sector = s * area + (uint64_t)random() % (area - 16);
	slot_fill(w, s, (int)random(), job->len);
	if (job->out)
		memcpy(model + job->sector * 512, at(&w->d, SLOT_DATA(s)), job->len);
	slot_add(w, s, job->out ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, job->sector, job->len);
	/* the kernel counts, and posts if it was 0; the child polls */
	__atomic_add_fetch(notify_count(w, w->queue), 1, __ATOMIC_SEQ_CST);
}

static void end_job(struct world *w, struct job *job, unsigned int s, uint32_t len)
{
	assert_in_range(s, 0, SLOTS - 1);
	assert_true(job->busy);		/* else it was completed twice */
	job->busy = false;
	assert_int_equal(slot_status(w, s), VIRTIO_BLK_S_OK);
	assert_int_equal(len, job->out ? 1 : job->len + 1);
	assert_memory_equal(at(&w->d, SLOT_DATA(s)), model + job->sector * 512, job->len);
}

static unsigned int completions(struct world *w, struct job *jobs)
{
	unsigned int n = 0;
	uint32_t head, len;

	do {
		while (drv_used(&w->d, &head, &len)) {
			end_job(w, &jobs[head / 4], head / 4, len);
			n++;
		}
		__atomic_store_n(&vring_used_event(&w->d.vr), w->d.last_used, __ATOMIC_SEQ_CST);
	} while (w->d.last_used != __atomic_load_n(&w->d.vr.used->idx, __ATOMIC_SEQ_CST));
	return n;
}

/* As the driver's interrupt handler: acknowledge first, then look. */
static unsigned int interrupt_handler(struct world *w, struct job *jobs, unsigned int queues)
{
	unsigned int n = 0;

	__atomic_exchange_n((uint32_t *)(w->region->shadow + VIRTIO_MMIO_INTERRUPT_STATUS), 0,
			    __ATOMIC_SEQ_CST);
	while (queues--) {
		use(w, queues);
		n += completions(w, jobs);
	}
	return n;
}

static long ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * The driver sleeps until an interrupt comes: one lost, or one request lost,
 * and this hangs and fails.
 */
static void kill_test(struct world *w, uint64_t features, unsigned int queues)
{
	struct job jobs[SLOTS] = { 0 };
	unsigned int s, done = 0, kills = 0, busy = 0;
	long next_kill, last = ms_now();
	pid_t pid;

	driver_start_queues(w, features, queues);
	worker_stop(w);
	plugin.close(w->handle);
	memset(model, 0, sizeof(model));
	pid = start_child(w);
	next_kill = ms_now() + random() % 30;
	while (done < 5000 || kills < 50 || busy) {
		struct pollfd p = { .fd = w->env.irqfd, .events = POLLIN };
		long now = ms_now();

		for (s = 0; s < SLOTS && (done < 5000 || kills < 50); s++) {
			if (jobs[s].busy)
				continue;
			use(w, s % queues);
			new_job(w, &jobs[s], s);
			busy++;
		}
		if (now >= next_kill) {
			kill_child(pid);
			kills++;
			pid = start_child(w);
			next_kill = ms_now() + random() % 30;
			continue;
		}
		if (poll(&p, 1, (int)(next_kill - now)) == 1) {
			unsigned int n;

			irqs(w);
			n = interrupt_handler(w, jobs, queues);
			done += n;
			busy -= n;
			if (n)
				last = now;
		}
		assert_true(now - last < 20000);
	}
	kill_child(pid);
	print_message("%u requests, %u kills\n", done, kills);
	assert_int_equal(open_file_plugin(w, "off"), 0);
	worker_start(w, &plugin, true);
	assert_false(stopped(w));
}

static void no_request_is_lost_by_kill_9(void **state)
{
	the_world = *state;
	srandom(3);
	kill_test(the_world, FEATURES, 1);
}

static void nor_with_event_indices(void **state)
{
	the_world = *state;
	srandom(4);
	kill_test(the_world, FEATURES | F_EVENT, 1);
}

static void nor_with_four_queues(void **state)
{
	the_world = *state;
	srandom(6);
	kill_test(the_world, FEATURES | F_EVENT | F_MQ, 4);
}

#define F(fn) cmocka_unit_test_setup_teardown(fn, setup_file, teardown)
#define R(fn) cmocka_unit_test_setup_teardown(fn, setup_ram, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(reset_waits_for_requests_in_flight),
		F(reset_waits_for_the_kernel_too),
		R(a_queue_taken_down_waits_as_well),
		R(a_stopped_device_lets_requests_end_unseen),
		R(a_new_worker_finishes_what_is_unfinished),
		R(death_after_death_changes_nothing),
		R(a_worker_that_is_stopped_is_resumed),
		R(another_guest_starts_from_nothing),
		R(a_guest_that_lies_about_its_rings_only_hurts_itself),
		F(no_request_is_lost_by_kill_9),
		F(nor_with_event_indices),
		F(nor_with_four_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
