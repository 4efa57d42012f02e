// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_mmio.c - the registers of a virtio-mmio device (virtio 1.2, 4.2)
 *
 * The guest reads registers from the shadow page without waking us. What it
 * writes arrives here in order, and the shadow page is updated before the
 * write counts as consumed: registers that depend on a selector are FENCED,
 * QueueReady and Status are SYNC.
 *
 * A write may be delivered again if the worker dies between its effect and its
 * consumption, so every write must be harmless the second time.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "log.h"
#include "virtio_mmio.h"

#define STATUS_DRIVER_BITS	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
				 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
				 VIRTIO_CONFIG_S_FAILED)

/**
 * virtio_mmio_has() - was a feature negotiated?
 * @vm: the registers
 * @feature: bit number
 */
bool virtio_mmio_has(const struct virtio_mmio *vm, unsigned int feature)
{
	return vm->st->status & VIRTIO_CONFIG_S_FEATURES_OK &&
	       vm->st->driver_features >> feature & 1;
}

/**
 * virtio_mmio_running() - may the device touch queue @q, and memory for it?
 * @vm: the registers
 * @q: queue
 */
bool virtio_mmio_running(const struct virtio_mmio *vm, unsigned int q)
{
	const struct virtio_mmio_state *st = vm->st;

	return vm->env->region && st->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !(st->status & VIRTIO_CONFIG_S_NEEDS_RESET) &&
	       !(vm->quiescing & 1U << q) && st->vq[q].ready && !st->vq[q].broken;
}

/* A guest that repeats its mistakes shall not fill the host's disk. */
static bool may_log(struct virtio_mmio *vm)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec == vm->last_log)
		return false;
	vm->last_log = now.tv_sec;
	return true;
}

/**
 * virtio_mmio_needs_reset() - the driver made a mistake that can't be answered
 * @vm: the registers
 * @why: for the log
 */
void virtio_mmio_needs_reset(struct virtio_mmio *vm, const char *why)
{
	struct virtio_mmio_state *st = vm->st;
	uint32_t q;

	if (st->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (may_log(vm))
		log_warn("virtio device %u stopped until the guest resets it: %s",
			 vm->dev.device_id, why);
	for (q = 0; q < vm->dev.nr_queues; q++)
		st->vq[q].broken = 1;
	st->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_mmio_show(vm, VIRTIO_MMIO_STATUS, st->status);
	if (st->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_CONFIG, false);
}

/**
 * virtio_mmio_signal() - a request was pushed
 * @vm: the registers
 * @q: queue
 *
 * The driver is interrupted at the end of the round, once for all of them.
 */
void virtio_mmio_signal(struct virtio_mmio *vm, unsigned int q)
{
	vm->pushed |= 1U << q;
}

/**
 * virtio_mmio_end_round() - interrupt, if the driver wants one for what was pushed
 * @vm: the registers
 */
void virtio_mmio_end_round(struct virtio_mmio *vm)
{
	bool wanted = false;
	unsigned int q;

	while (vm->pushed) {
		q = (unsigned int)__builtin_ctz(vm->pushed);
		vm->pushed &= vm->pushed - 1;
		wanted |= virtqueue_signal(&vm->vq[q]);
	}
	if (wanted)
		virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_VRING, false);
}

/* Nothing touches guest memory for @queues when it returns. */
static void quiesce(struct virtio_mmio *vm, uint32_t queues)
{
	vm->quiescing = queues;
	vm->dev.quiesce(vm->dev.arg);
	vm->quiescing = 0;
}

static void notify_all(struct virtio_mmio *vm)
{
	uint32_t q;

	for (q = 0; q < vm->dev.nr_queues; q++) {
		if (virtio_mmio_running(vm, q))
			vm->dev.notify(vm->dev.arg, q);
	}
}

static void clear(struct virtio_mmio *vm)
{
	struct virtio_mmio_state *st = vm->st;
	uint32_t q;

	/* First: a worker that dies in between must not resume the queues. */
	st->status = 0;
	vm->pushed = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	for (q = 0; q < VIRTIO_MMIO_QUEUES_MAX; q++)
		virtqueue_reset(&vm->vq[q]);
	st->device_features_sel = 0;
	st->driver_features_sel = 0;
	st->queue_sel = 0;
	st->bad_features = 0;
	st->known_generation = st->config_generation;
	st->driver_features = 0;
	if (vm->dev.configure)
		vm->dev.configure(vm->dev.arg);
}

