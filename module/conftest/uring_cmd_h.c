// SPDX-License-Identifier: GPL-2.0-only
/* struct io_uring_cmd moved in 6.8. (sparse knows no __has_include.) */
#include <linux/io_uring/cmd.h>

int portal_conftest(const struct io_uring_cmd *cmd);

int portal_conftest(const struct io_uring_cmd *cmd)
{
	return cmd->cmd_op;
}
