// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_chan.c - memory shared with a plugin, and the rings in it
 *
 * See portal_channel.h. One work item per channel asks the host, takes what it
 * published, and lets agent.c execute it. It is queued by the host's interrupt
 * and by each answer, and runs once more if that happens while it runs: no
 * command and no answer is left behind.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": agent: " fmt

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "agent.h"
#include "guest.h"

#define ENTRIES		128
/* largest piece of the data region that is tried first */
#define MAX_CHUNK_ORDER	8
/* of the ring of events; less if there is no such piece of memory */
#define EVENTS		SZ_256K

static unsigned int agent_mem = 4;
module_param(agent_mem, uint, 0444);
MODULE_PARM_DESC(agent_mem, "MiB of memory shared with each plugin that sends commands, 1 to 64 (default: 4)");

/* Read by the event interrupt, written by the scan. */
static LIST_HEAD(chans);

/* ---- memory ------------------------------------------------------------------- */

static void free_data(struct agent_chan *chan)
{
	unsigned int i;

	vunmap(chan->data);
	chan->data = NULL;
	for (i = 0; i < chan->nr_pages; i += 1U << chan->chunk_order)
		__free_pages(chan->pages[i], chan->chunk_order);
	chan->nr_pages = 0;
}

static int alloc_chunks(struct agent_chan *chan, unsigned int order)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | (order ? __GFP_NORETRY | __GFP_NOWARN : 0);
	unsigned int want = chan->data_len >> PAGE_SHIFT, i;
	struct page *page;

	chan->chunk_order = order;
	while (chan->nr_pages < want) {
		page = alloc_pages(gfp, order);
		if (!page) {
			free_data(chan);
			return -ENOMEM;
		}
		for (i = 0; i < 1U << order; i++)
			chan->pages[chan->nr_pages++] = page + i;
	}
	return 0;
}

/* In pieces as large as there are, so that the host sees long runs of bytes. */
static int alloc_data(struct agent_chan *chan)
{
	unsigned int order = MAX_CHUNK_ORDER;
	int ret;

	while ((ret = alloc_chunks(chan, order)) && order &&
	       (chan->data_len >> PAGE_SHIFT >> (order - 1)) <= PORTAL_CHANNEL_CHUNKS)
		order--;
	if (ret)
		return ret;
	chan->data = vmap(chan->pages, chan->nr_pages, VM_MAP, PAGE_KERNEL);
	if (!chan->data) {
		free_data(chan);
		return -ENOMEM;
	}
	return 0;
}

/* @len bytes, and the ring of events behind them, which may be less or not there. */
static void *alloc_region(struct agent_chan *chan, size_t len)
{
	const u64 tell = BIT_ULL(PORTAL_CLASS_HOOK) | BIT_ULL(PORTAL_CLASS_NODE);
	u32 ev_len = agent_classes() & tell ? EVENTS : 0;
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	void *region;

	for (; ev_len >= PORTAL_CHANNEL_MIN_EVENTS; ev_len /= 2) {
		region = alloc_pages_exact(len + ev_len, gfp | __GFP_NORETRY | __GFP_NOWARN);
		if (region) {
			chan->len = len + ev_len;
			chan->ev_len = ev_len;
			chan->events = region + len;
			return region;
		}
	}
	chan->len = len;
	return alloc_pages_exact(len, gfp);
}

