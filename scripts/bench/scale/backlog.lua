-- n strings of 60 KiB, each in a run of the arena of its own: into a queue, half of them out of it,
-- as many in again, and all of them out.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local q, text, n = mp.Queue(), ("x"):rep(60 << 10), burst.size

local function put(many)
    for _ = 1, many do
        assert(q:put(text))
    end
end

local function get(many)
    for _ = 1, many do
        q:get()
    end
end

burst.report(n + n // 2, function(look)
    put(n)
    get(n // 2)
    put(n // 2)
    look()
    get(n)
end)
