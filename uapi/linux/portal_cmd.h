/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * portal_cmd.h - commands for the agent in the guest
 *
 * Made by uapi/portal-cmd.sh from portal_cmd.def: change that.
 * Documentation/portal/commands.rst says what each does.
 */
#ifndef _UAPI_LINUX_PORTAL_CMD_H
#define _UAPI_LINUX_PORTAL_CMD_H

#include <linux/types.h>

#ifndef __aligned_s64
#define __aligned_s64 __s64 __attribute__((aligned(8)))
#endif

#define PORTAL_CMD_VERSION	1
/* of all numbers and layouts below */
#define PORTAL_CMD_ABI_HASH	0x72c0b42fdf922417ULL

/* What the guest's owner can allow, as bits. */
enum portal_cmd_class {
	PORTAL_CLASS_BASE = 0,	/* what the agent is; always allowed */
	PORTAL_CLASS_MEM = 1,	/* memory of processes */
	PORTAL_CLASS_KMEM = 2,	/* memory of the kernel, read only */
	PORTAL_CLASS_TASK = 3,	/* processes: list, arguments, environment, maps, files, registers */
	PORTAL_CLASS_FILE = 4,	/* files: read, write, list */
	PORTAL_CLASS_EXEC = 5,	/* programs */
	PORTAL_CLASS_SYM = 6,	/* names and addresses of the kernel's functions */
	PORTAL_CLASS_HOOK = 7,	/* hooks: system calls, programs and functions as they happen */
	PORTAL_CLASS_NET = 8,	/* network devices: list, make, set */
	PORTAL_CLASS_NODE = 9,	/* files of /proc and /dev that a plugin serves */
};

enum portal_cmd_op {
	PORTAL_CMD_PING = 0x01,
	PORTAL_CMD_FEATURES = 0x02,
	PORTAL_CMD_CANCEL = 0x03,
	PORTAL_CMD_UNAME = 0x04,
	PORTAL_CMD_TIME = 0x05,
	PORTAL_CMD_MEM_READ = 0x10,
	PORTAL_CMD_MEM_WRITE = 0x11,
	PORTAL_CMD_MEM_READ_STR = 0x12,
	PORTAL_CMD_MEM_READ_STRV = 0x13,
	PORTAL_CMD_MEM_COPY = 0x14,
	PORTAL_CMD_KMEM_READ = 0x18,
	PORTAL_CMD_KMEM_READ_STR = 0x19,
	PORTAL_CMD_TASK_LIST = 0x20,
	PORTAL_CMD_TASK_INFO = 0x21,
	PORTAL_CMD_TASK_EXE = 0x22,
	PORTAL_CMD_TASK_ARGS = 0x23,
	PORTAL_CMD_TASK_ENV = 0x24,
	PORTAL_CMD_TASK_MAPS = 0x25,
	PORTAL_CMD_TASK_FDS = 0x26,
	PORTAL_CMD_TASK_REGS = 0x27,
	PORTAL_CMD_FILE_STAT = 0x30,
	PORTAL_CMD_FILE_READ = 0x31,
	PORTAL_CMD_FILE_WRITE = 0x32,
	PORTAL_CMD_FILE_OPEN = 0x33,
	PORTAL_CMD_FILE_HANDLE_READ = 0x34,
	PORTAL_CMD_FILE_HANDLE_WRITE = 0x35,
	PORTAL_CMD_FILE_CLOSE = 0x36,
	PORTAL_CMD_EXEC = 0x40,
	PORTAL_CMD_SYM_LOOKUP = 0x50,
	PORTAL_CMD_SYM_NAME = 0x51,
	PORTAL_CMD_HOOK_START = 0x60,
	PORTAL_CMD_HOOK_STOP = 0x61,
	PORTAL_CMD_HOOK_STAT = 0x62,
	PORTAL_CMD_HOOK_ANSWER = 0x63,
	PORTAL_CMD_NET_LIST = 0x70,
	PORTAL_CMD_NET_INFO = 0x71,
	PORTAL_CMD_NET_ADD = 0x72,
	PORTAL_CMD_NET_SET = 0x73,
	PORTAL_CMD_NET_DEL = 0x74,
	PORTAL_CMD_NODE_ADD = 0x80,
	PORTAL_CMD_NODE_DEL = 0x81,
	PORTAL_CMD_NODE_DATA = 0x82,
	PORTAL_CMD_NODE_ANSWER = 0x83,
	PORTAL_CMD_NODE_READY = 0x84,
	PORTAL_CMD_NODE_MEM_READ = 0x85,
	PORTAL_CMD_NODE_MEM_WRITE = 0x86,
};

