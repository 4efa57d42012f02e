// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_ops.c - each command, with its errors, on a process of the guest
 *
 * usage: agent_ops SOCKET VM PID MEM STRINGS FLAG FD (as e2e-target prints them)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "guest_connect.h"

#define PAGE	4096

static struct {
	uint32_t pid;
	uint64_t mem, strings, flag;
	uint32_t fd;
} target;
static int sock;
static struct portal_guest_reply rep;
static char out[PORTAL_GUEST_MAX];
static unsigned int checks;

#define CHECK(cond)								\
	do {									\
		checks++;							\
		if (!(cond))							\
			die("line %d: %s (status %d, size %llu, flags %u, value %#llx, count %llu)", \
			    __LINE__, #cond, rep.status, (unsigned long long)rep.out_size, \
			    rep.flags, (unsigned long long)rep.value,		\
			    (unsigned long long)rep.count);			\
	} while (0)

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

/* Returns the status. */
static int command(struct portal_guest_request req, const void *in, size_t len)
{
	struct iovec iov[2] = { { &req, sizeof(req) }, { (void *)in, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (sendmsg(sock, &msg, 0) < 0)
		die("send: %s", strerror(errno));
	iov[0] = (struct iovec){ &rep, sizeof(rep) };
	iov[1] = (struct iovec){ out, sizeof(out) };
	n = recvmsg(sock, &msg, 0);
	if (n < (ssize_t)sizeof(rep))
		die("no answer");
	if (req.out_len && rep.out_size != n - sizeof(rep))
		die("answer of %zd bytes, size %llu", n, (unsigned long long)rep.out_size);
	return rep.status;
}

#define CMD(...) command((struct portal_guest_request){ __VA_ARGS__ }, NULL, 0)
#define CMD_IN(in, len, ...) command((struct portal_guest_request){ __VA_ARGS__ }, in, len)

static void base(void)
{
	const struct portal_cmd_features *feat = (void *)out;
	const struct portal_cmd_op_info *ops = (void *)(feat + 1);

	CHECK(!CMD(.op = PORTAL_CMD_PING, .addr = 0x123456789abcdef0));
	CHECK(rep.value == 0x123456789abcdef0);
	CHECK(CMD(.op = 0x7ff) == -ENOSYS);
	CHECK(CMD(.op = 0) == -ENOSYS);
	CHECK(CMD(.op = 0x10001) == -ENOSYS);
	CHECK(!CMD(.op = PORTAL_CMD_FEATURES, .out_len = 4096));
	CHECK(feat->abi_hash == PORTAL_CMD_ABI_HASH && feat->nr_ops == rep.count);
	CHECK(rep.out_size == sizeof(*feat) + feat->nr_ops * sizeof(*ops));
	CHECK(ops[0].op == PORTAL_CMD_PING && ops[0].hash);
	/* no room for the least that there is; a payload where there is none */
	CHECK(CMD(.op = PORTAL_CMD_FEATURES, .out_len = 8) == -EMSGSIZE);
	CHECK(CMD_IN("x", 1, .op = PORTAL_CMD_PING) == -EINVAL);
	CHECK(!CMD(.op = PORTAL_CMD_CANCEL, .addr = 12345) && !rep.value);
	CHECK(!CMD(.op = PORTAL_CMD_TIME, .out_len = 24));
	CHECK(((struct portal_cmd_time *)out)->boottime_ns > 1000000);
}

static void memory(void)
{
	uint32_t pid = target.pid;

	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = target.mem, .size = PAGE - 5,
		   .out_len = PAGE));
	CHECK(rep.out_size == PAGE - 5 && !rep.flags);
	for (int i = 0; i < PAGE - 5; i++)
		if ((unsigned char)out[i] != i % 251 + 1)
			die("byte %d is %d", i, out[i]);
	/* never zeros for what is not there */
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = target.mem + 100,
		  .size = 2 * PAGE, .out_len = 2 * PAGE) == -EFAULT);
	CHECK(rep.out_size == PAGE - 100 && rep.flags == PORTAL_DONE_F_PARTIAL);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = target.mem + PAGE, .size = 1,
		  .out_len = 1) == -EFAULT);
	CHECK(rep.out_size == 0 && !rep.flags);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = UINT64_MAX, .size = 2,
		  .out_len = 2) == -EFAULT);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = target.mem, .size = 2,
		  .out_len = 1) == -EMSGSIZE);
	/* 0 is process 0, which has no memory; not "the current one" */
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = 0, .addr = target.mem, .size = 1,
		  .out_len = 1) == -ENXIO);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = 2, .addr = target.mem, .size = 1,
		  .out_len = 1) == -ENXIO);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = 0x7ffffff0, .size = 1, .out_len = 1) == -ESRCH);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ, .pid = UINT32_MAX, .size = 1, .out_len = 1) == -ESRCH);

	CHECK(!CMD_IN("written", 8, .op = PORTAL_CMD_MEM_WRITE, .pid = pid, .addr = target.mem));
	CHECK(rep.out_size == 8);
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = target.mem, .size = 100,
		   .out_len = 100));
	CHECK(rep.out_size == 8 && !strcmp(out, "written"));
	CHECK(CMD_IN("12345678", 8, .op = PORTAL_CMD_MEM_WRITE, .pid = pid,
		     .addr = target.mem + PAGE - 4) == -EFAULT);
	CHECK(rep.out_size == 4 && rep.flags == PORTAL_DONE_F_PARTIAL);
	/* read-only for the process, so for us */
	CHECK(CMD_IN("x", 1, .op = PORTAL_CMD_MEM_WRITE, .pid = pid,
		     .addr = target.mem + 2 * PAGE) == -EFAULT);
	CHECK(rep.out_size == 0);
}

