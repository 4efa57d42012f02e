// SPDX-License-Identifier: GPL-2.0-only
/* A parked uring_cmd can be cancelled since 6.7. */
#if __has_include(<linux/io_uring/cmd.h>)
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

unsigned int portal_conftest(struct io_uring_cmd *cmd, unsigned int issue_flags);

unsigned int portal_conftest(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	return issue_flags & IO_URING_F_CANCEL;
}
