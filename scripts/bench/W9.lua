-- W9: the median of the µs from an apply to its answer, on a pool of one worker.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local function same(x)
    return x
end

local pool <close> = measure.warm_pool(1)
local times = {}
for i = 1, measure.size(3000) do
    local begin = mp.time()
    pool:apply(same, { i })
    times[i] = mp.time() - begin
end
measure.report(measure.median(times) * 1e6)
