/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * log.h - messages for the administrator, and errors that travel as text
 */
#ifndef PORTALD_LOG_H
#define PORTALD_LOG_H

#include <stdarg.h>
#include <syslog.h>

/* An error message on its way to the place that reports it, once. */
struct err {
	char msg[768];
};

int err_set(struct err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* @who: NULL in the supervisor, the instance's name in a worker. */
void log_open(int level, const char *who);
void log_set_level(int level);
int log_level(void);
/* Tests look at messages instead of printing them. */
void log_set_sink(void (*sink)(int level, const char *msg));
void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vmsg(int level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* "debug", "info", "notice", "warning", "err" or a digit; -EINVAL */
int log_parse_level(const char *str);

#define log_err(...)	log_msg(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_msg(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	log_msg(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	log_msg(LOG_DEBUG, __VA_ARGS__)

#endif /* PORTALD_LOG_H */
