/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * daemon.h - the supervisor: its objects and who does what with them
 *
 *	supervisor --- VMs --- slots (instances) --- one worker process each
 *	     \--- control socket --- connections of portalctl
 *
 * One thread, one sd-event loop: no locks. What takes long has a state and a
 * callback, never a wait.
 */
#ifndef PORTALD_DAEMON_H
#define PORTALD_DAEMON_H

#include <json-c/json.h>
#include <kvmportal/portal.h>
#include <linux/portal_guest.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "channel.h"
#include "config.h"
#include "keep.h"
#include "log.h"
#include "options.h"
#include "restart.h"

#define STOP_TIMEOUT	5000000ULL	/* us: to quiesce, then SIGKILL */
#define START_TIMEOUT	30000000ULL
#define ACK_TIMEOUT	5000000ULL

struct control;
struct instance;
struct vm;

/**
 * struct supervisor - everything
 * @event: the loop
 * @opts: command line
 * @cfg: replaced by SIGHUP; instances keep copies of what they need
 * @vms: list of attached ones
 * @control: the socket
 * @listen_fd: of a .socket unit, 0 none
 * @keep: who has copies of the VMs' fds
 * @keep_src: the keeper, if it is a process
 * @last_vm_id: for the names of kept fds
 * @next_serial: for PORTAL_SLOT_SERIAL
 * @stopping: SIGTERM came; ends when @vms is empty
 * @handover: and the VMs stay attached, for the next portald
 */
struct supervisor {
	sd_event *event;
	const struct options *opts;
	struct config *cfg;
	struct vm *vms;
	struct control *control;
	int listen_fd;
	struct keep *keep;
	sd_event_source *keep_src;
	unsigned int last_vm_id;
	uint32_t next_serial;
	bool stopping;
	bool handover;
};

/* Answers that are remembered: more than one read() of the queue gives. */
#define VM_DONE		128


enum vm_state {
	VM_ATTACHING,		/* workers start for the first time */
	VM_RUNNING,
	VM_LEAVING,		/* detach: the guest may let go of its devices */
	VM_STOPPING,		/* workers stop */
	VM_DEAD,		/* to be freed by the loop */
};

/**
 * struct vm - an attached VM
 * @id: in the names of its kept fds
 * @uid: of its process, who may manage it besides root
 * @queue: hypercalls of the bus, and life cycle
 * @bus_fd: eventfd: the generation changed, or an interrupt is queued
 * @event_gsi: where the guest wants @bus_fd, 0 nowhere
 * @generation: of the slots
 * @slots: instances by slot
 * @attach_conn: who waits for the end of ATTACHING, 0 nobody
 * @detach_conn: who waits for DEAD, 0 nobody
 * @unreleased: detach: names of devices the guest held to the end
 * @hellos: the guest has our driver
 * @text_fd: its snapshot, -1 none
 * @left: it stays attached when portald ends
 * @done: calls of the guest that changed something, and their answers
 */
struct vm {
	struct vm *next;
	unsigned int id;
	struct supervisor *sv;
	char name[64];
	pid_t pid;
	uid_t uid;
	enum vm_state state;
	struct portal_vm *pvm;
	struct portal_queue *queue;
	uint32_t hook_id;
	sd_event_source *queue_src;
	sd_event_source *timer;
	sd_event_source *reaper;
	int bus_fd;
	uint32_t event_gsi;
	uint32_t generation;
	struct instance *slots[PORTAL_BUS_SLOTS];
	unsigned int nr_slots;
	uint64_t attach_conn;
	uint64_t detach_conn;
	char unreleased[256];
	struct err failure;
	uint64_t hellos;
	int text_fd;
	bool left;
	struct {
		uint64_t id;
		int err;
	} done[VM_DONE];
	unsigned int next_done;
};

enum bus_op { BUS_OP_NONE, BUS_OP_ENABLE, BUS_OP_DISABLE };

