// SPDX-License-Identifier: GPL-2.0-only
/* admin_test.c - disks that come, change and go, with workers that are real processes */
/* LINK: admin.o slot.o instance.o instance_msg.o channel.o restart.o process.o errmap.o watch.o log.o -ljson-c -lsystemd -lkvmportal */
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
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

/* ---- workers: children of this program ------------------------------------- */

/* What it does is in its keys: path=bad, dies, mute. */
static void reply(int chan, uint32_t type, const struct chan_msg *in, int err, const char *text)
{
	struct chan_msg out = { .type = type, .seq = in->seq, .err = err };

	out.describe.slot_type = PORTAL_SLOT_VIRTIO_MMIO;
	out.describe.region_len = 0x200;
	chan_send(chan, &out, text, NULL, 0, 0);
}

static void admin_reply(int chan, const struct chan_msg *msg, const char *text)
{
	if (strstr(text, "dies"))
		_exit(5);
	if (strstr(text, "mute"))
		return;
	if (strstr(text, "wrong"))
		reply(chan, CHAN_DONE, msg, -EINVAL, "not \"so\"");
	else
		reply(chan, CHAN_DONE, msg, 0, "4096");
}

static bool mute;	/* of the next worker: it never disables */

static void worker(int chan)
{
	int fds[CHAN_MAX_FDS];
	struct chan_msg msg;
	unsigned int nr;
	char *text;

	while (chan_recv(chan, &msg, &text, fds, &nr, 0) == 1) {
		chan_close_fds(fds, nr);
		switch (msg.type) {
		case CHAN_SETUP:
			if (strstr(text, "bad")) {
				reply(chan, CHAN_FAILED, &msg, -ENOENT, "bad: no such image");
				_exit(1);
			}
			reply(chan, CHAN_DESCRIBE, &msg, 0, NULL);
			break;
		case CHAN_START:
			reply(chan, CHAN_READY, &msg, 0, NULL);
			break;
		case CHAN_DISABLE:
			if (mute)
				break;
			/* fall through */
		case CHAN_ENABLE:
			reply(chan, CHAN_ACK, &msg, 0, NULL);
			break;
		case CHAN_ADMIN:
			admin_reply(chan, &msg, text);
			break;
		case CHAN_STOP:
			_exit(0);
		}
		free(text);
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
		worker(fds[1]);
	}
	close(fds[1]);
	*chan = fds[0];
	return 0;
}

/* ---- the rest of the daemon, and the kernel -------------------------------- */

static struct supervisor sv;
static struct vm vm;
static struct config cfg = { .plugin_dir = "/x" };
static struct options opts;
static char answer[512];
static struct {
	unsigned int regions, queues, hooks, kept, written, stopped;
	enum admin_op written_op;
	char written_setup[600];
	bool slot_empty;
	uint32_t next_queue;
} k;

struct portal_region {
	int unused;
};

static struct portal_region region;

int portal_region_add(struct portal_vm *v, uint32_t queue_id, uint64_t gpa, uint64_t len,
		      const struct portal_region_range *ranges, uint32_t nr,
		      const struct portal_region_opts *o, struct portal_region **r)
{
	(void)v; (void)queue_id; (void)gpa; (void)len; (void)ranges; (void)nr; (void)o;
	k.regions++;
	*r = &region;
	return 0;
}

int portal_region_del(struct portal_region *r)
{
	(void)r;
	k.regions--;
	return 0;
}

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
	k.queues++;
	return 0;
}

int portal_queue_open_fd(struct portal_vm *v, uint32_t id)
{
	(void)v; (void)id;
	return eventfd(0, EFD_CLOEXEC);
}

int portal_queue_del(struct portal_vm *v, uint32_t id)
{
	(void)v;
	assert_int_equal(id, 1);
	/* the kernel's EBUSY */
	assert_int_equal(k.regions, 0);
	k.queues--;
	return 0;
}

int portal_hook_del(struct portal_vm *v, uint32_t id)
{
	(void)v; (void)id;
	k.hooks--;
	return 0;
}

int portal_hook_hypercall(struct portal_vm *v, uint32_t q, uint32_t first, uint32_t last,
			  const struct portal_hook_opts *o)
{
	(void)v; (void)q; (void)first; (void)last; (void)o;
	k.hooks++;
	return 1;
}

int portal_irq_bind(struct portal_vm *v, uint32_t gsi, int eventfd, int resamplefd)
{
	(void)v; (void)gsi; (void)eventfd; (void)resamplefd;
	return 0;
}

int portal_irq_unbind(struct portal_vm *v, uint32_t gsi, int eventfd)
{
	(void)v; (void)gsi; (void)eventfd;
	return 0;
}

