/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portalctl.h - shared by the commands of portalctl
 */
#ifndef PORTALCTL_H
#define PORTALCTL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2

struct globals {
	bool json;
	const char *socket;
};

extern struct globals globals;

/* client.c */
/* Sends @req (freed) and waits; NULL after a message. Freed by the caller. */
struct json_object *client_ask(struct json_object *req);
/* The answer to "stat" of @vm (NULL: all) if it is a good one; NULL after a message. */
struct json_object *client_stat(const char *vm);
/* As client_ask(), and prints the reply with --json; the exit status. */
int client_do(struct json_object *req, void (*print)(struct json_object *reply));
/*
 * As client_ask(), and takes the fd that comes with a good answer (-1: none came);
 * NULL after a message.
 */
struct json_object *client_ask_fd(struct json_object *req, int *fd);
struct json_object *client_request(const char *cmd);
const char *get_str(struct json_object *obj, const char *key);
long long get_num(struct json_object *obj, const char *key);
struct json_object *get_obj(struct json_object *obj, const char *key);
void set_str(struct json_object *obj, const char *key, const char *val);
void set_num(struct json_object *obj, const char *key, long long val);

/* table.c */
#define TABLE_COLUMNS	12

struct table {
	const char *head[TABLE_COLUMNS];
	unsigned int right;	/* bits of columns with numbers */
	char **cells;
	unsigned int nr_columns;
	unsigned int nr_rows;
};

void table_init(struct table *t, unsigned int right, const char *const *head);
/* One string per column. */
void table_row(struct table *t, ...);
void table_print(struct table *t);
const char *num(long long val);

/* Commands: argv[0] is the command's name. */
int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_disk(int argc, char **argv);
int cmd_guest(int argc, char **argv);
int cmd_interrupt(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* guest_socket.c */
struct iovec;
struct portal_guest_reply;

/**
 * struct guest - a socket to the plugin that commands the guest
 * @vm: its name
 * @timeout_ms: of each command, 0: 10 s
 * @out: the last answer, PORTAL_GUEST_MAX bytes
 * @out_len: of them
 * @events: takes events that come before an answer; NULL: nobody does
 */
struct guest {
	const char *vm;
	int fd;
	unsigned int timeout_ms;
	char *out;
	size_t out_len;
	void (*events)(struct guest *g, const struct portal_guest_reply *rep);
};

/* 0, or -1 after a message */
int guest_open(struct guest *g, const char *vm, const char *instance);
void guest_close(struct guest *g);
struct portal_guest_request;
/*
 * 0: @rep is its answer, whatever its status; g->out holds rep->out_size bytes if
 * @req asked for any. -1 after a message: nobody will answer.
 */
int guest_command(struct guest *g, const struct portal_guest_request *req,
		  const struct iovec *in, unsigned int cnt, struct portal_guest_reply *rep);
/* The next message, an answer or events; 0, or -1 after a message. */
int guest_receive(struct guest *g, struct portal_guest_reply *rep);
/* Says why @what failed; EXIT_FAILED. */
int guest_failed(const struct guest *g, const char *what, int status);

/* guest_cp.c, guest_exec.c, guest_trace.c: argv[0] is "cp", "exec", "trace" */
int guest_cp(struct guest *g, int argc, char **argv);
int guest_exec(struct guest *g, int argc, char **argv);
int guest_trace(struct guest *g, int argc, char **argv);

/* rate.c */
/* What @now has more than @old, per second; @old's shape is @now's. */
struct json_object *rate_of(struct json_object *old, struct json_object *now, double seconds);

/* tracefs.c */
struct tracefs;
/* An instance of its own, where nothing is traced yet; NULL after a message. */
struct tracefs *tracefs_open(const char *root);
/* Of these threads too, as text with a blank between; none were given: of all. */
int tracefs_pids(struct tracefs *tfs, const char *pids);
/* All events of portal; -errno after a message. */
int tracefs_start(struct tracefs *tfs);
/* The next line, without its end; NULL: none within @ms, or a signal came. */
const char *tracefs_line(struct tracefs *tfs, int ms);
void tracefs_close(struct tracefs *tfs);

/* trace_line.c */
#define TRACE_FIELDS	16

/**
 * struct trace_line - one event, whatever fields it has
 * @event: its name without "portal_"
 * @task: thread that it happened in
 * @time: seconds since boot
 */
struct trace_line {
	char event[32];
	long task;
	double time;
	unsigned int nr;
	struct {
		char key[24];
		char val[40];
	} field[TRACE_FIELDS];
};

/* 0, or -1: not an event of portal */
int trace_parse(const char *text, struct trace_line *line);
/* The field's number, or -1: it has none. */
long long trace_field(const struct trace_line *line, const char *key);

/* portalctl.c */
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* 0, or EXIT_USAGE after a message */
int parse_number(const char *what, const char *str, long long max, long long *val);

#endif /* PORTALCTL_H */
