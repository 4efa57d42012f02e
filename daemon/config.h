/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config.h - portald.conf(5)
 */
#ifndef PORTALD_CONFIG_H
#define PORTALD_CONFIG_H

#include <stdbool.h>

struct err;

#define CONFIG_DEFAULT		PORTALD_SYSCONFDIR "/portald.conf"
#define CONFIG_SOCKET		"/run/portald/control"
#define CONFIG_KEEP		30
#define CONFIG_TIMEOUT		30
#define CONFIG_NAME_MAX		31	/* PORTAL_NAME_LEN less the NUL */
#define CONFIG_QUEUES_MAX	4

enum sandbox_mode {
	SANDBOX_OFF = 0,
	SANDBOX_ON = 1,
	SANDBOX_NETWORK = 2,	/* as on, but may open sockets: nbd, rbd reconnect */
};

/* A key that the plugin understands, or complains about. */
struct config_key {
	char *key;
	char *value;
	const char *file;	/* the config's */
	unsigned int line;
};

struct config_instance {
	char *name;
	char *plugin;
	char *frontend;		/* NULL: a service */
	char *serial;
	char *limits;		/* NULL none; the worker knows what is right */
	unsigned int io_timeout;	/* seconds a disk's request may take, 0 for ever */
	unsigned int queues;	/* of the front end, 0: its default */
	bool restart;
	unsigned int timeout;	/* seconds a worker may be silent, 0 for ever */
	bool has_timeout;	/* else [portald]'s */
	enum sandbox_mode sandbox;
	const char *file;
	unsigned int line;
	struct config_key *keys;
	unsigned int nr_keys;
	unsigned int seen;	/* bits of the keys above given already */
};

struct config {
	char *socket;
	char *plugin_dir;
	int log_level;
	unsigned int keep;	/* seconds until the next portald must be there */
	unsigned int timeout;	/* worker_timeout of all instances */
	struct config_instance *instances;
	unsigned int nr_instances;
	char **files;		/* names for messages */
	unsigned int nr_files;
};

/*
 * Reads @path and the *.conf of @path.d (NULL: the default, which may be missing).
 * Every mistake is logged with its file and line; -EINVAL if there is one.
 */
int config_load(const char *path, struct config **cfg);
/* As from an empty file. */
struct config *config_empty(void);
void config_free(struct config *cfg);
const struct config_instance *config_find(const struct config *cfg, const char *name);

/*
 * An instance that is in no file: @keys and @values as in its section. 0, or -EINVAL
 * and @err says which key is wrong. To be ended by config_instance_free().
 */
int config_make_instance(const char *name, const char *const *keys, const char *const *values,
			 unsigned int nr, struct config_instance *inst, struct err *err);
void config_instance_free(struct config_instance *inst);

/* Shared with the plugins' api. */
int config_parse_bool(const char *str, bool *val);
int config_parse_size(const char *str, unsigned long long *size);

#endif /* PORTALD_CONFIG_H */
