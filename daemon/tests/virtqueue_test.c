// SPDX-License-Identifier: GPL-2.0-only
/* The device's half of a virtqueue: hostile drivers, and death at each step. */
/* LINK: virtqueue.o */
#include "virtio_fake.h"
#include <linux/virtio_config.h>
#include "virtqueue.h"

#define NUM	8
#define F_INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT		(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE

struct fx {
	struct portal_mem *mem;
	struct virtqueue_state st;
	struct virtqueue vq;
	struct virtqueue_chain c;
	struct drv d;
	const char *why;
};

static void setup_features(struct fx *f, uint64_t features)
{
	memset(&f->st, 0, sizeof(f->st));
	f->st.num = NUM;
	f->st.desc = DRV_DESC;
	f->st.driver = DRV_AVAIL;
	f->st.device = DRV_USED;
	f->st.ready = 1;
	drv_init(&f->d, f->mem, NUM);
	virtqueue_init(&f->vq, f->mem, &f->st);
	assert_null(virtqueue_start(&f->vq, features));
}

static int setup(void **state)
{
	struct fx *f = calloc(1, sizeof(*f));

	f->mem = mem_new();
	setup_features(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fx *f = *state;

	mem_free(f->mem);
	free(f);
	return 0;
}

/* A good request of two buffers, beginning at descriptor @head. */
static void add(struct fx *f, uint16_t head)
{
	drv_desc(&f->d, head, DRV_DATA, 16, NEXT, head + 1);
	drv_desc(&f->d, head + 1, DRV_DATA + 512, 1, WRITE, 0);
	drv_avail(&f->d, head);
}

static int pop(struct fx *f)
{
	f->why = NULL;
	return virtqueue_pop(&f->vq, &f->c, &f->why);
}

static void expect_bad(struct fx *f, const char *why)
{
	assert_int_equal(pop(f), -EBADMSG);
	assert_non_null(f->why);
	assert_string_equal(f->why, why);
}

static void passes_requests_both_ways_past_the_wrap_of_indices(void **state)
{
	struct fx *f = *state;
	uint32_t i, head, len;

	assert_int_equal(pop(f), VIRTQUEUE_EMPTY);
	for (i = 0; i < 70000; i++) {
		add(f, i % 4 * 2);
		assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
		assert_int_equal(f->c.head, i % 4 * 2);
		assert_int_equal(f->c.nr_out, 1);
		assert_int_equal(f->c.nr_in, 1);
		assert_int_equal(f->c.out_len, 16);
		assert_int_equal(f->c.in_len, 1);
		assert_false(f->c.bad_order);
		assert_int_equal(pop(f), VIRTQUEUE_EMPTY);
		assert_int_equal(virtqueue_push(&f->vq, f->c.head, i), 0);
		assert_true(drv_used(&f->d, &head, &len));
		assert_int_equal(head, i % 4 * 2);
		assert_int_equal(len, i);
	}
}

static void refuses_an_available_index_that_jumps(void **state)
{
	struct fx *f = *state;

	f->d.vr.avail->idx = NUM + 1;
	expect_bad(f, "available index jumped");
	f->d.vr.avail->idx = 0xffff;
	expect_bad(f, "available index jumped");
}

static void refuses_a_head_out_of_the_table(void **state)
{
	struct fx *f = *state;

	drv_avail(&f->d, NUM);
	expect_bad(f, "head descriptor is out of the table");
}

static void refuses_a_head_that_is_in_flight(void **state)
{
	struct fx *f = *state;

	add(f, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	drv_avail(&f->d, 0);
	expect_bad(f, "head descriptor is in use already");
}

static void refuses_loops_and_wrong_links(void **state)
{
	struct fx *f = *state;

	drv_desc(&f->d, 0, DRV_DATA, 16, NEXT, 0);
	drv_avail(&f->d, 0);
	expect_bad(f, "descriptor chain is a loop");
	drv_desc(&f->d, 0, DRV_DATA, 16, NEXT, 1);
	drv_desc(&f->d, 1, DRV_DATA, 16, NEXT | WRITE, 0);
	expect_bad(f, "descriptor chain is a loop");
	drv_desc(&f->d, 1, DRV_DATA, 16, NEXT, NUM);
	expect_bad(f, "next descriptor is out of the table");
	drv_desc(&f->d, 1, DRV_DATA, 16, NEXT, 0xffff);
	expect_bad(f, "next descriptor is out of the table");
}

static void marks_readable_after_writable(void **state)
{
	struct fx *f = *state;

	drv_desc(&f->d, 0, DRV_DATA, 16, NEXT | WRITE, 1);
	drv_desc(&f->d, 1, DRV_DATA, 16, 0, 0);
	drv_avail(&f->d, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	assert_true(f->c.bad_order);
	assert_int_equal(f->c.nr_in, 1);
}

static void skips_empty_buffers(void **state)
{
	struct fx *f = *state;

	drv_desc(&f->d, 0, HOLE_GPA, 0, NEXT, 1);
	drv_desc(&f->d, 1, DRV_DATA, 1, WRITE, 0);
	drv_avail(&f->d, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	assert_int_equal(f->c.nr_out, 0);
	assert_int_equal(f->c.nr_in, 1);
}

static void reads_indirect_tables(void **state)
{
	struct fx *f = *state;
	struct vring_desc *t = at(&f->d, DRV_DATA + 0x1000);

	setup_features(f, F_INDIRECT);
	t[0] = (struct vring_desc){ DRV_DATA, 16, NEXT, 2 };
	t[2] = (struct vring_desc){ DRV_DATA + 64, 512, NEXT | WRITE, 1 };
	t[1] = (struct vring_desc){ DRV_DATA + 4096, 1, WRITE, 0 };
	/* a direct one before it is allowed */
	drv_desc(&f->d, 3, DRV_DATA, 4, NEXT, 5);
	drv_desc(&f->d, 5, DRV_DATA + 0x1000, 48, VRING_DESC_F_INDIRECT, 0);
	drv_avail(&f->d, 3);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	assert_int_equal(f->c.head, 3);
	assert_int_equal(f->c.nr_out, 2);
	assert_int_equal(f->c.nr_in, 2);
	assert_int_equal(f->c.out_len, 20);
	assert_int_equal(f->c.in_len, 513);
}

static void refuses_wrong_indirect_tables(void **state)
{
	struct fx *f = *state;
	struct vring_desc *t = at(&f->d, DRV_DATA + 0x1000);
	int i;

	/* not negotiated */
	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 16, VRING_DESC_F_INDIRECT, 0);
	drv_avail(&f->d, 0);
	expect_bad(f, "unexpected indirect descriptor");

	setup_features(f, F_INDIRECT);
	drv_avail(&f->d, 0);
	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 16, VRING_DESC_F_INDIRECT | NEXT, 1);
	expect_bad(f, "indirect descriptor with a next one");
	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 0, VRING_DESC_F_INDIRECT, 0);
	expect_bad(f, "bad size of an indirect table");
	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 17, VRING_DESC_F_INDIRECT, 0);
	expect_bad(f, "bad size of an indirect table");
	drv_desc(&f->d, 0, ~0ULL - 15, 32, VRING_DESC_F_INDIRECT, 0);
	expect_bad(f, "bad size of an indirect table");

	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 32, VRING_DESC_F_INDIRECT, 0);
	t[0] = (struct vring_desc){ DRV_DATA, 16, VRING_DESC_F_INDIRECT, 0 };
	expect_bad(f, "unexpected indirect descriptor");
	t[0] = (struct vring_desc){ DRV_DATA, 16, NEXT, 2 };
	expect_bad(f, "next descriptor is out of the table");
	t[0] = (struct vring_desc){ DRV_DATA, 16, NEXT, 1 };
	t[1] = (struct vring_desc){ DRV_DATA, 16, NEXT, 0 };
	expect_bad(f, "descriptor chain is a loop");

	for (i = 0; i < 1024; i++)
		t[i] = (struct vring_desc){ DRV_DATA, 1, NEXT, (uint16_t)(i + 1) };
	drv_desc(&f->d, 0, DRV_DATA + 0x1000, 16 * 1024, VRING_DESC_F_INDIRECT, 0);
	expect_bad(f, "descriptor chain is too long");

	drv_desc(&f->d, 0, HOLE_GPA, 32, VRING_DESC_F_INDIRECT, 0);
	assert_int_equal(pop(f), -EFAULT);
	/* Nothing was taken: right as soon as it is RAM. */
	drv_desc(&f->d, 0, DRV_DATA, 16, 0, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
}