static int copy(uint32_t pid, uint64_t from, uint32_t to_pid, uint64_t to, uint64_t size)
{
	struct portal_cmd_mem_copy in = { .to_pid = to_pid, .to_addr = to, .size = size };

	return CMD_IN(&in, sizeof(in), .op = PORTAL_CMD_MEM_COPY, .pid = pid, .addr = from);
}

static void copies(void)
{
	uint64_t mem = target.mem;
	uint32_t pid = target.pid;

	CHECK(!CMD_IN("copied", 7, .op = PORTAL_CMD_MEM_WRITE, .pid = pid, .addr = mem));
	CHECK(!copy(pid, mem, pid, mem + 200, 7));
	CHECK(rep.out_size == 7 && !rep.flags);
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = mem + 200, .size = 99,
		   .out_len = 99));
	CHECK(!strcmp(out, "copied"));
	/* as far as it goes: the source ends, the target ends, the target is read-only */
	CHECK(copy(pid, mem + PAGE - 3, pid, mem + 300, 8) == -EFAULT);
	CHECK(rep.out_size == 3 && rep.flags == PORTAL_DONE_F_PARTIAL);
	CHECK(copy(pid, mem, pid, mem + PAGE - 4, 8) == -EFAULT);
	CHECK(rep.out_size == 4 && rep.flags == PORTAL_DONE_F_PARTIAL);
	CHECK(copy(pid, mem, pid, mem + 2 * PAGE, 1) == -EFAULT);
	CHECK(rep.out_size == 0 && !rep.flags);
	CHECK(!copy(pid, mem, pid, mem, 0));
	CHECK(copy(pid, mem, pid, mem, (16 << 20) + 1) == -E2BIG);
	CHECK(copy(pid, UINT64_MAX, pid, mem, 2) == -EFAULT);
	CHECK(copy(pid, mem, pid, UINT64_MAX, 2) == -EFAULT);
	CHECK(copy(0, mem, pid, mem, 1) == -ENXIO && copy(pid, mem, 2, mem, 1) == -ENXIO);
	CHECK(copy(pid, mem, 0x7ffffff0, mem, 1) == -ESRCH);
}

