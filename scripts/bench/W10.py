# W10: KiB of memory of an idle worker of a pool of 8 (PSS), the median of the workers.
import re
import time

import measure

if __name__ == "__main__":
    with measure.warm_pool(8) as pool:
        time.sleep(0.3 * measure.scale)
        texts = [measure.read_process(pid, "smaps_rollup") for pid in measure.workers_of(pool)]
        measure.report(measure.median([int(re.search(r"\nPss: *(\d+) kB", t)[1]) for t in texts]))
