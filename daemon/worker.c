// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker.c - `portald --worker`: one instance for one VM
 *
 * One thread, one io_uring: the queue's FETCH, the plugin's I/O, and a poll of
 * the channel to the supervisor. A round sends all replies and takes all new
 * requests by one system call.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "errmap.h"
#include "worker.h"

static void chan_ready(struct portal_uring_op *op, int res)
{
	struct portal_instance *pi =
		(void *)((char *)op - offsetof(struct portal_instance, chan_op));

	(void)res;	/* an error or hang-up shows when it is read */
	pi->chan_ready = true;
}

struct io_uring_sqe *worker_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(ring)))
		if (io_uring_submit(ring) < 0)
			return NULL;
	return sqe;
}

static int arm_channel(struct portal_instance *pi)
{
	struct io_uring_sqe *sqe = worker_sqe(&pi->ring);

	if (!sqe)
		return -EBUSY;
	pi->chan_op.done = chan_ready;
	io_uring_prep_poll_add(sqe, CHAN_FD, POLLIN);
	io_uring_sqe_set_data(sqe, &pi->chan_op);
	return 0;
}

/*
 * Runs what is complete. The queue's own completion is only kept: a front end
 * may wait for its I/O in the middle of a request, and the next one must not
 * begin there.
 */
static void reap(struct portal_instance *pi)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&pi->ring, &cqe)) {
		uint64_t data = cqe->user_data;
		int res = cqe->res;

		if (pi->queue && data == portal_queue_user_data(pi->queue)) {
			pi->queue_cqe.user_data = data;
			pi->queue_cqe.res = res;
			pi->queue_cqe.flags = cqe->flags;
			pi->have_queue_cqe = true;
			io_uring_cqe_seen(&pi->ring, cqe);
			continue;
		}
		/* seen first: done() may wait, and so come here again */
		io_uring_cqe_seen(&pi->ring, cqe);
		if (data) {
			struct portal_uring_op *op = (void *)(uintptr_t)data;

			op->done(op, res);
		}
	}
}

/* The front end interrupts the guest once for all that was done. */
static void end_round(struct portal_instance *pi)
{
	if (pi->fe && pi->ops->end_round)
		pi->ops->end_round(pi->fe);
}

static int submit_and_wait(struct portal_instance *pi)
{
	int ret;

	/* before it sleeps: requests may have ended in a command, too */
	end_round(pi);
	ret = io_uring_submit_and_wait(&pi->ring, 1);

	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY && ret != -ETIME)
		return ret;
	reap(pi);
	end_round(pi);
	return 0;
}

int worker_wait(struct frontend_env *env)
{
	return submit_and_wait((void *)((char *)env - offsetof(struct portal_instance, env)));
}

void worker_reply(struct frontend_env *env, uint64_t id, int err, uint64_t value)
{
	struct portal_instance *pi =
		(void *)((char *)env - offsetof(struct portal_instance, env));

	if (!pi->queue)
		return;
	if (err < 0)
		portal_reply_error(pi->queue, id, guest_errno(err));
	else
		portal_reply_value(pi->queue, id, value);
	pi->replied = true;
}

/* ---- messages of the supervisor ------------------------------------------- */

static int send_msg(uint32_t type, uint32_t seq, int err, const char *text)
{
	struct chan_msg msg = { .type = type, .seq = seq, .err = err };

	return chan_send(CHAN_FD, &msg, text, NULL, 0, 0);
}

static int send_failed(int ret, const struct err *err)
{
	send_msg(CHAN_FAILED, 0, ret, err->msg);
	return ret;
}

static int on_setup(struct portal_instance *pi, const char *text, const int *fds,
		    unsigned int nr)
{
	struct chan_msg msg = { .type = CHAN_DESCRIBE };
	struct err err = { "" };
	int ret;

	ret = worker_setup(pi, text, fds, nr, &err);
	if (ret)
		return send_failed(ret, &err);
	msg.describe = pi->desc;
	return chan_send(CHAN_FD, &msg, NULL, NULL, 0, 0);
}

