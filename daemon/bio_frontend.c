// SPDX-License-Identifier: GPL-2.0-only
/*
 * bio_frontend.c - bio: configuration, storages, life
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/portal_guest.h>

#include "bio.h"
#include "config.h"
#include "log.h"

#define BLOCK_SIZE_DEFAULT	1024U
#define BLOCK_SIZE_MIN		512U
#define BLOCK_SIZE_MAX		65536U
#define PIO_LAST		0xffffU

struct bio_config {
	uint32_t block_size;
};

/* All else is SHADOW: reads from the page, writes posted. */
static const struct portal_region_range ranges[] = {
	/* After SRST nothing may land in the guest; BUSY is there at once. */
	{ .offset = BIO_STATUS, .len = 4, .attr = PORTAL_ATTR_SYNC, .eventfd = -1 },
	/* Each read moves on, so somebody must compute it. */
	{ .offset = BIO_DATA, .len = 4, .attr = PORTAL_ATTR_CALL, .eventfd = -1 },
	/* What earlier writes (SID, COMMAND, DATA) have changed. */
	{ .offset = BIO_FEATURES, .len = 4, .attr = PORTAL_ATTR_FENCED, .eventfd = -1 },
	{ .offset = BIO_CAPACITY, .len = 16, .attr = PORTAL_ATTR_FENCED, .eventfd = -1 },
	{ .offset = BIO_EVENTS, .len = 4, .attr = PORTAL_ATTR_ACK, .aux = BIO_EVENTS,
	  .eventfd = -1 },
	{ .offset = BIO_CONTROL, .len = 4, .attr = PORTAL_ATTR_FENCED, .eventfd = -1 },
	{ .offset = BIO_COMMAND, .len = 4, .attr = PORTAL_ATTR_SYNC, .eventfd = -1 },
	{ .offset = BIO_REMAIN, .len = 4, .attr = PORTAL_ATTR_FENCED, .eventfd = -1 },
};

_Static_assert(BIO_CUR_SID == BIO_CAPACITY + 12, "one range has CAPACITY to CUR_SID");

/* ---- portald.conf ----------------------------------------------------------- */

static struct bio_config *config_of(struct frontend_env *env)
{
	struct bio_config *cfg = env->config;

	if (!cfg) {
		cfg = calloc(1, sizeof(*cfg));
		if (!cfg)
			return NULL;
		cfg->block_size = BLOCK_SIZE_DEFAULT;
		env->config = cfg;
	}
	return cfg;
}

static int number(const char *key, const char *value, uint64_t max, uint64_t *val,
		  struct err *err)
{
	unsigned long long n;

	if (config_parse_size(value, &n) || n > max)
		return err_set(err, -EINVAL, "%s '%s' is not a number from 0 to 0x%llx", key,
			       value, (unsigned long long)max);
	*val = n;
	return 0;
}

static int key_bus(struct frontend_env *env, const char *value, struct err *err)
{
	if (strcmp(value, "mmio") && strcmp(value, "pio"))
		return err_set(err, -EINVAL, "bus '%s' is neither mmio nor pio", value);
	env->place.bus = strcmp(value, "pio") ? PORTAL_BUS_MMIO : PORTAL_BUS_PIO;
	return 0;
}

static int key_block_size(struct bio_config *cfg, const char *value, struct err *err)
{
	uint64_t n = 0;

	if (number("block_size", value, BLOCK_SIZE_MAX, &n, err))
		return -EINVAL;
	if (n < BLOCK_SIZE_MIN || n & (n - 1))
		return err_set(err, -EINVAL, "block_size '%s' is not a power of two from %u to %u",
			       value, BLOCK_SIZE_MIN, BLOCK_SIZE_MAX);
	cfg->block_size = (uint32_t)n;
	return 0;
}

static int bio_config(struct frontend_env *env, const char *key, const char *value,
		      struct err *err)
{
	struct bio_config *cfg = config_of(env);
	uint64_t n = 0;
	int ret;

