// SPDX-License-Identifier: GPL-2.0-only
/*
 * sandbox.c - what a worker can still do once its plugin is open
 *
 * In this order: its io_uring is limited to I/O on fds it has (io_uring goes
 * past seccomp), no new privileges, landlock (no file by name), no
 * capabilities, seccomp. All threads get the seccomp filter; landlock and the
 * capabilities bind the calling thread and those made after it.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/portal.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker.h"

#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN	(1U << 13)
#endif

static const uint8_t uring_ops[] = {
	IORING_OP_NOP, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_READ_FIXED,
	IORING_OP_WRITE_FIXED, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT,
	IORING_OP_TIMEOUT_REMOVE, IORING_OP_ASYNC_CANCEL, IORING_OP_LINK_TIMEOUT,
	IORING_OP_FALLOCATE, IORING_OP_READ, IORING_OP_WRITE, IORING_OP_URING_CMD,
	IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_SEND, IORING_OP_RECV,
};

static const uint8_t uring_registers[] = {
	IORING_REGISTER_BUFFERS, IORING_UNREGISTER_BUFFERS, IORING_REGISTER_FILES,
	IORING_UNREGISTER_FILES, IORING_REGISTER_IOWQ_MAX_WORKERS,
};

static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction res[sizeof(uring_ops) + sizeof(uring_registers) + 1] = { 0 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < sizeof(uring_ops); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_SQE_OP;
		res[n].sqe_op = uring_ops[i];
	}
	for (unsigned int i = 0; i < sizeof(uring_registers); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		res[n].register_op = uring_registers[i];
	}
	/* flags such as IOSQE_IO_LINK do no harm */
	res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	res[n++].sqe_flags = 0xff;
	/* liburing 2.3 declares io_uring_register_restrictions() but lacks it */
	return io_uring_register(ring->ring_fd, IORING_REGISTER_RESTRICTIONS, res, n);
}

int sandbox_ring(struct io_uring *ring, unsigned int entries, enum sandbox_mode mode,
		 struct err *err)
{
	/* one thread submits and waits; completions run when it waits */
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			     IORING_SETUP_R_DISABLED;
	int ret;

	ret = io_uring_queue_init(entries, ring, flags);
	if (ret == -EINVAL)
		ret = io_uring_queue_init(entries, ring, IORING_SETUP_R_DISABLED);
	if (ret)
		return err_set(err, ret,
			       "io_uring cannot be used: %s; portald needs it (sysctl kernel.io_uring_disabled?)",
			       strerror(-ret));
	if (mode != SANDBOX_OFF) {
		ret = restrict_ring(ring);
		if (ret)
			return err_set(err, ret, "io_uring cannot be restricted: %s",
				       strerror(-ret));
	}
	ret = io_uring_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (ret)
		return err_set(err, ret, "io_uring cannot be enabled: %s", strerror(-ret));
	return 0;
}

/* No file can be opened by name any more (network: read-only, for resolv.conf). */
static void enter_landlock(enum sandbox_mode mode)
{
	const uint64_t read_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,	/* ABI 1 */
	};
	int fd;

	if (mode == SANDBOX_NETWORK)
		attr.handled_access_fs &= ~read_access;
	fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0) {
		log_debug("sandbox: this kernel has no landlock");
		return;
	}
	if (syscall(SYS_landlock_restrict_self, fd, 0))
		log_warn("sandbox: landlock_restrict_self: %m");
	close(fd);
}

static int drop_capabilities(struct err *err)
{
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		capng_clear(CAPNG_SELECT_ALL);
		if (capng_apply(CAPNG_SELECT_ALL))
			return err_set(err, -EPERM, "sandbox: capabilities cannot be dropped");
	} else {
		capng_clear(CAPNG_SELECT_CAPS);
		if (capng_apply(CAPNG_SELECT_CAPS))
			return err_set(err, -EPERM, "sandbox: capabilities cannot be dropped");
	}
	return 0;
}

static const char *const syscalls[] = {
	/* I/O on what is open */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
	"preadv2", "pwritev2", "close", "fsync", "fdatasync", "sync_file_range", "fallocate",
	"ftruncate", "lseek", "fstat", "newfstatat", "statx", "copy_file_range", "fcntl",
	"dup", "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "eventfd2", "pipe2", "timerfd_create",
	"timerfd_settime", "timerfd_gettime", "recvmsg", "sendmsg", "recvfrom", "sendto",
	"shutdown", "io_uring_enter", "io_uring_register",
	/* memory, threads, time */
	"mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "brk", "futex",
	"set_robust_list", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"sigaltstack", "gettid", "getpid", "tgkill", "exit", "exit_group", "restart_syscall",
	"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday",
	"time", "getrandom", "sched_yield", "sched_getaffinity", "getcpu", "membarrier",
	"uname", "sysinfo", "getrusage", "times",
};

static const char *const network_syscalls[] = {
	"socket", "socketpair", "connect", "bind", "getsockopt", "setsockopt",
	"getsockname", "getpeername", "recvmmsg", "sendmmsg", "accept4", "getuid", "geteuid",
	"getgid", "getegid", "access", "readlink",
};

static const unsigned long ioctls[] = {
	BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKROGET, BLKDISCARD, BLKZEROOUT, BLKSECDISCARD,
	BLKFLSBUF,
};

static int allow(scmp_filter_ctx ctx, const char *const *names, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		int sys = seccomp_syscall_resolve_name(names[i]);

		if (sys == __NR_SCMP_ERROR)
			continue;	/* newer than this libseccomp: stays forbidden */
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, sys, 0))
			return -EINVAL;
	}
	return 0;
}

static int allow_with_arguments(scmp_filter_ctx ctx, enum sandbox_mode mode)
{
	int ret;

	/* any ioctl of portal, by its magic number */
	ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, PORTAL_IOC_MAGIC << 8));
	for (size_t i = 0; !ret && i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	/* threads, not processes; glibc tries clone3, whose flags nobody can see */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				       SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	if (!ret && mode == SANDBOX_NETWORK)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
	return ret;
}

static int enter_seccomp(enum sandbox_mode mode, struct err *err)
{
	/* an error, not death: a plugin that asks for too much can say so */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int ret;

	if (!ctx)
		return err_set(err, -ENOMEM, "sandbox: no seccomp filter");
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret)
		ret = allow(ctx, syscalls, sizeof(syscalls) / sizeof(syscalls[0]));
	if (!ret && mode == SANDBOX_NETWORK)
		ret = allow(ctx, network_syscalls,
			    sizeof(network_syscalls) / sizeof(network_syscalls[0]));
	if (!ret)
		ret = allow_with_arguments(ctx, mode);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret)
		return err_set(err, ret,
			       "sandbox: seccomp: %s; 'sandbox = off' in its section runs it without",
			       strerror(-ret));
	return 0;
}

int sandbox_enter(enum sandbox_mode mode, struct err *err)
{
	int ret;

	/* reclaim must not wait for us, who write back; needs CAP_SYS_RESOURCE */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(err, -errno, "sandbox: no_new_privs: %m");
	if (mode == SANDBOX_OFF) {
		log_warn("runs without a sandbox ('sandbox = off')");
		return 0;
	}
	enter_landlock(mode);
	ret = drop_capabilities(err);
	return ret ? ret : enter_seccomp(mode, err);
}
