# A12: 8 results of 50 MB are under way when the pool is terminated.
import multiprocessing as mp, sys, time


def task(n):
    return "x" * (50 << 20)


if __name__ == "__main__":
    pool = mp.Pool(4)
    result = pool.map_async(task, range(8), chunksize=1)
    time.sleep(0.1)
    start = time.monotonic()
    pool.terminate()
    pool.join()
    seconds = time.monotonic() - start
    print(f"ended in {seconds:.1f} s, {len(mp.active_children())} processes left")
    sys.exit(seconds >= 1)
