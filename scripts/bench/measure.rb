# What the programs in Ruby share; see measure.lua.

SCALE = Float(ENV.fetch("MF_BENCH_SCALE", 1))

def size(n)
  [1, (n * SCALE).floor].max
end

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def median(list)
  sorted = list.sort
  middle = sorted.length / 2
  sorted.length.odd? ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
end

def repeated
  yield
  times, last = [], now + 0.5 * SCALE
  while times.length < 3 || now < last
    start = now
    yield
    times << now - start
  end
  median(times)
end
