/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * portald/plugin.h - what a portald plugin is
 *
 * A plugin is NAME.so with one exported symbol, made by PORTALD_PLUGIN(). It
 * links to nothing of portald: everything it may call comes from the daemon.
 * portald runs each [instance] of portald.conf in a process of its own and
 * starts it again if it dies. New members are added only at the end of each
 * struct, so a plugin built long ago goes on working.
 *
 * Order of calls, all in one thread unless the thread model says otherwise:
 *
 *	load -> config* -> config_complete -> open -> (call | read | write |
 *	interrupt | block functions)* -> close -> unload
 *
 * Callbacks return 0 or a positive value, or -errno; portal_error() says why.
 */
#ifndef PORTALD_PLUGIN_H
#define PORTALD_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PORTALD_API_VERSION	1

struct portal_instance;		/* one [instance] of portald.conf, the daemon's */
struct portal_event;		/* <linux/portal_channel.h> */
struct iovec;
struct io_uring;

enum portald_thread_model {
	/* one callback at a time; the default */
	PORTALD_THREAD_SERIAL = 0,
	/* block functions at the same time, from several threads */
	PORTALD_THREAD_PARALLEL = 1,
};

/*
 * One call of a guest: a hypercall of this service, or an access to a CALL
 * register. Valid during the callback.
 */
struct portal_call {
	uint32_t fn;		/* function number, 0 to fns - 1 */
	uint32_t vcpu;
	uint64_t args[4];
};

/* Attribute ranges of a plugin's own registers; as struct portal_region_range. */
struct portal_register {
	uint32_t offset;
	uint32_t len;
	uint32_t attr;		/* enum portal_attr */
	uint32_t flags;		/* PORTAL_RANGE_F_POST, PORTAL_RANGE_F_COUNT */
	uint32_t aux;
	uint32_t width;
};

/* One block request of the asynchronous interface. */
struct portal_io {
	uint32_t op;
#define PORTAL_IO_READ		0
#define PORTAL_IO_WRITE		1
#define PORTAL_IO_FLUSH		2
#define PORTAL_IO_DISCARD	3
#define PORTAL_IO_ZERO		4
	uint32_t flags;
#define PORTAL_IO_F_FUA		(1U << 0)
#define PORTAL_IO_F_UNMAP	(1U << 1)	/* ZERO may punch a hole */
	uint64_t offset;	/* bytes, checked against get_size() */
	uint64_t len;		/* bytes */
	const struct iovec *iov; /* guest memory; NULL for FLUSH, DISCARD, ZERO */
	uint32_t iovcnt;
	uint32_t __pad;
	void *plugin_data[4];	/* the plugin's own use */
};

/*
 * What requests to a block plugin must be like. portald has filled it for a
 * plugin that takes anything; 0 means no limit. Only grows, as all structs.
 */
struct portal_io_limits {
	uint32_t struct_size;	/* portald's: what lies beyond is not there */
	uint32_t mem_align;	/* of READ and WRITE: address and length of each iovec */
	uint32_t max_iovs;
	uint32_t max_inflight;	/* requests at a time */
	uint64_t max_transfer;	/* bytes of a READ or WRITE */
	uint64_t max_discard;	/* bytes of a DISCARD or ZERO */
};

/* A layer below a filter, the daemon's; see open_filter. */
struct portal_lower;

struct portal_lower_info {
	uint64_t size;
	uint32_t logical;
	uint32_t physical;
	bool writable;		/* flush, FUA, discard and zeroes always work: */
	bool flush;		/* these say if the layer does them itself */
	bool fua;
	bool discard;
	bool zero;
};

/*
 * One operation on the worker's io_uring, embedded in something of the
 * plugin's. Put its address into sqe->user_data; done() gets cqe->res. With
 * user_data 0 nobody is told.
 */
struct portal_uring_op {
	void (*done)(struct portal_uring_op *op, int res);
};

/*
 * A command for the agent in the guest: <linux/portal_cmd.h> has the numbers and
 * layouts, commands.rst what they do, guest.h functions for them. Zero what is
 * not used. From api->command() to api->command_end() it is the daemon's, with
 * all that it points to.
 */
struct portal_command {
	uint32_t op;		/* enum portal_cmd_op */
	uint32_t pid;		/* 0 is process 0 */
	uint64_t addr;
	uint64_t size;
	const struct iovec *in;	/* payload */
	uint32_t in_cnt;
	uint32_t out_len;	/* room for the answer */
	uint32_t timeout_ms;	/* 0: 10 s */
	uint32_t __pad;
	uint64_t cookie;
	/*
	 * It is over. In the worker's thread, or in the one that cancels it;
	 * NULL: only command_wait() is used.
	 */
	void (*done)(struct portal_command *cmd);

