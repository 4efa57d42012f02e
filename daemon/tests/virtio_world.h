/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_world.h - a virtio-blk device with everything around it: worker,
 * plugin, guest and driver, for the tests of the device
 *
 * The medium is the real file plugin on a temporary file, or a disk in memory
 * whose requests end when the test says so.
 */
#ifndef VIRTIO_WORLD_H
#define VIRTIO_WORLD_H

#include "virtio_fake.h"
#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include "backend.h"
#include "block.h"
#include "frontend.h"
#include "log.h"
#include "virtio_mmio.h"
#include "../plugins/file/file.c"
#include "../plugins/file/image.c"

#define QNUM		64
#define SLOTS		14
#define FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_SEG_MAX | \
			 1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_FLUSH)
#define F_INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT		(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define F_SIZE_MAX	(1ULL << VIRTIO_BLK_F_SIZE_MAX)
#define F_TOPOLOGY	(1ULL << VIRTIO_BLK_F_TOPOLOGY)
#define F_WCE		(1ULL << VIRTIO_BLK_F_CONFIG_WCE)
#define F_MQ		(1ULL << VIRTIO_BLK_F_MQ)
#define F_RING_RESET	(1ULL << VIRTIO_F_RING_RESET)
#define F_DISCARD	(1ULL << VIRTIO_BLK_F_DISCARD)
#define F_ZEROES	(1ULL << VIRTIO_BLK_F_WRITE_ZEROES)
#define DISK_SIZE	(1ULL << 20)
#define DISK_SECTORS	(DISK_SIZE / 512)

/* Guest addresses of request slot @s; each has descriptors 4 * s and on. */
#define SLOT_HDR(s)	(DRV_DATA + (uint64_t)(s) * 0x10000)
#define SLOT_STATUS(s)	(SLOT_HDR(s) + 0x800)
#define SLOT_DATA(s)	(SLOT_HDR(s) + 0x1000)
#define SLOT_HEAD(s)	((uint16_t)(4 * (s)))

struct world {
	struct portal_mem *mem;
	struct portal_region *region;
	struct frontend_env env;
	struct io_uring ring;
	unsigned int ring_entries;
	void *fe;
	struct drv d;		/* the queue that is used: see use() */
	struct drv others[4];
	unsigned int queue;
	void *handle;
	char path[64];
	bool file;
	/* wait() halves the next so many results of reads and writes */
	unsigned int shorten;
	unsigned int waits;
};

static struct world *world;
static unsigned int messages;
static char last_error[512];

/* ---- the disk whose requests end when the test says so ------------------ */

static struct {
	uint8_t *data;
	uint64_t size;
	bool hold, writable, can_flush, can_fua, can_discard, can_zero;
	int err;
	unsigned int started, fuas, flushes, unmaps, cancels;
	struct portal_io *held[256];
	unsigned int nr_held;
	void (*on_submit)(struct portal_io *io);
} ram;

static MAYBE_UNUSED int64_t ram_get_size(void *handle)
{
	(void)handle;
	return (int64_t)ram.size;
}

static MAYBE_UNUSED int ram_can_write(void *handle)
{
	(void)handle;
	return ram.writable;
}

static MAYBE_UNUSED int ram_can_flush(void *handle)
{
	(void)handle;
	return ram.can_flush;
}

static MAYBE_UNUSED int ram_can_fua(void *handle)
{
	(void)handle;
	return ram.can_fua;
}

static MAYBE_UNUSED int ram_can_discard(void *handle)
{
	(void)handle;
	return ram.can_discard;
}

static MAYBE_UNUSED int ram_can_zero(void *handle)
{
	(void)handle;
	return ram.can_zero;
}

/* What was discarded reads as 0xdd. */
static void ram_end(struct portal_io *io)
{
	uint64_t off = io->offset;
	uint32_t i;

	if (io->op == PORTAL_IO_DISCARD || io->op == PORTAL_IO_ZERO)
		memset(ram.data + off, io->op == PORTAL_IO_ZERO ? 0 : 0xdd, io->len);
	for (i = 0; i < io->iovcnt; i++) {
		if (io->op == PORTAL_IO_READ)
			memcpy(io->iov[i].iov_base, ram.data + off, io->iov[i].iov_len);
		else
			memcpy(ram.data + off, io->iov[i].iov_base, io->iov[i].iov_len);
		off += io->iov[i].iov_len;
	}
	backend_io_done(io, ram.err);
}

