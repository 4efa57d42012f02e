// SPDX-License-Identifier: GPL-2.0-only
/* control_test.c - JSON lines in and out of a real socket */
/* LINK: control.o command.o command_disk.o config.o watch.o log.o -lsystemd -ljson-c -linih */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

/* ---- the rest of the daemon, faked ---------------------------------------- */

static struct supervisor sv;
static struct vm vm = { .name = "alpha", .pid = 42, .nr_slots = 1 };
static struct instance inst = { .name = "hello" };
static struct chan_page page;
static struct {
	struct attach_args args;
	char instances[64];
	char name[64];
	uint64_t conn, timeout;
	unsigned int detaches, interrupts;
	int ret;
} seen;

int attach(struct supervisor *s, const struct attach_args *args, uint64_t conn, struct err *err)
{
	(void)s;
	seen.args = *args;
	seen.conn = conn;
	seen.instances[0] = '\0';
	for (unsigned int i = 0; i < args->nr_instances; i++) {
		strcat(seen.instances, args->instances[i]);
		strcat(seen.instances, ",");
	}
	snprintf(seen.name, sizeof(seen.name), "%s", args->name ? args->name : "");
	if (seen.ret)
		return err_set(err, seen.ret, "no VM \"there\"");
	return 0;
}

bool attach_allowed(uid_t peer, uid_t uid)
{
	return peer == uid;
}

struct vm *vm_find(struct supervisor *s, const char *name, pid_t pid)
{
	(void)s;
	return (name ? !strcmp(name, vm.name) : pid == vm.pid) ? &vm : NULL;
}

void vm_detach(struct vm *v, uint64_t timeout_ms, uint64_t conn)
{
	v->detach_conn = conn;
	seen.timeout = timeout_ms;
	seen.detaches++;
}

int instance_restart(struct instance *i, uint64_t conn, struct err *err)
{
	(void)i;
	seen.conn = conn;
	return seen.ret ? err_set(err, seen.ret, "not \"now\"") : 0;
}

static struct {
	char what[400];
	uint64_t timeout, size, conn;
	uint32_t sid;
	int ret;
} disk;

static void note(const struct config_instance *ci)
{
	sprintf(disk.what, "%s %s %s %s:", ci->name, ci->plugin, ci->frontend ? : "-",
		ci->limits ? : "-");
	for (unsigned int k = 0; k < ci->nr_keys; k++)
		sprintf(disk.what + strlen(disk.what), " %s=%s", ci->keys[k].key,
			ci->keys[k].value);
}

int admin_add(struct vm *v, const struct config_instance *ci, uint64_t conn, struct err *err)
{
	assert_ptr_equal(v, &vm);
	note(ci);
	disk.conn = conn;
	return disk.ret ? err_set(err, disk.ret, "no \"room\"") : 0;
}

int admin_remove(struct instance *i, uint64_t timeout_ms, uint64_t conn, struct err *err)
{
	(void)err;
	assert_ptr_equal(i, &inst);
	disk.timeout = timeout_ms;
	disk.conn = conn;
	return 0;
}

int admin_resize(struct instance *i, uint32_t sid, uint64_t size, uint64_t conn, struct err *err)
{
	(void)err;
	assert_ptr_equal(i, &inst);
	disk.sid = sid;
	disk.size = size;
	disk.conn = conn;
	return 0;
}

int admin_limit(struct instance *i, const char *limits, uint64_t conn, struct err *err)
{
	(void)err;
	assert_ptr_equal(i, &inst);
	strcpy(disk.what, limits);
	disk.conn = conn;
	return 0;
}

int admin_swap(struct instance *i, const struct config_instance *ci, uint64_t conn,
	       struct err *err)
{
	(void)err;
	assert_ptr_equal(i, &inst);
	note(ci);
	disk.conn = conn;
	return 0;
}

int instance_interrupt(struct instance *i)
{
	i->page->queued++;
	seen.interrupts++;
	return 0;
}

struct json_object *stats_list(struct supervisor *s)
{
	(void)s;
	return json_object_new_array();
}

void stats_collect(struct supervisor *s, struct vm *v, uint64_t conn)
{
	struct json_object *obj = control_ok();

	json_object_object_add(obj, "all", json_object_new_boolean(!v));
	control_reply(s, conn, obj);
}

const char *portal_version(void)
{
	return "1.2.3";
}

int portal_dev_open(const char *path, struct portal_dev **dev)
{
	(void)path;
	(void)dev;
	return -ENOENT;
}

void portal_dev_close(struct portal_dev *dev)
{
	(void)dev;
}

int portal_dev_info(struct portal_dev *dev, struct portal_info *info)
{
	(void)dev;
	(void)info;
	return -EIO;
}

