// SPDX-License-Identifier: GPL-2.0-only
/* restore_test.c - VMs written by one supervisor, taken up by the next */
/* LINK: restore.o snapshot.o keep.o keeper.o bus.o slot.o errmap.o process.o watch.o log.o -ljson-c -lsystemd -lkvmportal */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon.h"

/* ---- the kernel and the rest of the daemon, faked -------------------------- */

struct portal_vm { int fd; };
struct portal_queue { uint32_t id; };
struct portal_region { uint32_t id, size; uint64_t off; };

static struct {
	bool regions[20];	/* by id */
	bool gsi[32];		/* bound */
	bool gone;
	unsigned int queues_opened, started, discarded;
	int queue_err;
	char log[512];
} fake;

int portal_vm_from_fd(int fd, struct portal_vm **vm)
{
	*vm = calloc(1, sizeof(**vm));
	(*vm)->fd = fd;
	return 0;
}

int portal_vm_fd(const struct portal_vm *vm) { return vm->fd; }

void portal_vm_close(struct portal_vm *vm)
{
	close(vm->fd);
	free(vm);
}

int portal_vm_get_info(struct portal_vm *vm, struct portal_vm_info *info)
{
	(void)vm;
	memset(info, 0, sizeof(*info));
	info->out_state = fake.gone ? PORTAL_VM_GONE : PORTAL_VM_RUNNING;
	for (int i = 0; i < 20; i++)
		info->out_regions += fake.regions[i];
	return 0;
}

int ioctl(int fd, unsigned long cmd, ...)
{
	struct portal_id *arg;
	va_list ap;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, struct portal_id *);
	va_end(ap);
	assert_true(cmd == PORTAL_REGION_DEL);
	if (arg->id >= 20 || !fake.regions[arg->id])
		return -1;
	fake.regions[arg->id] = false;
	return 0;
}

uint32_t portal_queue_id(const struct portal_queue *q) { return q->id; }
const char *portal_strerror(int err) { return strerror(-err); }
uint32_t portal_region_id(const struct portal_region *r) { return r->id; }
uint64_t portal_region_shadow_off(const struct portal_region *r) { return r->off; }
uint32_t portal_region_shadow_size(const struct portal_region *r) { return r->size; }

int portal_region_map(struct portal_vm *vm, uint32_t id, uint64_t off, uint32_t size,
		      struct portal_region **region)
{
	(void)vm;
	if (!fake.regions[id])
		return -ENOENT;
	*region = calloc(1, sizeof(**region));
	**region = (struct portal_region){ id, size, off };
	return 0;
}

int portal_region_add(struct portal_vm *vm, uint32_t queue_id, uint64_t gpa, uint64_t len,
		      const struct portal_region_range *ranges, uint32_t nr,
		      const struct portal_region_opts *opts, struct portal_region **region)
{
	(void)queue_id; (void)gpa; (void)len; (void)ranges; (void)nr; (void)opts;
	for (uint32_t id = 1; ; id++) {
		if (fake.regions[id])
			continue;
		fake.regions[id] = true;
		return portal_region_map(vm, id, 0x1000 * id, 0x1000, region);
	}
}

int portal_region_del(struct portal_region *region)
{
	fake.regions[region->id] = false;
	free(region);
	return 0;
}

int portal_irq_bind(struct portal_vm *vm, uint32_t gsi, int eventfd, int resamplefd)
{
	(void)vm; (void)eventfd; (void)resamplefd;
	if (fake.gsi[gsi])
		return -EBUSY;
	fake.gsi[gsi] = true;
	return 0;
}

int portal_irq_unbind(struct portal_vm *vm, uint32_t gsi, int eventfd)
{
	(void)vm; (void)eventfd;
	if (!fake.gsi[gsi])
		return -ENOENT;
	fake.gsi[gsi] = false;
	return 0;
}

int portal_reply_value(struct portal_queue *q, uint64_t id, uint64_t value)
{
	(void)q; (void)id; (void)value;
	return 0;
}

int portal_reply_error(struct portal_queue *q, uint64_t id, uint32_t error)
{
	return portal_reply_value(q, id, error);
}

