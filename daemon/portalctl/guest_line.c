// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_line.c - one system call of a guest, as a line like strace's or as JSON
 *
 * Strings are whatever a process in the guest likes: not for a terminal as they are.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

#include "guest_trace.h"

#define MAX_ERRNO	4095

static const struct {
	unsigned int bit;
	const char *name;
} open_flags[] = {
	/* those that contain another one's bits first */
	{ O_TMPFILE, "O_TMPFILE" }, { O_SYNC, "O_SYNC" }, { O_WRONLY, "O_WRONLY" },
	{ O_RDWR, "O_RDWR" }, { O_CREAT, "O_CREAT" }, { O_EXCL, "O_EXCL" },
	{ O_NOCTTY, "O_NOCTTY" }, { O_TRUNC, "O_TRUNC" }, { O_APPEND, "O_APPEND" },
	{ O_NONBLOCK, "O_NONBLOCK" }, { O_DSYNC, "O_DSYNC" }, { O_DIRECT, "O_DIRECT" },
	{ 0100000, "O_LARGEFILE" }, { O_DIRECTORY, "O_DIRECTORY" },
	{ O_NOFOLLOW, "O_NOFOLLOW" }, { O_NOATIME, "O_NOATIME" }, { O_CLOEXEC, "O_CLOEXEC" },
	{ O_PATH, "O_PATH" },
};

static void print_flags(FILE *out, unsigned int flags)
{
	const char *sep = "|";

	if (!(flags & O_ACCMODE))
		fputs("O_RDONLY", out);
	else
		sep = "";
	for (size_t i = 0; i < sizeof(open_flags) / sizeof(open_flags[0]); i++) {
		if ((flags & open_flags[i].bit) != open_flags[i].bit)
			continue;
		fprintf(out, "%s%s", sep, open_flags[i].name);
		flags &= ~open_flags[i].bit;
		sep = "|";
	}
	if (flags)
		fprintf(out, "%s%#x", sep, flags);
}

static void print_string(FILE *out, const char *str, bool cut)
{
	putc('"', out);
	for (; *str; str++) {
		unsigned char c = (unsigned char)*str;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (isascii(c) && isprint(c))
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
	fputs(cut ? "\"..." : "\"", out);
}

static void print_hex(FILE *out, unsigned long long arg)
{
	if (arg)
		fprintf(out, "%#llx", arg);
	else
		putc('0', out);
}

static void print_arg(FILE *out, char format, const struct portal_event *ev, int i,
		      const char *str)
{
	unsigned long long arg = ev->args[i];

	if (format == 's' && str)
		print_string(out, str, ev->flags & PORTAL_EVENT_F_CUT);
	else if (format == 'f' && (int)arg == AT_FDCWD)
		fputs("AT_FDCWD", out);
	else if (format == 'd' || format == 'f')
		fprintf(out, "%d", (int)arg);
	else if (format == 'u')
		fprintf(out, "%llu", arg);
	else if (format == 'o')
		fprintf(out, "%#llo", arg & 07777);
	else if (format == 'O')
		print_flags(out, (unsigned int)arg);
	else
		print_hex(out, arg);
}

/* open without O_CREAT has no mode */
static bool has_arg(char format, const struct portal_event *ev, int i, char before)
{
	return format != 'o' || before != 'O' || (ev->args[i - 1] & O_CREAT) ||
	       (ev->args[i - 1] & O_TMPFILE) == O_TMPFILE;
}

/* The kernel's own, by which it begins a call again after a signal. */
static const char *restart_name(long long ret)
{
	switch (-ret) {
	case 512:
		return "ERESTARTSYS";
	case 513:
		return "ERESTARTNOINTR";
	case 514:
		return "ERESTARTNOHAND";
	case 516:
		return "ERESTART_RESTARTBLOCK";
	}
	return NULL;
}

static bool is_error(long long ret)
{
	return ret < 0 && ret >= -MAX_ERRNO;
}

static const char *error_name(long long ret)
{
	return restart_name(ret) ? : strerrorname_np((int)-ret) ? : "?";
}

static void print_result(FILE *out, const struct portal_event *ev)
{
	if (!(ev->flags & PORTAL_EVENT_F_RETURN))
		fputs(" = ?", out);
	else if (is_error(ev->ret) && restart_name(ev->ret))
		fprintf(out, " = ? %s", restart_name(ev->ret));
	else if (is_error(ev->ret))
		fprintf(out, " = -1 %s (%s)", error_name(ev->ret), strerror((int)-ev->ret));
	else if ((unsigned long long)ev->ret >> 31)
		fprintf(out, " = %#llx", (unsigned long long)ev->ret);
	else
		fprintf(out, " = %lld", (long long)ev->ret);
}

void trace_print_line(FILE *out, const struct portal_event *ev, const char *str)
{
	const char *name = syscall_name(ev->nr), *format = syscall_format(ev->nr);

	fprintf(out, "[pid %5u] ", ev->pid);
	if (name)
		fprintf(out, "%s(", name);
	else
		fprintf(out, "syscall_%u(", ev->nr);
	for (int i = 0; format[i] && i < 6; i++) {
		if (!has_arg(format[i], ev, i, i ? format[i - 1] : 0))
			break;
		if (i)
			fputs(", ", out);
		print_arg(out, format[i], ev, i, str);
	}
	putc(')', out);
	print_result(out, ev);
	putc('\n', out);
}

/* A guest's bytes are perhaps no UTF-8, which JSON is. */
static struct json_object *ascii(const char *str)
{
	char copy[PORTAL_EVENT_STRING + 1];
	size_t i;

	for (i = 0; str[i] && i < sizeof(copy) - 1; i++)
		copy[i] = isascii((unsigned char)str[i]) ? str[i] : '?';
	copy[i] = '\0';
	return json_object_new_string(copy);
}

void trace_print_json(FILE *out, const struct portal_event *ev, const char *str)
{
	struct json_object *obj = json_object_new_object(), *args = json_object_new_array();
	const char *format = syscall_format(ev->nr), *name = syscall_name(ev->nr);
	char comm[sizeof(ev->comm) + 1] = "";

	memcpy(comm, ev->comm, sizeof(ev->comm));
	json_object_object_add(obj, "time_ns", json_object_new_uint64(ev->time_ns));
	json_object_object_add(obj, "cpu", json_object_new_int64(ev->cpu));
	json_object_object_add(obj, "pid", json_object_new_int64(ev->pid));
	json_object_object_add(obj, "tgid", json_object_new_int64(ev->tgid));
	json_object_object_add(obj, "comm", ascii(comm));
	json_object_object_add(obj, "nr", json_object_new_int64(ev->nr));
	if (name)
		json_object_object_add(obj, "syscall", json_object_new_string(name));
	for (size_t i = 0; format[i] && i < 6; i++)
		json_object_array_add(args, json_object_new_uint64(ev->args[i]));
	json_object_object_add(obj, "args", args);
	if (str)
		json_object_object_add(obj, "string", ascii(str));
	if (ev->flags & PORTAL_EVENT_F_RETURN)
		json_object_object_add(obj, "ret", json_object_new_int64(ev->ret));
	if (ev->flags & PORTAL_EVENT_F_RETURN && is_error(ev->ret))
		json_object_object_add(obj, "errno", json_object_new_string(error_name(ev->ret)));
	fprintf(out, "%s\n", json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
}
