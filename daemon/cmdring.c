// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdring.c - memory of a guest that has commands, answers and payloads in it
 *
 * The guest may change all of it at any time, so what is believed was copied
 * and checked first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/portal_cmd.h>

#include "cmdchan.h"

static bool is_pow2(uint32_t n)
{
	return n && !(n & (n - 1));
}

static bool inside(const struct portal_channel *conf, uint32_t off, uint64_t len)
{
	return !(off % 8) && off >= sizeof(*conf) && len <= conf->len && off <= conf->len - len;
}

static int check_conf(const struct portal_channel *conf)
{
	if (conf->magic != PORTAL_CHANNEL_MAGIC)
		return -EINVAL;
	if (conf->version != PORTAL_CHANNEL_VERSION)
		return -EPROTO;
	if (conf->flags || conf->number || conf->count != 1 || conf->len > PORTAL_CHANNEL_MAX_LEN)
		return -EINVAL;
	if (conf->data_len < PORTAL_CHANNEL_MIN_DATA || conf->data_len > PORTAL_CHANNEL_MAX_DATA ||
	    !is_pow2(conf->chunk_len) || conf->chunk_len < CMD_PAGE || !conf->nr_chunks ||
	    conf->nr_chunks > PORTAL_CHANNEL_CHUNKS ||
	    (uint64_t)conf->chunk_len * conf->nr_chunks != conf->data_len)
		return -EINVAL;
	if (!is_pow2(conf->sq_entries) || conf->sq_entries > PORTAL_CHANNEL_ENTRIES ||
	    !is_pow2(conf->cq_entries) || conf->cq_entries > PORTAL_CHANNEL_ENTRIES ||
	    conf->sq_entries < 16 || conf->cq_entries < 16)
		return -EINVAL;
	if (!inside(conf, conf->chunks_off, conf->nr_chunks * sizeof(uint64_t)) ||
	    !inside(conf, conf->sq_off, conf->sq_entries * sizeof(struct portal_cmd)) ||
	    !inside(conf, conf->cq_off, conf->cq_entries * sizeof(struct portal_cmd_done)))
		return -EINVAL;
	/* an agent of old has none */
	if (conf->ev_len &&
	    (!is_pow2(conf->ev_len) || conf->ev_len < PORTAL_CHANNEL_MIN_EVENTS ||
	     conf->ev_len > PORTAL_CHANNEL_MAX_EVENTS ||
	     !inside(conf, conf->ev_off, conf->ev_len)))
		return -EINVAL;
	return 0;
}

static int find_chunks(struct cmd_chan *chan)
{
	const volatile uint64_t *table = (void *)((char *)chan->head + chan->conf.chunks_off);

	for (uint32_t i = 0; i < chan->conf.nr_chunks; i++) {
		uint64_t gpa = table[i];

		if (gpa % CMD_PAGE)
			return -EFAULT;
		chan->chunks[i] = chan->env.at(chan->env.arg, gpa, chan->conf.chunk_len);
		if (!chan->chunks[i])
			return -EFAULT;
	}
	return 0;
}

int ring_open(struct cmd_chan *chan, uint64_t gpa)
{
	struct portal_channel *conf = &chan->conf;
	int ret;

	chan->head = gpa % CMD_PAGE ? NULL : chan->env.at(chan->env.arg, gpa, sizeof(*chan->head));
	if (!chan->head)
		return -EFAULT;
	memcpy(conf, chan->head, sizeof(*conf));
	ret = check_conf(conf);
	if (ret)
		return ret;
	chan->head = chan->env.at(chan->env.arg, gpa, conf->len);
	if (!chan->head)
		return -EFAULT;
	chan->nr_flights = conf->sq_entries < conf->cq_entries ? conf->sq_entries :
								 conf->cq_entries;
	chan->flights = calloc(chan->nr_flights, sizeof(*chan->flights));
	chan->chunks = calloc(conf->nr_chunks, sizeof(*chan->chunks));
	chan->pages = calloc(conf->data_len / CMD_PAGE, 1);
	ret = chan->flights && chan->chunks && chan->pages ? find_chunks(chan) : -ENOMEM;
	if (ret)
		ring_close(chan);
	return ret;
}