static void strings(void)
{
	uint32_t pid = target.pid;

	CHECK(!CMD_IN("tail", 5, .op = PORTAL_CMD_MEM_WRITE, .pid = pid,
		      .addr = target.mem + PAGE - 5));
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = target.mem + PAGE - 5,
		   .size = 1000, .out_len = 1000));
	CHECK(rep.out_size == 5 && !strcmp(out, "tail"));
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = target.mem + 2 * PAGE,
		  .size = 100, .out_len = 100) == -E2BIG);
	CHECK(rep.out_size == 100 && rep.flags == PORTAL_DONE_F_PARTIAL);
	CHECK(CMD(.op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = target.mem + PAGE, .size = 9,
		  .out_len = 9) == -EFAULT);
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STRV, .pid = pid, .addr = target.strings, .size = 99,
		   .out_len = 100));
	CHECK(rep.count == 3 && rep.out_size == 19 && !rep.flags);
	CHECK(!memcmp(out, "first\0second\0third", 19));
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STRV, .pid = pid, .addr = target.strings, .size = 2,
		   .out_len = 100));
	CHECK(rep.count == 2 && rep.flags == PORTAL_DONE_F_MORE);
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STRV, .pid = pid, .addr = rep.cursor, .size = 99,
		   .out_len = 100));
	CHECK(rep.count == 1 && !strcmp(out, "third"));
	/* room for one and a half */
	CHECK(!CMD(.op = PORTAL_CMD_MEM_READ_STRV, .pid = pid, .addr = target.strings, .size = 99,
		   .out_len = 9));
	CHECK(rep.count == 1 && rep.flags == PORTAL_DONE_F_MORE && rep.out_size == 6);
}

static void symbols(void)
{
	char name[] = "schedule";
	uint64_t addr;

	CHECK(!CMD_IN(name, sizeof(name), .op = PORTAL_CMD_SYM_LOOKUP));
	addr = rep.value;
	CHECK(addr > 0xffffffff80000000);
	CHECK(!CMD(.op = PORTAL_CMD_SYM_NAME, .addr = addr, .out_len = 512));
	CHECK(!strncmp(out, "schedule+0x0/", 13));
	CHECK(CMD_IN("no_such_function", 17, .op = PORTAL_CMD_SYM_LOOKUP) == -ENOENT);
	CHECK(CMD_IN("a\0b", 4, .op = PORTAL_CMD_SYM_LOOKUP) == -EINVAL);
	CHECK(CMD_IN("schedule", 8, .op = PORTAL_CMD_SYM_LOOKUP) == -EINVAL);
	CHECK(CMD(.op = PORTAL_CMD_SYM_NAME, .addr = 4096, .out_len = 512) == -ENOENT);
	CHECK(!CMD(.op = PORTAL_CMD_KMEM_READ, .addr = addr, .size = 16, .out_len = 16));
	CHECK(rep.out_size == 16);
	CHECK(CMD(.op = PORTAL_CMD_KMEM_READ, .addr = 4096, .size = 16, .out_len = 16) == -EFAULT);
	CHECK(rep.out_size == 0);
	CHECK(CMD(.op = PORTAL_CMD_KMEM_READ_STR, .addr = 0xffffffffffff0000, .size = 16,
		  .out_len = 16) == -EFAULT);
}

static bool has_string(const char *what)
{
	for (size_t i = 0; i < rep.out_size; i += strlen(out + i) + 1)
		if (!strcmp(out + i, what))
			return true;
	return false;
}

static void maps_and_fds(void)
{
	const struct portal_cmd_map *map;
	const struct portal_cmd_fd *fd;
	unsigned int found = 0, pages = 0;
	uint64_t all;
	size_t off;

	CHECK(!CMD(.op = PORTAL_CMD_TASK_MAPS, .pid = target.pid, .out_len = 65536));
	for (off = 0; off < rep.out_size; off += map->len) {
		map = (void *)(out + off);
		CHECK(map->len >= sizeof(*map) && map->start < map->end);
		pages += map->start == target.mem && map->end == target.mem + PAGE && map->prot == 3;
		found += !!strstr((char *)(map + 1), "e2e-target");
		found += !strcmp((char *)(map + 1), "[stack]");
	}
	all = rep.count;
	CHECK(pages == 1 && found >= 3);
	/* in small steps it is as many */
	for (off = 0, rep.cursor = 0, rep.flags = PORTAL_DONE_F_MORE;
	     rep.flags & PORTAL_DONE_F_MORE; off += rep.count)
		CHECK(!CMD(.op = PORTAL_CMD_TASK_MAPS, .pid = target.pid, .addr = rep.cursor,
			   .out_len = 200));
	CHECK(off == all);
	CHECK(CMD(.op = PORTAL_CMD_TASK_MAPS, .pid = target.pid, .out_len = 8) == -EMSGSIZE);

	CHECK(!CMD(.op = PORTAL_CMD_TASK_FDS, .pid = target.pid, .out_len = 65536));
	for (off = 0, found = 0; off < rep.out_size; off += fd->len) {
		fd = (void *)(out + off);
		CHECK(fd->len >= sizeof(*fd));
		if (fd->fd == target.fd)
			found += !strcmp((char *)(fd + 1), "/tmp/e2e-target.file") && fd->pos == 5 &&
				 S_ISREG(fd->mode) && (fd->flags & O_ACCMODE) == O_RDWR;
	}
	CHECK(found == 1);
	CHECK(CMD(.op = PORTAL_CMD_TASK_FDS, .pid = 0x7ffffff0, .out_len = 65536) == -ESRCH);
}

