// SPDX-License-Identifier: GPL-2.0-only
/*
 * python_api_test.c - plugin python: interrupts, calls, helpers, examples, sandbox
 */
/* LINK: sandbox.o log.o -lseccomp -lcap-ng -luring -ldl -lpthread */
#include "python_world.h"

#include <sys/wait.h>

#include "worker.h"

static uint64_t interrupt(uint64_t count)
{
	uint64_t value = 0;

	assert_int_equal(plugin->interrupt(handle, count, &value), 0);
	return value;
}

/* ---- interrupts and calls ----------------------------------------------------- */

static void interrupts_count(void **state)
{
	(void)state;
	run("def counted(count):\n"
	    "    print('counted', count)\n"
	    "    yield PortalCmd('ping')\n"
	    "portal.register_interrupt_handler('counted', counted)\n"
	    "portal.register_interrupt_handler('plain', lambda: print('plain'))\n"
	    "portal.register_interrupt_handler('*', lambda n: print('others', n))\n"
	    "@portal.call(0)\n"
	    "def queue(call):\n"
	    "    for i in range(call.args[0]):\n"
	    "        portal.queue_interrupt('counted')\n"
	    "@portal.call(1)\n"
	    "def queue_plain(call):\n"
	    "    portal.queue_interrupt('plain')\n"
	    "@portal.call(2)\n"
	    "def queue_unknown(call):\n"
	    "    try:\n"
	    "        portal.queue_interrupt('unknown')\n"
	    "    except LookupError:\n"
	    "        return 1\n");
	assert_int_equal(call(0, 105), 0);
	assert_int_equal(call(1, 0), 0);
	assert_int_equal(queued, 106);
	assert_int_equal(call(2, 0), 1);
	assert_int_equal(queued, 106);
	assert_int_equal(interrupt(106), 106);
	assert_non_null(strstr(said, "counted 105\n"));
	assert_null(strstr(said, "others"));
	expect_said("plain\n");
	/* one at a time: the next begins when this one has ended, with all that came */
	call(0, 2);
	interrupt(2);
	call(0, 1);
	interrupt(1);
	assert_null(strstr(said, "counted"));
	assert_int_equal(nr_waits, 1);
	reply(0, 0, NULL, 0);
	expect_said("counted 3\n");
	reply(0, 0, NULL, 0);
	assert_int_equal(nr_waits, 0);
	/* portalctl interrupt */
	interrupt(4);
	expect_said("others 4\n");
	call(1, 0);
	interrupt(3);
	assert_non_null(strstr(said, "plain\n"));
	expect_said("others 2\n");
}

static void calls(void **state)
{
	(void)state;
	run("@portal.call(0)\n"
	    "def total(call):\n"
	    "    return sum(call.args)\n"
	    "@portal.call(1)\n"
	    "def wrong(call):\n"
	    "    return 'x'\n"
	    "@portal.call(2)\n"
	    "def refuses(call):\n"
	    "    raise PermissionError(1, 'no')\n"
	    "@portal.call(3)\n"
	    "def generator(call):\n"
	    "    yield PortalCmd.none()\n"
	    "@portal.call(239)\n"
	    "def nothing(call):\n"
	    "    pass\n"
	    "try:\n"
	    "    portal.call(240)\n"
	    "except ValueError as e:\n"
	    "    print(e)\n");
	expect_said("functions are 0 to 239");
	assert_int_equal(call(0, 1), 10);
	assert_int_equal(call(0, UINT64_MAX), 8);
	assert_int_equal(call(1, 0), -EIO);
	expect_said("TypeError");
	assert_int_equal(call(2, 0), -EPERM);
	assert_int_equal(call(3, 0), -EIO);
	expect_said("portal.start()");
	assert_int_equal(call(239, 0), 0);
	assert_int_equal(call(5, 0), -ENOSYS);
}

