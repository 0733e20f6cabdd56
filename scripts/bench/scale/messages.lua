-- Strings of n bytes through a queue, from another process to this one.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local n, most = burst.size, 64 << 20 -- bytes in a burst, and on their way
local count = math.max(1, math.min(20000, most // n))

local go, ready = mp.Queue(), mp.Queue()
local q = mp.Queue(math.max(1, math.min(16, most // n)))
local producer = mp.spawn(function()
    local text = ("x"):rep(n)
    ready:put(true)
    for wanted in go:iter() do
        for _ = 1, wanted do
            q:put(text)
        end
    end
end)

ready:get()
burst.report(count, function(look)
    go:put(count)
    for i = 1, count do
        local text = q:get()
        assert(#text == n)
        if i % (count // 2 + 1) == 0 or count == 1 then
            look()
        end
    end
end)
go:close()
producer:join()
