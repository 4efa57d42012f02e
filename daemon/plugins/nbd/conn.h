/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * conn.h - between the files of plugin nbd
 */
#ifndef NBD_CONN_H
#define NBD_CONN_H

#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <portald/plugin.h>

#define CONN_MAX	16

/**
 * struct nbd_opts - the section's keys
 * @uri: of the export
 * @connections: how many
 * @deadline: seconds that a request may take, over all reconnections
 * @readonly: nothing is written
 * @tls_certificates, @tls_psk, @tls_username: see nbd_create(3)
 */
struct nbd_opts {
	char *uri;
	unsigned int connections;
	unsigned int deadline;
	bool readonly;
	char *tls_certificates;
	char *tls_psk;
	char *tls_username;
};

struct nbd_conn;

/**
 * struct nbd_req - a request on its way
 * @io: the request
 * @next: in a list
 * @conn: who works on it
 * @pending: commands sent and not answered
 * @err: of one of them, -errno
 * @again: the connection broke: all of it is to be sent again
 * @deadline: CLOCK_MONOTONIC, ms
 */
struct nbd_req {
	struct portal_io *io;
	struct nbd_req *next;
	struct nbd_conn *conn;
	unsigned int pending;
	int err;
	bool again;
	uint64_t deadline;
};

/**
 * struct nbd_conn - a connection and its thread, which alone uses the handle
 * @disk: the instance
 * @nbd: NULL while not connected
 * @ready: commands can be sent; read by others
 * @wake_fd: eventfd: something is in @queue, or @stop
 * @lock: of @queue and @stop
 * @queue: new requests, last first
 * @stop: end
 * @todo: to be sent, first first
 * @sent: in flight
 * @retry: when to connect again, ms
 * @backoff: after that, ms
 * @told: the log knows that it is broken
 */
struct nbd_conn {
	struct nbd_disk *disk;
	struct nbd_handle *nbd;
	atomic_bool ready;
	int wake_fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	struct nbd_req *queue;
	bool stop;
	struct nbd_req *todo;
	struct nbd_req *sent;
	uint64_t retry;
	unsigned int backoff;
	bool told;
};

/**
 * struct nbd_disk - what the export is
 */
struct nbd_disk {
	struct portal_instance *pi;
	struct nbd_conn conns[CONN_MAX];
	unsigned int nr_conns;
	unsigned int turn;
	bool started;
	atomic_llong size;
	uint32_t logical;
	uint32_t physical;
	uint64_t max_transfer;
	bool writable, flush, fua, discard, zero, multi;
};

extern const struct portald_api *nbd_api;
extern struct nbd_opts nbd_opts;

/* A connected handle; NULL: api->error() says why. Waits as long as @ms. */
struct nbd_handle *conn_connect(unsigned int ms);
int conn_start(struct nbd_conn *conn);
void conn_stop(struct nbd_conn *conn);
void conn_submit(struct nbd_conn *conn, struct nbd_req *req);
uint64_t conn_now(void);

#endif /* NBD_CONN_H */