static void reset(struct virtio_mmio *vm)
{
	quiesce(vm, ~0U);
	clear(vm);
	vm->st->resets++;
	virtio_mmio_show(vm, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	virtio_mmio_show_device_features(vm);
	virtio_mmio_show_queue(vm);
	virtio_mmio_show_config(vm);
	virtio_mmio_show(vm, VIRTIO_MMIO_STATUS, 0);
}

static bool features_ok(const struct virtio_mmio *vm)
{
	uint64_t f = vm->st->driver_features;

	return !(f & ~vm->dev.features) && !vm->st->bad_features &&
	       f & (1ULL << VIRTIO_F_VERSION_1);
}

static void write_status(struct virtio_mmio *vm, uint32_t val)
{
	struct virtio_mmio_state *st = vm->st;
	uint32_t old = st->status, new = old | (val & STATUS_DRIVER_BITS);

	if (!val) {
		reset(vm);
		return;
	}
	/* The driver reads it back to learn whether its choice is accepted. */
	if (new & ~old & VIRTIO_CONFIG_S_FEATURES_OK && !features_ok(vm))
		new &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(new & VIRTIO_CONFIG_S_FEATURES_OK))
		new &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	st->status = new;
	if (new & ~old & VIRTIO_CONFIG_S_FEATURES_OK && vm->dev.configure) {
		vm->dev.configure(vm->dev.arg);
		virtio_mmio_show_config(vm);
	}
	virtio_mmio_show(vm, VIRTIO_MMIO_STATUS, new);
	if (new & ~old & VIRTIO_CONFIG_S_DRIVER_OK) {
		/* The driver has read the configuration before it could be told. */
		if (st->config_generation != st->known_generation)
			virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_CONFIG, false);
		notify_all(vm);
	}
}

