// SPDX-License-Identifier: GPL-2.0-only
/* instance_test.c - workers that hang, fail and are replaced */
/* LINK: instance.o instance_msg.o channel.o restart.o process.o watch.o log.o -ljson-c -lsystemd -lkvmportal */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

/* ---- workers: children of this program ------------------------------------- */

enum manner { SERVES, HANGS, DIES, IS_NEVER_READY };

static enum manner next_manner;		/* of the next worker */
static unsigned int spawned;

static void worker(int chan, enum manner manner)
{
	int fds[CHAN_MAX_FDS];
	struct chan_msg msg;
	unsigned int nr;
	char *text;

	while (chan_recv(chan, &msg, &text, fds, &nr, 0) == 1) {
		struct chan_msg out = { .seq = msg.seq };

		chan_close_fds(fds, nr);
		free(text);
		if (msg.type == CHAN_SETUP)
			out.type = CHAN_DESCRIBE;
		else if (msg.type == CHAN_START)
			out.type = CHAN_READY;
		else if (msg.type == CHAN_PING && manner != HANGS)
			out.type = CHAN_PONG;
		else if (msg.type == CHAN_STOP)
			_exit(0);
		else
			continue;
		out.describe.slot_type = PORTAL_SLOT_SERVICE;
		if (out.type == CHAN_READY && manner == IS_NEVER_READY)
			_exit(3);
		chan_send(chan, &out, NULL, NULL, 0, 0);
		if (out.type == CHAN_READY && manner == DIES)
			_exit(4);
	}
	_exit(0);
}

int spawn_worker(pid_t *pid, int *chan)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	*pid = fork();
	if (!*pid) {
		close(fds[0]);
		worker(fds[1], next_manner);
	}
	close(fds[1]);
	*chan = fds[0];
	spawned++;
	return 0;
}

/* ---- the rest of the daemon, and the kernel -------------------------------- */

static struct supervisor sv;
static struct vm vm;
static struct instance *inst;
static struct config cfg = { .plugin_dir = "/x", .timeout = 1 };
static struct options opts;
static char answer[512];
static char last_log[512];
static unsigned int fails;
static bool told_failed;

int portal_vm_dup(struct portal_vm *v, uint32_t rights)
{
	(void)v; (void)rights;
	return eventfd(0, EFD_CLOEXEC);
}

int portal_queue_create(struct portal_vm *v, const struct portal_queue_opts *o,
			struct portal_queue **queue)
{
	(void)v; (void)o;
	*queue = NULL;
	return 0;
}

int portal_queue_open_fd(struct portal_vm *v, uint32_t id)
{
	(void)v; (void)id;
	return eventfd(0, EFD_CLOEXEC);
}

int portal_hook_hypercall(struct portal_vm *v, uint32_t q, uint32_t first, uint32_t last,
			  const struct portal_hook_opts *o)
{
	(void)v; (void)q; (void)first; (void)last; (void)o;
	return 1;
}

uint32_t portal_queue_id(const struct portal_queue *q) { (void)q; return 1; }
void portal_queue_close(struct portal_queue *q) { (void)q; }
const char *portal_strerror(int err) { return strerror(-err); }
uint32_t portal_region_id(const struct portal_region *r) { (void)r; return 1; }
uint64_t portal_region_shadow_off(const struct portal_region *r) { (void)r; return 0; }
uint32_t portal_region_shadow_size(const struct portal_region *r) { (void)r; return 0; }

void bus_signal(struct vm *v) { (void)v; }
void bus_worker_ready(struct instance *i) { (void)i; }
void bus_worker_gone(struct instance *i) { (void)i; }
void bus_ack(struct instance *i, uint32_t seq, int err) { (void)i; (void)seq; (void)err; }
void bus_return(struct instance *i) { i->bus.leaving = false; }

void bus_offer(struct instance *i)
{
	i->bus.offered = true;
	i->bus.serial++;
}

void bus_fail(struct instance *i)
{
	i->bus.leaving = i->bus.offered;
	fails++;
}

