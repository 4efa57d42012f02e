// SPDX-License-Identifier: GPL-2.0-only
/*
 * spawn.c - a new worker process: this program again, with a clean state
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon.h"

static _Noreturn void child(int sock)
{
	char *argv[] = { "portald", "--worker", NULL };
	sigset_t none;
	int null;

	/* the supervisor has blocked what it reads from its event loop */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* the worker asks for it again: exec of a binary with capabilities clears it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (sock == CHAN_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, CHAN_FD) < 0)
		_exit(127);
	unsetenv("NOTIFY_SOCKET");	/* readiness and watchdog are the supervisor's */
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	execv("/proc/self/exe", argv);
	_exit(127);
}

int spawn_worker(pid_t *pid, int *chan)
{
	int fds[2], ret;

	ret = chan_pair(fds);
	if (ret)
		return ret;
	*pid = fork();
	if (*pid < 0) {
		ret = -errno;
		close(fds[0]);
		close(fds[1]);
		return ret;
	}
	if (!*pid)
		child(fds[1]);
	close(fds[1]);
	*chan = fds[0];
	return 0;
}
