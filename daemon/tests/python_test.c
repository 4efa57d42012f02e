// SPDX-License-Identifier: GPL-2.0-only
/*
 * python_test.c - plugin python: scripts, their module, generators and commands
 */
/* LINK: -ldl -lpthread */
#include "python_world.h"

#include <pthread.h>

/* ---- the script and its module ------------------------------------------------ */

static void config(void **state)
{
	(void)state;
	assert_int_equal(plugin->config_complete(), -EINVAL);
	assert_non_null(strstr(last_error, "script="));
	assert_int_equal(plugin->config("script", "relative.py"), 0);
	assert_int_equal(plugin->config_complete(), -EINVAL);
	assert_int_equal(plugin->config("script", "/nonexistent/x.py"), 0);
	assert_int_equal(plugin->config_complete(), -ENOENT);
	assert_non_null(strstr(last_error, "/nonexistent/x.py"));
	assert_int_equal(plugin->config("colour", "gr\xc3\xbcn"), 0);
	run("print(sorted(portal.config.items()), __name__, __file__)\n");
	expect_said("[('colour', 'gr\xc3\xbcn')] __main__ /tmp/portald-python-");
}

static void wrong_scripts(void **state)
{
	(void)state;
	open_script("\n\nundefined\n");
	assert_null(handle);
	assert_non_null(strstr(last_error, ":5: NameError"));
	expect_said("Traceback");
	open_script("def\n");
	assert_null(handle);
	assert_non_null(strstr(last_error, "SyntaxError"));
	open_script("import sys\nsys.exit(3)\n");
	assert_null(handle);
	assert_non_null(strstr(last_error, "SystemExit"));
}

/* libpython is found by Python's own modules although plugins are loaded locally. */
static void extension_modules(void **state)
{
	(void)state;
	run("import struct, json, ctypes, threading, sys\n"
	    "print(json.dumps([struct.pack('<I', 1).hex(), ctypes.sizeof(ctypes.c_long)]))\n"
	    "print(ctypes.CDLL(None).getpid() > 1, sys.prefix)\n");
	expect_said("[\"01000000\", 8]\nTrue /usr\n");
}

