// SPDX-License-Identifier: GPL-2.0-only
/* The registers of a virtio-mmio device, with a device behind that only counts. */
/* LINK: virtio_mmio.o virtio_mmio_page.o virtqueue.o log.o */
#include "virtio_fake.h"
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include "log.h"
#include "virtio_mmio.h"

#define FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << 9)
#define NUM		16
#define ACK_DRIVER	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

struct fx {
	struct portal_mem *mem;
	struct portal_region *region;
	struct frontend_env env;
	struct virtio_mmio vm;
	uint64_t config[2];
	struct drv d;
	unsigned int notified;
	unsigned int quiesced;
	uint32_t status_in_quiesce;
};

static unsigned int messages;

static void count_messages(int level, const char *msg)
{
	(void)level;
	(void)msg;
	messages++;
}

static void notify(void *arg, unsigned int q)
{
	struct fx *f = arg;

	assert_int_equal(q, 0);
	f->notified++;
}

static void quiesce(void *arg)
{
	struct fx *f = arg;

	f->quiesced++;
	f->status_in_quiesce = f->vm.st->status;
	assert_false(virtio_mmio_running(&f->vm, 0));
}

static int init_vm(struct fx *f, uint64_t features)
{
	struct virtio_mmio_device dev = {
		.device_id = 2, .nr_queues = 1, .features = features,
		.config = f->config, .config_len = sizeof(f->config),
		.notify = notify, .quiesce = quiesce, .arg = f,
	};

	memset(&f->vm, 0, sizeof(f->vm));
	return virtio_mmio_init(&f->vm, &f->env, &dev);
}

static int setup(void **state)
{
	struct fx *f = calloc(1, sizeof(*f));

	log_set_sink(count_messages);
	messages = 0;
	f->mem = mem_new();
	f->region = region_new();
	f->env.mem = f->mem;
	f->env.region = f->region;
	f->env.irqfd = eventfd(0, EFD_NONBLOCK);
	f->env.state_len = sizeof(struct virtio_mmio_state);
	f->env.state = calloc(1, f->env.state_len);
	f->config[0] = 0x1122334455667788;
	assert_int_equal(init_vm(f, FEATURES), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, false), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fx *f = *state;

	close(f->env.irqfd);
	free(f->env.state);
	region_free(f->region);
	mem_free(f->mem);
	free(f);
	return 0;
}

static uint32_t rd(struct fx *f, uint32_t off)
{
	return portal_region_read32(f->region, off);
}

static void wr(struct fx *f, uint32_t off, uint32_t val)
{
	virtio_mmio_write(&f->vm, off, 4, val);
}

static uint64_t irqs(struct fx *f)
{
	uint64_t n = 0;

	return read(f->env.irqfd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void negotiate(struct fx *f, uint64_t features)
{
	wr(f, VIRTIO_MMIO_STATUS, 0);
	wr(f, VIRTIO_MMIO_STATUS, ACK_DRIVER);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr(f, VIRTIO_MMIO_STATUS, ACK_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_queue(struct fx *f)
{
	drv_init(&f->d, f->mem, NUM);
	wr(f, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, NUM);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, DRV_DESC);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	wr(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRV_AVAIL);
	wr(f, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	wr(f, VIRTIO_MMIO_QUEUE_USED_LOW, DRV_USED);
	wr(f, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void start(struct fx *f)
{
	negotiate(f, FEATURES);
	set_queue(f);
	wr(f, VIRTIO_MMIO_STATUS,
	   ACK_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	f->notified = 0;
}

static void shows_what_it_is(void **state)
{
	struct fx *f = *state;

	assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(f, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_ID), 2);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG), 0x55667788);
	assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG + 4), 0x11223344);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_LOW), ~0U);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1 << 9);
	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1);
	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	wr(f, VIRTIO_MMIO_QUEUE_SEL, 0xffffffff);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

static void follows_the_initialisation_of_the_specification(void **state)
{
	struct fx *f = *state;

	wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
	wr(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 1);
	negotiate(f, FEATURES);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(virtio_mmio_has(&f->vm, 9));
	assert_true(virtio_mmio_has(&f->vm, VIRTIO_F_VERSION_1));
	assert_false(virtio_mmio_has(&f->vm, 5));
	/* Negotiated is negotiated. */
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	assert_true(virtio_mmio_has(&f->vm, 9));

	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
	set_queue(f);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 1);
	virtio_mmio_doorbell(&f->vm, 0, 1);
	assert_int_equal(f->notified, 0);	/* not before DRIVER_OK */
	assert_false(virtio_mmio_running(&f->vm, 0));
	wr(f, VIRTIO_MMIO_STATUS,
	   ACK_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0xf);
	assert_true(virtio_mmio_running(&f->vm, 0));
	assert_int_equal(f->notified, 1);
	virtio_mmio_doorbell(&f->vm, 0, 3);
	assert_int_equal(f->notified, 2);
	assert_int_equal(f->vm.notifications, 4);
}

