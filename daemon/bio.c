// SPDX-License-Identifier: GPL-2.0-only
/*
 * bio.c - bio's registers: what the guest's accesses do
 *
 * Reads are answered by the shadow page, DATA apart; writes come here in order.
 * After the worker's death those that it may have seen come again: done_req
 * says which have had their effect. See Documentation/portal/bio.rst for why
 * each case is as it is.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <portald/plugin.h>

#include "bio.h"
#include "guest_ram.h"

static void set_reg(struct bio *bio, uint32_t off, uint32_t val)
{
	if (bio->env->region)
		portal_region_write32(bio->env->region, off, val);
}

struct bio_storage *bio_find(struct bio *bio, uint32_t sid)
{
	for (unsigned int i = 0; i < bio->nr_storages; i++)
		if (bio->storages[i].sid == sid)
			return &bio->storages[i];
	return NULL;
}

/* Whole blocks; what is left of the storage behind them cannot be reached. */
uint64_t bio_capacity(const struct bio *bio, const struct bio_storage *s)
{
	return block_info(s->blk)->size / bio->block_size;
}

/* ---- what the guest sees --------------------------------------------------- */

static void publish_storage(struct bio *bio)
{
	const struct bio_state *st = bio->st;
	struct bio_storage *s = st->selected ? bio_find(bio, st->sid) : NULL;
	uint32_t features = bio->env->irqfd >= 0 ? BIO_F_IRQ : 0;
	uint64_t capacity = 0;

	if (s) {
		const struct backend_info *info = block_info(s->blk);

		capacity = bio_capacity(bio, s);
		features |= info->writable ? BIO_F_WRITABLE : 0;
		features |= info->flush ? BIO_F_FLUSH : 0;
	}
	set_reg(bio, BIO_CUR_SID, s ? st->sid : BIO_NO_SID);
	set_reg(bio, BIO_FEATURES, features);
	set_reg(bio, BIO_CAPACITY, (uint32_t)capacity);
	set_reg(bio, BIO_CAPACITY_HI, capacity >> 32);
}

static void publish_status(struct bio *bio)
{
	const struct bio_state *st = bio->st;

	set_reg(bio, BIO_REMAIN, st->dir == BIO_DIR_NONE ? 0 : st->len - st->pos);
	set_reg(bio, BIO_ERROR, st->error);
	set_reg(bio, BIO_STATUS, st->status);
}

/**
 * bio_publish() - all registers but EVENTS, which the guest clears by itself
 * @bio: the device
 */
void bio_publish(struct bio *bio)
{
	set_reg(bio, BIO_ID, BIO_ID_VALUE);
	set_reg(bio, BIO_VERSION, BIO_VERSION_VALUE);
	set_reg(bio, BIO_BLOCK_SIZE, bio->block_size);
	set_reg(bio, BIO_MAX_PIO, BIO_MAX_PIO_BYTES);
	set_reg(bio, BIO_MAX_DMA, BIO_MAX_DMA_BYTES);
	set_reg(bio, BIO_CONTROL, bio->st->control);
	publish_storage(bio);
	publish_status(bio);
}

