/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal_channel.h - memory that a guest shares with a plugin for commands
 */
#ifndef _UAPI_LINUX_PORTAL_CHANNEL_H
#define _UAPI_LINUX_PORTAL_CHANNEL_H

#include <linux/types.h>

#ifndef __aligned_s64
#define __aligned_s64 __s64 __attribute__((aligned(8)))
#endif

/**
 * DOC: Channel
 *
 * A slot of type PORTAL_SLOT_CHANNEL takes a guest's memory instead of having
 * registers: PORTAL_HC_BUS_ENABLE gives the address of a struct portal_channel,
 * one contiguous command region with everything that it names by offset. From
 * then on, until PORTAL_HC_BUS_DISABLE or HELLO:
 *
 * - The host raises the slot's interrupt when it has something to say.
 * - The guest calls PORTAL_FN_SYNC of the slot: after that interrupt, and when
 *   it has published answers. Arguments: epoch (0 at first), channel number.
 * - The host looks at the rings and writes commands and their payloads only
 *   during that call. So it never writes to a guest that was reset: the new
 *   kernel does not call for the old one's channel.
 *
 * SYNC's value is PORTAL_SYNC_RESET | epoch if the guest's epoch is not the
 * host's (there is another worker): the guest then ends all commands, waits for
 * their end, sets its indices to 0, and calls again with the new epoch. Else it
 * is the number of commands in the ring.
 *
 * Indices run freely over 32 bits and are masked by entries - 1, a power of two.
 * Both sides copy an entry, and check the copy. The host has at most as many
 * commands open as each ring has entries, so no ring overflows.
 *
 * DOC: Events
 *
 * What hooks tell goes through one more ring, of bytes. An event begins at a
 * multiple of 8 and never goes on at the ring's begin: there, a PORTAL_EVENT_PAD
 * fills the rest. The host takes events during SYNC, so it needs no other call;
 * the guest makes one when it has published some, and none before the last one
 * took effect. An event that finds no room is counted, and nobody waits.
 */
#define PORTAL_FN_SYNC		0xfe
/* functions of the plugin itself are below, in a slot with a channel */
#define PORTAL_FN_CHANNEL	0xf0
#define PORTAL_SYNC_RESET	(1ULL << 32)

#define PORTAL_CHANNEL_MAGIC	0x4e414843U	/* "CHAN" */
#define PORTAL_CHANNEL_VERSION	1
#define PORTAL_CHANNEL_MIN_DATA	(1ULL << 20)
#define PORTAL_CHANNEL_MAX_DATA	(64ULL << 20)
#define PORTAL_CHANNEL_MAX_LEN	(1U << 20)	/* of the command region */
#define PORTAL_CHANNEL_ENTRIES	4096		/* most of a ring */
#define PORTAL_CHANNEL_CHUNKS	1024		/* most of the data region */
#define PORTAL_CHANNEL_MIN_EVENTS (1U << 12)	/* bytes of the ring of events */
#define PORTAL_CHANNEL_MAX_EVENTS (1U << 19)

/**
 * struct portal_channel - head of the command region; little endian, as all here
 * @magic: PORTAL_CHANNEL_MAGIC
 * @version: PORTAL_CHANNEL_VERSION
 * @len: bytes of the command region
 * @number: of this channel, 0
 * @count: channels of this slot, 1
 * @flags: 0
 * @abi_hash: the guest's PORTAL_CMD_ABI_HASH
 * @classes: 1 << PORTAL_CLASS_* that the guest's owner allows
 * @data_len: bytes of the data region, @nr_chunks * @chunk_len
 * @chunk_len: bytes of each contiguous piece of it, a power of two from 4096 on
 * @nr_chunks: pieces; offsets in the data region count through all of them
 * @chunks_off: of the table with their addresses, __u64 each
 * @sq_off: of the commands, struct portal_cmd
 * @sq_entries: a power of two
 * @cq_off: of the answers, struct portal_cmd_done
 * @cq_entries: a power of two
 * @ev_off: of the ring of events
 * @ev_len: its bytes, a power of two; 0: there is none
 * @__reserved0: 0
 * @sq_head: commands the guest has taken
 * @cq_tail: answers the guest has published
 * @ev_tail: bytes of events the guest has published
 * @__reserved1: 0
 * @sq_tail: commands the host has published
 * @cq_head: answers the host has taken
 * @host_hash: the host's PORTAL_CMD_ABI_HASH
 * @ev_head: bytes of events the host has taken
 * @__reserved2: 0
 */
struct portal_channel {
	/* written by the guest, before ENABLE */
	__u32 magic;
	__u32 version;
	__u32 len;
	__u16 number;
	__u16 count;
	__aligned_u64 flags;
	__aligned_u64 abi_hash;
	__aligned_u64 classes;
	__aligned_u64 data_len;
	__u32 chunk_len;
	__u32 nr_chunks;
	__u32 chunks_off;
	__u32 sq_off;
	__u32 sq_entries;
	__u32 cq_off;
	__u32 cq_entries;
	__u32 ev_off;
	__u32 ev_len;
	__u32 __reserved0[11];
	/* written by the guest */
	__u32 sq_head;
	__u32 cq_tail;
	__u32 ev_tail;
	__u32 __reserved1[13];
	/* written by the host */
	__u32 sq_tail;
	__u32 cq_head;
	__aligned_u64 host_hash;
	__u32 ev_head;
	__u32 __reserved2[11];
};

