// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_syscalls.c - what system calls of x86-64 are called, and their arguments
 *
 * The names are those of the system that portalctl was built on. Arguments are
 * known for what one looks for in a trace; others are numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "guest_trace.h"

static const char *const names[TRACE_NRS] = {
#include "syscall_names.h"
};

/*
 * d number, u unsigned, x hexadecimal, f descriptor of a directory, o mode,
 * O flags of open; s the string that is copied, one at most
 */
static const struct {
	const char *name;
	const char *args;
} formats[] = {
	{ "accept", "dxx" }, { "accept4", "dxxx" }, { "access", "so" }, { "alarm", "u" },
	{ "arch_prctl", "xx" }, { "bind", "dxu" }, { "brk", "x" }, { "chdir", "s" },
	{ "chmod", "so" }, { "chown", "sdd" }, { "chroot", "s" }, { "clock_gettime", "dx" },
	{ "clock_nanosleep", "dxxx" }, { "clone", "xxxxx" }, { "clone3", "xu" }, { "close", "d" },
	{ "close_range", "uux" }, { "connect", "dxu" }, { "copy_file_range", "dxdxux" },
	{ "creat", "so" }, { "delete_module", "sx" }, { "dup", "d" }, { "dup2", "dd" },
	{ "dup3", "ddx" }, { "epoll_create1", "x" }, { "epoll_ctl", "dddx" },
	{ "epoll_pwait", "dxddxu" }, { "epoll_wait", "dxdd" }, { "eventfd2", "ux" },
	{ "execve", "sxx" }, { "execveat", "fsxxx" }, { "exit", "d" }, { "exit_group", "d" },
	{ "faccessat", "fso" }, { "faccessat2", "fsox" }, { "fallocate", "dxuu" },
	{ "fchdir", "d" }, { "fchmod", "do" }, { "fchmodat", "fso" }, { "fchown", "ddd" },
	{ "fchownat", "fsddx" }, { "fcntl", "ddx" }, { "fdatasync", "d" }, { "flock", "dx" },
	{ "fork", "" }, { "fstat", "dx" }, { "fstatfs", "dx" }, { "fsync", "d" },
	{ "ftruncate", "du" }, { "futex", "xdxxxx" }, { "getcwd", "xu" }, { "getdents64", "dxu" },
	{ "getegid", "" }, { "geteuid", "" }, { "getgid", "" }, { "getpgid", "d" },
	{ "getpgrp", "" }, { "getpid", "" }, { "getppid", "" }, { "getrandom", "xux" },
	{ "getrlimit", "dx" }, { "getsockopt", "dddxx" }, { "gettid", "" }, { "gettimeofday", "xx" },
	{ "getuid", "" }, { "getxattr", "sxxu" }, { "inotify_add_watch", "dsx" },
	{ "ioctl", "dxx" }, { "kill", "dd" }, { "lchown", "sdd" }, { "link", "sx" },
	{ "linkat", "fsdxx" }, { "listen", "dd" }, { "lseek", "ddd" }, { "lstat", "sx" },
	{ "madvise", "xud" }, { "mkdir", "so" }, { "mkdirat", "fso" }, { "mknod", "sox" },
	{ "mknodat", "fsox" }, { "mmap", "xuxxdx" }, { "mount", "xsxxx" }, { "mprotect", "xux" },
	{ "mremap", "xuuxx" }, { "munmap", "xu" }, { "nanosleep", "xx" },
	{ "newfstatat", "fsxx" }, { "open", "sOo" }, { "openat", "fsOo" }, { "openat2", "fsxu" },
	{ "pause", "" }, { "pipe", "x" }, { "pipe2", "xO" }, { "pivot_root", "sx" },
	{ "poll", "xud" }, { "ppoll", "xuxxu" }, { "prctl", "dxxxx" }, { "pread64", "dxuu" },
	{ "preadv", "dxuu" }, { "prlimit64", "ddxx" }, { "pselect6", "dxxxxx" },
	{ "pwrite64", "dxuu" }, { "pwritev", "dxuu" }, { "read", "dxu" }, { "readlink", "sxu" },
	{ "readlinkat", "fsxu" }, { "readv", "dxu" }, { "recvfrom", "dxuxxx" },
	{ "recvmsg", "dxx" }, { "rename", "sx" }, { "renameat", "fsdx" }, { "renameat2", "fsdxx" },
	{ "rmdir", "s" }, { "rseq", "xuxx" }, { "rt_sigaction", "dxxu" },
	{ "rt_sigprocmask", "dxxu" }, { "rt_sigreturn", "" }, { "rt_sigsuspend", "xu" },
	{ "sched_yield", "" }, { "select", "dxxxx" }, { "sendfile", "ddxu" },
	{ "sendmsg", "dxx" }, { "sendto", "dxuxxu" }, { "set_robust_list", "xu" },
	{ "set_tid_address", "x" }, { "setgid", "d" }, { "setpgid", "dd" }, { "setsid", "" },
	{ "setsockopt", "dddxu" }, { "setuid", "d" }, { "setxattr", "sxxux" },
	{ "shutdown", "dd" }, { "sigaltstack", "xx" }, { "socket", "ddd" },
	{ "socketpair", "dddx" }, { "splice", "dxdxux" }, { "stat", "sx" }, { "statfs", "sx" },
	{ "statx", "fsxxx" }, { "swapoff", "s" }, { "swapon", "sx" }, { "symlink", "sx" },
	{ "symlinkat", "sdx" }, { "sync", "" }, { "sysinfo", "x" }, { "tgkill", "ddd" },
	{ "timerfd_create", "dx" }, { "timerfd_settime", "dxxx" }, { "truncate", "su" },
	{ "umask", "o" }, { "umount2", "sx" }, { "uname", "x" }, { "unlink", "s" },
	{ "unlinkat", "fsx" }, { "unshare", "x" }, { "utimensat", "fsxx" }, { "vfork", "" },
	{ "wait4", "dxxx" }, { "waitid", "ddxxx" }, { "write", "dxu" }, { "writev", "dxu" },
};

const char *syscall_name(unsigned int nr)
{
	return nr < TRACE_NRS ? names[nr] : NULL;
}

int syscall_number(const char *name)
{
	char *end;
	long nr;

	for (int i = 0; i < TRACE_NRS; i++)
		if (names[i] && !strcmp(names[i], name))
			return i;
	nr = strtol(name, &end, 10);
	return *name && !*end && nr >= 0 && nr < TRACE_NRS ? (int)nr : -1;
}

static int by_name(const void *name, const void *format)
{
	return strcmp(name, *(const char *const *)format);
}

const char *syscall_format(unsigned int nr)
{
	const char *name = syscall_name(nr), *const *found;

	if (!name)
		return "xxxxxx";
	found = bsearch(name, formats, sizeof(formats) / sizeof(formats[0]), sizeof(formats[0]),
			by_name);
	return found ? found[1] : "xxxxxx";
}

int syscall_string(unsigned int nr)
{
	const char *format = syscall_format(nr), *s = strchr(format, 's');

	return s ? (int)(s - format) + 1 : 0;
}
