/*
 * W12: the time of the processor, as per cent of a core, that waking alone takes: of 8 processes
 * once a second each, and of one ten times a second, which is how often a pool and its process look
 * whether somebody has died.
 */
#include "limit.h"

enum { WORKERS = 8 };

static double *used; /* by each of them, in seconds */
static int next;
static double length;

static double cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wakes every so many seconds, and gives what that took. */
static double wake_each(double period)
{
    struct timespec pause = {.tv_sec = (time_t)period,
                             .tv_nsec = (long)((period - (double)(time_t)period) * 1e9)};
    double before = cpu_time(), last = now() + length;
    while (now() < last)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    return cpu_time() - before;
}

static void worker(void)
{
    used[next] = wake_each(1);
}

int main(void)
{
    length = 4 * scale();
    used = shared(WORKERS * sizeof *used);
    double begin = now();
    for (next = 0; next < WORKERS; next++)
        child(worker);
    double sum = wake_each(0.1);
    join_children();
    double took = now() - begin;
    for (int i = 0; i < WORKERS; i++)
        sum += used[i];
    printf("%.17g\n", 100 * sum / took);
}
