// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - a disk in the worker's memory
 *
 * Pages that nobody wrote take no memory, and a discard or zeroes give pages
 * back. The content is gone when the worker
 * ends, also when it crashes: a scratch disk, and an example of a plugin.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The guest itself keeps apart what must not overlap. */
#define PORTALD_THREAD_MODEL PORTALD_THREAD_PARALLEL
#include <portald/plugin.h>

static const struct portald_api *api;
static uint64_t size;

static int memory_load(const struct portald_api *portald)
{
	api = portald;
	return 0;
}

static int memory_config(const char *key, const char *value)
{
	if (strcmp(key, "size"))
		return -ENOENT;
	return api->parse_size(value, &size);
}

static int memory_config_complete(void)
{
	if (size)
		return 0;
	api->error("size= is missing, such as size=64M");
	return -EINVAL;
}

static void *memory_open(struct portal_instance *pi)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED) {
		api->error("no memory for a disk of %llu bytes", (unsigned long long)size);
		return NULL;
	}
	return mem;
}

static void memory_close(void *handle)
{
	munmap(handle, size);
}

static int64_t memory_get_size(void *handle)
{
	return (int64_t)size;
}

static int memory_yes(void *handle)
{
	return 1;
}

static int memory_pread(void *handle, void *buf, uint64_t len, uint64_t offset)
{
	memcpy(buf, (char *)handle + offset, len);
	return 0;
}

static int memory_pwrite(void *handle, const void *buf, uint64_t len, uint64_t offset,
			 uint32_t flags)
{
	memcpy((char *)handle + offset, buf, len);
	return 0;
}

/* Whole pages go back to the kernel; what is beside them is the caller's. */
static void give_back(char *begin, char *end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	char *first = (char *)(((uintptr_t)begin + page - 1) & ~(page - 1));
	char *last = (char *)((uintptr_t)end & ~(page - 1));

	if (last <= first || madvise(first, (size_t)(last - first), MADV_DONTNEED)) {
		memset(begin, 0, (size_t)(end - begin));
		return;
	}
	memset(begin, 0, (size_t)(first - begin));
	memset(last, 0, (size_t)(end - last));
}

static int memory_discard(void *handle, uint64_t len, uint64_t offset)
{
	give_back((char *)handle + offset, (char *)handle + offset + len);
	return 0;
}

static int memory_zero(void *handle, uint64_t len, uint64_t offset, uint32_t flags)
{
	return memory_discard(handle, len, offset);
}

static struct portald_plugin plugin = {
	.name = "memory",
	.longname = "disk in memory",
	.description = "a scratch disk, empty after each start",
	.config_help = "size=SIZE  (required) size of the disk",
	.load = memory_load,
	.config = memory_config,
	.config_complete = memory_config_complete,
	.open = memory_open,
	.close = memory_close,
	.get_size = memory_get_size,
	.can_write = memory_yes,
	.can_discard = memory_yes,
	.can_zero = memory_yes,
	.pread = memory_pread,
	.pwrite = memory_pwrite,
	.discard = memory_discard,
	.zero = memory_zero,
};

PORTALD_PLUGIN(plugin)
