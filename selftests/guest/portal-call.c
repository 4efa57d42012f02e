// SPDX-License-Identifier: GPL-2.0-only
/*
 * portal-call.c - call services and access registers from a guest's shell
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/portal_guest.h>

#define DEVICE	"/dev/portal-guest"

static bool hex;
/* seconds, negative: none */
static double timeout = -1;
static char command = 'c';

static void usage(FILE *out)
{
	fputs("usage: portal-call [-x] SERVICE FN [ARG...]\n"
	      "       portal-call [-x] --reg DEVICE OFFSET WIDTH [VALUE]\n"
	      "       portal-call [-x] --wait-event SERVICE [--timeout SECONDS]\n"
	      "       portal-call --blk SERVICE info | flush | read SECTOR COUNT | write SECTOR\n"
	      "       portal-call --list\n"
	      "\n"
	      "SERVICE and DEVICE are names, or numbers of slots. Numbers may be\n"
	      "decimal, 0x hexadecimal or negative. A call takes up to 4 arguments.\n"
	      "\n"
	      "  -b, --blk         sectors of a block service, from and to stdin and stdout\n"
	      "  -r, --reg         read a register, or write VALUE into it\n"
	      "  -w, --wait-event  wait for an interrupt of SERVICE\n"
	      "  -t, --timeout     fail if none came in that time\n"
	      "  -l, --list        list the slots that are not empty\n"
	      "  -x, --hex         print values in hexadecimal\n"
	      "\n"
	      "Exit status: 0 done, 1 it failed, 2 wrong usage, 3 time-out.\n",
	      out);
}

__attribute__((noreturn, format(printf, 2, 3)))
static void die(int status, const char *format, ...)
{
	va_list args;

	fputs("portal-call: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static __u64 parse_number(const char *text, const char *what)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		die(2, "%s: '%s' is not a number", what, text);
	return value;
}

static __u32 parse_number32(const char *text, const char *what)
{
	__u64 value = parse_number(text, what);

	if (value > 0xffffffff)
		die(2, "%s: %s is too large", what, text);
	return value;
}

static int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(1, "%s: %s%s", DEVICE, strerror(errno), errno == ENOENT ?
		    " (is the module portal_guest loaded?)" : "");
	return fd;
}

/* A name goes before a number: a service may be called "1". */
static __u32 find_slot(int fd, const char *name)
{
	struct portal_guest_slot slot = { .size = sizeof(slot), .slot = -1 };
	char *end;
	unsigned long number;

	if (strlen(name) < sizeof(slot.name)) {
		strcpy((char *)slot.name, name);
		if (ioctl(fd, PORTAL_GUEST_SLOT, &slot) == 0)
			return slot.slot;
		/* EINVAL: the empty name */
		if (errno != ENOENT && errno != EINVAL)
			die(1, "%s: %s", name, strerror(errno));
	}

	number = strtoul(name, &end, 10);
	if (end != name && !*end && number < PORTAL_BUS_SLOTS)
		return number;
	die(1, "%s: no such service or device", name);
}

static void print_value(__u64 value)
{
	printf(hex ? "0x%llx\n" : "%llu\n", (unsigned long long)value);
}

static const char *type_name(__u32 type)
{
	switch (type) {
	case PORTAL_SLOT_SERVICE: return "service";
	case PORTAL_SLOT_REGS: return "regs";
	case PORTAL_SLOT_VIRTIO_MMIO: return "virtio-mmio";
	case PORTAL_SLOT_CHANNEL: return "channel";
	default: return "unknown";
	}
}

static const char *state_name(__u32 state)
{
	switch (state) {
	case PORTAL_SLOT_OFFERED: return "offered";
	case PORTAL_SLOT_ENABLED: return "enabled";
	case PORTAL_SLOT_LEAVING: return "leaving";
	default: return "unknown";
	}
}

