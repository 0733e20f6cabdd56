# A13: has 4 workers, two of them busy, when scoreboard.sh kills it with SIGKILL.
import multiprocessing as mp, time


def task(begins):
    begins.put(True)
    while True:
        pass


if __name__ == "__main__":
    pool = mp.Pool(4)
    with mp.Manager() as manager:
        begins = manager.Queue()
        result = pool.map_async(task, [begins, begins], chunksize=1)
        begins.get()
        begins.get()
        print("ready", flush=True)
        time.sleep(100)
