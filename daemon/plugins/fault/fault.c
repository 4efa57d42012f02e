// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault.c - a filter that makes the layer below it fail on demand
 *
 * Each "fault = ..." of its section is a rule, a list of words: which requests
 *
 *	op=read|write|flush|discard|zero  (all)
 *	range=FIRST-END                   touches these bytes (all)
 *	rate=0.01                         of them so many, by chance (all)
 *	after=N, count=N                  not the first N; no more than N
 *
 * and what happens to them: any of
 *
 *	error=ENOSPC    it ends so
 *	delay=MS        ... but only then
 *	short=BYTES     so much of it is done, then it ends with error, or EIO
 *	torn=BYTES      of a write, so much is done, and it ends well: a lying disk
 *
 * The first rule that matches counts. With control=FILE rules are asleep while
 * the first byte of the file is '0', so that a test can turn them on in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <portald/plugin.h>

#define RULES		16
#define OP_ALL		~0U

struct rule {
	uint32_t op;
	uint64_t first, end;
	double rate;
	uint64_t after, count;
	uint64_t seen, hits;
	int err;
	unsigned int delay;
	uint64_t len;		/* of short= or torn= */
	bool is_short, torn;
};

/* A request that a rule has hit: the request's plugin_data[0]. */
struct hit {
	struct portal_uring_op op;
	struct __kernel_timespec ts;
	struct fault *fault;
	struct portal_io *io;	/* the guest's */
	struct portal_io part;
	struct iovec *iov;
	bool delayed;		/* the timer runs */
	int err;
};

struct fault {
	struct portal_instance *pi;
	struct portal_lower *lower;
};

static const struct portald_api *api;
static struct rule rules[RULES];
static unsigned int nr_rules;
static uint64_t random_state = 1;
static char *control_path;
static volatile const char *control;

static const struct {
	const char *name;
	int err;
} errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "ETIMEDOUT", ETIMEDOUT }, { "EROFS", EROFS },
	{ "ENOMEM", ENOMEM }, { "EOPNOTSUPP", EOPNOTSUPP }, { "EAGAIN", EAGAIN },
	{ "ENOTCONN", ENOTCONN }, { "EFAULT", EFAULT },
};

static const char *const ops[] = { "read", "write", "flush", "discard", "zero" };

static int fault_load(const struct portald_api *portald)
{
	api = portald;
	return 0;
}

static void fault_unload(void)
{
	free(control_path);
}

static int bad(const char *word, const char *what)
{
	api->error("'%s': %s", word, what);
	return -EINVAL;
}

static int parse_u64(const char *word, const char *value, uint64_t *val)
{
	return *value ? api->parse_size(value, val) : bad(word, "a number is missing");
}

static int parse_range(struct rule *r, const char *word, char *value)
{
	char *dash = strchr(value, '-');

	if (!dash)
		return bad(word, "not FIRST-END");
	*dash = '\0';
	if (parse_u64(word, value, &r->first) || parse_u64(word, dash + 1, &r->end))
		return -EINVAL;
	return r->end > r->first ? 0 : bad(word, "ends before it begins");
}

static int parse_name(struct rule *r, const char *key, const char *value)
{
	size_t i;

	if (!strcmp(key, "op")) {
		for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
			if (!strcmp(ops[i], value)) {
				r->op = (uint32_t)i;
				return 0;
			}
		}
		return bad(value, "not read, write, flush, discard or zero");
	}
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (!strcmp(errors[i].name, value)) {
			r->err = -errors[i].err;
			return 0;
		}
	}
	return bad(value, "not an error such as EIO or ENOSPC");
}

static int parse_word(struct rule *r, char *word)
{
	char *value = strchr(word, '='), *end;
	uint64_t val;
	int ret = 0;

	if (!value)
		return bad(word, "not KEY=VALUE");
	*value++ = '\0';
	if (!strcmp(word, "op") || !strcmp(word, "error"))
		return parse_name(r, word, value);
	if (!strcmp(word, "range"))
		return parse_range(r, word, value);
	if (!strcmp(word, "rate")) {
		r->rate = strtod(value, &end);
		if (!*value || *end || !(r->rate >= 0 && r->rate <= 1))
			return bad(value, "not a share between 0 and 1");
		return 0;
	}
	ret = parse_u64(word, value, &val);
	if (ret)
		return ret;
	if (!strcmp(word, "after")) {
		r->after = val;
	} else if (!strcmp(word, "count")) {
		r->count = val;
	} else if (!strcmp(word, "delay") && val <= 3600000) {
		r->delay = (unsigned int)val;
	} else if (!strcmp(word, "short")) {
		r->is_short = true;
		r->len = val;
	} else if (!strcmp(word, "torn")) {
		r->torn = true;
		r->len = val;
	} else {
		return bad(word, "unknown, or its number is too large");
	}
	return 0;
}