static void refuses_features_it_does_not_have(void **state)
{
	static const uint64_t bad[] = {
		1ULL << 9,				/* no VERSION_1 */
		FEATURES | 1ULL << 5,
		FEATURES | 1ULL << 63,
	};
	struct fx *f = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		negotiate(f, bad[i]);
		assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK_DRIVER);
		/* nor does it start without them */
		set_queue(f);
		assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
		wr(f, VIRTIO_MMIO_STATUS, 0x7);
		assert_int_equal(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK, 0);
	}
	/* above bit 63 */
	wr(f, VIRTIO_MMIO_STATUS, 0);
	wr(f, VIRTIO_MMIO_STATUS, ACK_DRIVER);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	wr(f, VIRTIO_MMIO_STATUS, 0xb);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK_DRIVER);
}

static void a_write_delivered_twice_does_no_harm(void **state)
{
	struct fx *f = *state;

	start(f);
	f->vm.st->vq[0].used_idx = 5;
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(f->vm.st->vq[0].used_idx, 5);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, 4);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	assert_int_equal(f->vm.st->vq[0].num, NUM);
	assert_int_equal(f->vm.st->vq[0].desc, DRV_DESC);
	wr(f, VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(f->notified, 0);
	assert_int_equal(f->quiesced, 1);	/* negotiate() */
	wr(f, VIRTIO_MMIO_STATUS, 0);
	wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
}

static void reset_waits_first_and_then_forgets(void **state)
{
	struct fx *f = *state;

	start(f);
	portal_region_or32(f->region, VIRTIO_MMIO_INTERRUPT_STATUS, 3);
	f->quiesced = 0;
	wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(f->quiesced, 1);
	assert_int_equal(f->status_in_quiesce, 0xf);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_false(virtio_mmio_running(&f->vm, 0));
	assert_false(virtio_mmio_has(&f->vm, 9));
	assert_int_equal(f->vm.st->vq[0].ready, 0);
	assert_int_equal(f->vm.st->vq[0].desc, 0);
	start(f);
	assert_true(virtio_mmio_running(&f->vm, 0));
}

static void a_queue_can_be_taken_down_alone(void **state)
{
	struct fx *f = *state;

	start(f);
	f->quiesced = 0;
	wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(f->quiesced, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_false(virtio_mmio_running(&f->vm, 0));
	set_queue(f);
	assert_true(virtio_mmio_running(&f->vm, 0));
}

static void refuses_wrong_queues(void **state)
{
	struct fx *f = *state;

	negotiate(f, FEATURES);
	set_queue(f);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, 3);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(messages, 1);
	/* a guest can't fill the log */
	wr(f, VIRTIO_MMIO_QUEUE_NUM, 512);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_in_range(messages, 1, 2);
	/* queues that do not exist */
	wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, 8);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void ignores_wrong_widths_and_read_only_registers(void **state)
{
	struct fx *f = *state;
	struct virtio_mmio_state before;
	uint32_t off;

	start(f);
	before = *f->vm.st;
	virtio_mmio_write(&f->vm, VIRTIO_MMIO_STATUS, 1, 0);
	virtio_mmio_write(&f->vm, VIRTIO_MMIO_STATUS, 8, 0);
	for (off = 0; off < 0x200; off += 4) {
		if (off == VIRTIO_MMIO_QUEUE_SEL || off == VIRTIO_MMIO_DEVICE_FEATURES_SEL ||
		    off == VIRTIO_MMIO_DRIVER_FEATURES_SEL ||
		    off == VIRTIO_MMIO_QUEUE_READY || off == VIRTIO_MMIO_STATUS)
			continue;
		wr(f, off, 0x80);
	}
	assert_memory_equal(f->vm.st, &before, sizeof(before));
}

static void signal_now(struct fx *f)
{
	virtio_mmio_signal(&f->vm, 0);
	virtio_mmio_end_round(&f->vm);
}