static void write_features(struct virtio_mmio *vm, uint32_t val)
{
	struct virtio_mmio_state *st = vm->st;
	uint32_t sel = st->driver_features_sel;

	if (st->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (sel < 2) {
		st->driver_features &= ~(0xffffffffULL << (32 * sel));
		st->driver_features |= (uint64_t)val << (32 * sel);
	} else if (val) {
		st->bad_features = 1;
	}
}

static void reset_queue(struct virtio_mmio *vm, uint32_t q)
{
	quiesce(vm, 1U << q);
	vm->st->vq[q].ready = 0;
	vm->pushed &= ~(1U << q);
	virtqueue_reset(&vm->vq[q]);
	virtio_mmio_show_queue(vm);
	/* The others may have had to wait. */
	notify_all(vm);
}

/* Over when the write retires, so QueueReset always reads as 0. */
static void write_queue_reset(struct virtio_mmio *vm, uint32_t val)
{
	uint32_t sel = vm->st->queue_sel;

	if (val == 1 && sel < vm->dev.nr_queues && vm->st->vq[sel].ready &&
	    virtio_mmio_has(vm, VIRTIO_F_RING_RESET))
		reset_queue(vm, sel);
}

static void write_ready(struct virtio_mmio *vm, uint32_t val)
{
	uint32_t sel = vm->st->queue_sel;
	struct virtqueue_state *st;
	const char *why;

	if (sel >= vm->dev.nr_queues)
		return;
	st = &vm->st->vq[sel];
	if (!val && st->ready) {
		reset_queue(vm, sel);
	} else if (val && !st->ready && vm->st->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		why = virtqueue_start(&vm->vq[sel], vm->st->driver_features);
		if (!why)
			st->ready = 1;
		else if (may_log(vm))
			log_warn("the guest's virtqueue %u: %s", sel, why);
	}
	virtio_mmio_show_queue(vm);
}

static void set_lo(uint64_t *addr, uint32_t val)
{
	*addr = (*addr & ~0xffffffffULL) | val;
}

static void set_hi(uint64_t *addr, uint32_t val)
{
	*addr = (*addr & 0xffffffffULL) | (uint64_t)val << 32;
}

static void write_queue(struct virtio_mmio *vm, uint32_t offset, uint32_t val)
{
	struct virtqueue_state *st;

	if (vm->st->queue_sel >= vm->dev.nr_queues)
		return;
	st = &vm->st->vq[vm->st->queue_sel];
	if (st->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		st->num = val;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_lo(&st->desc, val);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_hi(&st->desc, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_lo(&st->driver, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_hi(&st->driver, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_lo(&st->device, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_hi(&st->device, val);
		break;
	}
}

/**
 * virtio_mmio_write() - the guest wrote a register
 * @vm: the registers
 * @offset: register
 * @len: bytes; control registers take 4 only
 * @value: what it wrote
 */
void virtio_mmio_write(struct virtio_mmio *vm, uint32_t offset, uint32_t len, uint64_t value)
{
	uint32_t val = (uint32_t)value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (vm->dev.config_write)
			vm->dev.config_write(vm->dev.arg, offset - VIRTIO_MMIO_CONFIG, len, value);
		return;
	}
	if (len != 4)
		return;
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		vm->st->device_features_sel = val;
		virtio_mmio_show_device_features(vm);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		vm->st->driver_features_sel = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_features(vm, val);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		vm->st->queue_sel = val;
		virtio_mmio_show_queue(vm);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(vm, val);
		break;
	case VIRTIO_MMIO_QUEUE_RESET:
		write_queue_reset(vm, val);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(vm, val);
		break;
	default:
		write_queue(vm, offset, val);
	}
}

/**
 * virtio_mmio_doorbell() - the driver notified a queue
 * @vm: the registers
 * @q: queue, or one that is not there
 * @count: how often
 */
void virtio_mmio_doorbell(struct virtio_mmio *vm, unsigned int q, uint32_t count)
{
	vm->notifications += count;
	if (q < vm->dev.nr_queues && virtio_mmio_running(vm, q))
		vm->dev.notify(vm->dev.arg, q);
}

/**
 * virtio_mmio_init() - registers for a device, not yet visible
 * @vm: the registers, zeroed
 * @env: the worker's; its state starts with struct virtio_mmio_state
 * @dev: copied; its config stays the caller's
 *
 * Return: 0, or -EINVAL if the state is another version's.
 */
int virtio_mmio_init(struct virtio_mmio *vm, struct frontend_env *env,
		     const struct virtio_mmio_device *dev)
{
	struct virtio_mmio_state *st = env->state;
	uint32_t q;

	if (env->state_len < sizeof(*st) || dev->nr_queues > VIRTIO_MMIO_QUEUES_MAX)
		return -EINVAL;
	if (!st->magic) {
		st->version = VIRTIO_MMIO_STATE_VERSION;
		st->size = sizeof(*st);
		st->magic = VIRTIO_MMIO_STATE_MAGIC;
	}
	if (st->magic != VIRTIO_MMIO_STATE_MAGIC ||
	    st->version != VIRTIO_MMIO_STATE_VERSION || st->size != sizeof(*st)) {
		log_err("the device's saved state is of another version (%u, not %u)",
			st->version, VIRTIO_MMIO_STATE_VERSION);
		return -EINVAL;
	}
	vm->env = env;
	vm->dev = *dev;
	vm->st = st;
	for (q = 0; q < VIRTIO_MMIO_QUEUES_MAX; q++)
		virtqueue_init(&vm->vq[q], env->mem, &st->vq[q]);
	return 0;
}

static void resume_queues(struct virtio_mmio *vm)
{
	struct virtio_mmio_state *st = vm->st;
	const char *why;
	uint32_t q;

	if (st->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (st->driver_features & ~vm->dev.features) {
		virtio_mmio_needs_reset(vm, "a feature it negotiated is gone");
		return;
	}
	for (q = 0; q < VIRTIO_MMIO_QUEUES_MAX; q++) {
		if (!st->vq[q].ready)
			continue;
		if (q >= vm->dev.nr_queues) {
			virtio_mmio_needs_reset(vm, "a queue it uses is gone");
			return;
		}
		why = virtqueue_resume(&vm->vq[q], st->driver_features);
		if (why)
			virtio_mmio_needs_reset(vm, why);
	}
}

/**
 * virtio_mmio_enable() - the guest gave the device an address
 * @vm: the registers
 * @resume: go on with the state an earlier worker left
 *
 * Return: 0, or -EINVAL if the region's shadow page is too small.
 */
int virtio_mmio_enable(struct virtio_mmio *vm, bool resume)
{
	bool differs;
	uint32_t q;

	if (portal_region_shadow_size(vm->env->region) <
	    VIRTIO_MMIO_AUX_NOTIFY(VIRTIO_MMIO_QUEUES_MAX))
		return -EINVAL;
	for (q = 0; q < VIRTIO_MMIO_QUEUES_MAX; q++)
		virtqueue_init(&vm->vq[q], vm->env->mem, &vm->st->vq[q]);
	if (!resume) {
		clear(vm);
		virtio_mmio_show(vm, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
		virtio_mmio_show_all(vm);
		return 0;
	}
	differs = virtio_mmio_config_differs(vm);
	virtio_mmio_show_all(vm);
	if (differs)
		virtio_mmio_config_changed(vm);
	resume_queues(vm);
	if (vm->st->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		/* Sent or not, notified or not: nobody knows. Both are harmless. */
		virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_VRING, true);
		if (vm->st->status & VIRTIO_CONFIG_S_NEEDS_RESET)
			virtio_mmio_interrupt(vm, VIRTIO_MMIO_INT_CONFIG, true);
		notify_all(vm);
	}
	return 0;
}

/**
 * virtio_mmio_disable() - the device leaves its address
 * @vm: the registers
 *
 * The state stays as it is: a worker that is stopped does this too, and the
 * next one resumes. If it was the guest's wish, the next enable clears it.
 */
void virtio_mmio_disable(struct virtio_mmio *vm)
{
	vm->dev.quiesce(vm->dev.arg);
	virtio_mmio_end_round(vm);
}
