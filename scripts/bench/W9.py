# W9: the median of the µs from an apply to its answer, on a pool of one worker.
import time

import measure


def same(x):
    return x


if __name__ == "__main__":
    times = []
    with measure.warm_pool(1) as pool:
        for i in range(measure.size(3000)):
            begin = time.perf_counter()
            pool.apply(same, (i,))
            times.append(time.perf_counter() - begin)
    measure.report(measure.median(times) * 1e6)
