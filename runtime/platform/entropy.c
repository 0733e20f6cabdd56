/* entropy.c - random numbers from the kernel: see entropy.h. */
#include "entropy.h"

#include "clock.h"

#include <sys/random.h>
#include <unistd.h>

uint64_t mf__entropy(void)
{
    uint64_t v;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) == sizeof v)
        return v;
    return (uint64_t)mf__now() * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)getpid();
}
