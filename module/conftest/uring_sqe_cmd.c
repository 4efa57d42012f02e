// SPDX-License-Identifier: GPL-2.0-only
/* io_uring_cmd.cmd became io_uring_sqe_cmd() in 6.5. */
#if __has_include(<linux/io_uring/cmd.h>)
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

const void *portal_conftest(struct io_uring_cmd *cmd);

const void *portal_conftest(struct io_uring_cmd *cmd)
{
	return io_uring_sqe_cmd(cmd->sqe);
}
