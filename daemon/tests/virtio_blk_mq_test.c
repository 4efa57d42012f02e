// SPDX-License-Identifier: GPL-2.0-only
/* Several queues, and queues that are reset one by one. */
/* LINK: virtio_blk.o virtio_blk_config.o virtio_blk_req.o virtio_blk_range.o */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o block.o backend.o frontend.o log.o -luring */
#include "virtio_world.h"
#include "virtio_blk.h"

#define ALL	(FEATURES | F_MQ | F_RING_RESET)
/* Slots of queue @q: 3 * q and two more. */
#define SLOT(q, n)	(3 * (q) + (n))

static void restart(struct world *w, uint32_t queues, bool resume)
{
	worker_stop(w);
	w->env.queues = queues;
	worker_start(w, &ram_plugin, resume);
}

/* What is in flight ends unseen by the guest. */
static void die(struct world *w)
{
	worker_stop(w);
	ram.hold = false;
	ram.started = 0;
}

static void expect_used(struct world *w, unsigned int q, unsigned int slot)
{
	uint32_t head;

	use(w, q);
	assert_true(drv_used(&w->d, &head, NULL));
	assert_int_equal(head, SLOT_HEAD(slot));
	assert_int_equal(slot_status(w, slot), VIRTIO_BLK_S_OK);
}

static void expect_none(struct world *w, unsigned int q)
{
	uint32_t head;

	use(w, q);
	assert_false(drv_used(&w->d, &head, NULL));
}

static void has_as_many_as_it_is_told(void **state)
{
	struct world *w = *state;
	uint32_t q, n, off = VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce);

	for (n = 0; n <= 5; n++) {
		uint32_t want = !n || n > 4 ? 4 : n;

		restart(w, n, false);
		assert_int_equal(rd(w, off) >> 16, want);
		assert_int_equal(!!(rd(w, VIRTIO_MMIO_DEVICE_FEATURES) & F_MQ), want > 1);
		for (q = 0; q < 6; q++) {
			wr(w, VIRTIO_MMIO_QUEUE_SEL, q);
			assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_NUM_MAX),
					 q < want ? VIRTQUEUE_NUM_MAX : 0);
		}
	}
}

static void a_doorbell_is_its_queues(void **state)
{
	struct world *w = *state;
	unsigned int q;

	driver_start_queues(w, ALL, 4);
	for (q = 0; q < 4; q++) {
		use(w, q);
		slot_add(w, SLOT(q, 0), VIRTIO_BLK_T_IN, q, 512);
	}
	kick_queue(w, 2);
	assert_int_equal(ram.started, 1);
	expect_used(w, 2, SLOT(2, 0));
	expect_none(w, 0);
	kick_queue(w, 7);	/* there is none */
	assert_int_equal(ram.started, 1);
	for (q = 0; q < 4; q++)
		kick_queue(w, q);
	assert_int_equal(ram.started, 4);
	expect_used(w, 0, SLOT(0, 0));
	expect_used(w, 1, SLOT(1, 0));
	expect_used(w, 3, SLOT(3, 0));
	expect_none(w, 2);
}

static void one_round_is_one_interrupt(void **state)
{
	struct world *w = *state;
	unsigned int q, n;

	driver_start_queues(w, ALL, 4);
	irqs(w);
	ram.hold = true;
	for (q = 0; q < 4; q++) {
		use(w, q);
		for (n = 0; n < 3; n++)
			slot_add(w, SLOT(q, n), VIRTIO_BLK_T_IN, q, 512);
		kick(w);
	}
	assert_int_equal(ram.nr_held, 12);
	ram_end_all();
	assert_int_equal(irqs(w), 1);
	assert_int_equal(((struct virtio_mmio *)w->fe)->interrupts, 1);
}

