// SPDX-License-Identifier: GPL-2.0-only
/*
 * log.c - messages go to stderr; the journal or the shell takes it from there
 *
 * Under systemd each line starts with "<N>", which the journal takes as its
 * priority (sd-daemon(3)). One write(2) per line, so that the lines of
 * several workers do not mix. No files, no rotation.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static struct {
	int level;
	bool journal;
	char who[64];
	void (*sink)(int level, const char *msg);
} logger = { .level = LOG_INFO };

void log_open(int level, const char *who)
{
	logger.level = level;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
	if (who)
		snprintf(logger.who, sizeof(logger.who), "[%s]", who);
	else
		logger.who[0] = '\0';
}

void log_set_level(int level)
{
	logger.level = level;
}

int log_level(void)
{
	return logger.level;
}

void log_set_sink(void (*sink)(int level, const char *msg))
{
	logger.sink = sink;
}

void log_vmsg(int level, const char *fmt, va_list ap)
{
	char line[1200];
	int len = 0, n;

	if (level > logger.level && !logger.sink)
		return;
	if (logger.sink) {
		vsnprintf(line, sizeof(line), fmt, ap);
		logger.sink(level, line);
		return;
	}
	if (logger.journal)
		len = snprintf(line, sizeof(line), "<%d>", level);
	len += snprintf(line + len, sizeof(line) - len, "portald%s: ", logger.who);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	if (n < 0)
		return;
	len += n;
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* a plugin's or guest's text must not forge another line */
	for (char *p = line; p < line + len; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	line[len++] = '\n';
	n = write(STDERR_FILENO, line, len);
	(void)n;	/* there is nobody left to tell */
}

void log_msg(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(level, fmt, ap);
	va_end(ap);
}

int log_parse_level(const char *str)
{
	static const char *const names[] = {
		"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
	};

	if (str[0] >= '0' && str[0] <= '7' && !str[1])
		return str[0] - '0';
	for (int i = 0; i < 8; i++)
		if (!strcmp(str, names[i]))
			return i;
	return -EINVAL;
}

int err_set(struct err *err, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return ret;
}
