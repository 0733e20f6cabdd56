/*
 * clock.h - monotonic time and deadlines.
 *
 * A deadline is an absolute time of CLOCK_MONOTONIC in nanoseconds, so that an interrupted wait
 * goes on with the same one. Stateless: valid anywhere, also in a signal handler or after a fork.
 */
#ifndef MF_CLOCK_H
#define MF_CLOCK_H

#include <stdint.h>

#define MF_FOREVER INT64_MAX
#define MF_MSEC INT64_C(1000000)
#define MF_SECOND INT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC (about 20 ns a call, no system call). clock_gettime(2). */
int64_t mf__now(void);

/* The same clock, some milliseconds behind: a quarter of the time. */
int64_t mf__now_roughly(void);

/* The deadline `seconds` from now. Zero or less is a time that has passed; NaN, infinity and
 * whatever is past the clock's range are MF_FOREVER. */
int64_t mf__deadline(double seconds);

/* The time `seconds`, 0 or more, after `start`; MF_FOREVER as above. */
int64_t mf__after(int64_t start, double seconds);

/* Sleeps until the deadline. Returns 0, or MF_EINTR when a signal handler ran. */
int mf__sleep_until(int64_t deadline);

#endif
