/*
 * futex.h - sleeping on a 32-bit word of shared memory. futex(2), without FUTEX_PRIVATE_FLAG.
 */
#ifndef MF_FUTEX_H
#define MF_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == expected, until the deadline of clock.h. Returns 0 when woken or when the
 * word differed (the caller re-checks its condition either way), MF_ETIMEOUT or MF_EINTR. */
int mf__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

/* Wakes at most n sleepers of the word; returns how many slept, n if that is not known. Never
 * blocks. */
int mf__futex_wake(_Atomic uint32_t *word, int n);

/* One polite turn of a busy wait. */
static inline void mf__spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
