# W7a: processes a second that do nothing, started and joined one after the other.
import measure

if __name__ == "__main__":
    measure.report(measure.starts(measure.size(50)))
