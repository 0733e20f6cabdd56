-- n integers that a pool of 2 squares, in chunks of its own choice.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local n, items = burst.size, {}
for i = 1, n do
    items[i] = i
end
local pool <close> = mp.Pool(2)
pool:map(math.abs, { 1, 2 }, { chunksize = 1 })
burst.report(n, function(look)
    local squares = pool:map(function(x) return x * x end, items)
    assert(squares[n] == n * n)
    look()
end)