/**
 * struct portal_cmd_features - little endian
 * @version: of the commands, PORTAL_CMD_VERSION
 * @nr_ops: records that follow
 * @abi_hash: the agent's PORTAL_CMD_ABI_HASH
 * @classes: that the guest's owner allows, as bits
 * @data_len: bytes of the data region
 */
struct portal_cmd_features {
	__u32 version;
	__u32 nr_ops;
	__aligned_u64 abi_hash;
	__aligned_u64 classes;
	__aligned_u64 data_len;
};

/**
 * struct portal_cmd_op_info - little endian
 * @op: number
 * @op_class: its class's bit number
 * @hash: of its layout; another one than here: do not use it
 */
struct portal_cmd_op_info {
	__u16 op;
	__u16 op_class;
	__u32 hash;
};

/**
 * struct portal_cmd_uname - little endian
 * @sysname: operating system
 * @nodename: host name
 * @release: of the kernel
 * @version: of the kernel
 * @machine: architecture
 * @domainname: NIS domain
 * @pad: 0
 */
struct portal_cmd_uname {
	__u8 sysname[65];
	__u8 nodename[65];
	__u8 release[65];
	__u8 version[65];
	__u8 machine[65];
	__u8 domainname[65];
	__u8 pad[2];
};

/**
 * struct portal_cmd_time - little endian
 * @realtime_ns: since 1970
 * @boottime_ns: since boot, with sleep
 * @monotonic_ns: since boot
 */
struct portal_cmd_time {
	__aligned_s64 realtime_ns;
	__aligned_s64 boottime_ns;
	__aligned_s64 monotonic_ns;
};

/**
 * struct portal_cmd_mem_copy - little endian
 * @to_addr: where to
 * @size: bytes, at most 16 MiB
 * @to_pid: process, may be the same
 * @pad: 0
 */
struct portal_cmd_mem_copy {
	__aligned_u64 to_addr;
	__aligned_u64 size;
	__u32 to_pid;
	__u32 pad;
};

/**
 * struct portal_cmd_task - little endian
 * @pid: process, its thread group
 * @ppid: parent
 * @threads: of it
 * @uid: real user
 * @gid: real group
 * @euid: effective user
 * @flags: 1: kernel thread
 * @state: as the letter in ps: R S D T t X Z P I
 * @start_ns: since boot; with pid the identity of a process
 * @vm_pages: mapped, 0 for a kernel thread
 * @rss_pages: in memory
 * @utime_ns: of all its threads
 * @stime_ns: of all its threads
 * @comm: name, NUL-terminated
 */
struct portal_cmd_task {
	__u32 pid;
	__u32 ppid;
	__u32 threads;
	__u32 uid;
	__u32 gid;
	__u32 euid;
	__u32 flags;
	__u32 state;
	__aligned_u64 start_ns;
	__aligned_u64 vm_pages;
	__aligned_u64 rss_pages;
	__aligned_u64 utime_ns;
	__aligned_u64 stime_ns;
	__u8 comm[16];
};

/**
 * struct portal_cmd_map - little endian
 * @start: first byte
 * @end: byte after the last
 * @offset: in the file, bytes
 * @inode: of the file, 0 without
 * @dev_major: of the file
 * @dev_minor: of the file
 * @prot: 1 read, 2 write, 4 execute, 8 shared
 * @len: bytes from this record to the next; the path with its NUL is between
 */
