// SPDX-License-Identifier: GPL-2.0-only
/*
 * node_ops.c - serves files of /proc and /dev to e2e-node in the guest
 *
 * usage: node_ops SOCKET VM   first each error; then it says "serving", until it is
 *                             killed or the guest's agent ends
 */
#include "guest_cmd.h"
#include "node_ioctl.h"

#define PAGE		4096

enum { PROC = 1, DEV, PROC_DIR };

static uint64_t text_id, mute_id, hang_id, dev_id;
static char text[65536];
static size_t text_len;

static int add(struct portal_cmd_node_add how, const char *path)
{
	struct {
		struct portal_cmd_node_add how;
		char path[200];
	} in = { .how = how };

	strcpy(in.path, path);
	return command((struct portal_guest_request){ .op = PORTAL_CMD_NODE_ADD }, &in,
		       sizeof(how) + strlen(path) + 1);
}

#define ADD(path, ...) add((struct portal_cmd_node_add){ __VA_ARGS__ }, path)

static int answer(uint64_t id, uint64_t request, int64_t result, const void *data, size_t len)
{
	static struct {
		struct portal_cmd_node_answer how;
		char data[65536];
	} in;

	in.how.request = request;
	in.how.result = result;
	memcpy(in.data, data, len);
	return command((struct portal_guest_request){ .op = PORTAL_CMD_NODE_ANSWER, .addr = id },
		       &in, sizeof(in.how) + len);
}

static int mem_write(uint64_t offset, const char *data, size_t len)
{
	struct {
		struct portal_cmd_node_mem how;
		char data[64];
	} in = { .how.offset = offset };

	memcpy(in.data, data, len);
	return command((struct portal_guest_request){ .op = PORTAL_CMD_NODE_MEM_WRITE,
						      .addr = dev_id }, &in, sizeof(in.how) + len);
}

static int mem_read(uint64_t offset, uint64_t len)
{
	struct portal_cmd_node_mem how = { .offset = offset };

	return command((struct portal_guest_request){ .op = PORTAL_CMD_NODE_MEM_READ,
						      .addr = dev_id, .size = len, .out_len = 64 },
		       &how, sizeof(how));
}

/* ---- what is refused ---------------------------------------------------------- */

static void paths(void)
{
	static const char *const bad[] = { "", "/abs", "end/", "two//names", "../up", "a/../b",
					   ".hidden", "a/.b", "with space", "new\nline", "a%sb" };
	char longest[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(ADD(bad[i], .kind = PROC, .mode = 0600) == -EINVAL);
		CHECK(ADD(bad[i], .kind = DEV, .mode = 0600) == -EINVAL);
	}
	memset(longest, 'x', sizeof(longest));
	longest[129] = 0;
	CHECK(ADD(longest, .kind = PROC, .mode = 0600) == -EINVAL);
	CHECK(ADD("version", .kind = PROC, .mode = 0600) == -EEXIST);
	CHECK(ADD("1/status", .kind = PROC, .mode = 0600) == -EEXIST);
	CHECK(ADD("nosuch/file", .kind = PROC, .mode = 0600) == -ENOENT);
	CHECK(ADD("null", .kind = DEV, .mode = 0600) == -EEXIST);
	CHECK(ADD("portal-guest", .kind = DEV, .mode = 0600) == -EEXIST);
}