/* A thread of the script's waits for a generator; the worker's own must not. */
static void threads(void **state)
{
	(void)state;
	run("import threading\n"
	    "def ask():\n"
	    "    return (yield PortalCmd('ping', 1)).value\n"
	    "task = portal.start(ask())\n"
	    "def wait():\n"
	    "    print('result', task.wait(60))\n"
	    "thread = threading.Thread(target=wait)\n"
	    "thread.start()\n"
	    "@portal.call(0)\n"
	    "def dead_end(call):\n"
	    "    task.wait()\n"
	    "@portal.call(1)\n"
	    "def join(call):\n"
	    "    thread.join()\n");
	assert_int_equal(call(0, 0), -EDEADLK);
	reply(0, 0, NULL, 0);
	assert_int_equal(call(1, 0), 0);
	expect_said("result 2");
}

/* ---- helpers ------------------------------------------------------------------ */

static void helpers(void **state)
{
	struct portal_cmd_task tasks[2] = {
		{ .pid = 1, .comm = "init", .state = 'S' },
		{ .pid = 2, .ppid = 0, .flags = 1, .comm = "kthreadd", .state = 'I' },
	};
	struct { struct portal_cmd_map m; char path[8]; } maps[2] = {
		{ { .start = 4096, .end = 8192, .len = sizeof(maps[0]) }, "/bin/x" },
		{ { .start = 8192, .end = 9000, .len = 4 }, "" },	/* a lie */
	};
	struct { struct portal_cmd_exec_result r; char text[8]; } result = {
		{ .wait_status = 3 << 8, .out_len = 3, .err_len = 9, .out_given = 3,
		  .err_given = 2 }, "outer",
	};
	const struct portal_cmd_file_write *how;

	(void)state;
	run("def handler():\n"
	    "    print([(t.pid, t.comm, chr(t.state)) for t in (yield from portal.ps())])\n"
	    "    print([(m.start, m.path) for m in (yield from portal.maps(1))])\n"
	    "    print((yield from portal.args(1)))\n"
	    "    print((yield from portal.read_str(1, 64)))\n"
	    "    print((yield from portal.exec(['/bin/x', 'a'], ['K=V'], b'input')))\n"
	    "    print((yield from portal.read_file('/etc/x')))\n"
	    "    print((yield from portal.write_file('/etc/x', b'content', truncate=True)))\n"
	    "    print((yield from portal.lookup('schedule')))\n"
	    "    result.result = (yield from portal.time())\n"
	    "class result: pass\n"
	    "portal.start(handler())\n");
	assert_int_equal(waits[0]->op, PORTAL_CMD_TASK_LIST);
	reply(0, 0, tasks, sizeof(tasks));
	expect_said("[(1, 'init', 'S'), (2, 'kthreadd', 'I')]");
	assert_int_equal(waits[0]->pid, 1);
	reply(0, 0, maps, sizeof(maps));
	expect_said("[(4096, '/bin/x')]");
	reply(0, 0, "init\0-x\0", 8);
	expect_said("['init', '-x']");
	assert_int_equal(waits[0]->size, 4096);
	reply(0, 0, "text", 5);
	expect_said("b'text'");
	assert_int_equal(waits[0]->in->iov_len, sizeof(struct portal_cmd_exec) + 18);
	assert_memory_equal((char *)waits[0]->in->iov_base + sizeof(struct portal_cmd_exec),
			    "/bin/x\0a\0K=V\0input", 18);
	reply(0, 0, &result, sizeof(result.r) + 5);
	expect_said("ExecResult(status=3, out=b'out', err=b'er', whole=False)");
	assert_string_equal(waits[0]->in->iov_base, "/etc/x");
	reply(0, PORTAL_DONE_F_MORE, "first ", 6);
	assert_int_equal(waits[0]->addr, 6);
	reply(0, 0, "second", 6);
	expect_said("b'first second'");
	how = waits[0]->in->iov_base;
	assert_int_equal(how->flags, 3);
	assert_int_equal(how->path_len, 7);
	assert_memory_equal(how + 1, "/etc/x\0content", 14);
	reply(0, 0, NULL, 4);
	assert_int_equal(waits[0]->addr, 4);
	reply(0, 0, NULL, 3);
	expect_said("7");
	reply(0, 0, NULL, 0);
	expect_said("1");
	/* an answer that is too short for what it should be */
	reply(0, 0, "x", 1);
	expect_said("PortalError: [Errno 71] time: Protocol error");
}