struct portal_cmd_map {
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 offset;
	__aligned_u64 inode;
	__u32 dev_major;
	__u32 dev_minor;
	__u32 prot;
	__u32 len;
};

/**
 * struct portal_cmd_fd - little endian
 * @fd: number
 * @mode: of the inode
 * @flags: of the file, O_*
 * @len: bytes from this record to the next; the path with its NUL is between
 * @pos: position
 * @inode: number
 */
struct portal_cmd_fd {
	__u32 fd;
	__u32 mode;
	__u32 flags;
	__u32 len;
	__aligned_u64 pos;
	__aligned_u64 inode;
};

/**
 * struct portal_cmd_regs - little endian
 * @r15: register
 * @r14: register
 * @r13: register
 * @r12: register
 * @bp: register
 * @bx: register
 * @r11: register
 * @r10: register
 * @r9: register
 * @r8: register
 * @ax: register
 * @cx: register
 * @dx: register
 * @si: register
 * @di: register
 * @orig_ax: system call it is in, or -1
 * @ip: register
 * @cs: register
 * @flags: register
 * @sp: register
 * @ss: register
 */
struct portal_cmd_regs {
	__aligned_u64 r15;
	__aligned_u64 r14;
	__aligned_u64 r13;
	__aligned_u64 r12;
	__aligned_u64 bp;
	__aligned_u64 bx;
	__aligned_u64 r11;
	__aligned_u64 r10;
	__aligned_u64 r9;
	__aligned_u64 r8;
	__aligned_u64 ax;
	__aligned_u64 cx;
	__aligned_u64 dx;
	__aligned_u64 si;
	__aligned_u64 di;
	__aligned_u64 orig_ax;
	__aligned_u64 ip;
	__aligned_u64 cs;
	__aligned_u64 flags;
	__aligned_u64 sp;
	__aligned_u64 ss;
};

/**
 * struct portal_cmd_stat - little endian
 * @size: bytes
 * @inode: number
 * @mtime_ns: last change
 * @mode: type and permissions
 * @nlink: links
 * @uid: owner
 * @gid: group
 * @dev_major: of the file system
 * @dev_minor: of the file system
 */
struct portal_cmd_stat {
	__aligned_u64 size;
	__aligned_u64 inode;
	__aligned_u64 mtime_ns;
	__u32 mode;
	__u32 nlink;
	__u32 uid;
	__u32 gid;
	__u32 dev_major;
	__u32 dev_minor;
};

/**
 * struct portal_cmd_file_write - little endian
 * @flags: 1: make it if it is not there; 2: empty it first; 4: at its end, not at the offset
 * @mode: of a file that is made
 * @path_len: bytes of the path, with its NUL, before the data
 * @pad: 0
 */
struct portal_cmd_file_write {
	__u32 flags;
	__u32 mode;
	__u32 path_len;
	__u32 pad;
};

/**
 * struct portal_cmd_exec - little endian
 * @argc: strings that are arguments; the first is the program's absolute path
 * @envc: strings after them that are its environment
 * @in_len: bytes after them that it can read as its input
 * @pad: 0
 */
struct portal_cmd_exec {
	__u32 argc;
	__u32 envc;
	__u32 in_len;
	__u32 pad;
};

/**
 * struct portal_cmd_exec_result - little endian
 * @wait_status: as of waitpid(2)
 * @pad: 0
 * @out_len: bytes it wrote to its output
 * @err_len: bytes it wrote to its error output
 * @out_given: bytes of the output that follow
 * @err_given: bytes of the error output that follow them
 */
struct portal_cmd_exec_result {
	__s32 wait_status;
	__u32 pad;
	__aligned_u64 out_len;
	__aligned_u64 err_len;
	__aligned_u64 out_given;
	__aligned_u64 err_given;
};