int instance_enable(struct instance *inst, uint32_t seq) { (void)inst; (void)seq; return 0; }
int instance_disable(struct instance *inst, uint32_t seq) { (void)inst; (void)seq; return 0; }
bool instance_pending(const struct instance *inst) { (void)inst; return false; }
void vm_flush(struct vm *vm) { (void)vm; }
void vm_slot_released(struct vm *vm) { (void)vm; }
void vm_instance_ready(struct vm *vm) { (void)vm; }
void admin_offered(struct instance *inst) { (void)inst; }
void admin_released(struct instance *inst) { (void)inst; }
void instance_kill(struct instance *inst, const char *why) { (void)inst; (void)why; }
void supervisor_watch_keeper(struct supervisor *sv) { (void)sv; }

const char *vm_state_name(enum vm_state state)
{
	return state == VM_RUNNING ? "running" : "stopping";
}

void instance_start(struct instance *inst)
{
	inst->state = INST_STARTING;
	fake.started++;
}

struct vm *vm_alloc(struct supervisor *sv, struct portal_vm *pvm, const char *name, pid_t pid,
		    uid_t uid)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->sv = sv;
	vm->pvm = pvm;
	vm->pid = pid;
	vm->uid = uid;
	vm->bus_fd = vm->text_fd = -1;
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	vm->next = sv->vms;
	sv->vms = vm;
	return vm;
}

int vm_open_queue(struct vm *vm, uint32_t queue_id)
{
	fake.queues_opened++;
	if (fake.queue_err)
		return fake.queue_err;
	vm->queue = calloc(1, sizeof(*vm->queue));
	vm->queue->id = queue_id;
	return 0;
}

static void instance_discard(struct instance *inst)
{
	fd_close(&inst->page_fd);
	fd_close(&inst->irq_fd);
	fd_close(&inst->state_fd);
	if (inst->page)
		munmap(inst->page, CHAN_PAGE_SIZE);
	free(inst->bus.region);
	free(inst->setup);
	free(inst);
}

/* As a process that ends: nothing is told to anybody. */
void vm_discard(struct vm *vm)
{
	fake.discarded++;
	vm->sv->vms = vm->next;
	for (unsigned int i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i])
			instance_discard(vm->slots[i]);
	portal_vm_close(vm->pvm);
	fd_close(&vm->bus_fd);
	fd_close(&vm->text_fd);
	free(vm->queue);
	free(vm);
}

static void sink(int level, const char *msg)
{
	(void)level;
	snprintf(fake.log, sizeof(fake.log), "%s", msg);
}

/* ---- helpers --------------------------------------------------------------- */

static struct supervisor sv;
static char path[64];

static void begin(void)
{
	memset(&sv, 0, sizeof(sv));
	assert_int_equal(keep_create(KEEP_PROCESS, &sv.keep, &sv.listen_fd), 0);
	keep_connect(sv.keep, path, 30);
}

static void killed(void)
{
	while (sv.vms)
		vm_discard(sv.vms);
	keep_destroy(sv.keep, true);
	fake.discarded = 0;
}

static int memfd(size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, len), 0);
	return fd;
}

static void add_instance(struct vm *vm, const char *name)
{
	struct instance *inst = calloc(1, sizeof(*inst));

	inst->vm = vm;
	inst->slot = vm->nr_slots;
	inst->chan = -1;
	inst->page_fd = memfd(CHAN_PAGE_SIZE);
	inst->irq_fd = eventfd(0, EFD_CLOEXEC);
	inst->state_fd = memfd(100);
	inst->page = mmap(NULL, CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  inst->page_fd, 0);
	inst->page->queued = 7;
	strcpy(inst->name, name);
	strcpy(inst->plugin, "file");
	inst->setup = strdup("{\"name\":\"x \\\"quoted\\\"\"}");
	inst->block = inst->restart = true;
	inst->timeout = 12;
	inst->state = INST_RUNNING;
	inst->queue_id = 40 + inst->slot;
	inst->hook_id = 50 + inst->slot;
	inst->desc.slot_type = PORTAL_SLOT_VIRTIO_MMIO;
	inst->desc.region_len = 0x200;
	inst->desc.state_len = 100;
	inst->desc.nr_ranges = 1;
	inst->desc.ranges[0] = (struct portal_region_range) {
		.offset = 0x50, .len = 4, .attr = 3, .flags = PORTAL_RANGE_F_COUNT, .aux = 8,
		.width = 4, .eventfd = -1, .datamatch = ~0ULL,
	};
	vm->slots[vm->nr_slots++] = inst;
	bus_offer(inst);
}