static void an_interrupt_is_sent_once_until_acknowledged(void **state)
{
	struct fx *f = *state;

	start(f);
	assert_int_equal(irqs(f), 0);
	/* at the end of the round, however many requests ended in it */
	virtio_mmio_signal(&f->vm, 0);
	virtio_mmio_signal(&f->vm, 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_mmio_end_round(&f->vm);
	virtio_mmio_end_round(&f->vm);
	assert_int_equal(f->vm.interrupts, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	signal_now(f);
	signal_now(f);
	assert_int_equal(irqs(f), 1);
	/* another reason is another interrupt */
	virtio_mmio_config_changed(&f->vm);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	assert_int_equal(irqs(f), 1);
	/* the kernel's ACK */
	portal_region_write32(f->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	signal_now(f);
	assert_int_equal(irqs(f), 1);
	/* not wanted */
	portal_region_write32(f->region, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	f->d.vr.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	signal_now(f);
	assert_int_equal(irqs(f), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void a_changed_configuration_has_another_generation(void **state)
{
	struct fx *f = *state;
	uint32_t gen = rd(f, VIRTIO_MMIO_CONFIG_GENERATION);

	f->config[1] = 77;
	virtio_mmio_config_changed(&f->vm);
	assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG + 8), 77);
	assert_int_not_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), gen);
	assert_int_equal(irqs(f), 0);		/* no driver yet */
	/* and it is known to the next one */
	start(f);
	assert_int_equal(irqs(f), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_mmio_config_changed(&f->vm);
	assert_int_equal(irqs(f), 1);
}

/* Read early in the probe, changed in the middle of it: told at its end. */
static void a_change_during_the_probe_is_told(void **state)
{
	struct fx *f = *state;

	negotiate(f, FEATURES);
	f->config[1] = 78;
	virtio_mmio_config_changed(&f->vm);
	set_queue(f);
	assert_int_equal(irqs(f), 0);
	wr(f, VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(irqs(f), 1);
}

static void stops_and_says_so_when_it_needs_a_reset(void **state)
{
	struct fx *f = *state;

	start(f);
	virtio_mmio_needs_reset(&f->vm, "test");
	virtio_mmio_needs_reset(&f->vm, "test");
	assert_int_equal(messages, 1);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(irqs(f), 1);
	virtio_mmio_doorbell(&f->vm, 0, 1);
	assert_int_equal(f->notified, 0);
	/* the driver cannot clear it but by a reset */
	wr(f, VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0x4f);
	/* a new worker does not either */
	assert_int_equal(init_vm(f, FEATURES), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, true), 0);
	assert_int_equal(f->notified, 0);
	assert_false(virtio_mmio_running(&f->vm, 0));
	start(f);
	assert_true(virtio_mmio_running(&f->vm, 0));
}

static void resumes_in_the_middle_of_the_initialisation(void **state)
{
	struct fx *f = *state;

	negotiate(f, FEATURES);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, NUM);
	memset(f->region->shadow, 0xff, 0x60);
	assert_int_equal(init_vm(f, FEATURES), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, true), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0xb);
	assert_int_equal(f->vm.st->vq[0].num, NUM);
	assert_int_equal(f->notified, 0);
	assert_int_equal(irqs(f), 0);
	set_queue(f);
	wr(f, VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(f->notified, 1);
}

static void resume_notifies_and_interrupts_once(void **state)
{
	struct fx *f = *state;

	start(f);
	/* the bit was set, the irqfd perhaps not written */
	portal_region_or32(f->region, VIRTIO_MMIO_INTERRUPT_STATUS, 1);
	assert_int_equal(init_vm(f, FEATURES), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, true), 0);
	assert_int_equal(f->notified, 1);
	assert_int_equal(irqs(f), 1);
	assert_true(virtio_mmio_running(&f->vm, 0));
	assert_true(virtio_mmio_has(&f->vm, 9));
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0xf);
}

static void resume_tells_of_a_changed_configuration(void **state)
{
	struct fx *f = *state;
	uint32_t gen;

	start(f);
	gen = rd(f, VIRTIO_MMIO_CONFIG_GENERATION);
	f->config[0]++;
	assert_int_equal(init_vm(f, FEATURES), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, true), 0);
	assert_int_not_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), gen);
	assert_true(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
}

static void resume_refuses_a_lost_feature(void **state)
{
	struct fx *f = *state;

	start(f);
	assert_int_equal(init_vm(f, 1ULL << VIRTIO_F_VERSION_1), 0);
	assert_int_equal(virtio_mmio_enable(&f->vm, true), 0);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->notified, 0);
}