/**
 * struct portal_cmd_hook - little endian
 * @kind: 1: system calls, 2: ends of threads, 3: new programs, 4: signals delivered, 5: a function of the kernel, 6: an instruction of a program, 8: a system call that waits for hook_answer
 * @when: 1: at the entry, 2: at the return, 3: both; 1 where there is only one moment
 * @flags: 1: @root is the program that exec starts with this cookie; 2: of @root's descendants, too; 4: kind 8 does not wait: its answer is in the payload
 * @root: process, 0: any
 * @every: nth of those that pass is told, 0: each
 * @rate: most events in a second, 0: any
 * @nr_filters: that follow, at most 16; all must hold
 * @string_arg: which argument (1 to 6) is a string of the process, to be copied; 0: none
 * @timeout_ms: kind 8: how long a call waits, at most 600000; then it goes on as if there were no hook; 0: 10000
 * @pad: 0
 * @nrs: system calls: bit N % 8 of byte N / 8 for number N; none set: each
 */
struct portal_cmd_hook {
	__u16 kind;
	__u16 when;
	__u32 flags;
	__u32 root;
	__u32 every;
	__u32 rate;
	__u16 nr_filters;
	__u16 string_arg;
	__u32 timeout_ms;
	__u32 pad;
	__u8 nrs[64];
};

/**
 * struct portal_cmd_hook_filter - little endian
 * @field: 1: thread, 2: process, 3: comm, 4: number, 5: returned value, 6: the string, 16 to 21: arguments (the last two not when a function returns)
 * @cmp: 1: equal, 2: not equal, 3: less, 4: less or equal, 5: greater, 6: greater or equal, 7: from value to value2, 8: all bits of value set, 9: all bits of value clear, 10: no errno, 11: an errno, 12: the same string, 13: begins with it, 14: ends with it, 15: contains it
 * @flags: 1: numbers are signed
 * @value: to compare with
 * @value2: end of a range, in it
 * @str: to compare with, ends with NUL
 */
struct portal_cmd_hook_filter {
	__u16 field;
	__u16 cmp;
	__u32 flags;
	__aligned_u64 value;
	__aligned_u64 value2;
	__u8 str[64];
};

/**
 * struct portal_cmd_hook_answer - little endian
 * @request: the event's seq; 0 in hook_start
 * @flags: 1: ret is what the call returns; 2: args are its arguments; 4: it is not done at all
 * @pad: 0
 * @ret: with flag 1
 * @arg0: with flag 2, as arg1 to arg5
 * @arg1: second argument
 * @arg2: third argument
 * @arg3: fourth argument
 * @arg4: fifth argument
 * @arg5: sixth argument
 */
struct portal_cmd_hook_answer {
	__aligned_u64 request;
	__u32 flags;
	__u32 pad;
	__aligned_s64 ret;
	__aligned_u64 arg0;
	__aligned_u64 arg1;
	__aligned_u64 arg2;
	__aligned_u64 arg3;
	__aligned_u64 arg4;
	__aligned_u64 arg5;
};

/**
 * struct portal_cmd_hook_stat - little endian
 * @hits: times that it was reached: kind, moment and number fit
 * @passed: those that the filters let through
 * @skipped: of these, by every and rate
 * @sent: events
 * @dropped: for want of room: told by nothing but this; of kind 8, calls that went on unasked
 * @expired: of kind 8: calls that got no answer in time
 */
struct portal_cmd_hook_stat {
	__aligned_u64 hits;
	__aligned_u64 passed;
	__aligned_u64 skipped;
	__aligned_u64 sent;
	__aligned_u64 dropped;
	__aligned_u64 expired;
};

/**
 * struct portal_cmd_net - little endian
 * @ifindex: number
 * @flags: IFF_* as in linux/if.h
 * @mtu: bytes
 * @type: ARPHRD_* as in linux/if_arp.h
 * @operstate: IF_OPER_* as in linux/if.h
 * @attr: 1: made by net_add
 * @rx_packets: received
 * @tx_packets: sent
 * @rx_bytes: received
 * @tx_bytes: sent
 * @tx_dropped: not sent
 * @mac: address, if it has 8 bytes or less
 * @name: NUL-terminated
 */
