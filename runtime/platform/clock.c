/* clock.c - monotonic time and deadlines: see clock.h. */
#include "clock.h"

#include "error.h"

#include <errno.h>
#include <time.h>

int64_t mf__now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * MF_SECOND + ts.tv_nsec;
}

int64_t mf__now_roughly(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return ts.tv_sec * MF_SECOND + ts.tv_nsec;
}

int64_t mf__deadline(double seconds)
{
    return seconds <= 0 ? 0 : mf__after(mf__now(), seconds);
}

int64_t mf__after(int64_t start, double seconds)
{
    /* Written so that NaN takes the first branch. */
    if (!(seconds < 9.0e9))
        return MF_FOREVER;
    int64_t span = (int64_t)(seconds * 1e9);
    return start > MF_FOREVER - span ? MF_FOREVER : start + span;
}

int mf__sleep_until(int64_t deadline)
{
    const struct timespec ts = {.tv_sec = deadline / MF_SECOND, .tv_nsec = deadline % MF_SECOND};
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR ? MF_EINTR : 0;
}