static struct vm *make_vm(void)
{
	struct portal_vm *pvm;
	struct vm *vm;

	portal_vm_from_fd(memfd(1), &pvm);
	vm = vm_alloc(&sv, pvm, "web \"1\"", 42, 1000);
	vm->id = ++sv.last_vm_id;
	vm->bus_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->queue = calloc(1, sizeof(*vm->queue));
	vm->queue->id = 3;
	vm->hook_id = 4;
	vm->state = VM_RUNNING;
	add_instance(vm, "disk0");
	add_instance(vm, "disk1");
	snapshot_keep(vm);
	return vm;
}

static uint64_t next_id = 100;

static uint64_t call(struct vm *vm, uint64_t nr, uint64_t a, uint64_t b, uint64_t d)
{
	struct portal_request req = {
		.id = ++next_id, .kind = PORTAL_KIND_HYPERCALL, .flags = PORTAL_REQ_F_CALL,
		.addr = nr, .data = { a, b, 0, d },
	};

	bus_request(vm, &req);
	return req.id;
}

static void enable(struct vm *vm, unsigned int slot, uint64_t gpa, uint32_t gsi)
{
	call(vm, PORTAL_HC_BUS_ENABLE, slot, gpa, gsi);
	bus_ack(vm->slots[slot], vm->slots[slot]->bus.op_seq, 0);
}

static struct vm *the_next_portald(void)
{
	killed();
	begin();
	restore_all(&sv);
	return sv.vms;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	snprintf(path, sizeof(path), "/tmp/portald-restore-%d", getpid());
	log_set_sink(sink);
	begin();
	return 0;
}

static int teardown(void **state)
{
	char keeper[80];

	(void)state;
	while (sv.vms)
		vm_discard(sv.vms);
	keep_destroy(sv.keep, false);
	snprintf(keeper, sizeof(keeper), "%s.keeper", path);
	while (!access(keeper, F_OK))
		usleep(1000);
	return 0;
}

/* ---- tests ----------------------------------------------------------------- */

static void all_is_there_again(void **state)
{
	struct instance *disk;
	struct vm *vm;

	(void)state;
	vm = make_vm();
	call(vm, PORTAL_HC_BUS_EVENT, 9, 0, 0);
	enable(vm, 0, 0x10000, 11);
	vm->hellos = 2;
	snapshot_write(vm);

	vm = the_next_portald();
	assert_non_null(vm);
	assert_string_equal(vm->name, "web \"1\"");
	assert_int_equal(vm->id, 1);
	assert_int_equal(sv.last_vm_id, 1);
	assert_int_equal(sv.next_serial, 2);
	assert_int_equal(vm->pid, 42);
	assert_int_equal(vm->uid, 1000);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm->queue->id, 3);
	assert_int_equal(vm->hook_id, 4);
	assert_int_equal(vm->hellos, 2);
	assert_int_equal(vm->generation, 2);
	assert_int_equal(vm->event_gsi, 9);
	assert_true(fake.gsi[9]);
	assert_int_equal(vm->nr_slots, 2);
	assert_int_equal(fake.started, 2);
	disk = vm->slots[0];
	assert_string_equal(disk->name, "disk0");
	assert_string_equal(disk->setup, "{\"name\":\"x \\\"quoted\\\"\"}");
	assert_true(disk->described && disk->block && disk->restart);
	assert_int_equal(disk->timeout, 12);
	assert_int_equal(disk->queue_id, 40);
	assert_int_equal(disk->hook_id, 50);
	assert_int_equal(disk->page->queued, 7);
	assert_int_equal(disk->desc.nr_ranges, 1);
	assert_true(disk->desc.ranges[0].datamatch == ~0ULL);
	assert_int_equal(disk->desc.ranges[0].eventfd, -1);
	assert_int_equal(bus_slot_state(disk), PORTAL_SLOT_ENABLED);
	assert_true(disk->bus.served);
	assert_int_equal(disk->bus.gpa, 0x10000);
	assert_int_equal(disk->bus.region->id, 1);
	assert_int_equal(disk->bus.region->off, 0x1000);
	assert_true(fake.regions[1] && fake.gsi[11]);
	assert_int_equal(bus_slot_state(vm->slots[1]), PORTAL_SLOT_OFFERED);
	assert_int_equal(vm->slots[1]->bus.serial, 2);

	/* and once more, with what happened since */
	call(vm, PORTAL_HC_BUS_DISABLE, 0, 0, 0);
	bus_ack(disk, disk->bus.op_seq, 0);
	enable(vm, 1, 0x20000, 12);
	vm = the_next_portald();
	assert_int_equal(bus_slot_state(vm->slots[0]), PORTAL_SLOT_OFFERED);
	assert_int_equal(bus_slot_state(vm->slots[1]), PORTAL_SLOT_ENABLED);
	assert_false(fake.gsi[11]);
	assert_true(fake.gsi[12]);
}

