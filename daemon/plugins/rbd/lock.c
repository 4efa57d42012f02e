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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include "disk.h"

#define NOTE	"portald.owner"
/* of all locks that librbd itself takes */
#define OUR_TAG	"internal"

struct owner {
	char client[128];
	char cookie[128];
	char addr[128];
	char tag[64];
};

/* 1: *o has the lock, 0: nobody, or -errno. */
static int find_owner(struct rbd_disk *disk, struct owner *o)
{
	size_t tag = sizeof(o->tag), client = sizeof(o->client);
	size_t cookie = sizeof(o->cookie), addr = sizeof(o->addr);
	int exclusive;
	ssize_t n;

	memset(o, 0, sizeof(*o));
	n = rbd_list_lockers(disk->img, &exclusive, o->tag, &tag, o->client, &client,
			     o->cookie, &cookie, o->addr, &addr);
	if (n == -ERANGE)
		return 1;		/* many, of a shared lock */
	return n > 0 ? 1 : (int)n;
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
	char note[400], boot[64], *me[1];
	rbd_lock_mode_t mode;
	size_t n = 1;
	/* the lockers that librbd lists are those of when the image was opened */
	int err = rbd_lock_get_owners(disk->img, &mode, me, &n);

	if (!err) {
		if (boot_id(boot, sizeof(boot)))
			strcpy(boot, "?");
		snprintf(note, sizeof(note), "%s %s %llu %d %llu", me[0], boot, pid_namespace(),
			 (int)getpid(), start_of(getpid()));
		rbd_lock_get_owners_cleanup(me, n);
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
	return keeper_fails(disk, "is in use: %s at %s has the lock%s%s; use it once, or with readonly=on; if that client is dead its lock falls within a minute",
			    o->client, o->addr, strcmp(o->tag, OUR_TAG) ? " " : "",
			    strcmp(o->tag, OUR_TAG) ? o->cookie : "");
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

int lock_take(struct rbd_disk *disk)
{
	uint64_t features;
	struct owner o;
	int err = rbd_get_features(disk->img, &features);

	if (!err && !(features & RBD_FEATURE_EXCLUSIVE_LOCK))
		return keeper_fails(disk, "the image has no exclusive-lock; enable it (rbd feature enable %s exclusive-lock), or set lock=off if nobody else writes to it",
				    disk->name);
	if (!err)
		err = find_owner(disk, &o);
	if (err < 0)
		return keeper_fails(disk, "who has its lock cannot be asked: %s", strerror(-err));
	if (err) {
		bool dead = is_dead(disk, &o);

		/*
		 * Acquiring would wait for whoever locked it by hand, and take it
		 * from a client that is only polite.
		 */
		if (strcmp(o.tag, OUR_TAG) || (!dead && is_watched_by(disk, &o)))
			return in_use(disk, &o);
		if (dead && break_lock(disk, &o))
			return -1;
	}
	err = rbd_lock_acquire(disk->img, RBD_LOCK_MODE_EXCLUSIVE);
	if (err)
		return acquire_fails(disk, err);
	leave_note(disk);
	return 0;
}
