// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs one command in the L2 guest, through the agent in guest-init.sh, or
 * sends one QMP command to the guest's QEMU. Both serve one client at a time,
 * so users take turns by a lock next to the socket.
 *
 * A serial port of a guest under TCG is not a reliable line: once in some
 * hundred commands it falls silent until the next connection. So a request is
 * repeated over a new connection until a whole answer has arrived; the agent
 * knows it by its ID and answers again instead of running it twice.
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
#define GRACE_MS 10000
/* How long silence may last before the agent has seen the request, and after. */
#define UNSEEN_MS 2000
#define RUNNING_MS 4000	/* doubled each time, as answers may be long */
#define ANSWER_MAX (64 << 20)

struct conn {
	const char *path;
	int fd;
	long long deadline;	/* milliseconds; negative: none */
	char *buf;		/* always ends in a null byte beyond len */
	size_t len, size;
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
	char *lock;
	int fd;

	if (asprintf(&lock, "%s.lock", path) < 0)
		fail(EXIT_RIG, "out of memory");
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX))
		fail(EXIT_RIG, "%s: %s", lock, strerror(errno));
	free(lock);
}

/* Opens the connection, or opens it anew and forgets what had arrived. */
static void conn_open(struct conn *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(c->path) >= sizeof(addr.sun_path))
		fail(EXIT_RIG, "%s: path too long for a socket", c->path);
	strcpy(addr.sun_path, c->path);
	if (c->fd >= 0)
		close(c->fd);
	c->len = 0;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(EXIT_RIG, "%s: %s", c->path, strerror(errno));
}

/* Waits for at most patience milliseconds (negative: for ever). */
static bool conn_wait(struct conn *c, short events, long long patience)
{
	struct pollfd pfd = { .fd = c->fd, .events = events };
	long long start = now_ms(), left, now;
	int ret;

	for (;;) {
		now = now_ms();
		if (c->deadline >= 0 && now >= c->deadline)
			fail(EXIT_TIMED_OUT, "no answer in time");
		left = -1;
		if (patience >= 0)
			left = now - start < patience ?
				patience - (now - start) : 0;
		if (c->deadline >= 0 && (left < 0 || left > c->deadline - now))
			left = c->deadline - now;
		ret = poll(&pfd, 1, left);
		if (ret > 0)
			return true;
		if (ret < 0 && errno != EINTR)
			fail(EXIT_RIG, "poll: %s", strerror(errno));
		if (patience >= 0 && now_ms() - start >= patience)
			return false;
	}
}

/* Fails if the other side accepts nothing for a while. */
static bool conn_write(struct conn *c, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		if (!conn_wait(c, POLLOUT, UNSEEN_MS))
			return false;
		n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= n;
	}
	return true;
}

/* Adds what has arrived to the buffer; false: nothing came, or the end. */
static bool conn_read(struct conn *c, long long patience)
{
	ssize_t n;

	if (c->size - c->len < 4096) {
		c->size = c->size ? 2 * c->size : 65536;
		c->buf = c->size > ANSWER_MAX ? NULL : realloc(c->buf, c->size);
		if (!c->buf)
			fail(EXIT_RIG, "answer too long");
	}
	do {
		if (!conn_wait(c, POLLIN, patience))
			return false;
		/*
		 * QEMU hands on a serial port byte by byte. Let some gather:
		 * two milliseconds are nothing to a guest, and a system call
		 * for each byte would take longer than the byte.
		 */
		usleep(2000);
		n = recv(c->fd, c->buf + c->len, c->size - c->len - 1,
			 MSG_DONTWAIT);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0)
		return false;
	c->len += n;
	c->buf[c->len] = '\0';
	return true;
}

/*
 * The request as the agent expects it, with all words joined by blanks. Its
 * length and the repeated ID let the agent see that it has all of it.
 */
static char *make_request(const char *id, long limit, char **words)
{
	char *command = NULL, *line;
	size_t len;
	const char *p;
	FILE *out;

	out = open_memstream(&command, &len);
	if (!out)
		fail(EXIT_RIG, "out of memory");
	for (; *words; words++) {
		for (p = *words; *p; p++) {
			if (*p == '\\')
				fputs("\\\\", out);
			else if (*p == '\n')
				fputs("\\n", out);
			else
				fputc(*p, out);
		}
		if (words[1])
			fputc(' ', out);
	}
	/* A newline first: the rest of another request may be there. */
	if (fclose(out) || asprintf(&line, "\n@@%s %ld %zu %s @@%s\n", id, limit,
				    len, command, id) < 0)
		fail(EXIT_RIG, "out of memory");
	free(command);
	return line;
}

