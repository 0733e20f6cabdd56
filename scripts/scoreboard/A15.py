# A15: a task ends its process.
import multiprocessing as mp, os

if __name__ == "__main__":
    with mp.Pool(2) as pool:
        try:
            pool.apply(os._exit, (3,))
        except Exception as e:
            print("it fails with its reason:", e)
