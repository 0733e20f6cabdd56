# W12: the time of the processor that an idle pool of 8 and its process take, as per cent of a core.
import time

import measure

if __name__ == "__main__":
    with measure.warm_pool(8) as pool:
        pids = measure.workers_of(pool)

        def used():
            workers = sum(int(measure.read_process(pid, "schedstat").split()[0]) for pid in pids)
            return time.process_time() + workers / 1e9

        time.sleep(0.3 * measure.scale)
        begin, before = time.perf_counter(), used()
        time.sleep(2 * measure.scale)
        measure.report(100 * (used() - before) / (time.perf_counter() - begin))