int portal_reply_value(struct portal_queue *q, uint64_t id, uint64_t val)
{
	(void)q; (void)id; (void)val;
	return 0;
}

int portal_reply_error(struct portal_queue *q, uint64_t id, uint32_t error)
{
	(void)q; (void)id; (void)error;
	return 0;
}

uint32_t portal_queue_id(const struct portal_queue *q) { (void)q; return 1; }
void portal_queue_close(struct portal_queue *q) { (void)q; }
const char *portal_strerror(int err) { return strerror(-err); }
uint32_t portal_region_id(const struct portal_region *r) { (void)r; return 1; }
uint64_t portal_region_shadow_off(const struct portal_region *r) { (void)r; return 0; }
uint32_t portal_region_shadow_size(const struct portal_region *r) { (void)r; return 0; }

void vm_done(struct vm *v, uint64_t id, int err) { (void)v; (void)id; (void)err; }
void vm_flush(struct vm *v) { (void)v; }
void vm_slot_released(struct vm *v) { (void)v; }
void vm_instance_ready(struct vm *v) { (void)v; }
void vm_instance_stopped(struct vm *v) { (void)v; k.stopped++; }
void vm_instance_failed(struct instance *i) { (void)i; }
const char *vm_state_name(enum vm_state s) { return s == VM_RUNNING ? "running" : "leaving"; }
void supervisor_status(struct supervisor *s) { (void)s; }
void stats_arrived(struct instance *i, uint32_t s, const char *j) { (void)i; (void)s; (void)j; }

void snapshot_write(struct vm *v)
{
	struct instance *i = v->slots[1];

	k.written++;
	k.written_op = i ? i->admin.op : ADMIN_NONE;
	if (i)
		snprintf(k.written_setup, sizeof(k.written_setup), "%s",
			 i->admin.old_setup ? i->admin.old_setup : i->setup);
}

void snapshot_keep_slot(struct instance *i)
{
	assert_true(i->state_fd >= 0);
	i->kept = true;
	k.kept++;
}

void snapshot_forget_slot(struct instance *i)
{
	if (i->kept)
		k.kept--;
}

void json_put_u64(struct json_object *obj, const char *key, uint64_t val)
{
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

void json_put_str(struct json_object *obj, const char *key, const char *val)
{
	json_object_object_add(obj, key, json_object_new_string(val));
}

const char *json_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : NULL;
}

struct json_object *json_list(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? val : NULL;
}

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
	if (conn)
		snprintf(answer, sizeof(answer), "%s", json_object_to_json_string(obj));
	k.slot_empty = !vm.slots[1];
	json_object_put(obj);
}

static void sink(int level, const char *msg) { (void)level; (void)msg; }

/* ---- helpers --------------------------------------------------------------- */

static struct instance other = { .name = "disk0", .vm = &vm };
static struct err err;

static struct instance *disk(void)
{
	return vm.slots[1];
}

static bool answered(void) { return answer[0]; }
static bool runs(void) { return disk() && disk()->state == INST_RUNNING; }
static bool is_gone(void) { return !disk(); }

static void until(bool (*cond)(void))
{
	for (int i = 0; i < 1500 && !cond(); i++)
		sd_event_run(sv.event, 10000);
	if (!cond())
		fail_msg("answer: %s", answer);
}

static void answer_has(const char *part)
{
	until(answered);
	if (!strstr(answer, part))
		fail_msg("no '%s' in: %s", part, answer);
	answer[0] = '\0';
}

static void refused(int ret, const char *part)
{
	assert_true(ret < 0);
	if (!strstr(err.msg, part))
		fail_msg("no '%s' in: %s", part, err.msg);
}

static int add(const char *path)
{
	struct config_key key = { .key = (char *)"path", .value = (char *)path, .file = "f" };
	struct config_instance ci = {
		.name = (char *)"disk1", .plugin = (char *)"file",
		.frontend = (char *)"virtio-blk", .keys = &key, .nr_keys = 1, .has_timeout = true,
		.restart = true,
	};

	return admin_add(&vm, &ci, 5, &err);
}

static void added(void)
{
	assert_int_equal(add("/good.img"), 0);
	answer_has("\"instance\": \"disk1\", \"slot\": 1");
}

