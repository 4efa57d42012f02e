// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch.c - sd-event without its formalities
 */
#include <unistd.h>

#include "daemon.h"

/* (Re)starts a one-shot timer. */
int watch_timer(struct supervisor *sv, sd_event_source **src, uint64_t usec,
		sd_event_time_handler_t fn, void *arg)
{
	watch_off(src);
	return sd_event_add_time_relative(sv->event, src, CLOCK_MONOTONIC, usec, 10000, fn, arg);
}

void watch_off(sd_event_source **src)
{
	*src = sd_event_source_disable_unref(*src);
}

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
