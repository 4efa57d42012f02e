// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker_setup.c - from SETUP to READY, and back
 *
 * Whatever the administrator can get wrong is found here, and goes back to
 * portalctl as one sentence.
 */
#include <errno.h>
#include <json-c/json.h>
#include <linux/portal_guest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

#define RING_ENTRIES	256

static const char *get_str(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : NULL;
}

static int get_int(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int(val) : 0;
}

static int describe(struct portal_instance *pi, struct err *err)
{
	const struct portald_plugin *ops = &pi->plugin.ops;
	struct chan_describe *d = &pi->desc;
	const char *why;

	d->fns = pi->ops && pi->ops->fns ? pi->ops->fns : ops->fns;
	d->services = d->fns || ops->interrupt || ops->commands;
	d->fixed = pi->env.place.fixed;
	d->bus = pi->env.place.bus;
	d->gpa = pi->env.place.gpa;
	d->gsi = pi->env.place.gsi;
	if (pi->ops) {
		d->slot_type = pi->ops->slot_type;
		d->region_len = pi->ops->region_len;
		d->state_len = pi->ops->state_len;
		d->nr_ranges = pi->ops->nr_ranges;
		for (uint32_t i = 0; i < d->nr_ranges && i < CHAN_MAX_RANGES; i++)
			d->ranges[i] = pi->ops->ranges[i];
	} else {
		d->slot_type = ops->commands ? PORTAL_SLOT_CHANNEL :
			       ops->region_len ? PORTAL_SLOT_REGS : PORTAL_SLOT_SERVICE;
		d->region_len = ops->region_len;
		d->nr_ranges = ops->nr_registers;
		for (uint32_t i = 0; i < d->nr_ranges && i < CHAN_MAX_RANGES; i++) {
			const struct portal_register *r = &ops->registers[i];

			d->ranges[i] = (struct portal_region_range) {
				.offset = r->offset, .len = r->len, .attr = r->attr,
				.flags = r->flags, .aux = r->aux, .width = r->width,
				.eventfd = -1,
			};
		}
	}
	if (chan_check_describe(d, &why))
		return err_set(err, -EINVAL, "plugin %s: %s", ops->name, why);
	return 0;
}

/*
 * SETUP: everything the plugin needs the administrator's rights for. The ring
 * is made first, so that a plugin finds it in open(), and locked last.
 */
int worker_setup(struct portal_instance *pi, const char *json, const int *fds,
		 unsigned int nr_fds, struct err *err)
{
	struct json_object *setup = json ? json_tokener_parse(json) : NULL;
	enum sandbox_mode sandbox;
	const char *frontend;
	int ret;

	if (!setup || nr_fds != SETUP_NR_FDS) {
		ret = err_set(err, -EBADMSG, "the supervisor's SETUP is not one");
		goto out;
	}
	snprintf(pi->name, sizeof(pi->name), "%s", get_str(setup, "name"));
	log_open(get_int(setup, "log_level"), pi->name);
	pi->bus_fd = fds[SETUP_FD_BUS];
	pi->irq_fd = fds[SETUP_FD_IRQ];
	pi->page = mmap(NULL, CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			fds[SETUP_FD_PAGE], 0);
	if (pi->page == MAP_FAILED) {
		ret = err_set(err, -errno, "cannot map the shared page: %m");
		goto out;
	}
	/* an interrupt handler that died with the last worker runs again */
	pi->page->taken = pi->page->served;
	ret = portal_vm_from_fd(fds[SETUP_FD_VM], &pi->vm);
	if (ret) {
		err_set(err, ret, "cannot use the VM's fd: %s", strerror(-ret));
		goto out;
	}
	frontend = get_str(setup, "frontend");
	if (frontend) {
		pi->ops = frontend_find(frontend);
		if (!pi->ops) {
			ret = err_set(err, -ENOENT, "unknown frontend '%s'; known are virtio-blk, bio, blk",
				      frontend);
			goto out;
		}
		pi->io_timeout = (unsigned int)get_int(setup, "io_timeout");
		if (get_str(setup, "limits"))
			pi->limits = strdup(get_str(setup, "limits"));
		pi->swapped = get_int(setup, "swapped");
		pi->env.serial = strdup(get_str(setup, "serial") ? : pi->name);
		pi->env.queues = (uint32_t)get_int(setup, "queues");
	}
	sandbox = get_int(setup, "sandbox");
	ret = sandbox_ring(&pi->ring, RING_ENTRIES, sandbox, err);
	if (!ret)
		ret = worker_open_plugin(pi, setup, err);
	if (!ret)
		ret = worker_check_swap(pi, err);
	if (!ret)
		ret = describe(pi, err);
	if (!ret)
		ret = sandbox_enter(sandbox, err);
out:
	json_object_put(setup);
	return ret;
}

static int map_state(struct portal_instance *pi, int fd, struct err *err)
{
	pi->env.state_len = pi->desc.state_len;
	if (!pi->env.state_len)
		return 0;
	pi->env.state = mmap(NULL, pi->env.state_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pi->env.state == MAP_FAILED) {
		pi->env.state = NULL;
		return err_set(err, -errno, "cannot map the front end's state: %m");
	}
	return 0;
}

