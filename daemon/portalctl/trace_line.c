// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace_line.c - a line of trace_pipe, taken apart
 *
 *	 qemu-system-x86-160   [001] ..... 26.108: portal_request: id=7 kind=1 hook=2
 *
 * Which events and fields there are is the module's affair: what is key=value
 * is a field.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portalctl.h"

static void add_field(struct trace_line *line, const char *word)
{
	const char *eq = strchr(word, '=');

	if (!eq || eq == word || line->nr >= TRACE_FIELDS)
		return;
	snprintf(line->field[line->nr].key, sizeof(line->field[0].key), "%.*s",
		 (int)(eq - word), word);
	snprintf(line->field[line->nr].val, sizeof(line->field[0].val), "%s", eq + 1);
	line->nr++;
}

int trace_parse(const char *text, struct trace_line *line)
{
	const char *event = strstr(text, ": portal_"), *p, *cpu;
	char words[512], *save, *word;
	int len;

	memset(line, 0, sizeof(*line));
	if (!event)
		return -1;
	/* the task's name may hold anything, so from the right: name-TID [cpu] */
	cpu = event;
	while (cpu > text && *cpu != '[')
		cpu--;
	p = cpu;
	while (p > text && *p != '-')
		p--;
	if (*cpu != '[' || *p != '-')
		return -1;
	line->task = strtol(p + 1, NULL, 10);
	p = event;
	while (p > cpu && p[-1] != ' ')
		p--;
	line->time = strtod(p, NULL);
	event += strlen(": portal_");
	len = strcspn(event, ":");
	if (!event[len] || len >= (int)sizeof(line->event))
		return -1;
	memcpy(line->event, event, len);
	snprintf(words, sizeof(words), "%s", event + len + 1);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		add_field(line, word);
	return 0;
}

long long trace_field(const struct trace_line *line, const char *key)
{
	for (unsigned int i = 0; i < line->nr; i++)
		if (!strcmp(line->field[i].key, key))
			return strtoll(line->field[i].val, NULL, 0);
	return -1;
}
