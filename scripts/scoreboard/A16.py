# A16: the initializer of a pool raises.
import multiprocessing as mp, os


def initialize():
    os.close(2)  # the tracebacks of all that are started are of no interest
    raise RuntimeError("no database")


if __name__ == "__main__":
    with mp.Pool(2, initialize) as pool:
        try:
            pool.map(abs, [1, 2, 3])
        except Exception as e:
            print("one error:", e)
