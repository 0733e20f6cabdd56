-- W10: KiB of memory that is a worker's own, or its part of what it shares (PSS): the median of the
-- workers of a pool of 8 that has done something and is idle.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local pool <close> = measure.warm_pool(8)
mp.sleep(0.3 * measure.scale)
local sizes = {}
for i, pid in ipairs(pool:pids()) do
    sizes[i] = tonumber(measure.read_process(pid, "smaps_rollup"):match "\nPss: *(%d+) kB")
end
measure.report(measure.median(sizes))
