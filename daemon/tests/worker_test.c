// SPDX-License-Identifier: GPL-2.0-only
/* worker_test.c - real workers, up to the point where they need a kernel */
/* LINK: channel.o -ljson-c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>
#include <linux/portal_guest.h>

#include "channel.h"
#include "config.h"

static char portald[600], plugins[600], test_plugins[600], fakevm[700];
static int chan, fds[SETUP_NR_FDS];
static pid_t pid;
static struct chan_msg msg;
static char *text;
static struct chan_page *page;

static void spawn(void)
{
	int pair[2];

	assert_int_equal(chan_pair(pair), 0);
	pid = fork();
	if (!pid) {
		dup2(pair[1], CHAN_FD);
		if (pair[1] == CHAN_FD)
			fcntl(CHAN_FD, F_SETFD, 0);
		setenv("PORTALD_WORKER_TEST", "1", 1);
		setenv("LD_PRELOAD", fakevm, 1);
		setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
		execl(portald, "portald", "--worker", NULL);
		_exit(127);
	}
	close(pair[1]);
	chan = pair[0];
}

static int setup(void **state)
{
	(void)state;
	fds[SETUP_FD_VM] = memfd_create("vm", MFD_CLOEXEC);
	fds[SETUP_FD_PAGE] = memfd_create("page", MFD_CLOEXEC);
	fds[SETUP_FD_BUS] = eventfd(0, EFD_CLOEXEC);
	fds[SETUP_FD_IRQ] = eventfd(0, EFD_CLOEXEC);
	if (ftruncate(fds[SETUP_FD_PAGE], CHAN_PAGE_SIZE))
		return -1;
	page = mmap(NULL, CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    fds[SETUP_FD_PAGE], 0);
	spawn();
	return 0;
}

static int wait_exit(void)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int teardown(void **state)
{
	(void)state;
	if (chan >= 0)
		close(chan);
	if (pid)
		wait_exit();
	chan_close_fds(fds, SETUP_NR_FDS);
	munmap(page, CHAN_PAGE_SIZE);
	free(text);
	text = NULL;
	return 0;
}

static struct json_object *make(const char *dir, const char *plugin, int sandbox)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name", json_object_new_string("test0"));
	json_object_object_add(obj, "plugin", json_object_new_string(plugin));
	json_object_object_add(obj, "plugin_dir", json_object_new_string(dir));
	json_object_object_add(obj, "sandbox", json_object_new_int(sandbox));
	json_object_object_add(obj, "log_level", json_object_new_int(3));
	json_object_object_add(obj, "keys", json_object_new_array());
	return obj;
}

static void add_key(struct json_object *obj, const char *key, const char *value)
{
	struct json_object *k = json_object_new_object(), *keys;

	json_object_object_add(k, "key", json_object_new_string(key));
	json_object_object_add(k, "value", json_object_new_string(value));
	json_object_object_add(k, "file", json_object_new_string("/etc/p.conf"));
	json_object_object_add(k, "line", json_object_new_int(12));
	json_object_object_get_ex(obj, "keys", &keys);
	json_object_array_add(keys, k);
}

static void set_up(struct json_object *obj)
{
	struct chan_msg out = { .type = CHAN_SETUP };
	int got[CHAN_MAX_FDS], ret;
	unsigned int nr;

	ret = chan_send(chan, &out, json_object_to_json_string(obj), fds, SETUP_NR_FDS, 0);
	assert_int_equal(ret, 0);
	json_object_put(obj);
	assert_int_equal(chan_recv(chan, &msg, &text, got, &nr, 0), 1);
}

static void fails_with(const char *part)
{
	assert_int_equal(msg.type, CHAN_FAILED);
	assert_true(msg.err < 0);
	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("no '%s' in: %s", part, text);
	assert_int_equal(wait_exit(), 1);
}

static void describes_a_service(void **state)
{
	(void)state;
	page->queued = 9;
	page->taken = 8;
	page->served = 5;
	set_up(make(plugins, "echo", SANDBOX_ON));
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	assert_int_equal(msg.describe.slot_type, PORTAL_SLOT_REGS);
	assert_int_equal(msg.describe.region_len, 0x100);
	assert_int_equal(msg.describe.fns, 2);
	assert_int_equal(msg.describe.nr_ranges, 2);
	assert_int_equal(msg.describe.ranges[0].attr, PORTAL_ATTR_CALL);
	/* the interrupts of a dead worker's handler are there again */
	assert_int_equal(page->taken, 5);
}

