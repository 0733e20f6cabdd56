# A5: the holder of a lock is killed.
import multiprocessing as mp, time


def hold(lock, held):
    lock.acquire()
    held.put(True)
    time.sleep(100)


if __name__ == "__main__":
    lock, held = mp.Lock(), mp.SimpleQueue()
    holder = mp.Process(target=hold, args=(lock, held))
    holder.start()
    held.get()
    holder.kill()
    lock.acquire()
    print("acquired")
