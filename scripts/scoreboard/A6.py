# A6: a task raises an error that cannot be received: its class wants two arguments.
import multiprocessing as mp


class Unsendable(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


def task():
    raise Unsendable("two", "arguments")


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        try:
            pool.apply(task)
        except Exception as e:
            print("an error with a text:", e)
