# A9: one who waits for an event is killed, then the event is set.
import multiprocessing as mp, time

if __name__ == "__main__":
    event = mp.Event()
    waiter = mp.Process(target=event.wait)
    waiter.start()
    time.sleep(0.3)
    waiter.kill()
    waiter.join()
    event.set()
    print("set")
