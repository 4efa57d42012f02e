// SPDX-License-Identifier: GPL-2.0-only
/*
 * observe_test - what can be seen from outside: tracepoints and debugfs
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include "mock_util.h"

#define INSTANCES	"/sys/kernel/tracing/instances"
#define INSTANCE	INSTANCES "/portal_test"
#define DEBUGFS		"/sys/kernel/debug/portal"

FIXTURE(observe)
{
	struct mock m;
	struct queue q;
	int vm;
	int hook;
	char dir[64];	/* of the VM in debugfs */
	char own[80];	/* of our client */
};

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* slurp: the file as a string, to be freed; NULL if it cannot be read. */
static char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	char *buf = calloc(1, 1 << 20);
	size_t len = 0;
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, buf + len, (1 << 20) - 1 - len)) > 0)
		len += n;
	if (fd >= 0)
		close(fd);
	if (n >= 0)
		return buf;
	free(buf);
	return NULL;
}

FIXTURE_SETUP(observe)
{
	struct portal_hook_add hook;
	struct portal_vm_info info;

	mock_setup(_metadata, &self->m);
	self->vm = self->m.vm;
	ASSERT_EQ(0, queue_create(self->vm, &self->q, (struct portal_queue_create)QUEUE(16)));
	hook = (struct portal_hook_add)HOOK(self->q.id, MOCK_HC, MOCK_HC,
					    .flags = PORTAL_HOOK_F_RAW,
					    .timeout_ns = 200 * NSEC_PER_MSEC);
	self->hook = hook_add(self->vm, hook);
	ASSERT_LT(0, self->hook);
	info = portal_vm_info(self->vm);
	ASSERT_LT(0, info.out_vm_id);
	ASSERT_LT(0, info.out_client_id);
	snprintf(self->dir, sizeof(self->dir), DEBUGFS "/%u", info.out_vm_id);
	snprintf(self->own, sizeof(self->own), "%s/%u", self->dir, info.out_client_id);
	if (access(self->dir, F_OK) || access(INSTANCES, F_OK))
		SKIP(_exit(HARNESS_SKIP), "debugfs and tracefs are not mounted");
}

FIXTURE_TEARDOWN(observe)
{
	rmdir(INSTANCE);
	queue_close(&self->q);
	mock_teardown(&self->m);
}

/* ---- tracepoints -------------------------------------------------------- */

static int trace_start(void)
{
	rmdir(INSTANCE);
	if (mkdir(INSTANCE, 0700))
		return -errno;
	return put(INSTANCE "/events/portal/enable", "1");
}

/* traced: how often event @name tells of request @id. */
static int traced(const char *name, __u64 id)
{
	char *buf = slurp(INSTANCE "/trace"), *at = buf, want[64];
	int nr = 0;

	if (!buf)
		return -EIO;
	snprintf(want, sizeof(want), " portal_%s: id=%llu ", name, (unsigned long long)id);
	/* an id may end its line */
	for (char *p = buf; *p; p++)
		if (*p == '\n')
			*p = ' ';
	while ((at = strstr(at, want))) {
		at++;
		nr++;
	}
	free(buf);
	return nr;
}

TEST_F(observe, each_stage_tells_of_a_call_once)
{
	static const char *const once[] = {
		"hook", "request", "ring", "queue", "reply", "retire",
	};
	struct portal_request req;
	struct vcpu v = { };

	ASSERT_EQ(0, trace_start());
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 7, 1)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_TRUE(WAIT_UNTIL(traced("wait", req.id) >= 1));
	EXPECT_EQ(0, traced("reply", req.id));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, queue_reply(&self->q, req.id, 5));
	ASSERT_EQ(0, vcpu_join(&v));
	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++) {
		EXPECT_EQ(1, traced(once[i], req.id)) {
			TH_LOG("portal_%s", once[i]);
		}
	}
	EXPECT_EQ(0, traced("timeout", req.id));
	EXPECT_EQ(0, traced("restart", req.id));
	/* of the next request there is nothing */
	EXPECT_EQ(0, traced("hook", req.id + 1));
}

