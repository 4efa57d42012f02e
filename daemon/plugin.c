// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin.c - finds, loads and checks a plugin
 *
 * The plugin's struct may be shorter than ours (built long ago: what it lacks
 * is NULL) or longer (built for a newer portald: its tail is not looked at).
 * Only a higher api_version, an incompatible change, is refused.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/portal.h>
#include <linux/portal_guest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin.h"

/* Up to open(): without these members there is nothing to call. */
#define MIN_SIZE (offsetof(struct portald_plugin, open) + sizeof(void *))

/*
 * A second layer of the same plugin: it must not share the first one's static
 * variables, so it is loaded from a file of its own, by a name that nobody else
 * has as long as the fd is open.
 */
static int open_copy(struct plugin *p, const char *name, struct err *err)
{
	int from = open(p->path, O_RDONLY | O_CLOEXEC);
	char path[64];
	struct stat st;
	ssize_t n = -1;

	p->copy = memfd_create(name, MFD_CLOEXEC);
	if (from >= 0 && p->copy >= 0 && !fstat(from, &st))
		n = sendfile(p->copy, from, NULL, (size_t)st.st_size);
	if (from >= 0)
		close(from);
	if (n < 0 || n != st.st_size)
		return err_set(err, -EIO, "plugin %s: cannot be copied for a second use", name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->copy);
	p->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!p->dl)
		return err_set(err, -ENOEXEC, "plugin %s: cannot be loaded: %s", name, dlerror());
	return 0;
}

static int open_object(struct plugin *p, const char *name, bool copy, struct err *err)
{
	if (access(p->path, F_OK))
		return err_set(err, -ENOENT,
			       "plugin %s: %s does not exist; install it or fix 'plugin' or 'plugin_dir'",
			       name, p->path);
	p->dl = dlopen(p->path, RTLD_NOW | RTLD_NOLOAD);
	if (p->dl) {
		dlclose(p->dl);
		p->dl = NULL;
		copy = true;
	}
	if (copy)
		return open_copy(p, name, err);
	p->dl = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
	if (!p->dl)
		return err_set(err, -ENOEXEC, "plugin %s: cannot be loaded: %s", name, dlerror());
	return 0;
}

static int copy_ops(struct plugin *p, const char *name, struct err *err)
{
	struct portald_plugin *(*init)(void);
	struct portald_plugin *theirs;
	size_t size;

	*(void **)&init = dlsym(p->dl, "portald_plugin_init");
	if (!init)
		return err_set(err, -ENOEXEC,
			       "plugin %s: %s exports no portald_plugin_init: not a portald plugin, or PORTALD_PLUGIN() is missing",
			       name, p->path);
	theirs = init();
	if (!theirs)
		return err_set(err, -ENOEXEC, "plugin %s: portald_plugin_init() returned NULL", name);
	if (!theirs->api_version || theirs->api_version > PORTALD_API_VERSION)
		return err_set(err, -EPROTO,
			       "plugin %s: built for plugin API %u, this portald has %u; %s",
			       name, theirs->api_version, PORTALD_API_VERSION,
			       theirs->api_version ? "upgrade portald" : "use PORTALD_PLUGIN()");
	if (theirs->struct_size < MIN_SIZE)
		return err_set(err, -EPROTO,
			       "plugin %s: its struct portald_plugin has %llu bytes, at least %zu are needed; build it again",
			       name, (unsigned long long)theirs->struct_size, MIN_SIZE);
	size = theirs->struct_size;
	if (size > sizeof(p->ops))
		size = sizeof(p->ops);
	memcpy(&p->ops, theirs, size);
	return 0;
}

static const char *missing_callback(const struct portald_plugin *ops)
{
	if (ops->fns && !ops->call)
		return "call (it has fns)";
	if (ops->nr_registers && !ops->registers)
		return "registers (it has nr_registers)";
	for (uint32_t i = 0; i < ops->nr_registers; i++)
		if (ops->registers[i].attr == PORTAL_ATTR_CALL && !ops->reg_read)
			return "reg_read (it has CALL registers)";
	if ((ops->pread || ops->submit || ops->pwrite) && !ops->get_size)
		return "get_size (it is a block backend)";
	if (ops->open_filter && !ops->submit)
		return "submit (it has open_filter)";
	if (ops->get_size && !ops->pread && !ops->submit)
		return "pread or submit (it has get_size)";
	return NULL;
}

