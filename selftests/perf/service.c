// SPDX-License-Identifier: GPL-2.0-only
/*
 * service.c - portal's side: hooks and registers, and a thread that answers
 *
 * One thread consumes, on a CPU of its own, from the queue it is told to. It
 * ends with a call whose argument is SERVICE_STOP: as a queue is in order,
 * everything before has been consumed then.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>
#include <kvmportal/portal.h>
#include "cpu.h"
#include "service.h"
#include "vmm.h"

static const uint32_t transports[] = {
	[CONSUMER_POLL] = PORTAL_TRANSPORT_POLL,
	[CONSUMER_URING] = PORTAL_TRANSPORT_URING,
	[CONSUMER_READ] = PORTAL_TRANSPORT_READ,
};

static struct portal_dev *dev;
static struct portal_vm *vm;
static struct portal_queue *queues[NR_CONSUMERS];
static struct portal_region *regions[NR_CONSUMERS + 1];

static struct {
	pthread_t thread;
	sem_t go, ready, done;
	enum consumer consumer;
	int cpu;
	int tid;
	int err;
} worker;

/* ---- attached ----------------------------------------------------------- */

static int region_up(struct portal_region **region, uint32_t queue_id, uint32_t offset,
		     unsigned int nr_ranges)
{
	static const struct portal_region_range range = {
		.offset = REG_CALL, .len = 4, .attr = PORTAL_ATTR_CALL, .eventfd = -1,
	};
	int err = portal_region_add(vm, queue_id, MMIO_BASE + offset, REGION_LEN, &range, nr_ranges,
				    NULL, region);

	if (!err)
		portal_region_write32(*region, REG_SHADOW, SHADOW_VALUE);
	return err;
}

static int consumer_up(enum consumer c)
{
	struct portal_queue_opts opts = { .sz = sizeof(opts), .transport = transports[c] };
	struct portal_hook_opts call = { .sz = sizeof(call), .flags = PORTAL_HOOK_F_RAW };
	struct portal_hook_opts post = call;
	uint32_t id;
	int err;

	post.flags |= PORTAL_HOOK_F_POSTED;
	err = portal_queue_create(vm, &opts, &queues[c]);
	if (err)
		return err;
	id = portal_queue_id(queues[c]);
	err = portal_hook_hypercall(vm, id, HC_CALL(c), HC_CALL(c), &call);
	if (err < 0)
		return err;
	err = portal_hook_hypercall(vm, id, HC_POST(c), HC_POST(c), &post);
	if (err < 0)
		return err;
	return region_up(&regions[c], id, MMIO_REGION(c), 1);
}

int service_up(int kvm_vm_fd)
{
	int err, c;

	err = portal_dev_open(NULL, &dev);
	if (!err)
		err = portal_vm_attach(dev, kvm_vm_fd, PORTAL_RIGHT_ALL, &vm);
	for (c = 0; !err && c < NR_CONSUMERS; c++)
		err = consumer_up(c);
	if (!err)
		err = region_up(&regions[c], portal_queue_id(queues[CONSUMER_POLL]), MMIO_PLAIN, 0);
	return err;
}

void service_down(void)
{
	int i;

	for (i = 0; i <= NR_CONSUMERS; i++) {
		if (regions[i])
			portal_region_unmap(regions[i]);
		regions[i] = NULL;
	}
	for (i = 0; i < NR_CONSUMERS; i++) {
		portal_queue_close(queues[i]);
		queues[i] = NULL;
	}
	/* the last close takes hooks and regions along */
	if (vm)
		portal_vm_close(vm);
	if (dev)
		portal_dev_close(dev);
	vm = NULL;
	dev = NULL;
}

static uint64_t vm_count(size_t offset)
{
	struct portal_vm_info info;

	if (!vm || portal_vm_get_info(vm, &info))
		return 0;
	return *(uint64_t *)((char *)&info + offset);
}

uint64_t service_wakeups(void)
{
	return vm_count(offsetof(struct portal_vm_info, out_wakeups));
}

uint64_t service_dropped(void)
{
	return vm_count(offsetof(struct portal_vm_info, out_dropped)) +
	       vm_count(offsetof(struct portal_vm_info, out_timeouts));
}

/* ---- the consumer ------------------------------------------------------- */

static int consume(struct portal_queue *queue)
{
	const struct portal_request *req;
	int err;

	while ((err = portal_queue_wait(queue, -1)) >= 0)
		while ((req = portal_queue_next(queue))) {
			if (!(req->flags & PORTAL_REQ_F_CALL))
				continue;
			err = portal_reply_value(queue, req->id, CALL_VALUE);
			if (err)
				return err;
			if (req->kind == PORTAL_KIND_HYPERCALL && req->data[0] == SERVICE_STOP)
				return portal_queue_flush(queue);
		}
	return err;
}

static void *consumer_main(void *arg)
{
	(void)arg;
	worker.err = cpu_pin(worker.cpu);
	worker.tid = gettid();
	sem_post(&worker.ready);
	for (;;) {
		sem_wait(&worker.go);
		sem_post(&worker.ready);
		worker.err = consume(queues[worker.consumer]);
		if (worker.err)
			fprintf(stderr, "bench: consumer %d: %s\n", worker.consumer,
				portal_strerror(worker.err));
		sem_post(&worker.done);
	}
	return NULL;
}

int service_thread(int cpu)
{
	int err;

	worker.cpu = cpu;
	sem_init(&worker.go, 0, 0);
	sem_init(&worker.ready, 0, 0);
	sem_init(&worker.done, 0, 0);
	err = -pthread_create(&worker.thread, NULL, consumer_main, NULL);
	if (err)
		return err;
	sem_wait(&worker.ready);
	return worker.err;
}

int service_tid(void)
{
	return worker.tid;
}

void service_start(enum consumer consumer)
{
	worker.consumer = consumer;
	sem_post(&worker.go);
	sem_wait(&worker.ready);
}

int service_stopped(void)
{
	sem_wait(&worker.done);
	return worker.err;
}
