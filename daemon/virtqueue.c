// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtqueue.c - the device's side of a split virtqueue (virtio 1.2, 2.7)
 *
 * Surviving kill -9. The state remembers which head descriptors are in flight,
 * and an index of the used ring up to which it is right; that is vhost-user's
 * inflight region. Steps, each one store:
 *
 *	take:	counter[head] = n++
 *		inflight[head] = 1
 *	use:	used ring: element
 *		next[head] = last_batch_head, last_batch_head = head
 *	(*)	used ring: index
 *		inflight[head] = 0
 *		used_idx = the used ring's index
 *
 * Death before (*): the request runs again and the guest sees it once. Death
 * after (*) but before the last step: the indices differ, and the heads from
 * last_batch_head on are not in flight whatever their flags say. So no request
 * is lost, and none that the guest saw completed runs again.
 *
 * Our own death needs only the order of instructions (SIGNAL_FENCE): another
 * process sees every store that was executed. The guest is another CPU and
 * needs real barriers.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_config.h>
#include "virtqueue.h"

#define SIGNAL_FENCE()	__atomic_signal_fence(__ATOMIC_SEQ_CST)

struct table {
	uint64_t gpa;
	uint32_t num;
};

static size_t avail_size(const struct virtqueue *vq)
{
	return sizeof(struct vring_avail) + 2 * vq->st->num + (vq->event_idx ? 2 : 0);
}

static size_t used_size(const struct virtqueue *vq)
{
	return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * vq->st->num +
	       (vq->event_idx ? 2 : 0);
}

/* Looked up at each use: the worker may map the guest's memory anew. */
static struct vring_avail *map_avail(const struct virtqueue *vq)
{
	return portal_mem_at(vq->mem, vq->st->driver, avail_size(vq));
}

static struct vring_used *map_used(const struct virtqueue *vq)
{
	return portal_mem_at(vq->mem, vq->st->device, used_size(vq));
}

/**
 * virtqueue_init() - a queue that is not ready
 * @vq: the queue
 * @mem: the guest's RAM
 * @st: what survives the worker; not changed
 */
void virtqueue_init(struct virtqueue *vq, const struct portal_mem *mem,
		    struct virtqueue_state *st)
{
	memset(vq, 0, sizeof(*vq));
	vq->mem = mem;
	vq->st = st;
}

/**
 * virtqueue_reset() - forget everything about it; nothing may be in flight
 * @vq: the queue
 */
void virtqueue_reset(struct virtqueue *vq)
{
	memset(vq->st, 0, sizeof(*vq->st));
	virtqueue_init(vq, vq->mem, vq->st);
}

static const char *check_setup(const struct virtqueue_state *st)
{
	if (!st->num || st->num > VIRTQUEUE_NUM_MAX || st->num & (st->num - 1))
		return "queue size is not a power of two up to 256";
	if (st->desc % VRING_DESC_ALIGN_SIZE || st->driver % VRING_AVAIL_ALIGN_SIZE ||
	    st->device % VRING_USED_ALIGN_SIZE)
		return "a ring is misaligned";
	return NULL;
}

