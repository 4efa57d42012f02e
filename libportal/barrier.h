/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * barrier.h - ordering of accesses to memory shared with the kernel or a guest
 */
#ifndef PORTAL_BARRIER_H
#define PORTAL_BARRIER_H

#define load_relaxed(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define full_fence()		__atomic_thread_fence(__ATOMIC_SEQ_CST)

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

#endif /* PORTAL_BARRIER_H */
