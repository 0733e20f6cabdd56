# A1: Pool(2), 20 tasks, one of which does `kill -9` of itself.
import multiprocessing as mp, os, signal


def task(n):
    if n == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        print(len(pool.map(task, range(20), chunksize=1)), "results")
