// SPDX-License-Identifier: GPL-2.0-only
/*
 * event.c - the interrupt by which the host says that something happened
 *
 * It says only that; what happened we ask by hypercall: which services have an
 * interrupt queued, and whether the slots changed.
 *
 * No wake-up is lost: an edge that comes while the work runs queues it once
 * more, and the work asks until the host has nothing left.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "guest.h"

/* interrupts served without a break; the rest after EVENT_DELAY */
#define EVENT_ROUNDS	64
#define EVENT_DELAY	(HZ / 10)
/* without interrupt */
#define EVENT_POLL	HZ
/* with it: only for a host that lost us or is back, which interrupts nobody */
#define EVENT_WATCH	(10 * HZ)

static void event_work(struct work_struct *work);

static DECLARE_DELAYED_WORK(portal_event_work, event_work);
static struct portal_pin *event_pin;
/* the host cannot interrupt us */
static bool event_polled;

static u64 read_pending(void)
{
	u64 pending = 0;
	unsigned int half;
	s64 ret;

	for (half = 0; half < PORTAL_BUS_SLOTS / 32; half++) {
		ret = portal_hypercall(PORTAL_HC_BUS_PENDING, half, 0, 0, 0);
		if (!portal_is_error(ret))
			pending |= (u64)lower_32_bits(ret) << half * 32;
	}
	return pending;
}

/* Nobody took the call, so it is no handler's answer. */
static bool is_unserved(s64 value)
{
	return value == -ENODEV || value == -ENOENT || value == -ENOSYS;
}

/* Return: true if all queued interrupts were served. */
static bool serve_interrupts(void)
{
	unsigned int round, slot;
	u64 pending, failed = 0;
	s64 value;

	for (round = 0; round < EVENT_ROUNDS; round++) {
		pending = read_pending() & ~failed;
		if (!pending)
			return !failed;
		while (pending) {
			slot = __ffs64(pending);
			pending &= pending - 1;
			value = portal_guest_call(slot, PORTAL_FN_INTERRUPT,
						  0, 0, 0, 0);
			if (!is_unserved(value))
				portal_file_publish(slot, value);
			/* It may stay pending. Others have their turn first. */
			if (portal_is_error(value))
				failed |= BIT_ULL(slot);
			cond_resched();
		}
	}
	return false;
}

static void event_work(struct work_struct *work)
{
	bool served = serve_interrupts();
	unsigned long delay = READ_ONCE(event_polled) ? EVENT_POLL : EVENT_WATCH;

	portal_bus_check();
	/* An interrupt has done so before us, but without one nobody has. */
	if (READ_ONCE(event_polled))
		portal_channel_event();

	/* No effect if the interrupt asked for another run meanwhile. */
	queue_delayed_work(portal_wq, &portal_event_work,
			   served ? delay : EVENT_DELAY);
}

/* The line tells nothing about its reason, and asking may sleep. */
static irqreturn_t event_interrupt(int irq, void *dev_id)
{
	portal_channel_event();
	mod_delayed_work(portal_wq, &portal_event_work, 0);
	return IRQ_HANDLED;
}

/**
 * portal_event_gsi() - the pin of the event interrupt
 *
 * Return: its GSI, 0 if there is none.
 */
int portal_event_gsi(void)
{
	return event_pin ? portal_pin_gsi(event_pin) : 0;
}

/**
 * portal_event_register() - tell the host about the event interrupt
 *
 * To be repeated after every HELLO. If there is no host yet, this starts to
 * look for it.
 *
 * Context: Process context, may sleep.
 */
void portal_event_register(void)
{
	bool polled = !event_pin;
	s64 ret;

	if (event_pin) {
		ret = portal_hypercall(PORTAL_HC_BUS_EVENT, portal_event_gsi(),
				       0, 0, 0);
		if (ret && ret != -ENOTCONN) {
			pr_warn("the host cannot use pin %d: error %lld\n",
				portal_event_gsi(), ret);
			polled = true;
		}
	}
	WRITE_ONCE(event_polled, polled);
	/* Something may be queued since before. */
	mod_delayed_work(portal_wq, &portal_event_work, 0);
}

/**
 * portal_event_init() - prepare to get events from the host
 *
 * Without a free interrupt pin, or if the host cannot raise it, we ask it
 * every now and then instead.
 *
 * Context: Process context, may sleep.
 */
void portal_event_init(void)
{
	int ret;

	event_pin = portal_pin_get(true);
	if (event_pin) {
		ret = request_irq(portal_pin_irq(event_pin), event_interrupt,
				  IRQF_SHARED, "portal-guest", &event_pin);
		if (ret) {
			pr_warn("pin %d: error %d\n", portal_event_gsi(), ret);
			portal_pin_put(event_pin);
			event_pin = NULL;
		}
	}
	if (!event_pin)
		pr_notice("no interrupt pin is free, events are polled for\n");
}

/**
 * portal_event_exit() - get no more events
 *
 * Context: Process context, may sleep.
 */
void portal_event_exit(void)
{
	if (event_pin) {
		portal_hypercall(PORTAL_HC_BUS_EVENT, 0, 0, 0, 0);
		free_irq(portal_pin_irq(event_pin), &event_pin);
	}
	cancel_delayed_work_sync(&portal_event_work);
	portal_pin_put(event_pin);
	event_pin = NULL;
}
