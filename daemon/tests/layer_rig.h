/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * layer_rig.h - real plugins, one over the other, as a worker opens them, with
 * the block layer on top. LINK: lower.o plugin.o block.o backend.o -luring -ldl
 */
#ifndef LAYER_RIG_H
#define LAYER_RIG_H

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "block_rig.h"
#include "log.h"
#include "lower.h"

struct portal_instance {
	struct rig rig;
	struct plugin plugin;
	struct portal_lower *lower;
	void *handle;
};

static char layer_error[1024];
static char layer_taken[1024];
static char layer_log[1024];
static unsigned int layer_log_lines;

static __attribute__((format(printf, 1, 2))) void layer_api_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(layer_error, sizeof(layer_error), fmt, ap);
	va_end(ap);
}

const char *api_take_error(void)
{
	memcpy(layer_taken, layer_error, sizeof(layer_taken));
	layer_error[0] = '\0';
	return layer_taken;
}

static __attribute__((format(printf, 2, 3))) void layer_api_log(int level, const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	pthread_mutex_lock(&lock);
	vsnprintf(layer_log, sizeof(layer_log), fmt, ap);
	pthread_mutex_unlock(&lock);
	va_end(ap);
	__atomic_add_fetch(&layer_log_lines, 1, __ATOMIC_RELAXED);
}

static int layer_parse_size(const char *str, uint64_t *size)
{
	char *end;

	*size = strtoull(str, &end, 10);
	if (*end == 'k')
		*size <<= 10;
	else if (*end == 'M')
		*size <<= 20;
	else if (*end == 'G')
		*size <<= 30;
	else if (*end)
		return -EINVAL;
	return end == str ? -EINVAL : 0;
}

static int layer_parse_bool(const char *str, bool *val)
{
	*val = !strcmp(str, "on");
	return *val || !strcmp(str, "off") ? 0 : -EINVAL;
}

static struct io_uring *layer_uring(struct portal_instance *pi)
{
	return &pi->rig.ring;
}

static void layer_size_changed(struct portal_instance *pi)
{
	if (pi->rig.be)
		backend_size_changed(pi->rig.be);
}

static const struct portald_api layer_api = {
	.struct_size = sizeof(layer_api), .error = layer_api_error, .log = layer_api_log,
	.parse_size = layer_parse_size, .parse_bool = layer_parse_bool, .uring = layer_uring,
	.io_done = backend_io_done, .size_changed = layer_size_changed,
	.lower_info = lower_info, .lower_submit = lower_submit,
	.lower_cancel = lower_cancel, .lower_resize = lower_resize,
};

/* "fault lower=memory lower.size=1M": words are keys; @err gets the message. */
static int layers_try(struct portal_instance *pi, const char *text, struct err *err)
{
	const char *build = getenv("TEST_BUILD");
	char dir[512], copy[2048], *rest = copy, *word, *name;
	struct layer_key keys[32];
	struct layer_env env = {
		.dir = dir, .api = &layer_api, .pi = pi, .keys = keys,
		.opts = { .uring = &pi->rig.ring, .wait = rig_wait, .arg = &pi->rig },
	};
	int ret;

	snprintf(copy, sizeof(copy), "%s", text);
	name = strsep(&rest, " ");
	/* the tests' own plugin lies beside the tests */
	snprintf(dir, sizeof(dir), "%s/%splugins", build ? build : "../build/daemon",
		 strcmp(name, "frozen") ? "" : "tests/");
	while ((word = strsep(&rest, " "))) {
		struct layer_key *k = &keys[env.nr_keys];
		char *eq = strchr(word, '=');

		if (!eq)
			continue;
		*eq = '\0';
		for (char *p = eq + 1; *p; p++)
			if (*p == '~')		/* a blank in a value */
				*p = ' ';
		*k = (struct layer_key){ word, word, eq + 1, "test", ++env.nr_keys };
	}
	err->msg[0] = '\0';
	memset(pi, 0, sizeof(*pi));
	rig_ring(&pi->rig);
	ret = plugin_load(&pi->plugin, dir, name, &layer_api, err);
	if (!ret) {
		ret = layer_open(&env, &pi->plugin, 0, &pi->lower, &pi->handle, err);
		if (ret)
			plugin_unload(&pi->plugin);
	}
	if (ret) {
		io_uring_queue_exit(&pi->rig.ring);
		return ret;
	}
	rig_open(&pi->rig, &pi->plugin.ops, pi->handle);
	return 0;
}

static __attribute__((unused)) void layers_open(struct portal_instance *pi, const char *fmt, ...)
{
	struct err err;
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (layers_try(pi, text, &err))
		fail_msg("%s: %s", text, err.msg);
}

static void layers_close(struct portal_instance *pi)
{
	rig_close(&pi->rig);
	if (pi->plugin.ops.close)
		pi->plugin.ops.close(pi->handle);
	lower_close(pi->lower);
	plugin_unload(&pi->plugin);
	io_uring_queue_exit(&pi->rig.ring);
}

static __attribute__((unused)) void layers_refuse(const char *text, const char *what)
{
	struct portal_instance pi;
	struct err err;

	if (!layers_try(&pi, text, &err))
		fail_msg("'%s' is taken", text);
	if (!strstr(err.msg, what))
		fail_msg("no '%s' in: %s", what, err.msg);
}

static __attribute__((unused)) int lio(struct portal_instance *pi, uint32_t op, uint32_t flags,
					uint64_t off, void *buf, uint64_t len)
{
	return rig_io(&pi->rig, op, flags, off, buf, len, 0);
}

#endif /* LAYER_RIG_H */
