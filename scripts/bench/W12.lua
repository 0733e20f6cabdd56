-- W12: the time of the processor that a pool of 8 and the process whose it is take while they have
-- nothing to do, as per cent of a core. The kernel counts it in ns (/proc/PID/schedstat).
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local pool <close> = measure.warm_pool(8)
local pids = pool:pids()

local function used()
    local seconds = os.clock()
    for _, pid in ipairs(pids) do
        seconds = seconds + measure.read_process(pid, "schedstat"):match "%d+" / 1e9
    end
    return seconds
end

mp.sleep(0.3 * measure.scale)
local begin, before = mp.time(), used()
mp.sleep(2 * measure.scale)
measure.report(100 * (used() - before) / (mp.time() - begin))