/* Slots whose disk was removed, or is not known to who keeps the fds yet. */
static void empty_slots_stay_empty(void **state)
{
	struct instance *gone;
	struct vm *vm;

	(void)state;
	vm = make_vm();
	enable(vm, 1, 0x10000, 11);
	gone = vm->slots[0];
	snapshot_forget_slot(gone);
	add_instance(vm, "disk2");	/* not kept: killed before that */
	snapshot_write(vm);
	vm->slots[0] = NULL;
	vm = the_next_portald();
	assert_non_null(vm);
	assert_int_equal(vm->nr_slots, 3);
	assert_null(vm->slots[0]);
	assert_string_equal(vm->slots[1]->name, "disk1");
	assert_true(vm->slots[1]->bus.mapped && vm->slots[1]->kept);
	assert_null(vm->slots[2]);
	assert_int_equal(fake.started, 1);
	instance_discard(gone);
}

static void an_added_slot_is_there_again(void **state)
{
	struct vm *vm;

	(void)state;
	vm = make_vm();
	add_instance(vm, "disk2");
	snapshot_keep_slot(vm->slots[2]);
	vm->slots[2]->admin.op = ADMIN_REMOVE;
	snapshot_write(vm);
	vm = the_next_portald();
	assert_non_null(vm);
	assert_int_equal(vm->nr_slots, 3);
	assert_string_equal(vm->slots[2]->name, "disk2");
	assert_int_equal(vm->slots[2]->admin.op, ADMIN_REMOVE);
	assert_int_equal(fake.started, 3);
}

static void half_done_is_undone(void **state)
{
	struct vm *vm;

	(void)state;
	vm = make_vm();
	enable(vm, 0, 0x10000, 11);
	/* the worker has not acknowledged it */
	call(vm, PORTAL_HC_BUS_ENABLE, 1, 0x20000, 12);
	assert_true(fake.regions[1] && fake.regions[2] && fake.gsi[12]);
	vm = the_next_portald();
	assert_true(fake.regions[1]);
	assert_false(fake.regions[2]);
	assert_false(fake.gsi[12]);
	assert_int_equal(bus_slot_state(vm->slots[0]), PORTAL_SLOT_ENABLED);
	assert_int_equal(bus_slot_state(vm->slots[1]), PORTAL_SLOT_OFFERED);
	assert_int_equal(vm->slots[1]->bus.op, BUS_OP_NONE);
	/* nor this one */
	call(vm, PORTAL_HC_BUS_DISABLE, 0, 0, 0);
	vm = the_next_portald();
	assert_false(fake.regions[1]);
	assert_false(fake.gsi[11]);
	assert_int_equal(bus_slot_state(vm->slots[0]), PORTAL_SLOT_OFFERED);
	/* the kernel was told, and then came the kill */
	fake.regions[5] = true;
	the_next_portald();
	assert_false(fake.regions[5]);
}

