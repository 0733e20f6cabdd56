/*
 * spin.h - the short busy wait before a sleep, and the processor that a process waits on.
 *
 * A sleep and a wake across processors take some 30 us, and answers often less. So who waits looks
 * at the word it waits for first, for as long as that has paid of late. Whether it would have paid
 * is told by a sleep, too: wakers note when they rang, and on which processor.
 *
 *   rang soon, on another processor   the next spin is the longest, if it would have seen this ring
 *   rang soon, on the same one        two that take turns on one processor can only sleep. When
 * that goes on, and the family leaves a processor free, the sleeper moves to the next rang late
 * nothing: spins that are in vain grow shorter by themselves
 *
 * All that is advice, for speed only: whatever stands in a ring, right or wrong, harms nobody.
 */
#ifndef MF_SPIN_H
#define MF_SPIN_H

#include "arena.h"

/* Waits for *word, a number that only grows, to differ from seen, when more than one processor is
 * there and such waits have paid of late; and some microseconds longer while it grows fast. True
 * when it differs. Only reads. */
bool mf__spin(mf_runtime *rt, const _Atomic uint64_t *word, uint64_t seen);

/* What a waker notes right before it rings: now, and its processor. 20 bits of microseconds, which
 * come round every second, and 12 of the processor's number. */
uint32_t mf__spin_ring(void);

/* Learns from a sleep that began at `since`, of the clock, and was ended by the ring. */
void mf__spin_slept(mf_runtime *rt, int64_t since, uint32_t ring);

#endif
