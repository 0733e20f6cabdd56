/*
 * mutex.h - the one lock of shared memory: a robust, process-shared pthread mutex that remembers
 * which slot holds it.
 *
 * Brief and internal. Nobody sleeps, allocates privately or calls Lua while holding one. What a
 * mutex guards is changed so that one single store commits; whoever takes the mutex over from a
 * dead holder is told so and settles what that holder had begun (each owner of a mutex documents
 * how). Forked children inherit the memory, never the ownership.
 *
 * Who waits for one looks again every 50 ms: robust mutexes lose no ownership when a process is
 * killed, but a wake they can lose.
 */
#ifndef MF_MUTEX_H
#define MF_MUTEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* What mf__mutex_lock answers when the holder before died inside: the caller holds the mutex and
 * has to settle, then call mf__mutex_settled. */
#define MF_OWNER_DIED 1

struct mf_mutex {
    pthread_mutex_t m;
    _Atomic uint32_t holder; /* slot + 1; stored right after locking, 0 right before unlocking */
    uint32_t spare;
};
_Static_assert(sizeof(struct mf_mutex) == 48, "a mutex and an end's two words fill a cache line");

/* Makes a mutex in zeroed shared memory. Once in the life of that memory, never destroyed. */
void mf__mutex_init(struct mf_mutex *x);

/* Locks for slot `self`. Returns 0; or MF_OWNER_DIED; or MF_ETIMEOUT, not locked, when the holder
 * is stopped past the deadline (of clock.h; 0 bears with it for a second). After MF_OWNER_DIED
 * `holder` still names the victim (0 when it died before it left its name: then it had changed
 * nothing), so that a settler that dies too is followed by another who settles for the same victim:
 * settling must be idempotent. */
int mf__mutex_lock(struct mf_mutex *x, uint32_t self, int64_t deadline);

/* Ends the settling: the mutex is consistent again, and held by slot `self`. */
void mf__mutex_settled(struct mf_mutex *x, uint32_t self);

void mf__mutex_unlock(struct mf_mutex *x);

#endif
