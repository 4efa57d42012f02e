// SPDX-License-Identifier: GPL-2.0-only
/*
 * key.c - our secret, and the end of the rights that reading it has needed
 *
 * librados begins threads before it reads the keyring, and a worker cannot take
 * rights from threads that are there already. So the key is read here, and then
 * this thread, of which all of librados' come, gives up its capabilities.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk.h"

/* "[client.ID]" and then "key = KEY": 0, -ENODATA, or -errno. */
static int find_key(const char *path, const char *section, char *key, size_t len)
{
	FILE *f = fopen(path, "re");
	bool ours = false, found = false;
	char line[512], value[256];

	if (!f)
		return -errno;
	while (!found && fgets(line, sizeof(line), f)) {
		char *p = line + strspn(line, " \t");

		if (*p == '[')
			ours = !strncmp(p, section, strlen(section));
		else if (ours && sscanf(p, "key = %255s", value) == 1)
			found = true;
	}
	fclose(f);
	if (found)
		snprintf(key, len, "%s", value);
	explicit_bzero(line, sizeof(line));
	explicit_bzero(value, sizeof(value));
	return found ? 0 : -ENODATA;
}

int key_take(struct rbd_disk *disk)
{
	char paths[1024] = "", section[200], key[256], *rest = paths, *path;
	int err = -ENOENT, ret;

	rados_conf_get(disk->cluster, "keyring", paths, sizeof(paths));
	snprintf(section, sizeof(section), "[client.%s]", disk->opts.id);
	/* as Ceph does it: the first file that is there */
	while (err == -ENOENT && (path = strsep(&rest, ",; ")))
		if (*path)
			err = find_key(path, section, key, sizeof(key));
	if (err)
		return err;
	ret = rados_conf_set(disk->cluster, "key", key);
	explicit_bzero(key, sizeof(key));
	return ret;
}

int key_drop_rights(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capset, &head, none) ? -errno : 0;
}
