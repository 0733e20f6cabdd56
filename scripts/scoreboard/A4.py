# A4: a producer is killed in a put of 30 MB; another puts 1000 strings.
import multiprocessing as mp, time


def put_large(q, begins):
    text = "x" * (30 << 20)
    begins.put(True)
    q.put(text)


def put_strings(q):
    for i in range(1000):
        q.put(f"string {i}")


if __name__ == "__main__":
    q, begins = mp.Queue(), mp.SimpleQueue()
    victim = mp.Process(target=put_large, args=(q, begins))
    victim.start()
    begins.get()
    while q.empty():  # its thread has begun to write
        time.sleep(0.01)
    victim.kill()
    victim.join()
    other = mp.Process(target=put_strings, args=(q,))
    other.start()
    for i in range(1000):
        assert q.get() == f"string {i}"
    other.join()
    print("1000 arrived, nothing torn")