/**
 * struct bus_slot - a slot as the guest sees it
 * @serial: of this device
 * @offered: its worker was ready once
 * @leaving: the host wants it back
 * @mapped: region and interrupt are the guest's, or become so
 * @enabled: and the guest was told so
 * @served: a worker acknowledged it: the next one resumes
 * @op: what the worker was asked to do, or will be by START
 * @op_req: the guest's call to answer then, 0 none
 * @op_seq: of the message
 * @op_undo: ENABLE: the guest rebooted meanwhile, disable it again
 * @wait_req: an ENABLE that waits for @op to end, 0 none
 */
struct bus_slot {
	uint32_t serial;
	bool offered;
	bool leaving;
	bool mapped;
	bool enabled;
	bool served;
	enum bus_op op;
	uint64_t op_req;
	uint32_t op_seq;
	bool op_undo;
	uint64_t wait_req;
	uint64_t wait_gpa;
	uint32_t wait_gsi;
	uint64_t gpa;
	uint32_t gsi;
	struct portal_region *region;
};

enum instance_state {
	INST_STARTING,		/* SETUP sent */
	INST_STARTED,		/* START sent */
	INST_RUNNING,		/* READY came */
	INST_WAITING,		/* died, starts again later */
	INST_FAILED,		/* died too often */
	INST_STOPPING,		/* STOP sent */
	INST_STOPPED,
};

/* What portalctl disk wants of an instance; one at a time. */
enum admin_op { ADMIN_NONE, ADMIN_ADD, ADMIN_REMOVE, ADMIN_RESIZE, ADMIN_LIMIT, ADMIN_SWAP };

/**
 * struct admin - an operation of portalctl disk under way
 * @op: which
 * @conn: who waits for its end, 0 nobody
 * @seq: of the message to the worker
 * @timer: of its end
 * @limits: LIMIT: for the setup of later workers
 * @old_setup: SWAP: of the medium that goes on if the new one cannot be opened
 */
struct admin {
	enum admin_op op;
	uint64_t conn;
	uint32_t seq;
	sd_event_source *timer;
	char limits[256];
	char *old_setup;
};

/**
 * struct instance - one [instance] for one VM, whichever process runs it
 * @setup: JSON for SETUP
 * @block: a medium: of one VM at a time
 * @timeout: seconds in which a worker has to answer a PING, 0 for ever
 * @ping_timer: twice in @timeout
 * @unanswered: ticks of it since a PING
 * @asked: STOP was sent to start another worker
 * @restart_conn: who waits for that, 0 nobody
 * @started: when @pid was, as in /proc/PID/stat
 * @desc: what the first worker said it is; later ones must agree
 * @start_enabled: START told the worker that the guest has enabled it
 * @kept: who keeps our fds has its fds, so the snapshot may tell of it
 * @admin: of portalctl disk
 * @page: shared with the worker, never truncated (sealed)
 * @stats: the worker's last STATS
 */
struct instance {
	struct vm *vm;
	unsigned int slot;
	char name[CONFIG_NAME_MAX + 1];
	char plugin[64];
	char *setup;
	bool block;
	bool restart;
	uint32_t timeout;
	sd_event_source *ping_timer;
	unsigned int unanswered;
	bool asked;
	uint64_t restart_conn;
	enum instance_state state;
	pid_t pid;
	uint64_t started;
	int chan;
	sd_event_source *chan_src;
	sd_event_source *child_src;
	sd_event_source *timer;
	struct chan_describe desc;
	bool described;
	bool start_enabled;
	bool kept;
	struct admin admin;
	int page_fd;
	struct chan_page *page;
	int irq_fd;
	int state_fd;
	uint32_t queue_id;
	uint32_t hook_id;
	struct bus_slot bus;
	struct restart deaths;
	struct err error;
	uint32_t next_seq;
	uint32_t stat_seq;
	struct json_object *stats;
};

/* supervisor.c */
int supervisor_run(const struct options *opts);
void supervisor_vm_freed(struct supervisor *sv);
void supervisor_status(struct supervisor *sv);
void supervisor_watch_keeper(struct supervisor *sv);