/* What the worker does when a batch is over. */
static void end_round(void)
{
	virtio_blk_frontend.end_round(world->fe);
}

static MAYBE_UNUSED void ram_end_all(void)
{
	unsigned int i, n = ram.nr_held;

	ram.nr_held = 0;
	for (i = 0; i < n; i++)
		ram_end(ram.held[i]);
	end_round();
}

/* The backend can end what it holds early; nothing of it is in guest memory. */
static MAYBE_UNUSED void ram_cancel(void *handle, struct portal_io *io)
{
	unsigned int i;

	(void)handle;
	for (i = 0; i < ram.nr_held && ram.held[i] != io; i++)
		;
	if (i == ram.nr_held)
		return;
	ram.held[i] = ram.held[--ram.nr_held];
	ram.cancels++;
	backend_io_done(io, -ECANCELED);
}

static MAYBE_UNUSED int ram_submit(void *handle, struct portal_io *io)
{
	(void)handle;
	ram.started++;
	if (io->flags & PORTAL_IO_F_FUA)
		ram.fuas++;
	if (io->op == PORTAL_IO_FLUSH)
		ram.flushes++;
	if (io->flags & PORTAL_IO_F_UNMAP)
		ram.unmaps++;
	if (ram.on_submit)
		ram.on_submit(io);
	if (ram.hold)
		ram.held[ram.nr_held++] = io;
	else
		ram_end(io);
	return 0;
}

static MAYBE_UNUSED const struct portald_plugin ram_plugin = {
	.get_size = ram_get_size, .can_write = ram_can_write, .can_flush = ram_can_flush,
	.can_fua = ram_can_fua, .can_discard = ram_can_discard, .can_zero = ram_can_zero,
	.submit = ram_submit, .cancel = ram_cancel,
};

/* ---- what the file plugin and the front end get from the worker --------- */

static __attribute__((format(printf, 1, 2))) void fake_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

static struct io_uring *fake_uring(struct portal_instance *pi)
{
	(void)pi;
	return &world->ring;
}

static int fake_parse_bool(const char *str, bool *val)
{
	*val = !strcmp(str, "on");
	return *val || !strcmp(str, "off") ? 0 : -EINVAL;
}

static __attribute__((format(printf, 2, 3))) void fake_log(int level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

static const struct portald_api fake_api = {
	.struct_size = sizeof(fake_api),
	.error = fake_error,
	.log = fake_log,
	.parse_bool = fake_parse_bool,
	.uring = fake_uring,
	.io_done = backend_io_done,
};

static void count_messages(int level, const char *msg)
{
	(void)level;
	(void)msg;
	messages++;
}

static int reap(struct world *w)
{
	struct io_uring_cqe *cqe;
	int n = 0;

	while (!io_uring_peek_cqe(&w->ring, &cqe)) {
		struct portal_uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&w->ring, cqe);
		if (!op)
			continue;	/* nobody wants to know */
		if (w->shorten && op->done == op_done && res > 1) {
			w->shorten--;
			res /= 2;
		}
		op->done(op, res);
		n++;
	}
	end_round();
	return n;
}

static int world_wait(struct frontend_env *env)
{
	struct world *w = world;
	int ret;

	(void)env;
	w->waits++;
	if (ram.nr_held) {
		ram_end_all();
		io_uring_submit(&w->ring);
		reap(w);
		return 0;
	}
	ret = io_uring_submit_and_wait(&w->ring, 1);
	if (ret < 0)
		return ret;
	reap(w);
	return 0;
}

/* ---- life of the world -------------------------------------------------- */

