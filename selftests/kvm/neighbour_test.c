// SPDX-License-Identifier: GPL-2.0-only
/*
 * neighbour_test - others who trace, probe or patch the functions that portal hooks
 *
 * The live patch is portal_livepatch.ko (make test-modules); run.sh says in
 * PORTAL_TEST_MODULES where it is.
 */
#include "portal_kvm.h"

#define TRACING		"/sys/kernel/tracing/"
#define HOOKED		"kvm_emulate_hypercall"
#define LIVEPATCH	"/sys/kernel/livepatch/portal_livepatch/"
#define FTRACE_ENABLED	"/proc/sys/kernel/ftrace_enabled"
/* unhooking waits for 10 s in which nobody comes, and then thrice for all tasks */
#define LINGER_PATIENCE	12

static void guest_calls(void)
{
	__u64 i;

	for (i = 1;; i++)
		guest_report(guest_hc(SERVICE, i, i, 0, 0, 0));
}

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static bool file_has(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	bool found = false;
	char line[512];

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	return found;
}

static int attach(int dev, int vm_fd)
{
	struct portal_vm_attach arg = { .size = sizeof(arg), .vm_fd = vm_fd,
					.rights = PORTAL_RIGHT_ALL };

	return portal_ioctl(dev, PORTAL_VM_ATTACH, &arg) ?: arg.out_fd;
}

FIXTURE(neighbour)
{
	struct kvm_vm *vm;
	struct guest g;
};

FIXTURE_SETUP(neighbour)
{
	guest_init(_metadata, &self->g, guest_calls);
	ASSERT_LT(0, hook_add(self->g.fd, (struct portal_hook_add)
			      HOOK(self->g.q.id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW)));
	if (access(TRACING "set_ftrace_filter", W_OK))
		SKIP(_exit(HARNESS_SKIP), "no tracefs");
}

FIXTURE_TEARDOWN(neighbour)
{
	/* whatever a test that failed has left */
	file_write(TRACING "events/kprobes/enable", "0");
	file_write(TRACING "kprobe_events", "");
	file_write(TRACING "current_tracer", "nop");
	file_write(TRACING "set_ftrace_filter", "");
	file_write(TRACING "trace", "");
	file_write(FTRACE_ENABLED, "1");
	guest_end(&self->g);
}

/* served: the guest's calls are answered by us, @nr of them. */
static bool served(struct guest *g, int nr)
{
	struct portal_request req;
	int first = __atomic_load_n(&g->nr, __ATOMIC_ACQUIRE), i;

	for (i = 0; i < nr; i++)
		if (queue_answer(&g->q, &req, 0xace))
			return false;
	return WAIT_UNTIL(__atomic_load_n(&g->nr, __ATOMIC_ACQUIRE) >= first + nr) &&
	       (first >= MAX_REPORTS || g->value[first] == 0xace);
}

TEST_F(neighbour, function_tracer_on_the_same_function)
{
	ASSERT_EQ(0, guest_start(&self->g));
	ASSERT_TRUE(served(&self->g, 3));
	ASSERT_EQ(0, file_write(TRACING "set_ftrace_filter", HOOKED));
	ASSERT_EQ(0, file_write(TRACING "current_tracer", "function"));
	EXPECT_TRUE(served(&self->g, 5));
	EXPECT_TRUE(file_has(TRACING "trace", HOOKED));
	ASSERT_EQ(0, file_write(TRACING "current_tracer", "nop"));
	EXPECT_TRUE(served(&self->g, 3));
}

TEST_F(neighbour, kprobe_on_the_same_function)
{
	ASSERT_EQ(0, guest_start(&self->g));
	ASSERT_TRUE(served(&self->g, 3));
	ASSERT_EQ(0, file_write(TRACING "kprobe_events", "p:portal_probe " HOOKED));
	ASSERT_EQ(0, file_write(TRACING "events/kprobes/portal_probe/enable", "1"));
	EXPECT_TRUE(served(&self->g, 5));
	EXPECT_TRUE(file_has(TRACING "trace", "portal_probe:"));
	ASSERT_EQ(0, file_write(TRACING "events/kprobes/portal_probe/enable", "0"));
	ASSERT_EQ(0, file_write(TRACING "kprobe_events", ""));
	EXPECT_TRUE(served(&self->g, 3));
}