struct portal_cmd_net {
	__u32 ifindex;
	__u32 flags;
	__u32 mtu;
	__u32 type;
	__u32 operstate;
	__u32 attr;
	__aligned_u64 rx_packets;
	__aligned_u64 tx_packets;
	__aligned_u64 rx_bytes;
	__aligned_u64 tx_bytes;
	__aligned_u64 tx_dropped;
	__u8 mac[8];
	__u8 name[16];
};

/**
 * struct portal_cmd_net_add - little endian
 * @mtu: bytes, 68 to 65535; 0: 1500
 * @pad: 0
 * @mac: address in the first 6 bytes, the others 0; all 0: a random one
 */
struct portal_cmd_net_add {
	__u32 mtu;
	__u32 pad;
	__u8 mac[8];
};

/**
 * struct portal_cmd_net_set - little endian
 * @mask: what to change: 1: up, 2: carrier (only of a device of net_add), 4: mtu
 * @up: 0 or 1
 * @carrier: 0 or 1
 * @mtu: bytes
 */
struct portal_cmd_net_set {
	__u32 mask;
	__u32 up;
	__u32 carrier;
	__u32 mtu;
};

/**
 * struct portal_cmd_node_add - little endian
 * @kind: 1: a file of /proc, 2: a character device in /dev, 3: a directory of /proc
 * @mode: permissions, one at least
 * @timeout_ms: how long a process waits for an answer, at most 600000; 0: 10000
 * @mem_len: bytes that a process can map and node_mem reads and writes, whole pages, at most 1 MiB; 0: none
 */
struct portal_cmd_node_add {
	__u32 kind;
	__u32 mode;
	__u32 timeout_ms;
	__u32 mem_len;
};

/**
 * struct portal_cmd_node_answer - little endian
 * @request: that is answered
 * @result: a read: bytes that follow; a write: bytes taken; an ioctl: what it returns; else -errno
 */
struct portal_cmd_node_answer {
	__aligned_u64 request;
	__aligned_s64 result;
};

/**
 * struct portal_cmd_node_mem - little endian
 * @offset: in the memory
 */
struct portal_cmd_node_mem {
	__aligned_u64 offset;
};

/* Fields of struct portal_cmd that a command looks at. */
#define PORTAL_USE_PID		(1U << 0)
#define PORTAL_USE_ADDR		(1U << 1)
#define PORTAL_USE_SIZE		(1U << 2)

/* What follows the struct of a payload. */
#define PORTAL_TAIL_NONE	0
#define PORTAL_TAIL_BYTES	1
#define PORTAL_TAIL_PATH	2	/* one string */
#define PORTAL_TAIL_STRINGS	3	/* each with its NUL */
#define PORTAL_TAIL_RECORDS	4

/* X(NAME, name, bit, text) */
#define PORTAL_CMD_CLASSES(X) \
	X(BASE, base, 0, "what the agent is; always allowed") \
	X(MEM, mem, 1, "memory of processes") \
	X(KMEM, kmem, 2, "memory of the kernel, read only") \
	X(TASK, task, 3, "processes: list, arguments, environment, maps, files, registers") \
	X(FILE, file, 4, "files: read, write, list") \
	X(EXEC, exec, 5, "programs") \
	X(SYM, sym, 6, "names and addresses of the kernel's functions") \
	X(HOOK, hook, 7, "hooks: system calls, programs and functions as they happen") \
	X(NET, net, 8, "network devices: list, make, set") \
	X(NODE, node, 9, "files of /proc and /dev that a plugin serves")

/*
 * X(NAME, name, CLASS, use, in_size, in_tail, out_size, out_tail, out_record, hash):
 * bytes of the payload's struct and what follows, the same of the answer, bytes of a
 * record, hash of this command's layout
 */