/*
 * Looks for a whole answer in the buffer:
 *	@@ID:BEGIN\n OUTPUT \n@@ID:END STATUS SIZE\n
 * Returns the status and where OUTPUT is, or -1.
 */
static int find_answer(struct conn *c, const char *id, char **output,
		       size_t *size)
{
	char begin[64], end[64], *last;
	int status, used = 0;

	snprintf(begin, sizeof(begin), "@@%s:BEGIN\n", id);
	snprintf(end, sizeof(end), "\n@@%s:END ", id);
	*output = memmem(c->buf, c->len, begin, strlen(begin));
	if (!*output)
		return -1;
	*output += strlen(begin);
	last = memmem(*output, c->buf + c->len - *output, end, strlen(end));
	if (!last || !strchr(last + 1, '\n'))
		return -1;
	if (sscanf(last + strlen(end), "%d %zu%n", &status, size, &used) != 2 ||
	    last[strlen(end) + used] != '\n' || status < 0 || status > 255 ||
	    *size != (size_t)(last - *output))
		return -1;
	return status;
}

static int run_command(struct conn *c, long limit, char **words)
{
	long long start = now_ms();
	char id[32], seen[64], *request, *output;
	struct timespec ts;
	long long patience = RUNNING_MS;
	int status = -1;
	size_t size;

	/* Nothing a command prints by chance; unique among our clients. */
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(id, sizeof(id), "%x.%llx", getpid(),
		 ts.tv_sec * 1000000000ULL + ts.tv_nsec);
	snprintf(seen, sizeof(seen), "@@%s:RUN\n", id);
	request = make_request(id, limit, words);

	while (status < 0) {
		bool running = false;

		conn_open(c);
		if (!conn_write(c, request, strlen(request)))
			continue;
		while (status < 0 &&
		       conn_read(c, running ? patience : UNSEEN_MS)) {
			running = running ||
				memmem(c->buf, c->len, seen, strlen(seen));
			status = find_answer(c, id, &output, &size);
		}
		if (running)
			patience *= 2;
	}
	if (fwrite(output, 1, size, stdout) != size || fflush(stdout))
		fail(EXIT_RIG, "cannot write the output");
	free(request);

	/* 128 + SIGKILL: the agent stopped it. */
	if (limit && status == 137 && now_ms() - start >= limit * 1000)
		fail(EXIT_TIMED_OUT, "stopped after %ld s", limit);
	return status;
}

/* Prints the answer to one command; events in between are not ours. */
static int qmp_answer(struct conn *c, bool print)
{
	char *end;
	int status = -1;

	while (status < 0) {
		while (!c->len || !(end = memchr(c->buf, '\n', c->len)))
			if (!conn_read(c, -1))
				fail(EXIT_RIG, "QEMU hung up");
		*end = '\0';
		if (!strncmp(c->buf, "{\"return\"", 9))
			status = 0;
		else if (!strncmp(c->buf, "{\"error\"", 8))
			status = 1;
		if (print && status >= 0)
			puts(c->buf);
		c->len -= end + 1 - c->buf;
		memmove(c->buf, end + 1, c->len);
	}
	return status;
}

static int run_qmp(struct conn *c, const char *json)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";

	conn_open(c);
	if (!conn_write(c, hello, strlen(hello)) || qmp_answer(c, false))
		fail(EXIT_RIG, "QEMU refused qmp_capabilities");
	if (!conn_write(c, json, strlen(json)) || !conn_write(c, "\n", 1))
		fail(EXIT_RIG, "QEMU does not listen");
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
	struct conn c = { .fd = -1, .deadline = -1 };
	bool qmp = false;
	long limit = 0;
	char *end;

	argv++;
	if (argc > 1 && !strcmp(*argv, "--qmp")) {
		qmp = true;
		argv++;
	}
	c.path = *argv ? *argv++ : NULL;
	if (*argv && !strcmp(*argv, "--timeout")) {
		if (!argv[1])
			usage();
		limit = strtol(argv[1], &end, 10);
		if (*end || limit < 0)
			usage();
		argv += 2;
	}
	if (!c.path || !*argv || (qmp && argv[1]))
		usage();

	/* Waiting for our turn does not count. */
	take_turn(c.path);
	if (limit)
		c.deadline = now_ms() + limit * 1000 + (qmp ? 0 : GRACE_MS);
	return qmp ? run_qmp(&c, argv[0]) : run_command(&c, limit, argv);
}
