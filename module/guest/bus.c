// SPDX-License-Identifier: GPL-2.0-only
/*
 * bus.c - the coming and going of devices and services
 *
 * One work item, the scan, brings every slot up to date. It is the only writer
 * of the slots, and a work item never runs twice at the same time, so adding
 * and removing needs no lock of its own.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "guest.h"

/* scans without a break, when the host changes its slots all the time */
#define SCAN_ROUNDS	8
#define SCAN_DELAY	(HZ / 4)

static void scan_work(struct work_struct *work);

static DECLARE_DELAYED_WORK(bus_scan_work, scan_work);
/* Unbound: a call may keep its vCPU for long. */
struct workqueue_struct *portal_wq;
static struct portal_slot slots[PORTAL_BUS_SLOTS];
/* of the host's slots when the last scan began; written by the scan */
static u32 bus_generation;
/* the host lost us, or never knew us; written by the scan */
static bool bus_lost;
/* no scan may begin any more */
static bool bus_stopped;

static s64 bus_info(enum portal_bus_info field)
{
	return portal_hypercall(PORTAL_HC_BUS_INFO, field, 0, 0, 0);
}

static int scan_slots(void)
{
	s64 count = bus_info(PORTAL_BUS_NR_SLOTS);
	unsigned int i;
	int ret, err = 0;

	if (portal_is_error(count))
		return count;
	/* A slot that is no more counts as one the host cannot describe. */
	count = clamp_t(s64, count, 0, PORTAL_BUS_SLOTS);
	for (i = 0; i < PORTAL_BUS_SLOTS; i++) {
		if (i >= count) {
			if (slots[i].type)
				portal_slot_del(&slots[i], PORTAL_SLOT_EMPTY);
			continue;
		}
		ret = portal_slot_update(&slots[i]);
		if (ret == -ENOTCONN)
			return ret;
		if (ret == -EAGAIN)
			err = ret;
		else if (ret)
			pr_debug("slot %u: error %d\n", i, ret);
	}
	return err;
}

static void del_slots(u32 host_state)
{
	unsigned int i;

	for (i = 0; i < PORTAL_BUS_SLOTS; i++) {
		if (slots[i].type)
			portal_slot_del(&slots[i], host_state ?: slots[i].state);
	}
}

/*
 * Portal may have been detached, and attached again since. Only then: HELLO
 * puts all our devices to rest and ends all our calls.
 */
static int find_host_again(void)
{
	int ret;

	/* All of them, for the new HELLO may find them not even offered yet. */
	del_slots(PORTAL_SLOT_OFFERED);

	ret = portal_hello();
	if (ret) {
		if (!bus_lost)
			pr_notice("the host is gone\n");
		WRITE_ONCE(bus_lost, true);
		return ret;
	}
	pr_notice("the host is there\n");
	WRITE_ONCE(bus_lost, false);
	portal_event_register();
	return 0;
}

static void scan_work(struct work_struct *work)
{
	unsigned int round;
	s64 generation;
	int ret;

	if (READ_ONCE(bus_stopped))
		return;
	for (round = 0; round < SCAN_ROUNDS; round++) {
		generation = bus_info(PORTAL_BUS_GENERATION);
		if (bus_lost || generation == -ENOTCONN) {
			if (find_host_again())
				return;
			continue;
		}
		/* A daemon that restarts; HELLO would end its devices. */
		if (portal_is_error(generation))
			break;
		WRITE_ONCE(bus_generation, generation);
		ret = scan_slots();
		if (!ret && bus_info(PORTAL_BUS_GENERATION) == generation)
			return;
	}
	queue_delayed_work(portal_wq, &bus_scan_work, SCAN_DELAY);
}

/**
 * portal_bus_scan() - start a scan
 *
 * Context: Any.
 */
void portal_bus_scan(void)
{
	/* Not mod_: it would wake portal_bus_settle() before the scan ran. */
	queue_delayed_work(portal_wq, &bus_scan_work, 0);
}

/**
 * portal_bus_settle() - wait until a started scan is over
 *
 * Context: Process context, may sleep.
 */
void portal_bus_settle(void)
{
	flush_delayed_work(&bus_scan_work);
}

/**
 * portal_bus_check() - start a scan if anything changed
 *
 * Context: Process context, may sleep.
 */
void portal_bus_check(void)
{
	s64 generation = bus_info(PORTAL_BUS_GENERATION);

	if (READ_ONCE(bus_lost) || portal_is_error(generation) ||
	    (u32)generation != READ_ONCE(bus_generation))
		portal_bus_scan();
}

/**
 * portal_bus_slot() - find a slot by its number
 * @nr: the number; programs may choose it
 *
 * Return: the slot, which may be empty, or NULL.
 */
struct portal_slot *portal_bus_slot(u32 nr)
{
	if (nr >= PORTAL_BUS_SLOTS)
		return NULL;
	return &slots[array_index_nospec(nr, PORTAL_BUS_SLOTS)];
}

/**
 * portal_guest_find() - find a service by its name
 * @name: the name
 *
 * Context: Process context, may sleep.
 * Return: its slot, or -ENOENT.
 */
int portal_guest_find(const char *name)
{
	unsigned int i;
	bool found;

	for (i = 0; i < PORTAL_BUS_SLOTS; i++) {
		down_read(&slots[i].lock);
		found = slots[i].type && !strcmp(slots[i].name, name);
		up_read(&slots[i].lock);
		if (found)
			return i;
	}
	return -ENOENT;
}
EXPORT_SYMBOL_GPL(portal_guest_find);

/**
 * portal_bus_init() - prepare the slots, all empty
 * @lost: nobody answered HELLO yet
 *
 * Return: 0 or -ENOMEM.
 */
int portal_bus_init(bool lost)
{
	unsigned int i;

	for (i = 0; i < PORTAL_BUS_SLOTS; i++) {
		slots[i].nr = i;
		init_rwsem(&slots[i].lock);
	}
	bus_lost = lost;
	portal_wq = alloc_workqueue("portal_guest", WQ_UNBOUND, 0);
	return portal_wq ? 0 : -ENOMEM;
}

/**
 * portal_bus_stop() - remove all devices, for good
 *
 * Events still come, but start no scan.
 *
 * Context: Process context, may sleep.
 */
void portal_bus_stop(void)
{
	WRITE_ONCE(bus_stopped, true);
	cancel_delayed_work_sync(&bus_scan_work);
	del_slots(0);
}

/**
 * portal_bus_exit() - undo portal_bus_init()
 *
 * Context: Process context, may sleep.
 */
void portal_bus_exit(void)
{
	cancel_delayed_work_sync(&bus_scan_work);
	destroy_workqueue(portal_wq);
}