/* unhooked: the last VM is detached from, and the text is as it was. */
static bool unhooked(struct guest *g)
{
	int i;

	queue_close(&g->q);
	close(g->fd);
	g->fd = -1;
	for (i = 0; i < LINGER_PATIENCE; i++)
		if (WAIT_UNTIL(!file_has(TRACING "enabled_functions", HOOKED) &&
			       !file_has(TRACING "enabled_functions", "kvm_vm_release ")))
			return true;
	return false;
}

TEST_F_TIMEOUT(neighbour, ftrace_is_not_switched_off_under_us, 120)
{
	struct guest *g = &self->g;

	/* attached: the hooks would be gone, and nobody would know */
	EXPECT_ERRNO(EBUSY, file_write(FTRACE_ENABLED, "0"));
	ASSERT_EQ(0, guest_start(g));
	EXPECT_TRUE(served(g, 3));
	ASSERT_TRUE(unhooked(g));
	/* off before: no attaching. The last hook may still be on its way out */
	ASSERT_TRUE(WAIT_UNTIL(!file_write(FTRACE_ENABLED, "0")));
	EXPECT_ERRNO(EBUSY, attach(g->dev, g->vm->fd));
	ASSERT_EQ(0, file_write(FTRACE_ENABLED, "1"));
	g->fd = attach(g->dev, g->vm->fd);
	EXPECT_LE(0, g->fd);
	ASSERT_EQ(0, queue_create(g->fd, &g->q, (struct portal_queue_create)QUEUE(8)));
}

/* The end of the kernel's log has @text in it. */
static bool log_has(const char *text)
{
	static char line[8192];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool found = false;
	ssize_t len;

	if (fd < 0)
		return false;
	while (!found && ((len = read(fd, line, sizeof(line) - 1)) > 0 || errno == EPIPE)) {
		line[len > 0 ? len : 0] = 0;
		found = strstr(line, text);
	}
	close(fd);
	return found;
}

static int module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

TEST_F_TIMEOUT(neighbour, livepatch_on_the_same_function, 180)
{
	const char *dir = getenv("PORTAL_TEST_MODULES");
	struct guest *g = &self->g;
	char path[300];
	int i, ret = -1;

	snprintf(path, sizeof(path), "%s/portal_livepatch.ko", dir ?: ".");
	if (access(path, R_OK))
		SKIP(return, "no portal_livepatch.ko: make test-modules");
	/* who comes second does not get it */
	EXPECT_ERRNO(EBUSY, module_load(path));
	ASSERT_EQ(0, guest_start(g));
	EXPECT_TRUE(served(g, 3));
	ASSERT_TRUE(unhooked(g));
	ASSERT_EQ(0, module_load(path));
	EXPECT_ERRNO(EBUSY, attach(g->dev, g->vm->fd));
	EXPECT_TRUE(log_has("cannot hook " HOOKED "()"));
	/* and once it is gone, all is well */
	ASSERT_EQ(0, file_write(LIVEPATCH "enabled", "0"));
	for (i = 0; i < LINGER_PATIENCE && ret; i++)
		WAIT_UNTIL(!(ret = syscall(SYS_delete_module, "portal_livepatch", O_NONBLOCK)));
	ASSERT_EQ(0, ret);
	g->fd = attach(g->dev, g->vm->fd);
	ASSERT_LE(0, g->fd);
	ASSERT_EQ(0, queue_create(g->fd, &g->q, (struct portal_queue_create)QUEUE(64)));
	ASSERT_LT(0, hook_add(g->fd, (struct portal_hook_add)
			      HOOK(g->q.id, SERVICE, SERVICE, .flags = PORTAL_HOOK_F_RAW)));
	EXPECT_TRUE(served(g, 3));
}

TEST_HARNESS_MAIN
