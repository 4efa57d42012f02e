/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * portald/guest_socket.h - commands to a guest from a program on its host
 *
 * {"cmd":"guest","vm":NAME} at portald's control socket gives a socket
 * (SOCK_SEQPACKET, by SCM_RIGHTS) to plugin agent. Each message is a request, and
 * has one reply, in order. Closing it cancels what is under way; if it closes, the
 * plugin's process ended.
 *
 * Hooks (hook_start) are the connection's: they end with it. Between replies come
 * their events: a reply with PORTAL_GUEST_F_EVENT, whose answer is one struct
 * portal_event after the other. Who does not read them loses some, and is told how
 * many. Before hook_stop is answered, all events of its hooks have been sent. If the
 * guest's agent ends, so do its hooks, and connections that had any.
 */
#ifndef PORTALD_GUEST_SOCKET_H
#define PORTALD_GUEST_SOCKET_H

#include <stdint.h>

/* most bytes of a payload or an answer: a message is one datagram */
#define PORTAL_GUEST_MAX	131072U

/* The payload follows; all as in struct portal_command. */
struct portal_guest_request {
	uint32_t op;
	uint32_t pid;
	uint64_t addr;
	uint64_t size;
	uint32_t out_len;	/* at most PORTAL_GUEST_MAX */
	uint32_t timeout_ms;	/* 0: 10 s */
};

/* In flags: these are events, and count says how many were lost on the host so far. */
#define PORTAL_GUEST_F_EVENT	(1U << 31)

/* The answer follows: out_size bytes, none if no room was asked for. */
struct portal_guest_reply {
	int32_t status;
	uint32_t flags;
	uint64_t out_size;
	uint64_t value;
	uint64_t cursor;
	uint64_t count;
};

#endif /* PORTALD_GUEST_SOCKET_H */
