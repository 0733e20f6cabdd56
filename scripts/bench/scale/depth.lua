-- n integers put into a queue, then got from it.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local q = mp.Queue()
burst.report(burst.size, function(look)
    burst.fill_and_drain(q, burst.size, 1, look)
end)
