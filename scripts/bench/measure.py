# What the programs in Python share; see measure.lua. They fork, as moonfork does.
import multiprocessing
import os
import statistics
import time

mp = multiprocessing.get_context("fork")
scale = float(os.environ.get("MF_BENCH_SCALE", 1))
median = statistics.median


def size(n):
    return max(1, int(n * scale))


def repeated(f):
    f()
    times, last = [], time.perf_counter() + 0.5 * scale
    while len(times) < 3 or time.perf_counter() < last:
        begin = time.perf_counter()
        own = f()
        times.append(own or time.perf_counter() - begin)
    return median(times)


def _square(x):
    return x * x


def squares(n, chunksize=None):
    items = list(range(1, n + 1))
    with mp.Pool(2) as pool:

        def run():
            assert pool.map(_square, items, chunksize)[-1] == n * n

        return n / repeated(run)


def _producer(go, q, produce):
    while count := go.get():
        produce(q, count)


def stream(n, produce):
    go, q = mp.SimpleQueue(), mp.SimpleQueue()
    producer = mp.Process(target=_producer, args=(go, q, produce))
    producer.start()

    def receive():
        go.put(n)
        for _ in range(n):
            q.get()

    seconds = repeated(receive)
    go.put(0)
    producer.join()
    return n / seconds


def _nothing():
    pass


def starts(n):
    def batch():
        for _ in range(n):
            process = mp.Process(target=_nothing)
            process.start()
            process.join()

    return n / repeated(batch)


def warm_pool(workers):
    pool = mp.Pool(workers)
    pool.map(abs, range(100 * workers), chunksize=1)
    return pool


def workers_of(pool):
    return [process.pid for process in pool._pool]


def read_process(pid, name):
    with open(f"/proc/{pid}/{name}") as file:
        return file.read()


def report(number):
    print(repr(float(number)))
