// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdevent.c - what the guest's hooks tell
 *
 * Only while the guest calls, in the worker's thread, and no more in one call
 * than the ring has. Each event is copied; its head was checked in a copy of its
 * own, which then is in that of the whole.
 */
#include <errno.h>
#include <string.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"
#include "log.h"

/* The first 8 bytes, all that a pad has. */
union event_head {
	uint64_t word;
	struct {
		uint16_t version;
		uint16_t kind;
		uint32_t len;
	};
};

/* 1: an event, 0: a pad, -EPROTO: neither; *@len bytes of it. */
static int take(const struct cmd_chan *chan, uint32_t left, struct portal_event *ev, uint32_t *len)
{
	uint32_t pos = chan->ev_head & (chan->conf.ev_len - 1), rest = chan->conf.ev_len - pos;
	const char *at = (const char *)chan->head + chan->conf.ev_off + pos;
	union event_head head = { __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED) };

	*len = head.len;
	if (head.version != PORTAL_EVENT_VERSION || head.len < sizeof(head) || head.len % 8 ||
	    head.len > left || head.len > rest)
		return -EPROTO;
	if (head.kind == PORTAL_EVENT_PAD)
		return head.len == rest ? 0 : -EPROTO;
	if (head.len < sizeof(*ev) || head.len > PORTAL_EVENT_MAX)
		return -EPROTO;
	memcpy(ev, at, head.len);
	memcpy(ev, &head, sizeof(head));
	if (ev->str_len > PORTAL_EVENT_STRING || ev->str_len > head.len - sizeof(*ev))
		return -EPROTO;
	/* who looks at the string finds its end */
	if (ev->str_len)
		((char *)(ev + 1))[ev->str_len - 1] = '\0';
	return 1;
}

int ring_events(struct cmd_chan *chan)
{
	union {
		struct portal_event ev;
		char bytes[PORTAL_EVENT_MAX];
	} copy;
	uint32_t tail, left, len;
	int ret = 0;

	if (!chan->conf.ev_len)
		return 0;
	tail = __atomic_load_n(&chan->head->ev_tail, __ATOMIC_ACQUIRE);
	left = tail - chan->ev_head;
	if (left > chan->conf.ev_len || left % 8)
		return -EPROTO;
	for (; left; left -= len, chan->ev_head += len) {
		ret = take(chan, left, &copy.ev, &len);
		if (ret < 0)
			break;
		if (!ret)
			continue;
		/* of a hook that this epoch does not have */
		if (copy.ev.hook >> 32 != chan->epoch || !chan->env.event) {
			chan->stats.stale_events++;
			continue;
		}
		chan->stats.events++;
		chan->env.event(chan->env.arg, &copy.ev);
	}
	__atomic_store_n(&chan->head->ev_head, chan->ev_head, __ATOMIC_RELEASE);
	return ret < 0 ? ret : 0;
}
