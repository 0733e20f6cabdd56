# W7b: as W7a, in a process that has 100 MiB of strings.
import measure

if __name__ == "__main__":
    strings = [f"{i:08d}" * 128 for i in range(measure.size(100 * 1024))]
    measure.report(measure.starts(measure.size(10)))