static int parse_rule(const char *text)
{
	struct rule *r = &rules[nr_rules];
	char *copy, *rest, *word;
	int ret = 0;

	if (nr_rules == RULES)
		return bad(text, "too many rules");
	*r = (struct rule) { .op = OP_ALL, .end = UINT64_MAX, .rate = 1, .count = UINT64_MAX };
	copy = rest = strdup(text);
	if (!copy)
		return -ENOMEM;
	while (!ret && (word = strsep(&rest, " ,")))
		if (*word)
			ret = parse_word(r, word);
	free(copy);
	if (!ret && !r->err && !r->delay && !r->is_short && !r->torn)
		return bad(text, "says nothing of what happens: error=, delay=, short= or torn=");
	if (!ret && r->is_short && !r->err)
		r->err = -EIO;
	nr_rules += !ret;
	return ret;
}

static int fault_config(const char *key, const char *value)
{
	if (!strcmp(key, "fault"))
		return parse_rule(value);
	if (!strcmp(key, "seed")) {
		int ret = api->parse_size(value, &random_state);

		random_state |= 1;	/* of zero only zeroes would come */
		return ret;
	}
	if (!strcmp(key, "control")) {
		free(control_path);
		control_path = strdup(value);
		return control_path ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static int map_control(void)
{
	int fd;

	if (!control_path)
		return 0;
	fd = open(control_path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		control = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	if (fd < 0 || control == MAP_FAILED || lseek(fd, 0, SEEK_END) < 1) {
		api->error("%s: control= must be a file with at least one byte", control_path);
		control = NULL;
	}
	if (fd >= 0)
		close(fd);
	return control ? 0 : -1;
}

static void *fault_open(struct portal_instance *pi, struct portal_lower *lower)
{
	struct fault *f;

	if (map_control())
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->pi = pi;
	f->lower = lower;
	return f;
}

static void fault_close(void *handle)
{
	if (control)
		munmap((void *)control, 1);
	control = NULL;
	free(handle);
}

static int64_t fault_get_size(void *handle)
{
	struct fault *f = handle;

	return (int64_t)api->lower_info(f->lower)->size;
}

static int fault_block_size(void *handle, uint32_t *logical, uint32_t *physical)
{
	const struct portal_lower_info *info = api->lower_info(((struct fault *)handle)->lower);

	*logical = info->logical;
	*physical = info->physical;
	return 0;
}

static int fault_can_write(void *handle)
{
	return api->lower_info(((struct fault *)handle)->lower)->writable;
}

static int fault_yes(void *handle)
{
	return 1;	/* what the lower layer can't do is made up for there */
}

/* xorshift: the same seed, the same faults. */
static bool chance(double rate)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) / (double)(1ULL << 53) < rate;
}

static struct rule *match(const struct portal_io *io)
{
	unsigned int i;

	if (control && *control == '0')
		return NULL;
	for (i = 0; i < nr_rules; i++) {
		struct rule *r = &rules[i];

		if (r->op != OP_ALL && r->op != io->op)
			continue;
		if (io->op != PORTAL_IO_FLUSH &&
		    (io->offset >= r->end || io->offset + io->len <= r->first))
			continue;
		if (r->seen++ < r->after || r->hits >= r->count || !chance(r->rate))
			continue;
		r->hits++;
		return r;
	}
	return NULL;
}

static void passed(struct portal_io *io, int err)
{
	api->io_done(io, err);
}

static void hit_end(struct hit *h, int err)
{
	struct portal_io *io = h->io;

	free(h->iov);
	free(h);
	api->io_done(io, err);
}

static void part_done(struct portal_io *io, int err)
{
	struct hit *h = (void *)((char *)io - offsetof(struct hit, part));

	hit_end(h, err ? err : h->err);
}

/* The beginning of the request, or all of it. */
static void run_part(struct hit *h)
{
	int err;

	if (!h->part.len && h->part.op != PORTAL_IO_FLUSH) {
		hit_end(h, h->err);
		return;
	}
	err = api->lower_submit(h->fault->lower, &h->part, part_done);
	if (err)
		hit_end(h, err);
}

static void delayed(struct portal_uring_op *op, int res)
{
	struct hit *h = (struct hit *)op;

	h->delayed = false;
	run_part(h);
}

static struct io_uring_sqe *get_sqe(const struct hit *h)
{
	struct io_uring *ring = api->uring(h->fault->pi);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && io_uring_submit(ring) >= 0)
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

static int delay(struct hit *h, unsigned int ms)
{
	struct io_uring_sqe *sqe = get_sqe(h);

	if (!sqe)
		return -EAGAIN;
	h->delayed = true;
	h->op.done = delayed;
	h->ts.tv_sec = ms / 1000;
	h->ts.tv_nsec = ms % 1000 * 1000000L;
	io_uring_prep_timeout(sqe, &h->ts, 0, 0);
	io_uring_sqe_set_data(sqe, &h->op);
	return 0;
}

/* Leaves @len bytes of it, in whole blocks: the lower layer takes no others. */
static int cut(struct hit *h, uint64_t len)
{
	uint64_t left;
	uint32_t i;

	len &= ~((uint64_t)api->lower_info(h->fault->lower)->logical - 1);
	if (len >= h->part.len)
		return 0;
	h->part.len = left = len;
	if (!h->part.iovcnt)
		return 0;
	h->iov = malloc(h->part.iovcnt * sizeof(*h->iov));
	if (!h->iov)
		return -ENOMEM;
	memcpy(h->iov, h->part.iov, h->part.iovcnt * sizeof(*h->iov));
	h->part.iov = h->iov;
	for (i = 0; i < h->part.iovcnt && left; i++) {
		if (h->iov[i].iov_len > left)
			h->iov[i].iov_len = left;
		left -= h->iov[i].iov_len;
	}
	h->part.iovcnt = i;
	return 0;
}

static int fault_submit(void *handle, struct portal_io *io)
{
	struct fault *f = handle;
	struct rule *r = match(io);
	struct hit *h;
	int err = 0;

	io->plugin_data[0] = NULL;
	if (!r)
		return api->lower_submit(f->lower, io, passed);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->fault = f;
	h->io = io;
	h->err = r->err;
	h->part = *io;
	io->plugin_data[0] = h;
	if (r->is_short || (r->torn && io->op == PORTAL_IO_WRITE)) {
		err = cut(h, r->len);
	} else if (r->err) {
		h->part.len = 0;		/* nothing of it: not even a flush */
		h->part.op = PORTAL_IO_READ;
	}
	if (!err && r->delay)
		err = delay(h, r->delay);
	else if (!err)
		run_part(h);
	if (err) {
		free(h->iov);
		free(h);
	}
	return err;
}

/* What is delayed ends at once; what is below, as that layer likes. */
static void fault_cancel(void *handle, struct portal_io *io)
{
	struct fault *f = handle;
	struct hit *h = io->plugin_data[0];
	struct io_uring_sqe *sqe;

	if (!h || !h->delayed) {
		api->lower_cancel(f->lower, h ? &h->part : io);
		return;
	}
	sqe = get_sqe(h);
	if (!sqe)
		return;
	io_uring_prep_timeout_remove(sqe, (uintptr_t)&h->op, 0);
	io_uring_sqe_set_data(sqe, NULL);
	h->part.op = PORTAL_IO_READ;	/* nothing of it, and not even a flush */
	h->part.len = 0;
	h->err = -ECANCELED;
}

static int fault_resize(void *handle, uint64_t size)
{
	return api->lower_resize(((struct fault *)handle)->lower, size);
}

static struct portald_plugin plugin = {
	.name = "fault",
	.longname = "faults on demand",
	.description = "a filter: errors, delays, short and torn I/O",
	.config_help = "lower=PLUGIN  (required) the layer below; its keys are lower.KEY\n"
		       "fault=RULE    as often as needed: op= range= rate= after= count=\n"
		       "              error= delay= short= torn=\n"
		       "seed=N        of rate=\n"
		       "control=FILE  no faults while its first byte is 0",
	.load = fault_load,
	.unload = fault_unload,
	.config = fault_config,
	.open_filter = fault_open,
	.close = fault_close,
	.get_size = fault_get_size,
	.block_size = fault_block_size,
	.can_write = fault_can_write,
	.can_flush = fault_yes,
	.can_fua = fault_yes,
	.can_discard = fault_yes,
	.can_zero = fault_yes,
	.submit = fault_submit,
	.cancel = fault_cancel,
	.resize = fault_resize,
};

PORTALD_PLUGIN(plugin)
