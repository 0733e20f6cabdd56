# W5a: GiB a second through a SimpleQueue, in bytes objects of 1 MiB.
import measure


def produce(q, n):
    text = b"x" * (1 << 20)
    for _ in range(n):
        q.put(text)


if __name__ == "__main__":
    measure.report(measure.stream(measure.size(200), produce) / 1024)