static MAYBE_UNUSED void worker_start(struct world *w, const struct portald_plugin *p,
				      bool resume)
{
	assert_int_equal(io_uring_queue_init(w->ring_entries ?: 8, &w->ring, 0), 0);
	w->env.uring = &w->ring;
	w->env.wait = world_wait;
	w->env.serial = "serial-0123456789-too-long";
	assert_int_equal(backend_create(p, w->handle, &w->env.backend), 0);
	assert_int_equal(virtio_blk_frontend.create(&w->env, &w->fe), 0);
	assert_int_equal(virtio_blk_frontend.enable(w->fe, resume), 0);
	end_round();
}

static MAYBE_UNUSED void worker_stop(struct world *w)
{
	virtio_blk_frontend.destroy(w->fe);
	backend_destroy(w->env.backend);
	io_uring_queue_exit(&w->ring);
}

static MAYBE_UNUSED int open_file_plugin(struct world *w, const char *ro)
{
	plugin.load(&fake_api);
	plugin.config("path", w->path);
	plugin.config("readonly", ro);
	if (plugin.config_complete())
		return -EINVAL;
	w->handle = plugin.open(NULL);
	return w->handle ? 0 : -EIO;
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	world = w;
	messages = 0;
	log_set_sink(count_messages);
	w->mem = mem_new();
	w->region = region_new();
	w->env.mem = w->mem;
	w->env.region = w->region;
	w->env.irqfd = eventfd(0, EFD_NONBLOCK);
	w->env.state_len = virtio_blk_frontend.state_len;
	w->env.state = shared(w->env.state_len);
	return w;
}

/* With the file plugin. */
static MAYBE_UNUSED int setup_file(void **state)
{
	struct world *w = world_new();
	int fd;

	strcpy(w->path, "/tmp/portald-test-XXXXXX");
	fd = mkstemp(w->path);
	if (fd < 0 || ftruncate(fd, DISK_SIZE))
		return -1;
	close(fd);
	w->file = true;
	assert_int_equal(open_file_plugin(w, "off"), 0);
	worker_start(w, &plugin, false);
	*state = w;
	return 0;
}

/* With the disk in memory. */
static MAYBE_UNUSED int setup_ram(void **state)
{
	struct world *w = world_new();

	memset(&ram, 0, sizeof(ram));
	ram.size = DISK_SIZE;
	ram.writable = true;
	ram.can_flush = true;
	ram.can_fua = true;
	ram.data = shared(DISK_SIZE);
	worker_start(w, &ram_plugin, false);
	*state = w;
	return 0;
}

static MAYBE_UNUSED int teardown(void **state)
{
	struct world *w = *state;

	worker_stop(w);
	if (w->file) {
		plugin.close(w->handle);
		plugin.unload();
		unlink(w->path);
	} else {
		munmap(ram.data, DISK_SIZE);
	}
	close(w->env.irqfd);
	munmap(w->env.state, w->env.state_len);
	region_free(w->region);
	mem_free(w->mem);
	free(w);
	return 0;
}

/* ---- the driver --------------------------------------------------------- */

static MAYBE_UNUSED uint32_t rd(struct world *w, uint32_t off)
{
	return portal_region_read32(w->region, off);
}

static MAYBE_UNUSED void wr(struct world *w, uint32_t off, uint32_t val)
{
	virtio_blk_frontend.write(w->fe, off, 4, val);
	end_round();
}

