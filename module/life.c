// SPDX-License-Identifier: GPL-2.0-only
/*
 * life.c - what becomes of the VM, told to those who asked, and never lost
 *
 * Each queue with PORTAL_QUEUE_F_LIFECYCLE has room for one event of a kind (of
 * each vCPU) outside the ring. An event waits there until the ring has room, in
 * the order that post.c tells; another HELLO meanwhile is merged.
 */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include "portal.h"
#include "trace.h"

int portal_life_alloc(struct portal_queue *queue)
{
	queue->life = kzalloc(sizeof(*queue->life), GFP_KERNEL_ACCOUNT);
	return queue->life ? 0 : -ENOMEM;
}

static bool pending(const struct portal_life *life)
{
	return life && (life->attached | life->nr_vcpus | life->hellos | life->gone);
}

/**
 * portal_life_pending - events wait for room
 * @queue: its lock held
 */
bool portal_life_pending(const struct portal_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	return pending(queue->life);
}

static void write(struct portal_queue *queue, u32 event, const u64 *data, u64 count)
{
	struct portal_request req = {
		.id = atomic64_inc_return(&queue->client->vm->next_id),
		.kind = PORTAL_KIND_LIFECYCLE,
		.flags = count > 1 ? PORTAL_REQ_F_MERGED : 0,
		.addr = event,
		.time_ns = ktime_get_ns(),
		.data = { data[0], data[1], data[2] },
		.count = count > 1 ? count : 0,
	};

	portal_ring_write(queue, &req, NULL);
	trace_portal_request(&req);
}

static void write_vcpu(struct portal_queue *queue, struct portal_life *life)
{
	u32 id = find_first_bit(life->vcpus, PORTAL_LIFE_VCPUS);
	u64 data[3] = { id };

	life->nr_vcpus--;
	if (WARN_ON_ONCE(id >= PORTAL_LIFE_VCPUS))
		return;
	__clear_bit(id, life->vcpus);
	write(queue, PORTAL_LIFE_VCPU, data, 1);
}

/**
 * portal_life_flush - put into the ring what waits, as far as there is room
 * @queue: its lock held; may be dead
 *
 * Return: something was written.
 */
bool portal_life_flush(struct portal_queue *queue)
{
	struct portal_life *life = queue->life;
	bool told = false;

	lockdep_assert_held(&queue->lock);
	while (!queue->nr_bells && pending(life) &&
	       portal_queue_room(queue, PORTAL_RING_F_NEED_COMMIT)) {
		told = true;
		if (life->attached) {
			life->attached = false;
			write(queue, PORTAL_LIFE_ATTACHED, life->attached_data, 1);
		} else if (life->nr_vcpus) {
			write_vcpu(queue, life);
		} else if (life->hellos) {
			write(queue, PORTAL_LIFE_HELLO, life->hello_data, life->hellos);
			life->hellos = 0;
		} else {
			life->gone = false;
			write(queue, PORTAL_LIFE_VM_GONE, life->gone_data, 1);
		}
	}
	/* who sees the flag takes what is in the ring, and ends */
	if (queue->dead && !pending(life))
		portal_ring_flag(queue, PORTAL_RING_F_STALE, true);
	return told;
}

static void add(struct portal_life *life, u32 event, const u64 *data)
{
	switch (event) {
	case PORTAL_LIFE_ATTACHED:
		life->attached = true;
		memcpy(life->attached_data, data, sizeof(life->attached_data));
		break;
	case PORTAL_LIFE_HELLO:
		life->hellos++;
		memcpy(life->hello_data, data, sizeof(life->hello_data));
		break;
	case PORTAL_LIFE_VCPU:
		if (data[0] < PORTAL_LIFE_VCPUS && !__test_and_set_bit(data[0], life->vcpus))
			life->nr_vcpus++;
		break;
	case PORTAL_LIFE_VM_GONE:
		life->gone = true;
		memcpy(life->gone_data, data, sizeof(life->gone_data));
		break;
	}
}

/**
 * portal_life_queue - tell one queue
 * @queue: any
 * @event: enum portal_lifecycle
 * @d0: data[0]
 * @d1: data[1]
 * @d2: data[2]
 *
 * Context: any that is not in an interrupt.
 */
void portal_life_queue(struct portal_queue *queue, u32 event, u64 d0, u64 d1, u64 d2)
{
	const u64 data[3] = { d0, d1, d2 };

	if (!queue->life)
		return;
	spin_lock(&queue->lock);
	if (!queue->dead) {
		add(queue->life, event, data);
		if (portal_life_flush(queue))
			portal_queue_wake(queue);
	}
	spin_unlock(&queue->lock);
}

/**
 * portal_life_client - tell all queues of a client
 * @client: the client
 * @event: enum portal_lifecycle
 * @d0: data[0]
 * @d1: data[1]
 * @d2: data[2]
 */
void portal_life_client(struct portal_client *client, u32 event, u64 d0, u64 d1, u64 d2)
{
	struct portal_queue *queue;
	unsigned long i;

	rcu_read_lock();	/* queues are freed by RCU, their rings before that */
	xa_for_each(&client->queues, i, queue) {
		if (!queue->life || !kref_get_unless_zero(&queue->ref))
			continue;
		portal_life_queue(queue, event, d0, d1, d2);
		portal_queue_put(queue);
	}
	rcu_read_unlock();
}

/**
 * portal_life_vm - tell all clients of a VM
 * @vm: the VM
 * @event: enum portal_lifecycle
 * @d0: data[0]
 * @d1: data[1]
 * @d2: data[2]
 *
 * Context: portal_srcu.
 */
void portal_life_vm(struct portal_vm *vm, u32 event, u64 d0, u64 d1, u64 d2)
{
	struct portal_client *client;

	list_for_each_entry_srcu(client, &vm->clients, node, srcu_read_lock_held(&portal_srcu))
		portal_life_client(client, event, d0, d1, d2);
}

/**
 * portal_life_vcpu - a vCPU is there: tell of it, once
 * @vm: the VM
 * @id: index
 *
 * Context: portal_srcu.
 */
void portal_life_vcpu(struct portal_vm *vm, u32 id)
{
	if (id < PORTAL_LIFE_VCPUS && !test_and_set_bit(id, vm->vcpus_told))
		portal_life_vm(vm, PORTAL_LIFE_VCPU, id, 0, 0);
}

/**
 * portal_life_poll - tell of vCPUs that were added since the last look
 * @vm: the VM
 *
 * Context: process, one at a time.
 */
void portal_life_poll(struct portal_vm *vm)
{
	u32 nr = vm->ops->nr_vcpus(vm);
	int idx;

	if (nr <= vm->nr_vcpus)
		return;
	idx = srcu_read_lock(&portal_srcu);
	for (; vm->nr_vcpus < nr; vm->nr_vcpus++)
		portal_life_vcpu(vm, vm->nr_vcpus);
	srcu_read_unlock(&portal_srcu, idx);
}