static int alloc_head(struct agent_chan *chan)
{
	u32 nr_chunks = chan->nr_pages >> chan->chunk_order;
	struct portal_channel *head;
	u64 *table;
	u32 i;
	u32 rest = PAGE_ALIGN(sizeof(*head) + nr_chunks * sizeof(u64) +
			      ENTRIES * (sizeof(struct portal_cmd) +
					 sizeof(struct portal_cmd_done)));

	head = alloc_region(chan, rest);
	if (!head)
		return -ENOMEM;
	head->magic = PORTAL_CHANNEL_MAGIC;
	head->version = PORTAL_CHANNEL_VERSION;
	head->len = chan->len;
	head->count = 1;
	head->abi_hash = PORTAL_CMD_ABI_HASH;
	head->classes = agent_classes();
	head->data_len = chan->data_len;
	head->chunk_len = PAGE_SIZE << chan->chunk_order;
	head->nr_chunks = nr_chunks;
	head->sq_off = sizeof(*head);
	head->sq_entries = ENTRIES;
	head->cq_off = head->sq_off + ENTRIES * sizeof(struct portal_cmd);
	head->cq_entries = ENTRIES;
	head->chunks_off = head->cq_off + ENTRIES * sizeof(struct portal_cmd_done);
	head->ev_off = chan->ev_len ? rest : 0;
	head->ev_len = chan->ev_len;
	table = (void *)head + head->chunks_off;
	for (i = 0; i < nr_chunks; i++)
		table[i] = page_to_phys(chan->pages[i << chan->chunk_order]);
	chan->head = head;
	return 0;
}

static void chan_free(struct agent_chan *chan)
{
	if (chan->head)
		free_pages_exact(chan->head, chan->len);
	free_data(chan);
	kvfree(chan->pages);
	idr_destroy(&chan->files);
	kfree(chan);
}

/* ---- rings -------------------------------------------------------------------- */

static struct portal_cmd *sq_entry(struct agent_chan *chan, u32 index)
{
	struct portal_cmd *ring = (void *)chan->head + sizeof(*chan->head);

	return &ring[index % ENTRIES];
}

static struct portal_cmd_done *cq_entry(struct agent_chan *chan, u32 index)
{
	struct portal_cmd_done *ring = (void *)sq_entry(chan, 0) +
				       ENTRIES * sizeof(struct portal_cmd);

	return &ring[index % ENTRIES];
}

/**
 * agent_chan_done() - publish an answer, and tell the host
 * @chan: where the command came from
 * @epoch: of the host's worker that sent it: nobody else gets the answer
 * @done: the answer
 */
void agent_chan_done(struct agent_chan *chan, u32 epoch, const struct portal_cmd_done *done)
{
	spin_lock(&chan->lock);
	if (epoch == chan->epoch && !chan->stopping) {
		/* A host that keeps to its credits leaves room. */
		if (chan->cq_tail - READ_ONCE(chan->head->cq_head) < ENTRIES) {
			*cq_entry(chan, chan->cq_tail) = *done;
			smp_store_release(&chan->head->cq_tail, ++chan->cq_tail);
		} else {
			pr_warn_once("the host takes no answers\n");
		}
		queue_work(portal_wq, &chan->sync_work);
	}
	spin_unlock(&chan->lock);
}

/* Another worker: nothing of the last one's may reach it. */
static void chan_reset(struct agent_chan *chan, u32 epoch)
{
	spin_lock(&chan->lock);
	chan->epoch = 0;
	spin_unlock(&chan->lock);
	agent_cancel_all(chan);
	agent_hook_del_all(chan);
	agent_node_del_all(chan);
	agent_file_close_all(chan);
	agent_net_del_all(chan);

	spin_lock(&chan->lock);
	chan->sq_head = 0;
	chan->cq_tail = 0;
	chan->ev_tail = 0;
	WRITE_ONCE(chan->head->sq_head, 0);
	WRITE_ONCE(chan->head->cq_tail, 0);
	WRITE_ONCE(chan->head->ev_tail, 0);
	chan->epoch = epoch;
	spin_unlock(&chan->lock);
}

static void take_commands(struct agent_chan *chan)
{
	u32 tail = smp_load_acquire(&chan->head->sq_tail);
	struct portal_cmd req;

	if (tail - chan->sq_head > ENTRIES) {
		pr_warn_once("the host's ring is broken\n");
		return;
	}
	while (chan->sq_head != tail) {
		/* One copy: the host may write it again at any time. */
		req = *(volatile struct portal_cmd *)sq_entry(chan, chan->sq_head);
		chan->sq_head++;
		agent_start(chan, &req);
	}
	WRITE_ONCE(chan->head->sq_head, chan->sq_head);
}