/* snapshot.c */
/* Gives all fds of @vm to who keeps them; forget() takes them back. */
void snapshot_keep(struct vm *vm);
void snapshot_forget(struct vm *vm);
/* The same of one instance that comes or goes. */
void snapshot_keep_slot(struct instance *inst);
void snapshot_forget_slot(struct instance *inst);
/* To be called before and after each change that a next portald must know. */
void snapshot_write(struct vm *vm);
int snapshot_put(int fd, const char *text);
struct json_object *snapshot_get(int fd);
void json_put_u64(struct json_object *obj, const char *key, uint64_t val);
void json_put_str(struct json_object *obj, const char *key, const char *val);
uint64_t json_u64(struct json_object *obj, const char *key);
int json_int(struct json_object *obj, const char *key);
const char *json_str(struct json_object *obj, const char *key);
struct json_object *json_list(struct json_object *obj, const char *key);

/* restore.c */
void restore_all(struct supervisor *sv);

/* attach.c */
struct attach_args {
	pid_t pid;
	int vm_fd;		/* number inside the process, -1 the only one */
	const char *vm_name;	/* QEMU's -name, or libvirt's domain, instead of @pid */
	const char *domain;	/* libvirt's domain, instead of @pid */
	const char *name;	/* NULL: from the process */
	const char **instances;
	unsigned int nr_instances;	/* 0: all */
	uid_t peer;
};

/* Begins to attach; the end goes to connection @conn. */
int attach(struct supervisor *sv, const struct attach_args *args, uint64_t conn,
	   struct err *err);
/* May @peer manage processes of @uid? */
bool attach_allowed(uid_t peer, uid_t uid);

/* process.c */
#define LIBVIRT_DIR	"/run/libvirt/qemu"

/* By QEMU's -name; *others: the names that other processes have. */
pid_t process_by_vm_name(const char *vm_name, char *others, size_t len_others);
pid_t process_by_domain(const char *dir, const char *domain);
int process_uid(pid_t pid, uid_t *uid);
void process_vm_name(pid_t pid, char *buf, size_t len);
/* When it was started, in ticks since boot; 0 if there is none. */
uint64_t process_started(pid_t pid);

/* vm.c */
int vm_create(struct supervisor *sv, struct portal_vm *pvm, const char *name, pid_t pid,
	      uid_t uid, struct vm **vm, struct err *err);
/* For restore.c: a VM without queue and slots, and what ends it again. */
struct vm *vm_alloc(struct supervisor *sv, struct portal_vm *pvm, const char *name, pid_t pid,
		    uid_t uid);
int vm_open_queue(struct vm *vm, uint32_t queue_id);
void vm_discard(struct vm *vm);
struct vm *vm_find(struct supervisor *sv, const char *name, pid_t pid);
const char *vm_state_name(enum vm_state state);
/* Ends @vm: waits @timeout_ms for the guest to let go (0: not at all). */
void vm_detach(struct vm *vm, uint64_t timeout_ms, uint64_t conn);
void vm_stop(struct vm *vm);
void vm_instance_ready(struct vm *vm);
void vm_instance_stopped(struct vm *vm);
void vm_instance_failed(struct instance *inst);
void vm_slot_released(struct vm *vm);
/* Sends the replies collected for the guest's bus calls. */
void vm_flush(struct vm *vm);

/* bus.c: a call of the guest */
void bus_request(struct vm *vm, const struct portal_request *req);
/* Call @id is answered by @err: to be written before the answer is sent. */
void vm_done(struct vm *vm, uint64_t id, int err);
/* Was @req, handed out again, answered already? */
bool vm_was_done(const struct vm *vm, const struct portal_request *req, int *err);

/* slot.c */
enum portal_slot_state bus_slot_state(const struct instance *inst);
void bus_signal(struct vm *vm);
/* @id 0: nobody waits for it */
void bus_answer(struct vm *vm, uint64_t id, int err, uint64_t value);
/* Both answer call @req now or later. */
void slot_enable(struct instance *inst, uint64_t req, uint64_t gpa, uint32_t gsi);
void slot_disable(struct instance *inst, uint64_t req);
int slot_place(struct instance *inst);
void bus_hello(struct vm *vm);
void bus_changed(struct vm *vm);
void bus_offer(struct instance *inst);
void bus_leave(struct vm *vm);
void bus_leave_slot(struct instance *inst);
/* Off the guest, without asking; its worker must have ended. */
void bus_take_slot(struct instance *inst);
void bus_return(struct instance *inst);
void bus_ack(struct instance *inst, uint32_t seq, int err);
void bus_worker_ready(struct instance *inst);
void bus_worker_gone(struct instance *inst);
void bus_fail(struct instance *inst);
void bus_close(struct vm *vm);

