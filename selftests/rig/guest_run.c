// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs one command in the L2 guest, through the agent in guest-init.sh, or
 * sends one QMP command to the guest's QEMU. Both serve one client at a time,
 * so users take turns by a lock next to the socket.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_TIMED_OUT = 124,	/* as timeout(1) */
	EXIT_RIG = 125,		/* no guest, or no sense in its answer */
};

/* The guest enforces the limit; we only step in if it cannot. */
#define GRACE_SECONDS 5

/*
 * Under TCG an interrupt of the serial port is lost once in some hundred
 * commands, and both sides wait. An empty line, which the agent ignores, makes
 * the port look again.
 */
#define NUDGE_MS 500

struct conn {
	int fd;
	long long deadline;	/* milliseconds; negative: none */
	char buf[65536];
	size_t len;
};

static _Noreturn void fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("guest-run: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(status);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Held until we exit; children there are none. */
static void take_turn(const char *path)
{
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX))
		fail(EXIT_RIG, "%s: %s", lock, strerror(errno));
}

static void conn_open(struct conn *c, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		fail(EXIT_RIG, "%s: path too long for a socket", path);
	strcpy(addr.sun_path, path);
	take_turn(path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(EXIT_RIG, "%s: %s", path, strerror(errno));
}

static void conn_wait(struct conn *c, short events)
{
	struct pollfd pfd = { .fd = c->fd, .events = events };
	long long left;
	int nudge = NUDGE_MS;
	int ret;

	for (;;) {
		left = nudge;
		if (c->deadline >= 0 && c->deadline - now_ms() < left)
			left = c->deadline - now_ms();
		if (left < 0)
			left = 0;
		ret = poll(&pfd, 1, left);
		if (ret > 0)
			return;
		if (ret < 0 && errno != EINTR)
			fail(EXIT_RIG, "poll: %s", strerror(errno));
		if (c->deadline >= 0 && now_ms() >= c->deadline)
			fail(EXIT_TIMED_OUT, "no answer in time");
		if (ret == 0) {
			if (getenv("DBG")) fprintf(stderr, "NUDGE %d len %zu\n", nudge, c->len);
			send(c->fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			nudge *= 2;
		}
	}
}

static void conn_write(struct conn *c, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		/* A guest that reads nothing must not hold us for ever. */
		conn_wait(c, POLLOUT);
		n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			fail(EXIT_RIG, "send: %s", strerror(errno));
		data += n;
		len -= n;
	}
}

/* Adds what has arrived to the buffer, waiting for at least one byte. */
static void conn_read(struct conn *c)
{
	ssize_t n;

	if (c->len == sizeof(c->buf))
		fail(EXIT_RIG, "line too long");
	do {
		conn_wait(c, POLLIN);
		/*
		 * QEMU hands on a serial port byte by byte. Let some gather:
		 * two milliseconds are nothing to a guest, and a system call
		 * for each byte would take longer than the byte.
		 */
		usleep(2000);
		n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len,
			 MSG_DONTWAIT);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n < 0)
		fail(EXIT_RIG, "recv: %s", strerror(errno));
	if (n == 0)
		fail(EXIT_RIG, "the guest is gone");
	c->len += n;
}

static void conn_drop(struct conn *c, size_t n)
{
	c->len -= n;
	memmove(c->buf, c->buf + n, c->len);
}

/* Prints and drops the first n bytes. */
static void conn_print(struct conn *c, size_t n)
{
	if (fwrite(c->buf, 1, n, stdout) != n || fflush(stdout))
		fail(EXIT_RIG, "cannot write the output");
	conn_drop(c, n);
}

/*
 * Reads up to the mark and drops it. What comes before is printed as soon as
 * it can no longer be the beginning of the mark, or dropped.
 */
static void conn_read_until(struct conn *c, const char *mark, bool print)
{
	size_t mark_len = strlen(mark), before;
	char *found;

	for (;;) {
		found = memmem(c->buf, c->len, mark, mark_len);
		if (found)
			before = found - c->buf;
		else
			before = c->len < mark_len ? 0 : c->len - mark_len + 1;
		if (print)
			conn_print(c, before);
		else
			conn_drop(c, before);
		if (found)
			break;
		conn_read(c);
	}
	conn_drop(c, mark_len);
}

