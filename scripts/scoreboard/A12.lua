-- A12: 8 results of 50 MB are under way when the pool is terminated.
local mp = require "moonfork"

local pool = mp.Pool(4)
local begins = mp.Queue()
local result = pool:map_async(function()
    begins:put(true)
    return ("x"):rep(50 << 20)
end, { 1, 2, 3, 4, 5, 6, 7, 8 }, { chunksize = 1 })
for _ = 1, 4 do
    begins:get()
end

local start = mp.time()
pool:terminate()
assert(mp.time() - start < 1)
assert(result:ready() and #mp.active_children() == 0)
print "ended in less than 1 s, no process left"
