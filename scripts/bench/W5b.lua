-- W5b: floats a second that go to a worker in a table and are summed there.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local function sum(list)
    local total = 0.0
    for i = 1, #list do
        total = total + list[i]
    end
    return total
end

local floats = {}
for i = 1, measure.size(1000000) do
    floats[i] = i + 0.5
end
local expected = sum(floats)
local pool <close> = mp.Pool(1)
measure.report(#floats / measure.repeated(function()
    assert(pool:apply(sum, { floats }) == expected)
end))