static char *status_line(const char *key)
{
	static char line[256];
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			break;
	fclose(f);
	return line;
}

static void is_in_a_sandbox(void **state)
{
	(void)state;
	set_up(make(plugins, "hello", SANDBOX_ON));
	assert_int_equal(msg.type, CHAN_DESCRIBE);
	assert_string_equal(status_line("NoNewPrivs:"), "NoNewPrivs:\t1\n");
	assert_string_equal(status_line("Seccomp:"), "Seccomp:\t2\n");
	assert_string_equal(status_line("CapEff:"), "CapEff:\t0000000000000000\n");
	assert_string_equal(status_line("CapPrm:"), "CapPrm:\t0000000000000000\n");
}

static void a_sandboxed_worker_ends_cleanly(void **state)
{
	struct chan_msg out = { .type = CHAN_STOP };

	(void)state;
	set_up(make(plugins, "hello", SANDBOX_ON));
	assert_int_equal(msg.type, CHAN_DESCRIBE);
	assert_int_equal(chan_send(chan, &out, NULL, NULL, 0, 0), 0);
	assert_int_equal(wait_exit(), 0);
}

static void answers_a_ping(void **state)
{
	struct chan_msg out = { .type = CHAN_PING, .seq = 77 };
	int got[CHAN_MAX_FDS];
	unsigned int nr;

	(void)state;
	set_up(make(plugins, "hello", SANDBOX_ON));
	assert_int_equal(msg.type, CHAN_DESCRIBE);
	assert_int_equal(chan_send(chan, &out, NULL, NULL, 0, 0), 0);
	assert_int_equal(chan_recv(chan, &msg, &text, got, &nr, 0), 1);
	assert_int_equal(msg.type, CHAN_PONG);
	assert_int_equal(msg.seq, 77);
	out.type = CHAN_STOP;
	assert_int_equal(chan_send(chan, &out, NULL, NULL, 0, 0), 0);
	assert_int_equal(wait_exit(), 0);
}

static void ends_with_the_supervisor(void **state)
{
	(void)state;
	set_up(make(plugins, "hello", SANDBOX_NETWORK));
	assert_int_equal(msg.type, CHAN_DESCRIBE);
	close(chan);
	chan = -1;
	wait_exit();
}

static void describes_a_disk(void **state)
{
	struct json_object *obj = make(plugins, "memory", SANDBOX_ON);

	(void)state;
	json_object_object_add(obj, "frontend", json_object_new_string("virtio-blk"));
	add_key(obj, "size", "1M");
	set_up(obj);
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	assert_int_equal(msg.describe.slot_type, PORTAL_SLOT_VIRTIO_MMIO);
	assert_true(msg.describe.region_len >= 0x100);
	assert_true(msg.describe.nr_ranges > 0);
	assert_true(msg.describe.state_len > 0);
	assert_int_equal(msg.describe.services, 0);
}

static void says_that_a_plugin_is_missing(void **state)
{
	(void)state;
	set_up(make(plugins, "nope", SANDBOX_ON));
	fails_with("nope.so does not exist; install it or fix 'plugin'");
}

static void says_which_key_is_unknown(void **state)
{
	struct json_object *obj = make(plugins, "file", SANDBOX_ON);

	(void)state;
	add_key(obj, "pth", "/x.img");
	set_up(obj);
	fails_with("/etc/p.conf:12: unknown key 'pth'");
}

static void says_why_an_image_cannot_be_opened(void **state)
{
	struct json_object *obj = make(plugins, "file", SANDBOX_ON);

	(void)state;
	json_object_object_add(obj, "frontend", json_object_new_string("virtio-blk"));
	add_key(obj, "path", "/nonexistent/x.img");
	set_up(obj);
	fails_with("/nonexistent/x.img");
}

