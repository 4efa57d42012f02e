// SPDX-License-Identifier: GPL-2.0-only
/*
 * conn.c - one connection to an NBD server, in a thread
 *
 * When it breaks, what was sent is sent again on the next one: reads and writes
 * may be done twice. A server must keep what it has acknowledged, as one on a
 * file does when it is killed; else a write before a flush may be lost with it.
 *
 * A request that is over its deadline fails. If it has been sent, the connection
 * is closed first, for only then nobody touches its memory any more.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "conn.h"

#define BACKOFF_MIN	50
#define BACKOFF_MAX	5000
#define CONNECT_MS	5000

uint64_t conn_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- connecting --------------------------------------------------------------- */

static int set_options(struct nbd_handle *nbd)
{
	const struct nbd_opts *o = &nbd_opts;

	if (o->tls_certificates && nbd_set_tls_certificates(nbd, o->tls_certificates))
		return -1;
	if (o->tls_psk && nbd_set_tls_psk_file(nbd, o->tls_psk))
		return -1;
	if (o->tls_username && nbd_set_tls_username(nbd, o->tls_username))
		return -1;
	/* a URI may then name files, as our own options do */
	return nbd_set_uri_allow_local_file(nbd, true);
}

static int notify(struct nbd_handle *nbd, short revents)
{
	unsigned int dir = nbd_aio_get_direction(nbd);

	if (revents & (POLLIN | POLLHUP | POLLERR) && dir & LIBNBD_AIO_DIRECTION_READ)
		return nbd_aio_notify_read(nbd);
	if (revents & (POLLOUT | POLLHUP | POLLERR) && dir & LIBNBD_AIO_DIRECTION_WRITE)
		return nbd_aio_notify_write(nbd);
	return 0;
}