static int cmd_list(int fd)
{
	struct portal_guest_slot slot;
	bool header = false;
	int nr;

	for (nr = 0; nr < PORTAL_BUS_SLOTS; nr++) {
		slot = (struct portal_guest_slot) {
			.size = sizeof(slot), .slot = nr,
		};
		if (ioctl(fd, PORTAL_GUEST_SLOT, &slot)) {
			if (errno == ENOENT)
				continue;
			die(1, "slot %d: %s", nr, strerror(errno));
		}
		if (!header)
			printf("%4s  %-*s %-12s %-8s %9s %8s  %s\n", "SLOT",
			       PORTAL_NAME_LEN - 1, "NAME", "TYPE", "STATE",
			       "FUNCTIONS", "BYTES", "ADDRESS");
		header = true;
		printf("%4d  %-*s %-12s %-8s %9u %8llu  ", nr,
		       PORTAL_NAME_LEN - 1, slot.name,
		       type_name(slot.out_type), state_name(slot.out_state),
		       slot.out_fns, (unsigned long long)slot.out_region);
		if (slot.out_gpa)
			printf("0x%llx\n", (unsigned long long)slot.out_gpa);
		else
			puts("-");
	}
	return 0;
}

static int cmd_call(int fd, int argc, char **argv)
{
	struct portal_guest_call call = { .size = sizeof(call) };
	int i;

	call.fn = parse_number32(argv[1], "function");
	for (i = 2; i < argc; i++)
		call.args[i - 2] = parse_number(argv[i], "argument");
	call.slot = find_slot(fd, argv[0]);

	if (ioctl(fd, PORTAL_GUEST_CALL, &call))
		die(1, "%s: function %u: %s", argv[0], call.fn,
		    strerror(errno));
	print_value(call.out_value);
	return 0;
}

static int cmd_reg(int fd, int argc, char **argv)
{
	struct portal_guest_reg reg = { .size = sizeof(reg) };

	reg.offset = parse_number(argv[1], "offset");
	reg.width = parse_number32(argv[2], "width");
	if (argc == 4) {
		reg.flags = PORTAL_GUEST_REG_F_WRITE;
		reg.value = parse_number(argv[3], "value");
	}
	reg.slot = find_slot(fd, argv[0]);

	if (ioctl(fd, PORTAL_GUEST_REG, &reg))
		die(1, "%s: register %s, width %u: %s", argv[0], argv[1],
		    reg.width, strerror(errno));
	if (argc == 3)
		print_value(reg.value);
	return 0;
}

static __s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int cmd_wait_event(int fd, const char *name)
{
	__s64 deadline = now_ms() + (__s64)(timeout * 1000);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct portal_guest_event event;
	__u32 slot = find_slot(fd, name);
	__s64 left;
	int ret;

	for (;;) {
		left = deadline - now_ms();
		if (timeout >= 0 && left <= 0)
			die(3, "%s: no event came in %g s", name, timeout);
		ret = poll(&pollfd, 1, timeout < 0 ? -1 : (int)left);
		if (ret < 0 && errno != EINTR)
			die(1, "poll: %s", strerror(errno));
		if (ret <= 0)
			continue;
		if (read(fd, &event, sizeof(event)) != sizeof(event))
			die(1, "%s: read: %s", DEVICE, strerror(errno));
		if (event.lost)
			fprintf(stderr, "portal-call: %u events lost\n",
				event.lost);
		if (event.slot == slot) {
			print_value(event.value);
			return 0;
		}
	}
}

/* ---- block service --------------------------------------------------------- */

/* A page of ours that stays where it is, and where that is. */
static void *pinned_page(__u64 *gpa)
{
	long size = sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (page == MAP_FAILED || fd < 0 ||
	    pread(fd, &entry, sizeof(entry), (uintptr_t)page / size * sizeof(entry)) !=
	    sizeof(entry))
		die(1, "a page for the data: %s", strerror(errno));
	close(fd);
	*gpa = (entry & ((1ULL << 55) - 1)) * size;
	if (!*gpa)
		die(1, "where the data are: only root may know");
	return page;
}

static __u64 blk_call(int fd, __u32 slot, __u32 fn, __u64 a1, __u64 a2, __u64 a3)
{
	struct portal_guest_call call = {
		.size = sizeof(call), .slot = slot, .fn = fn, .args = { 0, a1, a2, a3 },
	};

	if (ioctl(fd, PORTAL_GUEST_CALL, &call))
		die(1, "block service: function %u: %s", fn, strerror(errno));
	return call.out_value;
}

static int blk_read(int fd, __u32 slot, __u64 sector, __u64 count, __u64 bytes)
{
	__u64 gpa, per_page = sysconf(_SC_PAGESIZE) / bytes;
	void *page = pinned_page(&gpa);

	while (count) {
		__u64 n = count < per_page ? count : per_page;
		__u64 got = blk_call(fd, slot, PORTAL_BLK_READ, sector, n, gpa);

		if (fwrite(page, 1, got, stdout) != got)
			die(1, "stdout: %s", strerror(errno));
		sector += n;
		count -= n;
	}
	return fflush(stdout) ? 1 : 0;
}