static void says_that_a_service_is_no_disk(void **state)
{
	struct json_object *obj = make(plugins, "echo", SANDBOX_ON);

	(void)state;
	json_object_object_add(obj, "frontend", json_object_new_string("virtio-blk"));
	set_up(obj);
	fails_with("echo is no block backend");
}

static void says_that_a_frontend_is_unknown(void **state)
{
	struct json_object *obj = make(plugins, "echo", SANDBOX_ON);

	(void)state;
	json_object_object_add(obj, "frontend", json_object_new_string("floppy"));
	set_up(obj);
	fails_with("unknown frontend 'floppy'");
}

static void says_that_an_api_is_too_new(void **state)
{
	(void)state;
	set_up(make(test_plugins, "newer", SANDBOX_ON));
	fails_with("upgrade portald");
}

static void says_that_a_queue_is_none(void **state)
{
	struct chan_msg out = { .type = CHAN_START };
	int start[START_NR_FDS] = { fds[SETUP_FD_BUS], fds[SETUP_FD_PAGE] };
	int got[CHAN_MAX_FDS];
	unsigned int nr;

	(void)state;
	set_up(make(plugins, "hello", SANDBOX_ON));
	assert_int_equal(msg.type, CHAN_DESCRIBE);
	assert_int_equal(chan_send(chan, &out, NULL, start, START_NR_FDS, 0), 0);
	assert_int_equal(chan_recv(chan, &msg, &text, got, &nr, 0), 1);
	fails_with("queue");
}

static struct json_object *make_bio(const char *plugin)
{
	struct json_object *obj = make(plugins, plugin, SANDBOX_ON);

	json_object_object_add(obj, "frontend", json_object_new_string("bio"));
	return obj;
}

static void a_bio_is_where_the_host_says(void **state)
{
	struct json_object *obj = make_bio("null");

	(void)state;
	add_key(obj, "size", "1M");
	add_key(obj, "bus", "pio");
	add_key(obj, "address", "0x8400");
	add_key(obj, "irq", "5");
	set_up(obj);
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	assert_int_equal(msg.describe.slot_type, PORTAL_SLOT_REGS);
	assert_int_equal(msg.describe.fixed, 1);
	assert_int_equal(msg.describe.bus, PORTAL_BUS_PIO);
	assert_int_equal(msg.describe.gpa, 0x8400);
	assert_int_equal(msg.describe.gsi, 5);
}

static void a_frontends_key_is_told_with_its_line(void **state)
{
	struct json_object *obj = make_bio("null");

	(void)state;
	add_key(obj, "bus", "isa");
	set_up(obj);
	fails_with("/etc/p.conf:12: bus: bus 'isa' is neither mmio nor pio");
}

/* The file plugin keeps its configuration in static variables: one copy each. */
static void storages_have_plugins_of_their_own(void **state)
{
	char image[3][32], key[16], fd[64];
	struct json_object *obj = make_bio("file");
	unsigned int open_images = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		int new;

		strcpy(image[i], "/tmp/portald-test-XXXXXX");
		new = mkstemp(image[i]);
		assert_int_equal(ftruncate(new, 1 << 20), 0);
		close(new);
		snprintf(key, sizeof(key), "sid%d.path", i);
		add_key(obj, i ? key : "path", image[i]);
	}
	add_key(obj, "sid30.plugin", "null");
	add_key(obj, "sid30.size", "1M");
	set_up(obj);
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	for (int i = 0; i < 64; i++) {
		char link[64];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/%d/fd/%d", pid, i);
		n = readlink(link, fd, sizeof(fd) - 1);
		if (n < 0)
			continue;
		fd[n] = '\0';
		for (int n2 = 0; n2 < 3; n2++)
			open_images += !strcmp(fd, image[n2]);
	}
	assert_int_equal(open_images, 3);
	for (int i = 0; i < 3; i++)
		unlink(image[i]);
}

static void storages_mistakes_are_told(void **state)
{
	struct json_object *obj = make_bio("null");

	(void)state;
	add_key(obj, "size", "1M");
	add_key(obj, "sid1.size", "1M");
	add_key(obj, "sid1.colour", "red");
	set_up(obj);
	fails_with("unknown key 'sid1.colour'");
}

