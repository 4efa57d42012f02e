/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bio_world.h - a bio with everything around it: worker, two storages in memory
 * (SID 7, and 9, which is read-only), and a guest's RAM
 */
#ifndef BIO_WORLD_H
#define BIO_WORLD_H

#include "virtio_fake.h"
#include <liburing.h>
#include <sys/eventfd.h>
#include "backend.h"
#include "bio.h"
#include "frontend.h"
#include "log.h"

#define BLOCKS		2048U
#define BUF		0x20000U	/* in the first window */

/* ---- a disk whose requests end when the test says so ------------------------ */

struct disk {
	uint8_t *data;
	uint64_t size;
	bool hold, writable;
	int err;
	bool beyond;		/* a request went over its end */
	unsigned int started, fuas, flushes;
	uint64_t bytes;
	struct portal_io *held[64];
	unsigned int nr_held;
};

static struct disk disk, second;

static int64_t disk_get_size(void *handle)
{
	return (int64_t)((struct disk *)handle)->size;
}

static int disk_can_write(void *handle)
{
	return ((struct disk *)handle)->writable;
}

static int disk_can_flush(void *handle)
{
	return handle == &disk;
}

static void disk_end(struct disk *d, struct portal_io *io)
{
	uint64_t off = io->offset;

	for (uint32_t i = 0; !d->err && i < io->iovcnt; i++) {
		if (io->op == PORTAL_IO_READ)
			memcpy(io->iov[i].iov_base, d->data + off, io->iov[i].iov_len);
		else
			memcpy(d->data + off, io->iov[i].iov_base, io->iov[i].iov_len);
		off += io->iov[i].iov_len;
	}
	backend_io_done(io, d->err);
}

/* Those that are there: what they start in turn is held again. */
static MAYBE_UNUSED void disk_end_all(void)
{
	struct portal_io *now[64];
	unsigned int n = disk.nr_held;

	memcpy(now, disk.held, sizeof(now));
	disk.nr_held = 0;
	for (unsigned int i = 0; i < n; i++)
		disk_end(&disk, now[i]);
}

static int disk_submit(void *handle, struct portal_io *io)
{
	struct disk *d = handle;

	if (io->op == PORTAL_IO_FLUSH)
		d->flushes++;
	else
		d->started++;
	d->bytes += io->len;
	if (io->flags & PORTAL_IO_F_FUA)
		d->fuas++;
	d->beyond |= io->offset + io->len > d->size;
	if (d->beyond)
		backend_io_done(io, -EIO);
	else if (d->hold && d->nr_held < 64)
		d->held[d->nr_held++] = io;
	else
		disk_end(d, io);
	return 0;
}

static const struct portald_plugin disk_plugin = {
	.get_size = disk_get_size, .can_write = disk_can_write, .can_flush = disk_can_flush,
	.can_fua = disk_can_flush, .submit = disk_submit,
};

static MAYBE_UNUSED uint32_t disk_word(uint64_t off)
{
	return disk.data[off] | disk.data[off + 1] << 8 | disk.data[off + 2] << 16 |
	       (uint32_t)disk.data[off + 3] << 24;
}

static MAYBE_UNUSED uint64_t disk_sum(uint64_t from, uint64_t to)
{
	uint64_t sum = 0;

	while (from < to)
		sum = sum * 31 + disk.data[from++];
	return sum;
}

/* ---- worker and guest --------------------------------------------------------- */

static struct {
	struct portal_mem *mem;
	struct portal_region *region;
	struct frontend_env env;
	struct io_uring ring;
	void *fe;
} w;

static MAYBE_UNUSED struct frontend_place place;

static int world_wait(struct frontend_env *env)
{
	struct io_uring_cqe *cqe;
	int ret;

	(void)env;
	if (disk.nr_held) {
		disk_end_all();
		return 0;
	}
	ret = io_uring_submit_and_wait(&w.ring, 1);
	if (ret < 0)
		return ret;
	while (!io_uring_peek_cqe(&w.ring, &cqe)) {
		struct portal_uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&w.ring, cqe);
		op->done(op, res);
	}
	return 0;
}

static MAYBE_UNUSED void *ram_at(uint64_t gpa)
{
	return portal_mem_at(w.mem, gpa, 1);
}

static MAYBE_UNUSED void fill(uint64_t gpa, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)ram_at(gpa))[i] = (uint8_t)(i * seed + i / 256);
}

/* A request of the kernel's has an id, and later ones have higher ids. */
static MAYBE_UNUSED void put(uint32_t off, uint32_t val)
{
	w.env.req_id++;
	w.env.redelivered = false;
	bio_frontend.write(w.fe, off, 4, val);
}

/* The one @back ids before the last, once more. */
static MAYBE_UNUSED void put_again(uint32_t off, uint32_t val, unsigned int back)
{
	uint64_t last = w.env.req_id;

	w.env.req_id = last - back;
	w.env.redelivered = true;
	bio_frontend.write(w.fe, off, 4, val);
	w.env.req_id = last;
}