TEST_F(observe, a_posted_write_is_told_by_its_stages)
{
	struct portal_region_add arg = REGION(self->q.id, MOCK_MMIO, 16, NULL, 0);
	struct portal_request req;

	ASSERT_LT(0, region_add(self->vm, arg));
	ASSERT_EQ(0, trace_start());
	ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, 99));
	ASSERT_TRUE(queue_next(&self->q, &req));
	EXPECT_EQ(1, traced("hook", req.id));
	EXPECT_EQ(1, traced("request", req.id));
	EXPECT_EQ(1, traced("ring", req.id));
	EXPECT_EQ(0, traced("queue", req.id));
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, queue_commit(&self->q, NULL, 0));
	EXPECT_EQ(1, traced("queue", req.id));
	EXPECT_EQ(0, traced("reply", req.id));
}

static void on_signal(int sig)
{
}

TEST_F(observe, restarts_and_time_outs_are_told)
{
	struct portal_request req;
	struct vcpu v = { };

	ASSERT_EQ(0, trace_start());
	signal(SIGUSR1, on_signal);
	ASSERT_EQ(0, vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 8, 1)));
	ASSERT_TRUE(queue_next(&self->q, &req));
	ASSERT_TRUE(WAIT_UNTIL(traced("wait", req.id) >= 1));
	pthread_kill(v.thread, SIGUSR1);
	ASSERT_EQ(0, vcpu_join(&v));	/* nobody answers */
	EXPECT_LE(1, traced("restart", req.id));
	EXPECT_EQ(1, traced("timeout", req.id));
	EXPECT_EQ(1, traced("hook", req.id));
	EXPECT_EQ(1, traced("reply", req.id));
	EXPECT_EQ(-PORTAL_ETIME, (__s64)v.a.out_value);
}

/* ---- debugfs ------------------------------------------------------------ */

/* counted: the number behind @key in @dir/@file, -errno if there is none. */
static long long counted(const char *dir, const char *file, const char *key)
{
	char path[200], want[64], *buf, *at;
	long long val = -ENOENT;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(want, sizeof(want), "\n%s ", key);
	buf = slurp(path);
	if (!buf)
		return -EIO;
	at = strstr(buf, want);
	if (at)
		val = strtoll(at + strlen(want), NULL, 10);
	free(buf);
	return val;
}

/* total: all counts of histogram @name; the sum of times is not one. */
static long long total(const char *dir, const char *file, const char *name)
{
	char path[200], *buf, *line, *save;
	size_t len = strlen(name);
	long long sum = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	buf = slurp(path);
	if (!buf)
		return -EIO;
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, name, len) && line[len] == '.' && line[len + 1] != 's')
			sum += strtoll(strchr(line, ' '), NULL, 10);
	free(buf);
	return sum;
}

static const char *name(char buf[24], const char *what, unsigned int id)
{
	snprintf(buf, 24, "%s%u", what, id);
	return buf;
}

/* Answers @nr calls of vCPU 0, read by read() or by looking into the ring. */
static int answer_calls(FIXTURE_DATA(observe) *self, int nr, bool reading)
{
	struct portal_request req;
	struct vcpu v = { };
	int i, ret;

	for (i = 0; i < nr; i++) {
		ret = vcpu_start(&v, self->vm, mock_hc(MOCK_HC, 100 + i, i));
		if (!ret && reading)
			ret = read(self->q.fd, &req, sizeof(req)) == sizeof(req) ?
			      queue_reply(&self->q, req.id, i) : -errno;
		else if (!ret)
			ret = queue_answer(&self->q, &req, i);
		ret = ret ?: vcpu_join(&v);
		if (ret)
			return ret;
	}
	return 0;
}

