# A10: one of two who wait at a Barrier(3) is killed, then the parent waits.
import multiprocessing as mp, threading, time


def wait(barrier):
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        pass


if __name__ == "__main__":
    barrier = mp.Barrier(3)
    waiters = [mp.Process(target=wait, args=(barrier,)) for _ in range(2)]
    for w in waiters:
        w.start()
    time.sleep(0.3)
    waiters[0].kill()
    waiters[0].join()
    try:
        barrier.wait()
        print("passed, though one of three is dead")
    except threading.BrokenBarrierError:
        print("broken, and told so")
    waiters[1].join()
