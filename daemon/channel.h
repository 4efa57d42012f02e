/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * channel.h - what the supervisor and a worker say to each other
 *
 *	supervisor                              worker
 *	SETUP (JSON; VM, page, bus, irq fds) -> loads, configures, opens the plugin
 *	                            <- DESCRIBE    sandboxed now
 *	START (queue, state fds)             -> front end, ring
 *	                            <- READY       serves
 *	ENABLE, DISABLE (seq)                ->
 *	                            <- ACK (seq)
 *	STAT (seq)                  <- STATS (seq, JSON)
 *	ADMIN (seq, JSON)                    -> does it to its storage
 *	                            <- DONE (seq, err, text)
 *	STOP                                 -> quiesces and exits 0
 *	PING                        <- PONG     is not stuck
 *	                            <- FAILED (text) instead of DESCRIBE or READY
 *
 * SOCK_SEQPACKET keeps messages whole. A worker runs a plugin and faces a
 * guest, so the supervisor believes nothing of what it says.
 */
#ifndef PORTALD_CHANNEL_H
#define PORTALD_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/portal.h>

#define CHAN_FD		3	/* the worker's end */
#define CHAN_MAX_FDS	8
#define CHAN_MAX_TEXT	65536
#define CHAN_MAX_RANGES	64

enum chan_type {
	CHAN_SETUP = 1,
	CHAN_DESCRIBE,
	CHAN_START,
	CHAN_READY,
	CHAN_FAILED,
	CHAN_ENABLE,
	CHAN_DISABLE,
	CHAN_ACK,
	CHAN_STAT,
	CHAN_STATS,
	CHAN_STOP,
	CHAN_PING,
	CHAN_PONG,
	CHAN_ADMIN,
	CHAN_DONE,
	CHAN_NR,
};

/* File descriptors of SETUP and START, in this order. */
enum { SETUP_FD_VM, SETUP_FD_PAGE, SETUP_FD_BUS, SETUP_FD_IRQ, SETUP_NR_FDS };
enum { START_FD_QUEUE, START_FD_STATE, START_NR_FDS };

struct chan_describe {
	uint32_t slot_type;	/* enum portal_slot_type */
	uint32_t region_len;
	uint32_t fns;
	uint32_t services;	/* hook its hypercall numbers */
	uint64_t state_len;
	uint32_t nr_ranges;
	uint32_t fixed;		/* the host puts it at @gpa; the guest has no say */
	uint32_t bus;		/* enum portal_bus */
	uint32_t gsi;		/* with @fixed; 0 none */
	uint64_t gpa;		/* with @fixed: address or port */
	struct portal_region_range ranges[CHAN_MAX_RANGES];
};

/* START carries it too: enabled by an earlier worker, or before this started */
struct chan_enable {
	uint32_t enabled;
	uint32_t resume;
	uint32_t region_id;	/* 0: no registers */
	uint32_t shadow_size;
	uint64_t shadow_off;
	uint32_t has_irq;
	uint32_t __pad;
};

struct chan_msg {
	uint32_t type;
	uint32_t seq;
	int32_t err;		/* ACK, FAILED: 0 or -errno */
	uint32_t text_len;	/* bytes that follow the struct */
	union {
		struct chan_describe describe;
		struct chan_enable enable;
	};
};

/*
 * The page that both share. It outlives the worker: queued interrupts and
 * counters survive a crash.
 *
 *	api->queue_interrupt()	queued + 1, then the bus eventfd
 *	PORTAL_FN_INTERRUPT	n = queued - taken; taken = queued; handler(n);
 *				served = taken
 *	new worker		taken = served: those of a handler that died come again
 *
 * @running and @tries: the hypercall that the plugin works at, and how often
 * it began; one that killed three workers is answered by an error.
 */
struct chan_page {
	uint64_t queued;
	uint64_t taken;
	uint64_t served;
	uint64_t running;
	uint64_t tries;
	/* counters, written by the worker only */
	uint64_t requests;
	uint64_t calls;
	uint64_t reads;
	uint64_t writes;
	uint64_t doorbells;
	uint64_t errors;
	uint64_t dropped;	/* for a region that is no more */
	uint64_t batches;
	/* of the medium, for the one that it is swapped for; written by the worker */
	uint32_t logical;
	uint32_t writable;
};

#define CHAN_PAGE_SIZE	4096

int chan_pair(int fds[2]);
/* @flags: MSG_DONTWAIT or 0. fds stay the caller's. */
int chan_send(int sock, struct chan_msg *msg, const char *text, const int *fds,
	      unsigned int nr_fds, int flags);
/*
 * 1: a message; *text (NUL-terminated, malloc'ed, NULL if none) and @fds are
 * the caller's. 0: nothing there. -EPIPE: the other end is closed. -EBADMSG:
 * what came is not a message; its fds are closed.
 */
int chan_recv(int sock, struct chan_msg *msg, char **text, int fds[CHAN_MAX_FDS],
	      unsigned int *nr_fds, int flags);
void chan_close_fds(int *fds, unsigned int nr);
const char *chan_type_name(uint32_t type);
/* What a plugin says of itself: 0, or -EBADMSG and *why. */
int chan_check_describe(const struct chan_describe *d, const char **why);

#endif /* PORTALD_CHANNEL_H */