static void errors(void)
{
	CHECK(ADD("e2e", .kind = 0, .mode = 0600) == -EINVAL);
	CHECK(ADD("e2e", .kind = 4, .mode = 0600) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC, .mode = 04755) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC, .mode = 0600, .timeout_ms = 600001) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC, .mode = 0600, .mem_len = 100) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC, .mode = 0600, .mem_len = (1 << 20) + PAGE) == -EINVAL);
	CHECK(ADD("e2e", .kind = PROC_DIR, .mode = 0700, .mem_len = PAGE) == -EINVAL);
	CHECK(CMD(.op = PORTAL_CMD_NODE_ADD) == -EINVAL);
	CHECK(CMD(.op = PORTAL_CMD_NODE_DEL, .addr = 12345) == -ENOENT);
	CHECK(!CMD(.op = PORTAL_CMD_NODE_DEL) && !rep.count);
	CHECK(CMD(.op = PORTAL_CMD_NODE_DATA, .addr = 12345, .size = 1) == -ENOENT);
	CHECK(answer(12345, 1, 0, "", 0) == -ENOENT);
	CHECK(CMD(.op = PORTAL_CMD_NODE_READY, .addr = 12345, .size = 1) == -ENOENT);
	CHECK(CMD(.op = PORTAL_CMD_NODE_READY, .addr = 12345, .size = 0x40) == -EINVAL);
	dev_id = 12345;
	CHECK(mem_read(0, 1) == -ENOENT && mem_write(0, "x", 1) == -ENOENT);
}

/* A channel's most files, and directories that are not empty. */
static void limits(void)
{
	char path[32];
	uint64_t dir;

	CHECK(!ADD("e2e-many", .kind = PROC_DIR, .mode = 0700));
	dir = rep.value;
	for (int i = 1; i < 64; i++) {
		snprintf(path, sizeof(path), "e2e-many/%d", i);
		CHECK(!ADD(path, .kind = PROC, .mode = 0400));
		CHECK(rep.value > dir);
	}
	CHECK(ADD("e2e-many/1", .kind = PROC, .mode = 0400) == -EMFILE);
	CHECK(ADD("e2e-dev", .kind = DEV, .mode = 0400) == -EMFILE);
	CHECK(CMD(.op = PORTAL_CMD_NODE_DEL, .addr = dir) == -ENOTEMPTY);
	CHECK(!CMD(.op = PORTAL_CMD_NODE_DEL, .addr = dir + 63) && rep.count == 1);
	CHECK(ADD("e2e-many/1", .kind = PROC, .mode = 0400) == -EEXIST);
	CHECK(!CMD(.op = PORTAL_CMD_NODE_DEL) && rep.count == 63);
	CHECK(ADD("e2e-many/1", .kind = PROC, .mode = 0400) == -ENOENT);
}

static void of_others(int first, int second)
{
	sock = second;
	CHECK(CMD(.op = PORTAL_CMD_NODE_DEL, .addr = dev_id) == -ENOENT);
	CHECK(!CMD(.op = PORTAL_CMD_NODE_DEL) && !rep.count);
	CHECK(CMD(.op = PORTAL_CMD_NODE_READY, .addr = dev_id, .size = 1) == -ENOENT);
	CHECK(mem_read(0, 1) == -ENOENT);
	close(second);
	sock = first;
}

/* ---- serving ------------------------------------------------------------------ */

static void make(void)
{
	CHECK(!ADD("e2e-node", .kind = PROC_DIR, .mode = 0755));
	CHECK(!ADD("e2e-node/text", .kind = PROC, .mode = 0640));
	text_id = rep.value;
	CHECK(!ADD("e2e-node/mute", .kind = PROC, .mode = 0444, .timeout_ms = 500));
	mute_id = rep.value;
	CHECK(!ADD("e2e-node/hang", .kind = PROC, .mode = 0444, .timeout_ms = 600000));
	hang_id = rep.value;
	CHECK(!ADD("e2e/node", .kind = DEV, .mode = 0660, .timeout_ms = 600000,
		   .mem_len = 2 * PAGE));
	dev_id = rep.value;
	CHECK(!mem_write(PAGE, "from the host", 14) && rep.out_size == 14);
	CHECK(!mem_read(PAGE, 14) && !memcmp(out, "from the host", 14));
	CHECK(mem_write(2 * PAGE, "x", 1) == -EFAULT && mem_write(2 * PAGE - 1, "xx", 2) == -EFAULT);
	CHECK(mem_read(UINT64_MAX, 1) == -EFAULT && mem_read(2 * PAGE - 1, 2) == -EFAULT);
	CHECK(!mem_read(2 * PAGE - 1, 1) && !out[0]);
}

