// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_fuzz.c - commands with any arguments, by the grammar of portal_cmd.def
 *
 * usage: agent_fuzz SOCKET VM SECONDS [SEED]
 * Only commands that change nothing; what they answer is checked for its form. The
 * guest must be as well afterwards as before: the case looks at its log.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/guest_socket.h>

#include "guest_connect.h"

struct grammar {
	uint16_t op;
	const char *name;
	unsigned int class;
	unsigned int use;
	unsigned int in_size;
	unsigned int in_tail;
	unsigned int out_size;
	unsigned int out_tail;
	unsigned int record;
};

static const struct grammar table[] = {
#define ROW(NAME, name, CLASS, use, in, in_tail, out, out_tail, record, hash)	\
	{ PORTAL_CMD_##NAME, #name, PORTAL_CLASS_##CLASS, use, in, in_tail, out, out_tail, record },
	PORTAL_CMD_TABLE(ROW)
#undef ROW
};

#define NR (sizeof(table) / sizeof(table[0]))

static uint64_t rng;
static int sock;
static char in[PORTAL_GUEST_MAX], out[PORTAL_GUEST_MAX];

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static uint64_t number(void)
{
	static const uint64_t odd[] = {
		0, 1, 2, 7, 8, 4095, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32,
		0x7ffffffff000, 0x800000000000, 0xffff888000000000, 0xffffffff81000000,
		0xffffffffff600000, UINT64_MAX - 4095, UINT64_MAX,
	};

	switch (rnd() % 4) {
	case 0:
		return rnd();
	case 1:
		return rnd() % 1000;
	default:
		return odd[rnd() % (sizeof(odd) / sizeof(odd[0]))] + rnd() % 3 - 1;
	}
}

/* Changes the guest, or might wait for ever: only with what cannot be right. */
static bool is_harmful(const struct grammar *g)
{
	return g->op == PORTAL_CMD_MEM_WRITE || g->op == PORTAL_CMD_FILE_WRITE ||
	       g->op == PORTAL_CMD_EXEC || g->op == PORTAL_CMD_FILE_HANDLE_WRITE;
}

static size_t payload(const struct grammar *g)
{
	static const char *const strings[] = {
		"/proc/self/status", "/", "/proc/1/maps", "schedule", "", "/dev/null", "x",
		"/sys/kernel/notes", "/proc/../proc/uptime", "relative/path", "/nosuch/file",
	};
	const char *str = strings[rnd() % (sizeof(strings) / sizeof(strings[0]))];
	size_t len = g->in_size;

	for (size_t i = 0; i < len; i++)
		in[i] = (char)(rnd() % 4 ? 0 : rnd());
	switch (rnd() % 8) {
	case 0:
		return rnd() % 64;
	case 1:
		len = rnd() % 9000;
		memset(in, rnd() % 2 ? 'a' : 0, len);
		return len;
	default:
		if (g->in_tail == PORTAL_TAIL_NONE)
			return len;
		strcpy(in + len, str);
		return len + strlen(str) + (rnd() % 8 != 0);
	}
}

static int wrong(const struct grammar *g, const struct portal_guest_reply *rep, const char *why)
{
	printf("%s: %s (status %d, size %llu, count %llu)\n", g->name, why, rep->status,
	       (unsigned long long)rep->out_size, (unsigned long long)rep->count);
	return -1;
}

static int check(const struct grammar *g, const struct portal_guest_request *req,
		 const struct portal_guest_reply *rep, size_t got)
{
	if (rep->status > 0 || rep->status < -4095)
		return wrong(g, rep, "no status");
	if (rep->status == -EPROTO || rep->status == -ETIME || rep->status == -ENOSYS)
		return wrong(g, rep, "should not happen");
	if (req->out_len && (rep->out_size != got || got > req->out_len))
		return wrong(g, rep, "answer of another size");
	if (!rep->status && g->out_size && got < g->out_size)
		return wrong(g, rep, "answer is too short");
	if (rep->status && got && !(rep->flags & PORTAL_DONE_F_PARTIAL))
		return wrong(g, rep, "bytes with an error, and not PARTIAL");
	if (!rep->status && g->op == PORTAL_CMD_TASK_LIST && got != rep->count * g->record)
		return wrong(g, rep, "records and bytes differ");
	return 0;
}

static int one(unsigned long *good)
{
	const struct grammar *g = &table[rnd() % NR];
	struct portal_guest_request req = {
		.op = g->op, .pid = rnd() % 8 ? rnd() % 200 : rnd(), .addr = number(),
		.size = rnd() % 2 ? rnd() % 5000 : number(),
		.out_len = rnd() % 8 ? g->out_size + rnd() % 6000 : rnd() % 64,
	};
	struct portal_guest_reply rep;
	struct iovec iov[2] = { { &req, sizeof(req) }, { in, 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (is_harmful(g))
		req.pid = 0x7ffffff0;
	iov[1].iov_len = is_harmful(g) ? rnd() % 8 : payload(g);
	if (g->op == PORTAL_CMD_FILE_OPEN)
		req.addr = 0;
	if (sendmsg(sock, &msg, 0) < 0)
		return -1;
	do {
		iov[0] = (struct iovec){ &rep, sizeof(rep) };
		iov[1] = (struct iovec){ out, sizeof(out) };
		n = recvmsg(sock, &msg, 0);
		if (n < (ssize_t)sizeof(rep)) {
			printf("%s: no answer\n", g->name);
			return -1;
		}
	} while (rep.flags & PORTAL_GUEST_F_EVENT);
	*good += !rep.status;
	return check(g, &req, &rep, n - sizeof(rep));
}

int main(int argc, char **argv)
{
	unsigned long nr = 0, good = 0;
	time_t end;

	if (argc < 4)
		return 2;
	rng = argc > 4 ? strtoull(argv[4], NULL, 0) : (uint64_t)time(NULL) * 2654435761U;
	rng |= 1;
	printf("seed %#llx\n", (unsigned long long)rng);
	sock = guest_connect(argv[1], argv[2]);
	if (sock < 0)
		return 1;
	for (end = time(NULL) + atoi(argv[3]); time(NULL) < end; nr++)
		if (one(&good))
			return 1;
	printf("%lu commands, %lu good\n", nr, good);
	return !good;
}
