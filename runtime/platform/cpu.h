/*
 * cpu.h - how many processors this process may use, and where it runs.
 */
#ifndef MF_CPU_H
#define MF_CPU_H

#include <sched.h>

/* Processors usable by the calling thread: the affinity mask, lowered to the quota of its cgroup
 * (v2 cpu.max and v1 cpu.cfs_quota_us, rounded up), at least 1. Reads files: some 30 us. */
int mf__cpu_count(void);

/* The processor that the calling thread runs on, or did a moment ago: no system call. */
int mf__cpu(void);

/* The bytes of memory that this process may use: the machine's, lowered to its cgroup's limit. */
unsigned long long mf__memory_limit(void);

/* Narrows the calling thread to the processor it runs on, so that a fork lands there (a fork across
 * processors takes twice as long). The mask before it goes to ret_old. 0 or MF_ESYS. */
int mf__cpu_pin(cpu_set_t *ret_old);

/* Gives the calling thread the mask that mf__cpu_pin took away. */
void mf__cpu_unpin(const cpu_set_t *old);

/* Moves the calling thread to the processor so many steps behind the one it runs on, of those that
 * it may use. It may run on all of them again afterwards. */
void mf__cpu_step(unsigned steps);

#endif
