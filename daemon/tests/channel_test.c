// SPDX-License-Identifier: GPL-2.0-only
/* channel_test.c - messages and fds between supervisor and worker */
/* LINK: channel.o */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/portal_guest.h>

#include "channel.h"

static int pair[2];
static int fds[CHAN_MAX_FDS];
static unsigned int nr_fds;
static struct chan_msg msg;
static char *text;

static int setup(void **state)
{
	(void)state;
	return chan_pair(pair);
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	free(text);
	text = NULL;
	return 0;
}

static int receive(void)
{
	free(text);
	return chan_recv(pair[1], &msg, &text, fds, &nr_fds, MSG_DONTWAIT);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += dup2(fd, fd) == fd;
	return n;
}

static void carries_text_and_fds(void **state)
{
	struct chan_msg out = { .type = CHAN_SETUP, .seq = 7, .err = -5 };
	uint64_t val = 0;
	int efd[2] = { eventfd(3, 0), eventfd(4, 0) };

	(void)state;
	assert_int_equal(receive(), 0);
	assert_int_equal(chan_send(pair[0], &out, "{\"a\":1}", efd, 2, 0), 0);
	assert_int_equal(receive(), 1);
	assert_int_equal(msg.type, CHAN_SETUP);
	assert_int_equal(msg.seq, 7);
	assert_int_equal(msg.err, -5);
	assert_string_equal(text, "{\"a\":1}");
	assert_int_equal(nr_fds, 2);
	assert_int_equal(read(fds[1], &val, 8), 8);
	assert_int_equal(val, 4);
	chan_close_fds(fds, nr_fds);
	close(efd[0]);
	close(efd[1]);
	assert_int_equal(receive(), 0);
}

static void no_text_is_null(void **state)
{
	struct chan_msg out = { .type = CHAN_STOP };

	(void)state;
	assert_int_equal(chan_send(pair[0], &out, NULL, NULL, 0, 0), 0);
	assert_int_equal(receive(), 1);
	assert_null(text);
	assert_int_equal(nr_fds, 0);
}

static void the_end_is_epipe(void **state)
{
	(void)state;
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(receive(), -EPIPE);
}

/* Raw bytes, as a worker gone wild may send, with a file descriptor. */
static void send_raw(const void *buf, size_t len)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(pair[0], &hdr, 0), (ssize_t)len);
}

static void refuses_what_is_not_a_message(void **state)
{
	struct {
		struct chan_msg msg;
		char text[16];
	} raw = { .msg = { .type = CHAN_ACK, .text_len = 16 } };
	int before = open_fds();

	(void)state;
	send_raw("short", 5);
	assert_int_equal(receive(), -EBADMSG);
	raw.msg.text_len = 17;
	send_raw(&raw, sizeof(raw));
	assert_int_equal(receive(), -EBADMSG);
	raw.msg.text_len = 16;
	raw.msg.type = CHAN_NR;
	send_raw(&raw, sizeof(raw));
	assert_int_equal(receive(), -EBADMSG);
	raw.msg.type = 0;
	send_raw(&raw, sizeof(raw));
	assert_int_equal(receive(), -EBADMSG);
	assert_null(text);
	/* the fds that came with them are closed */
	assert_int_equal(open_fds(), before);
	raw.msg.type = CHAN_ACK;
	send_raw(&raw, sizeof(raw));
	assert_int_equal(receive(), 1);
	assert_int_equal(nr_fds, 1);
	chan_close_fds(fds, nr_fds);
}

static void refuses_too_much(void **state)
{
	struct chan_msg out = { .type = CHAN_STATS };
	char *big = malloc(CHAN_MAX_TEXT + 2);

	(void)state;
	memset(big, 'x', CHAN_MAX_TEXT + 1);
	big[CHAN_MAX_TEXT + 1] = '\0';
	assert_int_equal(chan_send(pair[0], &out, big, NULL, 0, 0), -EMSGSIZE);
	assert_int_equal(chan_send(pair[0], &out, NULL, fds, CHAN_MAX_FDS + 1, 0), -EMSGSIZE);
	big[CHAN_MAX_TEXT] = '\0';
	assert_int_equal(chan_send(pair[0], &out, big, NULL, 0, 0), 0);
	assert_int_equal(receive(), 1);
	assert_int_equal(strlen(text), CHAN_MAX_TEXT);
	free(big);
}

static void bad_describe(struct chan_describe d, const char *part)
{
	const char *why = NULL;

	assert_int_equal(chan_check_describe(&d, &why), -EBADMSG);
	assert_non_null(strstr(why, part));
}

static void checks_descriptions(void **state)
{
	struct chan_describe good = {
		.slot_type = PORTAL_SLOT_REGS, .region_len = 0x100, .fns = 255, .nr_ranges = 1,
		.ranges[0] = { .offset = 0xfc, .len = 4 },
	}, d;
	const char *why;

	(void)state;
	assert_int_equal(chan_check_describe(&good, &why), 0);
	d = good; d.slot_type = 0; bad_describe(d, "slot type");
	d = good; d.slot_type = 4; bad_describe(d, "slot type");
	d = good; d.slot_type = PORTAL_SLOT_SERVICE; bad_describe(d, "does not fit");
	d = good; d.region_len = 0; bad_describe(d, "does not fit");
	d = good; d.region_len = (1 << 20) + 1; bad_describe(d, "1 MiB");
	d = good; d.fns = 256; bad_describe(d, "255");
	d = good; d.state_len = 1ULL << 40; bad_describe(d, "64 MiB");
	d = good; d.nr_ranges = 65; bad_describe(d, "64 register");
	d = good; d.ranges[0].len = 5; bad_describe(d, "outside");
	d = good; d.ranges[0].len = 0; bad_describe(d, "outside");
	d = good; d.ranges[0].offset = 0xffffffff; bad_describe(d, "outside");
	d = good; d.ranges[0].flags = PORTAL_RANGE_F_EVENTFD; bad_describe(d, "eventfd");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(carries_text_and_fds), T(no_text_is_null), T(the_end_is_epipe),
		T(refuses_what_is_not_a_message), T(refuses_too_much), T(checks_descriptions),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
