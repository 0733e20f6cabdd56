-- What the programs of the benchmark share: sizes, times, and the one number that each prints.
-- measure.py, measure.js and measure.rb, and limit.h for C, measure in the same way.

local figures = require "scripts.bench.figures"
local mp = require "moonfork"

local M = {}

-- Less than 1 for a try whose figures mean nothing.
M.scale = tonumber(os.getenv "MF_BENCH_SCALE") or 1

function M.size(n)
    return math.max(1, math.floor(n * M.scale))
end

M.median = figures.median

-- The median of the seconds that f takes, once it is warm: for half a second, and at least 3 times.
-- f may give the seconds itself, where not all that it does counts.
function M.repeated(f)
    f()
    local times, last = {}, mp.time() + 0.5 * M.scale
    repeat
        local begin = mp.time()
        times[#times + 1] = f() or mp.time() - begin
    until #times >= 3 and mp.time() > last
    return figures.median(times)
end

local function square(x)
    return x * x
end

-- Items a second of n that a pool of 2 maps.
function M.squares(n, chunksize)
    local items = {}
    for i = 1, n do
        items[i] = i
    end
    local pool <close> = mp.Pool(2)
    return n / M.repeated(function()
        local squares = pool:map(square, items, { chunksize = chunksize })
        assert(squares[n] == n * n)
    end)
end

-- Values a second from a process to this one. produce(q, n) puts n values there.
function M.stream(n, produce, maxsize)
    local go, q = mp.Queue(), mp.Queue(maxsize)
    local _ <close> = mp.spawn(function()
        for count in go:iter() do
            produce(q, count)
        end
    end)
    local seconds = M.repeated(function()
        go:put(n)
        for _ = 1, n do
            q:get()
        end
    end)
    go:close()
    return n / seconds
end

local function nothing() end

-- Starts and joins a second of a process that does nothing, n in a row.
function M.starts(n)
    return n / M.repeated(function()
        for _ = 1, n do
            mp.spawn(nothing):join()
        end
    end)
end

-- A pool whose workers have all done something.
function M.warm_pool(workers)
    local pool, items = mp.Pool(workers), {}
    for i = 1, 100 * workers do
        items[i] = i
    end
    pool:map(math.abs, items, { chunksize = 1 })
    return pool
end

-- A file of /proc about a process, whole.
function M.read_process(pid, name)
    local file <close> = assert(io.open(("/proc/%s/%s"):format(pid, name)))
    return file:read "a"
end

function M.report(number)
    print(("%.17g"):format(number))
end

return M