static void a_new_worker_finishes_what_all_left(void **state)
{
	struct world *w = *state;
	unsigned int q, round;

	driver_start_queues(w, ALL, 4);
	for (round = 0; round < 100; round++) {
		ram.hold = true;
		for (q = 0; q < 4; q++) {
			use(w, q);
			slot_add(w, SLOT(q, 0), VIRTIO_BLK_T_IN, q, 512);
			slot_add(w, SLOT(q, 1), VIRTIO_BLK_T_OUT, q, 512);
			/* seen by the worker or not, and told of it or not */
			if ((round + q) % 3)
				kick(w);
			if ((round + q) % 5 == 0)
				slot_add(w, SLOT(q, 2), VIRTIO_BLK_T_IN, q, 512);
		}
		die(w);
		worker_start(w, &ram_plugin, true);
		assert_false(stopped(w));
		for (q = 0; q < 4; q++) {
			expect_used(w, q, SLOT(q, 0));
			expect_used(w, q, SLOT(q, 1));
			if ((round + q) % 5 == 0)
				expect_used(w, q, SLOT(q, 2));
			expect_none(w, q);
		}
	}
}

static void stops_if_a_queue_is_gone(void **state)
{
	struct world *w = *state;

	driver_start_queues(w, ALL, 4);
	restart(w, 2, true);
	assert_true(stopped(w));
	/* two are enough for who uses two */
	restart(w, 4, false);
	driver_start_queues(w, ALL, 2);
	restart(w, 2, true);
	assert_false(stopped(w));
	restart(w, 1, true);
	assert_true(stopped(w));
}

/* ---- reset of one queue --------------------------------------------------- */

static void queue_reset(struct world *w, unsigned int q)
{
	wr(w, VIRTIO_MMIO_QUEUE_SEL, q);
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 1);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_RESET), 0);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void reset_of_one_leaves_the_others(void **state)
{
	struct world *w = *state;
	uint8_t *copy = malloc(RAM_LEN);

	driver_start_queues(w, ALL, 3);
	ram.hold = true;
	use(w, 1);
	slot_add(w, SLOT(1, 0), VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	use(w, 2);
	slot_add(w, SLOT(2, 0), VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	queue_reset(w, 1);
	/* its request ended unseen, the other one as ever */
	assert_int_equal(ram.nr_held, 0);
	assert_int_equal(ram.cancels, 0);
	assert_int_equal(slot_status(w, SLOT(1, 0)), 0xaa);
	expect_used(w, 2, SLOT(2, 0));
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0xf);
	/* its memory is the guest's again */
	memcpy(copy, w->mem->w[0].va, RAM_LEN);
	kick_queue(w, 1);
	reap(w);
	assert_memory_equal(copy, w->mem->w[0].va, RAM_LEN);
	free(copy);
	ram.hold = false;
	queue_start(w, 1);
	slot_add(w, SLOT(1, 1), VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	expect_used(w, 1, SLOT(1, 1));
	/* a worker that dies knows which one is down */
	queue_reset(w, 2);
	die(w);
	worker_start(w, &ram_plugin, true);
	assert_false(stopped(w));
	use(w, 1);
	slot_add(w, SLOT(1, 2), VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	expect_used(w, 1, SLOT(1, 2));
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void reset_of_one_needs_the_feature(void **state)
{
	struct world *w = *state;

	driver_start_queues(w, FEATURES | F_MQ, 2);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 1);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 1);
	driver_start_queues(w, ALL, 2);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 0);
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 2);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 1);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 99);
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 1);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 3);	/* not started */
	wr(w, VIRTIO_MMIO_QUEUE_RESET, 1);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(rd(w, VIRTIO_MMIO_QUEUE_READY), 1);
}

/*
 * Resets of all kinds with requests in flight on all queues. After each, what
 * belongs to a queue that is down keeps its poison.
 */