	/* given by command(); never the same again in this process */
	uint64_t txn;
	/* given when it is over */
	int32_t status;		/* 0 or -errno */
	uint32_t flags;		/* PORTAL_DONE_F_* */
	uint64_t out_size;	/* bytes of the answer, or written */
	uint64_t value;
	uint64_t cursor;
	uint64_t count;
	/*
	 * The answer, in the guest's memory: it may change while you look. Copy
	 * what you check. NULL if there is none.
	 */
	const struct iovec *out;
	uint32_t out_cnt;
	uint32_t over;
	struct portal_command *next;	/* the daemon's */
	uint64_t deadline;		/* the daemon's */
	uint64_t wire_txn;		/* the daemon's */
	void *plugin_data[4];	/* the plugin's own use */
};

/* What the guest's owner allows, and how it goes. */
struct portal_command_info {
	uint64_t struct_size;	/* (in) sizeof(struct portal_command_info) */
	uint32_t connected;	/* the guest has an agent, and it answers */
	uint32_t credits;	/* commands that could be sent now */
	uint64_t classes;	/* 1 << PORTAL_CLASS_* */
	uint64_t data_len;	/* bytes for payloads and answers of all commands */
	uint64_t sent;
	uint64_t answered;
	uint64_t timeouts;
	uint64_t cancelled;
	uint64_t stale;		/* answers that nobody waited for any more */
	uint64_t resets;	/* times that the guest or its agent came back */
	uint64_t repeated;	/* interrupts raised again: the guest had not come for 1 s */
	uint64_t events;	/* that hooks told */
	uint64_t stale_events;	/* of hooks that are no more */
};

/* What the daemon offers. Never NULL up to the size it was built with. */
struct portald_api {
	uint64_t struct_size;
	/* Why a callback fails; log levels as syslog(3)'s. */
	void (*error)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
	void (*log)(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	int (*parse_size)(const char *str, uint64_t *size);	/* "64M" */
	int (*parse_bool)(const char *str, bool *val);		/* "on", "no" */
	/*
	 * Queues an interrupt: the guest's portal_guest.ko is woken by a real
	 * interrupt and lets .interrupt run. Calls before that are counted,
	 * not lost. From any thread.
	 */
	int (*queue_interrupt)(struct portal_instance *pi);
	/* Shadow registers of this instance; NULL while no guest enabled it. */
	void *(*shadow)(struct portal_instance *pi, size_t *len);
	/* Raises the instance's own interrupt line. */
	int (*raise_irq)(struct portal_instance *pi);
	/* Copies of guest memory; bytes done, or -errno. */
	int64_t (*mem_read)(struct portal_instance *pi, uint64_t gpa, void *buf, size_t len);
	int64_t (*mem_write)(struct portal_instance *pi, uint64_t gpa, const void *buf,
			     size_t len);
	/* The worker's ring, for submit() of a block plugin; see portal_uring_op. */
	struct io_uring *(*uring)(struct portal_instance *pi);
	/* Ends a request given to submit(): 0 or -errno. From any thread. */
	void (*io_done)(struct portal_io *io, int err);
	/* Size of the medium changed: get_size() is asked again. */
	void (*size_changed)(struct portal_instance *pi);
	/*
	 * The layer below a filter, for open_filter and everything after it.
	 * lower_submit() starts @io, any request of any length within the size,
	 * and ends it by @done, always in the worker's event thread and perhaps
	 * before it returns. -errno: not started. Only from the event thread.
	 */
	const struct portal_lower_info *(*lower_info)(struct portal_lower *lower);
	int (*lower_submit)(struct portal_lower *lower, struct portal_io *io,
			    void (*done)(struct portal_io *io, int err));
	/*
	 * Commands; only for plugins with .commands. From any thread.
	 *
	 * command() starts one: 0, or -ENOTCONN (the guest has no agent, or its
	 * owner enabled none), -EMSGSIZE (larger than the data region),
	 * -EPROTONOSUPPORT (the agent's command looks different). Then
	 * done() is called, once. Each that was started must be ended by
	 * command_end(), when it is over: that gives its answer back.
	 */
	int (*command)(struct portal_instance *pi, struct portal_command *cmd);
	/* Starts it and waits until it is over: its status. Not in the worker's
	 * own thread, which serves the guest (-EDEADLK, and nothing is started). */
	int (*command_wait)(struct portal_instance *pi, struct portal_command *cmd);
	void (*command_end)(struct portal_instance *pi, struct portal_command *cmd);
	/* It will soon be over: -ENOENT: there is no such one. */
	int (*command_cancel)(struct portal_instance *pi, uint64_t txn);
	int (*command_info)(struct portal_instance *pi, struct portal_command_info *info);
	/*
	 * For .cancel and .resize of a filter, from the event thread: what the
	 * layer below makes of it. @io was given to lower_submit(), and has not
	 * ended; it may end before lower_cancel() returns. lower_resize() is
	 * -EOPNOTSUPP where that layer cannot.
	 */
	void (*lower_cancel)(struct portal_lower *lower, struct portal_io *io);
	int (*lower_resize)(struct portal_lower *lower, uint64_t size);
};

struct portald_plugin {
	/* filled by PORTALD_PLUGIN() */
	uint64_t struct_size;
	uint32_t api_version;
	uint32_t thread_model;	/* enum portald_thread_model */