static void tasks(void)
{
	const struct portal_cmd_task *task = (void *)out;
	const struct portal_cmd_regs *regs = (void *)out;
	uint64_t all, nr = 0;
	int tries = 0;

	CHECK(!CMD(.op = PORTAL_CMD_TASK_INFO, .pid = target.pid, .out_len = sizeof(*task)));
	CHECK(task->pid == target.pid && !strcmp((char *)task->comm, "e2e-target"));
	CHECK(task->threads == 1 && task->vm_pages && task->rss_pages && !task->flags);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_INFO, .pid = 0, .out_len = sizeof(*task)));
	CHECK(!task->pid && !strcmp((char *)task->comm, "swapper/0"));
	CHECK(CMD(.op = PORTAL_CMD_TASK_INFO, .pid = 0x7ffffff0, .out_len = 88) == -ESRCH);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_LIST, .out_len = PORTAL_GUEST_MAX));
	all = rep.value;
	CHECK(rep.count == all && rep.out_size == all * sizeof(*task) && !rep.flags);
	for (uint64_t i = 1; i < all; i++)
		CHECK(task[i - 1].pid < task[i].pid);
	for (rep.cursor = 0, rep.flags = PORTAL_DONE_F_MORE; rep.flags & PORTAL_DONE_F_MORE;
	     nr += rep.count)
		CHECK(!CMD(.op = PORTAL_CMD_TASK_LIST, .addr = rep.cursor,
			   .out_len = 3 * sizeof(*task)));
	/* kworkers come and go */
	CHECK(nr + 10 > all && nr < all + 10);
	CHECK(CMD(.op = PORTAL_CMD_TASK_LIST, .out_len = 10) == -EMSGSIZE);

	CHECK(!CMD(.op = PORTAL_CMD_TASK_EXE, .pid = target.pid, .out_len = 4096));
	CHECK(!strcmp(out, "/bin/e2e-target") && rep.out_size == 16);
	CHECK(CMD(.op = PORTAL_CMD_TASK_EXE, .pid = 2, .out_len = 4096) == -ENXIO);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_ARGS, .pid = target.pid, .out_len = 4096));
	CHECK(!memcmp(out, "e2e-target\0one\0two", 19) && rep.out_size == 19 && !rep.flags);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_ARGS, .pid = target.pid, .addr = 11, .out_len = 2));
	CHECK(!memcmp(out, "on", 2) && rep.flags == PORTAL_DONE_F_MORE && rep.cursor == 13);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_ARGS, .pid = target.pid, .addr = 99, .out_len = 2));
	CHECK(!rep.out_size && !rep.flags);
	CHECK(!CMD(.op = PORTAL_CMD_TASK_ENV, .pid = target.pid, .out_len = 4096));
	CHECK(has_string("E2E=target"));
	while (CMD(.op = PORTAL_CMD_TASK_REGS, .pid = target.pid, .out_len = 168) == -EBUSY)
		CHECK(tries++ < 1000);
	CHECK(!rep.status && regs->ip && regs->sp && (regs->cs & 3) == 3);
	CHECK(CMD(.op = PORTAL_CMD_TASK_REGS, .pid = 2, .out_len = 168) == -ENXIO);
	CHECK(CMD(.op = PORTAL_CMD_TASK_REGS, .pid = 0, .out_len = 168) == -ENXIO);
}

