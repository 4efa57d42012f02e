// SPDX-License-Identifier: GPL-2.0-only
/* dispatch_test.c - requests of a hostile guest, and of a kind one */
/* LINK: dispatch.o cmdabi.o cmdchan.o cmdevent.o cmdring.o errmap.o log.o -lpthread */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <linux/portal_guest.h>

#include "worker.h"

static struct {
	uint64_t id, value;
	bool error;
	unsigned int nr;
} last;

static struct {
	uint32_t offset, len, fn;
	uint64_t value, count;
	unsigned int calls, writes, fe_writes, fe_doorbells, range, interrupts, locks;
	int ret;
	uint32_t doorbell;	/* the count at aux 0xf00 */
} seen;

struct portal_region {
	uint32_t id;
};

static struct portal_region region = { 7 };
static struct chan_page page;
static struct portal_instance pi;
static uint64_t call_id;	/* of the next call */

int portal_reply_value(struct portal_queue *q, uint64_t id, uint64_t value)
{
	(void)q;
	last.id = id;
	last.value = value;
	last.error = false;
	last.nr++;
	return 0;
}

int portal_reply_error(struct portal_queue *q, uint64_t id, uint32_t error)
{
	portal_reply_value(q, id, error);
	last.error = true;
	return 0;
}

uint32_t portal_region_id(const struct portal_region *r)
{
	return r->id;
}

uint32_t portal_region_take(struct portal_region *r, uint32_t aux)
{
	uint32_t n = seen.doorbell;

	(void)r;
	assert_int_equal(aux, 0xf00);
	seen.doorbell = 0;
	return n;
}

void backend_lock(struct backend *be)
{
	(void)be;
	seen.locks++;
}

void backend_unlock(struct backend *be)
{
	(void)be;
	seen.locks += 100;
}

static int on_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	(void)handle;
	seen.calls++;
	seen.fn = call->fn;
	*value = call->args[0] + call->args[3];
	return seen.ret;
}

static int on_interrupt(void *handle, uint64_t count, uint64_t *value)
{
	(void)handle;
	seen.interrupts++;
	seen.count = count;
	/* the count is taken, but not served yet */
	assert_int_equal(page.taken, page.queued);
	assert_int_not_equal(page.served, page.queued);
	*value = 100 + count;
	return seen.ret;
}

static int on_reg_read(void *handle, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)handle;
	(void)len;
	*value = offset + 1;
	return seen.ret;
}

static int on_reg_write(void *handle, uint32_t offset, uint32_t len, uint64_t value)
{
	(void)handle;
	seen.writes++;
	seen.offset = offset;
	seen.len = len;
	seen.value = value;
	return seen.ret;
}

static void fe_write(void *fe, uint32_t offset, uint32_t len, uint64_t value)
{
	on_reg_write(fe, offset, len, value);
	seen.fe_writes++;
}

static void fe_doorbell(void *fe, uint32_t range, uint32_t count)
{
	(void)fe;
	seen.range = range;
	seen.count = count;
	seen.fe_doorbells++;
}

static const struct frontend_ops fe_ops = { .write = fe_write, .doorbell = fe_doorbell };

static int setup(void **state)
{
	(void)state;
	memset(&pi, 0, sizeof(pi));
	memset(&page, 0, sizeof(page));
	memset(&seen, 0, sizeof(seen));
	memset(&last, 0, sizeof(last));
	call_id++;
	pi.page = &page;
	pi.region = &region;
	pi.plugin.ops = (struct portald_plugin) {
		.fns = 2, .call = on_call, .interrupt = on_interrupt, .reg_read = on_reg_read,
		.reg_write = on_reg_write,
	};
	pi.desc.nr_ranges = 2;
	pi.desc.ranges[0] = (struct portal_region_range) {
		.offset = 0x50, .len = 4, .attr = PORTAL_ATTR_DOORBELL, .width = 4,
		.flags = PORTAL_RANGE_F_COUNT | PORTAL_RANGE_F_DATAMATCH, .datamatch = 9,
		.aux = 0xbad,
	};
	pi.desc.ranges[1] = pi.desc.ranges[0];
	pi.desc.ranges[1].datamatch = 3;
	pi.desc.ranges[1].aux = 0xf00;
	return 0;
}

