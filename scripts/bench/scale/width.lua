-- A table with n strings as keys through a queue.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local q, value, n = mp.Queue(), {}, burst.size
for i = 1, n do
    value["key " .. i] = i
end
burst.report(n, function(look)
    q:put(value)
    local got = q:get()
    look()
    assert(got["key " .. n] == n)
end)