#define PORTAL_CMD_TABLE(X) \
	X(PING, ping, BASE, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x824e90c3U) \
	X(FEATURES, features, BASE, \
	  0, 0, PORTAL_TAIL_NONE, \
	  32, PORTAL_TAIL_RECORDS, 8, 0x0f1270bbU) \
	X(CANCEL, cancel, BASE, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x8a369332U) \
	X(UNAME, uname, BASE, \
	  0, 0, PORTAL_TAIL_NONE, \
	  392, PORTAL_TAIL_NONE, 0, 0xe5f51355U) \
	X(TIME, time, BASE, \
	  0, 0, PORTAL_TAIL_NONE, \
	  24, PORTAL_TAIL_NONE, 0, 0x208534bfU) \
	X(MEM_READ, mem_read, MEM, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x61fbbd07U) \
	X(MEM_WRITE, mem_write, MEM, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 0, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0x08b0c286U) \
	X(MEM_READ_STR, mem_read_str, MEM, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x0a85fb4fU) \
	X(MEM_READ_STRV, mem_read_strv, MEM, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_STRINGS, 0, 0x1c75388eU) \
	X(MEM_COPY, mem_copy, MEM, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 24, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x41e14b19U) \
	X(KMEM_READ, kmem_read, KMEM, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x5e8f5eacU) \
	X(KMEM_READ_STR, kmem_read_str, KMEM, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x60ade9f8U) \
	X(TASK_LIST, task_list, TASK, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_RECORDS, 88, 0x9b3854feU) \
	X(TASK_INFO, task_info, TASK, \
	  PORTAL_USE_PID, 0, PORTAL_TAIL_NONE, \
	  88, PORTAL_TAIL_NONE, 0, 0xbb45a22eU) \
	X(TASK_EXE, task_exe, TASK, \
	  PORTAL_USE_PID, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0xc9a27821U) \
	X(TASK_ARGS, task_args, TASK, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_STRINGS, 0, 0x691a78d9U) \
	X(TASK_ENV, task_env, TASK, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_STRINGS, 0, 0xa042e3baU) \
	X(TASK_MAPS, task_maps, TASK, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_RECORDS, 48, 0x4a26a801U) \
	X(TASK_FDS, task_fds, TASK, \
	  PORTAL_USE_PID | PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_RECORDS, 32, 0x412fbbfaU) \
	X(TASK_REGS, task_regs, TASK, \
	  PORTAL_USE_PID, 0, PORTAL_TAIL_NONE, \
	  168, PORTAL_TAIL_NONE, 0, 0x8c8906b8U) \
	X(FILE_STAT, file_stat, FILE, \
	  0, 0, PORTAL_TAIL_PATH, \
	  48, PORTAL_TAIL_NONE, 0, 0xc82faeb8U) \
	X(FILE_READ, file_read, FILE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_PATH, \
	  0, PORTAL_TAIL_BYTES, 0, 0x2ccffaf6U) \
	X(FILE_WRITE, file_write, FILE, \
	  PORTAL_USE_ADDR, 16, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0x81fd0306U) \
	X(FILE_OPEN, file_open, FILE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_PATH, \
	  0, PORTAL_TAIL_NONE, 0, 0x3d5953e9U) \
	X(FILE_HANDLE_READ, file_handle_read, FILE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x7d6e5fccU) \
	X(FILE_HANDLE_WRITE, file_handle_write, FILE, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0x8da6d529U) \
	X(FILE_CLOSE, file_close, FILE, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x04aa33acU) \
	X(EXEC, exec, EXEC, \
	  PORTAL_USE_SIZE, 16, PORTAL_TAIL_BYTES, \
	  40, PORTAL_TAIL_BYTES, 0, 0x680988d5U) \
	X(SYM_LOOKUP, sym_lookup, SYM, \
	  0, 0, PORTAL_TAIL_STRINGS, \
	  0, PORTAL_TAIL_NONE, 0, 0x0649636fU) \
	X(SYM_NAME, sym_name, SYM, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x9e10fe8cU) \
	X(HOOK_START, hook_start, HOOK, \
	  PORTAL_USE_ADDR, 96, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0x981ff37bU) \
	X(HOOK_STOP, hook_stop, HOOK, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0xb7eeab8aU) \
	X(HOOK_STAT, hook_stat, HOOK, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  48, PORTAL_TAIL_NONE, 0, 0x344c760eU) \
	X(HOOK_ANSWER, hook_answer, HOOK, \
	  PORTAL_USE_ADDR, 72, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0xe3300945U) \
	X(NET_LIST, net_list, NET, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_RECORDS, 88, 0xaba8ea72U) \
	X(NET_INFO, net_info, NET, \
	  0, 0, PORTAL_TAIL_STRINGS, \
	  88, PORTAL_TAIL_NONE, 0, 0xdd0101a7U) \
	X(NET_ADD, net_add, NET, \
	  0, 16, PORTAL_TAIL_STRINGS, \
	  0, PORTAL_TAIL_NONE, 0, 0x9e9faecfU) \
	X(NET_SET, net_set, NET, \
	  0, 16, PORTAL_TAIL_STRINGS, \
	  0, PORTAL_TAIL_NONE, 0, 0x0b798b8aU) \
	X(NET_DEL, net_del, NET, \
	  0, 0, PORTAL_TAIL_STRINGS, \
	  0, PORTAL_TAIL_NONE, 0, 0xbd961178U) \
	X(NODE_ADD, node_add, NODE, \
	  0, 16, PORTAL_TAIL_STRINGS, \
	  0, PORTAL_TAIL_NONE, 0, 0x0f767225U) \
	X(NODE_DEL, node_del, NODE, \
	  PORTAL_USE_ADDR, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x6bc724bfU) \
	X(NODE_DATA, node_data, NODE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0x554a7a1aU) \
	X(NODE_ANSWER, node_answer, NODE, \
	  PORTAL_USE_ADDR, 16, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0xca4434e8U) \
	X(NODE_READY, node_ready, NODE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 0, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_NONE, 0, 0x9c252e4dU) \
	X(NODE_MEM_READ, node_mem_read, NODE, \
	  PORTAL_USE_ADDR | PORTAL_USE_SIZE, 8, PORTAL_TAIL_NONE, \
	  0, PORTAL_TAIL_BYTES, 0, 0xe5e07250U) \
	X(NODE_MEM_WRITE, node_mem_write, NODE, \
	  PORTAL_USE_ADDR, 8, PORTAL_TAIL_BYTES, \
	  0, PORTAL_TAIL_NONE, 0, 0x23f1ce95U)