static void hypercall(uint32_t fn, uint64_t a0, uint64_t a3)
{
	struct portal_request req = {
		.id = call_id, .kind = PORTAL_KIND_HYPERCALL, .flags = PORTAL_REQ_F_CALL,
		.addr = PORTAL_HC_SERVICE(5) + fn, .data = { a0, 0, 0, a3 },
	};

	dispatch(&pi, &req);
	call_id++;
}

static void mmio(uint32_t flags, uint32_t offset, uint64_t val)
{
	struct portal_request req = {
		.id = 12, .kind = PORTAL_KIND_MMIO, .flags = flags, .hook_id = 7,
		.addr = offset, .len = 4, .data = { val },
	};

	dispatch(&pi, &req);
}

static void calls_the_plugin(void **state)
{
	(void)state;
	hypercall(1, 40, 2);
	assert_int_equal(seen.fn, 1);
	assert_int_equal(last.id, call_id - 1);
	assert_int_equal(last.value, 42);
	assert_int_equal(page.calls, 1);
	assert_int_equal(page.requests, 1);
	assert_int_equal(seen.locks, 0);	/* a service: no lock */
}

static void maps_errors(void **state)
{
	(void)state;
	seen.ret = -ENOSPC;
	hypercall(0, 0, 0);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_ENOSPC);
	seen.ret = -ENOTTY;
	hypercall(0, 0, 0);
	assert_int_equal(last.value, PORTAL_EIO);
	seen.ret = -EAGAIN;		/* would make the guest repeat the call */
	hypercall(0, 0, 0);
	assert_int_equal(last.value, PORTAL_EBUSY);
	assert_int_equal(page.errors, 3);
}

static void unknown_functions_are_enosys(void **state)
{
	(void)state;
	hypercall(2, 0, 0);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_ENOSYS);
	hypercall(0xfe, 0, 0);
	assert_int_equal(last.value, PORTAL_ENOSYS);
	assert_int_equal(seen.calls, 0);
}

static void counts_interrupts_and_loses_none(void **state)
{
	(void)state;
	hypercall(PORTAL_FN_INTERRUPT, 0, 0);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_ENOENT);	/* nothing is queued */
	page.queued = 3;
	hypercall(PORTAL_FN_INTERRUPT, 0, 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(last.value, 103);
	assert_int_equal(page.served, 3);
	page.queued = 5;
	hypercall(PORTAL_FN_INTERRUPT, 0, 0);
	assert_int_equal(seen.count, 2);
	/* one whose handler died: the next worker takes what was not served */
	page.queued = 9;
	page.taken = page.served = 6;
	hypercall(PORTAL_FN_INTERRUPT, 0, 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.interrupts, 3);
}

static void sink(int level, const char *msg)
{
	(void)level;
	(void)msg;
}

static void a_call_that_kills_workers_ends(void **state)
{
	(void)state;
	log_set_sink(sink);
	for (int i = 0; i < 3; i++) {	/* each by a new worker, on the same page */
		hypercall(0, 5, 0);
		assert_false(last.error);
		call_id--;
	}
	hypercall(0, 5, 0);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_EIO);
	assert_int_equal(seen.calls, 3);
	hypercall(0, 5, 0);		/* another call is served */
	assert_false(last.error);
}

static void keeps_the_thread_model_of_block_plugins(void **state)
{
	(void)state;
	pi.backend = (void *)&pi;
	hypercall(0, 0, 0);
	assert_int_equal(seen.locks, 101);	/* taken once, given back once */
}

static void reads_and_writes_registers(void **state)
{
	(void)state;
	mmio(PORTAL_REQ_F_CALL, 0x08, 0);
	assert_int_equal(last.value, 9);
	mmio(PORTAL_REQ_F_WRITE, 0x10, 77);
	assert_int_equal(seen.offset, 0x10);
	assert_int_equal(seen.len, 4);
	assert_int_equal(seen.value, 77);
	assert_int_equal(last.nr, 1);		/* a posted write has no reply */
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_CALL, 0x10, 78);
	assert_int_equal(last.nr, 2);
	assert_int_equal(page.reads, 1);
	assert_int_equal(page.writes, 2);
}

static void takes_the_doorbells_count(void **state)
{
	(void)state;
	seen.doorbell = 6;
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 3);
	assert_int_equal(seen.value, 6);
	assert_int_equal(seen.writes, 1);
	/* taken by the request before: nothing to do */
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 3);
	assert_int_equal(seen.writes, 1);
	/* no doorbell there: not possible, and not fatal */
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x54, 3);
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 4);
	assert_int_equal(seen.writes, 1);
	assert_int_equal(page.doorbells, 4);
}