static short events(struct nbd_handle *nbd)
{
	unsigned int dir = nbd_aio_get_direction(nbd);

	return (short)((dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
		       (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
}

struct nbd_handle *conn_connect(unsigned int ms)
{
	uint64_t end = conn_now() + ms, now;
	struct nbd_handle *nbd = nbd_create();
	const char *why = NULL;

	if (!nbd || set_options(nbd) || nbd_aio_connect_uri(nbd, nbd_opts.uri))
		why = nbd_get_error();
	while (!why && !nbd_aio_is_ready(nbd)) {
		struct pollfd pfd = { .fd = nbd_aio_get_fd(nbd), .events = events(nbd) };

		now = conn_now();
		if (nbd_aio_is_dead(nbd) || nbd_aio_is_closed(nbd))
			why = "the server hung up";
		else if (now >= end)
			why = "no answer";
		else if (poll(&pfd, 1, (int)(end - now)) < 0 && errno != EINTR)
			why = strerror(errno);
		else if (notify(nbd, pfd.revents))
			why = nbd_get_error();
	}
	if (!why)
		return nbd;
	nbd_api->error("%s: %s", nbd_opts.uri, why);
	if (nbd)
		nbd_close(nbd);
	return NULL;
}

/* ---- requests ------------------------------------------------------------------- */

static void append(struct nbd_req **list, struct nbd_req *req)
{
	while (*list)
		list = &(*list)->next;
	req->next = NULL;
	*list = req;
}

static void drop(struct nbd_req **list, struct nbd_req *req)
{
	while (*list != req)
		list = &(*list)->next;
	*list = req->next;
}

static void req_end(struct nbd_req *req, int err)
{
	struct portal_io *io = req->io;

	free(req);
	nbd_api->io_done(io, err);
}

/* Nothing of it is in flight any more. */
static void req_answered(struct nbd_req *req)
{
	struct nbd_conn *conn = req->conn;

	drop(&conn->sent, req);
	if (!req->again) {
		req_end(req, req->err);
		return;
	}
	req->again = false;
	req->err = 0;
	append(&conn->todo, req);
}

static bool is_broken(int err)
{
	return err == ENOTCONN || err == ESHUTDOWN || err == EPIPE || err == ECONNRESET;
}

static int answered(void *data, int *error)
{
	struct nbd_req *req = data;

	if (*error && is_broken(*error))
		req->again = true;
	else if (*error && !req->err)
		req->err = -*error;
	if (!--req->pending)
		req_answered(req);
	return 1;		/* libnbd forgets it, too */
}

static int64_t command(struct nbd_req *req, void *buf, uint64_t len, uint64_t offset)
{
	nbd_completion_callback done = { .callback = answered, .user_data = req };
	const struct portal_io *io = req->io;
	uint32_t fua = io->flags & PORTAL_IO_F_FUA ? LIBNBD_CMD_FLAG_FUA : 0;
	struct nbd_handle *nbd = req->conn->nbd;

	switch (io->op) {
	case PORTAL_IO_READ:
		return nbd_aio_pread(nbd, buf, len, offset, done, 0);
	case PORTAL_IO_WRITE:
		return nbd_aio_pwrite(nbd, buf, len, offset, done, fua);
	case PORTAL_IO_FLUSH:
		return nbd_aio_flush(nbd, done, 0);
	case PORTAL_IO_DISCARD:
		return nbd_aio_trim(nbd, len, offset, done, 0);
	default:
		if (!(io->flags & PORTAL_IO_F_UNMAP))
			fua |= LIBNBD_CMD_FLAG_NO_HOLE;
		return nbd_aio_zero(nbd, len, offset, done, fua);
	}
}

/* What is contiguous in memory goes as one command. */
static bool send_data(struct nbd_req *req)
{
	const struct portal_io *io = req->io;
	uint64_t offset = io->offset;
	uint32_t i = 0;

	while (i < io->iovcnt) {
		char *base = io->iov[i].iov_base;
		uint64_t len = io->iov[i++].iov_len;

		while (i < io->iovcnt && io->iov[i].iov_base == base + len)
			len += io->iov[i++].iov_len;
		if (!len)
			continue;
		req->pending++;
		if (command(req, base, len, offset) < 0)
			return false;
		offset += len;
	}
	return true;
}

/* The request is counted as one more command while it is being sent. */
static void send_req(struct nbd_req *req)
{
	struct nbd_conn *conn = req->conn;
	bool ok;

	append(&conn->sent, req);
	req->pending = 1;
	if (req->io->iovcnt) {
		ok = send_data(req);
	} else {
		req->pending++;
		ok = command(req, NULL, req->io->len, req->io->offset) >= 0;
	}
	if (!ok) {
		/* not taken: libnbd has not called answered() for it */
		req->pending--;
		if (nbd_aio_is_ready(conn->nbd) || nbd_aio_is_processing(conn->nbd))
			req->err = nbd_get_errno() ? -nbd_get_errno() : -EIO;
		else
			req->again = true;
	}
	if (!--req->pending)
		req_answered(req);
}

/* ---- the connection --------------------------------------------------------------- */

static void broken(struct nbd_conn *conn, const char *why)
{
	struct nbd_req *req;

	atomic_store(&conn->ready, false);
	if (!conn->told)
		nbd_api->log(LOG_WARNING, "%s: connection lost: %s; connecting again",
			     nbd_opts.uri, why);
	conn->told = true;
	/* After this nothing of libnbd's touches the requests, or calls us. */
	nbd_close(conn->nbd);
	conn->nbd = NULL;
	while ((req = conn->sent)) {
		conn->sent = req->next;
		req->pending = 0;
		req->again = false;
		req->err = 0;
		append(&conn->todo, req);
	}
	conn->backoff = BACKOFF_MIN;
	conn->retry = conn_now() + conn->backoff;
}

static void reconnect(struct nbd_conn *conn)
{
	struct nbd_disk *disk = conn->disk;
	int64_t size;

	conn->nbd = conn_connect(CONNECT_MS);
	if (!conn->nbd) {
		conn->backoff = conn->backoff < BACKOFF_MAX / 2 ? conn->backoff * 2 : BACKOFF_MAX;
		conn->retry = conn_now() + conn->backoff;
		return;
	}
	nbd_api->log(LOG_NOTICE, "%s: connected again", nbd_opts.uri);
	conn->told = false;
	atomic_store(&conn->ready, true);
	size = nbd_get_size(conn->nbd);
	if (size > 0 && size != atomic_exchange(&disk->size, size))
		nbd_api->size_changed(disk->pi);
}

static void take_queue(struct nbd_conn *conn)
{
	struct nbd_req *req, *list = NULL, *next;

	pthread_mutex_lock(&conn->lock);
	req = conn->queue;
	conn->queue = NULL;
	pthread_mutex_unlock(&conn->lock);
	for (; req; req = next) {
		next = req->next;
		req->next = list;
		list = req;
	}
	for (; list; list = next) {
		next = list->next;
		append(&conn->todo, list);
	}
}

/* Ends what is late; when the next one will be, ms from now, -1: none. */
static int64_t check_deadlines(struct nbd_conn *conn)
{
	uint64_t now = conn_now(), first = UINT64_MAX;
	struct nbd_req *req, *next;

	for (req = conn->sent; req; req = req->next) {
		if (req->deadline > now)
			continue;
		broken(conn, "a request has not been answered in time");
		break;
	}
	for (req = conn->todo; req; req = next) {
		next = req->next;
		if (req->deadline <= now) {
			drop(&conn->todo, req);
			req_end(req, -ETIMEDOUT);
		} else if (req->deadline < first) {
			first = req->deadline;
		}
	}
	for (req = conn->sent; req; req = req->next)
		if (req->deadline < first)
			first = req->deadline;
	return first == UINT64_MAX ? -1 : (int64_t)(first - now);
}

static void wait_for_something(struct nbd_conn *conn, int64_t ms)
{
	struct pollfd pfd[2] = { { .fd = conn->wake_fd, .events = POLLIN }, { .fd = -1 } };
	uint64_t now = conn_now(), n;

	if (conn->nbd && (nbd_aio_is_dead(conn->nbd) || nbd_aio_is_closed(conn->nbd)))
		broken(conn, "the server hung up");
	if (conn->nbd) {
		pfd[1].fd = nbd_aio_get_fd(conn->nbd);
		pfd[1].events = events(conn->nbd);
	} else {
		int64_t retry = conn->retry > now ? (int64_t)(conn->retry - now) : 0;

		if (ms < 0 || retry < ms)
			ms = retry;
	}
	if (poll(pfd, 2, ms < 0 ? -1 : (int)(ms + 1)) < 0)
		return;
	if (pfd[0].revents & POLLIN && read(conn->wake_fd, &n, sizeof(n)) < 0)
		return;
	if (conn->nbd && notify(conn->nbd, pfd[1].revents))
		broken(conn, nbd_get_error());
}

static bool stopped(struct nbd_conn *conn)
{
	bool stop;

	pthread_mutex_lock(&conn->lock);
	stop = conn->stop;
	pthread_mutex_unlock(&conn->lock);
	return stop;
}

static void *run(void *arg)
{
	struct nbd_conn *conn = arg;
	struct nbd_req *req, *list;

	while (!stopped(conn)) {
		take_queue(conn);
		if (!conn->nbd && conn_now() >= conn->retry)
			reconnect(conn);
		/* What breaks while it is sent comes back, for the next round. */
		list = conn->nbd ? conn->todo : NULL;
		if (list)
			conn->todo = NULL;
		while ((req = list)) {
			list = req->next;
			send_req(req);
		}
		wait_for_something(conn, check_deadlines(conn));
	}
	return NULL;
}

static void wake(struct nbd_conn *conn)
{
	uint64_t one = 1;

	while (write(conn->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void conn_submit(struct nbd_conn *conn, struct nbd_req *req)
{
	bool first;

	req->conn = conn;
	pthread_mutex_lock(&conn->lock);
	first = !conn->queue;
	req->next = conn->queue;
	conn->queue = req;
	pthread_mutex_unlock(&conn->lock);
	if (first)
		wake(conn);
}

int conn_start(struct nbd_conn *conn)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&conn->thread, NULL, run, conn);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	conn->running = !err;
	return err;
}

void conn_stop(struct nbd_conn *conn)
{
	if (conn->running) {
		pthread_mutex_lock(&conn->lock);
		conn->stop = true;
		pthread_mutex_unlock(&conn->lock);
		wake(conn);
		pthread_join(conn->thread, NULL);
	}
	if (conn->nbd) {
		nbd_aio_disconnect(conn->nbd, 0);
		nbd_close(conn->nbd);
	}
	close(conn->wake_fd);
	pthread_mutex_destroy(&conn->lock);
}
