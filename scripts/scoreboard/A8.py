# A8: one who waits for a condition is killed, then the condition is notified.
import multiprocessing as mp, time


def wait(condition):
    with condition:
        condition.wait()


if __name__ == "__main__":
    condition = mp.Condition()
    waiter = mp.Process(target=wait, args=(condition,))
    waiter.start()
    time.sleep(0.3)
    waiter.kill()
    waiter.join()
    with condition:
        condition.notify_all()
    print("notified")
