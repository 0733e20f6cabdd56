# W3: integers a second through one SimpleQueue, from two processes to two others.
import measure


def produce(go, q, _, half):
    while go.get():
        for i in range(half):
            q.put(i)


def consume(go, q, done, half):
    while go.get():
        for _ in range(half):
            q.get()
        done.put(True)


if __name__ == "__main__":
    mp, half, gos = measure.mp, measure.size(50_000), []
    q, done = mp.SimpleQueue(), mp.SimpleQueue()
    for target in (produce, consume, produce, consume):
        gos.append(mp.SimpleQueue())
        mp.Process(target=target, args=(gos[-1], q, done, half), daemon=True).start()

    def run():
        for go in gos:
            go.put(True)
        done.get()
        done.get()

    measure.report(2 * half / measure.repeated(run))
