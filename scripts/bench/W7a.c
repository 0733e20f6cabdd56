/*
 * W7a: fork, _exit, waitpid; how often a second.
 */
#include "limit.h"

int main(void)
{
    printf("%.17g\n", fork_rate(size(50)));
}