static void set_features(struct virtqueue *vq, uint64_t features)
{
	vq->event_idx = features & (1ULL << VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = features & (1ULL << VIRTIO_RING_F_INDIRECT_DESC);
}

/**
 * virtqueue_start() - the driver made it ready
 * @vq: the queue; size and addresses are in its state
 * @features: negotiated
 *
 * Return: NULL, or what is wrong with it.
 */
const char *virtqueue_start(struct virtqueue *vq, uint64_t features)
{
	struct virtqueue_state *st = vq->st;
	const char *why = check_setup(st);

	if (why)
		return why;
	set_features(vq, features);
	vq->last_avail = 0;
	vq->signalled = 0;
	vq->nr_resume = 0;
	vq->resume_pos = 0;
	st->counter = 0;
	st->used_idx = 0;
	st->last_batch_head = 0;
	memset(st->desc_state, 0, sizeof(st->desc_state));
	return NULL;
}

static int by_counter(const void *a, const void *b, void *arg)
{
	const struct virtqueue_state *st = arg;
	uint64_t ca = st->desc_state[*(const uint16_t *)a].counter;
	uint64_t cb = st->desc_state[*(const uint16_t *)b].counter;

	return ca < cb ? -1 : ca > cb;
}

/**
 * virtqueue_resume() - go on where an earlier worker died
 * @vq: the queue, ready
 * @features: negotiated
 *
 * virtqueue_pop() gives its unfinished requests first, in the order in which
 * it took them.
 *
 * Return: NULL, or what is wrong with it.
 */
const char *virtqueue_resume(struct virtqueue *vq, uint64_t features)
{
	struct virtqueue_state *st = vq->st;
	const char *why = check_setup(st);
	struct vring_used *used;
	uint16_t used_idx, head;
	uint32_t i, n;

	if (why)
		return why;
	set_features(vq, features);
	used = map_used(vq);
	if (!used)
		return "the used ring is not in RAM";

	used_idx = le16toh(__atomic_load_n(&used->idx, __ATOMIC_RELAXED));
	n = (uint16_t)(used_idx - st->used_idx);
	/* The guest can write there too. */
	if (n > st->num)
		return "the used ring's index was changed";
	head = st->last_batch_head;
	for (i = 0; i < n; i++) {
		if (head >= st->num)
			return "the inflight list is damaged";
		st->desc_state[head].inflight = 0;
		head = st->desc_state[head].next;
	}
	SIGNAL_FENCE();
	st->used_idx = used_idx;

	vq->nr_resume = 0;
	vq->resume_pos = 0;
	for (i = 0; i < st->num; i++) {
		if (st->desc_state[i].inflight)
			vq->resume[vq->nr_resume++] = (uint16_t)i;
	}
	qsort_r(vq->resume, vq->nr_resume, sizeof(vq->resume[0]), by_counter, st);
	vq->last_avail = (uint16_t)(used_idx + vq->nr_resume);
	/* For what is in the ring already virtio_mmio_enable() interrupts. */
	vq->signalled = used_idx;
	return NULL;
}

static int bad(const char **why, const char *what)
{
	*why = what;
	return -EBADMSG;
}

static int copy_desc(const struct virtqueue *vq, const struct table *t, uint32_t i,
		     struct vring_desc *desc)
{
	void *p = portal_mem_at(vq->mem, t->gpa + i * sizeof(*desc), sizeof(*desc));

	if (!p)
		return -EFAULT;
	memcpy(desc, p, sizeof(*desc));
	/* The only fetch: what follows uses the copy and not guest memory. */
	SIGNAL_FENCE();
	desc->addr = le64toh(desc->addr);
	desc->len = le32toh(desc->len);
	desc->flags = le16toh(desc->flags);
	desc->next = le16toh(desc->next);
	return 0;
}

static void add_seg(struct virtqueue_chain *c, const struct vring_desc *desc)
{
	struct virtqueue_seg *seg = &c->seg[c->nr_out + c->nr_in];

	if (!(desc->flags & VRING_DESC_F_WRITE) && c->nr_in) {
		c->bad_order = true;
		return;
	}
	if (!desc->len)
		return;
	seg->gpa = desc->addr;
	seg->len = desc->len;
	if (desc->flags & VRING_DESC_F_WRITE) {
		c->nr_in++;
		c->in_len += desc->len;
	} else {
		c->nr_out++;
		c->out_len += desc->len;
	}
}

static int decode(const struct virtqueue *vq, uint16_t head, struct virtqueue_chain *c,
		  const char **why)
{
	struct table t = { vq->st->desc, vq->st->num };
	bool in_table = false;
	struct vring_desc desc;
	uint32_t i = head, n, left = t.num;
	int err;

	c->head = head;
	c->nr_out = 0;
	c->nr_in = 0;
	c->bad_order = false;
	c->out_len = 0;
	c->in_len = 0;

	for (n = 0; n < VIRTQUEUE_NUM_MAX; n++) {
		if (!left--)
			return bad(why, "descriptor chain is a loop");
		err = copy_desc(vq, &t, i, &desc);
		if (err)
			return err;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (!vq->indirect || in_table)
				return bad(why, "unexpected indirect descriptor");
			if (desc.flags & VRING_DESC_F_NEXT)
				return bad(why, "indirect descriptor with a next one");
			if (!desc.len || desc.len % sizeof(desc) ||
			    desc.addr + desc.len < desc.addr)
				return bad(why, "bad size of an indirect table");
			in_table = true;
			t.gpa = desc.addr;
			t.num = desc.len / sizeof(desc);
			left = t.num;
			i = 0;
			continue;
		}
		add_seg(c, &desc);
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return VIRTQUEUE_CHAIN;
		i = desc.next;
		if (i >= t.num)
			return bad(why, "next descriptor is out of the table");
	}
	return bad(why, "descriptor chain is too long");
}

