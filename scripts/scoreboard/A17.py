# A17: is in the middle of a map when scoreboard.sh sends SIGINT to its group, as Ctrl-C does.
import multiprocessing as mp, time


def task(n):
    time.sleep(100)


if __name__ == "__main__":
    with mp.Pool(4) as pool:
        result = pool.map_async(task, range(4), chunksize=1)
        time.sleep(0.3)
        print("ready", flush=True)
        result.get()
