/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * memory.c - guest memory: copies, and windows on it
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "internal.h"

#define VECS_MAX	1024	/* of one PORTAL_MEM_RW */
#define MAP_TRIES	16	/* the VMM may change slots while we map them */

struct window {
	struct portal_mem_slot slot;
	uint32_t id;
	unsigned char *base;
};

struct portal_mem {
	struct portal_vm *vm;
	bool write;
	bool direct;
	uint64_t generation;
	uint32_t nr;
	struct window *windows;		/* ordered by address, no overlaps */
};

/* ---- copies ------------------------------------------------------------ */

/* @flags: PORTAL_MEM_F_*; @vcpu: 0 without PORTAL_MEM_F_GVA */
static ssize_t mem_rwv(struct portal_vm *vm, const struct portal_mem_vec *vecs, uint32_t nr,
		       uint32_t flags, uint32_t vcpu)
{
	uint64_t done = 0, off = 0;	/* off: what is done of *vecs */
	int err = 0;

	while (nr && err >= 0) {
		struct portal_mem_vec rest;
		struct portal_mem_rw arg = PORTAL_ARG(portal_mem_rw,
						      .flags = flags, .vcpu = vcpu,
						      .vecs_uptr = ptr_to_u64(vecs),
						      .nr_vecs = nr < VECS_MAX ? nr : VECS_MAX);
		uint32_t before = nr;

		if (off) {
			rest = (struct portal_mem_vec){
				vecs->gpa + off, vecs->uptr + off, vecs->len - off,
			};
			arg.vecs_uptr = ptr_to_u64(&rest);
			arg.nr_vecs = 1;
		}
		err = portal_ioctl(vm->fd, PORTAL_MEM_RW, &arg);
		done += arg.out_done;
		off += arg.out_done;
		while (nr && off >= vecs->len) {
			off -= vecs->len;
			vecs++;
			nr--;
		}
		/* a signal is no reason to give up what goes on */
		if (err == -EINTR && arg.out_done)
			err = 0;
		else if (!arg.out_done && nr == before)
			break;
	}
	return done || err >= 0 ? (ssize_t)done : err;
}

ssize_t portal_mem_rwv(struct portal_vm *vm, const struct portal_mem_vec *vecs, uint32_t nr,
		       bool write)
{
	return mem_rwv(vm, vecs, nr, write ? PORTAL_MEM_F_WRITE : 0, 0);
}

ssize_t portal_mem_read(struct portal_vm *vm, uint64_t gpa, void *buf, size_t len)
{
	struct portal_mem_vec vec = { .gpa = gpa, .uptr = ptr_to_u64(buf), .len = len };

	return len ? portal_mem_rwv(vm, &vec, 1, false) : 0;
}

ssize_t portal_mem_write(struct portal_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	struct portal_mem_vec vec = { .gpa = gpa, .uptr = ptr_to_u64(buf), .len = len };

	return len ? portal_mem_rwv(vm, &vec, 1, true) : 0;
}

ssize_t portal_mem_read_gva(struct portal_vm *vm, uint32_t vcpu, uint64_t gva, void *buf,
			    size_t len)
{
	struct portal_mem_vec vec = { .gpa = gva, .uptr = ptr_to_u64(buf), .len = len };

	return len ? mem_rwv(vm, &vec, 1, PORTAL_MEM_F_GVA, vcpu) : 0;
}

ssize_t portal_mem_write_gva(struct portal_vm *vm, uint32_t vcpu, uint64_t gva, const void *buf,
			     size_t len)
{
	struct portal_mem_vec vec = { .gpa = gva, .uptr = ptr_to_u64(buf), .len = len };

	return len ? mem_rwv(vm, &vec, 1, PORTAL_MEM_F_GVA | PORTAL_MEM_F_WRITE, vcpu) : 0;
}

/* ---- slots ------------------------------------------------------------- */

int portal_mem_slots(struct portal_vm *vm, struct portal_mem_slot *slots, size_t nr,
		     uint64_t *generation)
{
	struct portal_mem_list arg = PORTAL_ARG(portal_mem_list,
						.slots_uptr = ptr_to_u64(slots),
						.nr = nr > UINT32_MAX ? UINT32_MAX : (uint32_t)nr);
	int err;

	err = portal_ioctl(vm->fd, PORTAL_MEM_LIST, &arg);
	if (err < 0)
		return err;
	if (generation)
		*generation = arg.out_generation;
	return (int)arg.nr;
}

/* All slots, allocated; returns how many. */
static int slots_get(struct portal_vm *vm, struct portal_mem_slot **slots, uint64_t *generation)
{
	size_t room = 32;

	for (;;) {
		struct portal_mem_slot *new = calloc(room, sizeof(*new));
		int nr;

		if (!new)
			return -ENOMEM;
		nr = portal_mem_slots(vm, new, room, generation);
		if (nr >= 0 && (size_t)nr <= room) {
			*slots = new;
			return nr;
		}
		free(new);
		if (nr < 0)
			return nr;
		room = (size_t)nr + 8;
	}
}

/* ---- windows ----------------------------------------------------------- */

static void window_close(struct portal_vm *vm, struct window *win)
{
	munmap(win->base, win->slot.len);
	portal_id_ioctl(vm->fd, PORTAL_MEM_UNMAP, win->id);
}

static int window_open(const struct portal_mem *mem, const struct portal_mem_slot *slot,
		       struct window *win)
{
	struct portal_mem_map arg = PORTAL_ARG(portal_mem_map, .gpa = slot->gpa, .len = slot->len);
	struct portal_vm *vm = mem->vm;
	int err;

