// SPDX-License-Identifier: GPL-2.0-only
/*
 * config.c - portald.conf(5), read by inih
 *
 * inih knows sections, keys and comments. Its handler is not told the line,
 * but it asks a reader for one line at a time: ours counts them, and refuses
 * lines that inih would cut in two.
 */
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "log.h"

struct parser {
	struct config *cfg;
	FILE *f;
	const char *file;
	unsigned int line;
	unsigned int errors;
	char section[96];	/* the last one begun, its mistake reported */
	struct err *err;	/* where the first mistake goes; NULL: to the log */
};

#define bad(p, fmt, ...) do {							\
	if (!(p)->err)								\
		log_err("%s:%u: " fmt, (p)->file, (p)->line, ##__VA_ARGS__);	\
	else if (!(p)->errors)							\
		err_set((p)->err, -EINVAL, fmt, ##__VA_ARGS__);			\
	(p)->errors++;								\
} while (0)

static void *xrealloc(void *ptr, size_t nr, size_t size)
{
	ptr = reallocarray(ptr, nr, size);
	if (!ptr) {
		log_err("out of memory");
		abort();
	}
	return ptr;
}

static char *xstrdup(const char *s)
{
	char *copy = strdup(s);

	if (!copy) {
		log_err("out of memory");
		abort();
	}
	return copy;
}

static void set(char **dst, const char *value)
{
	free(*dst);
	*dst = xstrdup(value);
}

int config_parse_bool(const char *str, bool *val)
{
	static const char *const yes[] = { "1", "on", "yes", "true" };
	static const char *const no[] = { "0", "off", "no", "false" };

	for (int i = 0; i < 4; i++) {
		if (!strcasecmp(str, yes[i]) || !strcasecmp(str, no[i])) {
			*val = !strcasecmp(str, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

int config_parse_size(const char *str, unsigned long long *size)
{
	static const char units[] = "kmgtpe";
	unsigned long long val;
	const char *unit;
	char *end;

	if (*str < '0' || *str > '9')
		return -EINVAL;
	errno = 0;
	val = strtoull(str, &end, 0);
	if (errno)
		return -ERANGE;
	if (*end) {
		unit = strchr(units, *end | 0x20);
		if (unit && !end[1]) {
			unsigned int shift = 10 * (unit - units + 1);

			if (val > (UINT64_MAX >> shift))
				return -ERANGE;
			val <<= shift;
		} else if (((*end | 0x20) != 'b') || end[1]) {
			return -EINVAL;
		}
	}
	*size = val;
	return 0;
}

static void seconds(struct parser *p, const char *key, const char *value, unsigned int *val)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 3600)
		bad(p, "%s '%s' is not a number of seconds from 0 to 3600", key, value);
	else
		*val = n;
}

/* ---- [portald] ------------------------------------------------------------ */

static void portald_key(struct parser *p, const char *key, const char *value)
{
	int level;

	if (!strcmp(key, "socket")) {
		set(&p->cfg->socket, value);
	} else if (!strcmp(key, "plugin_dir")) {
		set(&p->cfg->plugin_dir, value);
	} else if (!strcmp(key, "log_level")) {
		level = log_parse_level(value);
		if (level < 0)
			bad(p, "log_level '%s' is not one of err, warning, notice, info, debug",
			    value);
		else
			p->cfg->log_level = level;
	} else if (!strcmp(key, "keep")) {
		seconds(p, key, value, &p->cfg->keep);
	} else if (!strcmp(key, "worker_timeout")) {
		seconds(p, key, value, &p->cfg->timeout);
	} else {
		bad(p, "unknown key '%s' in [portald]; known are socket, plugin_dir, log_level, keep, worker_timeout",
		    key);
	}
}

/* ---- [instance NAME] ------------------------------------------------------ */

static bool name_ok(const char *name)
{
	return *name && strlen(name) <= CONFIG_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name);
}

static void key_plugin(struct parser *p, struct config_instance *inst, const char *value)
{
	if (!*value || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(value))
		bad(p, "plugin '%s' is not a name of a-z, 0-9 and '-' (no path, no .so)", value);
	else
		set(&inst->plugin, value);
}

static void key_frontend(struct parser *p, struct config_instance *inst, const char *value)
{
	(void)p;	/* whether it exists, the worker says */
	set(&inst->frontend, value);
}

static void key_serial(struct parser *p, struct config_instance *inst, const char *value)
{
	if (strlen(value) > 20)
		bad(p, "serial '%s' has more than 20 characters", value);
	else
		set(&inst->serial, value);
}

static void key_limits(struct parser *p, struct config_instance *inst, const char *value)
{
	(void)p;	/* what they may be, the block layer says */
	set(&inst->limits, value);
}

static void key_io_timeout(struct parser *p, struct config_instance *inst, const char *value)
{
	seconds(p, "io_timeout", value, &inst->io_timeout);
}

static void key_queues(struct parser *p, struct config_instance *inst, const char *value)
{
	if (value[0] < '1' || value[0] > '0' + CONFIG_QUEUES_MAX || value[1])
		bad(p, "queues '%s' is not a number from 1 to %d", value, CONFIG_QUEUES_MAX);
	else
		inst->queues = (unsigned int)(value[0] - '0');
}

static void key_restart(struct parser *p, struct config_instance *inst, const char *value)
{
	if (!strcmp(value, "always"))
		inst->restart = true;
	else if (config_parse_bool(value, &inst->restart))
		bad(p, "restart '%s' is neither on nor off", value);
}

static void key_sandbox(struct parser *p, struct config_instance *inst, const char *value)
{
	bool on;

	if (!strcmp(value, "network"))
		inst->sandbox = SANDBOX_NETWORK;
	else if (config_parse_bool(value, &on))
		bad(p, "sandbox '%s' is not one of on, network, off", value);
	else
		inst->sandbox = on ? SANDBOX_ON : SANDBOX_OFF;
}

static void key_timeout(struct parser *p, struct config_instance *inst, const char *value)
{
	seconds(p, "worker_timeout", value, &inst->timeout);
	inst->has_timeout = true;
}

static const struct {
	const char *key;
	void (*set)(struct parser *p, struct config_instance *inst, const char *value);
} instance_keys[] = {
	{ "plugin", key_plugin },
	{ "frontend", key_frontend },
	{ "serial", key_serial },
	{ "limits", key_limits },
	{ "io_timeout", key_io_timeout },
	{ "queues", key_queues },
	{ "restart", key_restart },
	{ "sandbox", key_sandbox },
	{ "worker_timeout", key_timeout },
};

static void instance_key(struct parser *p, struct config_instance *inst, const char *key,
			 const char *value)
{
	struct config_key *k;

	for (unsigned int i = 0; i < sizeof(instance_keys) / sizeof(instance_keys[0]); i++) {
		if (strcmp(key, instance_keys[i].key))
			continue;
		if (inst->seen & (1U << i))
			bad(p, "'%s' is given twice in [instance %s]", key, inst->name);
		inst->seen |= 1U << i;
		instance_keys[i].set(p, inst, value);
		return;
	}
	inst->keys = xrealloc(inst->keys, inst->nr_keys + 1, sizeof(*inst->keys));
	k = &inst->keys[inst->nr_keys++];
	k->key = xstrdup(key);
	k->value = xstrdup(value);
	k->file = p->file;
	k->line = p->line;
}

static void instance_begin(struct parser *p, const char *name)
{
	const struct config_instance *old = config_find(p->cfg, name);
	struct config_instance *inst;

	if (!name_ok(name)) {
		bad(p, "instance name '%s' is not 1 to %d characters of a-z, 0-9, '.', '_' and '-'",
		    name, CONFIG_NAME_MAX);
	} else if (old) {
		bad(p, "[instance %s] is already defined at %s:%u", name, old->file, old->line);
	}
	p->cfg->instances = xrealloc(p->cfg->instances, p->cfg->nr_instances + 1, sizeof(*inst));
	inst = &p->cfg->instances[p->cfg->nr_instances++];
	memset(inst, 0, sizeof(*inst));
	inst->name = xstrdup(name);
	inst->restart = true;
	inst->sandbox = SANDBOX_ON;
	inst->file = p->file;
	inst->line = p->line;
}

static void section_begin(struct parser *p, const char *section)
{
	snprintf(p->section, sizeof(p->section), "%s", section);
	if (!strncmp(section, "instance ", 9))
		instance_begin(p, section + 9 + strspn(section + 9, " \t"));
	else if (!strcmp(section, "instance"))
		bad(p, "[instance] needs a name: [instance NAME]");
	else if (strcmp(section, "portald"))
		bad(p, "unknown section [%s]; known are [portald] and [instance NAME]", section);
}

/* ---- inih ----------------------------------------------------------------- */

/*
 * One line. A section starts here and not at its first key, so that an empty
 * one counts, and so that the same header in two files is noticed.
 */
static char *read_line(char *buf, int size, void *stream)
{
	struct parser *p = stream;
	size_t len, skip;
	char *end;

	if (!fgets(buf, size, p->f))
		return NULL;
	p->line++;
	len = strlen(buf);
	if (len && buf[len - 1] != '\n' && !feof(p->f)) {
		int c;

		bad(p, "line is longer than %d characters", size - 2);
		while ((c = fgetc(p->f)) != EOF && c != '\n')
			;
		strcpy(buf, "\n");
		return buf;
	}
	/* to inih, a line that begins with a blank continues the one before */
	skip = strspn(buf, " \t");
	memmove(buf, buf + skip, len - skip + 1);
	if (buf[0] == '[') {
		end = strchr(buf, ']');
		if (!end) {
			bad(p, "section without ']'");
		} else if (end - buf > 48) {
			bad(p, "name of the section is too long");
		} else {
			*end = '\0';
			section_begin(p, buf + 1);
		}
		strcpy(buf, "\n");
	} else if (buf[0] != '\n' && buf[0] != '#' && buf[0] != ';' && !strpbrk(buf, "=:")) {
		buf[strcspn(buf, "\r\n")] = '\0';
		bad(p, "'%s' is neither [section] nor key = value", buf);
		strcpy(buf, "\n");
	}
	return buf;
}

static int handle_key(void *user, const char *section, const char *name, const char *value)
{
	struct parser *p = user;

	(void)section;	/* ours, from read_line() */
	if (!p->section[0])
		bad(p, "'%s' stands before the first [section]", name);
	else if (!strcmp(p->section, "portald"))
		portald_key(p, name, value);
	else if (!strncmp(p->section, "instance ", 9))
		instance_key(p, &p->cfg->instances[p->cfg->nr_instances - 1], name, value);
	return 1;
}

static int load_file(struct config *cfg, const char *path, bool may_miss, unsigned int *errors)
{
	struct parser p = { .cfg = cfg };

	p.f = fopen(path, "re");
	if (!p.f) {
		if (errno == ENOENT && may_miss)
			return 0;
		log_err("%s: %m", path);
		return -errno;
	}
	cfg->files = xrealloc(cfg->files, cfg->nr_files + 1, sizeof(*cfg->files));
	p.file = cfg->files[cfg->nr_files++] = xstrdup(path);
	if (ini_parse_stream(read_line, &p, handle_key, &p) && !p.errors)
		bad(&p, "syntax error");
	if (ferror(p.f)) {
		log_err("%s: cannot be read; is it a file?", path);
		p.errors++;
	}
	fclose(p.f);
	*errors += p.errors;
	return 0;
}

static void check(const struct config *cfg, unsigned int *errors)
{
	for (unsigned int i = 0; i < cfg->nr_instances; i++) {
		const struct config_instance *inst = &cfg->instances[i];

		if (inst->plugin || (inst->seen & 1))
			continue;
		log_err("%s:%u: [instance %s] names no plugin; add 'plugin = NAME'",
			inst->file, inst->line, inst->name);
		(*errors)++;
	}
}

struct config *config_empty(void)
{
	struct config *cfg = xrealloc(NULL, 1, sizeof(*cfg));

	memset(cfg, 0, sizeof(*cfg));
	cfg->log_level = LOG_INFO;
	cfg->keep = CONFIG_KEEP;
	cfg->timeout = CONFIG_TIMEOUT;
	cfg->socket = xstrdup(CONFIG_SOCKET);
	cfg->plugin_dir = xstrdup(PORTALD_PLUGINDIR);
	return cfg;
}

int config_load(const char *path, struct config **out)
{
	struct config *cfg = config_empty();
	unsigned int errors = 0;
	char pattern[4096];
	glob_t g = { 0 };
	int ret;

	ret = load_file(cfg, path ? path : CONFIG_DEFAULT, !path, &errors);
	if (ret)
		goto out;
	snprintf(pattern, sizeof(pattern), "%s.d/*.conf", path ? path : CONFIG_DEFAULT);
	if (!glob(pattern, 0, NULL, &g)) {
		for (size_t i = 0; i < g.gl_pathc && !ret; i++)
			ret = load_file(cfg, g.gl_pathv[i], false, &errors);
		globfree(&g);
	}
	if (ret)
		goto out;
	check(cfg, &errors);
	if (errors)
		ret = -EINVAL;
out:
	if (ret) {
		config_free(cfg);
		return ret;
	}
	*out = cfg;
	return 0;
}

const struct config_instance *config_find(const struct config *cfg, const char *name)
{
	for (unsigned int i = 0; i < cfg->nr_instances; i++)
		if (!strcmp(cfg->instances[i].name, name))
			return &cfg->instances[i];
	return NULL;
}

int config_make_instance(const char *name, const char *const *keys, const char *const *values,
			 unsigned int nr, struct config_instance *inst, struct err *err)
{
	struct parser p = { .file = "portalctl", .err = err };

	memset(inst, 0, sizeof(*inst));
	inst->name = xstrdup(name);
	inst->restart = true;
	inst->sandbox = SANDBOX_ON;
	inst->file = p.file;
	if (!name_ok(name))
		bad(&p, "instance name '%s' is not 1 to %d characters of a-z, 0-9, '.', '_' and '-'",
		    name, CONFIG_NAME_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		p.line = i + 1;
		instance_key(&p, inst, keys[i], values[i]);
	}
	if (!inst->plugin)
		bad(&p, "no plugin; add plugin=NAME");
	if (!p.errors)
		return 0;
	config_instance_free(inst);
	return -EINVAL;
}

void config_instance_free(struct config_instance *inst)
{
	for (unsigned int k = 0; k < inst->nr_keys; k++) {
		free(inst->keys[k].key);
		free(inst->keys[k].value);
	}
	free(inst->keys);
	free(inst->name);
	free(inst->plugin);
	free(inst->frontend);
	free(inst->serial);
	free(inst->limits);
	memset(inst, 0, sizeof(*inst));
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (unsigned int i = 0; i < cfg->nr_instances; i++)
		config_instance_free(&cfg->instances[i]);
	for (unsigned int i = 0; i < cfg->nr_files; i++)
		free(cfg->files[i]);
	free(cfg->files);
	free(cfg->instances);
	free(cfg->socket);
	free(cfg->plugin_dir);
	free(cfg);
}