static void tells_rings_that_are_not_in_ram(void **state)
{
	struct fx *f = *state;

	add(f, 0);
	f->st.driver = HOLE_GPA;
	assert_int_equal(pop(f), -EFAULT);
	f->st.driver = RAM1_GPA - 4;	/* crosses two windows */
	assert_int_equal(pop(f), -EFAULT);
	f->st.driver = DRV_AVAIL;
	f->st.desc = HOLE_GPA;
	assert_int_equal(pop(f), -EFAULT);
	f->st.desc = DRV_DESC;
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	f->st.device = HOLE_GPA - 4;
	assert_int_equal(virtqueue_push(&f->vq, 0, 1), -EFAULT);
	assert_true(f->st.desc_state[0].inflight);
	assert_int_equal(f->st.used_idx, 0);
}

static void refuses_wrong_sizes_and_alignment(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 6, 512, 0x80000000, ~0U };
	struct fx *f = *state;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		f->st.num = sizes[i];
		assert_non_null(virtqueue_start(&f->vq, 0));
		assert_non_null(virtqueue_resume(&f->vq, 0));
	}
	f->st.num = NUM;
	f->st.desc += 8;
	assert_non_null(virtqueue_start(&f->vq, 0));
	f->st.desc -= 8;
	f->st.driver += 1;
	assert_non_null(virtqueue_start(&f->vq, 0));
	f->st.driver -= 1;
	f->st.device += 2;
	assert_non_null(virtqueue_start(&f->vq, 0));
	f->st.device -= 2;
	assert_null(virtqueue_start(&f->vq, 0));
}

