// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c - one question to portald, one answer
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "portalctl.h"

struct json_object *client_request(const char *cmd)
{
	struct json_object *obj = json_object_new_object();

	set_str(obj, "cmd", cmd);
	return obj;
}

const char *get_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : "";
}

long long get_num(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int64(val) : 0;
}

struct json_object *get_obj(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? val : NULL;
}

void set_str(struct json_object *obj, const char *key, const char *val)
{
	json_object_object_add(obj, key, json_object_new_string(val));
}

void set_num(struct json_object *obj, const char *key, long long val)
{
	json_object_object_add(obj, key, json_object_new_int64(val));
}

static void explain_connect(int err)
{
	fprintf(stderr, "portalctl: %s: %s\n", globals.socket, strerror(err));
	if (err == EACCES || err == EPERM)
		fprintf(stderr, "portalctl: run as root, or as a member of group portal\n");
	else if (err != ENOENT && err != ECONNREFUSED)
		return;
	else if (access("/dev/portal", F_OK))
		fprintf(stderr,
			"portalctl: portald is not running, and /dev/portal is missing: load portal.ko (modprobe portal), then systemctl start portald\n");
	else
		fprintf(stderr, "portalctl: portald is not running: systemctl start portald\n");
}

static int open_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(globals.socket) >= sizeof(addr.sun_path)) {
		explain_connect(ENAMETOOLONG);
		return -1;
	}
	strcpy(addr.sun_path, globals.socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		explain_connect(errno);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int send_line(int fd, const char *line)
{
	size_t len = strlen(line), done = 0;

	while (done < len) {
		ssize_t n = send(fd, line + done, len - done, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		done += n;
	}
	return send(fd, "\n", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static struct json_object *read_reply(int fd)
{
	struct json_object *obj = NULL;
	char *line = NULL;
	size_t size = 0;
	FILE *f = fdopen(fd, "r");

	if (f && getline(&line, &size, f) > 0)
		obj = json_tokener_parse(line);
	if (!obj)
		fprintf(stderr, "portalctl: portald closed the connection without an answer; see its log\n");
	free(line);
	if (f)
		fclose(f);
	else
		close(fd);
	return obj;
}

struct json_object *client_ask(struct json_object *req)
{
	int fd = open_socket(), err;

	if (fd < 0) {
		json_object_put(req);
		return NULL;
	}
	err = send_line(fd, json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN));
	json_object_put(req);
	if (err) {
		fprintf(stderr, "portalctl: %s: %s\n", globals.socket, strerror(-err));
		close(fd);
		return NULL;
	}
	return read_reply(fd);
}

static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

/* The line is short, and its end is in the first piece if a descriptor is. */
static struct json_object *read_reply_fd(int sock, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))], buf[4096];
	struct iovec iov = { buf, sizeof(buf) - 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct json_object *obj = NULL;
	ssize_t n;

	n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	if (n > 0) {
		*fd = take_fd(&msg);
		buf[n] = '\0';
		obj = json_tokener_parse(buf);
	}
	if (!obj)
		fprintf(stderr, "portalctl: portald closed the connection without an answer; see its log\n");
	return obj;
}

struct json_object *client_ask_fd(struct json_object *req, int *fd)
{
	struct json_object *obj = NULL;
	int sock = open_socket(), err;

	*fd = -1;
	if (sock >= 0) {
		err = send_line(sock, json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN));
		if (err)
			fprintf(stderr, "portalctl: %s: %s\n", globals.socket, strerror(-err));
		else
			obj = read_reply_fd(sock, fd);
		close(sock);
	}
	json_object_put(req);
	return obj;
}

struct json_object *client_stat(const char *vm)
{
	struct json_object *req = client_request("stat"), *reply, *ok;

	if (vm)
		set_str(req, "vm", vm);
	reply = client_ask(req);
	if (!reply || (json_object_object_get_ex(reply, "ok", &ok) && json_object_get_boolean(ok)))
		return reply;
	fprintf(stderr, "portalctl: %s\n", get_str(reply, "error"));
	json_object_put(reply);
	return NULL;
}

int client_do(struct json_object *req, void (*print)(struct json_object *reply))
{
	struct json_object *reply = client_ask(req), *ok;
	bool good;

	if (!reply)
		return EXIT_FAILED;
	good = json_object_object_get_ex(reply, "ok", &ok) && json_object_get_boolean(ok);
	if (globals.json)
		puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (good && print)
		print(reply);
	if (!good)
		fprintf(stderr, "portalctl: %s\n", get_str(reply, "error"));
	json_object_put(reply);
	return good ? 0 : EXIT_FAILED;
}
