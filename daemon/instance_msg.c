// SPDX-License-Identifier: GPL-2.0-only
/*
 * instance_msg.c - messages to and from a worker
 *
 * Never waits: a worker that does not read is killed by the timer of what it
 * was asked. What a worker says is checked; one that talks nonsense is killed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon.h"

#define HOLD_NS	30000000000ULL	/* the longest pause before a restart, and some */

static int send_msg(struct instance *inst, struct chan_msg *msg, const char *text,
		    const int *fds, unsigned int nr_fds)
{
	int ret = chan_send(inst->chan, msg, text, fds, nr_fds, MSG_DONTWAIT);

	if (ret == -EAGAIN)
		instance_kill(inst, "it does not read its messages");
	return ret;
}

static int on_ack_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;

	(void)src;
	(void)usec;
	watch_off(&inst->timer);
	instance_kill(inst, "no answer within 5 s");
	return 0;
}

/* With a medium that takes the place of another one. */
static char *setup_of_swap(const struct instance *inst)
{
	struct json_object *obj = json_tokener_parse(inst->setup);
	char *text;

	json_put_u64(obj, "swapped", 1);
	text = strdup(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
	json_object_put(obj);
	return text;
}

int instance_setup(struct instance *inst)
{
	struct chan_msg msg = { .type = CHAN_SETUP };
	int fds[SETUP_NR_FDS], ret;
	char *swap = NULL;

	if (inst->admin.old_setup && !(swap = setup_of_swap(inst)))
		return -ENOMEM;
	ret = portal_vm_dup(inst->vm->pvm, PORTAL_RIGHT_MEM_READ | PORTAL_RIGHT_MEM_WRITE);
	if (ret < 0) {
		free(swap);
		return ret;
	}
	fds[SETUP_FD_VM] = ret;
	fds[SETUP_FD_PAGE] = inst->page_fd;
	fds[SETUP_FD_BUS] = inst->vm->bus_fd;
	fds[SETUP_FD_IRQ] = inst->irq_fd;
	ret = send_msg(inst, &msg, swap ? : inst->setup, fds, SETUP_NR_FDS);
	free(swap);
	fd_close(&fds[SETUP_FD_VM]);
	return ret;
}

static void fill_enable(const struct instance *inst, struct chan_enable *en)
{
	const struct bus_slot *s = &inst->bus;

	*en = (struct chan_enable) {
		.enabled = s->mapped,
		.resume = s->served,
		.has_irq = s->gsi != 0,
	};
	if (s->region) {
		en->region_id = portal_region_id(s->region);
		en->shadow_off = portal_region_shadow_off(s->region);
		en->shadow_size = portal_region_shadow_size(s->region);
	}
}

static int ask(struct instance *inst, struct chan_msg *msg)
{
	if (inst->state != INST_STARTED && inst->state != INST_RUNNING)
		return -ENOTCONN;
	watch_timer(inst->vm->sv, &inst->timer, ACK_TIMEOUT, on_ack_timer, inst);
	/* if it can't be sent, the worker's death brings the answer */
	send_msg(inst, msg, NULL, NULL, 0);
	return 0;
}

int instance_enable(struct instance *inst, uint32_t seq)
{
	struct chan_msg msg = { .type = CHAN_ENABLE, .seq = seq };

	fill_enable(inst, &msg.enable);
	return ask(inst, &msg);
}

int instance_disable(struct instance *inst, uint32_t seq)
{
	struct chan_msg msg = { .type = CHAN_DISABLE, .seq = seq };

	return ask(inst, &msg);
}

int instance_stat(struct instance *inst, uint32_t seq)
{
	struct chan_msg msg = { .type = CHAN_STAT, .seq = seq };

	if (inst->state != INST_RUNNING)
		return -ENOTCONN;
	return send_msg(inst, &msg, NULL, NULL, 0);
}

int instance_admin(struct instance *inst, uint32_t seq, const char *json)
{
	struct chan_msg msg = { .type = CHAN_ADMIN, .seq = seq };

	if (inst->state != INST_RUNNING)
		return -ENOTCONN;
	return send_msg(inst, &msg, json, NULL, 0);
}

int instance_send_stop(struct instance *inst)
{
	struct chan_msg msg = { .type = CHAN_STOP };

	return chan_send(inst->chan, &msg, NULL, NULL, 0, MSG_DONTWAIT);
}

/* ---- PING ----------------------------------------------------------------- */

static int on_ping_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct chan_msg msg = { .type = CHAN_PING };
	struct instance *inst = arg;
	char why[64];

	(void)src;
	(void)usec;
	instance_read(inst);	/* perhaps it was us who slept */
	if (inst->state != INST_RUNNING || inst->asked)
		return 0;
	if (inst->unanswered >= 2) {
		snprintf(why, sizeof(why), "it hangs: no answer within %u s", inst->timeout);
		instance_kill(inst, why);
		return 0;
	}
	if (!inst->unanswered)
		send_msg(inst, &msg, NULL, NULL, 0);
	inst->unanswered++;
	instance_watch(inst);
	return 0;
}