static MAYBE_UNUSED uint64_t irqs(struct world *w)
{
	uint64_t n = 0;

	return read(w->env.irqfd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static MAYBE_UNUSED void negotiate(struct world *w, uint64_t features)
{
	wr(w, VIRTIO_MMIO_STATUS, 0);
	wr(w, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	wr(w, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	wr(w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr(w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr(w, VIRTIO_MMIO_STATUS, 0xb);
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0xb);
}

/* slot_add() and all that work on queue @q from now on. */
static MAYBE_UNUSED void use(struct world *w, unsigned int q)
{
	w->others[w->queue] = w->d;
	w->d = w->others[q];
	w->queue = q;
}

/* Queue @q, whose rings have a place of their own. */
static MAYBE_UNUSED void queue_start(struct world *w, unsigned int q)
{
	uint64_t desc = q ? 0x8000 + 0x2000 * (q - 1) : DRV_DESC;
	uint64_t avail = q ? desc + 0x800 : DRV_AVAIL;
	uint64_t used = q ? desc + 0x1000 : DRV_USED;

	use(w, q);
	drv_init_at(&w->d, w->mem, QNUM, desc, avail, used);
	wr(w, VIRTIO_MMIO_QUEUE_SEL, q);
	assert_true(rd(w, VIRTIO_MMIO_QUEUE_NUM_MAX) >= QNUM);
	wr(w, VIRTIO_MMIO_QUEUE_NUM, QNUM);
	wr(w, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	wr(w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
	wr(w, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	wr(w, VIRTIO_MMIO_QUEUE_READY, 1);
}

static MAYBE_UNUSED void driver_start_queues(struct world *w, uint64_t features,
					     unsigned int queues)
{
	negotiate(w, features);
	while (queues--)
		queue_start(w, queues);
	wr(w, VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(rd(w, VIRTIO_MMIO_STATUS), 0xf);
}

static MAYBE_UNUSED void driver_start(struct world *w, uint64_t features)
{
	driver_start_queues(w, features, 1);
}

static MAYBE_UNUSED void kick_queue(struct world *w, unsigned int q)
{
	virtio_blk_frontend.doorbell(w->fe, q, 1);
	end_round();
}

static MAYBE_UNUSED void kick(struct world *w)
{
	kick_queue(w, w->queue);
}

static MAYBE_UNUSED void slot_header(struct world *w, unsigned int s, uint32_t type,
				     uint64_t sector)
{
	struct virtio_blk_outhdr *hdr = at(&w->d, SLOT_HDR(s));

	*hdr = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	*(uint8_t *)at(&w->d, SLOT_STATUS(s)) = 0xaa;
}

static bool device_reads(uint32_t type)
{
	return type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_DISCARD ||
	       type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* Puts a request into slot @s, in the usual layout; kick() is the caller's. */
static MAYBE_UNUSED void slot_add(struct world *w, unsigned int s, uint32_t type,
				  uint64_t sector, uint32_t len)
{
	uint16_t h = SLOT_HEAD(s);

	slot_header(w, s, type, sector);
	drv_desc(&w->d, h, SLOT_HDR(s), 16, VRING_DESC_F_NEXT, h + 1);
	if (len) {
		drv_desc(&w->d, h + 1, SLOT_DATA(s), len,
			 VRING_DESC_F_NEXT | (device_reads(type) ? 0 : VRING_DESC_F_WRITE),
			 h + 2);
		drv_desc(&w->d, h + 2, SLOT_STATUS(s), 1, VRING_DESC_F_WRITE, 0);
	} else {
		drv_desc(&w->d, h + 1, SLOT_STATUS(s), 1, VRING_DESC_F_WRITE, 0);
	}
	drv_avail(&w->d, h);
}

static MAYBE_UNUSED void slot_fill(struct world *w, unsigned int s, int byte, uint32_t len)
{
	memset(at(&w->d, SLOT_DATA(s)), byte, len);
}

static MAYBE_UNUSED uint8_t slot_status(struct world *w, unsigned int s)
{
	return *(volatile uint8_t *)at(&w->d, SLOT_STATUS(s));
}

/* Notifies and waits for the one request in flight; its used length. */
static MAYBE_UNUSED uint32_t finish_one(struct world *w, unsigned int s)
{
	uint32_t head, len;

	kick(w);
	while (!drv_used(&w->d, &head, &len))
		assert_int_equal(world_wait(&w->env), 0);
	assert_int_equal(head, SLOT_HEAD(s));
	assert_false(drv_used(&w->d, &head, NULL));
	return len;
}

/* One request from start to end; its status. */
static MAYBE_UNUSED uint8_t request(struct world *w, uint32_t type, uint64_t sector,
				    uint32_t len)
{
	slot_add(w, 0, type, sector, len);
	finish_one(w, 0);
	return slot_status(w, 0);
}

static MAYBE_UNUSED bool stopped(struct world *w)
{
	return rd(w, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif /* VIRTIO_WORLD_H */
