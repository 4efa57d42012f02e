// SPDX-License-Identifier: GPL-2.0-only
/*
 * lock.c - the image's exclusive lock
 *
 * Ceph knows who has it by an address; it misses a dead client after 30 s. To
 * go on at once after a worker's death, each owner leaves a note in the image's
 * metadata: address, boot, pid namespace, pid and its start. Who finds that such a
 * process of this boot is no more breaks its lock, and by that the cluster
 * refuses whatever of it is still under way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "disk.h"

#define NOTE	"portald.owner"
/* so long an owner may take to close it, such as the worker before */
#define WAIT_MS	100
#define TRIES	20

struct owner {
	char client[128];
	char cookie[128];
	char addr[128];
	bool by_hand;		/* not by librbd, which gives way to no such lock */
};

/* What the image's lockers were when it was opened, or refreshed since. */
static void add_details(struct rbd_disk *disk, struct owner *o)
{
	char client[128], cookie[128], addr[128], tag[64];
	size_t n[] = { sizeof(client), sizeof(cookie), sizeof(addr), sizeof(tag) };
	int exclusive;

	strcpy(o->client, "a client");
	if (rbd_list_lockers(disk->img, &exclusive, tag, &n[3], client, &n[0], cookie, &n[1],
			     addr, &n[2]) != 1)
		return;
	if (o->by_hand)
		strcpy(o->addr, addr);
	if (strcmp(o->addr, addr))
		return;
	strcpy(o->client, client);
	strcpy(o->cookie, cookie);
}

/* 1: *o has the lock, 0: nobody, or -errno. */
static int find_owner(struct rbd_disk *disk, struct owner *o)
{
	rbd_lock_mode_t mode;
	char *owner[1];
	size_t n = 1;
	int err = rbd_lock_get_owners(disk->img, &mode, owner, &n);

	memset(o, 0, sizeof(*o));
	if (err == -ENOENT)
		return 0;
	if (err && err != -EBUSY)
		return err;
	o->by_hand = err;
	if (!err) {
		snprintf(o->addr, sizeof(o->addr), "%s", owner[0]);
		rbd_lock_get_owners_cleanup(owner, n);
	}
	add_details(disk, o);
	return 1;
}

/* ---- the note ----------------------------------------------------------------- */

/* When a process began, in ticks since boot; 0: there is none, or it is dead. */
static unsigned long long start_of(long pid)
{
	unsigned long long start = 0;
	char path[64], line[1024], state = 'X', *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* its name, in brackets, may have blanks and brackets */
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (p && sscanf(p + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			&state, &start) != 2)
		start = 0;
	fclose(f);
	return state == 'Z' || state == 'X' ? 0 : start;
}

static int boot_id(char *buf, size_t len)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char *p = f ? fgets(buf, (int)len, f) : NULL;

	if (f)
		fclose(f);
	if (!p)
		return -1;
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static unsigned long long pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (unsigned long long)st.st_ino;
}

static void leave_note(struct rbd_disk *disk)
{
	char note[400], boot[64];
	struct owner me;
	int err = find_owner(disk, &me);

	if (err == 1) {
		if (boot_id(boot, sizeof(boot)))
			strcpy(boot, "?");
		snprintf(note, sizeof(note), "%s %s %llu %d %llu", me.addr, boot, pid_namespace(),
			 (int)getpid(), start_of(getpid()));
		err = rbd_metadata_set(disk->img, NOTE, note);
	}
	if (err)
		rbd_api->log(LOG_WARNING, "%s: metadata %s cannot be set: %s; if this worker dies, the next one waits for its lock",
			     disk->name, NOTE, strerror(-err));
}

/* Is it a process of ours, and dead? */
static bool is_dead(struct rbd_disk *disk, const struct owner *o)
{
	char note[400], addr[128], boot[64], here[64];
	unsigned long long ns, start;
	size_t len = sizeof(note) - 1;
	long pid;

	memset(note, 0, sizeof(note));
	if (rbd_metadata_get(disk->img, NOTE, note, &len) ||
	    sscanf(note, "%127s %63s %llu %ld %llu", addr, boot, &ns, &pid, &start) != 5)
		return false;
	if (strcmp(addr, o->addr) || boot_id(here, sizeof(here)) || strcmp(boot, here) ||
	    !ns || ns != pid_namespace() || pid <= 0)
		return false;
	return start_of(pid) != start;
}

