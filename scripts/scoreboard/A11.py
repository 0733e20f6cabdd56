# A11: one worker that is replaced after two tasks, 6 tasks.
import os
from concurrent.futures import ProcessPoolExecutor


def task(n):
    return os.getpid()


if __name__ == "__main__":
    with ProcessPoolExecutor(1, max_tasks_per_child=2) as pool:
        pids = list(pool.map(task, range(6)))
    print(len(pids), "results from", len(set(pids)), "pids")
