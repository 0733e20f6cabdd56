-- A table in a table, n deep, through a queue.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local q, value = mp.Queue(), {}
for _ = 2, burst.size do
    value = { value }
end
burst.report(burst.size, function(look)
    q:put(value)
    local got = q:get()
    look()
    assert(type(got) == "table")
end)
