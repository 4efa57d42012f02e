// SPDX-License-Identifier: GPL-2.0-only
/*
 * instance.c - one worker, as the supervisor sees it: start, death, restart
 *
 * What must survive a worker belongs to us: its queue, the shared page with
 * queued interrupts, the front end's state, the eventfds. So whatever kills
 * it, the next one finds everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"

static int spawn(struct instance *inst);

/* No worker will come any more, unless somebody asks for one. */
static void fail(struct instance *inst)
{
	inst->state = INST_FAILED;
	instance_restarted(inst, inst->error.msg);
	bus_fail(inst);
	snapshot_write(inst->vm);
	supervisor_status(inst->vm->sv);
}

const char *instance_state_name(enum instance_state state)
{
	static const char *const names[] = {
		"starting", "starting", "running", "restarting", "failed", "stopping", "stopped",
	};

	return names[state];
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/* ---- end of a process ----------------------------------------------------- */

static void describe_exit(const siginfo_t *si, char *buf, size_t len)
{
	if (si->si_code == CLD_EXITED)
		snprintf(buf, len, "exited with status %d", si->si_status);
	else
		snprintf(buf, len, "was killed by signal %d (%s)", si->si_status,
			 strsignal(si->si_status));
}

static void forget_process(struct instance *inst)
{
	watch_off(&inst->chan_src);
	watch_off(&inst->child_src);
	watch_off(&inst->timer);
	watch_off(&inst->ping_timer);
	fd_close(&inst->chan);
	inst->pid = 0;
}

void instance_start(struct instance *inst)
{
	int ret;

	watch_off(&inst->timer);
	ret = spawn(inst);
	if (ret) {
		snprintf(inst->error.msg, sizeof(inst->error.msg), "cannot start a worker: %s",
			 strerror(-ret));
		log_err("%s/%s: %s", inst->vm->name, inst->name, inst->error.msg);
		fail(inst);
	}
}

static int on_restart_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	instance_start(arg);
	return 0;
}

static void died(struct instance *inst, const char *how)
{
	struct vm *vm = inst->vm;
	int64_t delay;

	if (!inst->error.msg[0])
		snprintf(inst->error.msg, sizeof(inst->error.msg), "its worker %s", how);
	if (!inst->bus.offered && vm->state == VM_ATTACHING) {
		inst->state = INST_FAILED;
		vm_instance_failed(inst);
		return;
	}
	bus_worker_gone(inst);
	if (inst->asked) {
		inst->asked = false;
		instance_start(inst);
		return;
	}
	if (admin_died(inst))
		return;
	if (!inst->bus.offered) {	/* failed, restarted, and not even ready */
		log_err("%s/%s: worker %s; it stays failed", vm->name, inst->name, how);
		fail(inst);
		return;
	}
	instance_restarted(inst, inst->error.msg);
	delay = inst->restart ? restart_after_death(&inst->deaths, now_us()) : -1;
	if (delay < 0) {
		log_err("%s/%s: worker %s; given up%s: its device leaves the guest; see portalctl stat, then portalctl restart %s %s",
			vm->name, inst->name, how,
			inst->restart ? " after too many deaths" : " ('restart = off')",
			vm->name, inst->name);
		fail(inst);
		return;
	}
	log_warn("%s/%s: worker %s; starts again%s", vm->name, inst->name, how,
		 delay ? " after a pause" : "");
	inst->state = INST_WAITING;
	if (watch_timer(vm->sv, &inst->timer, delay, on_restart_timer, inst) < 0)
		instance_start(inst);
}

static int on_exit_of_child(sd_event_source *src, const siginfo_t *si, void *arg)
{
	struct instance *inst = arg;
	char how[80];

	(void)src;
	describe_exit(si, how, sizeof(how));
	instance_read(inst);		/* its last words */
	forget_process(inst);
	if (inst->state == INST_STOPPING) {
		inst->state = INST_STOPPED;
		if (inst->bus.op == BUS_OP_DISABLE)
			bus_worker_gone(inst);
		admin_stopped(inst);
		vm_instance_stopped(inst->vm);
	} else {
		died(inst, how);
	}
	return 0;
}

void instance_kill(struct instance *inst, const char *why)
{
	if (inst->pid <= 0)
		return;
	if (why) {
		log_warn("%s/%s: worker killed: %s", inst->vm->name, inst->name, why);
		if (!inst->error.msg[0])
			snprintf(inst->error.msg, sizeof(inst->error.msg), "%s", why);
	}
	kill(inst->pid, SIGKILL);	/* ours and not reaped yet: the number is right */
}

/* ---- start ---------------------------------------------------------------- */

static int on_start_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;

	(void)src;
	(void)usec;
	watch_off(&inst->timer);
	instance_kill(inst, "not ready within 30 s; is its storage reachable?");
	return 0;
}

static int on_channel(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct instance *inst = arg;

	(void)fd;
	if (revents & EPOLLIN)
		instance_read(inst);
	else	/* hung up; its end as a process comes by itself */
		sd_event_source_set_enabled(src, SD_EVENT_OFF);
	return 0;
}