TEST_F(observe, histograms_add_up_to_the_calls)
{
	char queue[24], hook[24];

	name(queue, "queue", self->q.id);
	name(hook, "hook", self->hook);
	ASSERT_EQ(0, answer_calls(self, 20, true));
	self->q.seen = __atomic_load_n(&self->q.ring->tail, __ATOMIC_ACQUIRE);
	ASSERT_EQ(0, queue_consume(&self->q));
	ASSERT_EQ(0, queue_commit(&self->q, NULL, 0));
	EXPECT_EQ(20, total(self->own, queue, "taken_ns"));
	EXPECT_EQ(20, total(self->own, queue, "answered_ns"));
	ASSERT_EQ(0, answer_calls(self, 30, false));
	EXPECT_EQ(50, total(self->own, queue, "taken_ns"));
	EXPECT_EQ(50, total(self->own, queue, "answered_ns"));
	EXPECT_EQ(50, total(self->own, hook, "latency_ns"));
	EXPECT_EQ(50, counted(self->own, hook, "calls"));
	EXPECT_EQ(50, counted(self->own, queue, "replies"));
	EXPECT_EQ(50, counted(self->dir, "stats", "calls"));
	/* a wait each, unless the answer was faster */
	EXPECT_LE(total(self->dir, "stats", "parked_ns"),
		  50 + counted(self->dir, "stats", "restarts"));
	EXPECT_LT(0, total(self->dir, "stats", "parked_ns"));
	EXPECT_LT(0, counted(self->dir, "stats", "parked_ns.sum"));
}

TEST_F(observe, a_call_nobody_takes_is_only_counted)
{
	struct portal_mock_access a = mock_hc(MOCK_HC, 1, 1);
	char queue[24], hook[24];

	ASSERT_EQ(0, mock_run(self->vm, &a));
	EXPECT_EQ(0, total(self->own, name(queue, "queue", self->q.id), "taken_ns"));
	EXPECT_EQ(0, total(self->own, queue, "answered_ns"));
	EXPECT_EQ(1, counted(self->own, queue, "pending"));
	EXPECT_EQ(1, counted(self->own, name(hook, "hook", self->hook), "timeouts"));
	EXPECT_EQ(1, total(self->own, hook, "latency_ns"));
	/* 200 ms are between 2^27 and 2^28 ns; on a busy machine longer */
	EXPECT_LE(200 * NSEC_PER_MSEC - EARLY_NS, counted(self->own, hook, "latency_ns.sum"));
}

TEST_F(observe, a_region_counts_what_comes_to_it)
{
	struct portal_region_add arg = REGION(self->q.id, MOCK_MMIO, 16, NULL, 0,
					      .policy = PORTAL_POLICY_DROP);
	int id = region_add(self->vm, arg), i;
	char region[24];
	__u64 value;

	ASSERT_LT(0, id);
	name(region, "region", id);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO, 4, &value));
	for (i = 0; i < 18; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	EXPECT_EQ(5, counted(self->own, region, "shadow_reads"));
	EXPECT_EQ(16, counted(self->own, region, "posted"));
	EXPECT_EQ(2, counted(self->own, region, "dropped"));
	EXPECT_EQ(MOCK_MMIO, counted(self->own, region, "gpa"));
}

TEST_F(observe, info_and_debugfs_say_the_same)
{
	struct portal_filter filter = { .action = PORTAL_FILTER_IGNORE, .offset = 8, .len = 4,
					.flags = PORTAL_FILTER_F_WRITE };
	struct portal_rate_set rate = { .size = sizeof(rate), .rate = 1, .burst = 20 };
	struct portal_target_info info = { .size = sizeof(info) };
	struct queue other;
	__u32 queues[2] = { self->q.id };
	char region[24];
	__u64 value;
	int i;

	ASSERT_EQ(0, queue_create(self->vm, &other, (struct portal_queue_create)QUEUE(4)));
	queues[1] = other.id;
	info.id = region_add(self->vm, (struct portal_region_add)
			     REGION(0, MOCK_MMIO, 16, NULL, 0, .policy = PORTAL_POLICY_DROP,
				    .filters_uptr = (uintptr_t)&filter, .nr_filters = 1,
				    .queues_uptr = (uintptr_t)queues, .nr_queues = 2));
	ASSERT_LT(0, (int)info.id);
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_RATE_SET, &rate));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, mock_run_read(self->vm, MOCK_MMIO, 4, &value));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO + 8, 4, i));
	/* 20 are let in, 16 of these find room */
	for (i = 0; i < 200; i++)
		ASSERT_EQ(0, mock_run_write(self->vm, MOCK_MMIO, 4, i));
	ASSERT_EQ(0, portal_ioctl(self->vm, PORTAL_REGION_INFO, &info));
	EXPECT_EQ(207, info.out_hits);
	EXPECT_EQ(4, info.out_filtered);
	EXPECT_EQ(3, info.out_shadow_reads);
	EXPECT_EQ(16, info.out_posted);
	EXPECT_LT(0, info.out_limited);
	name(region, "region", info.id);
