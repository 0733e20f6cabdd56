# A14: has a pool, a manager and shared memory in use when scoreboard.sh kills all of it with SIGKILL.
import multiprocessing as mp, time
from multiprocessing import shared_memory

if __name__ == "__main__":
    pool = mp.Pool(2)
    manager = mp.Manager()
    memory = shared_memory.SharedMemory(create=True, size=1 << 20)
    pool.apply(abs, (-1,))
    print("ready", flush=True)
    time.sleep(100)