static bool is_busy(s64 error)
{
	return error == -EBUSY || error == -EINTR || error == -ETIME;
}

static void sync_work(struct work_struct *work)
{
	struct agent_chan *chan = container_of(work, struct agent_chan, sync_work);
	s64 value;

	if (READ_ONCE(chan->stopping))
		return;
	agent_event_sync(chan);
	value = portal_guest_call(chan->slot, PORTAL_FN_SYNC, chan->epoch, 0, 0, 0);
	if (value < 0) {
		/* Nobody takes events: whoever comes next has another epoch. */
		if (!is_busy(value) && agent_hook_del_all(chan) + agent_node_del_all(chan))
			pr_notice("the host is gone, and its hooks and files\n");
		return;
	}
	if (value & PORTAL_SYNC_RESET) {
		chan_reset(chan, lower_32_bits(value));
		queue_work(portal_wq, &chan->sync_work);
		return;
	}
	take_commands(chan);
}

/**
 * portal_channel_event() - the host may have something for a channel
 *
 * Context: Any.
 */
void portal_channel_event(void)
{
	struct agent_chan *chan;

	rcu_read_lock();
	list_for_each_entry_rcu(chan, &chans, node)
		queue_work(portal_wq, &chan->sync_work);
	rcu_read_unlock();
}

/* ---- slot --------------------------------------------------------------------- */

static int channel_place(struct portal_slot *slot, u64 *gpa)
{
	struct agent_chan *chan = kzalloc(sizeof(*chan), GFP_KERNEL);
	int ret;

	if (!chan)
		return -ENOMEM;
	chan->slot = slot->nr;
	chan->data_len = clamp(agent_mem, 1U, 64U) * SZ_1M;
	spin_lock_init(&chan->lock);
	INIT_LIST_HEAD(&chan->cmds);
	init_waitqueue_head(&chan->idle);
	mutex_init(&chan->files_lock);
	idr_init(&chan->files);
	INIT_WORK(&chan->sync_work, sync_work);
	agent_event_init(chan);
	chan->pages = kvmalloc_array(chan->data_len >> PAGE_SHIFT, sizeof(*chan->pages),
				     GFP_KERNEL);
	ret = chan->pages ? alloc_data(chan) : -ENOMEM;
	if (!ret)
		ret = alloc_head(chan);
	if (ret) {
		chan_free(chan);
		return ret;
	}
	slot->chan = chan;
	*gpa = virt_to_phys(chan->head);
	return 0;
}

static int channel_add(struct portal_slot *slot)
{
	struct agent_chan *chan = slot->chan;

	list_add_rcu(&chan->node, &chans);
	/* What was sent before the interrupt was ours. */
	queue_work(portal_wq, &chan->sync_work);
	return 0;
}

static void channel_del(struct portal_slot *slot, bool answers)
{
	struct agent_chan *chan = slot->chan;

	list_del_rcu(&chan->node);
	synchronize_rcu();
	spin_lock(&chan->lock);
	chan->stopping = true;
	spin_unlock(&chan->lock);
	cancel_work_sync(&chan->sync_work);
	agent_cancel_all(chan);
	agent_hook_del_all(chan);
	agent_node_del_all(chan);
	/* The last events may have asked for a SYNC. */
	agent_event_stop(chan);
	cancel_work_sync(&chan->sync_work);
	agent_file_close_all(chan);
	agent_net_del_all(chan);
}

static void channel_displace(struct portal_slot *slot, bool lost)
{
	struct agent_chan *chan = slot->chan;

	slot->chan = NULL;
	if (lost)
		pr_warn("%u MiB stay lost: the host may still use them\n",
			chan->data_len / SZ_1M);
	else
		chan_free(chan);
}

const struct portal_slot_ops portal_channel_ops = {
	.wanted = agent_wanted,
	.place = channel_place,
	.add = channel_add,
	.del = channel_del,
	.displace = channel_displace,
};