/* ---- the lock ----------------------------------------------------------------- */

/* Its owner has the image open, as far as the cluster knows. */
static bool is_watched_by(struct rbd_disk *disk, const struct owner *o)
{
	rbd_image_watcher_t watchers[64];
	size_t n = 64;
	bool found = false;

	if (rbd_watchers_list(disk->img, watchers, &n))
		return true;
	for (size_t i = 0; i < n; i++)
		found = found || !strcmp(watchers[i].addr, o->addr);
	rbd_watchers_list_cleanup(watchers, n);
	return found;
}

static int in_use(struct rbd_disk *disk, const struct owner *o)
{
	if (o->by_hand)
		return keeper_fails(disk, "is locked by hand: '%s', by %s at %s (rbd lock ls); use it with readonly=on, or remove that lock",
				    o->cookie, o->client, o->addr);
	return keeper_fails(disk, "is in use: %s at %s has its lock; use it once, or with readonly=on; if that client is dead its lock falls within a minute",
			    o->client, o->addr);
}

static int break_lock(struct rbd_disk *disk, const struct owner *o)
{
	int err = rbd_lock_break(disk->img, RBD_LOCK_MODE_EXCLUSIVE, o->addr);

	if (!err || err == -ENOENT) {
		rbd_api->log(LOG_NOTICE, "%s: took the lock of %s at %s, a process of this host that is dead",
			     disk->name, o->client, o->addr);
		return 0;
	}
	return keeper_fails(disk, "the lock of %s at %s, a process of this host that is dead, cannot be broken: %s",
			    o->client, o->addr, strerror(-err));
}

static int acquire_fails(struct rbd_disk *disk, int err)
{
	struct owner o;

	if (find_owner(disk, &o) == 1)
		return in_use(disk, &o);
	return keeper_fails(disk, "cannot be locked: %s; client.%s needs the capabilities mon 'profile rbd', osd 'profile rbd pool=%s'",
			    strerror(-err), disk->opts.id, disk->opts.pool);
}

/* The lock of *@o: 1: can be taken, 0: not yet, -1: no. */
static int judge(struct rbd_disk *disk, const struct owner *o)
{
	if (o->by_hand)
		return in_use(disk, o);
	if (is_dead(disk, o))
		return break_lock(disk, o) ? -1 : 1;
	/*
	 * librbd breaks the lock of one who has not even the image open; it would
	 * take it from any other who is only polite.
	 */
	return !is_watched_by(disk, o);
}

int lock_take(struct rbd_disk *disk)
{
	struct timespec ts = { .tv_nsec = WAIT_MS * 1000000L };
	unsigned int tries = disk->opts.connect < 4 ? disk->opts.connect * TRIES / 4 : TRIES;
	uint64_t features;
	struct owner o;
	int err = rbd_get_features(disk->img, &features);

	if (!err && !(features & RBD_FEATURE_EXCLUSIVE_LOCK))
		return keeper_fails(disk, "the image has no exclusive-lock; enable it (rbd feature enable %s exclusive-lock), or set lock=off if nobody else writes to it",
				    disk->name);
	while (!err && (err = find_owner(disk, &o)) == 1) {
		err = judge(disk, &o);
		if (err < 0)
			return -1;
		if (err)
			break;
		if (!tries--)
			return in_use(disk, &o);
		nanosleep(&ts, NULL);
	}
	if (err < 0)
		return keeper_fails(disk, "who has its lock cannot be asked: %s", strerror(-err));
	err = rbd_lock_acquire(disk->img, RBD_LOCK_MODE_EXCLUSIVE);
	if (err)
		return acquire_fails(disk, err);
	leave_note(disk);
	return 0;
}