static uint64_t open_file(const char *path, uint64_t flags)
{
	CMD_IN(path, strlen(path) + 1, .op = PORTAL_CMD_FILE_OPEN, .addr = flags, .size = 0600);
	return rep.value;
}

static void handles(void)
{
	uint64_t h, other;

	h = open_file("/tmp/e2e-handle", O_RDWR | O_CREAT | O_TRUNC);
	CHECK(!rep.status && h >> 32 && (uint32_t)h);
	CHECK(!CMD_IN("hello, ", 7, .op = PORTAL_CMD_FILE_HANDLE_WRITE, .addr = h));
	CHECK(!CMD_IN("world", 5, .op = PORTAL_CMD_FILE_HANDLE_WRITE, .addr = h));
	CHECK(rep.out_size == 5);
	other = open_file("/tmp/e2e-handle", O_RDONLY);
	CHECK(!rep.status && other != h);
	CHECK(!CMD(.op = PORTAL_CMD_FILE_HANDLE_READ, .addr = other, .size = 7, .out_len = 7));
	CHECK(rep.out_size == 7 && !memcmp(out, "hello, ", 7));
	CHECK(!CMD(.op = PORTAL_CMD_FILE_HANDLE_READ, .addr = other, .size = 99, .out_len = 99));
	CHECK(rep.out_size == 5 && !memcmp(out, "world", 5));
	/* the end of a file is no error, and an error no empty file */
	CHECK(!CMD(.op = PORTAL_CMD_FILE_HANDLE_READ, .addr = other, .size = 99, .out_len = 99));
	CHECK(rep.out_size == 0);
	CHECK(CMD_IN("x", 1, .op = PORTAL_CMD_FILE_HANDLE_WRITE, .addr = other) == -EBADF);
	CHECK(!CMD(.op = PORTAL_CMD_FILE_CLOSE, .addr = other));
	CHECK(CMD(.op = PORTAL_CMD_FILE_CLOSE, .addr = other) == -EBADF);
	/* its number comes again, its generation does not */
	open_file("/tmp/e2e-handle", O_RDONLY);
	CHECK((uint32_t)rep.value == (uint32_t)other && rep.value != other);
	CHECK(CMD(.op = PORTAL_CMD_FILE_HANDLE_READ, .addr = other, .size = 1, .out_len = 1) ==
	      -EBADF);
	open_file("/tmp/nosuch", O_RDONLY);
	CHECK(rep.status == -ENOENT);
	open_file("/tmp/e2e-handle", 0x80000000);
	CHECK(rep.status == -EINVAL);
	/* the rest is closed with the channel: rmmod would not end else */
}

static void files(void)
{
	const struct portal_cmd_stat *st = (void *)out;
	struct {
		struct portal_cmd_file_write how;
		char text[64];
	} in = { .how = { .flags = 3, .mode = 0640, .path_len = 14 }, .text = "/tmp/e2e-file\0data" };
	char path[] = "/tmp/e2e-file";

	CHECK(!CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE));
	CHECK(rep.out_size == 4 && rep.cursor == 4);
	in.how.flags = 4;
	CHECK(!CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE));
	CHECK(!CMD_IN(path, 14, .op = PORTAL_CMD_FILE_STAT, .out_len = sizeof(*st)));
	CHECK(st->size == 8 && S_ISREG(st->mode) && (st->mode & 0777) == 0640 && st->nlink == 1);
	CHECK(!CMD_IN(path, 14, .op = PORTAL_CMD_FILE_READ, .addr = 2, .size = 100, .out_len = 100));
	CHECK(rep.out_size == 6 && !memcmp(out, "tadata", 6) && !rep.flags);
	CHECK(!CMD_IN(path, 14, .op = PORTAL_CMD_FILE_READ, .addr = 0, .size = 3, .out_len = 3));
	CHECK(rep.out_size == 3 && rep.flags == PORTAL_DONE_F_MORE && rep.cursor == 3);
	/* a path longer than the payload, one without NUL, one with a NUL inside */
	in.how.path_len = 1000;
	CHECK(CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE) == -EINVAL);
	in.how.path_len = 13;
	CHECK(CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE) == -EINVAL);
	in.how.path_len = 18;
	CHECK(CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE) == -EINVAL);
	in.how.path_len = 14;
	in.how.flags = 8;
	CHECK(CMD_IN(&in, sizeof(in.how) + 18, .op = PORTAL_CMD_FILE_WRITE) == -EINVAL);
	CHECK(CMD_IN(&in, 3, .op = PORTAL_CMD_FILE_WRITE) == -EINVAL);
	CHECK(CMD_IN("tmp", 4, .op = PORTAL_CMD_FILE_STAT, .out_len = 48) == -EINVAL);
	CHECK(CMD_IN(path, 13, .op = PORTAL_CMD_FILE_STAT, .out_len = 48) == -EINVAL);
	CHECK(CMD(.op = PORTAL_CMD_FILE_STAT, .out_len = 48) == -EINVAL);
}

