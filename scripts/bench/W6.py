# W6: the median of the µs to another process and back, over a Pipe (two Queues take longer).
import time

import measure


def echo(end):
    while (i := end.recv()) is not None:
        end.send(i)


def trip(end, i):
    begin = time.perf_counter()
    end.send(i)
    end.recv()
    return time.perf_counter() - begin


if __name__ == "__main__":
    here, there = measure.mp.Pipe()
    process = measure.mp.Process(target=echo, args=(there,))
    process.start()
    for i in range(measure.size(1000)):
        trip(here, i)
    times = [trip(here, i) for i in range(measure.size(10_000))]
    measure.report(measure.median(times) * 1e6)
    here.send(None)
    process.join()