/* What stdin has, the last sector filled up with zeroes. */
static int blk_write(int fd, __u32 slot, __u64 sector, __u64 bytes)
{
	size_t size = sysconf(_SC_PAGESIZE), len;
	__u64 gpa;
	char *page = pinned_page(&gpa);

	while ((len = fread(page, 1, size, stdin)) > 0) {
		__u64 n = (len + bytes - 1) / bytes;

		memset(page + len, 0, n * bytes - len);
		blk_call(fd, slot, PORTAL_BLK_WRITE, sector, n, gpa);
		sector += n;
	}
	blk_call(fd, slot, PORTAL_BLK_FLUSH, 0, 0, 0);
	return 0;
}

static int cmd_blk(int fd, int argc, char **argv)
{
	__u32 slot = find_slot(fd, argv[0]);
	__u64 bytes = blk_call(fd, slot, PORTAL_BLK_INFO, PORTAL_BLK_SECTOR, 0, 0);

	if (!strcmp(argv[1], "info") && argc == 2) {
		printf("%llu sectors of %llu bytes, %llu in a call, flags 0x%llx\n",
		       (unsigned long long)blk_call(fd, slot, PORTAL_BLK_INFO, PORTAL_BLK_SECTORS,
						    0, 0),
		       (unsigned long long)bytes,
		       (unsigned long long)blk_call(fd, slot, PORTAL_BLK_INFO, PORTAL_BLK_MAX,
						    0, 0),
		       (unsigned long long)blk_call(fd, slot, PORTAL_BLK_INFO, PORTAL_BLK_FLAGS,
						    0, 0));
		return 0;
	}
	if (!strcmp(argv[1], "flush") && argc == 2) {
		blk_call(fd, slot, PORTAL_BLK_FLUSH, 0, 0, 0);
		return 0;
	}
	if (!bytes || bytes > (__u64)sysconf(_SC_PAGESIZE))
		die(1, "%s: sectors of %llu bytes", argv[0], (unsigned long long)bytes);
	if (!strcmp(argv[1], "read") && argc == 4)
		return blk_read(fd, slot, parse_number(argv[2], "sector"),
				parse_number(argv[3], "count"), bytes);
	if (!strcmp(argv[1], "write") && argc == 3)
		return blk_write(fd, slot, parse_number(argv[2], "sector"), bytes);
	usage(stderr);
	return 2;
}

static void parse_timeout(const char *text)
{
	char *end;

	timeout = strtod(text, &end);
	if (end == text || *end || !(timeout >= 0 && timeout <= 1000000))
		die(2, "time-out: '%s' is not a number of seconds", text);
}

static void parse_options(int argc, char **argv, const char *letters)
{
	static const struct option options[] = {
		{ "blk", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "hex", no_argument, NULL, 'x' },
		{ "list", no_argument, NULL, 'l' },
		{ "reg", no_argument, NULL, 'r' },
		{ "timeout", required_argument, NULL, 't' },
		{ "wait-event", no_argument, NULL, 'w' },
		{},
	};
	int opt;

	/* 0 makes getopt start all over. */
	optind = 0;
	while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			usage(stdout);
			exit(0);
		case 'x':
			hex = true;
			break;
		case 't':
			parse_timeout(optarg);
			break;
		case 'b':
		case 'l':
		case 'r':
		case 'w':
			command = opt;
			break;
		default:
			usage(stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	/* Arguments of a call may be negative, so options end before them. */
	parse_options(argc, argv, "+bhlrt:wx");
	if (command == 'w')
		parse_options(argc, argv, "bhlrt:wx");

	argc -= optind;
	argv += optind;
	if (command == 'l' && argc == 0)
		return cmd_list(open_device());
	if (command == 'b' && argc >= 2)
		return cmd_blk(open_device(), argc, argv);
	if (command == 'w' && argc == 1)
		return cmd_wait_event(open_device(), argv[0]);
	if (command == 'r' && (argc == 3 || argc == 4))
		return cmd_reg(open_device(), argc, argv);
	if (command == 'c' && argc >= 2 && argc <= 6)
		return cmd_call(open_device(), argc, argv);
	usage(stderr);
	return 2;
}
