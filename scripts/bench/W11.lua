-- W11: the time that plain scripts take under moonfork, whole processes, as a multiple of what they
-- take under lua5.4: the geometric mean of three, each with the medians of alternating runs.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local runs = measure.scale < 1 and 1 or 3
local ours = arg[-1]

local function seconds(interpreter, script)
    local begin = mp.time()
    assert(os.execute(("exec %s scripts/bench/W11/%s.lua %g"):format(interpreter, script,
        measure.scale)))
    return mp.time() - begin
end

local product, scripts = 1, { "fib", "sort", "strings" }
for _, script in ipairs(scripts) do
    local mine, theirs = {}, {}
    for i = 1, runs do
        mine[i] = seconds(ours, script)
        theirs[i] = seconds("lua5.4", script)
    end
    product = product * measure.median(mine) / measure.median(theirs)
end
measure.report(product ^ (1 / #scripts))
