// SPDX-License-Identifier: GPL-2.0-only
/*
 * supervisor.c - start, signals, end
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon.h"

static void notify_status(struct supervisor *sv)
{
	unsigned int nr = 0;

	for (struct vm *vm = sv->vms; vm; vm = vm->next)
		nr++;
	sd_notifyf(0, "STATUS=%u VM%s attached", nr, nr == 1 ? "" : "s");
}

static void end_if_done(struct supervisor *sv)
{
	if (sv->stopping && !sv->vms)
		sd_event_exit(sv->event, 0);
}

void supervisor_vm_freed(struct supervisor *sv)
{
	notify_status(sv);
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
	log_info("%s: stops", strsignal(si->ssi_signo));
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
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	ret = sd_event_add_signal(sv->event, NULL, SIGTERM, on_stop, sv);
	if (ret >= 0)
		ret = sd_event_add_signal(sv->event, NULL, SIGINT, on_stop, sv);
	if (ret >= 0)
		ret = sd_event_add_signal(sv->event, NULL, SIGHUP, on_reload, sv);
	if (ret >= 0)
		ret = sd_event_set_watchdog(sv->event, true);
	return ret;
}

/* Waits for the VMs only when systemd asks; the kernel cleans up the rest. */
static void finish(struct supervisor *sv)
{
	if (sv->control)
		control_close(sv->control);
	config_free(sv->cfg);
	sd_event_unref(sv->event);
}

int supervisor_run(const struct options *opts)
{
	static struct supervisor sv;
	struct err err = { "" };
	int ret;

	sv.opts = opts;
	if (config_load(opts->config, &sv.cfg))
		return 1;	/* said why */
	log_set_level(opts->log_level >= 0 ? opts->log_level : sv.cfg->log_level);
	ret = sd_event_new(&sv.event);
	if (ret >= 0)
		ret = add_signals(&sv);
	if (ret < 0) {
		log_err("event loop: %s", strerror(-ret));
		finish(&sv);
		return 1;
	}
	ret = control_open(&sv, opts->socket ? : sv.cfg->socket, &err);
	if (ret) {
		log_err("%s", err.msg);
		finish(&sv);
		return 1;
	}
	if (access("/dev/portal", F_OK))
		log_warn("/dev/portal is missing: nothing can be attached until 'modprobe portal'");
	log_info("version %s: %u instances configured", PORTALD_VERSION, sv.cfg->nr_instances);
	sd_notify(0, "READY=1");
	notify_status(&sv);
	ret = sd_event_loop(sv.event);
	finish(&sv);
	return ret ? 1 : 0;
}
