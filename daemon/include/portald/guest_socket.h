/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * portald/guest_socket.h - commands to a guest from a program on its host
 *
 * {"cmd":"guest","vm":NAME} at portald's control socket gives a socket
 * (SOCK_SEQPACKET, by SCM_RIGHTS) to plugin agent. Each message is a request, and
 * has one reply, in order. Closing it cancels what is under way; if it closes, the
 * plugin's process ended.
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
