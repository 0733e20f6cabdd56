-- W6: the median of the µs that an integer takes to another process and back, over two queues.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local there, back = mp.Queue(), mp.Queue()
local echo = mp.spawn(function()
    for i in there:iter() do
        back:put(i)
    end
end)

local function trip(i)
    local begin = mp.time()
    there:put(i)
    back:get()
    return mp.time() - begin
end

local times = {}
for i = 1, measure.size(1000) do
    trip(i)
end
for i = 1, measure.size(10000) do
    times[i] = trip(i)
end
measure.report(measure.median(times) * 1e6)
there:close()
echo:join()