static int on_start(struct portal_instance *pi, const struct chan_msg *msg, const int *fds,
		    unsigned int nr)
{
	struct err err = { "" };
	int ret;

	ret = worker_start(pi, &msg->enable, fds, nr, &err);
	if (ret)
		return send_failed(ret, &err);
	return send_msg(CHAN_READY, 0, 0, NULL);
}

static int on_enable(struct portal_instance *pi, const struct chan_msg *msg)
{
	struct err err = { "" };
	int ret = worker_enable(pi, &msg->enable, &err);

	return send_msg(CHAN_ACK, msg->seq, ret, ret ? err.msg : NULL);
}

/* "latency_us.read.64": the dots make objects in objects. */
static void emit(void *arg, const char *key, uint64_t val)
{
	struct json_object *obj = arg, *inner;
	const char *dot;
	char name[64];

	while ((dot = strchr(key, '.'))) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - key), key);
		if (!json_object_object_get_ex(obj, name, &inner)) {
			inner = json_object_new_object();
			json_object_object_add(obj, name, inner);
		}
		obj = inner;
		key = dot + 1;
	}
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

static void emit_commands(struct portal_instance *pi, struct json_object *obj)
{
	struct portal_command_info info = { .struct_size = sizeof(info) };

	cmd_info(pi->cmds, &info);
	emit(obj, "connected", info.connected);
	emit(obj, "credits", info.credits);
	emit(obj, "commands", info.sent);
	emit(obj, "answers", info.answered);
	emit(obj, "expired", info.timeouts);
	emit(obj, "cancelled", info.cancelled);
	emit(obj, "stale", info.stale);
	emit(obj, "resets", info.resets);
	emit(obj, "repeated", info.repeated);
	emit(obj, "events", info.events);
}

static int on_stat(struct portal_instance *pi, uint32_t seq)
{
	struct json_object *obj = json_object_new_object();
	int ret;

	if (pi->fe && pi->ops->inflight)
		emit(obj, "inflight", pi->ops->inflight(pi->fe));
	if (pi->fe && pi->ops->stat)
		pi->ops->stat(pi->fe, emit, obj);
	if (pi->cmds)
		emit_commands(pi, obj);
	ret = send_msg(CHAN_STATS, seq, 0, json_object_to_json_string(obj));
	json_object_put(obj);
	return ret;
}

static int on_admin(struct portal_instance *pi, uint32_t seq, const char *text)
{
	struct err err = { "" };
	int ret = worker_admin(pi, text, &err);

	return send_msg(CHAN_DONE, seq, ret, err.msg);
}

/* Whoever it is sees its end of the socket closed if the plugin does not want it. */
static void on_connect(struct portal_instance *pi, int *fds, unsigned int nr_fds)
{
	int ret = -EOPNOTSUPP;

	if (nr_fds == 1 && pi->plugin.ops.connect)
		ret = pi->plugin.ops.connect(pi->handle, fds[0]);
	if (ret) {
		log_warn("a connection was refused: %s", strerror(-ret));
		chan_close_fds(fds, nr_fds);
	}
}

static int handle_msg(struct portal_instance *pi, const struct chan_msg *msg, const char *text,
		      int *fds, unsigned int nr_fds)
{
	log_debug("supervisor: %s", chan_type_name(msg->type));
	switch (msg->type) {
	case CHAN_SETUP:
		return on_setup(pi, text, fds, nr_fds);
	case CHAN_START:
		return on_start(pi, msg, fds, nr_fds);
	case CHAN_ENABLE:
		return on_enable(pi, msg);
	case CHAN_DISABLE:
		worker_disable(pi);
		return send_msg(CHAN_ACK, msg->seq, 0, NULL);
	case CHAN_STAT:
		return on_stat(pi, msg->seq);
	case CHAN_ADMIN:
		return on_admin(pi, msg->seq, text);
	case CHAN_CONNECT:
		on_connect(pi, fds, nr_fds);
		return 0;
	case CHAN_PING:
		return send_msg(CHAN_PONG, msg->seq, 0, NULL);
	case CHAN_STOP:
		pi->stopping = true;
		return 0;
	default:
		chan_close_fds(fds, nr_fds);
		return 0;
	}
}

