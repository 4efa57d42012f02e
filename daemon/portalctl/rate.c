// SPDX-License-Identifier: GPL-2.0-only
/*
 * rate.c - from two answers of "stat" to what happened per second
 *
 * Knows no counter by name: a number becomes a rate, unless it is one of a few
 * that go up and down. Objects are compared with their namesakes, so a VM that
 * came or went between the answers is left out.
 */
#include <string.h>

#include "portalctl.h"

static const char *const gauges[] = {
	"vcpus", "hooks", "regions", "queues", "windows", "inflight", "status", "pid", "uid",
	"slot", "gpa", "gsi", "queue", "hook", "region", "portald_pid",
};

static bool is_gauge(const char *key)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		if (!strcmp(key, gauges[i]))
			return true;
	return false;
}

static struct json_object *namesake(struct json_object *list, const char *name)
{
	size_t nr = list && json_object_is_type(list, json_type_array) ?
		json_object_array_length(list) : 0;

	for (size_t i = 0; i < nr; i++) {
		struct json_object *obj = json_object_array_get_idx(list, i);

		if (!strcmp(get_str(obj, "name"), name))
			return obj;
	}
	return NULL;
}

static struct json_object *rates_of_list(struct json_object *old, struct json_object *now,
					 double seconds)
{
	struct json_object *out = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(now); i++) {
		struct json_object *item = json_object_array_get_idx(now, i), *before;

		before = namesake(old, get_str(item, "name"));
		if (before)
			json_object_array_add(out, rate_of(before, item, seconds));
	}
	return out;
}

static struct json_object *rate_of_number(struct json_object *old, struct json_object *now,
					  double seconds)
{
	int64_t grown = json_object_get_int64(now) - (old ? json_object_get_int64(old) : 0);

	/* a worker that was replaced counts anew */
	if (grown < 0)
		grown = json_object_get_int64(now);
	return json_object_new_double(grown / seconds);
}

struct json_object *rate_of(struct json_object *old, struct json_object *now, double seconds)
{
	struct json_object *out = json_object_new_object();

	json_object_object_foreach(now, key, val) {
		struct json_object *before = get_obj(old, key), *res;

		switch (json_object_get_type(val)) {
		case json_type_object:
			res = before ? rate_of(before, val, seconds) : json_object_new_object();
			break;
		case json_type_array:
			res = rates_of_list(before, val, seconds);
			break;
		case json_type_int:
			res = is_gauge(key) ? json_object_get(val) :
					      rate_of_number(before, val, seconds);
			break;
		default:
			res = json_object_get(val);
		}
		json_object_object_add(out, key, res);
	}
	return out;
}