/* The table in Python is the one in C. */
static void table(void **state)
{
	char text[8192];
	size_t len = 0;

	(void)state;
#define OP(NAME, name, CLASS, use, in, in_tail, o, out_tail, record, hash)		\
	len += snprintf(text + len, sizeof(text) - len,				\
			"assert portal.OP_" #NAME " == %d\n"				\
			"assert bool(portal.OPS['" #name "'].head) == bool(%d)\n",	\
			PORTAL_CMD_##NAME, o);
	PORTAL_CMD_TABLE(OP)
#undef OP
#define SIZE(type, bytes)								\
	len += snprintf(text + len, sizeof(text) - len,				\
			"assert portal.STRUCTS['%s'].size == %zu\n",			\
			#type + strlen("struct portal_cmd_"), (size_t)(bytes));
	PORTAL_CMD_STRUCTS(SIZE)
#undef SIZE
	assert_true(len < sizeof(text));
	run(text);
}

/* ---- generators --------------------------------------------------------------- */

static void nested(void **state)
{
	static const char bytes[] = "\x7f" "ELF";

	(void)state;
	run("def read(pid, addr):\n"
	    "    a = yield PortalCmd(portal.OP_MEM_READ, addr, 4, pid)\n"
	    "    return a\n"
	    "def twice(pid):\n"
	    "    a = yield from read(pid, 0x1000)\n"
	    "    b = yield from portal.read_mem(pid, 0x2000, 8)\n"
	    "    return a + b, b.size, b.value, b.partial\n"
	    "def handler():\n"
	    "    print('got', (yield from twice(0)))\n"
	    "portal.start(handler())\n");
	assert_int_equal(nr_waits, 1);
	assert_int_equal(waits[0]->op, PORTAL_CMD_MEM_READ);
	assert_int_equal(waits[0]->addr, 0x1000);
	assert_int_equal(waits[0]->size, 4);
	assert_int_equal(waits[0]->out_len, 4);
	assert_int_equal(waits[0]->pid, 0);
	assert_int_equal(waits[0]->in_cnt, 0);
	reply(0, 0, bytes, 4);
	assert_int_equal(waits[0]->addr, 0x2000);
	reply(0, PORTAL_DONE_F_PARTIAL, bytes, 2);
	expect_said("got (b'\\x7fELF\\x7fE', 2, 8193, True)");
	assert_int_equal(nr_waits, 0);
}

static void errors_raise(void **state)
{
	(void)state;
	run("import errno\n"
	    "def handler():\n"
	    "    try:\n"
	    "        yield from portal.read_mem(7, 1, 100)\n"
	    "    except PortalError as e:\n"
	    "        print(isinstance(e, OSError), e.errno == errno.EFAULT, e, e.answer,\n"
	    "              e.answer.partial)\n"
	    "    yield from portal.write_mem(7, 1, b'abc')\n"
	    "task = portal.start(handler())\n"
	    "@portal.call(0)\n"
	    "def ended(call):\n"
	    "    return task.done and task.error.errno\n");
	reply(-EFAULT, PORTAL_DONE_F_PARTIAL, "xy", 2);
	expect_said("True True [Errno 14] mem_read: Bad address b'xy' True");
	assert_int_equal(waits[0]->op, PORTAL_CMD_MEM_WRITE);
	assert_int_equal(waits[0]->out_len, 0);
	assert_memory_equal(waits[0]->in->iov_base, "abc", 3);
	assert_int_equal(call(0, 0), 0);
	/* not caught: said with its place, and the worker goes on */
	reply(-ESRCH, 0, NULL, 0);
	expect_said("line 10, in handler\n    yield from portal.write_mem(7, 1, b'abc')");
	assert_int_equal(call(0, 0), ESRCH);
}

static void none_continues(void **state)
{
	(void)state;
	run("def handler():\n"
	    "    for i in range(1000):\n"
	    "        assert (yield PortalCmd.none()) is None\n"
	    "    print('value', (yield PortalCmd('ping', 41)).value)\n"
	    "portal.start(handler())\n");
	reply(0, 0, NULL, 0);
	expect_said("value 42");
}

/* Each answer goes to its generator, in whatever order they come. */
static void interleave(void **state)
{
	struct portal_command *cmd;

	(void)state;
	run("def handler(name, n):\n"
	    "    for i in range(n):\n"
	    "        a = yield PortalCmd('ping', i * 10 + n)\n"
	    "        print(name, a.value)\n"
	    "for n in range(1, 101):\n"
	    "    portal.start(handler(f'task{n}', n))\n");
	assert_int_equal(nr_waits, 100);
	for (unsigned int seed = 1; nr_waits; seed = seed * 1103515245 + 12345) {
		unsigned int i = (seed >> 16) % nr_waits;

		cmd = waits[i];
		waits[i] = waits[0];
		waits[0] = cmd;
		reply(0, 0, NULL, 0);
	}
	assert_int_equal(nr_started, 5050);
	assert_non_null(strstr(said, "task1 2\n"));
	assert_non_null(strstr(said, "task7 68\n"));
	expect_said("task100 1091\n");
}

static void *reply_all(void *arg)
{
	while (nr_waits)
		reply(0, 0, NULL, 0);
	return arg;
}

static void answers_in_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	run("def handler():\n"
	    "    for i in range(500):\n"
	    "        yield PortalCmd('ping', i)\n"
	    "    print('through')\n"
	    "portal.start(handler())\n");
	assert_int_equal(pthread_create(&thread, NULL, reply_all, NULL), 0);
	pthread_join(thread, NULL);
	expect_said("through");
}

static void wrong_values(void **state)
{
	(void)state;
	run("def handler():\n"
	    "    for wrong in (7, b'x', PortalCmd('ping', -1), PortalCmd('ping', 'x'),\n"
	    "                  PortalCmd('ping', pid=1 << 32), PortalCmd('ping', data=7)):\n"
	    "        try:\n"
	    "            yield wrong\n"
	    "        except Exception as e:\n"
	    "            print(type(e).__name__, e)\n"
	    "    print('last')\n"
	    "portal.start(handler())\n"
	    "try:\n"
	    "    PortalCmd('pong')\n"
	    "except ValueError as e:\n"
	    "    print(e)\n"
	    "try:\n"
	    "    portal.start(7)\n"
	    "except TypeError as e:\n"
	    "    print(e)\n");
	assert_int_equal(nr_started, 0);
	assert_non_null(strstr(said, "TypeError a handler yields PortalCmd, not int\n"
			       "TypeError a handler yields PortalCmd, not bytes\n"
			       "OverflowError"));
	assert_non_null(strstr(said, "TypeError a bytes-like object is required"));
	expect_said("last\nthere is no command 'pong'\nstart() takes a generator, not int");
}

/* One that tries for ever ends; others do not notice. */
static void cannot_start(void **state)
{
	(void)state;
	refuse = -ENOTCONN;
	run("def stubborn():\n"
	    "    while True:\n"
	    "        try:\n"
	    "            yield PortalCmd('ping')\n"
	    "        except PortalError as e:\n"
	    "            last = e\n"
	    "def sensible():\n"
	    "    try:\n"
	    "        yield PortalCmd('ping')\n"
	    "    except PortalError as e:\n"
	    "        print('sensible', e)\n"
	    "portal.start(stubborn())\n"
	    "portal.start(sensible())\n");
	assert_non_null(strstr(said, "stubborn: PortalError"));
	expect_said("sensible [Errno 107] ping: Transport endpoint is not connected");
}

static void exits(void **state)
{
	(void)state;
	run("import sys\n"
	    "def early():\n"
	    "    sys.exit(1)\n"
	    "    yield\n"
	    "def late():\n"
	    "    yield PortalCmd('ping')\n"
	    "    raise SystemExit('late')\n"
	    "portal.start(early())\n"
	    "portal.start(late())\n"
	    "@portal.call(0)\n"
	    "def quit(call):\n"
	    "    sys.exit(2)\n"
	    "@portal.call(1)\n"
	    "def alive(call):\n"
	    "    return 77\n");
	expect_said("early: exit(1)");
	reply(0, 0, NULL, 0);
	expect_said("late: exit(late)");
	assert_int_equal(call(0, 0), -EIO);
	expect_said("call 0: exit(2)");
	assert_int_equal(call(1, 0), 77);
}

static void cancel(void **state)
{
	(void)state;
	run("def handler():\n"
	    "    try:\n"
	    "        yield PortalCmd('ping')\n"
	    "    except PortalError as e:\n"
	    "        print('ended by', e.errno)\n"
	    "task = portal.start(handler())\n"
	    "@portal.call(0)\n"
	    "def stop(call):\n"
	    "    task.cancel()\n"
	    "    task.cancel()\n"
	    "    return portal.info()['credits']\n");
	assert_int_equal(call(0, 0), 112);
	expect_said("ended by 125");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(config), TEST(wrong_scripts), TEST(extension_modules), TEST(table),
		TEST(nested), TEST(errors_raise), TEST(none_continues), TEST(interleave),
		TEST(answers_in_another_thread), TEST(wrong_values), TEST(cannot_start),
		TEST(exits), TEST(cancel),
	};

	return is_built() ? cmocka_run_group_tests(tests, world_setup, world_teardown) : 0;
}