#define SAME(member)	EXPECT_EQ(info.out_##member, counted(self->own, region, #member))
	SAME(hits);
	SAME(filtered);
	SAME(passed);
	SAME(ignored);
	SAME(calls);
	SAME(posted);
	SAME(merged);
	SAME(held);
	SAME(limited);
	SAME(timeouts);
	SAME(dropped);
	SAME(shadow_reads);
#undef SAME
	EXPECT_EQ(queues[0], counted(self->own, region, "queue.0"));
	EXPECT_EQ(queues[1], counted(self->own, region, "queue.1"));
	EXPECT_EQ(info.out_limited, counted(self->dir, "stats", "limited"));
	EXPECT_EQ(4, counted(self->dir, "stats", "filtered"));
	queue_close(&other);
}

static int stop;

/* Reads every file below @arg, again and again. */
static void *read_all(void *arg)
{
	char path[512];
	struct dirent *e;
	long reads = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		DIR *dir = opendir(arg);

		while (dir && (e = readdir(dir))) {
			snprintf(path, sizeof(path), "%s/%s", (char *)arg, e->d_name);
			if (e->d_type == DT_REG) {
				free(slurp(path));
				reads++;
			}
		}
		if (dir)
			closedir(dir);
	}
	return (void *)reads;
}

TEST_F(observe, can_be_read_while_things_come_and_go)
{
	struct portal_queue_create create = QUEUE(4);
	struct portal_region_add region;
	struct portal_hook_add hook;
	pthread_t reader;
	struct queue q;
	void *reads;
	int i, id;

	stop = 0;
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_all, self->own));
	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, queue_create(self->vm, &q, create));
		hook = (struct portal_hook_add)HOOK(q.id, 0x9000, 0x9000,
						    .flags = PORTAL_HOOK_F_RAW);
		region = (struct portal_region_add)REGION(q.id, MOCK_MMIO, 8, NULL, 0);
		id = hook_add(self->vm, hook);
		ASSERT_LT(0, id);
		ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, id));
		id = region_add(self->vm, region);
		ASSERT_LT(0, id);
		ASSERT_EQ(0, portal_id(self->vm, PORTAL_REGION_DEL, id));
		ASSERT_EQ(0, portal_id(self->vm, PORTAL_QUEUE_DEL, q.id));
		queue_close(&q);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(reader, &reads));
	EXPECT_LT(0, (long)reads);
}

TEST_F(observe, the_files_go_with_what_they_show)
{
	char path[128], queue[24];
	int fd, vm2;
	char c;

	name(queue, "queue", self->q.id);
	snprintf(path, sizeof(path), "%s/hook%d", self->own, self->hook);
	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, portal_id(self->vm, PORTAL_HOOK_DEL, self->hook));
	EXPECT_EQ(-1, read(fd, &c, 1));
	EXPECT_EQ(EIO, errno);
	close(fd);
	EXPECT_EQ(-1, access(path, F_OK));
	EXPECT_EQ(0, counted(self->own, queue, "pending"));
	/* a duplicate keeps the client, the last close ends it */
	vm2 = portal_vm_dup(self->vm, PORTAL_RIGHT_ALL);
	close(self->vm);
	EXPECT_EQ(0, access(self->own, F_OK));
	close(vm2);
	self->m.vm = -1;
	EXPECT_EQ(-1, access(self->own, F_OK));
	EXPECT_EQ(-1, access(self->dir, F_OK));
}

TEST_F(observe, only_root_can_look)
{
	struct stat st;

	ASSERT_EQ(0, stat(self->own, &st));
	EXPECT_EQ(0, st.st_uid);
	snprintf(self->own + strlen(self->own), 16, "/queue%u", self->q.id);
	ASSERT_EQ(0, stat(self->own, &st));
	EXPECT_EQ(0400, st.st_mode & 07777);
}

TEST_HARNESS_MAIN
