# W4: records a second through a SimpleQueue.
import measure


def produce(q, n):
    for i in range(n):
        q.put({"id": i, "name": "record", "tags": ["red", "green", "blue"], "score": i / 2})


if __name__ == "__main__":
    measure.report(measure.stream(measure.size(50_000), produce))