static void a_sid_cannot_be_given_twice(void **state)
{
	struct json_object *obj = make_bio("null");

	(void)state;
	add_key(obj, "size", "1M");
	add_key(obj, "sid", "4");
	add_key(obj, "sid4.size", "1M");
	set_up(obj);
	fails_with("sid 4 is the instance's own");
}

static void a_disk_by_hypercalls_is_a_service(void **state)
{
	struct json_object *obj = make(plugins, "null", SANDBOX_ON);

	(void)state;
	json_object_object_add(obj, "frontend", json_object_new_string("blk"));
	add_key(obj, "size", "1M");
	set_up(obj);
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	assert_int_equal(msg.describe.slot_type, PORTAL_SLOT_SERVICE);
	assert_int_equal(msg.describe.fns, PORTAL_BLK_FNS);
	assert_int_equal(msg.describe.services, 1);
	assert_int_equal(msg.describe.fixed, 0);
}

/* An interpreter starts before the sandbox, and ends in it. */
static void a_python_script_is_a_service(void **state)
{
	struct json_object *obj = make(plugins, "python", SANDBOX_ON);
	struct chan_msg out = { .type = CHAN_STOP };
	char *script = realpath("plugins/python/examples/hello.py", NULL);

	(void)state;
	add_key(obj, "script", script);
	add_key(obj, "anything", "else");
	free(script);
	set_up(obj);
	if (msg.type != CHAN_DESCRIBE)
		fail_msg("%s", text);
	assert_int_equal(msg.describe.slot_type, PORTAL_SLOT_CHANNEL);
	assert_int_equal(msg.describe.fns, 240);
	assert_string_equal(status_line("Seccomp:"), "Seccomp:\t2\n");
	assert_int_equal(chan_send(chan, &out, NULL, NULL, 0, 0), 0);
	assert_int_equal(wait_exit(), 0);
}

static void says_where_a_python_script_is_wrong(void **state)
{
	struct json_object *obj = make(plugins, "python", SANDBOX_ON);
	char path[] = "/tmp/portald-worker-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "import portal\nportal.nothing()\n", 31), 31);
	close(fd);
	add_key(obj, "script", path);
	set_up(obj);
	unlink(path);
	fails_with(":2: AttributeError: module 'portal' has no attribute 'nothing'");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(describes_a_service), T(is_in_a_sandbox), T(a_sandboxed_worker_ends_cleanly),
		T(answers_a_ping),
		T(ends_with_the_supervisor), T(describes_a_disk),
		T(says_that_a_plugin_is_missing), T(says_which_key_is_unknown),
		T(says_why_an_image_cannot_be_opened), T(says_that_a_service_is_no_disk),
		T(says_that_a_frontend_is_unknown), T(says_that_an_api_is_too_new),
		T(says_that_a_queue_is_none),
		T(a_bio_is_where_the_host_says), T(a_frontends_key_is_told_with_its_line),
		T(storages_have_plugins_of_their_own), T(storages_mistakes_are_told),
		T(a_sid_cannot_be_given_twice), T(a_disk_by_hypercalls_is_a_service),
	};
	/* optional, see the Makefile */
	const struct CMUnitTest python_tests[] = {
		T(a_python_script_is_a_service), T(says_where_a_python_script_is_wrong),
	};
	const char *build = getenv("TEST_BUILD");
	char python[620];
	int failed;

	build = build ? build : "../build/daemon";
	snprintf(portald, sizeof(portald), "%s/portald", build);
	snprintf(plugins, sizeof(plugins), "%s/plugins", build);
	snprintf(test_plugins, sizeof(test_plugins), "%s/tests/plugins", build);
	snprintf(fakevm, sizeof(fakevm), "%s/fakevm.so", test_plugins);
	snprintf(python, sizeof(python), "%s/python.so", plugins);
	failed = cmocka_run_group_tests_name("worker", tests, NULL, NULL);
	if (!access(python, F_OK))
		failed += cmocka_run_group_tests_name("python", python_tests, NULL, NULL);
	return failed;
}
