/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * node_ioctl.h - ioctls of the file that node_ops serves to e2e-node
 */
#ifndef E2E_NODE_IOCTL_H
#define E2E_NODE_IOCTL_H

#define NODE_ADD_ONE	0x7001	/* returns the argument and 1 */
#define NODE_NAME	0x7002	/* writes "node_ops" at the argument */
#define NODE_LOOK	0x7003	/* 1: "from the guest" is in its memory at the argument */
#define NODE_NEVER	0x7004	/* has no answer */

#endif /* E2E_NODE_IOCTL_H */