void ring_close(struct cmd_chan *chan)
{
	free(chan->flights);
	free(chan->chunks);
	free(chan->pages);
	chan->flights = NULL;
	chan->chunks = NULL;
	chan->pages = NULL;
	chan->head = NULL;
	chan->nr_flights = 0;
}

/* The guest has set its indices to 0. */
void ring_reset(struct cmd_chan *chan)
{
	chan->sq_tail = 0;
	chan->cq_head = 0;
	chan->ev_head = 0;
	chan->head->host_hash = PORTAL_CMD_ABI_HASH;
	__atomic_store_n(&chan->head->cq_head, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&chan->head->ev_head, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&chan->head->sq_tail, 0, __ATOMIC_RELEASE);
}

/* ---- data region -------------------------------------------------------------- */

static uint32_t nr_pages(uint32_t len)
{
	return (len + CMD_PAGE - 1) / CMD_PAGE;
}

int64_t ring_alloc(struct cmd_chan *chan, uint32_t len)
{
	uint32_t want = nr_pages(len), all = chan->conf.data_len / CMD_PAGE, run = 0;

	if (!want)
		return 0;
	for (uint32_t i = 0; i < all; i++) {
		run = chan->pages[i] ? 0 : run + 1;
		if (run == want) {
			memset(chan->pages + i + 1 - want, 1, want);
			return (int64_t)(i + 1 - want) * CMD_PAGE;
		}
	}
	return -1;
}

void ring_free(struct cmd_chan *chan, uint32_t off, uint32_t len)
{
	memset(chan->pages + off / CMD_PAGE, 0, nr_pages(len));
}

static char *data_at(const struct cmd_chan *chan, uint32_t off, uint32_t *run)
{
	uint32_t in = off % chan->conf.chunk_len;

	*run = chan->conf.chunk_len - in;
	return (char *)chan->chunks[off / chan->conf.chunk_len] + in;
}

void ring_fill(struct cmd_chan *chan, uint32_t off, const struct iovec *iov, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		const char *from = iov[i].iov_base;
		uint32_t left = iov[i].iov_len, run;

		for (; left; left -= run, from += run, off += run) {
			char *to = data_at(chan, off, &run);

			if (run > left)
				run = left;
			memcpy(to, from, run);
		}
	}
}

struct iovec *ring_iov(const struct cmd_chan *chan, uint32_t off, uint32_t len, uint32_t *cnt)
{
	struct iovec *iov = calloc(len / chan->conf.chunk_len + 2, sizeof(*iov));
	uint32_t n = 0, run;

	for (; iov && len; len -= run, off += run) {
		char *at = data_at(chan, off, &run);

		if (run > len)
			run = len;
		if (n && (char *)iov[n - 1].iov_base + iov[n - 1].iov_len == at)
			iov[n - 1].iov_len += run;
		else
			iov[n++] = (struct iovec){ at, run };
	}
	*cnt = n;
	return iov;
}

/* ---- rings -------------------------------------------------------------------- */

bool ring_has_room(const struct cmd_chan *chan)
{
	uint32_t head = __atomic_load_n(&chan->head->sq_head, __ATOMIC_ACQUIRE);

	/* One that makes no sense looks full. */
	return chan->sq_tail - head < chan->conf.sq_entries;
}

void ring_publish(struct cmd_chan *chan, const struct portal_cmd *cmd)
{
	struct portal_cmd *ring = (void *)((char *)chan->head + chan->conf.sq_off);

	ring[chan->sq_tail & (chan->conf.sq_entries - 1)] = *cmd;
	__atomic_store_n(&chan->head->sq_tail, ++chan->sq_tail, __ATOMIC_RELEASE);
}

int ring_take(struct cmd_chan *chan, struct portal_cmd_done *done)
{
	const struct portal_cmd_done *ring = (void *)((char *)chan->head + chan->conf.cq_off);
	uint32_t tail = __atomic_load_n(&chan->head->cq_tail, __ATOMIC_ACQUIRE);

	if (tail == chan->cq_head)
		return 0;
	if (tail - chan->cq_head > chan->conf.cq_entries)
		return -EPROTO;
	memcpy(done, &ring[chan->cq_head & (chan->conf.cq_entries - 1)], sizeof(*done));
	__atomic_store_n(&chan->head->cq_head, ++chan->cq_head, __ATOMIC_RELEASE);
	return 1;
}
