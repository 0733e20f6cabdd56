# A7: a child puts 1000 messages of 1 KB and one of 64 MB; the parent joins it before it reads.
import multiprocessing as mp


def put(q):
    for i in range(1000):
        q.put("x" * 1024)
    q.put("y" * (64 << 20))


if __name__ == "__main__":
    q = mp.Queue()
    child = mp.Process(target=put, args=(q,))
    child.start()
    child.join()
    for i in range(1001):
        q.get()
    print("join returns, the messages are there")