static int check_ops(const struct portald_plugin *ops, const char *name, struct err *err)
{
	const char *missing;

	if (!ops->name || !*ops->name ||
	    strspn(ops->name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(ops->name))
		return err_set(err, -EPROTO,
			       "plugin %s: its name is '%s', not one of a-z, 0-9 and '-'",
			       name, ops->name ? ops->name : "(null)");
	if (strcmp(ops->name, name))
		return err_set(err, -EPROTO,
			       "plugin %s: it calls itself '%s'; file and name must be the same",
			       name, ops->name);
	missing = missing_callback(ops);
	if (missing)
		return err_set(err, -EPROTO, "plugin %s: required callback .%s is missing", name,
			       missing);
	if (ops->fns >= PORTAL_FN_INTERRUPT + 1)
		return err_set(err, -EPROTO, "plugin %s: %u functions, at most %u are possible",
			       name, ops->fns, PORTAL_FN_INTERRUPT);
	if (!ops->fns && !ops->region_len && !ops->interrupt && !ops->get_size)
		return err_set(err, -EPROTO,
			       "plugin %s: offers nothing: neither .fns nor .region_len, .interrupt or .get_size",
			       name);
	return 0;
}

static int load(struct plugin *p, const char *dir, const char *name, bool copy,
		const struct portald_api *api, struct err *err)
{
	const char *why;
	int ret;

	memset(p, 0, sizeof(*p));
	p->copy = -1;
	if (asprintf(&p->path, "%s/%s.so", dir, name) < 0) {
		p->path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	ret = open_object(p, name, copy, err);
	if (!ret)
		ret = copy_ops(p, name, err);
	if (!ret)
		ret = check_ops(&p->ops, name, err);
	if (!ret && p->ops.load) {
		ret = p->ops.load(api);
		if (ret < 0) {
			why = api_take_error();
			err_set(err, ret, "plugin %s: load: %s", name,
				*why ? why : strerror(-ret));
			p->ops.unload = NULL;
		} else {
			ret = 0;
		}
	}
	if (ret) {
		p->ops.unload = NULL;
		plugin_unload(p);
	}
	return ret;
}

int plugin_load(struct plugin *p, const char *dir, const char *name,
		const struct portald_api *api, struct err *err)
{
	return load(p, dir, name, false, api, err);
}

int plugin_load_copy(struct plugin *p, const char *dir, const char *name,
		     const struct portald_api *api, struct err *err)
{
	return load(p, dir, name, true, api, err);
}

void plugin_unload(struct plugin *p)
{
	if (p->dl) {
		if (p->ops.unload)
			p->ops.unload();
		dlclose(p->dl);
	}
	if (p->path && p->copy >= 0)
		close(p->copy);
	free(p->path);
	memset(p, 0, sizeof(*p));
}

bool plugin_is_block(const struct plugin *p)
{
	return p->ops.get_size != NULL;
}

static void dump_str(FILE *out, const char *key, const char *val)
{
	if (val)
		fprintf(out, "%s=%s\n", key, val);
}

void plugin_dump(const struct plugin *p, FILE *out)
{
	const struct portald_plugin *ops = &p->ops;
	const char *line, *end;

	fprintf(out, "path=%s\n", p->path);
	dump_str(out, "name", ops->name);
	dump_str(out, "longname", ops->longname);
	dump_str(out, "version", ops->version);
	dump_str(out, "description", ops->description);
	fprintf(out, "api_version=%u\n", ops->api_version);
	fprintf(out, "struct_size=%llu\n", (unsigned long long)ops->struct_size);
	fprintf(out, "thread_model=%s\n",
		ops->thread_model == PORTALD_THREAD_PARALLEL ? "parallel" : "serial");
	fprintf(out, "kind=%s\n", plugin_is_block(p) ? "block" : "service");
	fprintf(out, "fns=%u\n", ops->fns);
	fprintf(out, "region_len=%u\n", ops->region_len);
	fprintf(out, "has_interrupt=%d\n", !!ops->interrupt);
	fprintf(out, "has_submit=%d\n", !!ops->submit);
	fprintf(out, "filter=%d\n", !!ops->open_filter);
	for (line = ops->config_help; line && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		fprintf(out, "config_help=%.*s\n", (int)(end - line), line);
	}
}