static void a_storm_of_resets(void **state)
{
	static uint8_t poison[4096];
	struct world *w = *state;
	unsigned int round, q, n, down;

	memset(poison, 0x5a, sizeof(poison));
	memset(ram.data, 0x33, DISK_SIZE);
	ram.hold = true;
	srandom(5);
	driver_start_queues(w, ALL, 4);
	for (round = 0; round < 20000; round++) {
		for (q = 0; q < 4; q++) {
			use(w, q);
			for (n = 0; n < 3; n++) {
				slot_fill(w, SLOT(q, n), 0x5a, 4096);
				slot_add(w, SLOT(q, n), VIRTIO_BLK_T_IN, n, 4096);
			}
			if (random() % 4)
				kick(w);
		}
		down = (unsigned int)random() % 5;
		if (down == 4)
			wr(w, VIRTIO_MMIO_STATUS, 0);
		else if (random() % 2)
			queue_reset(w, down);
		else
			wr(w, VIRTIO_MMIO_QUEUE_SEL, down), wr(w, VIRTIO_MMIO_QUEUE_READY, 0);
		if (down == 4)
			assert_int_equal(virtio_blk_frontend.inflight(w->fe), 0);
		for (q = 0; q < 4; q++) {
			use(w, q);
			for (n = 0; n < 3 && (down == 4 || down == q); n++) {
				assert_int_equal(slot_status(w, SLOT(q, n)), 0xaa);
				/* read into it was allowed until then, and no later */
				slot_fill(w, SLOT(q, n), 0x5a, 4096);
			}
		}
		for (q = 0; q < 4; q++)
			kick_queue(w, q);
		if (ram.nr_held)
			ram_end_all();
		reap(w);
		for (q = 0; q < 4; q++) {
			for (n = 0; n < 3 && (down == 4 || down == q); n++)
				assert_memory_equal(at(&w->d, SLOT_DATA(SLOT(q, n))), poison, 4096);
		}
		if (down == 4)
			driver_start_queues(w, ALL, 4);
		else
			queue_start(w, down);
		for (q = 0; q < 4; q++)
			for (use(w, q); w->d.last_used != w->d.vr.used->idx; w->d.last_used++)
				;
	}
	assert_false(stopped(w));
}

/* ---- a queue in the middle of another's request --------------------------- */

static struct world *busy_world;

/* The other vCPU: queue 0 is never empty. */
static void add_another(struct portal_io *io)
{
	(void)io;
	if (ram.started < 3000)
		slot_add(busy_world, ram.started % 3, VIRTIO_BLK_T_IN, 0, 512);
}

/*
 * A request with memory that the worker does not know yet waits for those in
 * flight; meanwhile it finds that queue 0 has more to do.
 */
static void a_request_that_waits_is_not_mixed_with_another(void **state)
{
	struct world *w = *state;

	driver_start_queues(w, ALL, 2);
	use(w, 0);
	busy_world = w;
	ram.on_submit = add_another;
	slot_add(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	kick(w);
	assert_in_range(ram.started, 1000, 2000);	/* and to be continued */
	ram.on_submit = NULL;
	ram.hold = true;
	memset(ram.data, 0x77, 512);
	w->mem->late = true;
	use(w, 1);
	slot_add(w, SLOT(1, 0), VIRTIO_BLK_T_IN, 0, 512);
	slot_add(w, SLOT(1, 1), VIRTIO_BLK_T_IN, 0, 512);
	drv_desc(&w->d, SLOT_HEAD(SLOT(1, 1)) + 1, LATE_GPA, 512,
		 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, SLOT_HEAD(SLOT(1, 1)) + 2);
	slot_add(w, SLOT(1, 2), VIRTIO_BLK_T_OUT, 0, 512);
	kick(w);
	while (virtio_blk_frontend.inflight(w->fe))
		world_wait(&w->env);
	assert_int_equal(slot_status(w, SLOT(1, 0)), VIRTIO_BLK_S_OK);
	assert_int_equal(slot_status(w, SLOT(1, 1)), VIRTIO_BLK_S_OK);
	assert_int_equal(w->mem->w[2].va[511], 0x77);
	assert_int_equal(slot_status(w, SLOT(1, 2)), VIRTIO_BLK_S_OK);
	assert_int_equal(w->d.vr.used->idx, 3);
	use(w, 0);
	assert_int_equal(w->d.vr.used->idx, w->d.vr.avail->idx);
	assert_false(stopped(w));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_ram, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(has_as_many_as_it_is_told),
		T(a_doorbell_is_its_queues),
		T(one_round_is_one_interrupt),
		T(a_new_worker_finishes_what_all_left),
		T(stops_if_a_queue_is_gone),
		T(reset_of_one_leaves_the_others),
		T(reset_of_one_needs_the_feature),
		T(a_storm_of_resets),
		T(a_request_that_waits_is_not_mixed_with_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
