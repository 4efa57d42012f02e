/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * portald/guest.h - what a plugin can do in its guest, in threads of its own
 *
 * Functions on top of api->command_wait(), so not for the worker's thread, where
 * the callbacks run: there, use api->command(). They return 0 or a number of
 * bytes, or -errno: never data that was not there. All need a guest whose owner
 * allows the class (commands.rst).
 */
#ifndef PORTALD_GUEST_H
#define PORTALD_GUEST_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/portal_channel.h>
#include <linux/portal_cmd.h>
#include <portald/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct portal_guest {
	const struct portald_api *api;
	struct portal_instance *pi;
	uint32_t timeout_ms;	/* of each command, 0: 10 s */
	uint32_t flags;		/* (out) PORTAL_DONE_F_* of the last one */
	uint64_t value;		/* (out) of the last one */
	uint64_t cursor;	/* (out) of the last one */
	uint64_t count;		/* (out) of the last one */
};

/* What the last one answered, up to @len bytes of it. */
static inline size_t portal_guest_copy(const struct portal_command *cmd, void *buf, size_t len)
{
	size_t done = 0, n;

	for (uint32_t i = 0; i < cmd->out_cnt && done < len; i++, done += n) {
		n = cmd->out[i].iov_len < len - done ? cmd->out[i].iov_len : len - done;
		memcpy((char *)buf + done, cmd->out[i].iov_base, n);
	}
	return done;
}

/*
 * Any command, with @cmd's op, pid, addr, size and payload set; the answer goes to
 * @buf. Bytes there (or written); a partial one (flags) counts if it has any.
 */
static inline int64_t portal_guest_do(struct portal_guest *g, struct portal_command *cmd,
				      void *buf, uint32_t len)
{
	int64_t ret;

	cmd->out_len = len;
	if (!cmd->timeout_ms)
		cmd->timeout_ms = g->timeout_ms;
	ret = g->api->command_wait(g->pi, cmd);
	g->flags = cmd->flags;
	g->value = cmd->value;
	g->cursor = cmd->cursor;
	g->count = cmd->count;
	if (!ret || (cmd->flags & PORTAL_DONE_F_PARTIAL)) {
		if (cmd->out)
			ret = (int64_t)portal_guest_copy(cmd, buf, len);
		else
			ret = (int64_t)cmd->out_size;
	}
	g->api->command_end(g->pi, cmd);
	return ret;
}

/* Memory of process @pid. Bytes done: fewer than @len if the rest is not mapped. */
static inline int64_t portal_guest_read_mem(struct portal_guest *g, uint32_t pid, uint64_t addr,
					    void *buf, uint32_t len)
{
	struct portal_command cmd = { .op = PORTAL_CMD_MEM_READ, .pid = pid, .addr = addr,
				      .size = len };

	return portal_guest_do(g, &cmd, buf, len);
}

static inline int64_t portal_guest_write_mem(struct portal_guest *g, uint32_t pid, uint64_t addr,
					     const void *buf, uint32_t len)
{
	struct iovec in = { (void *)buf, len };
	struct portal_command cmd = { .op = PORTAL_CMD_MEM_WRITE, .pid = pid, .addr = addr,
				      .in = &in, .in_cnt = 1 };

	return portal_guest_do(g, &cmd, NULL, 0);
}

/* Bytes with the NUL; -E2BIG without one is told by PARTIAL in g->flags. */
static inline int64_t portal_guest_read_str(struct portal_guest *g, uint32_t pid, uint64_t addr,
					    char *buf, uint32_t len)
{
	struct portal_command cmd = { .op = PORTAL_CMD_MEM_READ_STR, .pid = pid, .addr = addr,
				      .size = len };

	return portal_guest_do(g, &cmd, buf, len);
}

/* Processes, from number @from on; how many. More: g->flags has MORE, at g->cursor. */
static inline int64_t portal_guest_ps(struct portal_guest *g, uint64_t from,
				      struct portal_cmd_task *tasks, uint32_t nr)
{
	struct portal_command cmd = { .op = PORTAL_CMD_TASK_LIST, .addr = from };
	int64_t ret = portal_guest_do(g, &cmd, tasks, nr * (uint32_t)sizeof(*tasks));

	return ret < 0 ? ret : ret / (int64_t)sizeof(*tasks);
}

static inline int64_t portal_guest_read_file(struct portal_guest *g, const char *path,
					     uint64_t offset, void *buf, uint32_t len)
{
	struct iovec in = { (void *)path, strlen(path) + 1 };
	struct portal_command cmd = { .op = PORTAL_CMD_FILE_READ, .addr = offset, .size = len,
				      .in = &in, .in_cnt = 1 };

	return portal_guest_do(g, &cmd, buf, len);
}

/* @flags, @mode: as in struct portal_cmd_file_write */
static inline int64_t portal_guest_write_file(struct portal_guest *g, const char *path,
					      uint64_t offset, const void *buf, uint32_t len,
					      uint32_t flags, uint32_t mode)
{
	struct portal_cmd_file_write how = { .flags = flags, .mode = mode,
					     .path_len = (uint32_t)strlen(path) + 1 };
	struct iovec in[3] = { { &how, sizeof(how) }, { (void *)path, how.path_len },
			       { (void *)buf, len } };
	struct portal_command cmd = { .op = PORTAL_CMD_FILE_WRITE, .addr = offset, .in = in,
				      .in_cnt = 3 };

	return portal_guest_do(g, &cmd, NULL, 0);
}

/*
 * Runs @argv (NULL at its end; argv[0] an absolute path) and waits. Output and error
 * output one after the other in @buf; @res says how much of each.
 */
static inline int portal_guest_exec(struct portal_guest *g, const char *const *argv,
				    struct portal_cmd_exec_result *res, char *buf, uint32_t len)
{
	struct portal_cmd_exec how = { 0 };
	struct portal_command cmd = { .op = PORTAL_CMD_EXEC };
	struct iovec in[65] = { { &how, sizeof(how) } };
	char *all;
	int64_t ret;

	while (argv[how.argc] && how.argc < 64) {
		in[how.argc + 1] = (struct iovec){ (void *)argv[how.argc],
						   strlen(argv[how.argc]) + 1 };
		how.argc++;
	}
	if (argv[how.argc])
		return -E2BIG;
	all = (char *)malloc(sizeof(*res) + len);
	if (!all)
		return -ENOMEM;
	cmd.in = in;
	cmd.in_cnt = how.argc + 1;
	ret = portal_guest_do(g, &cmd, all, (uint32_t)sizeof(*res) + len);
	if (ret >= 0 && ret < (int64_t)sizeof(*res))
		ret = -EPROTO;
	if (ret >= 0) {
		memcpy(res, all, sizeof(*res));
		memcpy(buf, all + sizeof(*res), (size_t)ret - sizeof(*res));
		if (res->out_given > len || res->err_given > len - res->out_given)
			ret = -EPROTO;
	}
	free(all);
	return ret < 0 ? (int)ret : 0;
}

#ifdef __cplusplus
}
#endif

#endif /* PORTALD_GUEST_H */
