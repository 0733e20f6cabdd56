/* futex.c - sleeping on a word of shared memory: see futex.h. */
#include "futex.h"

#include "clock.h"
#include "error.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int mf__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
    struct timespec ts, *until = NULL;
    if (deadline != MF_FOREVER) {
        ts.tv_sec = deadline / MF_SECOND;
        ts.tv_nsec = deadline % MF_SECOND;
        until = &ts;
    }
    /* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time where FUTEX_WAIT takes a span. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until, NULL,
                FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    if (errno == ETIMEDOUT)
        return MF_ETIMEOUT;
    if (errno == EINTR)
        return MF_EINTR;
    if (errno != EAGAIN) /* nothing that futex(2) knows of: do not spin */
        mf__sleep_until(mf__now() + MF_MSEC);
    return 0;
}

int mf__futex_wake(_Atomic uint32_t *word, int n)
{
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
    return woken < 0 ? n : (int)woken; /* if it fails, somebody may sleep: who asks, wakes again */
}