/* The interrupt is an edge: nobody has to take it back. */
void bio_event(struct bio *bio, uint32_t event, bool interrupt)
{
	uint64_t one = 1;
	ssize_t n;

	if (!bio->env->region)
		return;
	portal_region_or32(bio->env->region, BIO_EVENTS, event);
	if (!interrupt || bio->env->irqfd < 0 || bio->st->control & BIO_CTL_MASK)
		return;
	bio->interrupts++;
	do {
		n = write(bio->env->irqfd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

static void set_status(struct bio *bio, enum bio_error error)
{
	bio->st->error = error;
	bio->st->status = error ? BIO_ERR : BIO_RDY;
	publish_status(bio);
}

void bio_show_end(struct bio *bio)
{
	if (bio->st->op_error)
		bio->errors++;
	set_status(bio, bio->st->op_error);
	bio_event(bio, BIO_EV_DONE, true);
}

/* ---- SRST, SID -------------------------------------------------------------- */

/**
 * bio_clear() - as after power-on
 * @bio: the device
 */
void bio_clear(struct bio *bio)
{
	struct bio_state *st = bio->st;

	bio_io_abort(bio);
	/* first: a worker that dies in between must not resume the command */
	bio_set_phase(bio, 0, BIO_IDLE);
	st->dir = BIO_DIR_NONE;
	st->len = 0;
	st->pos = 0;
	st->selected = 0;
	st->block = 0;
	st->count = 0;
	st->addr = 0;
	st->dma = 0;
	st->control = 0;
	st->error = BIO_E_NONE;
	st->status = BIO_RDY;
}

static void select_storage(struct bio *bio, uint32_t sid)
{
	struct bio_state *st = bio->st;

	st->sid = sid;
	st->selected = bio_find(bio, sid) != NULL;
	publish_storage(bio);
	set_status(bio, st->selected ? BIO_E_NONE : BIO_E_SID);
}

/* ---- commands --------------------------------------------------------------- */

static enum bio_error check(struct bio *bio, const struct bio_storage *s, uint32_t op,
			    uint64_t len)
{
	const struct bio_state *st = bio->st;
	uint64_t capacity = bio_capacity(bio, s);

	if (st->block > capacity || st->count > capacity - st->block)
		return BIO_E_RANGE;
	if (op == PORTAL_IO_WRITE && !block_info(s->blk)->writable)
		return BIO_E_READONLY;
	if (len > (st->dma ? BIO_MAX_DMA_BYTES : BIO_MAX_PIO_BYTES))
		return BIO_E_SIZE;
	if (st->dma && !guest_ram_check(bio->env->mem, st->addr, len))
		return BIO_E_ADDR;
	return BIO_E_NONE;
}

/*
 * From the store of the phase on the command belongs to this request, and the
 * same request, delivered again, finds it begun.
 */
static void begin(struct bio *bio, uint32_t op)
{
	struct bio_state *st = bio->st;
	struct bio_storage *s = st->selected ? bio_find(bio, st->sid) : NULL;
	uint64_t len = op == PORTAL_IO_FLUSH ? 0 : (uint64_t)st->count * bio->block_size;
	enum bio_error error = s ? BIO_E_NONE : BIO_E_SID;
	bool arm;

	bio->commands++;
	if (s && op != PORTAL_IO_FLUSH)
		error = check(bio, s, op, len);
	arm = op == PORTAL_IO_WRITE && !st->dma && len && !error;
	st->op = op;
	st->op_sid = st->sid;
	st->op_dma = st->dma;
	st->op_offset = st->block * bio->block_size;
	st->op_addr = st->addr;
	st->op_len = error ? 0 : (uint32_t)len;
	st->op_done = 0;
	st->dir = arm ? BIO_DIR_OUT : BIO_DIR_NONE;
	st->len = arm ? (uint32_t)len : 0;
	st->pos = 0;
	bio_set_phase(bio, bio->env->req_id, arm ? BIO_ARMED : BIO_RUNNING);
	st->dma = 0;
	st->done_req = bio->env->req_id;
	if (error) {
		bio_io_end(bio, error);
		return;
	}
	st->error = BIO_E_NONE;
	st->status = arm ? BIO_RDY : BIO_BUSY;
	publish_status(bio);
	if (!arm)
		bio_io_start(bio);
}

static bool busy(struct bio *bio)
{
	if (bio_phase(bio) != BIO_RUNNING)
		return false;
	bio->ignored++;
	bio_event(bio, BIO_EV_IGNORED, false);
	return true;
}

static void write_status(struct bio *bio, uint32_t val)
{
	if (val & BIO_SRST) {
		bio_clear(bio);
		bio->st->resets++;
		if (bio->env->region)
			portal_region_write32(bio->env->region, BIO_EVENTS, 0);
		bio_publish(bio);
	}
	if (!(val & (BIO_DMA | BIO_READ | BIO_WRITE)) || busy(bio))
		return;
	if (val & BIO_DMA)
		bio->st->dma = 1;
	if (val & BIO_READ)
		begin(bio, PORTAL_IO_READ);
	else if (val & BIO_WRITE)
		begin(bio, PORTAL_IO_WRITE);
}

static void write_command(struct bio *bio, uint32_t val)
{
	if (busy(bio))
		return;
	if (val == BIO_CMD_FLUSH)
		begin(bio, PORTAL_IO_FLUSH);
	else
		set_status(bio, BIO_E_COMMAND);
}

/* ---- DATA -------------------------------------------------------------------- */

/* Nothing to give or to take: what was under way is over. */
static void data_error(struct bio *bio)
{
	struct bio_state *st = bio->st;

	if (bio_phase(bio) == BIO_ARMED)
		bio_set_phase(bio, 0, BIO_IDLE);
	st->dir = BIO_DIR_NONE;
	st->len = 0;
	st->pos = 0;
	set_status(bio, BIO_E_DATA);
}

/*
 * Where this access is. It is written down before it has an effect, so if it
 * comes again it has the same effect at the same place.
 */
static uint32_t data_pos(struct bio *bio)
{
	struct bio_state *st = bio->st;

	if (bio->env->redelivered && st->data_req == bio->env->req_id)
		return st->data_pos;
	st->data_pos = st->pos;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	st->data_req = bio->env->req_id;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return st->data_pos;
}

static void write_data(struct bio *bio, uint32_t val)
{
	struct bio_state *st = bio->st;
	uint32_t pos;

	if (busy(bio))
		return;
	if (st->dir != BIO_DIR_OUT) {
		data_error(bio);
		return;
	}
	pos = data_pos(bio);
	for (int i = 0; i < 4; i++)
		st->buf[pos + i] = (uint8_t)(val >> (8 * i));
	st->pos = pos + 4;
	set_reg(bio, BIO_REMAIN, st->len - st->pos);
	if (st->pos < st->len)
		return;
	/* the last word: now it is written */
	st->dir = BIO_DIR_NONE;
	bio_set_phase(bio, bio->env->req_id, BIO_RUNNING);
	st->done_req = bio->env->req_id;
	st->status = BIO_BUSY;
	publish_status(bio);
	bio_io_start(bio);
}

int bio_read(struct bio *bio, uint32_t offset, uint32_t len, uint64_t *value)
{
	struct bio_state *st = bio->st;
	uint32_t pos, val = 0;

	*value = 0xffffffff;
	if (offset != BIO_DATA || len != 4) {
		bio->bad_accesses++;
		return 0;
	}
	if (busy(bio))
		return 0;
	/* the last word's reply may have been lost: then pos is at the end */
	if (st->dir != BIO_DIR_IN ||
	    (st->pos >= st->len &&
	     !(bio->env->redelivered && st->data_req == bio->env->req_id))) {
		data_error(bio);
		return 0;
	}
	pos = data_pos(bio);
	for (int i = 0; i < 4; i++)
		val |= (uint32_t)st->buf[pos + i] << (8 * i);
	st->pos = pos + 4;
	set_reg(bio, BIO_REMAIN, st->len - st->pos);
	*value = val;
	return 0;
}

/* ---- writes ------------------------------------------------------------------ */

static void write_parameter(struct bio *bio, uint32_t offset, uint32_t val)
{
	struct bio_state *st = bio->st;

	if (busy(bio))
		return;
	switch (offset) {
	case BIO_SID:
		select_storage(bio, val);
		break;
	case BIO_BLOCK:
		st->block = (st->block & ~0xffffffffULL) | val;
		break;
	case BIO_BLOCK_HI:
		st->block = (st->block & 0xffffffffULL) | (uint64_t)val << 32;
		break;
	case BIO_COUNT:
		st->count = val;
		break;
	case BIO_ADDR:
		st->addr = (st->addr & ~0xffffffffULL) | val;
		break;
	case BIO_ADDR_HI:
		st->addr = (st->addr & 0xffffffffULL) | (uint64_t)val << 32;
		break;
	case BIO_CONTROL:
		st->control = val & BIO_CTL_ALL;
		set_reg(bio, BIO_CONTROL, st->control);
		break;
	}
}

/* It has begun the command that is under way, or had its whole effect. */
static bool had_effect(const struct bio *bio)
{
	const struct frontend_env *env = bio->env;
	const struct bio_state *st = bio->st;

	return env->redelivered &&
	       (env->req_id <= st->done_req ||
		(bio_phase(bio) != BIO_IDLE && st->begun >> 3 == env->req_id));
}

void bio_write(struct bio *bio, uint32_t offset, uint32_t len, uint64_t value)
{
	uint32_t val = (uint32_t)value;

	if (len != 4 || offset % 4) {
		bio->bad_accesses++;
		return;
	}
	if (had_effect(bio))
		return;
	switch (offset) {
	case BIO_STATUS:
		write_status(bio, val & BIO_USER);
		break;
	case BIO_COMMAND:
		write_command(bio, val);
		break;
	case BIO_DATA:
		write_data(bio, val);
		break;
	case BIO_SID:
	case BIO_BLOCK:
	case BIO_BLOCK_HI:
	case BIO_COUNT:
	case BIO_ADDR:
	case BIO_ADDR_HI:
	case BIO_CONTROL:
		write_parameter(bio, offset, val);
		break;
	default:
		bio->bad_accesses++;
	}
	bio->st->done_req = bio->env->req_id;
}