/* The line loses its newline and stays in the buffer; returns its length. */
static size_t conn_read_line(struct conn *c)
{
	char *end;

	while (!(end = memchr(c->buf, '\n', c->len)))
		conn_read(c);
	*end = '\0';
	return end - c->buf;
}

/* All arguments joined by blanks, escaped as the agent expects them. */
static void send_request(struct conn *c, const char *id, long limit,
			 char **words)
{
	char *line = NULL;
	size_t len;
	FILE *out;
	const char *p;

	out = open_memstream(&line, &len);
	if (!out)
		fail(EXIT_RIG, "out of memory");
	/* A newline first: the rest of another client's line may be there. */
	fprintf(out, "\n%s %ld", id, limit);
	for (; *words; words++) {
		fputc(' ', out);
		for (p = *words; *p; p++) {
			if (*p == '\\')
				fputs("\\\\", out);
			else if (*p == '\n')
				fputs("\\n", out);
			else
				fputc(*p, out);
		}
	}
	fputc('\n', out);
	if (fclose(out))
		fail(EXIT_RIG, "out of memory");
	conn_write(c, line, len);
	free(line);
}

static int run_command(struct conn *c, long limit, char **words)
{
	char id[32], mark[64];
	struct timespec ts;
	long long start = now_ms();
	int status;

	/* Nothing a command prints by chance; unique among our clients. */
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(id, sizeof(id), "%x.%llx", getpid(),
		 ts.tv_sec * 1000000000ULL + ts.tv_nsec);

	send_request(c, id, limit, words);
	snprintf(mark, sizeof(mark), "@@%s:BEGIN\n", id);
	conn_read_until(c, mark, false);
	snprintf(mark, sizeof(mark), "\n@@%s:END ", id);
	conn_read_until(c, mark, true);
	conn_read_line(c);
	if (sscanf(c->buf, "%d", &status) != 1 || status < 0 || status > 255)
		fail(EXIT_RIG, "no status in '%s'", c->buf);

	/* 128 + SIGKILL: the agent stopped it. */
	if (limit && status == 137 && now_ms() - start >= limit * 1000)
		fail(EXIT_TIMED_OUT, "stopped after %ld s", limit);
	return status;
}

/* Prints the answer to one command; events in between are not ours. */
static int qmp_answer(struct conn *c, bool print)
{
	size_t len;
	int status = -1;

	while (status < 0) {
		len = conn_read_line(c);
		if (!strncmp(c->buf, "{\"return\"", 9))
			status = 0;
		else if (!strncmp(c->buf, "{\"error\"", 8))
			status = 1;
		if (print && status >= 0)
			puts(c->buf);
		conn_drop(c, len + 1);
	}
	return status;
}

static int run_qmp(struct conn *c, const char *json)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";

	conn_write(c, hello, strlen(hello));
	if (qmp_answer(c, false))
		fail(EXIT_RIG, "QEMU refused qmp_capabilities");
	conn_write(c, json, strlen(json));
	conn_write(c, "\n", 1);
	return qmp_answer(c, true);
}

static _Noreturn void usage(void)
{
	fputs("usage: guest-run SOCKET [--timeout S] COMMAND...\n"
	      "       guest-run --qmp SOCKET [--timeout S] JSON\n", stderr);
	exit(EXIT_RIG);
}

int main(int argc, char **argv)
{
	static struct conn c = { .deadline = -1 };
	bool qmp = false;
	const char *path;
	long limit = 0;
	char *end;

	argv++;
	if (argc > 1 && !strcmp(*argv, "--qmp")) {
		qmp = true;
		argv++;
	}
	path = *argv ? *argv++ : NULL;
	if (*argv && !strcmp(*argv, "--timeout")) {
		if (!argv[1])
			usage();
		limit = strtol(argv[1], &end, 10);
		if (*end || limit < 0)
			usage();
		argv += 2;
	}
	if (!path || !*argv || (qmp && argv[1]))
		usage();

	conn_open(&c, path);
	/* Waiting for our turn does not count. */
	if (limit)
		c.deadline = now_ms() + (limit + (qmp ? 0 : GRACE_SECONDS)) * 1000;
	return qmp ? run_qmp(&c, argv[0]) : run_command(&c, limit, argv);
}
