/*
 * W8: how many times as fast two processes count the solutions of the N queens as one: what the two
 * processors of the machine give. The same algorithm and board as W8.lua.
 */
#include "limit.h"

struct work {
    _Atomic int next;
    _Atomic long total;
};

static struct work *work;

static int board;
static unsigned all;

static long count(unsigned columns, unsigned left, unsigned right)
{
    if (columns == all)
        return 1;
    long n = 0;
    for (unsigned free = all & ~(columns | left | right); free;) {
        unsigned queen = free & -free;
        free ^= queen;
        n += count(columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return n;
}

/* Takes tasks until there are none: the first two queens each. */
static void take(void)
{
    int at;
    while ((at = work->next++) < board * board) {
        int i = at / board, j = at % board;
        unsigned a = 1u << i, b = 1u << j;
        if (abs(i - j) > 1)
            work->total += count(a | b, (a << 1 | b) << 1, (a >> 1 | b) >> 1);
    }
}

static double seconds(int processes)
{
    double begin = now();
    work->next = 0;
    for (int i = 1; i < processes; i++)
        child(take);
    take();
    join_children();
    return now() - begin;
}

int main(void)
{
    enum { ROUNDS = 3 };
    double ratios[ROUNDS];
    work = shared(sizeof *work);
    board = scale() < 1 ? 8 : 14;
    all = (1u << board) - 1;
    for (int i = 0; i < ROUNDS; i++) {
        double one = seconds(1), two = seconds(2);
        ratios[i] = one / two;
    }
    if (work->total != 2 * ROUNDS * (board == 8 ? 92 : 365596))
        abort();
    printf("%.17g\n", median(ratios, ROUNDS));
}
