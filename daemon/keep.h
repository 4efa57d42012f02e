/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keep.h - file descriptors that outlive the supervisor
 *
 * An attachment is a few fds. Somebody else has a copy of them: systemd (its
 * file descriptor store, sd_notify(3)), or a process of our own, the keeper,
 * which is told in the same words. Both give them to the next portald.
 */
#ifndef PORTALD_KEEP_H
#define PORTALD_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#define KEEP_NAME_MAX	63
#define KEEP_FDS_MAX	16384
/* what the keeper says when it has given all it has */
#define KEEP_END	"END=1"

enum keep_mode {
	KEEP_PROCESS,		/* the keeper */
	KEEP_SYSTEMD,
	KEEP_NO,
};

struct keep;

/*
 * Takes what systemd passes; *listen_fd is a socket of a .socket unit, 0 none.
 * Before anything else opens fds.
 */
int keep_create(enum keep_mode mode, struct keep **keep, int *listen_fd);
/* Finds the keeper that an earlier portald left at @path, if there is one. */
void keep_connect(struct keep *k, const char *path, uint32_t seconds);
/* Nothing of it is kept any more, unless @leave. */
void keep_destroy(struct keep *k, bool leave);
/* To be watched for EPOLLIN, then keep_look(); -1: nothing to watch. */
int keep_fd(const struct keep *k);
/* true: the keeper is gone */
bool keep_look(struct keep *k);

/* 0 or -errno: it is not kept */
int keep_add(struct keep *k, const char *name, int fd);
void keep_remove(struct keep *k, const char *name);
/* Returns when all that was added is safe. */
void keep_sync(struct keep *k);

/* An fd of an earlier portald, the caller's then; -ENOENT. */
int keep_take(struct keep *k, const char *name);
/* The first one left whose name ends in @suffix; NULL. */
const char *keep_search(const struct keep *k, const char *suffix);
/* They are of no use, taken or not: nobody keeps them any more. */
void keep_discard(struct keep *k, const char *prefix);
/* The same with all that were not taken. */
void keep_discard_rest(struct keep *k);

enum keep_mode keep_mode(const struct keep *k);

/* keeper.c: `portald --keeper`; returns the exit status */
int keeper_main(void);

#endif /* PORTALD_KEEP_H */