static int spawn(struct instance *inst)
{
	sd_event *event = inst->vm->sv->event;
	int ret;

	inst->error.msg[0] = '\0';
	inst->state = INST_STARTING;
	ret = spawn_worker(&inst->pid, &inst->chan);
	if (ret)
		return ret;
	inst->started = process_started(inst->pid);
	/* before it gets anything: the next portald must know whom to wait for */
	snapshot_write(inst->vm);
	ret = sd_event_add_child(event, &inst->child_src, inst->pid, WEXITED, on_exit_of_child,
				 inst);
	if (ret >= 0)
		ret = sd_event_add_io(event, &inst->chan_src, inst->chan, EPOLLIN, on_channel, inst);
	if (ret >= 0)
		ret = watch_timer(inst->vm->sv, &inst->timer, START_TIMEOUT, on_start_timer, inst);
	if (ret >= 0)
		ret = instance_setup(inst);
	if (ret < 0) {
		kill(inst->pid, SIGKILL);
		waitpid(inst->pid, NULL, 0);
		forget_process(inst);
		return ret;
	}
	return 0;
}

/* A page that the worker can write but not take away under our reads. */
static int sealed_memfd(const char *name, size_t len, int *fd)
{
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (ftruncate(*fd, len) ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return 0;
}

char *instance_setup_json(const struct vm *vm, const struct config_instance *ci)
{
	const struct supervisor *sv = vm->sv;
	struct json_object *obj = json_object_new_object();
	struct json_object *keys = json_object_new_array();
	char *text;

	json_object_object_add(obj, "name", json_object_new_string(ci->name));
	json_object_object_add(obj, "vm", json_object_new_string(vm->name));
	json_object_object_add(obj, "plugin", json_object_new_string(ci->plugin));
	json_object_object_add(obj, "plugin_dir", json_object_new_string(
			       sv->opts->plugin_dir ? : sv->cfg->plugin_dir));
	if (ci->frontend)
		json_object_object_add(obj, "frontend", json_object_new_string(ci->frontend));
	if (ci->serial)
		json_object_object_add(obj, "serial", json_object_new_string(ci->serial));
	if (ci->queues)
		json_object_object_add(obj, "queues", json_object_new_int((int)ci->queues));
	if (ci->limits)
		json_object_object_add(obj, "limits", json_object_new_string(ci->limits));
	json_object_object_add(obj, "sandbox", json_object_new_int(ci->sandbox));
	json_object_object_add(obj, "log_level", json_object_new_int(log_level()));
	for (unsigned int i = 0; i < ci->nr_keys; i++) {
		struct json_object *k = json_object_new_object();

		json_object_object_add(k, "key", json_object_new_string(ci->keys[i].key));
		json_object_object_add(k, "value", json_object_new_string(ci->keys[i].value));
		json_object_object_add(k, "file", json_object_new_string(ci->keys[i].file));
		json_object_object_add(k, "line", json_object_new_int(ci->keys[i].line));
		json_object_array_add(keys, k);
	}
	json_object_object_add(obj, "keys", keys);
	text = strdup(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
	json_object_put(obj);
	return text;
}

int instance_create(struct vm *vm, unsigned int slot, const struct config_instance *ci,
		    struct instance **out, struct err *err)
{
	struct instance *inst = calloc(1, sizeof(*inst));
	int ret;

	if (!inst)
		return err_set(err, -ENOMEM, "out of memory");
	inst->vm = vm;
	inst->slot = slot;
	snprintf(inst->name, sizeof(inst->name), "%s", ci->name);
	snprintf(inst->plugin, sizeof(inst->plugin), "%s", ci->plugin);
	inst->block = ci->frontend;
	inst->restart = ci->restart;
	inst->timeout = ci->has_timeout ? ci->timeout : vm->sv->cfg->timeout;
	inst->chan = inst->page_fd = inst->state_fd = -1;
	inst->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	inst->setup = instance_setup_json(vm, ci);
	ret = inst->irq_fd < 0 ? -errno : inst->setup ? 0 : -ENOMEM;
	if (!ret)
		ret = sealed_memfd("portal-page", CHAN_PAGE_SIZE, &inst->page_fd);
	if (!ret) {
		inst->page = mmap(NULL, CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				  inst->page_fd, 0);
		if (inst->page == MAP_FAILED) {
			inst->page = NULL;
			ret = -errno;
		}
	}
	if (!ret)
		ret = spawn(inst);
	if (ret) {
		instance_destroy(inst);
		return err_set(err, ret, "instance %s: cannot start a worker: %s", ci->name,
			       strerror(-ret));
	}
	*out = inst;
	return 0;
}

int instance_make_state(struct instance *inst)
{
	size_t len = inst->desc.state_len ? inst->desc.state_len : 1;

	return inst->state_fd >= 0 ? 0 : sealed_memfd("portal-state", len, &inst->state_fd);
}

/* ---- stop ----------------------------------------------------------------- */

static int on_stop_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct instance *inst = arg;

	(void)src;
	(void)usec;
	watch_off(&inst->timer);
	instance_kill(inst, "did not end within 5 s");
	return 0;
}

void instance_stop(struct instance *inst)
{
	if (inst->state == INST_STOPPING || inst->state == INST_STOPPED)
		return;
	instance_restarted(inst, "the VM is being detached");
	watch_off(&inst->timer);
	watch_off(&inst->ping_timer);
	if (inst->pid <= 0) {
		inst->state = INST_STOPPED;
		admin_stopped(inst);
		return;
	}
	inst->state = INST_STOPPING;
	if (instance_send_stop(inst) ||
	    watch_timer(inst->vm->sv, &inst->timer, STOP_TIMEOUT, on_stop_timer, inst) < 0)
		instance_kill(inst, NULL);
}

void instance_destroy(struct instance *inst)
{
	if (!inst)
		return;
	if (inst->pid > 0) {
		kill(inst->pid, SIGKILL);
		waitpid(inst->pid, NULL, 0);
	}
	forget_process(inst);
	watch_off(&inst->admin.timer);
	if (inst->page)
		munmap(inst->page, CHAN_PAGE_SIZE);
	fd_close(&inst->page_fd);
	fd_close(&inst->irq_fd);
	fd_close(&inst->state_fd);
	json_object_put(inst->stats);
	free(inst->setup);
	free(inst->admin.old_setup);
	free(inst);
}

/* ---- by portalctl --------------------------------------------------------- */

void instance_restarted(struct instance *inst, const char *why)
{
	struct json_object *obj;

	if (!inst->restart_conn)
		return;
	if (why) {
		obj = control_error("instance %s: %s", inst->name, why);
	} else {
		obj = control_ok();
		json_object_object_add(obj, "vm", json_object_new_string(inst->vm->name));
		json_object_object_add(obj, "instance", json_object_new_string(inst->name));
		json_object_object_add(obj, "pid", json_object_new_int(inst->pid));
	}
	control_reply(inst->vm->sv, inst->restart_conn, obj);
	inst->restart_conn = 0;
}

/* As a death of the worker, but it ends what it has begun. */
int instance_replace(struct instance *inst, struct err *err)
{
	if (inst->bus.op != BUS_OP_NONE)
		return err_set(err, -EBUSY,
			       "the guest is just enabling or disabling %s; try again", inst->name);
	inst->asked = true;
	watch_off(&inst->ping_timer);
	if (instance_send_stop(inst) ||
	    watch_timer(inst->vm->sv, &inst->timer, STOP_TIMEOUT, on_stop_timer, inst) < 0)
		instance_kill(inst, NULL);
	return 0;
}

/*
 * It had left the guest. If the guest has let go, it comes as a new device;
 * else as what it was, which the next worker resumes.
 */
static void revive(struct instance *inst)
{
	if (inst->bus.mapped)
		bus_return(inst);
	else
		inst->bus.offered = inst->bus.leaving = false;
	instance_start(inst);
}

int instance_restart(struct instance *inst, uint64_t conn, struct err *err)
{
	int ret = 0;

	if (inst->vm->state != VM_RUNNING)
		return err_set(err, -EBUSY, "VM %s is %s", inst->vm->name,
			       vm_state_name(inst->vm->state));
	if (inst->restart_conn || inst->admin.op != ADMIN_NONE || inst->asked || inst->state == INST_STARTING ||
	    inst->state == INST_STARTED)
		return err_set(err, -EBUSY, "instance %s is just being started; see portalctl list",
			       inst->name);
	log_notice("%s/%s: restart, as portalctl asks", inst->vm->name, inst->name);
	inst->deaths = (struct restart){ .nr = 0 };
	inst->restart_conn = conn;
	if (inst->state == INST_FAILED)
		revive(inst);
	else if (inst->pid > 0)
		ret = instance_replace(inst, err);
	else
		instance_start(inst);
	if (ret)
		inst->restart_conn = 0;
	return ret;
}

/* ---- interrupts ----------------------------------------------------------- */

bool instance_pending(const struct instance *inst)
{
	return __atomic_load_n(&inst->page->queued, __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&inst->page->taken, __ATOMIC_SEQ_CST);
}

/* As api->queue_interrupt(), from outside: publish, then signal. */
int instance_interrupt(struct instance *inst)
{
	__atomic_fetch_add(&inst->page->queued, 1, __ATOMIC_SEQ_CST);
	bus_signal(inst->vm);
	return 0;
}

struct instance *instance_holder(struct supervisor *sv, const char *name)
{
	for (struct vm *vm = sv->vms; vm; vm = vm->next)
		for (unsigned int i = 0; i < vm->nr_slots; i++)
			if (vm->slots[i] && vm->slots[i]->block &&
			    !strcmp(vm->slots[i]->name, name))
				return vm->slots[i];
	return NULL;
}