void instance_watch(struct instance *inst)
{
	if (inst->timeout)
		watch_timer(inst->vm->sv, &inst->ping_timer, inst->timeout * 500000ULL,
			    on_ping_timer, inst);
}

/* ---- DESCRIBE -> START ---------------------------------------------------- */

/* The queue and its hook; they outlive the worker. */
static int make_queue(struct instance *inst)
{
	struct portal_queue_opts qopts = {
		.sz = sizeof(qopts), .orphan = PORTAL_ORPHAN_REQUEUE, .hold_ns = HOLD_NS,
		.transport = PORTAL_TRANSPORT_READ,
	};
	struct portal_hook_opts hopts = { .sz = sizeof(hopts), .cookie = inst->slot };
	uint32_t first = PORTAL_HC_SERVICE(inst->slot);
	struct vm *vm = inst->vm;
	struct portal_queue *queue;
	int ret;

	ret = portal_queue_create(vm->pvm, &qopts, &queue);
	if (ret)
		return ret;
	inst->queue_id = portal_queue_id(queue);
	portal_queue_close(queue);	/* the worker will own it */
	if (!inst->desc.services)
		return 0;
	ret = portal_hook_hypercall(vm->pvm, inst->queue_id, first,
				    first + PORTAL_HC_SERVICE_FNS - 1, &hopts);
	if (ret < 0)
		return ret;
	inst->hook_id = ret;
	return 0;
}

static int send_start(struct instance *inst)
{
	struct chan_msg msg = { .type = CHAN_START };
	int fds[START_NR_FDS], ret;

	ret = portal_queue_open_fd(inst->vm->pvm, inst->queue_id);
	if (ret < 0)
		return ret;
	fds[START_FD_QUEUE] = ret;
	fds[START_FD_STATE] = inst->state_fd;
	fill_enable(inst, &msg.enable);
	inst->start_enabled = inst->bus.mapped;
	inst->state = INST_STARTED;
	ret = send_msg(inst, &msg, NULL, fds, START_NR_FDS);
	/* not kept: its close at the worker's death makes the queue an orphan */
	fd_close(&fds[START_FD_QUEUE]);
	return ret;
}

static void on_describe(struct instance *inst, const struct chan_describe *desc)
{
	const char *why;
	int ret = 0;

	if (inst->state != INST_STARTING || chan_check_describe(desc, &why)) {
		instance_kill(inst, "it describes itself wrongly");
		return;
	}
	if (!inst->described) {
		inst->desc = *desc;
		ret = instance_make_state(inst);
		if (!ret)
			ret = make_queue(inst);
		inst->described = !ret;
	} else if (memcmp(&inst->desc, desc, sizeof(*desc))) {
		instance_kill(inst, "the plugin was replaced by one that looks different to the guest; detach and attach");
		return;
	}
	if (!ret) {
		admin_swapped(inst);	/* the medium is open: from now on it is the one */
		ret = send_start(inst);
	}
	if (ret < 0 && ret != -EAGAIN) {
		snprintf(inst->error.msg, sizeof(inst->error.msg), "cannot set up its queue: %s",
			 portal_strerror(ret));
		instance_kill(inst, NULL);
	}
}

