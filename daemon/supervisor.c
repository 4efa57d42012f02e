// SPDX-License-Identifier: GPL-2.0-only
/*
 * supervisor.c - start, signals, end
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon.h"

void supervisor_status(struct supervisor *sv)
{
	unsigned int nr = 0, failed = 0;
	char text[64] = "";

	for (struct vm *vm = sv->vms; vm; vm = vm->next) {
		nr += vm->state == VM_RUNNING || vm->state == VM_LEAVING;
		for (unsigned int i = 0; i < vm->nr_slots; i++)
			failed += vm->slots[i] && vm->slots[i]->state == INST_FAILED;
	}
	if (failed)
		snprintf(text, sizeof(text), ", %u instance%s failed", failed,
			 failed == 1 ? "" : "s");
	sd_notifyf(0, "STATUS=%u VM%s attached%s", nr, nr == 1 ? "" : "s", text);
}

static void end_if_done(struct supervisor *sv)
{
	if (sv->stopping && !sv->vms)
		sd_event_exit(sv->event, 0);
}

void supervisor_vm_freed(struct supervisor *sv)
{
	supervisor_status(sv);
	end_if_done(sv);
}

static int on_stop(sd_event_source *src, const struct signalfd_siginfo *si, void *arg)
{
	struct supervisor *sv = arg;

	(void)src;
	if (sv->stopping) {	/* a second ^C: at once */
		sd_event_exit(sv->event, 1);
		return 0;
	}
	/*
	 * systemd does not tell "stop" from "restart": what it keeps is the next
	 * portald's, or is closed by it, which detaches the VMs.
	 */
	sv->handover = si->ssi_signo == SIGUSR1 || keep_mode(sv->keep) == KEEP_SYSTEMD;
	log_info("%s: stops%s", strsignal(si->ssi_signo),
		 sv->handover && sv->vms ? "; attached VMs are kept for the next portald" : "");
	sd_notify(0, "STOPPING=1");
	sv->stopping = true;
	for (struct vm *vm = sv->vms; vm; vm = vm->next) {
		err_set(&vm->failure, 0, "portald is stopping");
		vm_stop(vm);
	}
	end_if_done(sv);
	return 0;
}

static int on_reload(sd_event_source *src, const struct signalfd_siginfo *si, void *arg)
{
	struct supervisor *sv = arg;
	struct config *cfg;

	(void)src;
	(void)si;
	sd_notify(0, "RELOADING=1");
	if (config_load(sv->opts->config, &cfg)) {
		log_err("the configuration was not reloaded; the old one stays");
	} else {
		config_free(sv->cfg);
		sv->cfg = cfg;
		if (sv->opts->log_level < 0)
			log_set_level(cfg->log_level);
		log_notice("configuration reloaded: %u instances, for VMs attached from now on",
			   cfg->nr_instances);
	}
	sd_notify(0, "READY=1");
	return 0;
}

static int add_signals(struct supervisor *sv)
{
	sigset_t mask;
	int ret;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	ret = sd_event_add_signal(sv->event, NULL, SIGTERM, on_stop, sv);
	if (ret >= 0)
		ret = sd_event_add_signal(sv->event, NULL, SIGINT, on_stop, sv);
	if (ret >= 0)
		ret = sd_event_add_signal(sv->event, NULL, SIGUSR1, on_stop, sv);
	if (ret >= 0)
		ret = sd_event_add_signal(sv->event, NULL, SIGHUP, on_reload, sv);
	if (ret >= 0)
		ret = sd_event_set_watchdog(sv->event, true);
	return ret;
}

/*
 * Waits for the VMs only when systemd asks; the kernel cleans up the rest.
 * @leave: what is kept stays so
 */
static void finish(struct supervisor *sv, bool leave)
{
	if (sv->control)
		control_close(sv->control);
	watch_off(&sv->keep_src);
	keep_destroy(sv->keep, leave);
	config_free(sv->cfg);
	sd_event_unref(sv->event);
}

/* ---- what outlives us ----------------------------------------------------- */

/* The keeper was killed: another one gets all. */
static int on_keeper(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct supervisor *sv = arg;

	(void)src;
	(void)fd;
	(void)revents;
	if (!keep_look(sv->keep))
		return 0;
	watch_off(&sv->keep_src);
	log_warn("the keeper is gone; a new one is started");
	for (struct vm *vm = sv->vms; vm; vm = vm->next)
		if (vm->text_fd >= 0 && vm->state < VM_STOPPING)
			snapshot_keep(vm);
	return 0;
}

void supervisor_watch_keeper(struct supervisor *sv)
{
	int fd = keep_fd(sv->keep);

	if (fd >= 0 && !sv->keep_src)
		sd_event_add_io(sv->event, &sv->keep_src, fd, EPOLLIN, on_keeper, sv);
}

/* A mistake must not end what was attached before it was made. */
static int load_config(struct supervisor *sv)
{
	int ret = config_load(sv->opts->config, &sv->cfg);

	if (!ret || !keep_search(sv->keep, ".text"))
		return ret;
	log_err("the configuration is not used: VMs attached before go on, no other can be attached until 'systemctl reload portald' finds no mistake");
	sv->cfg = config_empty();
	return 0;
}

int supervisor_run(const struct options *opts)
{
	static struct supervisor sv;
	struct err err = { "" };
	const char *socket;
	int ret;

	sv.opts = opts;
	ret = keep_create(opts->keep, &sv.keep, &sv.listen_fd);
	if (!ret)
		ret = load_config(&sv);
	if (ret) {
		finish(&sv, true);
		return 1;	/* said why */
	}
	socket = opts->socket ? : sv.cfg->socket;
	log_set_level(opts->log_level >= 0 ? opts->log_level : sv.cfg->log_level);
	ret = sd_event_new(&sv.event);
	if (ret >= 0)
		ret = add_signals(&sv);
	if (ret < 0) {
		log_err("event loop: %s", strerror(-ret));
		finish(&sv, true);
		return 1;
	}
	ret = control_open(&sv, socket, &err);
	if (ret) {
		log_err("%s", err.msg);
		finish(&sv, true);
		return 1;
	}
	/* only now: if another portald runs, the keeper is its own */
	keep_connect(sv.keep, socket, sv.cfg->keep);
	restore_all(&sv);
	supervisor_watch_keeper(&sv);
	if (access("/dev/portal", F_OK))
		log_warn("/dev/portal is missing: nothing can be attached until 'modprobe portal'");
	log_info("version %s: %u instances configured", PORTALD_VERSION, sv.cfg->nr_instances);
	sd_notify(0, "READY=1");
	supervisor_status(&sv);
	ret = sd_event_loop(sv.event);
	finish(&sv, sv.handover);
	return ret ? 1 : 0;
}
