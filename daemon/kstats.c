// SPDX-License-Identifier: GPL-2.0-only
/*
 * kstats.c - what portal.ko shows in debugfs, as JSON
 *
 * One "name value" a line, whatever the names are: a newer module's counters
 * appear without a newer portald. "name.key value" becomes a member of an
 * object: the buckets of a histogram.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kstats.h"

/* Where "a.b" goes: member a of @obj, which is made; *@name becomes "b". */
static struct json_object *parent(struct json_object *obj, char **name)
{
	char *dot = strchr(*name, '.');
	struct json_object *sub;

	if (!dot)
		return obj;
	*dot = '\0';
	if (!json_object_object_get_ex(obj, *name, &sub)) {
		sub = json_object_new_object();
		json_object_object_add(obj, *name, sub);
	}
	*name = dot + 1;
	return json_object_is_type(sub, json_type_object) ? sub : NULL;
}

static void add_line(struct json_object *obj, char *line)
{
	char *name = line, *value = strchr(line, ' '), *end;
	unsigned long long val;

	if (!value)
		return;
	*value++ = '\0';
	val = strtoull(value, &end, 10);
	if (end == value || *end != '\n')
		return;
	if (!*name)
		return;
	obj = parent(obj, &name);
	if (obj && !json_object_object_get_ex(obj, name, NULL))
		json_object_object_add(obj, name, json_object_new_uint64(val));
}

/* Adds the lines of @path; -1: it cannot be read. */
static int add_file(struct json_object *obj, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[128];

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		add_line(obj, line);
	fclose(file);
	return 0;
}

/* "queue12" -> "per_queue", "12" */
static void add_object(struct json_object *obj, const char *dir, const char *file)
{
	size_t len = strcspn(file, "0123456789");
	struct json_object *all, *one;
	char path[PATH_MAX + 256], kind[32];

	if (!len || len > 16 || !file[len] || strspn(file + len, "0123456789") != strlen(file + len))
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(kind, sizeof(kind), "per_%.*s", (int)len, file);
	one = json_object_new_object();
	if (add_file(one, path)) {	/* gone meanwhile */
		json_object_put(one);
		return;
	}
	if (!json_object_object_get_ex(obj, kind, &all)) {
		all = json_object_new_object();
		json_object_object_add(obj, kind, all);
	}
	json_object_object_add(all, file + len, one);
}

void kstats_add(struct json_object *obj, const char *root, uint32_t vm, uint32_t client)
{
	char path[PATH_MAX - 512];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%u/stats", root, vm);
	if (add_file(obj, path))
		return;
	snprintf(path, sizeof(path), "%s/%u/%u", root, vm, client);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		add_object(obj, path, entry->d_name);
	if (dir)
		closedir(dir);
}