static void guest_enables(void)
{
	slot_enable(disk(), 0, 0x1000000, 0);
	until(runs);
	for (int i = 0; i < 500 && !disk()->bus.enabled; i++)
		sd_event_run(sv.event, 10000);
	assert_true(disk()->bus.enabled);
	assert_int_equal(k.regions, 1);
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
	memset(&k, 0, sizeof(k));
	sv.cfg = &cfg;
	sv.opts = &opts;
	sv.vms = &vm;
	vm.sv = &sv;
	vm.state = VM_RUNNING;
	vm.bus_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	strcpy(vm.name, "web");
	other.block = true;
	vm.slots[0] = &other;
	vm.nr_slots = 1;
	answer[0] = '\0';
	log_set_sink(sink);
	return sd_event_new(&sv.event);
}

static int teardown(void **state)
{
	(void)state;
	instance_destroy(disk());
	close(vm.bus_fd);
	sd_event_unref(sv.event);
	return 0;
}

/* ---- tests ----------------------------------------------------------------- */

static void a_disk_is_added(void **state)
{
	(void)state;
	assert_int_equal(add("/good.img"), 0);
	assert_int_equal(k.kept, 0);	/* nobody may find half of it */
	refused(add("/good.img"), "has an instance disk1 already");
	answer_has("\"slot\": 1");
	assert_int_equal(vm.nr_slots, 2);
	assert_int_equal(k.kept, 1);
	assert_int_equal(bus_slot_state(disk()), PORTAL_SLOT_OFFERED);
}

static void one_that_cannot_be_opened_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(add("/bad.img"), 0);
	answer_has("bad: no such image");
	until(is_gone);
	assert_int_equal(k.kept + k.queues, 0);
	/* the next one has its slot */
	added();
	assert_int_equal(disk()->slot, 1);
}

static void what_cannot_be_added_is_told_at_once(void **state)
{
	struct config_instance ci = { .name = (char *)"disk0", .plugin = (char *)"x" };

	(void)state;
	refused(admin_add(&vm, &ci, 5, &err), "is no disk");
	ci.frontend = (char *)"virtio-blk";
	refused(admin_add(&vm, &ci, 5, &err), "has an instance disk0 already");
	vm.slots[0] = NULL;
	vm.nr_slots = PORTAL_BUS_SLOTS;
	for (unsigned int i = 0; i < PORTAL_BUS_SLOTS; i++)
		vm.slots[i] = &other;
	ci.name = (char *)"disk7";
	refused(admin_add(&vm, &ci, 5, &err), "all 64 slots");
	vm.nr_slots = 0;
	vm.slots[1] = NULL;
	vm.state = VM_LEAVING;
	refused(admin_add(&vm, &ci, 5, &err), "VM web is leaving");
}

static void a_disk_not_in_use_goes_at_once(void **state)
{
	(void)state;
	added();
	assert_int_equal(admin_remove(disk(), 10000, 5, &err), 0);
	answer_has("disk1");
	assert_true(k.slot_empty);
	assert_int_equal(k.kept + k.queues + k.regions, 0);
}

static void one_in_use_waits_for_the_guest(void **state)
{
	(void)state;
	added();
	guest_enables();
	assert_int_equal(admin_remove(disk(), 10000, 5, &err), 0);
	assert_int_equal(k.written_op, ADMIN_REMOVE);
	refused(admin_remove(disk(), 10000, 5, &err), "just being changed");
	refused(instance_restart(disk(), 5, &err), "just being started");
	for (int i = 0; i < 20; i++)
		sd_event_run(sv.event, 5000);
	assert_false(answered());
	assert_int_equal(bus_slot_state(disk()), PORTAL_SLOT_LEAVING);
	slot_disable(disk(), 0);
	answer_has("disk1");
	assert_true(k.slot_empty);
	assert_int_equal(k.regions + k.queues, 0);
}

static void a_worker_that_dies_meanwhile_lets_go(void **state)
{
	pid_t pid;

	(void)state;
	mute = true;
	added();
	mute = false;
	guest_enables();
	pid = disk()->pid;
	assert_int_equal(admin_remove(disk(), 10000, 5, &err), 0);
	slot_disable(disk(), 0);
	kill(pid, SIGKILL);
	answer_has("disk1");
	assert_true(k.slot_empty);
	assert_int_equal(k.regions + k.queues, 0);
}

static void if_the_guest_keeps_it_it_stays(void **state)
{
	(void)state;
	added();
	guest_enables();
	assert_int_equal(admin_remove(disk(), 50, 5, &err), 0);
	answer_has("does not let go of it, so it stays");
	assert_true(runs());
	assert_int_equal(bus_slot_state(disk()), PORTAL_SLOT_ENABLED);
	assert_int_equal(k.regions, 1);
	/* and may be asked again, or not be asked */
	assert_int_equal(admin_remove(disk(), 0, 5, &err), 0);
	answer_has("disk1");
	assert_true(k.slot_empty);
	assert_int_equal(k.regions + k.queues, 0);
}

