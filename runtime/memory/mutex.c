/* mutex.c - the robust mutex of shared memory: see mutex.h. */
#include "mutex.h"

#include "clock.h"
#include "crash.h"
#include "error.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#define SLICE (50 * MF_MSEC) /* a mutex is held for microseconds */

void mf__mutex_init(struct mf_mutex *x)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&x->m, &a);
    pthread_mutexattr_destroy(&a);
    atomic_store_explicit(&x->holder, 0, memory_order_relaxed);
}

/* No store of the locked part may leave the span in which the holder is named: who settles its
 * death sees what was executed, so the compiler is all that is to be held back. */
static void sign(struct mf_mutex *x, uint32_t holder)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&x->holder, holder, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer does not see pthread_mutex_clocklock, and takes what it locks for unlocked. */
static int lock_until(pthread_mutex_t *m, int64_t deadline)
{
    int rc;
    while ((rc = pthread_mutex_trylock(m)) == EBUSY && mf__now() < deadline)
        sched_yield();
    return rc == EBUSY ? ETIMEDOUT : rc;
}
#else
static int lock_until(pthread_mutex_t *m, int64_t deadline)
{
    const struct timespec ts = {.tv_sec = deadline / MF_SECOND, .tv_nsec = deadline % MF_SECOND};
    return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &ts);
}
#endif

/* In slices, as a wake can be lost: an unlocker wakes one sleeper, another process takes the mutex
 * meanwhile, without the mark that somebody sleeps, and the woken one is killed before it has
 * renewed that mark. Then the next unlock wakes nobody, and the others would sleep for ever. */
static int lock_slowly(struct mf_mutex *x, int64_t deadline)
{
    int rc;
    int64_t until;
    if (deadline == 0)
        deadline = mf__now() + MF_SECOND;
    do {
        until = mf__now() + SLICE;
        until = until < deadline ? until : deadline;
        rc = lock_until(&x->m, until);
    } while (rc == ETIMEDOUT && until < deadline);
    return rc;
}

int mf__mutex_lock(struct mf_mutex *x, uint32_t self, int64_t deadline)
{
    int rc = pthread_mutex_trylock(&x->m);
    if (rc == EBUSY)
        rc = lock_slowly(x, deadline);
    if (rc == ETIMEDOUT)
        return MF_ETIMEOUT;
    if (rc == EOWNERDEAD) {
        MF_CRASH("mutex.lock.inherited");
        return MF_OWNER_DIED;
    }
    MF_CRASH("mutex.lock.locked");
    sign(x, self + 1);
    MF_CRASH("mutex.lock.signed");
    return 0;
}

void mf__mutex_settled(struct mf_mutex *x, uint32_t self)
{
    sign(x, self + 1);
    MF_CRASH("mutex.settle.signed");
    pthread_mutex_consistent(&x->m);
    MF_CRASH("mutex.settle.consistent");
}

void mf__mutex_unlock(struct mf_mutex *x)
{
    sign(x, 0);
    MF_CRASH("mutex.unlock.unsigned");
    pthread_mutex_unlock(&x->m);
    MF_CRASH("mutex.unlock.unlocked");
}
