// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs.c - what the module counts: /sys/kernel/debug/portal/VM/CLIENT/
 *
 * One "name value" a line; of a histogram, "name.from count" for each power of
 * two that has any, and "name.sum". debugfs keeps an object while its file is
 * read: its remover waits, often with portal_client.lock held, so no reader
 * takes a mutex.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "portal.h"

static struct dentry *portal_root;

static void show_u64(struct seq_file *m, const char *name, u64 val)
{
	seq_printf(m, "%s %llu\n", name, val);
}

static void show_count(struct seq_file *m, const char *name, const atomic64_t *count)
{
	show_u64(m, name, atomic64_read(count));
}

static void show_hist(struct seq_file *m, const char *name, const struct portal_hist *hist)
{
	unsigned int i;

	for (i = 0; i < PORTAL_HIST_BUCKETS; i++)
		if (hist->nr[i])
			seq_printf(m, "%s.%llu %llu\n", name, i ? BIT_ULL(i - 1) : 0,
				   hist->nr[i]);
	seq_printf(m, "%s.sum %llu\n", name, hist->sum);
}

/* vCPUs add to theirs at any time */
static void hist_sum(struct portal_hist *sum, const struct portal_hist *hist)
{
	unsigned int i;

	for (i = 0; i < PORTAL_HIST_BUCKETS; i++)
		sum->nr[i] += READ_ONCE(hist->nr[i]);
	sum->sum += READ_ONCE(hist->sum);
}

static int vm_show(struct seq_file *m, void *unused)
{
	struct portal_vm *vm = m->private;
	struct portal_stats *s = &vm->stats;
	struct portal_hist parked = { };
	struct portal_vcpu *pv;
	unsigned long i;

	show_u64(m, "pid", vm->pid);
	show_count(m, "hellos", &s->hellos);
	show_count(m, "hypercalls", &s->hypercalls);
	show_count(m, "calls", &s->calls);
	show_count(m, "posted", &s->posted);
	show_count(m, "restarts", &s->restarts);
	show_count(m, "timeouts", &s->timeouts);
	show_count(m, "dropped", &s->dropped);
	show_count(m, "shadow_reads", &s->shadow_reads);
	show_count(m, "wakeups", &s->wakeups);
	show_count(m, "filtered", &s->filtered);
	show_count(m, "merged", &s->merged);
	show_count(m, "held", &s->held);
	show_count(m, "limited", &s->limited);
	/* a vCPU's state lives as long as the VM */
	xa_for_each(&vm->vcpus, i, pv)
		hist_sum(&parked, &pv->parked);
	show_hist(m, "parked_ns", &parked);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vm);

/* "queue id", or of a set of queues "queue.number id" for each. */
static void show_target(struct seq_file *m, struct portal_vm *vm, struct portal_target *t)
{
	struct portal_target_stats *s = &t->stats;
	struct portal_hist latency;
	u32 i;

	spin_lock(&vm->lock);
	latency = s->latency;
	spin_unlock(&vm->lock);
	if (t->nr_routes == 1)
		show_u64(m, "queue", t->routes[0].queue->id);
	for (i = 0; t->nr_routes > 1 && i < t->nr_routes; i++)
		seq_printf(m, "queue.%u %u\n", i, t->routes[i].queue->id);
	show_count(m, "hits", &s->hits);
	show_count(m, "filtered", &s->filtered);
	show_count(m, "passed", &s->passed);
	show_count(m, "ignored", &s->ignored);
	show_count(m, "calls", &s->calls);
	show_count(m, "posted", &s->posted);
	show_count(m, "merged", &s->merged);
	show_count(m, "dropped", &s->dropped);
	show_count(m, "shadow_reads", &s->shadow_reads);
	show_count(m, "held", &s->held);
	show_count(m, "limited", &s->limited);
	show_count(m, "timeouts", &s->timeouts);
	show_hist(m, "latency_ns", &latency);
}

static int hook_show(struct seq_file *m, void *unused)
{
	struct portal_hook *hook = m->private;

	show_u64(m, "first", hook->first);
	show_u64(m, "last", hook->last);
	show_target(m, hook->client->vm, &hook->t);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hook);