static void a_disk_is_resized(void **state)
{
	(void)state;
	added();
	assert_int_equal(admin_resize(disk(), 0, 4096, 5, &err), 0);
	refused(admin_resize(disk(), 0, 4096, 5, &err), "just being changed");
	answer_has("\"size\": 4096");
	assert_int_equal(disk()->admin.op, ADMIN_NONE);
	refused(admin_resize(&other, 0, 0, 5, &err), "is starting");
	other.block = false;
	refused(admin_resize(&other, 0, 0, 5, &err), "is no disk");
}

static void limits_are_for_later_workers_too(void **state)
{
	(void)state;
	added();
	assert_int_equal(admin_limit(disk(), "iops=5", 5, &err), 0);
	answer_has("disk1");
	assert_non_null(strstr(disk()->setup, "\"limits\":\"iops=5\""));
	assert_non_null(strstr(k.written_setup, "\"limits\":\"iops=5\""));
	assert_int_equal(admin_limit(disk(), "wrong", 5, &err), 0);
	answer_has("not \\\"so\\\"");
	assert_non_null(strstr(disk()->setup, "\"limits\":\"iops=5\""));
}

static void a_workers_death_is_the_answer(void **state)
{
	pid_t pid;

	(void)state;
	added();
	pid = disk()->pid;
	assert_int_equal(admin_limit(disk(), "dies", 5, &err), 0);
	answer_has("exited with status 5");
	until(runs);
	assert_int_not_equal(disk()->pid, pid);
	assert_null(strstr(disk()->setup, "dies"));
}

static int swap(const char *plugin, const char *path)
{
	struct config_key key = { .key = (char *)"path", .value = (char *)path };
	struct config_instance ci = {
		.name = (char *)"disk1", .plugin = (char *)plugin, .keys = &key, .nr_keys = 1,
	};

	return admin_swap(disk(), &ci, 5, &err);
}

static void a_medium_is_swapped(void **state)
{
	pid_t pid;

	(void)state;
	added();
	guest_enables();
	pid = disk()->pid;
	assert_int_equal(swap("file", "/new.img"), 0);
	/* who is killed now has changed nothing */
	snapshot_write(&vm);
	assert_non_null(strstr(k.written_setup, "/good.img"));
	answer_has("disk1");
	assert_non_null(strstr(k.written_setup, "/new.img"));
	assert_null(strstr(k.written_setup, "/good.img"));
	assert_int_not_equal(disk()->pid, pid);
	assert_int_equal(disk()->deaths.nr, 0);
	assert_true(disk()->bus.enabled);
	assert_int_equal(k.regions, 1);
}

static void a_bad_medium_leaves_the_old_one(void **state)
{
	(void)state;
	added();
	guest_enables();
	assert_int_equal(swap("null", "/bad.img"), 0);
	assert_string_equal(disk()->plugin, "null");
	answer_has("bad: no such image; it goes on with the old medium");
	until(runs);
	assert_string_equal(disk()->plugin, "file");
	assert_non_null(strstr(disk()->setup, "/good.img"));
	assert_int_equal(disk()->admin.op, ADMIN_NONE);
	assert_int_equal(k.regions, 1);
}

static void the_vms_end_is_the_answer(void **state)
{
	(void)state;
	added();
	guest_enables();
	assert_int_equal(admin_remove(disk(), 10000, 5, &err), 0);
	vm.state = VM_STOPPING;
	instance_stop(disk());
	answer_has("VM web is being detached");
	assert_non_null(disk());
}

/* It was killed while the guest was asked; the guest let go meanwhile. */
static void the_next_portald_goes_on_removing(void **state)
{
	(void)state;
	added();
	disk()->admin.op = ADMIN_REMOVE;
	disk()->bus.leaving = true;
	kill(disk()->pid, SIGKILL);
	until(is_gone);
	assert_int_equal(k.queues + k.kept, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_disk_is_added), T(one_that_cannot_be_opened_is_not_there),
		T(what_cannot_be_added_is_told_at_once), T(a_disk_not_in_use_goes_at_once),
		T(one_in_use_waits_for_the_guest), T(a_worker_that_dies_meanwhile_lets_go),
		T(if_the_guest_keeps_it_it_stays),
		T(a_disk_is_resized), T(limits_are_for_later_workers_too),
		T(a_workers_death_is_the_answer), T(a_medium_is_swapped),
		T(a_bad_medium_leaves_the_old_one), T(the_vms_end_is_the_answer),
		T(the_next_portald_goes_on_removing),
	};

	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