/**
 * virtqueue_pop() - take the driver's next request
 * @vq: a ready queue
 * @chain: (out) the request
 * @why: (out) with -EBADMSG: what the driver did wrong
 *
 * Return: VIRTQUEUE_CHAIN, VIRTQUEUE_EMPTY, -EFAULT if a ring or a descriptor
 * is not in RAM (nothing was taken: ask again after portal_mem_refresh()), or
 * -EBADMSG: the queue is of no use until it is reset.
 */
int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain, const char **why)
{
	struct virtqueue_state *st = vq->st;
	struct virtqueue_desc_state *ds;
	struct vring_avail *avail;
	uint16_t idx, n, head;
	int ret;

	if (vq->resume_pos < vq->nr_resume) {
		ret = decode(vq, vq->resume[vq->resume_pos], chain, why);
		if (ret == VIRTQUEUE_CHAIN)
			vq->resume_pos++;
		return ret;
	}

	avail = map_avail(vq);
	if (!avail)
		return -EFAULT;
	/* Acquire: the entry and its descriptors were written before the index. */
	idx = le16toh(__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE));
	n = (uint16_t)(idx - vq->last_avail);
	if (!n)
		return VIRTQUEUE_EMPTY;
	if (n > st->num)
		return bad(why, "available index jumped");
	head = le16toh(__atomic_load_n(&avail->ring[vq->last_avail & (st->num - 1)],
				       __ATOMIC_RELAXED));
	if (head >= st->num)
		return bad(why, "head descriptor is out of the table");
	ds = &st->desc_state[head];
	if (ds->inflight)
		return bad(why, "head descriptor is in use already");
	ret = decode(vq, head, chain, why);
	if (ret != VIRTQUEUE_CHAIN)
		return ret;

	ds->counter = st->counter++;
	SIGNAL_FENCE();
	ds->inflight = 1;
	/* Before the request has any effect. */
	SIGNAL_FENCE();
	vq->last_avail++;
	return VIRTQUEUE_CHAIN;
}

/**
 * virtqueue_arm() - the queue was empty: ask for a notification
 * @vq: a ready queue
 *
 * Return: true if something came meanwhile: pop again.
 */