static int region_show(struct seq_file *m, void *unused)
{
	struct portal_region *region = m->private;

	show_u64(m, "bus", region->bus_nr);
	show_u64(m, "gpa", region->gpa);
	show_u64(m, "len", region->len);
	show_target(m, region->client->vm, &region->t);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(region);

static int queue_show(struct seq_file *m, void *unused)
{
	struct portal_hist taken, answered;
	struct portal_queue *queue = m->private;
	u64 pending, requests, dropped, wakeups, replies, stale;
	u32 backlog, epoch;
	bool owned;

	spin_lock(&queue->lock);
	portal_ring_head(queue);
	pending = queue->tail - queue->head;
	backlog = queue->backlog;
	epoch = queue->epoch;
	owned = queue->owned;
	requests = queue->nr_requests;
	dropped = queue->nr_dropped;
	wakeups = queue->nr_wakeups;
	replies = queue->nr_replies;
	stale = queue->nr_stale;
	taken = queue->taken_ns;
	answered = queue->answered_ns;
	spin_unlock(&queue->lock);
	show_u64(m, "entries", queue->entries);
	show_u64(m, "pending", pending);
	show_u64(m, "backlog", backlog);
	show_u64(m, "epoch", epoch);
	show_u64(m, "owned", owned);
	show_u64(m, "requests", requests);
	show_u64(m, "dropped", dropped);
	show_u64(m, "wakeups", wakeups);
	show_u64(m, "replies", replies);
	show_u64(m, "stale", stale);
	show_hist(m, "taken_ns", &taken);
	show_hist(m, "answered_ns", &answered);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(queue);

static struct dentry *numbered_dir(u32 nr, struct dentry *parent)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", nr);
	return debugfs_create_dir(name, parent);
}

static void numbered_file(struct portal_client *client, const char *what, u32 id, void *obj,
			  const struct file_operations *fops)
{
	char name[24];

	lockdep_assert_held(&client->lock);
	if (!client->debugfs)
		return;
	snprintf(name, sizeof(name), "%s%u", what, id);
	debugfs_create_file(name, 0400, client->debugfs, obj, fops);
}

/* Whatever cannot be made is left out: nothing depends on debugfs. */

void portal_debugfs_hook(struct portal_hook *hook)
{
	numbered_file(hook->client, "hook", hook->t.id, hook, &hook_fops);
}

void portal_debugfs_region(struct portal_region *region)
{
	numbered_file(region->client, "region", region->t.id, region, &region_fops);
}

void portal_debugfs_queue(struct portal_queue *queue)
{
	numbered_file(queue->client, "queue", queue->id, queue, &queue_fops);
}

/**
 * portal_debugfs_del - nobody reads the file any more
 * @client: whose, its lock held
 * @what: "hook", "region" or "queue"
 * @id: of it
 */
void portal_debugfs_del(struct portal_client *client, const char *what, u32 id)
{
	char name[24];

	lockdep_assert_held(&client->lock);
	if (!client->debugfs)
		return;
	snprintf(name, sizeof(name), "%s%u", what, id);
	debugfs_lookup_and_remove(name, client->debugfs);
}

void portal_debugfs_client(struct portal_client *client)
{
	struct dentry *dir = numbered_dir(client->id, client->vm->debugfs);

	client->debugfs = IS_ERR(dir) ? NULL : dir;
}

/**
 * portal_debugfs_client_del - nobody reads a file of the client any more
 * @client: alone, or its lock held; safe to repeat
 */
void portal_debugfs_client_del(struct portal_client *client)
{
	struct dentry *dir = client->debugfs;

	client->debugfs = NULL;
	debugfs_remove(dir);
}

void portal_debugfs_vm(struct portal_vm *vm)
{
	vm->debugfs = numbered_dir(vm->id, portal_root);
	debugfs_create_file("stats", 0400, vm->debugfs, vm, &vm_fops);
}

void portal_debugfs_init(void)
{
	portal_root = debugfs_create_dir("portal", NULL);
}

void portal_debugfs_exit(void)
{
	debugfs_remove(portal_root);
}