/* instance.c */
int instance_create(struct vm *vm, unsigned int slot, const struct config_instance *ci,
		    struct instance **inst, struct err *err);
void instance_destroy(struct instance *inst);
/* A worker for it, now. */
void instance_start(struct instance *inst);
/* Instead of the one it has, or had; the end goes to connection @conn. */
int instance_restart(struct instance *inst, uint64_t conn, struct err *err);
/* Answers who waits for that; @why NULL: it serves. */
void instance_restarted(struct instance *inst, const char *why);
/* The next worker takes over from this one, which ends what it has begun. */
int instance_replace(struct instance *inst, struct err *err);
/* JSON for SETUP, malloc'ed */
char *instance_setup_json(const struct vm *vm, const struct config_instance *ci);
int instance_make_state(struct instance *inst);
void instance_stop(struct instance *inst);
void instance_kill(struct instance *inst, const char *why);
int instance_interrupt(struct instance *inst);
bool instance_pending(const struct instance *inst);
const char *instance_state_name(enum instance_state state);
/* Who of all VMs has the block instance @name? */
struct instance *instance_holder(struct supervisor *sv, const char *name);

/* instance_msg.c: to and from the worker */
int instance_setup(struct instance *inst);
void instance_read(struct instance *inst);
/* 0: sent, answer by bus_ack(); -ENOTCONN: no worker that would know of it */
int instance_enable(struct instance *inst, uint32_t seq);
int instance_disable(struct instance *inst, uint32_t seq);
int instance_stat(struct instance *inst, uint32_t seq);
int instance_admin(struct instance *inst, uint32_t seq, const char *json);
int instance_send_stop(struct instance *inst);
/* From now on it must answer. */
void instance_watch(struct instance *inst);

/*
 * admin.c: disks that come, change and go while the VM runs. The first five answer
 * @conn later unless they fail.
 */
int admin_add(struct vm *vm, const struct config_instance *ci, uint64_t conn, struct err *err);
int admin_remove(struct instance *inst, uint64_t timeout_ms, uint64_t conn, struct err *err);
int admin_resize(struct instance *inst, uint32_t sid, uint64_t size, uint64_t conn,
		 struct err *err);
int admin_limit(struct instance *inst, const char *limits, uint64_t conn, struct err *err);
int admin_swap(struct instance *inst, const struct config_instance *ci, uint64_t conn,
	       struct err *err);
/* What happens to an instance, for the operation under way. */
void admin_offered(struct instance *inst);
void admin_ready(struct instance *inst);
void admin_swapped(struct instance *inst);
void admin_released(struct instance *inst);
void admin_stopped(struct instance *inst);
void admin_done(struct instance *inst, uint32_t seq, int err, const char *text);
/* True: its worker died in an operation, which has seen to it. */
bool admin_died(struct instance *inst);

/* spawn.c */
int spawn_worker(pid_t *pid, int *chan);

/* control.c */
int control_open(struct supervisor *sv, const char *path, struct err *err);
void control_close(struct control *ctl);
/* Ends a command that took longer; nothing if the connection is gone. */
void control_reply(struct supervisor *sv, uint64_t conn, struct json_object *obj);
struct json_object *control_ok(void);
struct json_object *control_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* command.c: one line of a connection; NULL: the reply comes later. */
struct json_object *control_command(struct supervisor *sv, const char *line, uid_t peer,
				    uint64_t conn);

/* stats.c */
struct json_object *stats_list(struct supervisor *sv);
/* Asks the workers; the reply goes to @conn. @vm NULL: all. */
void stats_collect(struct supervisor *sv, struct vm *vm, uint64_t conn);
void stats_arrived(struct instance *inst, uint32_t seq, const char *json);

/* watch.c: sd-event without its formalities */
int watch_timer(struct supervisor *sv, sd_event_source **src, uint64_t usec,
		sd_event_time_handler_t fn, void *arg);
void watch_off(sd_event_source **src);
void fd_close(int *fd);

#endif /* PORTALD_DAEMON_H */
