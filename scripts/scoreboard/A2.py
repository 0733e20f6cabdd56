# A2: after one of 20 tasks has killed its worker, the executor is used again. (The Pool hangs: A1.)
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


def task(n):
    if n == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        futures = [pool.submit(task, n) for n in range(1, 21)]
        lost = sum(f.exception() is not None for f in futures)
        try:
            assert pool.submit(task, 1).result() == 1
            print(f"the executor goes on; {lost} of 20 were lost")
        except BrokenProcessPool:
            print(f"the executor is dead; {lost} of 20 were lost")
            sys.exit(1)