/* One message; @flags 0 waits for it. 0 none there. */
static int read_channel(struct portal_instance *pi, int flags)
{
	int fds[CHAN_MAX_FDS];
	struct chan_msg msg;
	unsigned int nr_fds;
	char *text;
	int ret;

	ret = chan_recv(CHAN_FD, &msg, &text, fds, &nr_fds, flags);
	if (ret <= 0)
		return ret;
	ret = handle_msg(pi, &msg, text, fds, nr_fds);
	free(text);
	return ret < 0 ? ret : 1;
}

static int drain_channel(struct portal_instance *pi)
{
	int ret;

	pi->chan_ready = false;
	do
		ret = read_channel(pi, MSG_DONTWAIT);
	while (ret > 0 && !pi->stopping);
	if (ret < 0)
		return ret;
	return arm_channel(pi);
}

/* ---- the loop ------------------------------------------------------------- */

static void retry_done(struct portal_uring_op *op, int res)
{
	struct portal_instance *pi =
		(void *)((char *)op - offsetof(struct portal_instance, retry_op));

	(void)res;
	pi->retry = true;
}

/* The command of the owner before us is still parked on the queue: wait a bit. */
static int arm_later(struct portal_instance *pi)
{
	static struct __kernel_timespec delay = { .tv_nsec = 20 * 1000 * 1000 };
	struct io_uring_sqe *sqe = worker_sqe(&pi->ring);

	if (!sqe)
		return -ENOSR;
	pi->retry_op.done = retry_done;
	io_uring_prep_timeout(sqe, &delay, 0, 0);
	io_uring_sqe_set_data(sqe, &pi->retry_op);
	return 0;
}

/* Sends the replies, and lets go what waits for our head to pass. */
static int arm_queue(struct portal_instance *pi)
{
	int ret = portal_queue_arm(pi->queue);

	if (ret == -EBUSY) {	/* the submission ring is full */
		io_uring_submit(&pi->ring);
		ret = portal_queue_arm(pi->queue);
	}
	return ret;
}

static int take_requests(struct portal_instance *pi)
{
	const struct portal_request *req;

	pi->page->batches++;
	while ((req = portal_queue_next(pi->queue)))
		dispatch(pi, req);
	return arm_queue(pi);
}

static int on_queue_cqe(struct portal_instance *pi)
{
	int ret;

	pi->have_queue_cqe = false;
	ret = portal_queue_cqe(pi->queue, &pi->queue_cqe);
	if (ret == -EBUSY)
		return arm_later(pi);
	return ret < 0 ? ret : take_requests(pi);
}

static int loop(struct portal_instance *pi)
{
	int ret;

	ret = arm_channel(pi);
	if (!ret)
		ret = worker_cmd_arm(pi);
	if (!ret)
		ret = take_requests(pi);	/* what an earlier worker left */
	while (ret >= 0 && !pi->stopping) {
		if (!pi->have_queue_cqe && !pi->chan_ready && !pi->retry)
			ret = submit_and_wait(pi);
		if (ret >= 0 && pi->have_queue_cqe)
			ret = on_queue_cqe(pi);
		if (ret >= 0 && (pi->retry || pi->replied)) {
			pi->retry = pi->replied = false;
			ret = arm_queue(pi);
		}
		if (ret >= 0 && pi->chan_ready)
			ret = drain_channel(pi);
	}
	return ret;
}

int worker_main(void)
{
	static struct portal_instance worker;	/* zero; too large for a stack */
	struct portal_instance *pi = &worker;
	int ret = 0;

	/* the supervisor may have died before this took effect */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1 && !getenv("PORTALD_WORKER_TEST"))
		return 1;
	prctl(PR_SET_NAME, "portald-worker");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);	/* ^C: the supervisor says STOP */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	pi->env.irqfd = -1;
	pi->cmd_timer = -1;
	pi->thread = pthread_self();

	while (ret >= 0 && !pi->queue && !pi->stopping)
		ret = read_channel(pi, 0);
	if (ret == 1 || !ret)
		ret = pi->queue && !pi->stopping ? loop(pi) : 0;
	if (ret < 0 && ret != -EPIPE && ret != -ENODEV && pi->queue)
		log_err("stops: %s", strerror(-ret));
	if (ret == -ENODEV)
		ret = 0;	/* the VM is gone; the supervisor knows, too */
	worker_teardown(pi);
	return ret < 0;
}