static void remembers_answers(void **state)
{
	struct portal_request req = { .flags = PORTAL_REQ_F_CALL | PORTAL_REQ_F_REDELIVERED };
	struct vm *vm;
	int err = 1;

	(void)state;
	vm = make_vm();
	for (req.id = 1; req.id <= 3 * VM_DONE; req.id++)
		vm_done(vm, req.id, req.id % 2 ? -EINVAL : 0);
	snapshot_write(vm);
	req.id--;
	vm = the_next_portald();
	assert_true(vm_was_done(vm, &req, &err));
	assert_int_equal(err, 0);
	req.id--;
	assert_true(vm_was_done(vm, &req, &err));
	assert_int_equal(err, -EINVAL);
	req.id -= VM_DONE;
	assert_false(vm_was_done(vm, &req, &err));
}

static void does_not_take_up(void **state)
{
	struct vm *vm;

	(void)state;
	vm = make_vm();
	vm->state = VM_STOPPING;
	snapshot_write(vm);
	assert_null(the_next_portald());
	assert_non_null(strstr(fake.log, "was being detached"));

	make_vm();
	fake.gone = true;
	assert_null(the_next_portald());
	assert_non_null(strstr(fake.log, "web \"1\" is gone"));
	fake.gone = false;

	make_vm();
	keep_remove(sv.keep, "v3.1.page");
	assert_null(the_next_portald());
	assert_non_null(strstr(fake.log, "not all of it was kept"));

	make_vm();
	fake.queue_err = -ENOENT;
	assert_null(the_next_portald());
	assert_int_equal(fake.discarded, 1);

	/* of all these nothing is left */
	fake.queue_err = 0;
	fake.queues_opened = 0;
	assert_null(the_next_portald());
	assert_int_equal(fake.queues_opened, 0);
}

/* A worker that has not noticed yet must not write guest memory any more. */
static void earlier_workers_die_first(void **state)
{
	struct vm *vm;
	int status;

	(void)state;
	vm = make_vm();
	vm->slots[0]->pid = fork();
	if (!vm->slots[0]->pid)
		for (;;)
			pause();
	vm->slots[0]->started = process_started(vm->slots[0]->pid);
	assert_true(vm->slots[0]->started > 0);
	/* a number that is somebody else's by now: ours */
	vm->slots[1]->pid = getpid();
	vm->slots[1]->started = process_started(getpid()) - 1;
	snapshot_write(vm);
	vm = the_next_portald();
	assert_non_null(vm);
	assert_true(wait(&status) > 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void detached_is_forgotten(void **state)
{
	(void)state;
	snapshot_forget(make_vm());
	assert_null(the_next_portald());
	assert_int_equal(fake.queues_opened, 0);
}

/* Killed in the middle of a write, the text before counts. */
static void a_torn_text_is_not_read(void **state)
{
	struct json_object *obj;
	int fd = memfd(0);
	char junk[64];

	(void)state;
	memset(junk, '{', sizeof(junk));
	assert_null(snapshot_get(fd));
	assert_int_equal(snapshot_put(fd, "{\"n\":1}"), 0);
	assert_int_equal(snapshot_put(fd, "{\"n\":2}"), 0);
	assert_int_equal(pwrite(fd, junk, 64, 4096 + (1ULL << 30)), 64);
	obj = snapshot_get(fd);
	assert_int_equal(json_u64(obj, "n"), 2);
	json_object_put(obj);
	close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(all_is_there_again), T(empty_slots_stay_empty), T(an_added_slot_is_there_again),
		T(half_done_is_undone), T(remembers_answers),
		T(does_not_take_up), T(earlier_workers_die_first), T(detached_is_forgotten),
		T(a_torn_text_is_not_read),
	};

	if (argc == 2 && !strcmp(argv[1], "--keeper"))
		return keeper_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