/* Its registers, if the host says where they are. */
static int place(struct instance *inst)
{
	int ret = inst->desc.fixed ? slot_place(inst) : 0;

	if (ret >= 0)
		return 0;
	snprintf(inst->error.msg, sizeof(inst->error.msg),
		 "its registers cannot be put to %s 0x%llx%s: %s",
		 inst->desc.bus == PORTAL_BUS_PIO ? "port" : "address",
		 (unsigned long long)inst->desc.gpa,
		 inst->desc.gsi ? ", or its interrupt not connected" : "", portal_strerror(ret));
	instance_kill(inst, NULL);
	return ret;
}

static void on_ready(struct instance *inst)
{
	if (inst->state != INST_STARTED) {
		instance_kill(inst, "it is ready too early");
		return;
	}
	watch_off(&inst->timer);
	inst->state = INST_RUNNING;
	inst->unanswered = 0;
	instance_watch(inst);
	instance_restarted(inst, NULL);
	supervisor_status(inst->vm->sv);
	admin_ready(inst);
	if (inst->bus.offered) {
		log_info("%s/%s: worker %d serves again", inst->vm->name, inst->name, inst->pid);
		bus_worker_ready(inst);
		/* an operation sent after START still waits for its ACK */
		if (inst->bus.op != BUS_OP_NONE)
			watch_timer(inst->vm->sv, &inst->timer, ACK_TIMEOUT, on_ack_timer, inst);
		return;
	}
	if (place(inst))
		return;
	bus_offer(inst);
	vm_instance_ready(inst->vm);
	admin_offered(inst);
}

static void handle(struct instance *inst, const struct chan_msg *msg, const char *text)
{
	switch (msg->type) {
	case CHAN_DESCRIBE:
		on_describe(inst, &msg->describe);
		break;
	case CHAN_READY:
		on_ready(inst);
		break;
	case CHAN_FAILED:
		snprintf(inst->error.msg, sizeof(inst->error.msg), "%s", text ? : "failed");
		if (inst->bus.offered)
			log_err("%s/%s: %s", inst->vm->name, inst->name, inst->error.msg);
		break;
	case CHAN_ACK:
		if (inst->bus.op == BUS_OP_NONE || msg->seq != inst->bus.op_seq)
			break;
		watch_off(&inst->timer);
		if (msg->err && text)
			log_warn("%s/%s: %s", inst->vm->name, inst->name, text);
		bus_ack(inst, msg->seq, msg->err);
		break;
	case CHAN_PONG:
		inst->unanswered = 0;
		break;
	case CHAN_DONE:
		admin_done(inst, msg->seq, msg->err, text);
		break;
	case CHAN_STATS:
		stats_arrived(inst, msg->seq, text);
		break;
	default:
		instance_kill(inst, "it sent a message that is not a worker's");
	}
}

void instance_read(struct instance *inst)
{
	int fds[CHAN_MAX_FDS], ret;
	struct chan_msg msg;
	unsigned int nr_fds;
	char *text;

	while (inst->chan >= 0) {
		ret = chan_recv(inst->chan, &msg, &text, fds, &nr_fds, MSG_DONTWAIT);
		if (ret == -EPIPE || !ret) {
			if (ret)
				watch_off(&inst->chan_src);
			return;
		}
		if (ret < 0) {
			instance_kill(inst, "it sent something that is not a message");
			watch_off(&inst->chan_src);
			return;
		}
		chan_close_fds(fds, nr_fds);	/* none are expected */
		if (inst->state != INST_STOPPING || msg.type == CHAN_ACK)
			handle(inst, &msg, text);
		free(text);
	}
}