	if (!cfg)
		return err_set(err, -ENOMEM, "out of memory");
	if (!strcmp(key, "bus"))
		return key_bus(env, value, err);
	if (!strcmp(key, "block_size"))
		return key_block_size(cfg, value, err);
	if (!strcmp(key, "address")) {
		ret = number(key, value, UINT64_MAX - BIO_REGION_LEN, &env->place.gpa, err);
		env->place.fixed = !ret;
	} else if (!strcmp(key, "irq")) {
		ret = number(key, value, 0xffff, &n, err);
		env->place.gsi = (uint32_t)n;
	} else if (!strcmp(key, "sid")) {
		ret = number(key, value, BIO_NO_SID - 1, &n, err);
		env->storages[0].sid = (uint32_t)n;
	} else {
		return -ENOENT;
	}
	return ret;
}

static int bio_config_complete(struct frontend_env *env, struct err *err)
{
	const struct frontend_place *p = &env->place;

	if (!config_of(env))
		return err_set(err, -ENOMEM, "out of memory");
	if (!p->fixed && p->bus == PORTAL_BUS_PIO)
		return err_set(err, -EINVAL, "bus = pio needs an 'address': guests assign addresses on mmio only");
	if (!p->fixed && p->gsi)
		return err_set(err, -EINVAL, "'irq' needs an 'address': without, the guest chooses both");
	if (p->fixed && p->gpa % 4)
		return err_set(err, -EINVAL, "address 0x%llx is not a multiple of 4",
			       (unsigned long long)p->gpa);
	if (p->bus == PORTAL_BUS_PIO && p->gpa > PIO_LAST + 1 - BIO_REGION_LEN)
		return err_set(err, -EINVAL, "address 0x%llx: ports end at 0x%x, and %u are needed",
			       (unsigned long long)p->gpa, PIO_LAST, BIO_REGION_LEN);
	return 0;
}

/* ---- life --------------------------------------------------------------------- */

static int wait_uring(void *arg)
{
	struct bio_storage *s = arg;

	return s->bio->env->wait(s->bio->env);
}

static void resized(void *arg)
{
	struct bio_storage *s = arg;

	bio_publish(s->bio);
	bio_event(s->bio, BIO_EV_RESIZED, true);
}

static int open_storages(struct bio *bio, uint32_t block_size)
{
	struct frontend_env *env = bio->env;
	int err;

	bio->block_size = block_size;
	for (unsigned int i = 0; i < env->nr_storages; i++) {
		struct bio_storage *s = &bio->storages[i];
		struct block_opts opts = {
			.uring = env->uring, .wait = wait_uring, .resized = resized, .arg = s,
		};

		s->bio = bio;
		s->sid = env->storages[i].sid;
		err = block_create(env->storages[i].backend, &opts, &s->blk);
		if (err)
			return err;
		bio->nr_storages++;
		if (block_info(s->blk)->logical > block_size) {
			log_err("block_size %u is less than the storage's sectors (%u)",
				block_size, block_info(s->blk)->logical);
			return -EINVAL;
		}
	}
	return 0;
}

static void destroy(void *fe)
{
	struct bio *bio = fe;

	bio_io_abort(bio);
	for (unsigned int i = 0; i < bio->nr_storages; i++)
		block_destroy(bio->storages[i].blk);
	free(bio->bounce);
	free(bio->env->config);
	bio->env->config = NULL;
	free(bio);
}

static int check_state(struct bio *bio)
{
	struct bio_state *st = bio->st;

	if (!st->magic) {
		st->version = BIO_STATE_VERSION;
		st->size = sizeof(*st);
		st->status = BIO_RDY;
		st->magic = BIO_STATE_MAGIC;
	}
	if (st->magic == BIO_STATE_MAGIC && st->version == BIO_STATE_VERSION &&
	    st->size == sizeof(*st))
		return 0;
	log_err("the device's saved state is of another version (%u, not %u)", st->version,
		BIO_STATE_VERSION);
	return -EINVAL;
}

