/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * transport.h - the three ways to drive a queue
 */
#ifndef PORTAL_TRANSPORT_H
#define PORTAL_TRANSPORT_H

#include <kvmportal/portal.h>
#include "ring.h"

#define REPLIES_MAX	256	/* of one commit */

struct portal_queue;
struct uring;
struct reader;

/**
 * struct transport_ops - one way to drive a queue
 * @open: set up; the ring is there unless @unmapped
 * @close: undo it; nothing refers to the queue's memory afterwards
 * @wait: head is released: send, then wait: 1 there is more, 0 time-out, -errno
 * @send: send the replies collected now; tells the kernel of head, too
 * @next: the next request that wait() saw, or NULL
 * @unmapped: works without the ring's mapping
 */
struct transport_ops {
	int (*open)(struct portal_queue *q, const struct portal_queue_opts *opts);
	void (*close)(struct portal_queue *q);
	int (*wait)(struct portal_queue *q, int timeout_ms);
	int (*send)(struct portal_queue *q);
	const struct portal_request *(*next)(struct portal_queue *q);
	bool unmapped;
};

extern const struct transport_ops transport_uring;
extern const struct transport_ops transport_read;
extern const struct transport_ops transport_poll;

struct replies {
	uint32_t nr;
	struct portal_reply reply[REPLIES_MAX];
};

struct portal_queue {
	int fd;
	uint32_t id;
	uint32_t entries;
	bool need_commit;	/* the kernel waits to be told about head */
	const struct transport_ops *ops;
	struct ring ring;
	struct uring *uring;	/* transport_uring.c */
	struct reader *reader;	/* transport_read.c */
	struct replies *replies;	/* collected now; one of buf[] */
	struct replies buf[2];
};

/* (queue.c) nanoseconds of CLOCK_MONOTONIC; UINT64_MAX for a negative timeout_ms */
uint64_t now_ns(void);
uint64_t deadline_ns(int timeout_ms);
/* Milliseconds until @deadline, rounded up, -1 for ever; 0 it is over. */
int remaining_ms(uint64_t deadline);

/*
 * (reply.c) Sends @replies by PORTAL_QUEUE_COMMIT, which tells the kernel of
 * head, too. They stay on an error, except those that the kernel refuses and
 * those of a VM that is gone.
 */
int queue_commit(struct portal_queue *q, struct replies *replies);
/* (queue.c) Moves head past what is done; notes if the kernel asks for a commit. */
int queue_release(struct portal_queue *q);
/* (queue.c) transport_ops of those that use the ring and the ioctl */
int queue_send(struct portal_queue *q);
const struct portal_request *queue_next(struct portal_queue *q);

#endif /* PORTAL_TRANSPORT_H */
