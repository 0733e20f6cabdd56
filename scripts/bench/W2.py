# W2: integers a second through a SimpleQueue (Queue takes several times as long).
import measure


def produce(q, n):
    for i in range(n):
        q.put(i)


if __name__ == "__main__":
    measure.report(measure.stream(measure.size(100_000), produce))