	if (mem->write)
		arg.flags |= PORTAL_MEM_F_WRITE;
	if (mem->direct)
		arg.flags |= PORTAL_MEM_F_DIRECT;

	err = portal_ioctl(vm->fd, PORTAL_MEM_MAP, &arg);
	if (err < 0)
		return err;
	win->slot = *slot;
	win->id = arg.out_window_id;
	win->base = mmap(NULL, slot->len, PROT_READ | (mem->write ? PROT_WRITE : 0), MAP_SHARED,
			 vm->fd, (off_t)arg.out_mmap_off);
	if (win->base == MAP_FAILED) {
		err = -errno;
		portal_id_ioctl(vm->fd, PORTAL_MEM_UNMAP, win->id);
		return err;
	}
	return 0;
}

static bool slot_equal(const struct portal_mem_slot *a, const struct portal_mem_slot *b)
{
	return a->gpa == b->gpa && a->len == b->len && a->flags == b->flags &&
	       a->slot == b->slot;
}

static struct window *window_find(const struct portal_mem *mem, uint64_t gpa)
{
	uint32_t lo = 0, hi = mem->nr;

	/* the last window that begins at or before gpa */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (mem->windows[mid].slot.gpa <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &mem->windows[lo - 1] : NULL;
}

static bool window_kept(const struct portal_mem *mem, const struct window *win)
{
	const struct window *old = mem ? window_find(mem, win->slot.gpa) : NULL;

	return old && old->base == win->base;
}

/* Closes the windows of @mem that @other does not use too, and frees @mem. */
static void mem_drop(struct portal_mem *mem, const struct portal_mem *other)
{
	uint32_t i;

	for (i = 0; i < mem->nr; i++)
		if (!window_kept(other, &mem->windows[i]))
			window_close(mem->vm, &mem->windows[i]);
	free(mem->windows);
	free(mem);
}

/*
 * Windows on @slots into @mem, those of @old where the slot is the same one.
 * A slot that can't be mapped is left out; -EOPNOTSUPP if that is all of them.
 */
static int windows_fill(struct portal_mem *mem, const struct portal_mem *old,
			const struct portal_mem_slot *slots, uint32_t nr)
{
	bool refused = false;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		struct window *win = &mem->windows[mem->nr];
		struct window *same = old ? window_find(old, slots[i].gpa) : NULL;
		int err = 0;

		if (mem->write && slots[i].flags & PORTAL_SLOT_F_READONLY)
			continue;
		/* the kernel moves a window, but not a mapping of a file */
		if (same && !mem->direct && slot_equal(&same->slot, &slots[i]))
			*win = *same;
		else
			err = window_open(mem, &slots[i], win);
		if (err == -EOPNOTSUPP) {
			refused = true;
			continue;
		}
		if (err)
			return err;
		mem->nr++;
	}
	return refused && !mem->nr ? -EOPNOTSUPP : 0;
}

static int mem_build(struct portal_vm *vm, bool write, bool direct,
		     const struct portal_mem *old, struct portal_mem **mem)
{
	struct portal_mem *new = calloc(1, sizeof(*new));
	struct portal_mem_slot *slots;
	int nr, err;

	if (!new)
		return -ENOMEM;
	new->vm = vm;
	new->write = write;
	new->direct = direct;
	nr = slots_get(vm, &slots, &new->generation);
	if (nr < 0) {
		free(new);
		return nr;
	}
	new->windows = calloc((size_t)nr + 1, sizeof(*new->windows));
	err = new->windows ? windows_fill(new, old, slots, (uint32_t)nr) : -ENOMEM;
	free(slots);
	if (err) {
		mem_drop(new, old);
		return err;
	}
	*mem = new;
	return 0;
}

/* As mem_build(), again if the VMM took a slot away between list and map. */
static int mem_build_stable(struct portal_vm *vm, bool write, bool direct,
			    const struct portal_mem *old, struct portal_mem **mem)
{
	int err = 0, tries;

	for (tries = 0; tries < MAP_TRIES; tries++) {
		err = mem_build(vm, write, direct, old, mem);
		if (err != -ENOENT)
			return err;
	}
	return -EAGAIN;
}

int portal_mem_map(struct portal_vm *vm, bool write, struct portal_mem **mem)
{
	return mem_build_stable(vm, write, false, NULL, mem);
}

int portal_mem_map_direct(struct portal_vm *vm, bool write, struct portal_mem **mem)
{
	return mem_build_stable(vm, write, true, NULL, mem);
}

int portal_mem_refresh(struct portal_mem *mem)
{
	struct portal_mem *new, old;
	uint64_t generation;
	int err;

	err = portal_mem_slots(mem->vm, NULL, 0, &generation);
	if (err < 0)
		return err;
	if (generation == mem->generation)
		return 0;
	err = mem_build_stable(mem->vm, mem->write, mem->direct, mem, &new);
	if (err)
		return err;
	/* the caller keeps its handle: swap what the two hold */
	old = *mem;
	*mem = *new;
	*new = old;
	mem_drop(new, mem);
	return 1;
}

void *portal_mem_at(const struct portal_mem *mem, uint64_t gpa, size_t len)
{
	const struct window *win = window_find(mem, gpa);
	uint64_t off;

	if (!win)
		return NULL;
	off = gpa - win->slot.gpa;
	if (off >= win->slot.len || len > win->slot.len - off)
		return NULL;
	return win->base + off;
}

void portal_mem_unmap(struct portal_mem *mem)
{
	if (mem)
		mem_drop(mem, NULL);
}