void admin_offered(struct instance *i) { (void)i; }
void admin_ready(struct instance *i) { (void)i; }
void admin_swapped(struct instance *i) { (void)i; }
void admin_stopped(struct instance *i) { (void)i; }
bool admin_died(struct instance *i) { (void)i; return false; }

void admin_done(struct instance *i, uint32_t seq, int err, const char *text)
{
	(void)i; (void)seq; (void)err; (void)text;
}

void json_put_u64(struct json_object *obj, const char *key, uint64_t val)
{
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

int slot_place(struct instance *i) { (void)i; return -EEXIST; }
void vm_instance_ready(struct vm *v) { v->state = VM_RUNNING; }
void vm_instance_stopped(struct vm *v) { v->state = VM_DEAD; }
void vm_instance_failed(struct instance *i) { i->vm->state = VM_DEAD; }
const char *vm_state_name(enum vm_state s) { return s == VM_RUNNING ? "running" : "leaving"; }
void snapshot_write(struct vm *v) { (void)v; }

void supervisor_status(struct supervisor *s)
{
	(void)s;
	told_failed = inst->state == INST_FAILED;
}

void stats_arrived(struct instance *i, uint32_t s, const char *j) { (void)i; (void)s; (void)j; }

struct json_object *control_ok(void)
{
	return json_object_new_object();
}

struct json_object *control_error(const char *fmt, ...)
{
	struct json_object *obj = json_object_new_object();
	char msg[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	json_object_object_add(obj, "error", json_object_new_string(msg));
	return obj;
}

void control_reply(struct supervisor *s, uint64_t conn, struct json_object *obj)
{
	(void)s;
	assert_int_equal(conn, 5);
	snprintf(answer, sizeof(answer), "%s", json_object_to_json_string(obj));
	json_object_put(obj);
}

static void sink(int level, const char *msg)
{
	if (level <= LOG_WARNING)
		snprintf(last_log, sizeof(last_log), "%s", msg);
}

/* ---- helpers --------------------------------------------------------------- */

static bool runs(void) { return inst->state == INST_RUNNING; }
static bool failed(void) { return inst->state == INST_FAILED; }
static bool answered(void) { return answer[0]; }
static bool another(void) { return spawned > 1 && runs(); }

static void until(bool (*cond)(void))
{
	for (int i = 0; i < 2000 && !cond(); i++)
		sd_event_run(sv.event, 10000);
	assert_true(cond());
}

static void begin(enum manner first)
{
	struct config_instance ci = {
		.name = "disk0", .plugin = "file", .restart = true,
		.timeout = 1, .has_timeout = true,
	};
	struct err err;

	next_manner = first;
	assert_int_equal(instance_create(&vm, 0, &ci, &inst, &err), 0);
	vm.slots[0] = inst;
	vm.nr_slots = 1;
}

static int setup(void **state)
{
	sigset_t mask;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	memset(&sv, 0, sizeof(sv));
	memset(&vm, 0, sizeof(vm));
	sv.cfg = &cfg;
	sv.opts = &opts;
	vm.sv = &sv;
	vm.bus_fd = eventfd(0, EFD_CLOEXEC);
	strcpy(vm.name, "web");
	spawned = fails = 0;
	answer[0] = last_log[0] = '\0';
	log_set_sink(sink);
	return sd_event_new(&sv.event);
}

static int teardown(void **state)
{
	(void)state;
	instance_destroy(inst);
	inst = NULL;
	close(vm.bus_fd);
	sd_event_unref(sv.event);
	return 0;
}

static void restart_fails(const char *part)
{
	struct err err = { "" };

	assert_true(instance_restart(inst, 5, &err) < 0);
	if (!strstr(err.msg, part))
		fail_msg("no '%s' in '%s'", part, err.msg);
}

static void restart(void)
{
	struct err err;

	answer[0] = '\0';
	assert_int_equal(instance_restart(inst, 5, &err), 0);
}

/* ---- tests ----------------------------------------------------------------- */

static void a_hung_worker_is_replaced(void **state)
{
	pid_t pid;

	(void)state;
	begin(HANGS);
	until(runs);
	pid = inst->pid;
	next_manner = SERVES;
	until(another);
	assert_int_not_equal(inst->pid, pid);
	assert_int_equal(inst->deaths.nr, 1);
	assert_non_null(strstr(last_log, "starts again"));
}

static void one_that_answers_is_left_alone(void **state)
{
	uint64_t end;

	(void)state;
	begin(SERVES);
	until(runs);
	sd_event_now(sv.event, CLOCK_MONOTONIC, &end);
	end += 2500000;		/* twice its time and more */
	for (uint64_t now = 0; now < end; sd_event_now(sv.event, CLOCK_MONOTONIC, &now))
		sd_event_run(sv.event, 100000);
	assert_int_equal(spawned, 1);
	assert_true(runs());
}

static void a_stopped_one_too(void **state)
{
	(void)state;
	begin(SERVES);
	until(runs);
	kill(inst->pid, SIGSTOP);
	until(another);
	assert_int_equal(inst->deaths.nr, 1);
}

static void a_running_one_is_restarted(void **state)
{
	pid_t pid;

	(void)state;
	begin(SERVES);
	until(runs);
	pid = inst->pid;
	restart();
	restart_fails("just being started");
	until(answered);
	assert_non_null(strstr(answer, "\"instance\": \"disk0\""));
	assert_true(runs());
	assert_int_not_equal(inst->pid, pid);
	assert_int_equal(inst->deaths.nr, 0);	/* that was no death */
	assert_int_equal(inst->bus.serial, 1);	/* the same device */
	inst->bus.op = BUS_OP_ENABLE;
	restart_fails("try again");
	inst->bus.op = BUS_OP_NONE;
	vm.state = VM_LEAVING;
	restart_fails("VM web is leaving");
}

static void a_failed_one_comes_back(void **state)
{
	(void)state;
	begin(SERVES);
	until(runs);
	inst->restart = false;
	kill(inst->pid, SIGKILL);
	until(failed);
	assert_int_equal(fails, 1);
	assert_true(inst->bus.leaving);
	assert_non_null(strstr(last_log, "portalctl restart web disk0"));
	assert_true(told_failed);

	next_manner = IS_NEVER_READY;
	restart();
	until(answered);
	assert_non_null(strstr(answer, "its worker exited with status 3"));
	assert_true(failed());
	assert_int_equal(vm.state, VM_RUNNING);	/* the others go on */

	next_manner = SERVES;
	restart();
	until(answered);
	assert_non_null(strstr(answer, "\"vm\": \"web\""));
	assert_true(runs());
	assert_false(inst->bus.leaving);
	assert_int_equal(inst->bus.serial, 2);	/* a new device to the guest */
	assert_false(told_failed);
}

static void what_the_guest_still_holds_is_resumed(void **state)
{
	(void)state;
	begin(SERVES);
	until(runs);
	inst->restart = false;
	inst->bus.mapped = true;
	kill(inst->pid, SIGKILL);
	until(failed);
	restart();
	until(answered);
	assert_true(runs());
	assert_false(inst->bus.leaving);
	assert_int_equal(inst->bus.serial, 1);
}

static void gives_up_and_counts_anew(void **state)
{
	(void)state;
	begin(SERVES);
	until(runs);
	for (unsigned int i = 0; i < RESTART_GIVE_UP - 1; i++)
		restart_after_death(&inst->deaths, 1ULL << 60);
	kill(inst->pid, SIGKILL);
	until(failed);
	restart();
	until(answered);
	assert_int_equal(inst->deaths.nr, 0);
	spawned = 1;
	kill(inst->pid, SIGKILL);
	until(another);
}

static void detach_ends_the_wait(void **state)
{
	(void)state;
	begin(SERVES);
	until(runs);
	restart();
	instance_stop(inst);
	assert_non_null(strstr(answer, "being detached"));
	while (inst->state != INST_STOPPED)
		sd_event_run(sv.event, 10000);
	assert_int_equal(spawned, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_hung_worker_is_replaced), T(one_that_answers_is_left_alone),
		T(a_stopped_one_too), T(a_running_one_is_restarted), T(a_failed_one_comes_back),
		T(what_the_guest_still_holds_is_resumed), T(gives_up_and_counts_anew),
		T(detach_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