/* X(struct, bytes) */
#define PORTAL_CMD_STRUCTS(X) \
	X(struct portal_cmd_features, 32) \
	X(struct portal_cmd_op_info, 8) \
	X(struct portal_cmd_uname, 392) \
	X(struct portal_cmd_time, 24) \
	X(struct portal_cmd_mem_copy, 24) \
	X(struct portal_cmd_task, 88) \
	X(struct portal_cmd_map, 48) \
	X(struct portal_cmd_fd, 32) \
	X(struct portal_cmd_regs, 168) \
	X(struct portal_cmd_stat, 48) \
	X(struct portal_cmd_file_write, 16) \
	X(struct portal_cmd_exec, 16) \
	X(struct portal_cmd_exec_result, 40) \
	X(struct portal_cmd_hook, 96) \
	X(struct portal_cmd_hook_filter, 88) \
	X(struct portal_cmd_hook_answer, 72) \
	X(struct portal_cmd_hook_stat, 48) \
	X(struct portal_cmd_net, 88) \
	X(struct portal_cmd_net_add, 16) \
	X(struct portal_cmd_net_set, 16) \
	X(struct portal_cmd_node_add, 16) \
	X(struct portal_cmd_node_answer, 16) \
	X(struct portal_cmd_node_mem, 8)

#endif /* _UAPI_LINUX_PORTAL_CMD_H */