static void text_request(const struct portal_event *ev)
{
	uint64_t offset = ev->args[1], len = ev->args[2];

	if (ev->nr == PORTAL_NODE_IOCTL) {
		CHECK(offset == NODE_ADD_ONE && !answer(text_id, ev->args[0], len + 1, "", 0));
	} else if (ev->nr == PORTAL_NODE_READ) {
		size_t n = offset >= text_len ? 0 : text_len - offset;

		n = n < len ? n : len;
		/* more than the process has room for, and other nonsense, is refused */
		CHECK(answer(text_id, ev->args[0], n + 1, text, n) == -ERANGE);
		CHECK(answer(text_id, ev->args[0], -4096, "", 0) == -ERANGE);
		CHECK(answer(text_id, ev->args[0] + 1, 0, "", 0) == -ENOENT);
		CHECK(!answer(text_id, ev->args[0], n, text + offset, n));
		CHECK(answer(text_id, ev->args[0], n, text + offset, n) == -ENOENT);
	} else {
		CHECK(!CMD(.op = PORTAL_CMD_NODE_DATA, .addr = text_id, .size = ev->args[0],
			   .out_len = sizeof(text)));
		CHECK(rep.out_size == len && len <= sizeof(text));
		if (!memcmp(out, "bad", 3)) {
			CHECK(!answer(text_id, ev->args[0], -EILSEQ, "", 0));
			return;
		}
		memcpy(text, out, len);
		text_len = len;
		CHECK(answer(text_id, ev->args[0], len + 1, "", 0) == -ERANGE);
		/* who is a file of the shell's has written once */
		CHECK(!answer(text_id, ev->args[0], len, "", 0));
	}
}

static int64_t dev_ioctl(const struct portal_event *ev)
{
	uint64_t arg = ev->args[2];

	switch (ev->args[1]) {
	case NODE_ADD_ONE:
		return arg + 1;
	case NODE_NAME:
		return command((struct portal_guest_request){ .op = PORTAL_CMD_MEM_WRITE,
				.pid = ev->tgid, .addr = arg }, "node_ops", 9);
	case NODE_LOOK:
		CHECK(!mem_read(arg, 15));
		return !memcmp(out, "from the guest", 15);
	default:
		return -ENOTTY;
	}
}

static void dev_request(const struct portal_event *ev)
{
	if (ev->nr == PORTAL_NODE_IOCTL) {
		if (ev->args[1] != NODE_NEVER)
			CHECK(!answer(dev_id, ev->args[0], dev_ioctl(ev), "", 0));
	} else if (ev->nr == PORTAL_NODE_READ) {
		CHECK(!CMD(.op = PORTAL_CMD_NODE_READY, .addr = dev_id, .size = 4));
		CHECK(!answer(dev_id, ev->args[0], 8, "message\n", 8));
	} else {
		CHECK(ev->args[2] == 5);
		CHECK(!CMD(.op = PORTAL_CMD_NODE_READY, .addr = dev_id, .size = 5));
		CHECK(!answer(dev_id, ev->args[0], 5, "", 0));
	}
}

static void serve(void)
{
	for (;;) {
		struct portal_event ev = next_event().ev;

		CHECK(ev.kind == PORTAL_EVENT_NODE);
		CHECK(ev.pid > 1 && ev.comm[0]);
		if (ev.hook == text_id)
			text_request(&ev);
		else if (ev.hook == dev_id)
			dev_request(&ev);
		else
			CHECK(ev.hook == mute_id || ev.hook == hang_id);
	}
}

int main(int argc, char **argv)
{
	int second;

	if (argc < 3)
		return 2;
	sock = guest_connect(argv[1], argv[2]);
	second = guest_connect(argv[1], argv[2]);
	if (sock < 0 || second < 0)
		return 1;
	paths();
	errors();
	limits();
	make();
	of_others(sock, second);
	printf("%u checks passed\nserving\n", checks);
	fflush(stdout);
	serve();
	return 0;
}