bool virtqueue_arm(struct virtqueue *vq)
{
	struct vring_avail *avail;
	struct vring_used *used;

	/* Without event index the driver always notifies. */
	if (!vq->event_idx)
		return false;
	avail = map_avail(vq);
	used = map_used(vq);
	if (!avail || !used)
		return false;
	__atomic_store_n((uint16_t *)&used->ring[vq->st->num], htole16(vq->last_avail),
			 __ATOMIC_RELAXED);
	/* Store of the event before load of the index; the driver does the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return le16toh(__atomic_load_n(&avail->idx, __ATOMIC_RELAXED)) != vq->last_avail;
}

/**
 * virtqueue_push() - give a request back to the driver
 * @vq: a ready queue
 * @head: from virtqueue_pop()
 * @len: bytes written at the start of its writable buffers
 *
 * Return: 0, or -EFAULT if the used ring is not in RAM.
 */
int virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	struct virtqueue_state *st = vq->st;
	struct vring_used *used = map_used(vq);
	uint16_t idx = st->used_idx;
	struct vring_used_elem *elem;

	if (!used)
		return -EFAULT;
	elem = &used->ring[idx & (st->num - 1)];
	elem->id = htole32(head);
	elem->len = htole32(len);
	st->desc_state[head].next = st->last_batch_head;
	SIGNAL_FENCE();
	st->last_batch_head = head;
	idx++;
	/* Release: data, status and element before the index. */
	__atomic_store_n(&used->idx, htole16(idx), __ATOMIC_RELEASE);
	SIGNAL_FENCE();
	st->desc_state[head].inflight = 0;
	SIGNAL_FENCE();
	st->used_idx = idx;
	return 0;
}

/**
 * virtqueue_signal() - does the driver want an interrupt for what was pushed?
 * @vq: a ready queue
 *
 * Return: true if it does.
 */
bool virtqueue_signal(struct virtqueue *vq)
{
	struct vring_avail *avail = map_avail(vq);
	uint16_t old = vq->signalled, idx = vq->st->used_idx;
	uint16_t event;

	vq->signalled = idx;
	if (!avail)
		return true;
	/* Store of the used index before load of the driver's wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(le16toh(__atomic_load_n(&avail->flags, __ATOMIC_RELAXED)) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = le16toh(__atomic_load_n(&avail->ring[vq->st->num], __ATOMIC_RELAXED));
	return vring_need_event(event, idx, old);
}

/* Bytes of [gpa, gpa + len) that lie in one window, and where. */
static uint32_t contiguous(const struct portal_mem *mem, uint64_t gpa, uint32_t len, void **p)
{
	uint32_t lo = 0, hi = len;

	*p = portal_mem_at(mem, gpa, len);
	if (*p)
		return len;
	/* lo bytes are in one window, hi bytes are not. */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		void *q = portal_mem_at(mem, gpa, mid);

		if (q) {
			lo = mid;
			*p = q;
		} else {
			hi = mid;
		}
	}
	return lo;
}

/**
 * virtqueue_iov() - where a part of a chain is in this process
 * @mem: the guest's RAM
 * @segs: buffers
 * @nr: length of @segs
 * @skip: bytes of @segs before the part
 * @len: bytes of the part, within @segs
 * @iov: (out) pieces; more than @segs if a buffer crosses windows
 * @max: length of @iov
 *
 * Return: number of pieces, -EFAULT if some of it is not RAM, -E2BIG.
 */
int virtqueue_iov(const struct portal_mem *mem, const struct virtqueue_seg *segs,
		  uint32_t nr, uint64_t skip, uint64_t len, struct iovec *iov,
		  uint32_t max)
{
	uint32_t i, n = 0;

	for (i = 0; i < nr && len; i++) {
		uint64_t gpa = segs[i].gpa;
		uint64_t left = segs[i].len;

		if (skip >= left) {
			skip -= left;
			continue;
		}
		if (gpa + left < gpa)
			return -EFAULT;
		gpa += skip;
		left -= skip;
		skip = 0;
		if (left > len)
			left = len;
		len -= left;
		while (left) {
			void *p;
			uint32_t part = contiguous(mem, gpa, (uint32_t)left, &p);

			if (!part)
				return -EFAULT;
			if (n == max)
				return -E2BIG;
			iov[n].iov_base = p;
			iov[n].iov_len = part;
			n++;
			gpa += part;
			left -= part;
		}
	}
	return len ? -EFAULT : (int)n;
}
