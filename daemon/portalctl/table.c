// SPDX-License-Identifier: GPL-2.0-only
/*
 * table.c - aligned columns
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portalctl.h"

static void *check(void *p)
{
	if (!p) {
		fputs("portalctl: out of memory\n", stderr);
		exit(EXIT_FAILED);
	}
	return p;
}

void table_init(struct table *t, unsigned int right, const char *const *head)
{
	memset(t, 0, sizeof(*t));
	t->right = right;
	while (head[t->nr_columns] && t->nr_columns < TABLE_COLUMNS) {
		t->head[t->nr_columns] = head[t->nr_columns];
		t->nr_columns++;
	}
}

void table_row(struct table *t, ...)
{
	va_list ap;

	t->cells = check(reallocarray(t->cells, (t->nr_rows + 1) * t->nr_columns,
				      sizeof(*t->cells)));
	va_start(ap, t);
	for (unsigned int i = 0; i < t->nr_columns; i++)
		t->cells[t->nr_rows * t->nr_columns + i] = check(strdup(va_arg(ap, const char *)));
	va_end(ap);
	t->nr_rows++;
}

static void print_row(const struct table *t, const char *const *cells, const int *width)
{
	for (unsigned int i = 0; i < t->nr_columns; i++) {
		bool last = i == t->nr_columns - 1;

		if (t->right & (1U << i))
			printf("%*s", width[i], cells[i]);
		else if (last)
			printf("%s", cells[i]);
		else
			printf("%-*s", width[i], cells[i]);
		fputs(last ? "\n" : "  ", stdout);
	}
}

void table_print(struct table *t)
{
	int width[TABLE_COLUMNS];

	for (unsigned int i = 0; i < t->nr_columns; i++) {
		width[i] = strlen(t->head[i]);
		for (unsigned int r = 0; r < t->nr_rows; r++) {
			int len = strlen(t->cells[r * t->nr_columns + i]);

			if (len > width[i])
				width[i] = len;
		}
	}
	print_row(t, t->head, width);
	for (unsigned int r = 0; r < t->nr_rows; r++)
		print_row(t, (const char *const *)&t->cells[r * t->nr_columns], width);
	for (unsigned int i = 0; i < t->nr_rows * t->nr_columns; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->nr_rows = 0;
}

/* For a few at a time, in one row. */
const char *num(long long val)
{
	static char bufs[TABLE_COLUMNS][24];
	static unsigned int next;
	char *buf = bufs[next++ % TABLE_COLUMNS];

	snprintf(buf, sizeof(bufs[0]), "%lld", val);
	return buf;
}