	const char *name;		/* required: [a-z0-9-], as the file */
	const char *longname;
	const char *version;
	const char *description;
	const char *config_help;	/* lines of "key=value  (required) ..." */

	int (*load)(const struct portald_api *api);
	void (*unload)(void);
	/* One key of the instance's section; unknown keys: return -ENOENT. */
	int (*config)(const char *key, const char *value);
	int (*config_complete)(void);
	/*
	 * The handle goes to every callback below; NULL: failed. Without open
	 * it is the instance.
	 */
	void *(*open)(struct portal_instance *pi);
	void (*close)(void *handle);

	/* -- service: hypercalls and queued interrupts -- */
	uint32_t fns;			/* hypercall functions, 0 to 255 */
	uint32_t region_len;		/* bytes of registers, 0 if none */
	const struct portal_register *registers;
	uint32_t nr_registers;
	/* A hypercall; *value goes to the guest, or return -errno. */
	int (*call)(void *handle, const struct portal_call *call, uint64_t *value);
	/* Read of a CALL register. */
	int (*reg_read)(void *handle, uint32_t offset, uint32_t len, uint64_t *value);
	/* A posted, SYNC or CALL write, or a doorbell (value: count if COUNT). */
	int (*reg_write)(void *handle, uint32_t offset, uint32_t len, uint64_t value);
	/* @count interrupts were queued; *value goes to waiting guest programs. */
	int (*interrupt)(void *handle, uint64_t count, uint64_t *value);

	/* -- block backend: get_size, and pread or submit, are required -- */
	int64_t (*get_size)(void *handle);
	int (*block_size)(void *handle, uint32_t *logical, uint32_t *physical);
	int (*can_write)(void *handle);		/* 1 yes, 0 no, default 0 */
	int (*can_flush)(void *handle);		/* default: is .flush set */
	int (*can_fua)(void *handle);		/* default: emulated by flush */
	int (*can_discard)(void *handle);
	int (*can_zero)(void *handle);
	int (*pread)(void *handle, void *buf, uint64_t len, uint64_t offset);
	int (*pwrite)(void *handle, const void *buf, uint64_t len, uint64_t offset,
		      uint32_t flags);
	int (*flush)(void *handle);
	int (*discard)(void *handle, uint64_t len, uint64_t offset);
	int (*zero)(void *handle, uint64_t len, uint64_t offset, uint32_t flags);
	/* Asynchronous: start @io, end it by api->io_done(); -errno: not started. */
	int (*submit)(void *handle, struct portal_io *io);
	/* Asked once, after block_size. */
	int (*io_limits)(void *handle, struct portal_io_limits *limits);
	/*
	 * @io, given to submit(), should end early. It ends by io_done() all the
	 * same, with -ECANCELED, or as if nothing had been asked; not before the
	 * plugin has stopped using its memory.
	 */
	void (*cancel)(void *handle, struct portal_io *io);
	/*
	 * Instead of open: the plugin is a filter over another block plugin, which
	 * the section names by lower=NAME; its keys are lower.KEY=VALUE. @lower is
	 * open, and is closed after .close.
	 */
	void *(*open_filter)(struct portal_instance *pi, struct portal_lower *lower);
	/*
	 * Make the medium @size bytes long: portalctl disk resize --size. Then
	 * get_size() is asked again. Without it only the medium's own owner can.
	 */
	int (*resize)(void *handle, uint64_t size);

	/* -- commands to the guest's agent -- */
	uint32_t commands;	/* 1: it sends some; .fns is at most 240 then */
	uint32_t __pad;
	/*
	 * A program of the host (portalctl guest) has connected, by a socket
	 * (SOCK_SEQPACKET) that is the plugin's from now on; -errno: it is not.
	 */
	int (*connect)(void *handle, int fd);
	/*
	 * A hook that a command added tells something. @ev is a copy, valid during
	 * the callback: ev->len bytes, in which the string, if it has one, ends.
	 * What is in it is the guest's word. NULL: all hooks have ended, with the
	 * guest's agent. In the worker's thread; not to be waited in, for the guest
	 * waits too.
	 */
	void (*event)(void *handle, const struct portal_event *ev);
};

#if defined(__cplusplus)
#define PORTALD_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define PORTALD_EXPORT __attribute__((visibility("default")))
#endif

#ifndef PORTALD_THREAD_MODEL
#define PORTALD_THREAD_MODEL PORTALD_THREAD_SERIAL
#endif

/* The one exported symbol. */
#define PORTALD_PLUGIN(plugin)						\
	PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void);	\
	PORTALD_EXPORT struct portald_plugin *portald_plugin_init(void)	\
	{								\
		(plugin).struct_size = sizeof(plugin);			\
		(plugin).api_version = PORTALD_API_VERSION;		\
		(plugin).thread_model = PORTALD_THREAD_MODEL;		\
		return &(plugin);					\
	}

#ifdef __cplusplus
}
#endif

#endif /* PORTALD_PLUGIN_H */
