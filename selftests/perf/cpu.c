// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include "cpu.h"

static cpu_set_t started_on;

/* Asked once, as a thread that is bound sees only its own. */
static void ask(void)
{
	if (sched_getaffinity(0, sizeof(started_on), &started_on))
		CPU_ZERO(&started_on);
}

int cpu_count(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, ask);
	return CPU_COUNT(&started_on);
}

int cpu_pin(int nth)
{
	int cpu, count = cpu_count();
	cpu_set_t set;

	if (!count)
		return -ENODEV;
	nth %= count;
	for (cpu = 0; !CPU_ISSET(cpu, &started_on) || nth--; cpu++)
		;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}
