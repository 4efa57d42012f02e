/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * command.h - a command of portalctl, and what all of them need
 */
#ifndef PORTALD_COMMAND_H
#define PORTALD_COMMAND_H

#include "daemon.h"

/**
 * struct request - one command
 * @obj: as it came
 * @peer: who asks
 * @conn: where a later reply goes
 * @err: for request_failed()
 */
struct request {
	struct supervisor *sv;
	struct json_object *obj;
	uid_t peer;
	uint64_t conn;
	struct err err;
};

const char *request_string(struct request *req, const char *key);
int64_t request_int(struct request *req, const char *key, int64_t dflt);
bool request_bool(struct request *req, const char *key);
/* "vm" or "pid", and "instance", if the peer may manage it; else NULL and req->err. */
struct vm *request_vm(struct request *req);
struct instance *request_instance(struct request *req);
struct json_object *request_failed(struct request *req);

/* command_disk.c */
struct json_object *cmd_disk_add(struct request *req);
struct json_object *cmd_disk_remove(struct request *req);
struct json_object *cmd_disk_resize(struct request *req);
struct json_object *cmd_disk_set_limit(struct request *req);
struct json_object *cmd_disk_swap(struct request *req);

#endif /* PORTALD_COMMAND_H */
