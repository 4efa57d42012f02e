/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lower.h - plugins over plugins: a filter and the layers below it
 *
 * In portald.conf a filter's section says "lower = NAME", and "lower.KEY = VALUE"
 * is a key of that plugin; if it is a filter, too, its own lower is lower.lower.
 */
#ifndef PORTALD_LOWER_H
#define PORTALD_LOWER_H

#include "block.h"
#include "plugin.h"

/* As struct config_key, wherever it comes from; @name is what the file says. */
struct layer_key {
	const char *key;
	const char *name;
	const char *value;
	const char *file;
	unsigned int line;
};

/**
 * struct layer_env - what all layers of an instance have in common
 * @dir: where plugins are
 * @api: for their load()
 * @pi: for their open()
 * @opts: of the block layers below filters; .resized is not used
 * @keys: of the instance's section
 * @nr_keys: how many
 */
struct layer_env {
	const char *dir;
	const struct portald_api *api;
	struct portal_instance *pi;
	struct block_opts opts;
	const struct layer_key *keys;
	unsigned int nr_keys;
};

/*
 * Configures and opens @plugin, which is loaded, at @depth "lower."s, and before
 * it what is below it: *@lower, NULL if it is no filter.
 */
int layer_open(const struct layer_env *env, const struct plugin *plugin, unsigned int depth,
	       struct portal_lower **lower, void **handle, struct err *err);
/* After the filter's close(); NULL: there is nothing. */
void lower_close(struct portal_lower *lower);

/* Behind struct portald_api. */
const struct portal_lower_info *lower_info(struct portal_lower *lower);
int lower_submit(struct portal_lower *lower, struct portal_io *io,
		 void (*done)(struct portal_io *io, int err));
void lower_cancel(struct portal_lower *lower, struct portal_io *io);
int lower_resize(struct portal_lower *lower, uint64_t size);

#endif /* PORTALD_LOWER_H */
