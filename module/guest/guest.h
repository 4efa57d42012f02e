/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest.h - what the files of portal_guest.ko share, in the order of Kbuild
 */
#ifndef _PORTAL_GUEST_H
#define _PORTAL_GUEST_H

#include <linux/ioport.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "hypercall.h"

struct agent_chan;
struct platform_device;
struct portal_pin;

/**
 * struct portal_window - guest physical addresses for one device
 * @res: in the kernel's resource tree; parent is NULL if not allocated
 * @label: name in /proc/iomem
 */
struct portal_window {
	struct resource res;
	char label[sizeof("portal:") + PORTAL_NAME_LEN];
};

/**
 * struct portal_slot - what we know about one slot of the bus
 * @nr: number of the slot
 * @lock: protects @type to @regs. Only the scan writes, so the scan may read
 *	without it. Held for reading during a register access, never during a
 *	hypercall.
 * @type: enum portal_slot_type, 0 if nothing is there
 * @state: enum portal_slot_state
 * @fns: hypercall functions
 * @serial: of the device in the slot
 * @region: bytes of registers
 * @name: printable, NUL-terminated
 * @window: where the registers are
 * @regs: mapping of @window, for PORTAL_SLOT_REGS
 * @refused: it could not be enabled; not tried again (scan only)
 * @pin: interrupt pin, for PORTAL_SLOT_VIRTIO_MMIO (scan only)
 * @pdev: device of the kernel's virtio_mmio driver (scan only)
 * @chan: channel, for PORTAL_SLOT_CHANNEL (scan only)
 */
struct portal_slot {
	unsigned int nr;
	struct rw_semaphore lock;
	u32 type;
	u32 state;
	u32 fns;
	u32 serial;
	u64 region;
	char name[PORTAL_NAME_LEN];
	struct portal_window window;
	void __iomem *regs;

	bool refused;
	struct portal_pin *pin;
	struct platform_device *pdev;
	struct agent_chan *chan;
};

/**
 * struct portal_slot_ops - how to make a slot of some type usable
 * @min_region: least bytes of registers; 0: the slot has no registers
 * @max_region: most bytes of registers we believe
 * @pin: the device needs an interrupt pin of its own
 * @wanted: instead of @min_region: the slot is to be enabled, with memory of ours
 * @place: gets that memory, and its address
 * @add: the device answers at @slot->window, or that memory, now
 * @del: the device is about to be disabled, or does not answer already
 * @displace: gives the memory back; @lost: the host may still use it
 */
struct portal_slot_ops {
	u32 min_region;
	u32 max_region;
	bool pin;
	bool (*wanted)(void);
	int (*place)(struct portal_slot *slot, u64 *gpa);
	int (*add)(struct portal_slot *slot);
	void (*del)(struct portal_slot *slot, bool answers);
	void (*displace)(struct portal_slot *slot, bool lost);
};

/* hypercall.c */
int portal_hello(void);
s64 portal_hypercall(u32 nr, u64 a0, u64 a1, u64 a2, u64 a3);

/* window.c */
int portal_window_alloc(struct portal_window *window, const char *name,
			u64 size, u64 floor);
void portal_window_free(struct portal_window *window);

/* pin.c */
struct portal_pin *portal_pin_get(bool event);
void portal_pin_put(struct portal_pin *pin);
int portal_pin_irq(const struct portal_pin *pin);
int portal_pin_gsi(const struct portal_pin *pin);

/* pin_acpi.c */
#define PORTAL_PINS	24
void portal_pin_find_claimed(unsigned long *claimed);

/* regs.c */
extern const struct portal_slot_ops portal_regs_ops;
int portal_regs_access(struct portal_slot *slot, bool write, u32 width,
		       u64 offset, u64 *value);

/* virtio_mmio.c */
extern const struct portal_slot_ops portal_virtio_mmio_ops;

/* agent_chan.c */
extern const struct portal_slot_ops portal_channel_ops;
void portal_channel_event(void);

/* agent.c */
int portal_agent_init(void);
void portal_agent_exit(void);

/* slot.c */
int portal_slot_update(struct portal_slot *slot);
void portal_slot_del(struct portal_slot *slot, u32 host_state);

/* bus.c */
extern struct workqueue_struct *portal_wq;
int portal_bus_init(bool lost);
void portal_bus_stop(void);
void portal_bus_exit(void);
void portal_bus_scan(void);
void portal_bus_settle(void);
void portal_bus_check(void);
struct portal_slot *portal_bus_slot(u32 nr);

/* event.c */
void portal_event_init(void);
void portal_event_exit(void);
void portal_event_register(void);
int portal_event_gsi(void);

/* file.c */
struct file;
struct inode;
struct poll_table_struct;
int portal_file_open(struct inode *inode, struct file *file);
int portal_file_release(struct inode *inode, struct file *file);
ssize_t portal_file_read(struct file *file, char __user *buf, size_t count,
			 loff_t *pos);
__poll_t portal_file_poll(struct file *file, struct poll_table_struct *wait);
void portal_file_publish(u32 slot, u64 value);

/* chardev.c */
int portal_chardev_init(void);
void portal_chardev_exit(void);

#endif /* _PORTAL_GUEST_H */
