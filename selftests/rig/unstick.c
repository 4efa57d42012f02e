// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frees an L1 or L2 that runs in circles on a stale translation, see "Known limits" in
 * README.md: QEMU before 8.1 may keep what it translated from a byte that another
 * CPU was patching. A CPU that meets a breakpoint no longer there tries the
 * instruction again, for ever, as Linux does with one that was removed in time.
 *
 * Looks every few seconds, by QEMU's monitor, whether a CPU of the kernel comes
 * back to the same instruction all the time; then has QEMU translate everything
 * anew, by a step of its gdb stub. To do so for nothing, for a spinning CPU say,
 * only takes the time to translate.
 *
 * usage: unstick MONITOR-SOCKET GDB-SOCKET; ends with QEMU.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS	16
#define SAMPLES		10
#define PAUSE_MS	20
#define ROUND_MS	5000
#define ANSWER_MS	5000

struct sample {
	uint64_t rip;
	bool runs;		/* in the kernel, not idle */
};

static struct sample samples[SAMPLES][MAX_CPUS];

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	if (fd >= 0 && !connect(fd, (void *)&addr, sizeof(addr)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Reads up to and with @end, which comes last; false: nobody there, or no answer. */
static bool read_until(int fd, char *buf, size_t size, const char *end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	do {
		if (len == size - 1 || poll(&p, 1, ANSWER_MS) != 1)
			return false;
		n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			return false;
		len += n;
		buf[len] = 0;
	} while (!strstr(buf, end));
	return true;
}

static bool ask(int fd, const char *what, char *buf, size_t size, const char *end)
{
	size_t len = strlen(what);

	return send(fd, what, len, MSG_NOSIGNAL) == (ssize_t)len && read_until(fd, buf, size, end);
}

static bool take_sample(int monitor, struct sample *cpus)
{
	static char buf[256 << 10];
	char *line, *next = buf, *at;
	int cpu = -1;

	if (!ask(monitor, "info registers -a\n", buf, sizeof(buf), "\n(qemu) "))
		return false;
	while ((line = strsep(&next, "\n"))) {
		if (sscanf(line, "CPU#%d", &cpu) == 1 && cpu >= MAX_CPUS)
			break;
		if (cpu < 0 || strncmp(line, "RIP=", 4))
			continue;
		cpus[cpu].rip = strtoull(line + 4, NULL, 16);
		at = strstr(line, "CPL=0");
		cpus[cpu].runs = at && strstr(at, "HLT=0");
	}
	return true;
}

/* The next packet of gdb's protocol, '$' TEXT '#' and a sum of two digits; or NULL. */
static char *gdb_read(int fd, char *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	int rest = 3;
	char *start;

	while (len < size - 1 && poll(&p, 1, ANSWER_MS) == 1 && read(fd, buf + len, 1) == 1) {
		if (rest < 3 || buf[len] == '#')
			rest--;
		/* what comes before is the "+" of our own packet */
		len += len || buf[0] == '$';
		if (!rest)
			break;
	}
	buf[len] = 0;
	start = strchr(buf, '#');
	if (rest || !start || send(fd, "+", 1, MSG_NOSIGNAL) != 1)
		return NULL;
	*start = 0;
	return buf + 1;
}

static char *gdb(int fd, const char *command, char *buf, size_t size)
{
	unsigned char sum = 0;
	char packet[128];
	const char *c;
	int len;

	for (c = command; *c; c++)
		sum += *c;
	len = snprintf(packet, sizeof(packet), "$%s#%02x", command, sum);
	return send(fd, packet, len, MSG_NOSIGNAL) == len ? gdb_read(fd, buf, size) : NULL;
}

/*
 * QEMU forgets all translations when a debugger's step ends (gdb_vm_state_change()
 * of its gdbstub.c), so also those of a guest's guest, whose addresses gdb cannot
 * follow. The CPU must be running, or the step waits.
 */
static bool translate_anew(const char *path, int cpu)
{
	char buf[256], command[32], *text;
	int fd = connect_to(path);
	bool done = false;

	if (fd < 0)
		return false;
	snprintf(command, sizeof(command), "Hc%x", cpu + 1);
	/* first of all it tells that it has stopped */
	text = gdb_read(fd, buf, sizeof(buf));
	if (text && *text == 'T' && (text = gdb(fd, command, buf, sizeof(buf))) &&
	    !strcmp(text, "OK")) {
		text = gdb(fd, "s", buf, sizeof(buf));
		/* It became idle: without this the step would end when nobody is there. */
		if (!text && send(fd, "\003", 1, MSG_NOSIGNAL) == 1)
			gdb_read(fd, buf, sizeof(buf));
		done = text && *text == 'T';
	}
	/* with the process: a gdb that was here before may have asked for that */
	gdb(fd, "D;1", buf, sizeof(buf));
	close(fd);
	return done;
}

/* The instruction that @cpu comes back to all the time, or 0. */
static uint64_t circles(int cpu)
{
	uint64_t best = 0;
	int i, j, n, most = SAMPLES / 3;

	for (i = 0; i < SAMPLES; i++) {
		if (!samples[i][cpu].runs)
			return 0;
		for (j = n = 0; j < SAMPLES; j++)
			n += samples[j][cpu].rip == samples[i][cpu].rip;
		if (n > most) {
			most = n;
			best = samples[i][cpu].rip;
		}
	}
	return best;
}

int main(int argc, char **argv)
{
	static char greeting[4096];
	uint64_t rip, before[MAX_CPUS] = { 0 };
	int monitor = -1, i, cpu;

	if (argc != 3) {
		fprintf(stderr, "usage: unstick MONITOR-SOCKET GDB-SOCKET\n");
		return 2;
	}
	/* QEMU makes them as it starts */
	for (i = 0; i < 100 && monitor < 0; i++) {
		monitor = connect_to(argv[1]);
		if (monitor < 0)
			sleep_ms(100);
	}
	if (monitor < 0 || !read_until(monitor, greeting, sizeof(greeting), "(qemu) "))
		return 1;
	for (;;) {
		sleep_ms(ROUND_MS);
		memset(samples, 0, sizeof(samples));
		for (i = 0; i < SAMPLES; i++) {
			if (!take_sample(monitor, samples[i]))
				return 0;
			sleep_ms(PAUSE_MS);
		}
		for (cpu = 0; cpu < MAX_CPUS; cpu++) {
			rip = circles(cpu);
			if (rip && rip == before[cpu] && translate_anew(argv[2], cpu))
				fprintf(stderr, "rig: CPU %d runs in circles at %llx: translated anew\n",
					cpu, (unsigned long long)rip);
			before[cpu] = rip;
		}
	}
}
