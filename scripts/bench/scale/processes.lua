-- n processes are started, are alive together, and are ended.
local burst = require "scripts.bench.scale.burst"
local mp = require "moonfork"

local n = burst.size
burst.report(n, function(look)
    local ready, till, list = mp.Queue(), mp.Queue(), {}
    for i = 1, n do
        list[i] = mp.spawn(function()
            ready:put(i)
            till:get()
        end)
    end
    for _ = 1, n do
        ready:get()
    end
    look()
    till:close()
    for i = 1, n do
        list[i]:join()
    end
end)
