/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * transport_poll.c - busy polling of the ring: no wake-ups, no system calls
 * but to send replies and to let a waiting vCPU go on
 */
#include <errno.h>
#include "barrier.h"
#include "transport.h"

#define SPINS	128	/* between two looks at the clock */

static int poll_wait(struct portal_queue *q, int timeout_ms)
{
	uint64_t deadline = deadline_ns(timeout_ms);
	unsigned int spins = 0;
	int ret;

	if (q->replies->nr || q->need_commit) {
		ret = queue_send(q);
		if (ret)
			return ret;
	}
	for (;;) {
		ret = ring_look(&q->ring);
		if (ret)
			return ret;
		if (++spins % SPINS == 0 || !timeout_ms) {
			if (now_ns() >= deadline)
				return 0;
			/* a flag raised after the head was released */
			if (ring_needs_commit(&q->ring) && !q->ring.nr_held) {
				ret = queue_send(q);
				if (ret)
					return ret;
			}
		}
		cpu_relax();
	}
}

const struct transport_ops transport_poll = {
	.wait = poll_wait,
	.send = queue_send,
	.next = queue_next,
};