static int net_add(const char *name, const char *mac, uint32_t mtu)
{
	struct {
		struct portal_cmd_net_add add;
		char name[64];
	} in = { .add.mtu = mtu };

	memcpy(in.add.mac, mac, 6);
	strcpy(in.name, name);
	return CMD_IN(&in, sizeof(in.add) + strlen(name) + 1, .op = PORTAL_CMD_NET_ADD);
}

static int net_set(const char *name, struct portal_cmd_net_set set)
{
	struct {
		struct portal_cmd_net_set set;
		char name[64];
	} in = { .set = set };

	strcpy(in.name, name);
	return CMD_IN(&in, sizeof(in.set) + strlen(name) + 1, .op = PORTAL_CMD_NET_SET);
}

static int net_named(unsigned int op, const char *name)
{
	return CMD_IN(name, strlen(name) + 1, .op = op, .out_len = 4096);
}

/* What e2e-target's guest has is lo; what is left here goes with the channel. */
static void net(void)
{
	static const char mac[6] = "\x02\x12\x34\x56\x78\x9a", many[6] = "\x03";
	const struct portal_cmd_net *dev = (void *)out;
	char name[16];
	uint64_t index;
	int i;

	CHECK(!net_named(PORTAL_CMD_NET_INFO, "lo"));
	CHECK(rep.out_size == sizeof(*dev) && dev->ifindex == 1 && dev->type == 772 && !dev->attr);
	CHECK(!net_add("e2e0", mac, 1400));
	index = rep.value;
	CHECK(net_add("e2e0", mac, 0) == -EEXIST && net_add("lo", mac, 0) == -EEXIST);
	CHECK(net_add("e2e1", many, 0) == -EADDRNOTAVAIL);
	CHECK(net_add("", mac, 0) == -EINVAL && net_add("e2e%d", mac, 0) == -EINVAL);
	CHECK(net_add("e/e", mac, 0) == -EINVAL && net_add("sixteen-letters!", mac, 0) == -EINVAL);
	CHECK(net_add("e2e1", mac, 67) == -EINVAL && net_add("e2e1", mac, 65536) == -EINVAL);
	CHECK(!net_named(PORTAL_CMD_NET_INFO, "e2e0"));
	CHECK(dev->ifindex == index && dev->attr == 1 && dev->mtu == 1400 && !(dev->flags & 1));
	CHECK(!memcmp(dev->mac, mac, 6) && !strcmp((char *)dev->name, "e2e0"));

	/* IFF_UP, IFF_RUNNING; what the guest sends over it is counted */
	CHECK(!net_set("e2e0", (struct portal_cmd_net_set){ .mask = 5, .up = 1, .mtu = 9000 }));
	CHECK(!net_named(PORTAL_CMD_NET_INFO, "e2e0"));
	CHECK((dev->flags & 0x41) == 0x41 && dev->mtu == 9000);
	CHECK(!net_set("e2e0", (struct portal_cmd_net_set){ .mask = 2 }));
	CHECK(!net_named(PORTAL_CMD_NET_INFO, "e2e0") && !(dev->flags & 0x40));
	CHECK(!net_set("e2e0", (struct portal_cmd_net_set){ .mask = 2, .carrier = 1 }));
	CHECK(net_set("lo", (struct portal_cmd_net_set){ .mask = 2 }) == -EOPNOTSUPP);
	CHECK(net_set("lo", (struct portal_cmd_net_set){ .mask = 0 }) == -EINVAL);
	CHECK(net_set("lo", (struct portal_cmd_net_set){ .mask = 8 }) == -EINVAL);
	CHECK(net_set("lo", (struct portal_cmd_net_set){ .mask = 1, .up = 2 }) == -EINVAL);
	CHECK(net_set("e2e0", (struct portal_cmd_net_set){ .mask = 4, .mtu = 66000 }) == -EINVAL);
	CHECK(net_set("nosuch", (struct portal_cmd_net_set){ .mask = 1 }) == -ENODEV);

	/* one record at a time */
	CHECK(!CMD(.op = PORTAL_CMD_NET_LIST, .out_len = sizeof(*dev)));
	CHECK(rep.count == 1 && rep.flags & PORTAL_DONE_F_MORE && !strcmp((char *)dev->name, "lo"));
	CHECK(!CMD(.op = PORTAL_CMD_NET_LIST, .addr = index, .out_len = 4096));
	CHECK(rep.count >= 1 && dev->ifindex == index && !(rep.flags & PORTAL_DONE_F_MORE));
	CHECK(!CMD(.op = PORTAL_CMD_NET_LIST, .addr = UINT32_MAX, .out_len = 4096) && !rep.count);
	CHECK(CMD(.op = PORTAL_CMD_NET_LIST, .out_len = 8) == -EMSGSIZE);

	CHECK(net_named(PORTAL_CMD_NET_DEL, "lo") == -ENODEV);
	CHECK(net_named(PORTAL_CMD_NET_DEL, "nosuch") == -ENODEV);
	CHECK(!net_named(PORTAL_CMD_NET_DEL, "e2e0"));
	CHECK(net_named(PORTAL_CMD_NET_INFO, "e2e0") == -ENODEV);
	for (i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "left%d", i);
		CHECK(!net_add(name, "\0\0\0\0\0", 0));
	}
	CHECK(net_add("left64", mac, 0) == -EMFILE);
	CHECK(!net_named(PORTAL_CMD_NET_INFO, "left7") && dev->mtu == 1500 && dev->mac[0] & 2);
}

