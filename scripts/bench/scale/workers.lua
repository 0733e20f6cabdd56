-- 200,000 integers that a pool of n squares.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local count, items = math.tointeger(tonumber(arg[2] or 200000)), {}
for i = 1, count do
    items[i] = i
end
local pool
burst.report(count, function(look)
    pool = pool or mp.Pool(burst.size) -- its start is in the first burst, which is not timed
    local squares = pool:map(function(x) return x * x end, items)
    assert(squares[count] == count * count)
    look()
end, function()
    pool:terminate()
    pool:join()
    pool = nil
end)
