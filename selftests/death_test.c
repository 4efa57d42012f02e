// SPDX-License-Identifier: GPL-2.0-only
/*
 * death_test - mock VMs and their daemons die in every order
 */
#include "death.h"

FIXTURE(death)
{
	struct mock m;
};

FIXTURE_SETUP(death)
{
	mock_setup(_metadata, &self->m);
	/* the VMs are those of the VMMs */
	close(self->m.vm);
}

FIXTURE_TEARDOWN(death)
{
	close(self->m.dev);
	munmap(self->m.ram, MOCK_RAM_SIZE);
}

struct load {
	int vm;
	__u32 vcpu;
};

/* A guest that uses all there is, whether somebody serves it or not. */
static void *load_main(void *arg)
{
	struct load *l = arg;
	struct portal_mock_access a;
	__u32 i;

	for (i = 0;; i++) {
		switch (i % 4) {
		case 0:
			a = mock_hc(DEATH_HC, i & 7, i);
			break;
		case 1:
			a = mock_read(MOCK_MMIO + DEATH_CALL, 4);
			break;
		case 2:
			a = mock_read(MOCK_MMIO + DEATH_FENCED, 4);
			break;
		default:
			a = mock_write(MOCK_MMIO + (i & 4 ? DEATH_SYNC : DEATH_PLAIN), 4, i);
		}
		a.vcpu = l->vcpu;
		if (mock_run(l->vm, &a) == -ENODEV)
			break;
	}
	return NULL;
}

static void mock_vmm(int dev, int up, int go)
{
	struct load loads[2];
	pthread_t thread;
	char *ram, c;
	int vm, i;

	ram = mmap(NULL, MOCK_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm = mock_try(dev, PORTAL_RIGHT_ALL, MOCK_VCPUS, ram, MOCK_RAM_SIZE);
	if (write(up, &vm, sizeof(vm)) != sizeof(vm))
		_exit(1);
	for (i = 0; i < 2; i++) {
		loads[i] = (struct load){ vm, i };
		pthread_create(&thread, NULL, load_main, &loads[i]);
	}
	while (read(go, &c, 1) > 0)
		;
}

static int mock_attach(int dev, int fd)
{
	return fd;	/* it is portal's already */
}

static const struct death_ops mock_ops = {
	.vmm_main = mock_vmm, .attach = mock_attach, .gpa = MOCK_MMIO,
};

TEST_F_TIMEOUT(death, nothing_is_left_in_any_order, FUZZ_TIMEOUT)
{
	death_cycles(_metadata, &mock_ops, self->m.dev);
}

int main(int argc, char **argv)
{
	return death_main(argc, argv);
}