static void writes_go_to_the_front_end(void **state)
{
	(void)state;
	pi.fe = &pi;
	pi.ops = &fe_ops;
	mmio(PORTAL_REQ_F_WRITE, 0x70, 1);
	assert_int_equal(seen.fe_writes, 1);
	/* which doorbell it was, too */
	seen.doorbell = 5;
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 3);
	assert_int_equal(seen.fe_doorbells, 1);
	assert_int_equal(seen.range, 1);
	assert_int_equal(seen.count, 5);
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 3);
	mmio(PORTAL_REQ_F_WRITE | PORTAL_REQ_F_COUNTED, 0x50, 4);
	assert_int_equal(seen.fe_doorbells, 1);
	mmio(PORTAL_REQ_F_CALL, 0x08, 0);	/* it has no CALL registers */
	assert_true(last.error);
}

static void drops_writes_of_a_region_that_is_gone(void **state)
{
	(void)state;
	region.id = 8;
	mmio(PORTAL_REQ_F_WRITE, 0x10, 1);
	mmio(PORTAL_REQ_F_CALL, 0x08, 0);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_ENODEV);
	region.id = 7;
	pi.region = NULL;
	mmio(PORTAL_REQ_F_WRITE, 0x10, 1);
	assert_int_equal(seen.writes, 0);
	assert_int_equal(page.dropped, 3);
}

static int fe_read(void *fe, uint32_t offset, uint32_t len, uint64_t *value)
{
	(void)fe; (void)len;
	*value = 1000 + offset;
	return seen.ret;
}

static int fe_call(void *fe, uint32_t fn, const uint64_t args[4], uint64_t *value)
{
	(void)fe;
	seen.fn = fn;
	*value = args[3];
	return seen.ret;
}

static void a_front_end_may_answer_later(void **state)
{
	static const struct frontend_ops ops = {
		.fns = 2, .write = fe_write, .read = fe_read, .call = fe_call,
	};
	struct portal_request req = {
		.id = 20, .kind = PORTAL_KIND_MMIO, .flags = PORTAL_REQ_F_WRITE, .hook_id = 7,
		.addr = 4, .len = 4, .epoch = 3,
	};

	(void)state;
	pi.fe = &pi;
	pi.ops = &ops;
	pi.epoch = 3;
	hypercall(1, 0, 77);
	assert_int_equal(last.value, 77);
	assert_int_equal(seen.fn, 1);
	seen.ret = FRONTEND_LATER;
	hypercall(0, 0, 77);
	assert_int_equal(last.nr, 1);
	seen.ret = -EINVAL;
	hypercall(0, 0, 77);
	assert_true(last.error);
	assert_int_equal(last.value, PORTAL_EINVAL);
	seen.ret = 0;
	mmio(PORTAL_REQ_F_CALL, 0x14, 0);
	assert_int_equal(last.value, 1014 + 6);
	/* it is told of each request, and whether an earlier worker may have had it */
	dispatch(&pi, &req);
	assert_int_equal(pi.env.req_id, 20);
	assert_false(pi.env.redelivered);
	req.flags |= PORTAL_REQ_F_REDELIVERED;
	dispatch(&pi, &req);
	assert_true(pi.env.redelivered);
	req.flags &= ~PORTAL_REQ_F_REDELIVERED;
	req.epoch = 2;
	dispatch(&pi, &req);
	assert_true(pi.env.redelivered);
}

static void unknown_kinds_get_an_answer(void **state)
{
	struct portal_request req = { .id = 13, .kind = 99, .flags = PORTAL_REQ_F_CALL };

	(void)state;
	dispatch(&pi, &req);
	assert_int_equal(last.id, 13);
	assert_true(last.error);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(calls_the_plugin), T(maps_errors), T(unknown_functions_are_enosys),
		T(counts_interrupts_and_loses_none), T(a_call_that_kills_workers_ends), T(keeps_the_thread_model_of_block_plugins),
		T(reads_and_writes_registers), T(takes_the_doorbells_count),
		T(writes_go_to_the_front_end), T(drops_writes_of_a_region_that_is_gone),
		T(a_front_end_may_answer_later), T(unknown_kinds_get_an_answer),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