/**
 * struct portal_cmd - a command
 * @version: PORTAL_CMD_VERSION
 * @op: enum portal_cmd_op
 * @flags: 0
 * @txn: transaction id: epoch << 32 | number. It names the command in CANCEL and
 *	in the answer, and never comes again.
 * @cookie: the plugin's, given back
 * @pid: process it is about; 0 is process 0
 * @seq: of the command in its ring
 * @addr: address, offset, handle or cursor
 * @size: bytes or number wanted
 * @in_off: payload, in the data region
 * @in_len: its bytes
 * @out_off: room for the answer, in the data region
 * @out_len: its bytes
 */
struct portal_cmd {
	__u16 version;
	__u16 op;
	__u32 flags;
	__aligned_u64 txn;
	__aligned_u64 cookie;
	__u32 pid;
	__u32 seq;
	__aligned_u64 addr;
	__aligned_u64 size;
	__u32 in_off;
	__u32 in_len;
	__u32 out_off;
	__u32 out_len;
};

/**
 * struct portal_cmd_done - its answer
 * @version: PORTAL_CMD_VERSION
 * @op: the command's
 * @flags: PORTAL_DONE_F_*
 * @txn: the command's
 * @cookie: the command's
 * @status: 0 or -errno, in Linux's numbers
 * @seq: the command's
 * @size: bytes of the answer at its out_off, or bytes written
 * @value: a number
 * @cursor: @addr to go on with
 * @count: records or strings in the answer
 */
struct portal_cmd_done {
	__u16 version;
	__u16 op;
	__u32 flags;
#define PORTAL_DONE_F_PARTIAL	(1U << 0) /* less than wanted; @status may say why */
#define PORTAL_DONE_F_MORE	(1U << 1) /* goes on at @cursor */
#define PORTAL_DONE_F_TORN	(1U << 2) /* not of one moment */
	__aligned_u64 txn;
	__aligned_u64 cookie;
	__s32 status;
	__u32 seq;
	__aligned_u64 size;
	__aligned_u64 value;
	__aligned_u64 cursor;
	__aligned_u64 count;
};

#define PORTAL_EVENT_VERSION	1
#define PORTAL_EVENT_STRING	256	/* most bytes of a string, with its NUL */

/* Kinds of hooks, and what their events have in @nr, @ret and @args. */
enum portal_event_kind {
	PORTAL_EVENT_PAD = 0,		/* nothing: the first 8 bytes are all there is */
	PORTAL_EVENT_SYSCALL = 1,	/* number, result, arguments */
	PORTAL_EVENT_EXIT = 2,		/* signal, status as of waitpid(2) */
	PORTAL_EVENT_EXEC = 3,		/* 0; the string is the program's path */
	PORTAL_EVENT_SIGNAL = 4,	/* signal, its si_code, handler */
	PORTAL_EVENT_KPROBE = 5,	/* 0, result, arguments */
	PORTAL_EVENT_UPROBE = 6,	/* 0, result, arguments */
	PORTAL_EVENT_NODE = 7,		/* enum portal_node_request, 0, see there */
	PORTAL_EVENT_ASK = 8,		/* as SYSCALL; waits for hook_answer, @seq says for which */
};

/*
 * What a process does with a file of node_add. Its event has in @hook the file's
 * handle, in @args the request, then two of the request's own, then the open
 * file's flags (O_*). It waits for node_answer.
 */
enum portal_node_request {
	PORTAL_NODE_READ = 1,		/* offset, most bytes */
	PORTAL_NODE_WRITE = 2,		/* offset, bytes: node_data has them */
	PORTAL_NODE_IOCTL = 3,		/* number, argument; an address is one of @tgid's */
};

/**
 * struct portal_event - what a hook tells
 * @version: PORTAL_EVENT_VERSION
 * @kind: enum portal_event_kind
 * @len: bytes of all of it, a multiple of 8
 * @hook: its handle: epoch << 32 | number
 * @cookie: of the hook_start
 * @flags: PORTAL_EVENT_F_*
 * @cpu: where it happened
 * @pid: thread
 * @tgid: process
 * @time_ns: CLOCK_MONOTONIC
 * @seq: of the hook's events; what is missing was dropped
 * @dropped: of the hook, so far
 * @comm: name of the thread
 * @nr: number
 * @str_len: bytes of the string that follows, with its NUL; 0: none
 * @ret: result
 * @args: arguments
 */
struct portal_event {
	__u16 version;
	__u16 kind;
	__u32 len;
	__aligned_u64 hook;
	__aligned_u64 cookie;
	__u32 flags;
#define PORTAL_EVENT_F_RETURN	(1U << 0) /* at the return: @ret is valid */
#define PORTAL_EVENT_F_COMPAT	(1U << 1) /* a 32-bit system call */
#define PORTAL_EVENT_F_CUT	(1U << 2) /* the string goes on */
#define PORTAL_EVENT_F_FAULT	(1U << 3) /* the string was not in memory */
	__u32 cpu;
	__u32 pid;
	__u32 tgid;
	__aligned_u64 time_ns;
	__u32 seq;
	__u32 dropped;
	__u8 comm[16];
	__u32 nr;
	__u32 str_len;
	__aligned_s64 ret;
	__aligned_u64 args[6];
};

#define PORTAL_EVENT_MAX	(sizeof(struct portal_event) + PORTAL_EVENT_STRING)

#endif /* _UAPI_LINUX_PORTAL_CHANNEL_H */