/* ---- helpers -------------------------------------------------------------- */

static char path[64];
static int sock = -1;

static void spin(void)
{
	while (sd_event_run(sv.event, 0) > 0)
		;
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	spin();
	return fd;
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	memset(&sv, 0, sizeof(sv));
	memset(&seen, 0, sizeof(seen));
	memset(&page, 0, sizeof(page));
	vm.uid = getuid();
	vm.detach_conn = 0;
	vm.slots[0] = &inst;
	inst.page = &page;
	inst.vm = &vm;
	inst.desc.services = 1;
	snprintf(path, sizeof(path), "/tmp/portald-control-%d", getpid());
	assert_int_equal(sd_event_new(&sv.event), 0);
	assert_int_equal(control_open(&sv, path, &err), 0);
	sock = dial();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(sock);
	control_close(sv.control);
	sd_event_unref(sv.event);
	return access(path, F_OK) ? 0 : -1;	/* and the socket is gone */
}

static void say(const char *text)
{
	assert_int_equal(send(sock, text, strlen(text), 0), (ssize_t)strlen(text));
	spin();
}

/* The next lines that came, NULL if none. */
static const char *heard(void)
{
	static char buf[65536];
	ssize_t n = recv(sock, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

static void expect(const char *request, const char *part)
{
	const char *reply;

	say(request);
	reply = heard();
	if (!reply || !strstr(reply, part))
		fail_msg("%s -> %s, not %s", request, reply ? reply : "nothing", part);
}

/* ---- tests ---------------------------------------------------------------- */

static void the_socket_is_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void answers_lines(void **state)
{
	(void)state;
	expect("{\"cmd\":\"list\"}\n", "{\"ok\":true,\"vms\":[]}\n");
	expect("{\"cmd\":\"version\"}\n", "\"libkvmportal\":\"1.2.3\"");
	expect("{\"cmd\":\"stat\"}\n", "\"all\":true");
	expect("{\"cmd\":\"stat\",\"vm\":\"alpha\"}\n", "\"all\":false");
}

static void a_line_may_come_in_pieces_or_with_others(void **state)
{
	const char *reply;

	(void)state;
	say("{\"cmd\":");
	assert_null(heard());
	expect("\"list\"}\n", "\"vms\":[]");
	say("{\"cmd\":\"list\"}\n{\"cmd\":\"nope\"}\n{\"cmd\":\"list\"}\n");
	reply = heard();
	assert_non_null(reply);
	assert_non_null(strstr(reply, "unknown command 'nope'"));
	assert_string_equal(strrchr(strstr(reply, "nope"), '{'), "{\"ok\":true,\"vms\":[]}\n");
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	expect("hello\n", "not a JSON object");
	expect("[1]\n", "not a JSON object");
	expect("\n", "not a JSON object");
	expect("{}\n", "no 'cmd'");
	expect("{\"cmd\":7}\n", "no 'cmd'");
	expect("{\"cmd\":\"detach\"}\n", "which VM?");
	expect("{\"cmd\":\"detach\",\"vm\":\"beta\"}\n", "no VM named beta is attached");
	expect("{\"cmd\":\"detach\",\"pid\":43}\n", "process 43 is not attached");
	expect("{\"cmd\":\"detach\",\"vm\":\"alpha\",\"timeout_ms\":-1}\n", "timeout");
	expect("{\"cmd\":\"interrupt\",\"vm\":\"alpha\"}\n", "which instance?");
	expect("{\"cmd\":\"interrupt\",\"vm\":\"alpha\",\"instance\":\"x\"}\n",
	       "no instance x");
	expect("{\"cmd\":\"attach\",\"pid\":1,\"instances\":[1]}\n", "not an array of names");
	expect("{\"cmd\":\"attach\",\"pid\":1,\"instances\":\"a\"}\n", "not an array of names");
}

static void a_line_has_a_limit(void **state)
{
	static char big[70000];
	const char *reply = NULL;

	(void)state;
	memset(big, 'x', sizeof(big));
	send(sock, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL);
	spin();
	reply = heard();
	assert_non_null(reply);
	assert_non_null(strstr(reply, "line of more than"));
	assert_int_equal(recv(sock, big, 1, MSG_DONTWAIT) <= 0, 1);
}

static void attach_is_answered_when_it_ends(void **state)
{
	struct json_object *obj;

	(void)state;
	say("{\"cmd\":\"attach\",\"pid\":7,\"name\":\"n\",\"instances\":[\"a\",\"b\"]}\n");
	assert_null(heard());
	assert_int_equal(seen.args.pid, 7);
	assert_int_equal(seen.args.vm_fd, -1);
	assert_int_equal(seen.args.peer, getuid());
	assert_string_equal(seen.name, "n");
	assert_string_equal(seen.instances, "a,b,");
	/* what comes meanwhile waits its turn */
	say("{\"cmd\":\"list\"}\n");
	assert_null(heard());
	obj = control_ok();
	control_reply(&sv, seen.conn, obj);
	spin();
	assert_string_equal(heard(), "{\"ok\":true}\n{\"ok\":true,\"vms\":[]}\n");
}

static void restart_is_answered_when_it_ends(void **state)
{
	(void)state;
	expect("{\"cmd\":\"restart\",\"vm\":\"alpha\",\"instance\":\"x\"}\n", "no instance x");
	expect("{\"cmd\":\"restart\",\"vm\":\"alpha\"}\n", "which instance?");
	say("{\"cmd\":\"restart\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n");
	assert_null(heard());
	control_reply(&sv, seen.conn, control_ok());
	spin();
	assert_string_equal(heard(), "{\"ok\":true}\n");
	seen.ret = -EBUSY;
	expect("{\"cmd\":\"restart\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n",
	       "\"error\":\"not \\\"now\\\"\"");
}

static void attach_errors_come_back(void **state)
{
	(void)state;
	seen.ret = -ENOENT;
	expect("{\"cmd\":\"attach\",\"pid\":7}\n", "\"error\":\"no VM \\\"there\\\"\"");
}

/* ---- disks ----------------------------------------------------------------- */

/* As root, whoever runs the test. */
static const char *ask_as(uid_t uid, const char *line)
{
	static char text[600];
	struct json_object *reply;

	vm.uid = uid;
	vm.slots[0] = &inst;
	memset(&disk, 0, sizeof(disk));
	reply = control_command(&sv, line, uid, 77);
	snprintf(text, sizeof(text), "%s", reply ? json_object_to_json_string(reply) : "later");
	json_object_put(reply);
	vm.uid = getuid();
	return text;
}

static void says(uid_t uid, const char *line, const char *part)
{
	const char *reply = ask_as(uid, line);

	if (!strstr(reply, part))
		fail_msg("%s -> %s, not %s", line, reply, part);
}

#define DISK(verb, more) "{\"cmd\":\"disk_" verb "\",\"vm\":\"alpha\",\"instance\":\"hello\"" more "}"

static void disks_are_added_by_keys_or_by_name(void **state)
{
	struct config_instance known = { .name = "known", .plugin = "null", .frontend = "bio" };
	struct config cfg = { .instances = &known, .nr_instances = 1 };

	(void)state;
	sv.cfg = &cfg;
	says(0, DISK("add", ",\"keys\":{\"path\":\"/a b\",\"serial\":\"S1\"}"), "later");
	assert_string_equal(disk.what, "hello file virtio-blk -: path=/a b");
	assert_int_equal(disk.conn, 77);
	says(0, DISK("add", ",\"keys\":{\"plugin\":\"null\",\"size\":\"1M\",\"frontend\":\"blk\",\"limits\":\"iops=1\"}"),
	     "later");
	assert_string_equal(disk.what, "hello null blk iops=1: size=1M");
	says(0, "{\"cmd\":\"disk_add\",\"vm\":\"alpha\",\"instance\":\"known\"}", "later");
	assert_string_equal(disk.what, "known null bio -:");
	says(0, "{\"cmd\":\"disk_add\",\"vm\":\"alpha\",\"instance\":\"known\",\"keys\":{\"a\":\"b\"}}",
	     "there is an [instance known]");
	says(0, DISK("add", ""), "no [instance hello]");
	says(0, DISK("add", ",\"keys\":{\"path\":7}"), "key 'path' is not a string");
	says(0, DISK("add", ",\"keys\":[1]"), "'keys' is not an object");
	says(0, DISK("add", ",\"keys\":{\"restart\":\"perhaps\"}"), "restart 'perhaps'");
	says(0, "{\"cmd\":\"disk_add\",\"vm\":\"alpha\",\"instance\":\"A B\",\"keys\":{\"a\":\"b\"}}",
	     "instance name 'A B'");
	says(0, "{\"cmd\":\"disk_add\",\"vm\":\"alpha\"}", "which disk?");
	assert_int_equal(disk.conn, 0);
}

static void disks_are_changed(void **state)
{
	(void)state;
	strcpy(inst.plugin, "file");
	says(0, DISK("remove", ""), "later");
	assert_int_equal(disk.timeout, 10000);
	says(0, DISK("remove", ",\"timeout_ms\":0"), "later");
	assert_int_equal(disk.timeout, 1);
	says(0, DISK("remove", ",\"force\":true"), "later");
	assert_int_equal(disk.timeout, 0);
	says(0, DISK("remove", ",\"timeout_ms\":-1"), "timeout is not");
	says(0, DISK("resize", ",\"size\":1048576,\"sid\":3"), "later");
	assert_int_equal(disk.size, 1048576);
	assert_int_equal(disk.sid, 3);
	says(0, DISK("resize", ",\"size\":-1"), "not a number");
	says(0, DISK("set_limit", ",\"limits\":\"iops=5\""), "later");
	assert_string_equal(disk.what, "iops=5");
	says(0, DISK("set_limit", ""), "which limits?");
	says(0, DISK("swap", ",\"keys\":{\"path\":\"/new\"}"), "later");
	assert_string_equal(disk.what, "hello file - -: path=/new");
	says(0, DISK("swap", ""), "which medium?");
	says(0, DISK("swap", ",\"keys\":{\"serial\":\"x\"}"), "'serial' is not the medium's");
}

/* What names files and limits is the administrator's. */
static void a_vms_user_may_only_take_what_is_offered(void **state)
{
	struct config_instance known = { .name = "known", .plugin = "null", .frontend = "bio" };
	struct config cfg = { .instances = &known, .nr_instances = 1 };

	(void)state;
	sv.cfg = &cfg;
	says(1000, DISK("add", ",\"keys\":{\"path\":\"/etc/shadow\"}"), "only root may");
	says(1000, DISK("swap", ",\"keys\":{\"path\":\"/etc/shadow\"}"), "only root may");
	says(1000, DISK("set_limit", ",\"limits\":\"off\""), "only root may");
	says(1000, DISK("resize", ",\"size\":1048576"), "only root may");
	assert_int_equal(disk.conn, 0);
	says(1000, DISK("resize", ""), "later");
	says(1000, DISK("remove", ""), "later");
	says(1000, "{\"cmd\":\"disk_add\",\"vm\":\"alpha\",\"instance\":\"known\"}", "later");
}

static void who_hangs_up_is_forgotten(void **state)
{
	(void)state;
	say("{\"cmd\":\"attach\",\"pid\":7}\n");
	close(sock);
	spin();
	control_reply(&sv, seen.conn, control_ok());	/* nobody there: no crash */
	sock = dial();
	expect("{\"cmd\":\"list\"}\n", "vms");
}

static void detach_waits_as_long_as_told(void **state)
{
	(void)state;
	say("{\"cmd\":\"detach\",\"vm\":\"alpha\"}\n");
	assert_int_equal(seen.timeout, 10000);
	control_reply(&sv, vm.detach_conn, control_ok());
	vm.detach_conn = 0;
	say("{\"cmd\":\"detach\",\"pid\":42,\"force\":true}\n");
	assert_int_equal(seen.detaches, 2);
	assert_int_equal(seen.timeout, 0);
	heard();
}

static void others_may_look_but_not_touch(void **state)
{
	(void)state;
	vm.uid = getuid() + 1;
	expect("{\"cmd\":\"detach\",\"vm\":\"alpha\"}\n", "may not manage");
	expect("{\"cmd\":\"interrupt\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n",
	       "may not manage");
	expect("{\"cmd\":\"restart\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n",
	       "may not manage");
	assert_int_equal(seen.detaches + seen.interrupts, 0);
	assert_int_equal(seen.conn, 0);
	expect("{\"cmd\":\"stat\",\"vm\":\"alpha\"}\n", "\"ok\":true");
}

static void interrupts_are_queued(void **state)
{
	(void)state;
	expect("{\"cmd\":\"interrupt\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n",
	       "{\"ok\":true,\"queued\":1}");
	inst.desc.services = 0;
	expect("{\"cmd\":\"interrupt\",\"vm\":\"alpha\",\"instance\":\"hello\"}\n",
	       "takes no interrupts");
	assert_int_equal(seen.interrupts, 1);
}

static void a_second_daemon_is_refused(void **state)
{
	struct supervisor other = { .event = sv.event };
	struct err err = { "" };

	(void)state;
	assert_int_equal(control_open(&other, path, &err), -EADDRINUSE);
	assert_non_null(strstr(err.msg, "another portald listens"));
	spin();
	expect("{\"cmd\":\"list\"}\n", "vms");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_socket_is_private), T(answers_lines),
		T(a_line_may_come_in_pieces_or_with_others), T(says_what_is_wrong),
		T(a_line_has_a_limit), T(attach_is_answered_when_it_ends),
		T(restart_is_answered_when_it_ends), T(attach_errors_come_back),
		T(who_hangs_up_is_forgotten),
		T(detach_waits_as_long_as_told), T(others_may_look_but_not_touch),
		T(interrupts_are_queued),
		T(disks_are_added_by_keys_or_by_name), T(disks_are_changed),
		T(a_vms_user_may_only_take_what_is_offered), T(a_second_daemon_is_refused),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
