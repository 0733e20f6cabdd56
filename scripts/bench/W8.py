# W8: how many times as fast 2 workers count the solutions of the N queens as this process alone.
import time

import measure

board = 8 if measure.scale < 1 else 12
everything = (1 << board) - 1


def count(columns, left, right):
    if columns == everything:
        return 1
    n, free = 0, everything & ~(columns | left | right)
    while free:
        queen = free & -free
        free ^= queen
        n += count(columns | queen, (left | queen) << 1, (right | queen) >> 1)
    return n


def tasks():
    for i in range(board):
        for j in range(board):
            a, b = 1 << i, 1 << j
            if abs(i - j) > 1:
                yield a | b, (a << 1 | b) << 1, (a >> 1 | b) >> 1


if __name__ == "__main__":
    items = list(tasks())
    with measure.warm_pool(2) as pool:

        def ratio():
            begin = time.perf_counter()
            alone = sum(count(*item) for item in items)
            middle = time.perf_counter()
            same = sum(pool.starmap(count, items, chunksize=1))
            last = time.perf_counter()
            assert alone == same == (92 if board == 8 else 14200)
            return (middle - begin) / (last - middle)

        measure.report(measure.repeated(ratio))
