# A3: a getter that sleeps in q.get() is killed; then put and get.
import multiprocessing as mp, time

if __name__ == "__main__":
    q = mp.Queue()
    getter = mp.Process(target=q.get)
    getter.start()
    time.sleep(0.3)  # it sleeps by now
    getter.kill()
    getter.join()
    q.put("message")
    assert q.get() == "message"
    print("got at once")