static void exec(void)
{
	struct {
		struct portal_cmd_exec how;
		char text[64];
	} in = { .how = { .argc = 1, .in_len = 6 }, .text = "/bin/cat\0input\n" };
	const struct portal_cmd_exec_result *res = (void *)out;
	size_t len = sizeof(in.how) + 15;

	CHECK(!CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 4096));
	CHECK(!res->wait_status && res->out_given == 6 && res->out_len == 6);
	CHECK(!memcmp(res + 1, "input\n", 6));
	/* more than fits: told, with how much there was */
	CHECK(!CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = sizeof(*res) + 2));
	CHECK(rep.flags == PORTAL_DONE_F_PARTIAL && res->out_len == 6 && res->out_given == 2);
	CHECK(CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 8) == -EMSGSIZE);
	in.how.in_len = 7;
	CHECK(CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 4096) == -EINVAL);
	in.how.in_len = 6;
	in.how.argc = 3;
	CHECK(CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 4096) == -EINVAL);
	in.how.argc = 0xffffffff;
	CHECK(CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 4096) == -EINVAL);
	in.how.argc = 1;
	in.text[0] = 'x';
	CHECK(CMD_IN(&in, len, .op = PORTAL_CMD_EXEC, .out_len = 4096) == -EINVAL);
}

int main(int argc, char **argv)
{
	if (argc != 8)
		return 2;
	target.pid = atoi(argv[3]);
	target.mem = strtoull(argv[4], NULL, 0);
	target.strings = strtoull(argv[5], NULL, 0);
	target.flag = strtoull(argv[6], NULL, 0);
	target.fd = atoi(argv[7]);
	sock = guest_connect(argv[1], argv[2]);
	if (sock < 0)
		return 1;
	base();
	memory();
	copies();
	strings();
	tasks();
	maps_and_fds();
	files();
	handles();
	exec();
	symbols();
	net();
	CHECK(!CMD_IN("stop", 5, .op = PORTAL_CMD_MEM_WRITE, .pid = target.pid,
		      .addr = target.flag));
	printf("%u checks passed\n", checks);
	return 0;
}