static int create(struct frontend_env *env, void **fe)
{
	struct bio_config *cfg = config_of(env);
	struct bio *bio;
	int err;

	if (!env->wait || env->state_len < sizeof(struct bio_state))
		return -EINVAL;
	bio = calloc(1, sizeof(*bio));
	if (!bio || !cfg) {
		free(bio);
		return -ENOMEM;
	}
	bio->env = env;
	bio->st = env->state;
	bio->bounce = malloc(BIO_PIECE_BYTES);
	err = bio->bounce ? check_state(bio) : -ENOMEM;
	if (!err)
		err = open_storages(bio, cfg->block_size);
	if (err) {
		destroy(bio);
		return err;
	}
	*fe = bio;
	return 0;
}

/* What an earlier worker left: a command goes on, its end is shown again. */
static void resume_command(struct bio *bio)
{
	if (bio_phase(bio) == BIO_ENDING) {
		bio_show_end(bio);
		bio_set_phase(bio, bio->st->begun >> 3, BIO_IDLE);
	} else if (bio_phase(bio) == BIO_RUNNING) {
		bio->st->status = BIO_BUSY;
		bio_publish(bio);
		bio_io_start(bio);
	}
}

static int enable(void *fe, bool resume)
{
	struct bio *bio = fe;
	int err;

	if (portal_region_shadow_size(bio->env->region) < BIO_REGION_LEN)
		return -EINVAL;
	for (unsigned int i = 0; i < bio->nr_storages; i++) {
		err = block_start(bio->storages[i].blk);
		if (err)
			return err;
	}
	bio->held = false;
	if (!resume) {
		bio_clear(bio);
		bio->st->done_req = 0;
		portal_region_write32(bio->env->region, BIO_EVENTS, 0);
	}
	bio_publish(bio);
	resume_command(bio);
	return 0;
}

static void reg_write(void *fe, uint32_t offset, uint32_t len, uint64_t value)
{
	bio_write(fe, offset, len, value);
}

static int reg_read(void *fe, uint32_t offset, uint32_t len, uint64_t *value)
{
	return bio_read(fe, offset, len, value);
}

static void disable(void *fe)
{
	bio_io_hold(fe);
}

static unsigned int inflight(void *fe)
{
	struct bio *bio = fe;

	return bio->running;
}

static struct block *block_of(void *fe, uint32_t sid)
{
	struct bio_storage *s = bio_find(fe, sid);

	return s ? s->blk : NULL;
}

static void report(void *fe, void (*emit)(void *arg, const char *key, uint64_t val), void *arg)
{
	struct bio *bio = fe;
	struct block_stats sum = { 0 };

	for (unsigned int i = 0; i < bio->nr_storages; i++) {
		const struct block_stats *st = block_stats(bio->storages[i].blk);

		sum.reads += st->reads;
		sum.read_bytes += st->read_bytes;
		sum.writes += st->writes;
		sum.write_bytes += st->write_bytes;
		sum.flushes += st->flushes;
	}
	emit(arg, "reads", sum.reads);
	emit(arg, "read_bytes", sum.read_bytes);
	emit(arg, "writes", sum.writes);
	emit(arg, "write_bytes", sum.write_bytes);
	emit(arg, "flushes", sum.flushes);
	emit(arg, "commands", bio->commands);
	emit(arg, "errors", bio->errors);
	emit(arg, "ignored", bio->ignored);
	emit(arg, "bad_accesses", bio->bad_accesses);
	emit(arg, "interrupts", bio->interrupts);
	emit(arg, "resets", bio->st->resets);
	emit(arg, "storages", bio->nr_storages);
	emit(arg, "status", bio->st->status);
}

const struct frontend_ops bio_frontend = {
	.name = "bio",
	.slot_type = PORTAL_SLOT_REGS,
	.region_len = BIO_REGION_LEN,
	.state_len = sizeof(struct bio_state),
	.ranges = ranges,
	.nr_ranges = sizeof(ranges) / sizeof(ranges[0]),
	.many_storages = true,
	.config = bio_config,
	.config_complete = bio_config_complete,
	.create = create,
	.enable = enable,
	.write = reg_write,
	.read = reg_read,
	.disable = disable,
	.inflight = inflight,
	.block = block_of,
	.stat = report,
	.destroy = destroy,
};