/* A guest that has always more to say comes to an end, too. */
static void endless(void **state)
{
	static char part[65536];
	unsigned int nr = 0;

	(void)state;
	run("def handler():\n"
	    "    for what in (portal.ps(), portal.read_file('/dev/zero')):\n"
	    "        try:\n"
	    "            yield from what\n"
	    "        except PortalError as e:\n"
	    "            print(e)\n"
	    "portal.start(handler())\n");
	for (; nr_waits && nr < 10000; nr++)
		reply(0, PORTAL_DONE_F_MORE, part, sizeof(part));
	assert_int_equal(nr, 2048);
	expect_said("task_list: Message too long\n[Errno 27] file_read: File too large");
}

/* ---- examples and sandbox ----------------------------------------------------- */

static void example_hello(void **state)
{
	struct portal_cmd_uname uname = { .nodename = "guest" };
	struct portal_cmd_task tasks[3] = { { .pid = 1 } };

	(void)state;
	open_file("plugins/python/examples/hello.py");
	assert_non_null(handle);
	assert_int_equal(call(0, 5), 5);
	assert_int_equal(queued, 1);
	interrupt(1);
	reply(0, 0, &uname, sizeof(uname));
	reply(0, 0, tasks, sizeof(tasks));
	expect_said("1 times: guest has 3 processes");
	interrupt(2);
	reply(-ENOTCONN, 0, NULL, 0);
	expect_said("cannot look: [Errno 107] uname");
}

static void example_ps(void **state)
{
	struct portal_cmd_task tasks[4] = {
		{ .pid = 1, .state = 'S', .comm = "init" },
		{ .pid = 2, .state = 'I', .comm = "kthreadd", .flags = 1 },
		{ .pid = 9, .ppid = 10, .state = 'R', .comm = "child" },
		{ .pid = 10, .ppid = 1, .state = 'S', .comm = "shell" },
	};

	(void)state;
	open_file("plugins/python/examples/ps.py");
	assert_non_null(handle);
	interrupt(1);
	reply(0, 0, tasks, sizeof(tasks));
	reply(0, 0, "/sbin/init\0", 11);
	assert_int_equal(waits[0]->pid, 10);
	reply(0, 0, "sh\0-c\0", 6);
	reply(-ESRCH, 0, NULL, 0);
	expect_said("      1 S /sbin/init\n     10 S   sh -c\n      9 R     child\n"
		    "      2 I [kthreadd]\n");
}

/* What is imported goes on working; what is not says why it cannot be. */
static void in_the_sandbox(void)
{
	struct err err = { "" };

	run("import json, threading, time\n"
	    "def handler():\n"
	    "    yield PortalCmd('ping')\n"
	    "    print(json.dumps({'threads': threading.active_count()}))\n"
	    "    thread = threading.Thread(target=lambda: print('in a thread'))\n"
	    "    thread.start()\n"
	    "    thread.join()\n"
	    "    time.sleep(0.001)\n"
	    "    try:\n"
	    "        open('/etc/hostname')\n"
	    "    except OSError as e:\n"
	    "        print('no file', e.errno)\n"
	    "    import wave\n"
	    "portal.start(handler())\n");
	if (sandbox_enter(SANDBOX_ON, &err))
		fail_msg("%s", err.msg);
	reply(0, 0, NULL, 0);
	if (!strstr(said, "{\"threads\": 1}\nin a thread\nno file ") ||
	    !strstr(said, "line 15, in handler\n    import wave"))
		fail_msg("%s", said);
	expect_said("No module named 'wave': in the sandbox");
}

static void sandbox(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		in_the_sandbox();
		_exit(0);	/* a failed assertion goes on to exit with the group's count */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(interrupts_count), TEST(calls), TEST(threads), TEST(helpers), TEST(endless),
		TEST(example_hello), TEST(example_ps), TEST(sandbox),
	};

	return is_built() ? cmocka_run_group_tests(tests, world_setup, world_teardown) : 0;
}
