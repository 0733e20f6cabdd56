/*
 * W7b: as W7a, in a process that has 100 MiB in blocks of 1 KiB: what a start by fork costs there.
 * A start that does not fork this process may be faster.
 */
#include "limit.h"

#include <string.h>

int main(void)
{
    long n = size(100 * 1024);
    char **blocks = calloc((size_t)n, sizeof *blocks);
    for (long i = 0; blocks && i < n; i++) {
        blocks[i] = malloc(1024);
        if (!blocks[i])
            die("malloc");
        memset(blocks[i], 'x', 1024);
    }
    printf("%.17g\n", fork_rate(size(10)));
    return blocks && blocks[0][0] == 'x' ? 0 : 1;
}
