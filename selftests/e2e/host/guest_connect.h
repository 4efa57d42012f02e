/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_connect.h - the socket on which a program sends commands to a guest's agent
 */
#ifndef E2E_GUEST_CONNECT_H
#define E2E_GUEST_CONNECT_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* guest_connect: the socket, or -1 with portald's refusal, if any, on stdout */
static inline int guest_connect(const char *path, const char *vm)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char line[256], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { line, sizeof(line) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), len, sock = -1;
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	len = snprintf(line, sizeof(line), "{\"cmd\":\"guest\",\"vm\":\"%s\"}\n", vm);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || write(fd, line, len) != len) {
		printf("%s: %m\n", path);
	} else {
		n = recvmsg(fd, &msg, 0);
		if (n > 0 && msg.msg_controllen)
			memcpy(&sock, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(sock));
		else
			printf("no socket to the guest: %.*s\n", n > 0 ? (int)n : 0, line);
	}
	close(fd);
	return sock;
}

#endif /* E2E_GUEST_CONNECT_H */
