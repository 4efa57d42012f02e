// SPDX-License-Identifier: GPL-2.0-only
/*
 * frontend.c - the kinds of devices portald can show to a guest
 */
#include <string.h>
#include "frontend.h"

/* A test links the front end that it tests, and not all of them. */
#pragma weak virtio_blk_frontend
#pragma weak bio_frontend
#pragma weak blk_frontend

static const struct frontend_ops *const frontends[] = {
	&virtio_blk_frontend,
	&bio_frontend,
	&blk_frontend,
};

const struct frontend_ops *frontend_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(frontends) / sizeof(frontends[0]); i++) {
		if (frontends[i] && !strcmp(frontends[i]->name, name))
			return frontends[i];
	}
	return NULL;
}
