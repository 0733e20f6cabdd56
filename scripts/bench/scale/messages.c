/*
 * The seconds of a message of so many bytes, the argument, from a process to another, each into
 * memory of its own, as the strings of messages.lua are.
 */
#include "../copies.h"

static const size_t most = 64 << 20; /* bytes in a run, and on their way */

static char *anew(char *old)
{
    free(old);
    char *memory = malloc(copies.bytes);
    if (!memory)
        die("malloc");
    return memory;
}

/* The quotient, but from 1 to `high`. */
static uint32_t times(size_t bytes, uint32_t high)
{
    size_t n = most / bytes;
    return n < 1 ? 1 : n < high ? (uint32_t)n : high;
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    if (bytes == 0) {
        fputs("the first argument is the size\n", stderr);
        return 1;
    }
    uint32_t count = times(bytes, 20000);
    printf("%.17g\n", time_copies(bytes, times(bytes, 16), count, anew) / count);
}