static void checks_the_layout_of_the_state(void **state)
{
	struct fx *f = *state;

	f->vm.st->version++;
	assert_int_equal(init_vm(f, FEATURES), -EINVAL);
	((struct virtio_mmio_state *)f->env.state)->version--;
	((struct virtio_mmio_state *)f->env.state)->size--;
	assert_int_equal(init_vm(f, FEATURES), -EINVAL);
	((struct virtio_mmio_state *)f->env.state)->size++;
	((struct virtio_mmio_state *)f->env.state)->magic++;
	assert_int_equal(init_vm(f, FEATURES), -EINVAL);
	((struct virtio_mmio_state *)f->env.state)->magic--;
	assert_int_equal(init_vm(f, FEATURES), 0);
	f->env.state_len--;
	assert_int_equal(init_vm(f, FEATURES), -EINVAL);
	f->env.state_len++;
	assert_int_equal(init_vm(f, FEATURES), 0);
	f->region->size = 0x200;
	assert_int_equal(virtio_mmio_enable(&f->vm, false), -EINVAL);
	f->region->size = 4096;
}

static void enabled_anew_it_starts_from_nothing(void **state)
{
	struct fx *f = *state;

	start(f);
	f->vm.quiescing = ~0U;		/* for quiesce()'s check */
	virtio_mmio_disable(&f->vm);
	f->vm.quiescing = 0;
	assert_int_equal(virtio_mmio_enable(&f->vm, false), 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(f->vm.st->vq[0].ready, 0);
	assert_false(virtio_mmio_running(&f->vm, 0));
}

/* Once the driver is up no register read wakes the daemon. */
static void only_setup_registers_make_the_guest_wait(void **state)
{
	static const struct portal_region_range ranges[] = { VIRTIO_MMIO_RANGES };
	uint32_t i;

	(void)state;
	assert_int_equal(sizeof(ranges) / sizeof(ranges[0]), VIRTIO_MMIO_NR_RANGES);
	for (i = 0; i < VIRTIO_MMIO_NR_RANGES; i++) {
		const struct portal_region_range *r = &ranges[i];

		/* the kernel keeps the doorbells of the queues apart */
		assert_int_equal(r->attr == PORTAL_ATTR_DOORBELL, i < VIRTIO_MMIO_QUEUES_MAX);
		if (i < VIRTIO_MMIO_QUEUES_MAX) {
			assert_int_equal(r->datamatch, i);
			assert_int_equal(r->aux, VIRTIO_MMIO_REGION_LEN + 4 * i);
			assert_int_equal(r->flags,
					 PORTAL_RANGE_F_COUNT | PORTAL_RANGE_F_DATAMATCH);
		}

		assert_int_not_equal(r->attr, PORTAL_ATTR_CALL);
		assert_int_equal(r->len, 4);
		if (r->attr == PORTAL_ATTR_FENCED)
			assert_true(r->offset == VIRTIO_MMIO_DEVICE_FEATURES ||
				    r->offset == VIRTIO_MMIO_QUEUE_NUM_MAX);
		if (r->attr == PORTAL_ATTR_SYNC)
			assert_true(r->offset == VIRTIO_MMIO_QUEUE_READY ||
				    r->offset == VIRTIO_MMIO_QUEUE_RESET ||
				    r->offset == VIRTIO_MMIO_STATUS);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(shows_what_it_is),
		T(follows_the_initialisation_of_the_specification),
		T(refuses_features_it_does_not_have),
		T(a_write_delivered_twice_does_no_harm),
		T(reset_waits_first_and_then_forgets),
		T(a_queue_can_be_taken_down_alone),
		T(refuses_wrong_queues),
		T(ignores_wrong_widths_and_read_only_registers),
		T(an_interrupt_is_sent_once_until_acknowledged),
		T(a_changed_configuration_has_another_generation),
		T(a_change_during_the_probe_is_told),
		T(stops_and_says_so_when_it_needs_a_reset),
		T(resumes_in_the_middle_of_the_initialisation),
		T(resume_notifies_and_interrupts_once),
		T(resume_tells_of_a_changed_configuration),
		T(resume_refuses_a_lost_feature),
		T(checks_the_layout_of_the_state),
		T(enabled_anew_it_starts_from_nothing),
		T(only_setup_registers_make_the_guest_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
