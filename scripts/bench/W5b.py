# W5b: floats a second that go to a worker in a list and are summed there.
import measure

if __name__ == "__main__":
    floats = [i + 0.5 for i in range(measure.size(1_000_000))]
    expected = sum(floats)
    with measure.mp.Pool(1) as pool:

        def run():
            assert pool.apply(sum, (floats,)) == expected

        measure.report(len(floats) / measure.repeated(run))
