/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bio.h - a block device of a few registers: its state and its parts
 *
 *	bio.c		registers: what the guest's accesses do
 *	bio_io.c	commands: pieces between guest and storage
 *	bio_frontend.c	configuration, storages, life
 */
#ifndef PORTALD_BIO_H
#define PORTALD_BIO_H

#include <stdbool.h>
#include <stdint.h>
#include "bio_regs.h"
#include "block.h"
#include "frontend.h"

#define BIO_MAX_PIO_BYTES	(1U << 20)
#define BIO_MAX_DMA_BYTES	(16U << 20)
/* A command reaches the storage in pieces of this size, one after the other. */
#define BIO_PIECE_BYTES		(256U << 10)

/*
 * What a command is at. ARMED: a WRITE without DMA, whose data come by DATA.
 * ENDING: its result is decided; it must not run again.
 */
enum bio_phase { BIO_IDLE, BIO_ARMED, BIO_RUNNING, BIO_ENDING };

/* Whose data DATA gives or takes. */
enum bio_dir { BIO_DIR_NONE, BIO_DIR_OUT, BIO_DIR_IN };

/**
 * struct bio_state - what must survive the worker: all of the device
 * @magic: BIO_STATE_MAGIC, 0 if it was never used
 * @version: of the layout; raise it with every change
 * @size: of this struct
 * @status: STATUS as the guest reads it
 * @error: ERROR
 * @control: CONTROL
 * @selected: a storage is, its number is @sid
 * @block: BLOCK, COUNT, ADDR for the next command
 * @dma: and DMA, which counts for that one only
 * @begun: id of the request that began the command << 3 | enum bio_phase; one
 *	store begins it and ends it
 * @done_req: the last request that needs no repetition
 * @data_req: the last access to DATA: the same request again moves nothing
 * @data_pos: where it was
 * @op: PORTAL_IO_* of the command, and all it works with, as they were then
 * @op_done: bytes of it that are done
 * @op_error: ENDING: its result
 * @dir: of @buf
 * @len: bytes of data in @buf, or expected there
 * @pos: of the next word
 * @resets: by the guest
 * @buf: of a command without DMA
 */
struct bio_state {
	uint64_t magic;
#define BIO_STATE_MAGIC		0x6c61747230696f62ULL
	uint32_t version;
#define BIO_STATE_VERSION	1
	uint32_t size;
	uint32_t status;
	uint32_t error;
	uint32_t control;
	uint32_t selected;
	uint32_t sid;
	uint32_t count;
	uint64_t block;
	uint64_t addr;
	uint32_t dma;
	uint32_t op;
	uint64_t begun;
	uint64_t done_req;
	uint64_t data_req;
	uint32_t data_pos;
	uint32_t op_sid;
	uint32_t op_dma;
	uint32_t op_error;
	uint64_t op_offset;
	uint64_t op_addr;
	uint32_t op_len;
	uint32_t op_done;
	uint32_t dir;
	uint32_t len;
	uint32_t pos;
	uint32_t __pad;
	uint64_t resets;
	uint8_t buf[BIO_MAX_PIO_BYTES];
};

struct bio;

/* A storage, and how the block layer finds it again. */
struct bio_storage {
	struct bio *bio;
	uint32_t sid;
	struct block *blk;
};

/**
 * struct bio - the device
 * @req: the one piece under way
 * @running: @req is with the block layer
 * @aborted: and nobody wants its end any more
 * @waiting: a command that begins when it has ended
 * @inside: bio_io.c's loop is on the stack
 * @held: begin no further piece: the worker is about to go
 * @bounce: data of @req: not the guest's memory, so that nothing lands there late
 * @commands: begun; @errors: of them ended by ERR; the rest counts too
 */
struct bio {
	struct frontend_env *env;
	struct bio_state *st;
	struct bio_storage storages[FRONTEND_STORAGES];
	unsigned int nr_storages;
	uint32_t block_size;
	struct block_req req;
	struct iovec iov;
	bool running;
	bool aborted;
	bool waiting;
	bool inside;
	bool held;
	uint8_t *bounce;
	uint64_t commands;
	uint64_t errors;
	uint64_t ignored;
	uint64_t bad_accesses;
	uint64_t interrupts;
};

/* bio.c */
void bio_clear(struct bio *bio);
void bio_publish(struct bio *bio);
void bio_write(struct bio *bio, uint32_t offset, uint32_t len, uint64_t value);
int bio_read(struct bio *bio, uint32_t offset, uint32_t len, uint64_t *value);
/* Shows the end of a command: status, DONE, interrupt; in this order. */
void bio_show_end(struct bio *bio);
void bio_event(struct bio *bio, uint32_t event, bool interrupt);
struct bio_storage *bio_find(struct bio *bio, uint32_t sid);
uint64_t bio_capacity(const struct bio *bio, const struct bio_storage *s);

static inline enum bio_phase bio_phase(const struct bio *bio)
{
	return (enum bio_phase)(bio->st->begun & 7);
}

/* One store; our own death needs only the order of instructions. */
static inline void bio_set_phase(struct bio *bio, uint64_t req_id, enum bio_phase phase)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&bio->st->begun, req_id << 3 | phase, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* bio_io.c */
void bio_io_start(struct bio *bio);
/* Ends the command by @error. */
void bio_io_end(struct bio *bio, enum bio_error error);
/* What it has under way ends by itself, and touches neither guest nor registers. */
void bio_io_abort(struct bio *bio);
/* Returns when no piece is under way. A command goes on by bio_io_start(). */
void bio_io_hold(struct bio *bio);

#endif /* PORTALD_BIO_H */
