-- n strings of 200 bytes, each in a block of its own, put into a queue, then got from it.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local q, text = mp.Queue(), ("x"):rep(200)
burst.report(burst.size, function(look)
    burst.fill_and_drain(q, burst.size, text, look)
end)