static void splits_buffers_at_windows(void **state)
{
	struct fx *f = *state;
	struct virtqueue_seg seg[] = {
		{ DRV_DATA, 100 }, { RAM1_GPA - 300, 1000 }, { DRV_DATA + 512, 50 },
	};
	struct iovec iov[8];

	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1150, iov, 8), 4);
	assert_int_equal(iov[0].iov_len, 100);
	assert_int_equal(iov[1].iov_len, 300);
	assert_int_equal(iov[2].iov_len, 700);
	assert_ptr_equal(iov[1].iov_base, f->mem->w[0].va + RAM_LEN - 300);
	assert_ptr_equal(iov[2].iov_base, f->mem->w[1].va);
	assert_int_equal(iov[3].iov_len, 50);

	/* a part of it */
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 150, 260, iov, 8), 2);
	assert_ptr_equal(iov[0].iov_base, f->mem->w[0].va + RAM_LEN - 250);
	assert_int_equal(iov[0].iov_len, 250);
	assert_int_equal(iov[1].iov_len, 10);
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 0, iov, 8), 0);

	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1150, iov, 3), -E2BIG);
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1151, iov, 8), -EFAULT);
	seg[1].gpa = HOLE_GPA - 999;
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1150, iov, 8), -EFAULT);
	seg[1].gpa = ~0ULL - 10;
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1150, iov, 8), -EFAULT);
	seg[1] = (struct virtqueue_seg){ HOLE_GPA, ~0U };
	assert_int_equal(virtqueue_iov(f->mem, seg, 3, 0, 1150, iov, 8), -EFAULT);
}

