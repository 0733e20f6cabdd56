/*
 * entropy.h - random numbers from the kernel. getrandom(2).
 */
#ifndef MF_ENTROPY_H
#define MF_ENTROPY_H

#include <stdint.h>

/* 64 bits that nobody can guess and that no two processes share. Falls back to the clock and the
 * pid where the kernel refuses. */
uint64_t mf__entropy(void);

#endif