static int create_frontend(struct portal_instance *pi, int state_fd, struct err *err)
{
	int ret;

	ret = map_state(pi, state_fd, err);
	if (ret)
		return ret;
	ret = portal_mem_map(pi->vm, true, &pi->env.mem);
	if (ret < 0)
		return err_set(err, ret, "cannot map the guest's memory: %s", strerror(-ret));
	pi->env.irqfd = -1;
	pi->env.uring = &pi->ring;
	pi->env.backend = pi->backend;
	pi->env.storages[0].backend = pi->backend;
	pi->env.nr_storages = 1 + pi->nr_more;
	pi->env.wait = worker_wait;
	pi->env.reply = worker_reply;
	ret = pi->ops->create(&pi->env, &pi->fe);
	if (ret < 0) {
		const char *why = api_take_error();

		return err_set(err, ret, "front end %s: %s", pi->ops->name,
			       *why ? why : strerror(-ret));
	}
	return worker_set_limits(pi, err);
}

/*
 * START: the device becomes what it was when the last worker died, and only
 * then is the queue opened.
 */
int worker_start(struct portal_instance *pi, const struct chan_enable *en, const int *fds,
		 unsigned int nr_fds, struct err *err)
{
	struct portal_queue_opts opts = {
		.sz = sizeof(opts), .transport = PORTAL_TRANSPORT_URING, .uring = &pi->ring,
	};
	struct portal_queue_info info = { .size = sizeof(info) };
	int ret = 0;

	if (nr_fds != START_NR_FDS || pi->queue || !pi->handle)
		return err_set(err, -EBADMSG, "the supervisor's START is not one");
	pi->env.irqfd = -1;
	pi->queue_fd = fds[START_FD_QUEUE];	/* pi->queue takes it over */
	if (pi->ops)
		ret = create_frontend(pi, fds[START_FD_STATE], err);
	else if (pi->plugin.ops.commands)
		ret = worker_cmd_start(pi, err);
	if (!ret && en->enabled)
		ret = worker_enable(pi, en, err);
	if (ret)
		return ret;
	ret = portal_queue_from_fd(fds[START_FD_QUEUE], &opts, &pi->queue);
	if (ret)
		return err_set(err, ret, "cannot use the queue's fd: %s", strerror(-ret));
	ret = portal_queue_get_info(pi->queue, &info);
	if (ret)
		return err_set(err, ret, "cannot ask the queue: %s", strerror(-ret));
	pi->epoch = info.out_epoch;
	return 0;
}

/* The guest chose an address, or had chosen one (resume). */
int worker_enable(struct portal_instance *pi, const struct chan_enable *en, struct err *err)
{
	int ret = 0;

	if (pi->enabled)
		return err_set(err, -EBUSY, "enabled already");
	if (en->region_id) {
		/* the VM fd has no right to registers, but they are served here */
		ret = portal_region_map_fd(pi->queue_fd, en->region_id, en->shadow_off,
					   en->shadow_size, &pi->region);
		if (ret)
			return err_set(err, ret, "cannot map the device's registers: %s",
				       strerror(-ret));
	}
	pi->env.region = pi->region;
	pi->env.irqfd = en->has_irq ? pi->irq_fd : -1;
	pi->enabled = true;
	if (pi->cmds)
		ret = worker_cmd_enable(pi, en->gpa, err);
	if (ret) {
		pi->enabled = false;
		pi->env.irqfd = -1;
		return ret;
	}
	if (pi->fe) {
		/* the VMM may have added RAM since; not fatal if it can't be told */
		portal_mem_refresh(pi->env.mem);
		ret = pi->ops->enable(pi->fe, en->resume);
	}
	if (ret < 0) {
		err_set(err, ret, "front end %s: %s", pi->ops->name, strerror(-ret));
		pi->enabled = false;
		pi->env.irqfd = -1;
		pi->env.region = NULL;
		if (pi->region)
			portal_region_unmap(pi->region);
		pi->region = NULL;
		return ret;
	}
	return 0;
}

/* Returns when nothing of it is in flight; a worker that hangs here is killed. */
void worker_disable(struct portal_instance *pi)
{
	if (!pi->enabled)
		return;
	if (pi->fe)
		pi->ops->disable(pi->fe);
	if (pi->cmds)
		worker_cmd_disable(pi);
	pi->enabled = false;
	pi->env.irqfd = -1;
	pi->env.region = NULL;
	if (pi->region)
		portal_region_unmap(pi->region);
	pi->region = NULL;
}

void worker_teardown(struct portal_instance *pi)
{
	worker_disable(pi);
	if (pi->fe)
		pi->ops->destroy(pi->fe);
	pi->fe = NULL;
	if (pi->queue)
		portal_queue_close(pi->queue);
	pi->queue = NULL;
	worker_close_plugin(pi);
	worker_cmd_teardown(pi);
	if (pi->env.mem)
		portal_mem_unmap(pi->env.mem);
	if (pi->vm)
		portal_vm_close(pi->vm);
}