static void honours_no_interrupt(void **state)
{
	struct fx *f = *state;

	add(f, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	virtqueue_push(&f->vq, 0, 1);
	assert_true(virtqueue_signal(&f->vq));
	f->d.vr.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_false(virtqueue_signal(&f->vq));
	assert_false(virtqueue_arm(&f->vq));
}

static void honours_event_indices(void **state)
{
	struct fx *f = *state;

	setup_features(f, F_EVENT);
	vring_used_event(&f->d.vr) = 1;		/* after the second one */
	f->d.vr.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;	/* means nothing now */
	add(f, 0);
	add(f, 2);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	virtqueue_push(&f->vq, 0, 1);
	assert_false(virtqueue_signal(&f->vq));
	virtqueue_push(&f->vq, 2, 1);
	assert_true(virtqueue_signal(&f->vq));
	assert_false(virtqueue_signal(&f->vq));

	assert_false(virtqueue_arm(&f->vq));
	assert_int_equal(vring_avail_event(&f->d.vr), 2);
	add(f, 4);
	assert_true(virtqueue_arm(&f->vq));
}

/* A new worker on the same memory. */
static const char *reborn(struct fx *f)
{
	memset(&f->vq, 0x5a, sizeof(f->vq));
	virtqueue_init(&f->vq, f->mem, &f->st);
	return virtqueue_resume(&f->vq, 0);
}

static void expect_pops(struct fx *f, const int *heads)
{
	for (; *heads >= 0; heads++) {
		assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
		assert_int_equal(f->c.head, *heads);
	}
	assert_int_equal(pop(f), VIRTQUEUE_EMPTY);
}

static void resumes_unfinished_requests_in_their_order(void **state)
{
	struct fx *f = *state;
	int i;

	add(f, 6);
	add(f, 0);
	add(f, 4);
	for (i = 0; i < 3; i++)
		assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	assert_int_equal(virtqueue_push(&f->vq, 0, 1), 0);
	add(f, 2);	/* not seen by the first worker */
	assert_null(reborn(f));
	expect_pops(f, (const int[]){ 6, 4, 2, -1 });
	assert_true(virtqueue_signal(&f->vq));
	/* and once more: the same order again */
	assert_null(reborn(f));
	expect_pops(f, (const int[]){ 6, 4, 2, -1 });
	virtqueue_push(&f->vq, 4, 1);
	virtqueue_push(&f->vq, 2, 1);
	virtqueue_push(&f->vq, 6, 1);
	assert_null(reborn(f));
	expect_pops(f, (const int[]){ -1 });
	assert_int_equal(f->d.vr.used->idx, 4);
}

/* The steps of virtqueue_push(), as in the comment of virtqueue.c. */
static void push_steps(struct fx *f, uint16_t head, int steps)
{
	uint16_t idx = f->st.used_idx;

	if (steps-- > 0)
		f->d.vr.used->ring[idx % NUM] = (struct vring_used_elem){ head, 1 };
	if (steps-- > 0)
		f->st.desc_state[head].next = f->st.last_batch_head;
	if (steps-- > 0)
		f->st.last_batch_head = head;
	if (steps-- > 0)
		f->d.vr.used->idx = idx + 1;
	if (steps-- > 0)
		f->st.desc_state[head].inflight = 0;
	if (steps-- > 0)
		f->st.used_idx = idx + 1;
}

static void survives_death_at_each_step_of_a_completion(void **state)
{
	struct fx *f = *state;
	int steps, round;

	for (steps = 0; steps <= 6; steps++) {
		/* from an empty history, and after another completion */
		for (round = 0; round < 2; round++) {
			setup_features(f, 0);
			if (round) {
				add(f, 4);
				assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
				virtqueue_push(&f->vq, 4, 1);
			}
			add(f, 0);
			add(f, 2);
			assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
			assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
			push_steps(f, 0, steps);
			assert_null(reborn(f));
			if (steps < 4)
				expect_pops(f, (const int[]){ 0, 2, -1 });
			else
				expect_pops(f, (const int[]){ 2, -1 });
			if (steps < 4)
				virtqueue_push(&f->vq, 0, 1);
			virtqueue_push(&f->vq, 2, 1);
			/* each exactly once */
			assert_int_equal(f->d.vr.used->idx, 2 + round);
			assert_int_equal(f->d.vr.used->ring[round].id, 0);
			assert_int_equal(f->d.vr.used->ring[round + 1].id, 2);
			assert_int_equal(f->st.used_idx, 2 + round);
			assert_null(reborn(f));
			expect_pops(f, (const int[]){ -1 });
		}
	}
}

static void survives_death_at_each_step_of_taking(void **state)
{
	struct fx *f = *state;
	int steps;

	for (steps = 0; steps <= 2; steps++) {
		setup_features(f, 0);
		add(f, 2);
		assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
		add(f, 0);
		if (steps > 0)
			f->st.desc_state[0].counter = f->st.counter++;
		if (steps > 1)
			f->st.desc_state[0].inflight = 1;
		assert_null(reborn(f));
		expect_pops(f, (const int[]){ 2, 0, -1 });
	}
}

static void refuses_to_resume_what_the_guest_tampered_with(void **state)
{
	struct fx *f = *state;

	add(f, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	f->d.vr.used->idx = NUM + 1;
	assert_string_equal(reborn(f), "the used ring's index was changed");
	f->d.vr.used->idx = 0xffff;
	assert_string_equal(reborn(f), "the used ring's index was changed");
	f->d.vr.used->idx = 1;
	f->st.last_batch_head = NUM;
	assert_string_equal(reborn(f), "the inflight list is damaged");
	f->st.device = HOLE_GPA;
	assert_string_equal(reborn(f), "the used ring is not in RAM");
}

static void forgets_everything_at_reset(void **state)
{
	struct fx *f = *state;
	struct virtqueue_state zero = { 0 };

	add(f, 0);
	assert_int_equal(pop(f), VIRTQUEUE_CHAIN);
	virtqueue_reset(&f->vq);
	assert_memory_equal(&f->st, &zero, sizeof(zero));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(passes_requests_both_ways_past_the_wrap_of_indices),
		T(refuses_an_available_index_that_jumps),
		T(refuses_a_head_out_of_the_table),
		T(refuses_a_head_that_is_in_flight),
		T(refuses_loops_and_wrong_links),
		T(marks_readable_after_writable),
		T(skips_empty_buffers),
		T(reads_indirect_tables),
		T(refuses_wrong_indirect_tables),
		T(tells_rings_that_are_not_in_ram),
		T(refuses_wrong_sizes_and_alignment),
		T(splits_buffers_at_windows),
		T(honours_no_interrupt),
		T(honours_event_indices),
		T(resumes_unfinished_requests_in_their_order),
		T(survives_death_at_each_step_of_a_completion),
		T(survives_death_at_each_step_of_taking),
		T(refuses_to_resume_what_the_guest_tampered_with),
		T(forgets_everything_at_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