static MAYBE_UNUSED uint32_t get(uint32_t off)
{
	return portal_region_read32(w.region, off);
}

static MAYBE_UNUSED uint32_t data(void)
{
	uint64_t val;

	w.env.req_id++;
	w.env.redelivered = false;
	assert_int_equal(bio_frontend.read(w.fe, BIO_DATA, 4, &val), 0);
	return (uint32_t)val;
}

static MAYBE_UNUSED uint32_t data_again(void)
{
	uint64_t val;

	w.env.redelivered = true;
	assert_int_equal(bio_frontend.read(w.fe, BIO_DATA, 4, &val), 0);
	return (uint32_t)val;
}

/* As the kernel does it for an ACK range. */
static MAYBE_UNUSED void ack(uint32_t bits)
{
	__atomic_fetch_and((uint32_t *)(w.region->shadow + BIO_EVENTS), ~bits,
			   __ATOMIC_SEQ_CST);
}

static MAYBE_UNUSED uint64_t irqs(void)
{
	eventfd_t n = 0;

	eventfd_read(w.env.irqfd, &n);
	return n;
}

static MAYBE_UNUSED void setup_io(uint64_t block, uint32_t count, uint64_t addr)
{
	put(BIO_BLOCK, (uint32_t)block);
	put(BIO_BLOCK_HI, block >> 32);
	put(BIO_COUNT, count);
	put(BIO_ADDR, (uint32_t)addr);
	put(BIO_ADDR_HI, addr >> 32);
}

/* ---- life ------------------------------------------------------------------------ */

static void start_worker(bool resume)
{
	struct frontend_env *env = &w.env;

	assert_int_equal(io_uring_queue_init(64, &w.ring, 0), 0);
	env->uring = &w.ring;
	env->wait = world_wait;
	env->storages[0].sid = 7;
	assert_int_equal(backend_create(&disk_plugin, &disk, &env->storages[0].backend), 0);
	env->storages[1].sid = 9;
	assert_int_equal(backend_create(&disk_plugin, &second, &env->storages[1].backend), 0);
	env->backend = env->storages[0].backend;
	env->nr_storages = 2;
	assert_int_equal(bio_frontend.create(env, &w.fe), 0);
	assert_int_equal(bio_frontend.enable(w.fe, resume), 0);
}

static void stop_worker(void)
{
	bio_frontend.destroy(w.fe);
	backend_destroy(w.env.storages[0].backend);
	backend_destroy(w.env.storages[1].backend);
	io_uring_queue_exit(&w.ring);
}

/*
 * kill -9: what it has under way ends nowhere, and the state stays as it was at
 * that moment.
 */
static MAYBE_UNUSED void worker_dies(void)
{
	size_t len = w.env.state_len;
	void *state = malloc(len), *page = malloc(w.region->size), *ram = malloc(RAM_LEN);
	bool hold = disk.hold;

	memcpy(state, w.env.state, len);
	memcpy(page, w.region->shadow, w.region->size);
	memcpy(ram, w.mem->w[0].va, RAM_LEN);
	disk.hold = false;
	disk_end_all();
	stop_worker();
	disk.hold = hold;
	memcpy(w.env.state, state, len);
	memcpy(w.region->shadow, page, w.region->size);
	memcpy(w.mem->w[0].va, ram, RAM_LEN);
	free(ram);
	free(state);
	free(page);
	start_worker(true);
}

static MAYBE_UNUSED int setup_world(void **state)
{
	(void)state;
	memset(&disk, 0, sizeof(disk));
	memset(&second, 0, sizeof(second));
	memset(&w, 0, sizeof(w));
	disk.size = BLOCKS * 1024;
	disk.data = malloc(disk.size);
	for (uint64_t i = 0; i < disk.size; i++)
		disk.data[i] = (uint8_t)(i * 7 + i / 1024);
	disk.writable = true;
	second.size = BLOCKS / 2 * 1024;
	second.data = calloc(1, second.size);
	w.mem = mem_new();
	w.region = region_new();
	w.env.mem = w.mem;
	w.env.region = w.region;
	w.env.irqfd = eventfd(0, EFD_NONBLOCK);
	w.env.state_len = bio_frontend.state_len;
	w.env.state = shared(w.env.state_len);
	start_worker(false);
	return 0;
}

static MAYBE_UNUSED int end_world(void **state)
{
	(void)state;
	disk.hold = false;
	disk_end_all();
	stop_worker();
	close(w.env.irqfd);
	munmap(w.env.state, w.env.state_len);
	region_free(w.region);
	mem_free(w.mem);
	free(disk.data);
	free(second.data);
	return 0;
}

#endif /* BIO_WORLD_H */
