/*
 * W6: the median of the µs from a process to another and back: a word of shared memory each way.
 */
#include "limit.h"

struct words {
    _Alignas(LINE) struct word there;
    _Alignas(LINE) struct word back;
};

static struct words *words;

static void echo(void)
{
    pin(1);
    for (uint32_t i = 0;; i++) {
        await(&words->there, i);
        announce(&words->back, i + 1);
    }
}

static double trip(void)
{
    static uint32_t i;
    double begin = now();
    announce(&words->there, i + 1);
    await(&words->back, i);
    i++;
    return now() - begin;
}

int main(void)
{
    words = shared(sizeof *words);
    child(echo);
    pin(0);
    long n = size(100000);
    double *times = calloc((size_t)n, sizeof *times);
    if (!times)
        die("calloc");
    for (long i = 0; i < n / 10; i++)
        trip();
    for (long i = 0; i < n; i++)
        times[i] = trip();
    printf("%.17g\n", median(times, (size_t)n) * 1e6);
}
