# W7c: ms from nothing to the first answer of a pool of 8. The pool's end does not count.
import time

import measure


def start():
    begin = time.perf_counter()
    with measure.mp.Pool(8) as pool:
        pool.apply(abs, (1,))
        return time.perf_counter() - begin


if __name__ == "__main__":
    measure.report(1000 * measure.repeated(start))
